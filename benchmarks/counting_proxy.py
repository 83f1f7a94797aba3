"""A TCP proxy on this machine that counts the bytes its clients send."""

from __future__ import annotations

import socket
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Self

_PIECE_BYTES = 64 * 1024


class CountingProxy:
    """Forwards connections to *port* of 127.0.0.1, which may begin to listen later."""

    def __init__(self, port: int) -> None:
        proxy = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", port)) as upstream:
                    back = Thread(target=_copy, args=(upstream, self.request))
                    back.start()
                    _copy(self.request, upstream, proxy)
                    back.join()

        self.bytes_sent = 0
        self._lock = Lock()
        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False  # the function keeps its connections open
        self._thread = Thread(target=self._server.serve_forever)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_address[1]

    def count(self, size: int) -> None:
        """Add *size* bytes to `bytes_sent`."""
        with self._lock:
            self.bytes_sent += size

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _copy(
    source: socket.socket, target: socket.socket, counter: CountingProxy | None = None
) -> None:
    """Copy until the source ends, then end the target; count what is copied."""
    with suppress(OSError):  # one of the two has disconnected
        while piece := source.recv(_PIECE_BYTES):
            if counter is not None:
                counter.count(len(piece))
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
