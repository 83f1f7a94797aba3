"""The AWS clients of a function: one session, whose clients are cheap to make and to use."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Final

import botocore
from botocore.config import Config
from botocore.exceptions import DataNotFoundError
from botocore.loaders import JSONFileLoader, Loader, create_loader
from botocore.session import Session

from hangtag.adapters.aws_deadline import BotoDeadline
from hangtag.adapters.idle_connections import MAX_IDLE_SECONDS, limit_idle_time
from hangtag.adapters.tls_contexts import share_tls_context
from hangtag.time_budget import TimeBudget

USER_AGENT: Final = f"hangtag botocore/{botocore.__version__}"
"""botocore's own has more about the system, and is built twice for each request."""

_VALIDATED_BY_AWS = ("dynamodb", "sns")
"""
Services whose parameters botocore does not validate.

It does for S3, where an empty key would turn a request for an object into one for its bucket.
"""


class AwsClients:
    """
    The AWS clients of a function, by the name of the service.

    Their requests end within the *budget*, and before the deadline of `deadline.begin`. Threads
    may share everything.
    """

    def __init__(
        self,
        budget: TimeBudget,
        *,
        connections: int = 10,
        session: Session | None = None,
        max_idle_seconds: float = MAX_IDLE_SECONDS,
    ) -> None:
        self.deadline = BotoDeadline(seconds=budget.request)
        self._budget = budget
        self._connections = connections
        self._session = session or new_session()
        self._max_idle_seconds = max_idle_seconds
        self._made: dict[str, Any] = {}
        self._lock = Lock()  # a session makes one client at a time

    def client(self, service: str) -> Any:  # noqa: ANN401 - the adapters have the types
        """The client of a service."""
        with self._lock:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def direct(self, service: str) -> Any:  # noqa: ANN401 - the adapters have the types
        """The client of a service, with the request that every upload needs sent directly."""
        client = self.client(service)
        credentials = self._session.get_credentials()
        if credentials is None:
            return client  # whose requests say so
        try:
            from hangtag.adapters.direct_requests import direct  # noqa: PLC0415
        except ImportError:
            return client  # of another version of botocore
        return direct(client, credentials, self.deadline.check)

    def lazy(self, service: str) -> Any:  # noqa: ANN401 - the adapters have the types
        """The client of a service that few instances need: it is made at its first call."""
        return _LazyClient(lambda: self.client(service))

    def _make(self, service: str) -> Any:  # noqa: ANN401 - the adapters have the types
        client: Any = self._session.create_client(
            service,
            config=client_config(
                service,
                connections=self._connections,
                connect_seconds=self._budget.aws_connect,
                read_seconds=self._budget.aws_read,
            ),
        )
        return limit_idle_time(
            self.deadline.watch_over(share_tls_context(client)),
            max_idle_seconds=self._max_idle_seconds,
        )


class _LazyClient:
    """Stands for a client that is made when one of its attributes is first used."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the client's
        return getattr(self._client(), name)


def client_config(
    service: str,
    *,
    connections: int = 10,
    connect_seconds: float = 2.0,
    read_seconds: float = 10.0,
) -> Config:
    """
    Timeouts, retries and connections of the client of a service.

    Each thread has a connection. The timeouts fit several times into an invocation (botocore's
    own are a minute each), and botocore retries once. Callers who know how much time is left retry
    further.
    """
    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        max_pool_connections=max(10, connections),
        retries={"mode": "standard", "total_max_attempts": 2},
        user_agent=USER_AGENT,
        parameter_validation=service not in _VALIDATED_BY_AWS,
    )
    return config.merge(_s3_config()) if service == "s3" else config


def _s3_config() -> Config:
    # Presigned URLs name the bucket's region. botocore's default is the global endpoint: newer
    # regions refuse it, and for new buckets in other regions it redirects, which invalidates the
    # signature. KMS requires signature version 4.
    return Config(
        signature_version="s3v4",
        # A new dictionary each time: botocore writes what the environment says into it
        s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
    )


def new_session() -> Session:
    """
    A session that reads botocore's descriptions of AWS in a fraction of its usual time.

    It uses public classes of botocore only, because Lambda has any version of it
    (docs/decisions/0051-aws-clients.md).
    """
    session = Session()
    usual = create_loader(session.get_config_variable("data_path"))
    session.register_component(
        "data_loader",
        _ModelLoader(
            extra_search_paths=list(usual.search_paths),
            include_default_search_paths=False,
            file_loader=_ModelFiles(),
        ),
    )
    return session


class _ModelLoader(Loader):
    """Looks only for the services that it is asked for; botocore lists 400 folders each time."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - botocore's
        super().__init__(**options)
        self._asked: set[str] = set()

    def load_service_model(self, service_name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - botocore's
        """The description of a service."""
        self._asked.add(service_name)
        return super().load_service_model(service_name, *args, **kwargs)

    def list_available_services(self, type_name: str) -> list[str]:
        """The services that were asked for, if they have a description of this type."""
        return sorted(
            name for name in tuple(self._asked) if self._is_described(name, type_name)
        )

    def _is_described(self, service: str, type_name: str) -> bool:
        try:
            self.determine_latest_version(service, type_name)
        except DataNotFoundError:
            return False
        return True


class _ModelFiles(JSONFileLoader):
    """Reads JSON into plain dictionaries; botocore's `OrderedDict` takes three times as long."""

    def load_file(self, file_path: str) -> Any:  # noqa: ANN401 - JSON
        """The content of a file, or None. *file_path* has no extension."""
        try:
            for extension, unpacked in _PACKINGS.items():
                path = Path(f"{file_path}{extension}")
                if path.is_file():
                    return json.loads(unpacked(path.read_bytes()))
        except (OSError, ValueError, zlib.error):
            pass  # botocore may have learnt to read it
        return super().load_file(file_path)


def _gunzipped(content: bytes) -> bytes:
    return zlib.decompress(content, wbits=31)


_PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    ".json": lambda content: content,
    ".json.gz": _gunzipped,
}
