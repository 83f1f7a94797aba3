from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from hangtag.ports import BreakerState
from hangtag.rate_limit import Slot
from tests.fakes.failing import CanFail


class FakeBreakerStore(CanFail):
    """`BreakerStore` in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._state = BreakerState()
        self._lock = Lock()
        self.before_opening: Callable[[], object] = lambda: None
        """Called once, before the breaker opens."""

    @property
    def state(self) -> BreakerState:
        """The state, even while `read` fails."""
        return self._state

    def read(self) -> BreakerState:
        self._may_fail("read")
        return self._state

    def count_failure(self, code: str, message: str) -> BreakerState:
        self._may_fail("count_failure")
        with self._lock:
            self._state = replace(
                self._state,
                failures=self._state.failures + 1,
                code=code,
                message=message,
            )
            return self._state

    def open(self, *, at: str, failures: int) -> bool:
        self._may_fail("open")
        before, self.before_opening = self.before_opening, lambda: None
        before()
        with self._lock:
            if self._state.is_open or self._state.failures < failures:
                return False
            self._state = replace(self._state, opened_at=at)
            return True

    def close(self) -> bool:
        self._may_fail("close")
        with self._lock:
            if self._state.is_open:
                return False
            self._state = BreakerState(paused_at=self._state.paused_at)
            return True

    def let_through(self) -> None:
        self._may_fail("let_through")
        with self._lock:
            self._state = replace(self._state, opened_at=None)

    def pause(self, *, at: str) -> None:
        self._may_fail("pause")
        with self._lock:
            self._state = replace(self._state, paused_at=self._state.paused_at or at)

    def reset(self) -> None:
        self._may_fail("reset")
        with self._lock:
            self._state = BreakerState()


class FakeSlots(CanFail):
    """`SlotStore` in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0
        self._lock = Lock()
        self.reserved: list[float] = []
        """The reserved slots."""

    def reserve(self, *, step: float, earliest: float, latest: float) -> Slot:
        self._may_fail("reserve")
        with self._lock:
            at = max(earliest, self._next)
            if at > earliest + step + 1_000:
                at = earliest  # the slot of a wrong clock
            if at > latest:
                return Slot(at, is_reserved=False)
            self._next = at + step
            self.reserved.append(at)
            return Slot(at, is_reserved=True)


class FakeRunLease(CanFail):
    """`RunLease` in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._holder = ""
        self._until = 0.0

    def take(self, holder: str, *, now: float, until: float) -> float | None:
        self._may_fail("take")
        is_held = now < self._until <= now + 900
        if is_held and self._holder != holder:
            return self._until
        self._holder, self._until = holder, until
        return None

    def release(self, holder: str, *, at: float) -> None:
        self._may_fail("release")
        if self._holder == holder:
            self._until = at


class FakeMapping(CanFail):
    """`EventSourceMapping` with an in-memory switch."""

    def __init__(self) -> None:
        super().__init__()
        self.on = True

    def is_enabled(self) -> bool:
        self._may_fail("is_enabled")
        return self.on

    def switch(self, *, on: bool) -> None:
        self._may_fail("switch")
        self.on = on
