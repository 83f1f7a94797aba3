"""`BreakerStore`, `SlotStore` and `RunLease`: in memory and in DynamoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from hangtag.adapters.dynamodb_breaker import BREAKER_KEY, DynamoDBBreaker, state_of
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_run_lease import DynamoDBRunLease
from hangtag.adapters.dynamodb_slots import DynamoDBSlots
from hangtag.breaker import BreakerStore
from hangtag.errors import MESSAGE_LIMIT
from hangtag.operators.ports import RunLease
from hangtag.ports import BreakerState
from hangtag.rate_limit import Slot, SlotStore
from tests.builders import NOON, NOON_SECONDS
from tests.contract.aws_parts import create_table, no_large_result, session
from tests.fakes import (
    FakeBreakerStore,
    FakeClock,
    FakeRunLease,
    FakeSlots,
    HotItem,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STEP = 0.25
LATER = "2026-11-23T00:00:00.000Z"


@pytest.fixture
def client(aws: None) -> DynamoDBClient:  # noqa: ARG001 - the client is of it
    """DynamoDB in memory, with the template's table."""
    create_table()
    return session().client("dynamodb")


@pytest.fixture(params=["fake", "moto"])
def breaker(request: pytest.FixtureRequest) -> BreakerStore:
    """The fake, then the adapter."""
    if request.param == "fake":
        return FakeBreakerStore()
    return DynamoDBBreaker(request.getfixturevalue("client"), "ResultsTable")


@pytest.fixture(params=["fake", "hot item", "moto"])
def slots(request: pytest.FixtureRequest) -> SlotStore:
    """The fake, then the adapter on a fake of its item, then on moto."""
    if request.param == "fake":
        return FakeSlots()
    if request.param == "hot item":
        client: Any = HotItem(FakeClock())
        return DynamoDBSlots(client, "ResultsTable")
    return DynamoDBSlots(request.getfixturevalue("client"), "ResultsTable")


@pytest.fixture(params=["fake", "moto"])
def lease(request: pytest.FixtureRequest) -> RunLease:
    """The fake, then the adapter."""
    if request.param == "fake":
        return FakeRunLease()
    return DynamoDBRunLease(request.getfixturevalue("client"), "ResultsTable")


def reserve(slots: SlotStore, *, at: float = 0.0, within: float = 100.0) -> Slot:
    """Reserves a slot from that many seconds after noon on."""
    earliest = NOON_SECONDS + at
    return slots.reserve(step=STEP, earliest=earliest, latest=earliest + within)


def reserved(after_noon: float) -> Slot:
    """The slot that many seconds after noon."""
    return Slot(NOON_SECONDS + after_noon, is_reserved=True)


def refused(after_noon: float) -> Slot:
    """A refusal: the next free slot, that many seconds after noon, is too late."""
    return Slot(NOON_SECONDS + after_noon, is_reserved=False)


# ---- the breaker


def test_a_new_breaker_is_closed(breaker: BreakerStore) -> None:
    """There is no item yet."""
    assert breaker.read() == BreakerState()


def test_failures_are_counted(breaker: BreakerStore) -> None:
    """The code and the message are those of the last failure."""
    counted = [breaker.count_failure("609", f"wrong key {n}") for n in range(3)]

    assert [state.failures for state in counted] == [1, 2, 3]
    assert counted[-1] == breaker.read()
    assert breaker.read() == BreakerState(3, "609", "wrong key 2")


def test_a_success_sets_the_count_to_zero(breaker: BreakerStore) -> None:
    """The next failure counts as the first."""
    breaker.count_failure("609", "wrong key")

    assert breaker.close()

    assert breaker.read() == BreakerState()
    assert breaker.count_failure("823", "quota").failures == 1


def test_an_open_breaker_is_not_opened_again(breaker: BreakerStore) -> None:
    """A second request does not change the time."""
    breaker.count_failure("609", "wrong key")

    opened = [breaker.open(at=NOON, failures=1), breaker.open(at=LATER, failures=1)]

    assert opened == [True, False]
    assert breaker.read() == BreakerState(1, "609", "wrong key", opened_at=NOON)


def test_a_breaker_with_too_few_failures_is_not_opened(breaker: BreakerStore) -> None:
    """An operator or a success has reset the count."""
    assert not breaker.open(at=NOON, failures=1)
    breaker.count_failure("609", "wrong key")

    assert not breaker.open(at=NOON, failures=2)
    assert breaker.read() == BreakerState(1, "609", "wrong key")


def test_a_success_does_not_close_an_open_breaker(breaker: BreakerStore) -> None:
    """Its call began before the fault."""
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, failures=1)

    assert not breaker.close()
    assert breaker.read() == BreakerState(1, "609", "wrong key", opened_at=NOON)


def test_a_half_open_breaker_keeps_its_count(breaker: BreakerStore) -> None:
    """One more failure opens it anew, a success closes it."""
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, failures=1)
    breaker.let_through()

    assert breaker.read() == BreakerState(1, "609", "wrong key")
    assert breaker.open(at=LATER, failures=1)
    breaker.let_through()
    assert breaker.close()
    assert breaker.read() == BreakerState()


def test_a_pause_lasts_until_it_is_reset(breaker: BreakerStore) -> None:
    """A half-open or closed breaker does not end it; a second pause keeps the first time."""
    breaker.pause(at=NOON)
    breaker.pause(at=LATER)
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, failures=1)
    breaker.let_through()
    breaker.close()

    assert breaker.read() == BreakerState(paused_at=NOON)


def test_a_reset_clears_the_state(breaker: BreakerStore) -> None:
    """An operator has resumed, perhaps twice."""
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, failures=1)
    breaker.pause(at=NOON)
    breaker.reset()
    breaker.reset()

    assert breaker.read() == BreakerState()


def test_a_long_message_is_cut(client: DynamoDBClient) -> None:
    """An item takes 400 KB."""
    breaker = DynamoDBBreaker(client, "ResultsTable")

    breaker.count_failure("609", "x" * 1_000_000)

    assert breaker.read().message == "x" * MESSAGE_LIMIT


def test_a_batch_can_read_the_state_with_other_items(client: DynamoDBClient) -> None:
    """The batch reads it by its key, together with its records."""
    breaker = DynamoDBBreaker(client, "ResultsTable")
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, failures=1)
    breaker.pause(at=LATER)
    uri, version = BREAKER_KEY

    found = client.get_item(
        TableName="ResultsTable", Key={"uri": {"S": uri}, "version": {"S": version}}
    )

    assert state_of(found["Item"]) == breaker.read()
    assert state_of({}) == BreakerState()


def test_the_state_is_in_no_index(client: DynamoDBClient) -> None:
    """It is in the table of the records and results."""
    breaker = DynamoDBBreaker(client, "ResultsTable")
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, failures=1)
    reserve(DynamoDBSlots(client, "ResultsTable"))
    take(DynamoDBRunLease(client, "ResultsTable"), "run-1")
    failures = DynamoDBFailures(client, "ResultsTable", FakeClock())
    results = DynamoDBReader(client, "ResultsTable", FakeClock(), no_large_result)

    assert results.history("hangtag:breaker").newest() is None
    assert results.history("hangtag:slots").newest() is None
    assert results.history("hangtag:replay").newest() is None
    assert list(failures.failures()) == []
    assert results.count_ended("TAGGED", since=NOON) == 0


# ---- slots


def test_slots_are_evenly_spaced(slots: SlotStore) -> None:
    """Any instance may reserve them."""
    assert [reserve(slots) for _ in range(3)] == [
        reserved(0),
        reserved(0.25),
        reserved(0.5),
    ]


def test_an_idle_time_earns_no_burst(slots: SlotStore) -> None:
    """Slots in the past cannot be reserved."""
    reserve(slots)

    assert reserve(slots, at=50.0) == reserved(50.0)
    assert reserve(slots, at=50.0) == reserved(50.25)


def test_a_slot_after_the_deadline_stays_free(slots: SlotStore) -> None:
    """An instance with more time can reserve it."""
    reserve(slots)
    reserve(slots)

    assert reserve(slots, within=0.5) == reserved(0.5)
    assert reserve(slots, within=0.5) == refused(0.75)
    assert reserve(slots, within=0.75) == reserved(0.75)


def test_no_slot_is_reserved_without_time(slots: SlotStore) -> None:
    """Not even a free one is."""
    assert reserve(slots, within=-1.0) == refused(0)
    assert reserve(slots) == reserved(0)


@pytest.mark.parametrize("seconds", [2_000, 1e9])
def test_a_slot_in_the_far_future_is_ignored(slots: SlotStore, seconds: float) -> None:
    """A clock was wrong: no invocation lasts long enough to reserve it."""
    reserve(slots, at=seconds)

    assert reserve(slots) == reserved(0)


def test_a_slot_at_the_end_of_the_longest_invocation_counts(slots: SlotStore) -> None:
    """This holds for a low rate, too, with distant slots."""
    step = 5_000.0
    taken = slots.reserve(
        step=step, earliest=NOON_SECONDS + 900, latest=NOON_SECONDS + 900
    )

    next_free = slots.reserve(
        step=step, earliest=NOON_SECONDS, latest=NOON_SECONDS + 900
    )

    assert taken == reserved(900)
    assert next_free == refused(5_900)


def test_the_fake_reserves_no_slot_twice() -> None:
    """Many threads reserve at the same time; tests/stack tests the real store."""
    slots = FakeSlots()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: reserve(slots), range(24)))

    assert sorted(one.at for one in found) == [
        NOON_SECONDS + number * STEP for number in range(24)
    ]


@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.parametrize("request_number", [1, 2])
def test_two_instances_never_reserve_the_same_slot(
    client: DynamoDBClient, request_number: int, *, paused: bool
) -> None:
    """Another instance reserves just before each request."""
    slots = DynamoDBSlots(client, "ResultsTable")
    if not paused:
        reserve(slots)
    others: list[Slot] = []
    requests: list[int] = []

    def other_instance(**_: object) -> None:
        requests.append(1)
        if len(requests) == request_number:
            others.append(reserve(slots))

    client.meta.events.register("before-call.dynamodb.UpdateItem", other_instance)

    mine = [reserve(slots), reserve(slots)]

    taken = [*others, *mine]
    assert len(others) == 1
    assert all(one.is_reserved for one in taken)
    assert len({one.at for one in taken}) == 3


def test_one_instance_needs_one_request_for_each_slot(client: DynamoDBClient) -> None:
    """Also after a pause: each request is paid."""
    requests: list[object] = []
    client.meta.events.register(
        "before-call.dynamodb.UpdateItem", lambda **_: requests.append(1)
    )
    slots = DynamoDBSlots(client, "ResultsTable")

    found = [reserve(slots, at=seconds) for seconds in (0, 0, 60, 60, 120)]

    assert len(requests) == 5
    assert all(one.is_reserved for one in found)


# ---- the lease of ReplayFailures


def take(
    lease: RunLease, holder: str, *, at: float = 0.0, seconds: float = 40.0
) -> float | None:
    """Takes the lease that many seconds after noon; returns when that of another ends."""
    now = NOON_SECONDS + at
    found = lease.take(holder, now=now, until=now + seconds)
    return None if found is None else found - NOON_SECONDS


def test_one_run_at_a_time_has_the_lease(lease: RunLease) -> None:
    """A refused run gets the end of the lease, and changes nothing."""
    taken = take(lease, "run-1")
    refused = [take(lease, "run-2", at=at, seconds=300) for at in (0, 1, 39.5)]

    assert taken is None
    assert refused == [40, 40, 40]


def test_a_released_lease_is_free(lease: RunLease) -> None:
    """The next request need not wait; a second release changes nothing."""
    take(lease, "run-1")
    lease.release("run-1", at=NOON_SECONDS + 5)
    taken = take(lease, "run-2", at=5)
    lease.release("run-1", at=NOON_SECONDS + 6)

    assert taken is None
    assert take(lease, "run-3", at=6) == 45


def test_a_request_from_before_the_release_learns_when_the_lease_ended(
    lease: RunLease,
) -> None:
    """It waited for a cold start meanwhile."""
    take(lease, "run-1")
    lease.release("run-1", at=NOON_SECONDS + 5)

    assert take(lease, "run-2", at=4.9) == 5
    assert take(lease, "run-2", at=5) is None


def test_the_lease_of_a_killed_run_expires(lease: RunLease) -> None:
    """A killed run cannot release its lease."""
    take(lease, "run-1")

    assert take(lease, "run-2", at=40) is None
    assert take(lease, "run-1", at=41) == 80


def test_a_run_may_repeat_its_write(lease: RunLease) -> None:
    """Its first response was lost."""
    take(lease, "run-1")

    assert take(lease, "run-1") is None
    assert take(lease, "run-2") == 40


def test_a_lease_of_a_wrong_clock_does_not_stop_replays(lease: RunLease) -> None:
    """No run lasts longer than 900 seconds."""
    take(lease, "run-1", at=3_600)

    assert take(lease, "run-2") is None
