"""The circuit breaker: a systemic fault dead-letters few uploads, and the others wait."""

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
    """A breaker with a fake behind each port, and an operator's switch."""

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
        """A new batch, which reads the state first."""
        return self.breaker.watch(self.store.state)

    def fail(self, times: int = FAILURES_TO_OPEN) -> list[bool]:
        """That many systemic failures in one batch; returns which of them to dead-letter."""
        batch = self.batch()
        return [batch.failed(QuotaExceeded("No more.")) for _ in range(times)]

    def events(self) -> list[str]:
        """The reported breaker events."""
        return [event.event for event in self.telemetry.of(BreakerSeen)]

    def trouble_codes(self) -> list[str]:
        """The codes of the reported troubles."""
        return [event.error.code for event in self.telemetry.of(Trouble)]


@pytest.fixture
def stack() -> Stack:
    """Tagging is enabled, and no failure was counted."""
    return Stack()


# ---- opening


@pytest.mark.parametrize("batches", [1, 8], ids=["one batch", "one by one"])
def test_the_first_five_consecutive_failures_are_dead_lettered(
    stack: Stack, batches: int
) -> None:
    """Later failures are not, in any batch."""
    letters = [one for _ in range(batches) for one in stack.fail(8 // batches)]

    assert letters == [True] * FAILURES_TO_OPEN + [False] * 3


def test_the_fifth_opens_the_breaker_and_disables_the_mapping(stack: Stack) -> None:
    """The state has the reason and the time, and running uploads are handed back."""
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
    """They share one count in the table."""
    batches = [stack.batch() for _ in range(3)]

    with ThreadPoolExecutor(6) as pool:
        letters = list(
            pool.map(lambda n: batches[n % 3].failed(KeyRefused("no")), range(30))
        )

    assert sum(letters) == FAILURES_TO_OPEN
    assert stack.events() == ["opened"]
    assert not stack.mapping.on


def test_four_failures_do_not_open_the_breaker(stack: Stack) -> None:
    """The threshold is five."""
    assert stack.fail(FAILURES_TO_OPEN - 1) == [True] * 4

    assert not stack.store.state.is_open
    assert stack.mapping.on


@pytest.mark.parametrize("in_the_same_batch", [True, False])
def test_a_success_resets_the_count(stack: Stack, *, in_the_same_batch: bool) -> None:
    """The failures were not systemic."""
    batch = stack.batch()
    for _ in range(FAILURES_TO_OPEN - 1):
        batch.failed(KeyRefused("no"))

    if not in_the_same_batch:
        batch = stack.batch()
    batch.succeeded()

    assert stack.store.state == BreakerState()
    assert stack.fail(FAILURES_TO_OPEN - 1) == [True] * 4
    assert stack.mapping.on
    assert stack.events() == []


def test_a_success_without_failures_writes_nothing(stack: Stack) -> None:
    """Only the first success after a failure writes."""
    batch = stack.batch()
    batch.failed(KeyRefused("no"))
    batch.succeeded()
    stack.store.fails_with(AssertionError("nothing is written"))

    batch.succeeded()
    stack.breaker.watch(None).succeeded()


def test_a_success_before_the_opening_write_keeps_the_breaker_closed(
    stack: Stack,
) -> None:
    """The store opens the breaker only while five failures are counted."""
    stack.store.before_opening = stack.store.close

    stack.fail()

    assert stack.store.state == BreakerState()
    assert stack.mapping.on
    assert stack.events() == []


def test_a_late_success_does_not_close_a_breaker_that_has_just_opened(
    stack: Stack,
) -> None:
    """Its call may have begun before the fault."""
    stack.fail(1)
    late = stack.batch()
    stack.fail()

    late.succeeded()

    assert stack.store.state.is_open
    assert stack.events() == ["opened"]


# ---- outages


def test_an_upload_whose_failure_cannot_be_counted_is_not_dead_lettered(
    stack: Stack,
) -> None:
    """Without the count a wrong key would dead-letter the whole backlog."""
    stack.store.fails_with(AWAY, at="count_failure")

    with pytest.raises(ResultsUnavailable):
        stack.batch().failed(KeyRefused("no"))


def test_the_next_failure_opens_a_breaker_that_could_not_be_opened(
    stack: Stack,
) -> None:
    """The fifth upload is dead-lettered, the sixth is not."""
    stack.store.fails_with(AWAY, times=1, at="open")

    assert stack.fail(FAILURES_TO_OPEN) == [True] * FAILURES_TO_OPEN
    assert not stack.store.state.is_open
    assert stack.trouble_codes() == ["RESULTS_UNAVAILABLE"]

    assert stack.fail(1) == [False]
    assert stack.store.state.is_open
    assert not stack.mapping.on


def test_a_failure_that_is_counted_twice_opens_the_breaker(stack: Stack) -> None:
    """
    The response was lost and the client repeated the request: the count went from four to six.
    """
    stack.fail(FAILURES_TO_OPEN - 1)
    stack.store.count_failure("609", "counted, and its response lost")

    stack.fail(1)

    assert stack.store.state.is_open


def test_the_next_batch_disables_a_mapping_that_could_not_be_disabled(
    stack: Stack,
) -> None:
    """Lambda was not available, a deployment enabled the mapping, or the worker crashed."""
    stack.mapping.fails_with(MappingUnavailable("away"), times=1)
    stack.fail()
    assert stack.mapping.on
    assert stack.trouble_codes() == ["MAPPING_UNAVAILABLE"]

    batch = stack.batch()

    assert batch.is_stopped
    assert not stack.mapping.on
    assert stack.events() == ["opened", "open"]


def test_watching_the_breaker_raises_no_error(stack: Stack) -> None:
    """The uploads are handed back even if Lambda fails."""
    stack.fail()
    stack.mapping.fails_with(MappingUnavailable("away"))

    assert stack.batch().is_stopped
    assert stack.trouble_codes() == ["MAPPING_UNAVAILABLE"]


def test_a_state_that_cannot_be_read_counts_as_closed(stack: Stack) -> None:
    """An outage of the table shows at the claims."""
    stack.fail()

    assert not stack.breaker.watch(None).is_stopped


def test_a_later_success_closes_a_breaker_that_could_not_be_closed(
    stack: Stack,
) -> None:
    """Until then the table keeps the count."""
    stack.fail(FAILURES_TO_OPEN - 1)
    stack.store.fails_with(AWAY, times=1, at="close")

    stack.batch().succeeded()
    assert stack.trouble_codes() == ["RESULTS_UNAVAILABLE"]
    stack.batch().succeeded()

    assert stack.store.state == BreakerState()


# ---- half-open


def test_a_success_closes_a_half_open_breaker(stack: Stack) -> None:
    """
    The schedule makes it half-open; after the success it takes five failures to open it again.
    """
    stack.fail()

    before = stack.breaker.reconcile()
    assert before.is_open
    assert stack.mapping.on
    batch = stack.batch()
    assert not batch.is_stopped
    batch.succeeded()

    assert stack.store.state == BreakerState()
    assert stack.events() == ["opened", "open", "let through", "closed"]
    assert stack.fail(FAILURES_TO_OPEN - 1) == [True] * 4


def test_a_failure_while_half_open_opens_the_breaker_without_a_letter(
    stack: Stack,
) -> None:
    """Otherwise a fault of days would dead-letter an upload every 15 minutes."""
    stack.fail()

    for _ in range(3):
        stack.breaker.reconcile()
        assert stack.fail(2) == [False, False]
        assert stack.store.state.is_open
        assert not stack.mapping.on

    assert stack.events().count("opened") == 4


def test_the_fault_is_reported_until_a_success(stack: Stack) -> None:
    """It is reported while half-open, too. Fewer than five failures are no fault."""
    faults = [fault_of(stack.store.state)]
    stack.fail(FAILURES_TO_OPEN - 1)
    faults.append(fault_of(stack.store.state))
    stack.fail(1)
    faults.append(fault_of(stack.store.state))
    stack.breaker.reconcile()
    faults.append(fault_of(stack.store.state))
    stack.batch().succeeded()
    faults.append(fault_of(stack.store.state))

    assert faults == [None, None, "823", "823", None]


# ---- the schedule


def test_the_schedule_reports_a_closed_breaker(stack: Stack) -> None:
    """Without that value the metric would have no data and the alarm would stay."""
    assert stack.breaker.reconcile() == BreakerState()

    assert stack.telemetry.events == [BreakerSeen("at rest", 0, "", "")]


def test_the_schedule_enables_a_mapping_that_is_disabled_without_a_reason(
    stack: Stack,
) -> None:
    """A late request has disabled it after a resume, or an operator did so by hand."""
    stack.fail()
    stack.operator.resume()
    stack.mapping.on = False

    stack.breaker.reconcile()

    assert stack.mapping.on


@pytest.mark.parametrize("at", ["let_through", "switch", "read"])
def test_the_next_run_of_the_schedule_completes_a_failed_run(
    stack: Stack, at: str
) -> None:
    """After any failure the state never shows closed while the mapping is disabled."""
    stack.fail()
    stack.store.fails_with(AWAY, times=1, at=at)
    stack.mapping.fails_with(MappingUnavailable("away"), times=1, at=at)

    with pytest.raises((ResultsUnavailable, MappingUnavailable)):
        stack.breaker.reconcile()
    stack.breaker.reconcile()

    assert stack.mapping.on
    assert not stack.store.state.is_open


# ---- pauses


def test_the_schedule_does_not_end_a_pause(stack: Stack) -> None:
    """This holds if the breaker is open as well."""
    stack.fail()
    stack.operator.pause()

    before = stack.breaker.reconcile()

    assert before == stack.store.state
    assert stack.store.state.is_open
    assert not stack.mapping.on


def test_a_pause_holds_after_a_deployment_enables_the_mapping(stack: Stack) -> None:
    """The function hands a batch back, and it or the schedule disables the mapping."""
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


def test_a_success_does_not_end_a_pause(stack: Stack) -> None:
    """The upload was running when the operator paused."""
    stack.fail(1)
    batch = stack.batch()
    stack.operator.pause()

    batch.succeeded()

    assert stack.store.state == BreakerState(paused_at=NOON)


# ---- crashes


def run_and_restart(stack: Stack, act: Callable[[Stack], object]) -> None:
    """Runs something that may be killed, then starts another process."""
    with suppress(Killed):
        act(stack)
    stack.killer.method, stack.killer.has_killed = "", False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["count_failure", "open", "switch"])
def test_a_crash_while_the_breaker_opens_leaves_no_upload_behind(
    stack: Stack, method: str, *, after: bool
) -> None:
    """The next failures open it, and it closes after the fault is fixed."""
    stack.fail(FAILURES_TO_OPEN - 1)
    stack.killer.method, stack.killer.call, stack.killer.after = method, 0, after
    run_and_restart(stack, lambda stack: stack.fail(1))

    if not stack.batch().is_stopped:
        stack.fail(2)
    assert stack.store.state.is_open
    assert not stack.mapping.on

    stack.breaker.reconcile()
    stack.batch().succeeded()
    assert stack.store.state == BreakerState()
    assert stack.mapping.on


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["read", "let_through", "switch"])
def test_a_crash_of_the_schedule_leaves_no_upload_behind(
    stack: Stack, method: str, *, after: bool
) -> None:
    """Its next run continues."""
    stack.fail()
    stack.killer.method, stack.killer.call, stack.killer.after = method, 0, after
    run_and_restart(stack, lambda stack: stack.breaker.reconcile())

    stack.breaker.reconcile()

    assert stack.mapping.on
    assert not stack.batch().is_stopped


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_next_success_closes_a_breaker_after_a_crash_while_closing(
    stack: Stack, *, after: bool
) -> None:
    """While it is half-open the mapping is enabled, so uploads arrive."""
    stack.fail()
    stack.breaker.reconcile()
    stack.killer.method, stack.killer.call, stack.killer.after = "close", 0, after
    run_and_restart(stack, lambda stack: stack.batch().succeeded())

    stack.batch().succeeded()

    assert stack.store.state == BreakerState()
    assert stack.mapping.on
