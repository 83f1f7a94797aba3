"""An HTTP server on loopback that answers as it is told: well, badly or not at all."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    client_port: int
    """The same for all requests of one connection."""


class Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: LoopbackServer

    def do_POST(self) -> None:
        """Take the whole request, then reply as told."""
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
        """Say nothing."""


Reply = Callable[[Exchange], None]


class LoopbackServer(ThreadingHTTPServer):
    """Keeps what it received; gives its replies in turn, the last one for ever."""

    daemon_threads = False  # they end when the server is closed: it hangs up

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.received: list[Received] = []
        self.over = Event()
        """Set when the server is being closed: who waits, stops."""
        self.hung_up = Event()
        """Set when the server has closed a connection."""
        self.trickled = 0
        """Bytes that were told one by one."""
        self._replies: list[Reply] = []
        self._connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"

    def replies(self, *replies: Reply) -> None:
        """What to say to the next requests."""
        self._replies = list(replies)

    def next_reply(self) -> Reply:
        """The reply whose turn it is."""
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Remember each connection, so that it can be ended."""
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the library's
        """Tell that a connection is closed."""
        super().shutdown_request(request)
        self.hung_up.set()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A client that hangs up is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """End all connections and wait for nobody."""
        for connection in self._connections:
            with suppress(OSError):  # ended already
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
    """A port on which nobody listens."""
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
    """A whole answer that says nothing of the connection's end, and then ends it."""

    def reply(exchange: Exchange) -> None:
        answer(status, body)(exchange)
        exchange.close_connection = True

    return reply


def part_of_an_answer(status: int, body: bytes, *, length: int) -> Reply:
    """*body*, where *length* bytes were promised; then the connection ends."""

    def reply(exchange: Exchange) -> None:
        exchange.send_response(status)
        exchange.send_header("Content-Length", str(length))
        exchange.end_headers()
        exchange.wfile.write(body)
        exchange.close_connection = True

    return reply


def part_of_an_answer_and_silence(status: int, body: bytes, *, length: int) -> Reply:
    """*body*, where *length* bytes were promised; the connection stays."""

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


def trickled_head(*, seconds: float) -> Reply:
    """An answer whose headers do not end; their bytes come one by one, *seconds* apart."""

    def reply(exchange: Exchange) -> None:
        exchange.wfile.write(b"HTTP/1.1 201 Created\r\nX-Endless: ")
        while not exchange.server.over.wait(seconds):
            exchange.server.trickled += 1
            exchange.wfile.write(b"x")

    return reply


def silence(exchange: Exchange) -> None:
    """No answer, as long as somebody waits for it."""
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
