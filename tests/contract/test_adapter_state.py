"""`BreakerStore` and `TurnBook`: in memory and in DynamoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.dynamodb_state import DynamoDBBreaker, DynamoDBTurns
from hangtag.errors import MESSAGE_LIMIT
from hangtag.ports import BreakerState, BreakerStore, NoTurn, TurnBook, Turns
from tests.builders import NOON, NOON_SECONDS
from tests.contract.aws_parts import create_table, session
from tests.fakes import FakeBreakerStore, FakeClock, FakeTurnBook

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EVERY = 0.25


@pytest.fixture
def clock() -> FakeClock:
    """Noon, until a test lets time pass."""
    return FakeClock()


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


@pytest.fixture(params=["fake", "moto"])
def book(request: pytest.FixtureRequest, clock: FakeClock) -> TurnBook:
    """The fake, then the adapter."""
    if request.param == "fake":
        return FakeTurnBook(clock)
    return DynamoDBTurns(request.getfixturevalue("client"), "ResultsTable", clock)


def reserve(
    book: TurnBook,
    count: int,
    *,
    at: float = 0.0,
    within: float = 100.0,
    line: str = "calls",
) -> Turns | NoTurn:
    """Turns from so many seconds after noon on."""
    earliest = NOON_SECONDS + at
    return book.reserve(
        line, count, every=EVERY, earliest=earliest, latest=earliest + within
    )


def turns(after_noon: float, count: int) -> Turns:
    """What is expected, the first so many seconds after noon."""
    return Turns(NOON_SECONDS + after_noon, count)


# ---- the breaker


def test_a_breaker_nobody_has_touched_is_closed(breaker: BreakerStore) -> None:
    """A new stack."""
    assert breaker.read() == BreakerState()


def test_failures_are_counted_in_a_row(breaker: BreakerStore) -> None:
    """With what the last of them said."""
    counted = [breaker.count_failure("609", f"wrong key {n}") for n in range(3)]

    assert [state.row for state in counted] == [1, 2, 3]
    assert counted[-1] == breaker.read()
    assert breaker.read() == BreakerState(3, "609", "wrong key 2")


def test_a_success_ends_the_row(breaker: BreakerStore) -> None:
    """The next failure is the first of another one."""
    breaker.count_failure("609", "wrong key")
    breaker.end_row()

    assert breaker.read() == BreakerState()
    assert breaker.count_failure("823", "quota").row == 1


def test_it_is_opened_once(breaker: BreakerStore) -> None:
    """Whoever comes later changes nothing, not even the time."""
    breaker.count_failure("609", "wrong key")

    opened = [
        breaker.open(at=NOON, row=1),
        breaker.open(at="2026-11-23T00:00:00.000Z", row=1),
    ]

    assert opened == [True, False]
    assert breaker.read() == BreakerState(1, "609", "wrong key", opened_at=NOON)


def test_it_is_not_opened_where_the_row_is_over(breaker: BreakerStore) -> None:
    """An operator or a success was faster."""
    assert not breaker.open(at=NOON, row=1)
    breaker.count_failure("609", "wrong key")

    assert not breaker.open(at=NOON, row=2)
    assert breaker.read() == BreakerState(1, "609", "wrong key")


def test_one_calls_and_the_others_do_not(breaker: BreakerStore) -> None:
    """For as long as the call may take; then until it is due again."""
    breaker.count_failure("609", "wrong key")
    taken, due = NOON_SECONDS + 60, NOON_SECONDS + 3_600.25

    first = [breaker.take_call(now=NOON_SECONDS, until=taken, row=1) for _ in range(2)]
    assert first == [True, False]
    breaker.put_off_call(taken=taken, until=due)
    assert breaker.read().call_due == due
    assert not breaker.take_call(now=due - 1, until=due, row=1)
    assert breaker.take_call(now=due, until=due + 60, row=1)


def test_a_caller_who_does_not_come_back_is_stood_in_for(
    breaker: BreakerStore,
) -> None:
    """It has crashed, or SNS did not take it; should it come back late, it changes nothing."""
    late = NOON_SECONDS + 60
    breaker.count_failure("609", "wrong key")
    breaker.take_call(now=NOON_SECONDS, until=late, row=1)

    assert breaker.take_call(now=late, until=late + 60, row=1)
    breaker.put_off_call(taken=late, until=late + 3_600)
    assert breaker.read().call_due == late + 60


@pytest.mark.parametrize("end", ["end_row", "reset"])
def test_a_call_about_a_row_that_is_over_puts_none_off(
    breaker: BreakerStore, end: str
) -> None:
    """The next row is another fault."""
    breaker.count_failure("609", "wrong key")
    taken = NOON_SECONDS + 60
    breaker.take_call(now=NOON_SECONDS, until=taken, row=1)
    getattr(breaker, end)()

    breaker.put_off_call(taken=taken, until=taken + 3_600)
    assert not breaker.take_call(now=NOON_SECONDS, until=taken, row=1)

    assert breaker.read() == BreakerState()


def test_what_the_function_switched_off_is_known_until_it_is_seen_on(
    breaker: BreakerStore,
) -> None:
    """An operator's resume does not know whether the request is still under way."""
    later = "2026-11-22T12:00:01.000Z"
    breaker.note_switch_off(at=NOON)
    breaker.reset()
    assert breaker.read() == BreakerState(switched_off_at=NOON)

    breaker.note_switch_off(at=later)
    breaker.forget_switch_off(at=NOON)
    assert breaker.read().switched_off_at == later

    breaker.forget_switch_off(at=later)
    assert breaker.read() == BreakerState()


def test_a_late_success_does_not_close_an_open_breaker(breaker: BreakerStore) -> None:
    """Its call began before the fault did."""
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, row=1)

    assert not breaker.end_row()
    assert breaker.read().is_open
    assert breaker.read().row == 1


def test_to_try_again_keeps_the_row(breaker: BreakerStore) -> None:
    """So that one failure more opens it anew."""
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, row=1)
    breaker.try_again()

    assert breaker.read() == BreakerState(1, "609", "wrong key")
    assert breaker.open(at=NOON, row=1)


def test_a_pause_is_told_apart_and_lasts(breaker: BreakerStore) -> None:
    """Neither a success nor a try of the breaker ends it; a second pause begins nothing."""
    breaker.pause(at=NOON)
    breaker.pause(at="2026-11-23T00:00:00.000Z")
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, row=1)
    breaker.try_again()
    breaker.end_row()

    assert breaker.read() == BreakerState(paused_at=NOON)


def test_a_reset_forgets_everything(breaker: BreakerStore) -> None:
    """An operator says that all is well."""
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, row=1)
    breaker.pause(at=NOON)
    breaker.reset()
    breaker.reset()

    assert breaker.read() == BreakerState()


def test_a_long_message_is_cut(client: DynamoDBClient) -> None:
    """An item takes 400 KB."""
    breaker = DynamoDBBreaker(client, "ResultsTable")

    breaker.count_failure("609", "x" * 1_000_000)

    assert breaker.read().message == "x" * MESSAGE_LIMIT


def test_the_state_is_no_result(client: DynamoDBClient, clock: FakeClock) -> None:
    """It stands in the same table, in none of its indexes."""
    breaker = DynamoDBBreaker(client, "ResultsTable")
    breaker.count_failure("609", "wrong key")
    breaker.open(at=NOON, row=1)
    reserve(DynamoDBTurns(client, "ResultsTable", clock), 1)
    results = DynamoDBResults(client, "ResultsTable", clock)

    assert results.newest("hangtag:breaker") is None
    assert results.count_ended("TAGGED", since=NOON) == 0


# ---- turns


def test_turns_follow_one_another(book: TurnBook) -> None:
    """Evenly, whoever reserves them."""
    assert [reserve(book, 2), reserve(book, 1), reserve(book, 3)] == [
        turns(0, 2),
        turns(0.5, 1),
        turns(0.75, 3),
    ]


def test_a_pause_earns_no_burst(book: TurnBook) -> None:
    """What was free before is gone."""
    reserve(book, 1)

    assert reserve(book, 100, at=50.0) == turns(50.0, 100)


def test_only_turns_in_time_are_given(book: TurnBook) -> None:
    """To the last moment; the rest stays free for others."""
    reserve(book, 2)

    assert reserve(book, 10, within=1.0) == turns(0.5, 3)
    assert reserve(book, 10, within=1.0) == NoTurn(NOON_SECONDS + 1.25)
    assert reserve(book, 1) == turns(1.25, 1)


def test_a_first_reservation_is_limited_too(book: TurnBook) -> None:
    """There is no one before it."""
    assert reserve(book, 10, within=0.5) == turns(0.0, 3)
    assert reserve(book, 1) == turns(0.75, 1)


def test_nothing_is_given_after_the_latest(book: TurnBook) -> None:
    """Not even where all is free."""
    assert reserve(book, 1, within=-1.0) == NoTurn(NOON_SECONDS)


def test_lines_are_apart(book: TurnBook) -> None:
    """Those that wait take no turns from those that call."""
    reserve(book, 100, line="waiters")

    assert reserve(book, 1) == turns(0, 1)


def test_a_turn_beyond_sense_is_forgotten(book: TurnBook) -> None:
    """A clock was wrong by years; nobody waits for it."""
    reserve(book, 1, at=1e9)

    assert reserve(book, 1) == turns(0, 1)


def test_no_turn_is_given_twice_by_the_fake(clock: FakeClock) -> None:
    """However many reserve at the same moment; tests/stack asks the real store."""
    book = FakeTurnBook(clock)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: reserve(book, 3), range(24)))

    given = sorted(one.first for one in found if isinstance(one, Turns))
    assert given == [NOON_SECONDS + number * 3 * EVERY for number in range(24)]


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_whoever_was_faster_has_the_turn(
    client: DynamoDBClient, clock: FakeClock, ahead: int
) -> None:
    """Between the look at the book and the reservation, another instance reserved."""
    book = DynamoDBTurns(client, "ResultsTable", clock)
    others: list[Turns | NoTurn] = []
    requests: list[int] = []

    def other_instance(**_: object) -> None:
        requests.append(1)
        if len(requests) in (2, 5, 8)[:ahead]:
            others.append(reserve(book, 2))

    client.meta.events.register("before-call.dynamodb.UpdateItem", other_instance)

    mine = reserve(book, 2)

    taken = [one for one in (*others, mine) if isinstance(one, Turns)]
    assert len(taken) == len(others) + 1
    assert len({one.first for one in taken}) == len(taken)
