"""The Tagger API, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from typing import IO, TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidHeader
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    ReadTimeoutError,
)

from hangtag.errors import ApiTimeout, ApiUnreachable, BadAnswer
from hangtag.tagger_api import Answer, Language, RequestBody, read_answer

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

CONNECT_TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Far more than any answer has; what is longer is none."""

_PIECE_BYTES = 64 * 1024


class HttpTagger:
    """
    `Tagger` with requests.

    One connection pool for all threads. Redirects are not followed: the key goes to the
    configured address and nowhere else.
    """

    def __init__(self, url: str, *, connections: int) -> None:
        self._url = url
        self._session = _Session()
        # A retry of requests' own would be a call that nobody counted.
        adapter = _Adapter(pool_maxsize=connections, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def ask(
        self,
        request: RequestBody,
        *,
        language: Language,
        api_key: str,
        timeout_seconds: float,
    ) -> Answer:
        ends = time.monotonic() + timeout_seconds
        connect_seconds = min(CONNECT_TIMEOUT_SECONDS, timeout_seconds)
        with (
            _translated(self._url, connect_seconds, timeout_seconds),
            self._session.post(
                self._url,
                # requests streams anything iterable that knows its length
                data=cast("IO[bytes]", _Timed(request, ends)),
                headers={
                    "accept": "application/json",
                    "accept-language": language,
                    "content-type": "application/json",
                    "user-agent": "hangtag",
                    "x-api-key": api_key,
                },
                # The total is for connecting, sending and the whole answer; the type that
                # requests declares has none, but it takes one
                timeout=cast(
                    "float", Timeout(connect=connect_seconds, total=timeout_seconds)
                ),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            body = _read_all(response)
            status = response.status_code
            headers = response.headers
        return read_answer(
            body,
            http_status=status,
            retry_after_seconds=_retry_after(headers, now=time.time()),
            secret=api_key,
        )


class _Timed:
    """A request whose sending ends with its time; a slow reader has requests wait for ever."""

    def __init__(self, request: RequestBody, ends: float) -> None:
        self._request = request
        self._ends = ends

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._request:
            if time.monotonic() > self._ends:
                raise requests.ReadTimeout
            yield piece

    def __len__(self) -> int:
        return len(self._request)


class _Session(requests.Session):
    """Looks at no redirect: even one that is not followed would be read and parsed."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


class _TimedReader(RawIOBase):
    """A socket's bytes as long as there is time; its own timeout starts anew with each read."""

    def __init__(self, raw: RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._ends = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    """A response whose headers and body arrive, all together, within the socket's timeout."""

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp = BufferedReader(_TimedReader(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _TimedResponse


class _TlsConnection(HTTPSConnection):
    response_class = _TimedResponse

    def connect(self) -> None:
        try:
            super().connect()
        except TimeoutError as error:
            # urllib3 takes it for an answer that is late
            raise ConnectTimeoutError(self, "no TLS handshake in time") from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _read_all(response: requests.Response) -> bytes:
    """The whole body, as far as it is no longer than an answer can be."""
    body = bytearray()
    # What has arrived: to wait for a whole piece could take a trickle's time.
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise BadAnswer(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
    return bytes(body)


@contextmanager
def _translated(
    url: str, connect_seconds: float, timeout_seconds: float
) -> Iterator[None]:
    """Errors of requests become ours; their texts may hold addresses, but never the key."""
    try:
        yield
    except requests.ConnectTimeout as error:
        raise ApiUnreachable(
            f"no connection to {url} within {connect_seconds:g} s"
        ) from error
    except (requests.Timeout, ReadTimeoutError) as error:
        raise ApiTimeout(
            f"no answer from {url} within {timeout_seconds:.1f} s"
        ) from error
    except DecodeError as error:
        raise BadAnswer(f"the answer cannot be unpacked: {error}") from error
    except (InvalidHeader, UnicodeEncodeError):
        # They repeat the header, which may be the key.
        raise ApiUnreachable(f"{url}: a header is not valid HTTP") from None
    except (requests.RequestException, HTTPError) as error:
        if _came_of_a_timeout(error):
            raise ApiTimeout(f"{url} did not take the question in time") from error
        raise ApiUnreachable(f"{url}: {error}") from error


def _came_of_a_timeout(error: BaseException) -> bool:
    """A timeout while sending is, to requests, a connection that broke."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """The header Retry-After in seconds; it is a number or a date."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now, tz=UTC)).total_seconds())
