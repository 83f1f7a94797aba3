"""A proxy between the functions and the local cloud, told how the calls go wrong."""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.cloud import Access, own_environment
from local.processes import LocalError, Process

READY_SECONDS = 30.0
MOST_FIRED = 2_000
Rule = Mapping[str, Any]
"""
A rule of microburst: `service`, `operation`, `resource` (of S3: part of bucket/key as the path
has it), `body` (a JMESPath that must be true), `times`, `probability`; and what goes wrong:
`error` (`code`, `status`), `latency` (milliseconds; the call then still happens), `timeout_ms`
(it does not), `reset`, `response` (`abort_frac`: the call happens, its answer breaks off).
"""


@dataclass(frozen=True, slots=True)
class Fired:
    """A call that a rule has struck."""

    at: float
    """Epoch seconds."""
    rule: int
    """The id of the rule, as `Faults.set` gave it."""
    operation: str
    port: int | None
    """Of 127.0.0.1, from which it was made."""


class Faults:
    """
    The proxy in front of a local cloud; it keeps its log in `directory`.

    Start it before the cloud's functions, and give them `url` as their AWS endpoint. It passes
    everything on until `set` says what goes wrong.
    """

    def __init__(self, directory: Path, *, port: int) -> None:
        self._process = Process("faults", directory)
        self._port = port
        self._certificate = ""

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self._port}"

    def start(self, access: Access) -> None:
        """
        Start it in front of the cloud that `access` leads to, under the same certificate.

        Raises:
            LocalError: it did not start; nothing of it is left running.
        """
        self._certificate = access.certificate
        launcher = Path(__file__).with_name("launch_faults.py")
        self._process.start(
            [
                # Isolated (-I), so that nothing in this folder is mistaken for a package.
                sys.executable,
                "-I",
                launcher,
                str(self._port),
                access.endpoint_url,
                access.certificate,
                str(Path(access.certificate).with_name("server.key")),
            ],
            env=own_environment(),
        )
        try:
            self._process.wait_until_ready(self._answers, seconds=READY_SECONDS)
            self._warm_up(access)
        except BaseException:  # Ctrl-C too: what was started is stopped again
            self.stop()
            raise

    def stop(self) -> bool:
        """End it; False when it did not run."""
        return self._process.stop()

    def set(self, rules: Sequence[Rule]) -> list[int]:
        """
        From now on calls go wrong by `rules`, the first that matches; their ids.

        What was struck before is forgotten.
        """
        self._ask("DELETE", "fired")
        told = json.loads(self._ask("POST", "rules", list(rules)))
        if not isinstance(told, list):
            raise LocalError(f"the fault proxy took no rules: {told}")
        return [rule["id"] for rule in told]

    def clear(self) -> None:
        """From now on nothing goes wrong; calls that are held up stay so until their time."""
        self._ask("POST", "rules", [])

    def fired(self) -> list[Fired]:
        """The last 2,000 calls that were struck, oldest first."""
        told = json.loads(self._ask("GET", f"fired?limit={MOST_FIRED}"))
        return [
            Fired(
                at=event["ts"],
                rule=event["rule_id"],
                operation=event["operation"] or "",
                port=int(event["note"]) if str(event["note"]).isdigit() else None,
            )
            for event in told
        ]

    def _warm_up(self, access: Access) -> None:
        """
        Have it load what it knows of each service; the first call would take seconds else.

        The calls ask for nothing that is there: what they are answered is no matter.
        """
        session = boto3.Session(
            aws_access_key_id=access.access_key_id,
            aws_secret_access_key=access.secret_access_key,
            region_name=access.region,
        )
        calls: list[tuple[str, str, dict[str, Any]]] = [
            ("s3", "get_object", {"Bucket": "nowhere", "Key": "nothing"}),
            ("secretsmanager", "get_secret_value", {"SecretId": "nothing"}),
            ("dynamodb", "describe_table", {"TableName": "nothing"}),
            ("sns", "get_topic_attributes", {"TopicArn": "arn:aws:sns:::nothing"}),
            ("sqs", "get_queue_url", {"QueueName": "nothing"}),
            ("lambda", "get_function", {"FunctionName": "nothing"}),
        ]
        for service, call, arguments in calls:
            # The service's name is no literal here, which boto3's types want
            client: Any = session.client(  # type: ignore[call-overload]
                service,
                endpoint_url=self.url,
                verify=access.certificate,
                config=Config(proxies={}, read_timeout=30),
            )
            try:
                getattr(client, call)(**arguments)
            except ClientError:
                continue

    def _answers(self) -> bool | None:
        try:
            self._ask("GET", "health")
        except LocalError:
            return None
        return True

    def _ask(self, method: str, path: str, body: object = None) -> bytes:
        context = ssl.create_default_context(cafile=self._certificate)
        direct = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
        request = Request(  # noqa: S310  # its own https:// address
            f"{self.url}/_microburst/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with direct.open(request, timeout=10) as answer:
                content: bytes = answer.read()
                return content
        except HTTPError as error:
            said = error.read().decode(errors="replace")
            raise LocalError(
                f"the fault proxy answered {method} {path} with {error.code}: {said}"
            ) from error
        except OSError as error:
            raise LocalError(
                f"the fault proxy does not answer {method} {path}: {error}\n"
                f"{self._process.tail()}"
            ) from error
