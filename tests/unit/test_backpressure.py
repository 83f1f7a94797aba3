"""The circuit breaker and the rate limiter, tested with whole batches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from hangtag.breaker import FAILURES_TO_OPEN, RECONCILE_MINUTES
from hangtag.ending import BREAKER_BASE_SECONDS
from hangtag.errors import ApiKeyMissing, ApiTimeout, ResultsUnavailable
from hangtag.events import Delivery, read_body
from hangtag.ports import BreakerState
from hangtag.tagger_api.errors import (
    ApiInternalError,
    KeyRefused,
    QuotaExceeded,
    SidesTooSmall,
)
from hangtag.uploads import Upload
from tests.fakes import Killed, World


def uploads(world: World, number: int) -> list[Delivery]:
    """That many uploads of different keys, which have been on the queue for some seconds."""
    sent_at = world.clock.now() - 5
    return [replace(world.upload(f"{n}.png"), sent_at=sent_at) for n in range(number)]


def opened(world: World) -> None:
    """Opens the breaker with a wrong key."""
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.tag(*uploads(world, FAILURES_TO_OPEN))
    assert world.breaker_store.state.is_open


def endings(world: World, deliveries: list[Delivery]) -> set[str | None]:
    """How these uploads ended."""
    entries = [entry for one in deliveries for entry in read_body(one.body)]
    return {world.ended_as(entry) for entry in entries if isinstance(entry, Upload)}


def continue_with(world: World, left: list[Delivery], rounds: int) -> list[Delivery]:
    """
    Runs the schedule, and the function while the mapping is enabled, a few times.

    Returns the messages that are left on the queue. A killed function gets its messages again.
    """
    for _ in range(rounds):
        world.clock.advance(RECONCILE_MINUTES * 60)
        with suppress(Killed):
            world.pipeline.reconcile(world.invocation())
        if world.mapping.on:
            with suppress(Killed):
                back = world.tag(*left)
                left = [one for one in left if one.message_id in back]
        world.revives()
    return left


# ---- circuit breaker


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "one by one"])
def test_five_uploads_are_dead_lettered_and_the_others_are_handed_back(
    *, together: bool
) -> None:
    """With `MaxAttempts` 1: an upload that is handed back has used no attempt."""
    world = World(max_attempts=1)
    world.tagger.fails_with(QuotaExceeded("The quota is used up."))
    arrived = uploads(world, 10)

    if together:
        handed_back = world.tag(*arrived)
    else:
        handed_back = tuple(
            message for delivery in arrived for message in world.tag(delivery)
        )

    assert world.codes == ["823"] * FAILURES_TO_OPEN
    assert len(handed_back) == 10 - FAILURES_TO_OPEN
    assert set(world.upload_queue.hidden_for.values()) == {BREAKER_BASE_SECONDS}
    assert {retry.work.attempt for retry in world.hand_backs} == {0}


def test_a_stack_without_a_key_opens_the_breaker() -> None:
    """The API is not called."""
    world = World()
    world.api_keys.fails_with(ApiKeyMissing("no key"))

    world.tag(*uploads(world, 8))

    assert world.codes == ["API_KEY_MISSING"] * FAILURES_TO_OPEN
    assert world.tagger.calls == []


def tagged_upload(world: World) -> Delivery:
    """An upload that succeeds."""
    world.tagger.recovers()
    return world.upload("good.png")


def upload_with_a_refused_image(world: World) -> Delivery:
    """An upload whose image the API refuses, after accepting the key."""
    world.tagger.recovers()
    world.tagger.fails_with(SidesTooSmall("too small"), times=1)
    return world.upload("small.png")


@pytest.mark.parametrize("between", [tagged_upload, upload_with_a_refused_image])
def test_an_answer_about_an_image_counts_as_a_success(
    between: Callable[[World], Delivery],
) -> None:
    """It proves that key, account and address are right."""
    world = World()
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.tag(*uploads(world, FAILURES_TO_OPEN - 1))

    world.tag(between(world))

    assert world.breaker_store.state == BreakerState()


def upload_without_an_answer(world: World) -> Delivery:
    """An upload whose call times out."""
    world.tagger.fails_with(ApiTimeout("slow"))
    return world.upload("slow.png")


def upload_that_fails_inside_the_api(world: World) -> Delivery:
    """An upload with an error code of the API's that proves nothing about the key."""
    world.tagger.fails_with(ApiInternalError("Internal error."))
    return world.upload("500.png")


def upload_of_a_non_image(world: World) -> Delivery:
    """An upload that fails before the API is called."""
    return world.upload("notes.txt", content=b"no image")


@pytest.mark.parametrize(
    "between",
    [upload_without_an_answer, upload_that_fails_inside_the_api, upload_of_a_non_image],
)
def test_a_failure_that_proves_nothing_about_the_key_is_no_success(
    between: Callable[[World], Delivery],
) -> None:
    """Otherwise a fault of weeks would dead-letter four uploads for each file that is no image."""
    world = World()
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.tag(*uploads(world, FAILURES_TO_OPEN - 1))
    world.tagger.recovers()

    world.tag(between(world))

    assert world.breaker_store.state.failures == FAILURES_TO_OPEN - 1


def test_uploads_are_handed_back_unclaimed_while_the_breaker_is_open() -> None:
    """The function claims nothing, reads no object, and makes no call."""
    world = World(max_attempts=1)
    opened(world)
    calls = len(world.tagger.calls)
    late = world.upload("late.png")
    world.objects.fails_with(AssertionError("nothing is read"))
    world.records.fails_with(AssertionError("nothing is claimed"))

    handed_back = world.tag(late)

    assert handed_back == (late.message_id,)
    assert world.upload_queue.hidden_for[late.receipt_handle] == BREAKER_BASE_SECONDS
    assert len(world.tagger.calls) == calls
    assert world.bugs == []


def test_after_the_breaker_opens_the_rest_of_the_batch_makes_no_calls() -> None:
    """Those calls would fail, too."""
    world = World(max_attempts=1, width=1)
    world.tagger.fails_with(KeyRefused("Wrong key."))

    handed_back = world.tag(*uploads(world, 10))

    assert len(handed_back) == 10 - FAILURES_TO_OPEN
    assert len(world.tagger.calls) == FAILURES_TO_OPEN
    assert {retry.code for retry in world.hand_backs} == {"BREAKER"}


def test_an_upload_whose_failure_cannot_be_counted_is_handed_back() -> None:
    """Without the count a wrong key would dead-letter the whole backlog."""
    world = World()
    world.breaker_store.fails_with(ResultsUnavailable("away"), at="count_failure")
    world.tagger.fails_with(KeyRefused("Wrong key."))

    handed_back = world.tag(*uploads(world, 8))

    assert len(handed_back) == 8
    assert world.codes == []


def test_no_fault_exhausts_the_receives_of_a_message() -> None:
    """After 1,000 receives SQS itself moves it without a code; SQS keeps a message for 14 days."""
    world = World()
    opened(world)
    delivery = world.upload("late.png")
    passed, receives = 0.0, 0
    while passed < 14 * 24 * 3_600:
        receives += 1
        world.tag(replace(delivery, receives=receives))
        passed += world.upload_queue.hidden_for[delivery.receipt_handle]

    assert receives < 1_000


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("snapshots.snapshot", 0),
        ("breaker_store.count_failure", FAILURES_TO_OPEN - 1),
        ("breaker_store.open", 0),
        ("mapping.switch", 0),
        ("dead_letters.send", FAILURES_TO_OPEN - 1),
        ("records.swap", 2 * FAILURES_TO_OPEN - 1),
        ("upload_queue.delay", 0),
    ],
)
def test_a_crash_while_the_breaker_opens_leaves_no_upload_behind(
    step: str, call: int, *, after: bool
) -> None:
    """Only the first few uploads are dead-lettered; the others end tagged."""
    world = World(max_attempts=2, width=1)
    arrived = uploads(world, 10)
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.kills(step, call=call, after=after)
    with pytest.raises(Killed):
        world.tag(*arrived)
    world.revives()

    left = continue_with(world, arrived, rounds=4)
    assert not world.mapping.on
    assert world.breaker_store.state.is_open
    world.tagger.recovers()
    left = continue_with(world, left, rounds=4)

    assert left == []
    assert endings(world, arrived) == {"TAGGED", "FAILED"}
    # One may be counted and not dead-lettered, or twice: the one that knew was killed
    assert set(world.codes) == {"609"}
    assert FAILURES_TO_OPEN - 1 <= len(world.codes) <= FAILURES_TO_OPEN + 1
    assert world.breaker_store.state == BreakerState()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fixed", [False, True], ids=["faulty", "fixed"])
@pytest.mark.parametrize(
    "step",
    [
        "breaker_store.read",
        "snapshots.snapshot",
        "breaker_store.let_through",
        "mapping.switch",
        "breaker_store.count_failure",
        "breaker_store.open",
        "breaker_store.close",
        "tagger.ask",
        "announcer.announce",
    ],
)
def test_a_crash_while_the_breaker_is_half_open_leaves_no_upload_behind(
    step: str, *, fixed: bool, after: bool
) -> None:
    """The next run of the schedule continues where this run was cut off."""
    world = World(max_attempts=2, width=1)
    opened(world)
    waiting = uploads(world, 4)
    if fixed:
        world.tagger.recovers()
    world.kills(step, after=after)

    left = continue_with(world, waiting, rounds=3)
    world.tagger.recovers()
    left = continue_with(world, left, rounds=3)

    assert left == []
    assert endings(world, waiting) == {"TAGGED"}
    assert world.codes == ["609"] * FAILURES_TO_OPEN
    assert world.breaker_store.state == BreakerState()


# ---- rate limiter


def test_an_upload_known_to_have_no_slot_is_not_claimed() -> None:
    """The next batch of the same instance reads no object and writes no claim."""
    world = World(requests_per_second=0.01, max_attempts=1)
    world.tag(*[world.upload(f"{n}.png") for n in range(3)])
    world.records.fails_with(AssertionError("nothing is claimed"), at="claim")

    late = world.upload("late.png")

    assert world.tag(late) == (late.message_id,)
    assert world.bugs == []


def test_an_upload_without_a_slot_uses_no_attempt() -> None:
    """With `MaxAttempts` 1 it would be dead-lettered."""
    world = World(requests_per_second=0.01, max_attempts=1)
    left = {world.upload(f"{n}.png") for n in range(3)}

    for _ in range(6):
        back = world.tag(*left)
        left = {delivery for delivery in left if delivery.message_id in back}
        world.clock.advance(300)

    assert left == set()
    assert len(world.announcer.announced) == 3
    assert world.dead_letters.letters == []
    assert {retry.code for retry in world.hand_backs} == {"RATE"}


def test_a_second_upload_of_a_prefix_leaves_the_later_slots_to_others() -> None:
    """While the first one waits for its slot."""
    world = World(requests_per_second=1.05 / 12)
    world.tag(world.upload("flood/0.png"))
    second, other = world.upload("flood/2.png"), world.upload("shop/1.png")
    handed_back: list[tuple[str, ...]] = []

    def meanwhile(seconds: float) -> None:
        world.clock.when_sleeping = world.clock.advance
        handed_back.extend(world.tag(one) for one in (second, other))
        world.clock.advance(seconds)

    world.clock.when_sleeping = meanwhile

    assert world.tag(world.upload("flood/1.png")) == ()

    assert handed_back == [(second.message_id,), ()]
    assert [retry.code for retry in world.hand_backs] == ["RATE"]


def test_a_backlog_of_days_does_not_exhaust_the_receives_of_a_message() -> None:
    """The delay between its receives grows."""
    world = World(requests_per_second=0.1)
    first = world.upload("first.png")
    world.tag(first)
    delivery = world.upload("late.png")
    passed, receives = 0.0, 0
    while passed < 14 * 24 * 3_600:
        receives += 1
        world.slots.reserve(
            step=10.5,
            earliest=world.clock.now() + 60,
            latest=world.clock.now() + 900,
        )
        world.tag(replace(delivery, receives=receives))
        delay = world.upload_queue.hidden_for[delivery.receipt_handle]
        world.clock.advance(delay)
        passed += delay

    assert receives < 1_000


def test_every_call_of_an_upload_reserves_its_own_slot() -> None:
    """The second call without the prefix reserves one, too."""
    world = World(requests_per_second=10.0)
    world.tagger.refuses_the_prefix = True
    times: list[float] = []
    world.tagger.before_answering = lambda _: times.append(world.clock.now())

    world.tag(world.upload())

    assert len(times) == 2
    assert times[1] - times[0] >= 1 / 10


def test_an_outage_of_the_slot_store_uses_no_attempt() -> None:
    """A call without a slot could exceed the rate; the upload did not cause the outage."""
    world = World(requests_per_second=10.0, max_attempts=1)
    world.slots.fails_with(ResultsUnavailable("away"))
    delivery = world.upload()

    assert world.tag(delivery) == (delivery.message_id,)
    assert world.tagger.calls == []
    assert world.dead_letters.letters == []
    assert max(world.upload_queue.hidden_for.values()) >= 1

    world.slots.recovers()
    assert world.tag(delivery) == ()


def test_copies_of_a_finished_upload_reserve_no_slots() -> None:
    """Nor do copies in one batch: an unused slot is lost."""
    world = World(requests_per_second=1.0)
    done = [world.upload(f"{n}.png") for n in range(8)]
    world.tag(*done)
    world.slots.reserved.clear()
    new = world.upload("new.png")

    world.tag(*done, new, replace(new, message_id="copy", receipt_handle="copy"))

    assert len(world.slots.reserved) == 1
