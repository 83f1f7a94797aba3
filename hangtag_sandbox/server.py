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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from io import BufferedReader, RawIOBase
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from PIL.Image import DecompressionBombWarning
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from hangtag_sandbox.answers import refusal, to_json
from hangtag_sandbox.app import create_app
from hangtag_sandbox.fetching import Fetcher, Reach, tls_context
from hangtag_sandbox.limits import REQUEST_SECONDS
from hangtag_sandbox.palette import palette
from hangtag_sandbox.paths import CUT_HEADER, TAGS_PATH

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
DEFAULT_KEY = "sandbox-key"
DEFAULT_REACH: Reach = "loopback"

IDLE_SECONDS = 60
"""The server closes a connection that is idle for this long."""

DISCARD_SECONDS = 2.0
"""How long the rest of a refused body is read, so that the client can receive the answer."""


@contextmanager
def serve(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    key: str = DEFAULT_KEY,
    *,
    fetcher: Fetcher | None = None,
    quota: int | None = None,
    request_seconds: float = REQUEST_SECONDS,
) -> Iterator[str]:
    """
    Run a sandbox while the context lasts; yields its base URL without a trailing slash.

    Port 0 means any free port. `create_app` describes *fetcher* and *quota*. A request that takes
    longer than *request_seconds* to arrive is dropped.

    Raises:
        SystemExit: The sandbox cannot listen on this address; stderr gives the reason.
    """
    app = create_app([key], fetcher=fetcher, quota=quota)
    palette()  # loaded now, or the first answer would be slow
    handler = type("_Handler", (_Handler,), {"request_seconds": request_seconds})
    server = make_server(host, port, app, threaded=True, request_handler=handler)
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
    fetch: Reach = DEFAULT_REACH,
    ca_file: Path | None = None,
    quota: int | None = None,
) -> None:
    """
    Run a sandbox until SIGINT or SIGTERM; prints its base URL once it listens.

    Args:
        host: The address to listen on.
        port: The port; 0: any free port.
        key: The accepted API key.
        fetch: The addresses that it may fetch images from.
        ca_file: Certificates to trust for that, besides those of this machine.
        quota: How many images to tag before the answer is 823; None: no limit.

    Raises:
        OSError: *ca_file* cannot be read or has no certificates.
    """
    fetcher = Fetcher(fetch, tls_context(ca_file))
    # The sandbox has its own limits on large images.
    warnings.simplefilter("ignore", DecompressionBombWarning)
    # Pillow logs thousands of warnings for some broken images; the answer gives the reason.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    ends = {signal.SIGINT, signal.SIGTERM}
    # The server's threads inherit the mask, so that only this thread receives the signals.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        with serve(host, port, key, fetcher=fetcher, quota=quota) as url:
            print(url, flush=True)  # noqa: T201  the command's output
            print(  # noqa: T201  a message for people
                f"The sandbox is running: POST {url}{TAGS_PATH} with the header "
                f"x-api-key: {key}. Open {url}/ to try an image. Press Ctrl-C to stop.",
                file=sys.stderr,
                flush=True,
            )
            signal.sigwait(ends)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Handler(WSGIRequestHandler):
    """
    Werkzeug's request handler, with keep-alive connections.

    Werkzeug closes each connection, because an application may leave a request half read. The
    sandbox reads the whole request or sends `Connection: close`.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    request_seconds = REQUEST_SECONDS

    def setup(self) -> None:
        super().setup()
        self._input = _TimedInput(self.connection, self.request_seconds)
        self.rfile = BufferedReader(self._input)

    def handle_one_request(self) -> None:
        self._input.begin()
        super().handle_one_request()

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
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def run_wsgi(self) -> None:
        response = Response.from_app(self.server.app, self.make_environ())
        cut = response.headers.pop(CUT_HEADER, None)
        if cut == "reset":
            self._reset()
        if cut is not None:
            self.close_connection = True
        if cut in ("closed", "reset"):
            return
        self.send_response(response.status_code)
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        body = response.get_data()
        self.wfile.write(body[: len(body) // 2] if cut == "half" else body)
        if response.headers.get("Connection") == "close":
            self._discard()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log no requests: GET /sandbox/calls lists them."""

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


class _TimedInput(RawIOBase):
    """
    Reads from a connection until the deadline of the current request.

    A socket timeout is no deadline: it starts again with every byte that arrives.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        super().__init__()
        self._connection = connection
        self._seconds = seconds
        self.begin()

    def begin(self) -> None:
        """Start the deadline of the next request."""
        self._until = time.monotonic() + self._seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"it took more than {self._seconds:g} s")
        self._connection.settimeout(min(left, IDLE_SECONDS))
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(IDLE_SECONDS)
