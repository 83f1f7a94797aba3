"""The Tagger API over HTTP, with requests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidHeader
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

from hangtag.adapters.idle_connections import MAX_IDLE_SECONDS, with_idle_limit
from hangtag.errors import ApiTimeout, ApiUnreachable, BadAnswer
from hangtag.tagger_api import Answer, Language, RequestBody, read_answer

CONNECT_TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Far more than any answer has; a longer body is refused."""

_CHUNK_BYTES = 64 * 1024


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

    def ask(
        self,
        request: RequestBody,
        *,
        language: Language,
        api_key: str,
        timeout_seconds: float,
    ) -> Answer:
        deadline = time.monotonic() + timeout_seconds
        with _translated(self._url):
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
                body = _read_body(response, deadline)
        return read_answer(
            body,
            http_status=response.status_code,
            retry_after_seconds=_retry_after(response.headers, now=time.time()),
            secret=api_key,
        )


class _Transport(HTTPAdapter):
    """requests' transport without retries, which does not reuse connections that were idle long."""

    def __init__(self, *, connections: int, max_idle_seconds: float) -> None:
        self._max_idle_seconds = max_idle_seconds
        super().__init__(pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the library's
        super().init_poolmanager(*args, **kwargs)
        self._limit_idle_time(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:  # noqa: ANN401 - the library's
        is_new = proxy not in self.proxy_manager
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        if is_new:
            self._limit_idle_time(manager)
        return manager

    def _limit_idle_time(self, manager: PoolManager) -> None:
        manager.pool_classes_by_scheme = with_idle_limit(
            manager.pool_classes_by_scheme, max_idle_seconds=self._max_idle_seconds
        )


class _DeadlinePassed(Exception):
    """The call has used up its time, though the API still reads or sends."""


def _check_deadline(deadline: float) -> None:
    # A socket's own timeout does not do: it starts again with every byte.
    if time.monotonic() > deadline:
        raise _DeadlinePassed


@dataclass(frozen=True, slots=True)
class _TimedBody:
    """A request body that is sent until the deadline."""

    request: RequestBody
    deadline: float

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.request:
            _check_deadline(self.deadline)
            yield chunk

    def __len__(self) -> int:
        return len(self.request)


def _read_body(response: requests.Response, deadline: float) -> bytes:
    body = bytearray()
    # read1 returns what has arrived: waiting for a whole chunk could outlast the deadline.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise BadAnswer(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
        _check_deadline(deadline)
    return bytes(body)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn errors of requests and urllib3 into Hangtag's, without the API key."""
    began = time.monotonic()
    try:
        yield
    except requests.ConnectTimeout as error:
        seconds = time.monotonic() - began
        raise ApiUnreachable(f"no connection to {url} in {seconds:.1f} s") from error
    except (requests.Timeout, ReadTimeoutError, _DeadlinePassed) as error:
        seconds = time.monotonic() - began
        raise ApiTimeout(f"no answer from {url} in {seconds:.1f} s") from error
    except DecodeError as error:
        raise BadAnswer(f"the answer cannot be decompressed: {error}") from error
    except (InvalidHeader, UnicodeEncodeError):
        # Without the original: it quotes the header, which may be the key.
        raise ApiUnreachable(f"{url}: a header is not valid HTTP") from None
    except (requests.RequestException, HTTPError) as error:
        raise ApiUnreachable(f"{url}: {error}") from error


def _retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """
    The seconds in the header Retry-After, which is a number or a date; else None.

    A number of more than nine digits, 31 years, is none: a longer one can be infinite.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now, tz=UTC)).total_seconds())
