"""The Tagger API over HTTP, with urllib3."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
from urllib3 import (
    BaseHTTPResponse,
    HTTPConnectionPool,
    PoolManager,
    ProxyManager,
    Timeout,
    make_headers,
)
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util import parse_url

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
        ca_bundle: str | None = None,
    ) -> None:
        """
        *ca_bundle*: a file or a folder of certificate authorities, instead of certifi's.

        Raises:
            ApiUnreachable: It cannot be read, or the environment's proxy is none.
        """
        self._url = url
        self._connections = _connections(
            url,
            connections=connections,
            max_idle_seconds=max_idle_seconds,
            ca_bundle=ca_bundle or certifi.where(),
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
        if not _is_header_value(api_key):
            raise ApiUnreachable(f"{self._url}: the API key is no valid header")
        with (
            _translated(self._url, secrets),
            self._connections.urlopen(
                "POST",
                self._url,
                body=_until(deadline, request),
                headers={
                    "accept": "application/json",
                    "accept-encoding": "gzip",
                    "accept-language": language,
                    "content-length": str(len(request)),
                    "content-type": "application/json",
                    "user-agent": "hangtag",
                    "x-api-key": api_key,
                },
                timeout=Timeout(connect=CONNECT_TIMEOUT_SECONDS, total=timeout_seconds),
                preload_content=False,
                redirect=False,
                retries=False,
            ) as response,
        ):
            body = _read_body(response)
        return read_answer(
            body,
            http_status=response.status,
            retry_after_seconds=_retry_after(response.headers, now=time.time()),
            secrets=secrets,
        )


def _connections(
    url: str, *, connections: int, max_idle_seconds: float, ca_bundle: str
) -> PoolManager:
    """
    The pool of connections to *url*, through the environment's proxy.

    Its responses are bounded, and it does not reuse connections that were idle for long.
    """
    proxy = _proxy_of_environment(url)
    tls = _tls_context(ca_bundle) if "https:" in f"{url} {proxy}" else None
    if proxy is None:
        manager = PoolManager(maxsize=connections, ssl_context=tls)
    else:
        try:
            credentials = unquote(parse_url(proxy).auth or "")
            manager = ProxyManager(
                proxy,
                proxy_headers=make_headers(proxy_basic_auth=credentials or None),
                proxy_ssl_context=tls,
                maxsize=connections,
                ssl_context=tls,
            )
        except HTTPError:
            # Its message may quote the proxy's password
            raise ApiUnreachable(
                f"the environment's proxy for {url} has no http:// or https:// address"
            ) from None
    manager.pool_classes_by_scheme = with_idle_limit(
        _with_bounded_responses(manager.pool_classes_by_scheme),
        max_idle_seconds=max_idle_seconds,
    )
    return manager


def _proxy_of_environment(url: str) -> str | None:
    address = urlsplit(url)
    if proxy_bypass(address.netloc):
        return None
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _tls_context(ca_bundle: str) -> ssl.SSLContext:
    """One for all connections: reading the authorities takes 12 ms of CPU."""
    is_folder = Path(ca_bundle).is_dir()
    try:
        return ssl.create_default_context(
            cafile=None if is_folder else ca_bundle,
            capath=ca_bundle if is_folder else None,
        )
    except OSError as error:
        raise ApiUnreachable(
            f"the certificate authorities in {ca_bundle} cannot be read: {error}"
        ) from error


class _DeadlinePassed(Exception):
    """The call has used up its time, though the API still reads."""


def _until(deadline: float, request: RequestBody) -> Iterator[bytes]:
    """The pieces of a request, which are sent until the deadline."""
    for piece in request:
        # A socket's own timeout starts again with every piece
        if time.monotonic() > deadline:
            raise _DeadlinePassed
        yield piece


def _is_header_value(text: str) -> bool:
    return text.isascii() and text.isprintable() and text == text.strip()


def _read_body(response: BaseHTTPResponse) -> bytes:
    """The decompressed body; of a longer one, one byte more than an answer may have."""
    body = bytearray()
    while left := MAX_ANSWER_BYTES + 1 - len(body):
        # read1 returns what has arrived, and never decompresses more than that many bytes
        chunk = response.read1(min(left, _CHUNK_BYTES), decode_content=True)
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
    """Turn urllib3's errors into Hangtag's, without the *secrets*."""
    began = time.monotonic()
    try:
        yield
    except NewConnectionError as error:  # a kind of timeout to urllib3
        raise ApiUnreachable(f"{url}: {error}") from error
    except ConnectTimeoutError as error:
        seconds = time.monotonic() - began
        raise ApiUnreachable(f"no connection to {url} in {seconds:.1f} s") from error
    except (ReadTimeoutError, _DeadlinePassed) as error:
        seconds = time.monotonic() - began
        raise ApiTimeout(f"no answer from {url} in {seconds:.1f} s") from error
    except HTTPError as error:
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
