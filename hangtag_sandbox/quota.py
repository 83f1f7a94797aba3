"""How many pictures may still be tagged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from pydantic import Field

from hangtag_sandbox.judge import Refused
from hangtag_sandbox.orders import Order


class QuotaOrder(Order):
    """How many pictures may still be tagged."""

    left: int | None = Field(ge=0, description="Successful answers; null: any number")


class Quota:
    """
    The successful answers that are left; None: as many as are asked for.

    Threads may share it.
    """

    def __init__(self, left: int | None = None) -> None:
        self._left = left
        self._lock = Lock()

    @property
    def left(self) -> int | None:
        """Successful answers."""
        with self._lock:
            return self._left

    def set(self, left: int | None) -> None:
        """Begin anew with so many."""
        with self._lock:
            self._left = left

    @contextmanager
    def one(self) -> Iterator[None]:
        """
        Take one; where no answer comes of it, it is given back.

        Raises:
            Refused: None is left (823).
        """
        with self._lock:
            if self._left == 0:
                raise Refused(823, "The usage quota is exceeded.")
            if self._left is not None:
                self._left -= 1
        try:
            yield
        except BaseException:
            with self._lock:
                if self._left is not None:
                    self._left += 1
            raise
