"""The sandbox as a server."""

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
from hangtag_sandbox.fetching import Fetcher, Reach, trusting
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
"""A connection on which nothing comes for so long is closed."""

DISCARD_SECONDS = 2.0
"""For so long a body that nobody wants is taken in, so that its sender comes to read why."""


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
    A sandbox that runs while the context lasts; gives its base URL, without a slash at the end.

    Port 0 is a free one; *fetcher* and *quota* are those of `create_app`; a request that does not
    come whole in *request_seconds* is given up.

    Raises:
        SystemExit: It cannot listen there; stderr says why.
    """
    app = create_app([key], fetcher=fetcher, quota=quota)
    palette()  # read now, so that the first answer is as quick as the others
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
        port: The port; 0: a free one.
        key: The API key it admits.
        fetch: How far it reaches for images that are given by their URL.
        ca_file: Certificates that it believes then, beside those of this machine.
        quota: So many pictures are tagged before the answer is 823; None: any number.

    Raises:
        OSError: *ca_file* cannot be read, or holds no certificates.
    """
    fetcher = Fetcher(fetch, trusting(ca_file))
    # Pillow's doubts about large images are no news to whoever has limits of their own.
    warnings.simplefilter("ignore", DecompressionBombWarning)
    # Nor are its remarks on a broken image, thousands for some: the answer tells.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    ends = {signal.SIGINT, signal.SIGTERM}
    # Before the server's threads are made: they inherit it, and leave the signals to this one.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        with serve(host, port, key, fetcher=fetcher, quota=quota) as url:
            print(url, flush=True)  # noqa: T201  the data
            print(  # noqa: T201  the talk
                f"A sandbox of the Tagger API listens: POST {url}{TAGS_PATH} with the header "
                f"x-api-key: {key}. Open {url}/ to try a picture. Ctrl-C ends it.",
                file=sys.stderr,
                flush=True,
            )
            signal.sigwait(ends)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Handler(WSGIRequestHandler):
    """
    Werkzeug's handler, with connections that are kept alive.

    Werkzeug closes each connection, because it does not know whether an application has read the
    whole request. Ours has, or it says `Connection: close`.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    request_seconds = REQUEST_SECONDS

    def setup(self) -> None:
        super().setup()
        self._patience = _Patience(self.connection, self.request_seconds)
        self.rfile = BufferedReader(self._patience)

    def handle_one_request(self) -> None:
        self._patience.begin()
        super().handle_one_request()

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,  # noqa: ARG002  the signature of http.server
    ) -> None:
        """Answer what is no HTTP in the words of the API."""
        trouble = message or HTTPStatus(code).phrase
        body = to_json(refusal(623, f"The request is not understood: {trouble}."))
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
        """Nothing: GET /sandbox/calls tells, and thousands of lines tell less."""

    def _reset(self) -> None:
        """End the connection without a farewell, as a crash does."""
        at_once = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        os.close(self.connection.detach())

    def _discard(self) -> None:
        until = time.monotonic() + DISCARD_SECONDS
        with suppress(OSError):  # whoever has gone wants no explanation
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(DISCARD_SECONDS)
            while time.monotonic() < until and self.connection.recv(1024 * 1024):
                pass


class _Patience(RawIOBase):
    """
    What comes over a connection, as long as a request comes in its time.

    A timeout of the socket alone would begin anew with every byte that drips in.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        super().__init__()
        self._connection = connection
        self._seconds = seconds
        self.begin()

    def begin(self) -> None:
        """The next request's time begins."""
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
