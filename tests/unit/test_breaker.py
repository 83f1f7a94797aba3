"""The breaker: a systemic fault dead-letters few uploads, and the others wait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from hangtag.breaker import FAILURES_TO_OPEN, Breaker, Watch, fault_of
from hangtag.errors import MappingUnavailable, ResultsUnavailable
from hangtag.operators.switch import Switch
from hangtag.ports import BreakerState
from hangtag.tagger_api.errors import KeyRefused, QuotaExceeded
from hangtag.telemetry import BreakerSeen, Trouble
from tests.builders import NOON
from tests.fakes import (
    FakeBreakerStore,
    FakeClock,
    FakeMapping,
    FakeTelemetry,
    Killed,
    Killer,
)

AWAY = ResultsUnavailable("away")


class Stack:
    """A breaker with a fake behind every port, and an operator's switch."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeBreakerStore()
        self.mapping = FakeMapping()
        self.telemetry = FakeTelemetry()
        self.killer = Killer("", 0, after=False, hard=True)
        self.breaker = Breaker(
            self.killer.watching(self.store),
            self.killer.watching(self.mapping),
            self.telemetry,
            self.clock,
        )
        self.operator = Switch(self.store, self.mapping, self.clock)

    def batch(self) -> Watch:
        """A batch that arrives now, and reads the state first."""
        return self.breaker.watch(self.store.state)

    def fails(self, times: int = FAILURES_TO_OPEN) -> list[bool]:
        """That many systemic failures in one batch; which of them are dead-lettered."""
        batch = self.batch()
        return [batch.failed(QuotaExceeded("No more.")) for _ in range(times)]

    def events(self) -> list[str]:
        """What became of the breaker, and how it was found."""
        return [event.event for event in self.telemetry.of(BreakerSeen)]

    def troubles(self) -> list[str]:
        """The codes of what went wrong beside the uploads."""
        return [event.error.code for event in self.telemetry.of(Trouble)]


@pytest.fixture
def stack() -> Stack:
    """Tagging runs, and nothing was ever wrong."""
    return Stack()


# ---- it opens


@pytest.mark.parametrize("batches", [1, 8], ids=["one batch", "one by one"])
def test_the_first_five_consecutive_failures_are_dead_lettered(
    stack: Stack, batches: int
) -> None:
    """The others are not, in whichever batches they come."""
    letters = [one for _ in range(batches) for one in stack.fails(8 // batches)]

    assert letters == [True] * FAILURES_TO_OPEN + [False] * 3


def test_the_fifth_opens_the_breaker_and_disables_the_mapping(stack: Stack) -> None:
    """The state says why and since when, and what is in hand goes back."""
    batch = stack.batch()
    stopped = []
    for _ in range(FAILURES_TO_OPEN):
        stopped.append(batch.is_stopped)
        batch.failed(QuotaExceeded("No more."))

    assert stopped == [False] * FAILURES_TO_OPEN
    assert batch.is_stopped
    assert not stack.mapping.on
    assert stack.store.state == BreakerState(
        FAILURES_TO_OPEN, "823", "No more.", opened_at=NOON
    )
    assert stack.telemetry.events == [
        BreakerSeen("opened", FAILURES_TO_OPEN, "823", "No more.")
    ]


def test_instances_that_fail_at_the_same_moment_dead_letter_five_between_them(
    stack: Stack,
) -> None:
    """They count in one place."""
    batches = [stack.batch() for _ in range(3)]

    with ThreadPoolExecutor(6) as pool:
        letters = list(
            pool.map(lambda n: batches[n % 3].failed(KeyRefused("no")), range(30))
        )

    assert sum(letters) == FAILURES_TO_OPEN
    assert stack.events() == ["opened"]
    assert not stack.mapping.on


def test_four_failures_open_nothing(stack: Stack) -> None:
    """Not before the fifth."""
    assert stack.fails(FAILURES_TO_OPEN - 1) == [True] * 4

    assert not stack.store.state.is_open
    assert stack.mapping.on


@pytest.mark.parametrize("in_the_same_batch", [True, False])
def test_a_success_in_between_sets_the_count_to_zero(
    stack: Stack, *, in_the_same_batch: bool
) -> None:
    """It was not systemic."""
    batch = stack.batch()
    for _ in range(FAILURES_TO_OPEN - 1):
        batch.failed(KeyRefused("no"))

    if not in_the_same_batch:
        batch = stack.batch()
    batch.succeeded()

    assert stack.store.state == BreakerState()
    assert stack.fails(FAILURES_TO_OPEN - 1) == [True] * 4
    assert stack.mapping.on
    assert stack.events() == []


def test_a_success_without_failures_writes_nothing(stack: Stack) -> None:
    """Nor does the second one after a failure."""
    batch = stack.batch()
    batch.failed(KeyRefused("no"))
    batch.succeeded()
    stack.store.fails_with(AssertionError("nothing is written"))

    batch.succeeded()
    stack.breaker.watch(None).succeeded()


def test_a_success_just_before_it_opens_keeps_it_closed(stack: Stack) -> None:
    """The store opens it only while five failures are counted."""
    stack.store.before_opening = stack.store.close

    stack.fails()

    assert stack.store.state == BreakerState()
    assert stack.mapping.on
    assert stack.events() == []


def test_a_late_success_does_not_close_what_has_just_been_opened(stack: Stack) -> None:
    """Its call may have begun before the fault."""
    stack.fails(1)
    late = stack.batch()
    stack.fails()

    late.succeeded()

    assert stack.store.state.is_open
    assert stack.events() == ["opened"]


# ---- trouble


def test_a_failure_that_cannot_be_counted_is_no_letter(stack: Stack) -> None:
    """Uncounted, a wrong key would dead-letter the whole backlog."""
    stack.store.fails_with(AWAY, at="count_failure")

    with pytest.raises(ResultsUnavailable):
        stack.batch().failed(KeyRefused("no"))


def test_a_breaker_that_cannot_be_opened_is_opened_by_the_next_failure(
    stack: Stack,
) -> None:
    """The fifth is dead-lettered all the same; the sixth is not."""
    stack.store.fails_with(AWAY, times=1, at="open")

    assert stack.fails(FAILURES_TO_OPEN) == [True] * FAILURES_TO_OPEN
    assert not stack.store.state.is_open
    assert stack.troubles() == ["RESULTS_UNAVAILABLE"]

    assert stack.fails(1) == [False]
    assert stack.store.state.is_open
    assert not stack.mapping.on


def test_a_failure_that_was_counted_twice_opens_it_too(stack: Stack) -> None:
    """The response was lost, and the client has repeated the request: from four to six."""
    stack.fails(FAILURES_TO_OPEN - 1)
    stack.store.count_failure("609", "counted, and its response lost")

    stack.fails(1)

    assert stack.store.state.is_open


def test_a_mapping_that_cannot_be_disabled_is_with_the_next_batch(stack: Stack) -> None:
    """Lambda was away, or a deployment has enabled it, or whoever opened it crashed."""
    stack.mapping.fails_with(MappingUnavailable("away"), times=1)
    stack.fails()
    assert stack.mapping.on
    assert stack.troubles() == ["MAPPING_UNAVAILABLE"]

    batch = stack.batch()

    assert batch.is_stopped
    assert not stack.mapping.on
    assert stack.events() == ["opened", "open"]


def test_watching_raises_nothing(stack: Stack) -> None:
    """The uploads go back, whatever Lambda says."""
    stack.fails()
    stack.mapping.fails_with(MappingUnavailable("away"))

    assert stack.batch().is_stopped
    assert stack.troubles() == ["MAPPING_UNAVAILABLE"]


def test_a_state_that_cannot_be_read_counts_as_closed(stack: Stack) -> None:
    """What is wrong with the table shows at the uploads."""
    stack.fails()

    assert not stack.breaker.watch(None).is_stopped


def test_a_breaker_that_cannot_be_closed_is_by_a_later_success(stack: Stack) -> None:
    """The count stands in the table until then."""
    stack.fails(FAILURES_TO_OPEN - 1)
    stack.store.fails_with(AWAY, times=1, at="close")

    stack.batch().succeeded()
    assert stack.troubles() == ["RESULTS_UNAVAILABLE"]
    stack.batch().succeeded()

    assert stack.store.state == BreakerState()


# ---- half-open


def test_the_schedule_lets_uploads_through_and_a_success_closes(stack: Stack) -> None:
    """Then it takes five more failures to open it."""
    stack.fails()

    before = stack.breaker.reconcile()
    assert before.is_open
    assert stack.mapping.on
    batch = stack.batch()
    assert not batch.is_stopped
    batch.succeeded()

    assert stack.store.state == BreakerState()
    assert stack.events() == ["opened", "open", "let through", "closed"]
    assert stack.fails(FAILURES_TO_OPEN - 1) == [True] * 4


def test_a_failure_while_half_open_opens_it_anew_and_is_no_letter(stack: Stack) -> None:
    """Else a fault of days would dead-letter an upload every 15 minutes."""
    stack.fails()

    for _ in range(3):
        stack.breaker.reconcile()
        assert stack.fails(2) == [False, False]
        assert stack.store.state.is_open
        assert not stack.mapping.on

    assert stack.events().count("opened") == 4


def test_the_fault_is_known_until_a_success(stack: Stack) -> None:
    """Also while it is half-open; fewer than five failures are no fault yet."""
    faults = [fault_of(stack.store.state)]
    stack.fails(FAILURES_TO_OPEN - 1)
    faults.append(fault_of(stack.store.state))
    stack.fails(1)
    faults.append(fault_of(stack.store.state))
    stack.breaker.reconcile()
    faults.append(fault_of(stack.store.state))
    stack.batch().succeeded()
    faults.append(fault_of(stack.store.state))

    assert faults == [None, None, "823", "823", None]


# ---- the schedule


def test_the_schedule_reports_a_breaker_that_is_closed(stack: Stack) -> None:
    """Its metric would have no value else, and the alarm would stay."""
    assert stack.breaker.reconcile() == BreakerState()

    assert stack.telemetry.events == [BreakerSeen("at rest", 0, "", "")]


def test_the_schedule_enables_a_mapping_that_is_disabled_for_no_reason(
    stack: Stack,
) -> None:
    """A request to disable it has won against a resume; or somebody did it by hand."""
    stack.fails()
    stack.operator.resume()
    stack.mapping.on = False

    stack.breaker.reconcile()

    assert stack.mapping.on


@pytest.mark.parametrize("at", ["let_through", "switch", "read"])
def test_a_run_of_the_schedule_that_fails_is_made_up_for_by_the_next(
    stack: Stack, at: str
) -> None:
    """Wherever it failed, nothing is left that looks closed and takes nothing."""
    stack.fails()
    stack.store.fails_with(AWAY, times=1, at=at)
    stack.mapping.fails_with(MappingUnavailable("away"), times=1, at=at)

    with pytest.raises((ResultsUnavailable, MappingUnavailable)):
        stack.breaker.reconcile()
    stack.breaker.reconcile()

    assert stack.mapping.on
    assert not stack.store.state.is_open


# ---- pauses


def test_a_pause_is_ended_by_no_schedule(stack: Stack) -> None:
    """Also where the breaker is open beside it."""
    stack.fails()
    stack.operator.pause()

    before = stack.breaker.reconcile()

    assert before == stack.store.state
    assert stack.store.state.is_open
    assert not stack.mapping.on


def test_a_pause_holds_though_a_deployment_enabled_the_mapping(stack: Stack) -> None:
    """A batch that comes goes back, and it or the schedule disables the mapping."""
    stack.operator.pause()
    stack.mapping.on = True

    assert stack.batch().is_stopped
    assert not stack.mapping.on

    stack.mapping.on = True
    stack.breaker.reconcile()
    assert not stack.mapping.on


def test_a_pause_is_not_reported_as_an_open_breaker(stack: Stack) -> None:
    """The alarm is about faults."""
    stack.operator.pause()

    stack.batch()
    stack.breaker.reconcile()

    assert stack.events() == ["at rest"]


def test_a_pause_is_ended_by_no_success(stack: Stack) -> None:
    """One that was in hand when an operator paused."""
    stack.fails(1)
    batch = stack.batch()
    stack.operator.pause()

    batch.succeeded()

    assert stack.store.state == BreakerState(paused_at=NOON)


# ---- crashes


def run(stack: Stack, act: Callable[[Stack], object]) -> None:
    """Something that may be killed; then another process goes on."""
    with suppress(Killed):
        act(stack)
    stack.killer.method, stack.killer.has_killed = "", False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["count_failure", "open", "switch"])
def test_a_crash_while_it_opens_leaves_no_upload_waiting(
    stack: Stack, method: str, *, after: bool
) -> None:
    """The failures that come next open it, and when the fault is over it closes."""
    stack.fails(FAILURES_TO_OPEN - 1)
    stack.killer.method, stack.killer.call, stack.killer.after = method, 0, after
    run(stack, lambda stack: stack.fails(1))

    if not stack.batch().is_stopped:
        stack.fails(2)
    assert stack.store.state.is_open
    assert not stack.mapping.on

    stack.breaker.reconcile()
    stack.batch().succeeded()
    assert stack.store.state == BreakerState()
    assert stack.mapping.on


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["read", "let_through", "switch"])
def test_a_crash_of_the_schedule_leaves_no_upload_waiting(
    stack: Stack, method: str, *, after: bool
) -> None:
    """Its next run goes on."""
    stack.fails()
    stack.killer.method, stack.killer.call, stack.killer.after = method, 0, after
    run(stack, lambda stack: stack.breaker.reconcile())

    stack.breaker.reconcile()

    assert stack.mapping.on
    assert not stack.batch().is_stopped


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_while_it_closes_leaves_it_to_the_next_success(
    stack: Stack, *, after: bool
) -> None:
    """Half-open, it is the mapping that lets uploads through."""
    stack.fails()
    stack.breaker.reconcile()
    stack.killer.method, stack.killer.call, stack.killer.after = "close", 0, after
    run(stack, lambda stack: stack.batch().succeeded())

    stack.batch().succeeded()

    assert stack.store.state == BreakerState()
    assert stack.mapping.on
