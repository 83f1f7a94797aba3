"""Runs the sandbox as an HTTP server."""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
import sys
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.errors import (
    FirstHeaderLineIsContinuationDefect,
    MissingHeaderBodySeparatorDefect,
)
from http import HTTPStatus
from io import BufferedReader, RawIOBase
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from PIL.Image import DecompressionBombWarning
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

from hangtag_sandbox.access import (
    DEFAULT_KEY,
    KEY_VARIABLE,
    TOKEN_VARIABLE,
    Access,
    access_for,
)
from hangtag_sandbox.answers import refusal, to_json
from hangtag_sandbox.app import create_app
from hangtag_sandbox.connections import Connection, Connections
from hangtag_sandbox.fetching import Fetcher, tls_context
from hangtag_sandbox.limits import (
    HEADER_SECONDS,
    IDLE_SECONDS,
    MOST_HEADER_BYTES,
    REQUEST_SECONDS,
)
from hangtag_sandbox.networks import Reach
from hangtag_sandbox.page import SECURITY_HEADERS
from hangtag_sandbox.palette import palette
from hangtag_sandbox.paths import CUT_HEADER, JSON, TAGS_PATH

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
DEFAULT_REACH: Reach = "none"

DISCARD_SECONDS = 2.0
"""How long the rest of a refused body is read, so that the client can receive the answer."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long the server waits for a client, in seconds; `limits` describes them."""

    idle: float = IDLE_SECONDS
    header: float = HEADER_SECONDS
    request: float = REQUEST_SECONDS


@contextmanager
def serve(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    key: str = DEFAULT_KEY,
    *,
    access: Access | None = None,
    fetcher: Fetcher | None = None,
    quota: int | None = None,
    deadlines: Deadlines | None = None,
    connections: Connections | None = None,
) -> Iterator[str]:
    """
    Run a sandbox while the context lasts; yields its base URL without a trailing slash.

    Port 0 means any free port. `create_app` describes *access*, *fetcher* and *quota*.

    Raises:
        SystemExit: The sandbox cannot listen on this address; stderr gives the reason.
    """
    app = create_app([key], access=access, fetcher=fetcher, quota=quota)
    palette()  # loaded now, or the first answer would be slow
    server = _Server(host, port, app, _Handler)
    server.deadlines = deadlines or Deadlines()
    server.connections = connections or Connections()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
    finally:
        server.shutdown()
        thread.join()


def main(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    key: str = DEFAULT_KEY,
    *,
    token: str | None = None,
    allowed_hosts: Collection[str] = (),
    fetch: Reach = DEFAULT_REACH,
    loopback_ports: Collection[int] = (),
    ca_file: Path | None = None,
    quota: int | None = None,
) -> None:
    """
    Run a sandbox until SIGINT or SIGTERM; prints its base URL once it listens.

    Args:
        host: The address to listen on.
        port: The port; 0: any free port.
        key: The accepted API key.
        token: The control token; by default a random one, which is printed.
        allowed_hosts: Further values of `Host` that it accepts, as `name` or `name:port`.
        fetch: The addresses that it may fetch images from.
        loopback_ports: The ports of this machine that it may fetch images from.
        ca_file: Certificates to trust for that, besides those of this machine.
        quota: How many images to tag before the answer is 823; None: no limit.

    Raises:
        UnsafeStart: *host* is beyond loopback and *key* or *token* is missing, or *token* is
            invalid.
        OSError: *ca_file* cannot be read or has no certificates.
    """
    access = access_for(host, key, token=token, hosts=allowed_hosts)
    fetcher = Fetcher(fetch, frozenset(loopback_ports), tls_context(ca_file))
    # The sandbox has its own limits on large images.
    warnings.simplefilter("ignore", DecompressionBombWarning)
    # Pillow logs thousands of warnings for some broken images; the answer gives the reason.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    ends = {signal.SIGINT, signal.SIGTERM}
    # The server's threads inherit the mask, so that only this thread receives the signals.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        with serve(host, port, key, access=access, fetcher=fetcher, quota=quota) as url:
            for line in _introduction(url, key, access, own_token=not token):
                print(line, file=sys.stderr, flush=True)  # noqa: T201  for people
            print(url, flush=True)  # noqa: T201  the command's output
            signal.sigwait(ends)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _introduction(
    url: str, key: str, access: Access, *, own_token: bool
) -> Iterator[str]:
    """Say how to call it; secrets that the caller has set are not repeated."""
    if access.beyond_loopback:
        yield (
            "Warning: other machines can reach this sandbox, and what they send is not encrypted. "
            "Its page is off."
        )
    shown = key if key == DEFAULT_KEY else f"the key of --key or {KEY_VARIABLE}"
    yield f"The sandbox is running: POST {url}{TAGS_PATH} with the header x-api-key: {shown}"
    token = access.token if own_token else f"${TOKEN_VARIABLE}"
    yield f"Control requests need the header Authorization: Bearer {token}"
    page = "" if access.beyond_loopback else f"Open {url}/ to try an image. "
    yield f"{page}Press Ctrl-C to stop."


class _Server(ThreadedWSGIServer):
    """Werkzeug's threaded server, with bounded connections."""

    deadlines: Deadlines
    connections: Connections

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  socketserver's signature
        """Handle a connection in a thread, or answer 503 if there are too many."""
        if self.connections.admit(request):
            super().process_request(request, client_address)
            return
        with suppress(OSError):  # the client has disconnected, or does not read
            request.settimeout(0)  # this thread accepts all connections
            request.send(_BUSY)
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  socketserver's signature
        self.connections.forget(request)
        super().shutdown_request(request)


_DEFECTS = (FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect)
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Handler(WSGIRequestHandler):
    """
    Werkzeug's request handler, with keep-alive connections.

    Werkzeug closes each connection, because an application may leave a request half read. The
    sandbox reads the whole request or sends `Connection: close`.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.deadlines.idle)
        self._connections = self.server.connections
        self._connection = self._connections.of(self.request)
        self._input = _BoundedInput(
            self._connection, self._connections, self.server.deadlines
        )
        self.rfile = BufferedReader(self._input)

    def handle_one_request(self) -> None:
        self._connections.begin(self._connection)
        self._input.begin()
        try:
            super().handle_one_request()
        except _HeaderTooLong:
            self.request_version = self.protocol_version  # the first line may be unread
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def parse_request(self) -> bool:
        is_valid = super().parse_request()
        self._input.end_header()
        if not is_valid:
            return False
        # Python's parser passes over such a line, or takes what follows it for a body
        is_folded = any({"\r", "\n"} & {*value} for value in self.headers.values())
        if is_folded or any(isinstance(one, _DEFECTS) for one in self.headers.defects):
            self.send_error(HTTPStatus.BAD_REQUEST, "A header line is malformed")
            return False
        if len(self.headers.get_all("Content-Length", [])) > 1:
            self.send_error(HTTPStatus.BAD_REQUEST, "Content-Length is there twice")
            return False
        return True

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,  # noqa: ARG002  the signature of http.server
    ) -> None:
        """Answer a malformed HTTP request with an error of the API."""
        reason = message or HTTPStatus(code).phrase
        body = to_json(refusal(623, f"The request is not valid HTTP: {reason}."))
        self.close_connection = True
        headers = {**SECURITY_HEADERS, "Connection": "close"}
        response = Response(body, code, headers, content_type=JSON)
        with self._connections.waiting(self._connection):
            self._send(response, None)
            self._discard()

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002  its name
        """Log no timeouts: a client could fill the log with them."""

    def run_wsgi(self) -> None:
        response = Response.from_app(self.server.app, self.make_environ())
        cut = response.headers.pop(CUT_HEADER, None)
        if cut == "reset":
            self._reset()
        if cut is not None:
            self.close_connection = True
        if cut in ("closed", "reset"):
            return
        with self._connections.waiting(self._connection):
            self._send(response, cut)
            if response.headers.get("Connection") == "close":
                self._discard()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log no requests: GET /sandbox/calls lists them."""

    def _send(self, response: Response, cut: str | None) -> None:
        self.send_response(response.status_code)
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        body = response.get_data()
        self.wfile.write(body[: len(body) // 2] if cut == "half" else body)

    def _reset(self) -> None:
        """Reset the TCP connection, as a crash does."""
        at_once = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        os.close(self.connection.detach())

    def _discard(self) -> None:
        until = time.monotonic() + DISCARD_SECONDS
        with suppress(OSError):  # the client has disconnected
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(DISCARD_SECONDS)
            while time.monotonic() < until and self.connection.recv(1024 * 1024):
                pass


class _HeaderTooLong(Exception):
    """A request's first line and headers are longer than `MOST_HEADER_BYTES`."""


class _BoundedInput(RawIOBase):
    """
    Reads from a connection within the deadlines and the size limits of the current request.

    A socket timeout is no deadline: it starts again with every byte that arrives.
    """

    def __init__(
        self, connection: Connection, connections: Connections, deadlines: Deadlines
    ) -> None:
        super().__init__()
        self._connection = connection
        self._connections = connections
        self._deadlines = deadlines
        self.begin()

    def begin(self) -> None:
        """Wait for the next request."""
        self._is_header = True
        self._began: float | None = None
        self._until = time.monotonic() + self._deadlines.idle

    def end_header(self) -> None:
        """Note that the rest of the request is its body."""
        self._is_header = False
        began = self._began or time.monotonic()  # an earlier read may hold the header
        self._until = began + self._deadlines.request

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request arrives too slowly")
        plain = self._connection.socket
        plain.settimeout(min(left, self._deadlines.idle))
        try:
            with self._connections.waiting(self._connection):
                count = plain.recv_into(buffer)
                self._connections.receive(self._connection, count)
        finally:
            plain.settimeout(self._deadlines.idle)
        if self._began is None:
            self._began = time.monotonic()
            self._until = self._began + self._deadlines.header
        if self._is_header and self._connection.received > MOST_HEADER_BYTES:
            raise _HeaderTooLong
        return count
