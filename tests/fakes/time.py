from __future__ import annotations

from collections.abc import Callable

from hangtag.ports import Clock, Deadline
from tests.builders import NOON_SECONDS


class FakeClock:
    """`Clock` that changes only when a test advances it."""

    def __init__(self, seconds: float = NOON_SECONDS) -> None:
        self._seconds = seconds
        self.when_sleeping: Callable[[float], object] = self.advance
        """Called when the code under test sleeps."""

    def now(self) -> float:
        return self._seconds

    def sleep(self, seconds: float) -> None:
        self.when_sleeping(seconds)

    def advance(self, seconds: float) -> None:
        """Advances the clock."""
        self._seconds += seconds


class FakeDeadline:
    """`Deadline` a number of *seconds* after an invocation begins, by a given clock."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began = clock.now()

    def begin(self) -> None:
        """Starts a new invocation."""
        self._began = self._clock.now()

    def seconds_left(self) -> float:
        return self._began + self.seconds - self._clock.now()


class FakeAwsDeadline:
    """`AwsDeadline` that records the deadline."""

    def __init__(self) -> None:
        self.deadline: Deadline | None = None

    def begin(self, deadline: Deadline) -> None:
        self.deadline = deadline
