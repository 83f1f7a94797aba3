"""Pause and resume: `Switch`, and the state that it shows."""

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
    """A switch with a fake behind every port."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeBreakerStore()
        self.mapping = FakeMapping()
        self.switch = Switch(self.store, self.mapping, self.clock)

    def open_breaker(self) -> None:
        """As the function does."""
        for _ in range(FAILURES_TO_OPEN):
            self.store.count_failure("823", "quota")
        self.store.open(at=NOON, failures=1)
        self.mapping.on = False


@pytest.fixture
def stack() -> Stack:
    """Tagging runs, and nothing was ever wrong."""
    return Stack()


def test_a_pause_is_noted_and_the_mapping_disabled(stack: Stack) -> None:
    """The note keeps the schedule from enabling it; the state before is returned."""
    before = stack.switch.pause()

    assert before == CLOSED
    assert stack.store.read() == PAUSED
    assert not stack.mapping.on


def test_to_resume_ends_a_pause_and_closes_the_breaker(stack: Stack) -> None:
    """At once: it is not half-open first."""
    stack.open_breaker()
    stack.switch.pause()

    before = stack.switch.resume()

    assert before == BOTH
    assert stack.store.read() == CLOSED
    assert stack.mapping.on


@pytest.mark.parametrize("on", [True, False])
def test_a_switch_waits_until_the_change_before_has_ended(
    stack: Stack, *, on: bool
) -> None:
    """Lambda takes up to a minute for each, and refuses a second one meanwhile."""
    stack.mapping.on = not on
    stack.mapping.fails_with(BUSY, times=3)

    _ = stack.switch.resume() if on else stack.switch.pause()

    assert stack.mapping.on is on
    assert stack.clock.now() == NOON_SECONDS + 15


def test_a_switch_does_not_wait_for_ever(stack: Stack) -> None:
    """The operator does it again."""
    stack.mapping.fails_with(BUSY)

    with pytest.raises(MappingUnavailable):
        stack.switch.resume()

    assert stack.clock.now() <= NOON_SECONDS + LONGEST_SWITCHING_SECONDS


def test_a_refusal_is_raised_at_once(stack: Stack) -> None:
    """Waiting does not give permission; the note stays, and a second call goes on."""
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
def test_tagging_is_paused_by_an_operator_or_by_hand(
    breaker: BreakerState, *, is_enabled: bool, is_paused: bool
) -> None:
    """Not by the breaker, which disables the same mapping."""
    assert TaggingState(breaker, is_enabled).is_paused is is_paused


def test_the_state_of_tagging_is_that_of_breaker_and_mapping(stack: Stack) -> None:
    """Both are read."""
    stack.open_breaker()

    assert stack.switch.tagging() == TaggingState(OPEN, is_enabled=False)
    assert stack.switch.breaker() == OPEN
