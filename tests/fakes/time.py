from __future__ import annotations

from tests.builders import NOON_SECONDS


class FakeClock:
    """`Clock` that stands still until it is told to go on."""

    def __init__(self, seconds: float = NOON_SECONDS) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return self._seconds

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += seconds


class FakeDeadline:
    """`Deadline` with as much time left as it is told."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def seconds_left(self) -> float:
        return self.seconds
