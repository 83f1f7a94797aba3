"""The Tagger API, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, cast

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidHeader
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

from hangtag.contract import Answer, Language, RequestBody, read_answer
from hangtag.failures import ApiTimeout, ApiUnreachable, BadAnswer

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
        adapter = HTTPAdapter(pool_maxsize=connections, max_retries=0)
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
                timeout=(connect_seconds, timeout_seconds),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            body = _read_all(response, ends)
            status = response.status_code
            headers = response.headers
        return read_answer(
            body,
            http_status=status,
            retry_after_seconds=_retry_after(headers, now=time.time()),
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


def _read_all(response: requests.Response, ends: float) -> bytes:
    """The whole body; requests' own timeout starts anew with every byte that arrives."""
    body = bytearray()
    # What has arrived: to wait for a whole piece could take a trickle's time.
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise BadAnswer(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
        if time.monotonic() > ends:
            raise requests.ReadTimeout
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
    except InvalidHeader:
        # Its text repeats the header, which may be the key.
        raise ApiUnreachable(f"{url}: a header is not valid HTTP") from None
    except (requests.RequestException, HTTPError) as error:
        raise ApiUnreachable(f"{url}: {error}") from error


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
