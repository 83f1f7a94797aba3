"""
Starts the fault proxy between the functions and the local cloud, instead of `microburst`.

It runs the same proxy with TLS on both sides and patches five of its functions, which have no
settings. Arguments: the port, the cloud's address, and the files of its certificate and key. The
environment variable HANGTAG_FAULTS_TOKEN has the token of the control paths.
"""

from __future__ import annotations

import hmac
import os
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar

import aiohttp
from aiohttp import web
from microburst import forward
from microburst.app import make_app
from microburst.control import CONTROL_PREFIX
from microburst.core import pipeline
from microburst.core.context import RequestContext
from microburst.rules import FiredEvent

outbound_headers = forward.Upstream._outbound_headers  # noqa: SLF001
start_upstream = forward.Upstream.start
detect = pipeline.detect
emit_fired = pipeline.emit_fired
Middleware = Callable[
    [web.Request, Callable[[web.Request], Awaitable[web.StreamResponse]]],
    Awaitable[web.StreamResponse],
]
CONTROL_HEADER = "X-Hangtag-Token"  # as in local/faults.py
port_of_caller: ContextVar[int | None] = ContextVar("port_of_caller", default=None)


def headers_as_signed(
    upstream: forward.Upstream, request: web.Request
) -> dict[str, str]:
    """Build the headers for the cloud with the caller's `Host`, which the signature covers."""
    headers: dict[str, str] = outbound_headers(upstream, request)
    headers.pop("content-length", None)  # aiohttp sets it from the body that it sends
    return {**headers, "host": request.headers["Host"]}


def detect_with_key(
    headers: Mapping[str, str],
    method: str,
    path: str,
    query: Mapping[str, str],
    body: bytes | None,
) -> RequestContext:
    """Parse the AWS request; for S3, add the key, so that a rule can name an object."""
    context = detect(headers, method, path, query, body)
    if context.service == "s3":
        context.resource = path
    return context


def emit_with_caller(proxy: pipeline.Microburst, event: FiredEvent) -> None:
    """Record a fault with the caller's port, which identifies the process."""
    event.note = str(port_of_caller.get())
    emit_fired(proxy, event)


@web.middleware
async def remember_caller(
    request: web.Request,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    """Store the caller's port for `emit_with_caller`."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    port_of_caller.set(peer[1] if peer else None)
    return await handler(request)


def guarded_by(token: str, host: str) -> Middleware:
    """
    Return a middleware that keeps web pages and other users of the machine out.

    The control paths need the token. The cloud checks the signatures of all other requests.
    """

    @web.middleware
    async def guard(
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Answer 403 unless the request may pass."""
        if request.headers.getall("Host", []) != [host] or "Origin" in request.headers:
            raise web.HTTPForbidden(text="web pages have no access")
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical.startswith(CONTROL_PREFIX):
            given = request.headers.get(CONTROL_HEADER, "")
            if not hmac.compare_digest(given.encode(), token.encode()):
                raise web.HTTPForbidden(text="the control paths need the token")
        return await handler(request)

    return guard


def main(port: str, upstream: str, certificate: str, key: str) -> None:
    """Serve on 127.0.0.1 until a signal stops the process."""
    token = os.environ["HANGTAG_FAULTS_TOKEN"]
    trusted = ssl.create_default_context(cafile=certificate)
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(certificate, key)

    async def start_trusting(client: forward.Upstream) -> None:
        """Connect to the cloud over TLS and check its certificate."""
        await start_upstream(client)
        if client.session is not None:
            await client.session.close()
        client.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted, limit=0),
            timeout=aiohttp.ClientTimeout(total=120, connect=10),
            auto_decompress=False,
        )

    forward.Upstream.start = start_trusting
    forward.Upstream._outbound_headers = headers_as_signed  # noqa: SLF001
    # The proxy would remove Content-Length from every answer, and boto3 needs it.
    forward.HOP_BY_HOP = forward.HOP_BY_HOP - {"content-length"}
    pipeline.detect = detect_with_key
    pipeline.emit_fired = emit_with_caller
    app = make_app(pipeline.Microburst(upstream, resign=False))
    app.middlewares.append(guarded_by(token, f"127.0.0.1:{port}"))
    app.middlewares.append(remember_caller)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(port),
        ssl_context=own,
        print=None,
        access_log=None,
        shutdown_timeout=0.5,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
