"""The Tagger API over HTTP, with requests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from typing import IO, TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidHeader
from urllib3 import HTTPConnectionPool, PoolManager, Timeout
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

from hangtag.adapters.idle_connections import MAX_IDLE_SECONDS, with_idle_limit
from hangtag.errors import ApiTimeout, ApiUnreachable, BadAnswer
from hangtag.redaction import has_secret, redacted
from hangtag.tagger_api import (
    MAX_ANSWER_BYTES,
    Answer,
    Language,
    RequestBody,
    read_answer,
)

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

CONNECT_TIMEOUT_SECONDS = 5.0
MAX_HEADER_BYTES = 64 * 1024
"""Of an answer, with its status line; longer headers are refused."""

_MAX_FRAMING_BYTES = 64 * 1024  # of a body that is sent in chunks
_CHUNK_BYTES = 64 * 1024
_KEYS = 2  # the API may repeat the one that was just replaced
_LONGEST_RETRY_AFTER = 40  # characters; a date has 29


class HttpTagger:
    """
    `Tagger` with one connection pool for all threads.

    The API key goes to *url* and nowhere else: redirects are not followed.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        max_idle_seconds: float = MAX_IDLE_SECONDS,
    ) -> None:
        self._url = url
        # Not a session, which reads the body of a redirect without limit, and keeps cookies.
        self._transport = _Transport(
            connections=connections, max_idle_seconds=max_idle_seconds
        )
        # Proxies and certificate authorities of the environment
        self._settings: Mapping[str, Any] = (
            requests.Session().merge_environment_settings(
                url, {}, stream=True, verify=None, cert=None
            )
        )
        self._keys: tuple[str, ...] = ()

    def ask(
        self,
        request: RequestBody,
        *,
        language: Language,
        api_key: str,
        timeout_seconds: float,
    ) -> Answer:
        deadline = time.monotonic() + timeout_seconds
        if api_key not in self._keys:
            self._keys = (api_key, *self._keys)[:_KEYS]
        secrets = (*self._keys, *request.secrets())
        with _translated(self._url, secrets):
            prepared = requests.Request(
                "POST",
                self._url,
                # requests streams anything iterable that has a length
                data=cast("IO[bytes]", _TimedBody(request, deadline)),
                headers={
                    "accept": "application/json",
                    "accept-encoding": "gzip",
                    "accept-language": language,
                    "content-type": "application/json",
                    "user-agent": "hangtag",
                    "x-api-key": api_key,
                },
            ).prepare()
            # requests takes urllib3's Timeout, but its type stubs do not know that
            timeout = Timeout(connect=CONNECT_TIMEOUT_SECONDS, total=timeout_seconds)
            with self._transport.send(
                prepared, timeout=cast("float", timeout), **self._settings
            ) as response:
                body = _read_body(response)
        return read_answer(
            body,
            http_status=response.status_code,
            retry_after_seconds=_retry_after(response.headers, now=time.time()),
            secrets=secrets,
        )


class _Transport(HTTPAdapter):
    """
    requests' transport without retries, with bounded responses.

    It does not reuse connections that were idle for long.
    """

    def __init__(self, *, connections: int, max_idle_seconds: float) -> None:
        self._max_idle_seconds = max_idle_seconds
        super().__init__(pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the library's
        super().init_poolmanager(*args, **kwargs)
        self._set_limits(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:  # noqa: ANN401 - the library's
        is_new = proxy not in self.proxy_manager
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        if is_new:
            self._set_limits(manager)
        return manager

    def _set_limits(self, manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = with_idle_limit(
            _with_bounded_responses(manager.pool_classes_by_scheme),
            max_idle_seconds=self._max_idle_seconds,
        )


class _DeadlinePassed(Exception):
    """The call has used up its time, though the API still reads."""


@dataclass(frozen=True, slots=True)
class _TimedBody:
    """A request body that is sent until the deadline."""

    request: RequestBody
    deadline: float

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.request:
            # A socket's own timeout starts again with every chunk
            if time.monotonic() > self.deadline:
                raise _DeadlinePassed
            yield chunk

    def __len__(self) -> int:
        return len(self.request)


def _read_body(response: requests.Response) -> bytes:
    """The decompressed body; of a longer one, one byte more than an answer may have."""
    body = bytearray()
    while left := MAX_ANSWER_BYTES + 1 - len(body):
        # read1 returns what has arrived, and never decompresses more than that many bytes
        chunk = response.raw.read1(min(left, _CHUNK_BYTES), decode_content=True)
        if not chunk:
            break
        body += chunk
    return bytes(body)


class _BoundedStream(RawIOBase):
    """Reads from a socket until the deadline, and up to a number of bytes."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._stream = connection.makefile("rb", buffering=0)
        # urllib3 has set what is left of the call's time
        self._deadline = time.monotonic() + (connection.gettimeout() or 0.0)
        self._bytes_left = MAX_HEADER_BYTES

    def allow(self, number: int) -> None:
        """Allow *number* more bytes."""
        self._bytes_left += number

    def makefile(self, *_: object) -> BufferedReader:
        """In place of the socket's own method, which `http.client` calls."""
        return BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        # A socket's own timeout does not do: it starts again with every byte
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._connection.settimeout(seconds)
        count = self._stream.readinto(buffer)
        self._bytes_left -= count or 0
        if self._bytes_left < 0:
            raise BadAnswer(
                "the headers of the answer, or its transfer encoding, are too long"
            )
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    """A response that is bounded in time and size, with its headers."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the library's
        self._stream = _BoundedStream(sock)
        super().__init__(cast("socket.socket", self._stream), *args, **kwargs)

    def begin(self) -> None:
        super().begin()
        self._stream.allow(MAX_ANSWER_BYTES + _MAX_FRAMING_BYTES)


def _with_bounded_responses(
    pools: Mapping[str, type[HTTPConnectionPool]],
) -> dict[str, type[HTTPConnectionPool]]:
    """The classes of connection *pools*, by URL scheme, that make a `_BoundedResponse`."""

    def bounded(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        connection: Any = pool.ConnectionCls
        attributes = {"response_class": _BoundedResponse}
        bounded_connection = type(connection.__name__, (connection,), attributes)
        return type(pool.__name__, (pool,), {"ConnectionCls": bounded_connection})

    return {scheme: bounded(pool) for scheme, pool in pools.items()}


@contextmanager
def _translated(url: str, secrets: tuple[str, ...]) -> Iterator[None]:
    """Turn errors of requests and urllib3 into Hangtag's, without the *secrets*."""
    began = time.monotonic()
    try:
        yield
    except requests.ConnectTimeout as error:
        seconds = time.monotonic() - began
        raise ApiUnreachable(f"no connection to {url} in {seconds:.1f} s") from error
    except (requests.Timeout, ReadTimeoutError, _DeadlinePassed) as error:
        seconds = time.monotonic() - began
        raise ApiTimeout(f"no answer from {url} in {seconds:.1f} s") from error
    except (InvalidHeader, UnicodeEncodeError):
        # Without the original: it quotes the header, which may be the key.
        raise ApiUnreachable(f"{url}: a header is not valid HTTP") from None
    except (requests.RequestException, HTTPError) as error:
        # It quotes what the API sent, or its own cause does
        text = redacted(str(error), secrets)
        cause = None if _contains(error, secrets) else error
        if isinstance(error, DecodeError):
            raise BadAnswer(f"the answer cannot be decompressed: {text}") from cause
        raise ApiUnreachable(f"{url}: {text}") from cause


def _contains(error: BaseException | None, secrets: tuple[str, ...]) -> bool:
    """Whether an error or one of its causes contains one of the *secrets*."""
    while error is not None:
        if has_secret(str(error).encode(errors="replace"), secrets):
            return True
        error = error.__cause__ or error.__context__
    return False


def _retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """The seconds in the header Retry-After, which is a number or a date; else None."""
    value = headers.get("Retry-After", "").strip()
    if len(value) > _LONGEST_RETRY_AFTER:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now, tz=UTC)).total_seconds())
