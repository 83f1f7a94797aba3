from __future__ import annotations

from collections.abc import Callable

from hangtag.ports import Clock, Deadline
from tests.builders import NOON_SECONDS


class FakeClock:
    """`Clock` that stands still until it is told to go on."""

    def __init__(self, seconds: float = NOON_SECONDS) -> None:
        self._seconds = seconds
        self.when_sleeping: Callable[[float], object] = self.advance
        """What happens while somebody sleeps."""

    def now(self) -> float:
        return self._seconds

    def sleep(self, seconds: float) -> None:
        self.when_sleeping(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += seconds


class FakeDeadline:
    """`Deadline` so many *seconds* after an invocation begins; the clock runs against it."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began = clock.now()

    def begin(self) -> None:
        """A new invocation."""
        self._began = self._clock.now()

    def seconds_left(self) -> float:
        return self._began + self.seconds - self._clock.now()


class FakeAwsDeadline:
    """`AwsDeadline` that remembers the deadline."""

    def __init__(self) -> None:
        self.deadline: Deadline | None = None

    def begin(self, deadline: Deadline) -> None:
        self.deadline = deadline
