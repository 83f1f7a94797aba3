"""What operators do with tagging as a whole: `Switch`, and how things stand."""

from __future__ import annotations

import pytest

from hangtag.breaker import ROW, fault_of
from hangtag.errors import MappingUnavailable
from hangtag.operators.switch import LONGEST_SWITCHING_SECONDS, Standing, Switch
from hangtag.ports import BreakerState
from tests.builders import NOON, NOON_SECONDS
from tests.fakes import FakeBreakerStore, FakeClock, FakeIntake

BUSY = MappingUnavailable("another change is under way", retry_after_seconds=5.0)

CLOSED = BreakerState()
OPEN = BreakerState(ROW, "823", "quota", opened_at=NOON)
TRIED = BreakerState(ROW, "823", "quota")
BEGUN = BreakerState(ROW - 1, "823", "quota")
PAUSED = BreakerState(paused_at=NOON)
BOTH = BreakerState(ROW, "823", "quota", opened_at=NOON, paused_at=NOON)


class Stack:
    """A switch with a fake behind every port."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeBreakerStore()
        self.intake = FakeIntake()
        self.switch = Switch(self.store, self.intake, self.clock)

    def open_breaker(self) -> None:
        """As the function does."""
        for _ in range(ROW):
            self.store.count_failure("823", "quota")
        self.store.open(at=NOON, row=1)
        self.intake.on = False


@pytest.fixture
def stack() -> Stack:
    """Tagging runs, and nothing was ever wrong."""
    return Stack()


def test_a_pause_is_noted_and_the_intake_switched_off(stack: Stack) -> None:
    """The note tells it from a breaker; it is told how things stood before."""
    before = stack.switch.pause()

    assert before == CLOSED
    assert stack.store.read() == PAUSED
    assert not stack.intake.on


def test_to_resume_ends_a_pause_and_closes_the_breaker(stack: Stack) -> None:
    """At once, without a trial."""
    stack.open_breaker()
    stack.switch.pause()

    before = stack.switch.resume()

    assert before == BOTH
    assert stack.store.read() == CLOSED
    assert stack.intake.on


@pytest.mark.parametrize("on", [True, False])
def test_a_switch_waits_until_the_change_before_has_ended(
    stack: Stack, *, on: bool
) -> None:
    """Lambda takes up to a minute for each, and refuses a second one meanwhile."""
    stack.intake.on = not on
    stack.intake.fails_with(BUSY, times=3)

    _ = stack.switch.resume() if on else stack.switch.pause()

    assert stack.intake.on is on
    assert stack.clock.now() == NOON_SECONDS + 15


def test_a_switch_does_not_wait_for_ever(stack: Stack) -> None:
    """The operator is told to do it again."""
    stack.intake.fails_with(BUSY)

    with pytest.raises(MappingUnavailable):
        stack.switch.resume()

    assert stack.clock.now() <= NOON_SECONDS + LONGEST_SWITCHING_SECONDS


def test_a_refusal_is_told_at_once(stack: Stack) -> None:
    """Waiting does not give permission; what is noted stays, and a second call goes on."""
    stack.intake.fails_with(MappingUnavailable("denied"), times=1)

    with pytest.raises(MappingUnavailable):
        stack.switch.pause()
    noted = stack.store.read()
    stack.switch.pause()

    assert noted == PAUSED
    assert stack.clock.now() == NOON_SECONDS
    assert not stack.intake.on


@pytest.mark.parametrize(
    ("state", "is_running", "paused"),
    [
        (CLOSED, True, False),
        (CLOSED, False, True),
        (BEGUN, False, True),
        (PAUSED, True, True),
        (PAUSED, False, True),
        (OPEN, True, False),
        (OPEN, False, False),
        (TRIED, True, False),
        (TRIED, False, False),
        (BOTH, False, True),
    ],
)
def test_a_pause_is_what_somebody_wanted(
    state: BreakerState, *, is_running: bool, paused: bool
) -> None:
    """Also a mapping that was switched off by hand; but not one that the breaker switched off."""
    assert Standing(state, is_running).is_paused is paused


@pytest.mark.parametrize(
    ("state", "code"),
    [(CLOSED, None), (BEGUN, None), (OPEN, "823"), (TRIED, "823"), (BOTH, "823")],
)
def test_a_fault_is_known_until_a_success(state: BreakerState, code: str) -> None:
    """A trial has not ended it yet; a few failures do not make one."""
    assert fault_of(state) == code


def test_how_things_stand_is_what_both_say(stack: Stack) -> None:
    """The note and the mapping."""
    stack.open_breaker()

    assert stack.switch.standing() == Standing(OPEN, is_running=False)
