"""`Switch`: pause, resume, and the state of tagging."""

from __future__ import annotations

import pytest

from hangtag.breaker import FAILURES_TO_OPEN
from hangtag.errors import MappingUnavailable
from hangtag.operators.switch import LONGEST_SWITCHING_SECONDS, Switch, TaggingState
from hangtag.ports import BreakerState
from tests.builders import NOON, NOON_SECONDS
from tests.fakes import FakeBreakerStore, FakeClock, FakeMapping

BUSY = MappingUnavailable("another change is under way", retry_after_seconds=5.0)

CLOSED = BreakerState()
OPEN = BreakerState(FAILURES_TO_OPEN, "823", "quota", opened_at=NOON)
HALF_OPEN = BreakerState(FAILURES_TO_OPEN, "823", "quota")
FAILING = BreakerState(FAILURES_TO_OPEN - 1, "823", "quota")
PAUSED = BreakerState(paused_at=NOON)
BOTH = BreakerState(FAILURES_TO_OPEN, "823", "quota", opened_at=NOON, paused_at=NOON)


class Stack:
    """A switch with a fake behind each port."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeBreakerStore()
        self.mapping = FakeMapping()
        self.switch = Switch(self.store, self.mapping, self.clock)

    def open_breaker(self) -> None:
        """Opens the breaker as the function does."""
        for _ in range(FAILURES_TO_OPEN):
            self.store.count_failure("823", "quota")
        self.store.open(at=NOON, failures=1)
        self.mapping.on = False


@pytest.fixture
def stack() -> Stack:
    """Tagging is enabled, and no failure was counted."""
    return Stack()


def test_a_pause_is_recorded_and_disables_the_mapping(stack: Stack) -> None:
    """The record keeps the schedule from enabling it; the previous state is returned."""
    before = stack.switch.pause()

    assert before == CLOSED
    assert stack.store.read() == PAUSED
    assert not stack.mapping.on


def test_resume_ends_a_pause_and_closes_the_breaker(stack: Stack) -> None:
    """The breaker closes at once, without being half-open."""
    stack.open_breaker()
    stack.switch.pause()

    before = stack.switch.resume()

    assert before == BOTH
    assert stack.store.read() == CLOSED
    assert stack.mapping.on


@pytest.mark.parametrize("on", [True, False])
def test_a_switch_waits_for_a_change_in_progress(stack: Stack, *, on: bool) -> None:
    """Lambda takes up to a minute for a change, and refuses a second one meanwhile."""
    stack.mapping.on = not on
    stack.mapping.fails_with(BUSY, times=3)

    _ = stack.switch.resume() if on else stack.switch.pause()

    assert stack.mapping.on is on
    assert stack.clock.now() == NOON_SECONDS + 15


def test_a_switch_stops_waiting_after_a_time(stack: Stack) -> None:
    """The operator repeats the command."""
    stack.mapping.fails_with(BUSY)

    with pytest.raises(MappingUnavailable):
        stack.switch.resume()

    assert stack.clock.now() <= NOON_SECONDS + LONGEST_SWITCHING_SECONDS


def test_a_denied_request_is_raised_at_once(stack: Stack) -> None:
    """Waiting gives no permission. The pause stays recorded, and a second call continues."""
    stack.mapping.fails_with(MappingUnavailable("denied"), times=1)

    with pytest.raises(MappingUnavailable):
        stack.switch.pause()
    noted = stack.store.read()
    stack.switch.pause()

    assert noted == PAUSED
    assert stack.clock.now() == NOON_SECONDS
    assert not stack.mapping.on


@pytest.mark.parametrize(
    ("breaker", "is_enabled", "is_paused"),
    [
        (CLOSED, True, False),
        (CLOSED, False, True),
        (FAILING, False, True),
        (PAUSED, True, True),
        (PAUSED, False, True),
        (OPEN, True, False),
        (OPEN, False, False),
        (HALF_OPEN, True, False),
        (HALF_OPEN, False, False),
        (BOTH, False, True),
    ],
)
def test_a_pause_comes_from_an_operator_or_a_manual_change(
    breaker: BreakerState, *, is_enabled: bool, is_paused: bool
) -> None:
    """An open breaker disables the same mapping, but is no pause."""
    assert TaggingState(breaker, is_enabled).is_paused is is_paused


def test_the_state_of_tagging_includes_breaker_and_mapping(stack: Stack) -> None:
    """Both are read."""
    stack.open_breaker()

    assert stack.switch.tagging() == TaggingState(OPEN, is_enabled=False)
    assert stack.switch.breaker() == OPEN
