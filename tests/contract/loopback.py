"""An HTTP server on loopback whose replies, good or broken, a test chooses."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """A received request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    client_port: int
    """Identifies the connection."""


class Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: LoopbackServer
    answered_at: float | None = None
    """The end of its last answer, by `answer_unless_idle`."""

    def do_POST(self) -> None:
        """Read the whole request, then send the next reply."""
        length = int(self.headers.get("content-length", "0"))
        self.server.received.append(
            Received(
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
                client_port=self.client_address[1],
            )
        )
        self.server.next_reply()(self)

    def do_GET(self) -> None:
        """Like `do_POST`."""
        self.do_POST()

    def do_HEAD(self) -> None:
        """Like `do_POST`; the reply must have no body."""
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Log nothing."""


Reply = Callable[[Exchange], None]


class LoopbackServer(ThreadingHTTPServer):
    """Keeps what it received; sends its replies in sequence, then repeats the last one."""

    daemon_threads = False  # they end with the server, which closes their connections

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.received: list[Received] = []
        self.over = Event()
        """Set when the server is being closed: waiting replies stop."""
        self.hung_up = Event()
        """Set when the server has closed a connection."""
        self.resets = 0
        """Requests on connections that had been idle for too long."""
        self.trickled = 0
        """Bytes that were sent one by one."""
        self._replies: list[Reply] = []
        self._connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        """The server's URL without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"

    def replies(self, *replies: Reply) -> None:
        """Set the replies to the next requests."""
        self._replies = list(replies)

    def next_reply(self) -> Reply:
        """The reply to the current request."""
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Remember each connection, so that it can be closed."""
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the library's
        """Note that a connection is closed."""
        super().shutdown_request(request)
        self.hung_up.set()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Ignore clients that close the connection: some tests are about them."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """Close all connections at once."""
        for connection in self._connections:
            with suppress(OSError):  # the client has closed it already
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def loopback_server() -> Iterator[LoopbackServer]:
    """A running server."""
    with LoopbackServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.hang_up()
            server.shutdown()
            thread.join()


def unused_port() -> int:
    """A port on which no server listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


# ---- replies


def answer(status: int, body: bytes = b"", **headers: str) -> Reply:
    """A whole answer; `Retry_After="1"` is the header Retry-After."""

    def reply(exchange: Exchange) -> None:
        exchange.send_response(status)
        exchange.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            exchange.send_header(name.replace("_", "-"), value)
        exchange.end_headers()
        exchange.wfile.write(body)

    return reply


def answer_and_hang_up(status: int, body: bytes) -> Reply:
    """A whole answer, after which the connection is closed without notice."""

    def reply(exchange: Exchange) -> None:
        answer(status, body)(exchange)
        exchange.close_connection = True

    return reply


def answer_unless_idle(status: int, body: bytes = b"", *, seconds: float) -> Reply:
    """A whole answer; but a request on a connection that was idle for longer is reset."""

    def reply(exchange: Exchange) -> None:
        idle_since = exchange.answered_at
        if idle_since is not None and time.monotonic() - idle_since > seconds:
            exchange.server.resets += 1
            reset(exchange)
            return
        answer(status, body)(exchange)
        exchange.answered_at = time.monotonic()

    return reply


def part_of_an_answer(status: int, body: bytes, *, length: int) -> Reply:
    """*body*, where the header promises *length* bytes; then the connection is closed."""

    def reply(exchange: Exchange) -> None:
        exchange.send_response(status)
        exchange.send_header("Content-Length", str(length))
        exchange.end_headers()
        exchange.wfile.write(body)
        exchange.close_connection = True

    return reply


def part_of_an_answer_and_silence(status: int, body: bytes, *, length: int) -> Reply:
    """*body*, where the header promises *length* bytes; the connection stays open."""

    def reply(exchange: Exchange) -> None:
        part_of_an_answer(status, body, length=length)(exchange)
        exchange.server.over.wait()

    return reply


def trickle(status: int, body: bytes, *, seconds: float) -> Reply:
    """An answer whose bytes come one by one, *seconds* apart."""

    def reply(exchange: Exchange) -> None:
        exchange.send_response(status)
        exchange.send_header("Content-Length", str(len(body)))
        exchange.end_headers()
        for byte in body:
            exchange.server.trickled += 1
            exchange.wfile.write(bytes([byte]))
            if exchange.server.over.wait(seconds):
                return

    return reply


def raw_bytes(*pieces: bytes, seconds: float = 0.0) -> Reply:
    """*pieces* as they are, status line and all, each *seconds* after the one before."""

    def reply(exchange: Exchange) -> None:
        for piece in pieces:
            exchange.server.trickled += 1
            exchange.wfile.write(piece)
            if exchange.server.over.wait(seconds):
                break
        exchange.close_connection = True

    return reply


def silence(exchange: Exchange) -> None:
    """No answer until the server is closed."""
    exchange.server.over.wait()
    exchange.close_connection = True


def hang_up(exchange: Exchange) -> None:
    """The connection ends without an answer."""
    exchange.close_connection = True


def reset(exchange: Exchange) -> None:
    """The connection breaks."""
    # With a lingering time of 0 s a socket is not closed politely but reset.
    exchange.connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    exchange.connection.close()
    exchange.close_connection = True
