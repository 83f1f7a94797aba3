from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from hangtag.ports import BreakerState, Clock, NoTurn, Turns
from tests.fakes.failing import CanFail


class FakeBreakerStore(CanFail):
    """`BreakerStore` in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._state = BreakerState()
        self._lock = Lock()
        self.before_opening: Callable[[], object] = lambda: None
        """Called once, when somebody is about to open it."""

    @property
    def state(self) -> BreakerState:
        """How it stands, also where reading fails."""
        return self._state

    def read(self) -> BreakerState:
        self._may_fail("read")
        return self._state

    def count_failure(self, code: str, message: str) -> BreakerState:
        self._may_fail("count_failure")
        with self._lock:
            row = self._state.row + 1
            self._state = replace(self._state, row=row, code=code, message=message)
            return self._state

    def open(self, *, at: str, row: int) -> bool:
        self._may_fail("open")
        before, self.before_opening = self.before_opening, lambda: None
        before()
        with self._lock:
            if self._state.is_open or self._state.row < row:
                return False
            self._state = replace(self._state, opened_at=at)
            return True

    def end_row(self) -> bool:
        self._may_fail("end_row")
        with self._lock:
            if self._state.is_open:
                return False
            self._state = replace(
                self._state, row=0, code=None, message=None, call_due=None
            )
            return True

    def take_call(self, *, now: float, until: float, row: int) -> bool:
        self._may_fail("take_call")
        with self._lock:
            due = self._state.call_due
            if self._state.row < row or (due is not None and due > now):
                return False
            self._state = replace(self._state, call_due=until)
            return True

    def put_off_call(self, *, taken: float, until: float) -> None:
        self._may_fail("put_off_call")
        with self._lock:
            if self._state.call_due == taken:
                self._state = replace(self._state, call_due=until)

    def note_switch_off(self, *, at: str) -> None:
        self._may_fail("note_switch_off")
        with self._lock:
            self._state = replace(self._state, switched_off_at=at)

    def forget_switch_off(self, *, at: str) -> None:
        self._may_fail("forget_switch_off")
        with self._lock:
            if self._state.switched_off_at == at:
                self._state = replace(self._state, switched_off_at=None)

    def try_again(self) -> None:
        self._may_fail("try_again")
        with self._lock:
            self._state = replace(self._state, opened_at=None)

    def pause(self, *, at: str) -> None:
        self._may_fail("pause")
        with self._lock:
            self._state = replace(self._state, paused_at=self._state.paused_at or at)

    def reset(self) -> None:
        self._may_fail("reset")
        with self._lock:
            self._state = BreakerState(switched_off_at=self._state.switched_off_at)


class FakeTurnBook(CanFail):
    """`TurnBook` in memory."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._next: dict[str, float] = {}
        self._lock = Lock()
        self.reservations: list[tuple[str, int]] = []
        """Lines, and how many turns were asked for."""

    def reserve(
        self, line: str, count: int, *, every: float, earliest: float, latest: float
    ) -> Turns | NoTurn:
        self._may_fail("reserve")
        with self._lock:
            self.reservations.append((line, count))
            first = max(earliest, self._next.get(line, 0.0))
            if first > self._clock.now() + 3_600:
                first = earliest
            fitting = min(count, int((latest - first + 1e-6) // every) + 1)
            if first > latest or fitting < 1:
                return NoTurn(first)
            self._next[line] = first + fitting * every
            return Turns(first, fitting)


class FakeIntake(CanFail):
    """`Intake` that is a switch."""

    def __init__(self) -> None:
        super().__init__()
        self.on = True
        self.before_switching: Callable[[], object] = lambda: None
        """Called once, when somebody is about to switch."""

    def is_running(self) -> bool:
        self._may_fail("is_running")
        return self.on

    def switch(self, *, on: bool) -> None:
        self._may_fail("switch")
        before, self.before_switching = self.before_switching, lambda: None
        before()
        self.on = on


class FakeAlarm(CanFail):
    """`Alarm` that keeps what it said."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        """Subjects and texts."""

    def call(self, subject: str, text: str) -> None:
        self._may_fail("call")
        self.calls.append((subject, text))
