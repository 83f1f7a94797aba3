"""The sandbox's quota: how many images it still tags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from pydantic import Field

from hangtag_sandbox.control import ControlDocument
from hangtag_sandbox.validation import Refused


class QuotaDocument(ControlDocument):
    """How many images the sandbox still tags."""

    left: int | None = Field(ge=0, description="Successful answers; null: no limit")


class Quota:
    """Counts the successful answers that are left; None: no limit. Thread-safe."""

    def __init__(self, left: int | None = None) -> None:
        self._left = left
        self._lock = Lock()

    @property
    def left(self) -> int | None:
        """How many successful answers are left; None: no limit."""
        with self._lock:
            return self._left

    def set(self, left: int | None) -> None:
        """Set how many successful answers are left; None: no limit."""
        with self._lock:
            self._left = left

    @contextmanager
    def one(self) -> Iterator[None]:
        """
        Use one answer of the quota; an error inside the context returns it.

        Raises:
            Refused: The quota is used up (823).
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
