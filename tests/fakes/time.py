from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from threading import Condition, Event, Thread

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


class VirtualTime:
    """`Clock` of many threads: one runs at a time, and time passes when all of them sleep."""

    def __init__(self) -> None:
        self._now = 0.0
        self._changed = Condition()
        self._running = 0
        self._numbers = count()
        self._sleeping: list[tuple[float, int, Event]] = []

    def now(self) -> float:
        """Seconds since the test began."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Lets the other threads run meanwhile."""
        woken = Event()
        with self._changed:
            wake_at = self._now + max(0.0, seconds)
            heappush(self._sleeping, (wake_at, next(self._numbers), woken))
            self._running -= 1
            self._changed.notify()
        woken.wait()

    def start(self, run: Callable[[], None], *, at: float) -> None:
        """Runs something in a thread of its own, from that moment on."""

        def begin() -> None:
            self.sleep(at - self._now)
            try:
                run()
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify()

        with self._changed:
            self._running += 1
        Thread(target=begin, daemon=True).start()

    def run(self) -> None:
        """Lets time pass until all threads have ended."""
        while True:
            with self._changed:
                assert self._changed.wait_for(lambda: self._running == 0, timeout=60)
                if not self._sleeping:
                    return
                self._now, _, woken = heappop(self._sleeping)
                self._running += 1
            woken.set()
