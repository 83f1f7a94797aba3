"""The sandbox as a server."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_WR
from threading import Thread

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from hangtag_sandbox.app import TAGS_PATH, create_app

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
DEFAULT_KEY = "sandbox-key"

IDLE_SECONDS = 60
"""A connection on which nothing comes for so long is closed."""

DISCARD_SECONDS = 2.0
"""For so long a body that nobody wants is taken in, so that its sender comes to read why."""


@contextmanager
def serve(
    host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, key: str = DEFAULT_KEY
) -> Iterator[str]:
    """
    A sandbox that runs while the context lasts; gives its base URL, without a slash at the end.

    Port 0 is a free one.

    Raises:
        SystemExit: It cannot listen there; stderr says why.
    """
    server = make_server(
        host, port, create_app([key]), threaded=True, request_handler=_Handler
    )
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
    finally:
        server.shutdown()
        thread.join()


def main(
    host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, key: str = DEFAULT_KEY
) -> None:
    """Run a sandbox until SIGINT or SIGTERM; prints its base URL once it listens."""
    ends = {signal.SIGINT, signal.SIGTERM}
    # Before the server's threads are made: they inherit it, and leave the signals to this one.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        with serve(host, port, key) as url:
            print(url, flush=True)  # noqa: T201  the data
            print(  # noqa: T201  the talk
                f"A sandbox of the Tagger API listens: POST {url}{TAGS_PATH} with the header "
                f"x-api-key: {key}. Ctrl-C ends it.",
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

    def run_wsgi(self) -> None:
        response = Response.from_app(self.server.app, self.make_environ())
        self.send_response(response.status_code)
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.get_data())
        if response.headers.get("Connection") == "close":
            self._discard()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: GET /sandbox/calls tells, and thousands of lines tell less."""

    def _discard(self) -> None:
        until = time.monotonic() + DISCARD_SECONDS
        with suppress(OSError):  # whoever has gone wants no explanation
            self.connection.shutdown(SHUT_WR)
            self.connection.settimeout(DISCARD_SECONDS)
            while time.monotonic() < until and self.connection.recv(1024 * 1024):
                pass
