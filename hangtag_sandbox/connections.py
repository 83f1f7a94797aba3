"""
Bounds the server's connections, in number and in the memory of their requests.

Clients that hold connections open without finishing a request (slowloris) must not keep others out.
Over a bound, the server therefore closes the connection whose request began first, of those that
wait for their client.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock

from hangtag_sandbox.limits import MOST_CONNECTIONS, MOST_RECEIVED_BYTES


@dataclass(slots=True, eq=False)
class Connection:
    """An open connection."""

    socket: socket.socket
    began: float
    """When its current request began, or the wait for it: monotonic seconds."""
    waits: bool = True
    """Whether the server waits for the client, to receive or to send."""
    received: int = 0
    """Bytes of its current request."""


class Connections:
    """The open connections. Thread-safe."""

    def __init__(
        self,
        most: int = MOST_CONNECTIONS,
        most_bytes: int = MOST_RECEIVED_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._open: dict[socket.socket, Connection] = {}
        self._lock = Lock()

    def admit(self, plain: socket.socket) -> bool:
        """Add a connection; False if there are too many and none of them waits for its client."""
        with self._lock:
            if len(self._open) >= self._most and not self._close_oldest():
                return False
            self._open[plain] = Connection(plain, self._clock())
            return True

    def forget(self, plain: socket.socket) -> None:
        """Remove a connection that has ended."""
        with self._lock:
            self._open.pop(plain, None)

    def of(self, plain: socket.socket) -> Connection:
        """Return an admitted connection; a new one if it has been closed meanwhile."""
        with self._lock:
            return self._open.get(plain) or Connection(plain, self._clock())

    def busy(self) -> int:
        """Count the connections whose requests are being worked on."""
        with self._lock:
            return sum(not each.waits for each in self._open.values())

    def begin(self, connection: Connection) -> None:
        """Note that the connection is ready for its next request."""
        with self._lock:
            connection.began, connection.received = self._clock(), 0

    @contextmanager
    def waiting(self, connection: Connection) -> Iterator[None]:
        """Note that the server waits for the client while the context lasts."""
        connection.waits = True
        try:
            yield
        finally:
            connection.waits = False

    def receive(self, connection: Connection, count: int) -> None:
        """
        Count received bytes.

        Raises:
            ConnectionAbortedError: All requests together are too large, and no other connection
                can be closed.
        """
        with self._lock:
            connection.received += count
            while self._received() > self._most_bytes:
                if not self._close_oldest():
                    raise ConnectionAbortedError("too many bytes of requests at once")

    def _received(self) -> int:
        return sum(each.received for each in self._open.values())

    def _close_oldest(self) -> bool:
        waiting = [each for each in self._open.values() if each.waits]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda each: each.began)
        del self._open[oldest.socket]
        with suppress(OSError):  # the client has disconnected
            oldest.socket.shutdown(socket.SHUT_RDWR)  # its thread stops waiting
        return True
