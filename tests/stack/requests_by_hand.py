"""Sends requests to a local cloud that no client of AWS would send."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.cloud import Access


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    body: str


def ask(
    access: Access,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    host: str | None = None,
    body: Iterable[bytes] = (),
) -> Answer:
    """
    Send a request as it is, with any Host, to a cloud or its proxy.

    The *body* is sent until the server ends the connection.
    """
    netloc = urlsplit(access.endpoint_url).netloc
    connection = http.client.HTTPSConnection(
        netloc,
        timeout=10,
        context=ssl.create_default_context(cafile=access.certificate),
    )
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or netloc)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        with suppress(ConnectionError):
            for piece in body:
                connection.send(piece)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode())
    finally:
        connection.close()
