"""The breaker and the rate limiter, as the uploads of whole batches meet them."""

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
    """So many of them, each with a key of its own, on the queue for some seconds."""
    sent_at = world.clock.now() - 5
    return [replace(world.upload(f"{n}.png"), sent_at=sent_at) for n in range(number)]


def opened(world: World) -> None:
    """A breaker that a wrong key has opened."""
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.tag(*uploads(world, FAILURES_TO_OPEN))
    assert world.breaker_store.state.is_open


def ends(world: World, deliveries: list[Delivery]) -> set[str | None]:
    """How these uploads ended."""
    entries = [entry for one in deliveries for entry in read_body(one.body)]
    return {world.ended_as(entry) for entry in entries if isinstance(entry, Upload)}


def goes_on(world: World, left: list[Delivery], rounds: int) -> list[Delivery]:
    """
    Let the schedule and the enabled mapping run a few times.

    Returns what is left on the queue. A function that is killed gets its messages again.
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


# ---- the breaker


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "one by one"])
def test_five_uploads_are_dead_lettered_and_the_others_go_back(
    *, together: bool
) -> None:
    """With one attempt each: what goes back has not used it."""
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


def test_a_stack_without_a_key_is_stopped_too() -> None:
    """The API is not called."""
    world = World()
    world.api_keys.fails_with(ApiKeyMissing("no key"))

    world.tag(*uploads(world, 8))

    assert world.codes == ["API_KEY_MISSING"] * FAILURES_TO_OPEN
    assert world.tagger.calls == []


def a_tagged_one(world: World) -> Delivery:
    """An upload that goes well."""
    world.tagger.recovers()
    return world.upload("good.png")


def a_refused_one(world: World) -> Delivery:
    """An upload whose image the API refuses: the key was good enough for that."""
    world.tagger.recovers()
    world.tagger.fails_with(SidesTooSmall("too small"), times=1)
    return world.upload("small.png")


@pytest.mark.parametrize("between", [a_tagged_one, a_refused_one])
def test_an_answer_about_an_image_is_a_success(
    between: Callable[[World], Delivery],
) -> None:
    """Key, account and address are good."""
    world = World()
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.tag(*uploads(world, FAILURES_TO_OPEN - 1))

    world.tag(between(world))

    assert world.breaker_store.state == BreakerState()


def a_slow_one(world: World) -> Delivery:
    """An upload whose call is not answered."""
    world.tagger.fails_with(ApiTimeout("slow"))
    return world.upload("slow.png")


def one_that_fails_inside_the_api(world: World) -> Delivery:
    """The API has a code for that, but has not looked at the image."""
    world.tagger.fails_with(ApiInternalError("Internal error."))
    return world.upload("500.png")


def one_that_is_no_image(world: World) -> Delivery:
    """An upload that fails before the API is called."""
    return world.upload("notes.txt", content=b"no image")


@pytest.mark.parametrize(
    "between", [a_slow_one, one_that_fails_inside_the_api, one_that_is_no_image]
)
def test_a_failure_that_says_nothing_about_the_key_is_no_success(
    between: Callable[[World], Delivery],
) -> None:
    """Else a fault of weeks would dead-letter four for each file that is no image."""
    world = World()
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.tag(*uploads(world, FAILURES_TO_OPEN - 1))
    world.tagger.recovers()

    world.tag(between(world))

    assert world.breaker_store.state.failures == FAILURES_TO_OPEN - 1


def test_what_comes_while_the_breaker_is_open_goes_back_untouched() -> None:
    """No claim, no object, no call, no attempt."""
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


def test_the_rest_of_the_batch_in_which_it_opens_makes_no_calls() -> None:
    """They would fail alike."""
    world = World(max_attempts=1, width=1)
    world.tagger.fails_with(KeyRefused("Wrong key."))

    handed_back = world.tag(*uploads(world, 10))

    assert len(handed_back) == 10 - FAILURES_TO_OPEN
    assert len(world.tagger.calls) == FAILURES_TO_OPEN
    assert {retry.code for retry in world.hand_backs} == {"BREAKER"}


def test_a_failure_that_cannot_be_counted_goes_back() -> None:
    """Uncounted, a wrong key would dead-letter the whole backlog."""
    world = World()
    world.breaker_store.fails_with(ResultsUnavailable("away"), at="count_failure")
    world.tagger.fails_with(KeyRefused("Wrong key."))

    handed_back = world.tag(*uploads(world, 8))

    assert len(handed_back) == 8
    assert world.codes == []


def test_no_fault_uses_up_the_receives_of_a_message() -> None:
    """After 1,000 SQS itself moves it, without a code; it keeps a message for 14 days."""
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
def test_a_crash_while_it_opens_leaves_no_upload_waiting(
    step: str, call: int, *, after: bool
) -> None:
    """No more than the first few are dead-lettered, and the others end tagged."""
    world = World(max_attempts=2, width=1)
    arrived = uploads(world, 10)
    world.tagger.fails_with(KeyRefused("Wrong key."))
    world.kills(step, call=call, after=after)
    with pytest.raises(Killed):
        world.tag(*arrived)
    world.revives()

    left = goes_on(world, arrived, rounds=4)
    assert not world.mapping.on
    assert world.breaker_store.state.is_open
    world.tagger.recovers()
    left = goes_on(world, left, rounds=4)

    assert left == []
    assert ends(world, arrived) == {"TAGGED", "FAILED"}
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
def test_a_crash_while_it_is_half_open_leaves_no_upload_waiting(
    step: str, *, fixed: bool, after: bool
) -> None:
    """The next run of the schedule goes on where this one was cut off."""
    world = World(max_attempts=2, width=1)
    opened(world)
    waiting = uploads(world, 4)
    if fixed:
        world.tagger.recovers()
    world.kills(step, after=after)

    left = goes_on(world, waiting, rounds=3)
    world.tagger.recovers()
    left = goes_on(world, left, rounds=3)

    assert left == []
    assert ends(world, waiting) == {"TAGGED"}
    assert world.codes == ["609"] * FAILURES_TO_OPEN
    assert world.breaker_store.state == BreakerState()


# ---- the rate limiter


def test_what_is_known_to_have_no_slot_is_not_even_claimed() -> None:
    """The next batch of the same instance costs no object and no claim."""
    world = World(requests_per_second=0.01, max_attempts=1)
    world.tag(*[world.upload(f"{n}.png") for n in range(3)])
    world.records.fails_with(AssertionError("nothing is claimed"), at="claim")

    late = world.upload("late.png")

    assert world.tag(late) == (late.message_id,)
    assert world.bugs == []


def test_to_go_back_without_a_slot_is_no_attempt() -> None:
    """With one attempt it would be dead-lettered."""
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


def test_a_backlog_of_days_does_not_use_up_the_receives_of_a_message() -> None:
    """It comes again ever more seldom."""
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


def test_every_call_of_an_upload_has_a_slot_of_its_own() -> None:
    """Also the second one, without the prefix."""
    world = World(requests_per_second=10.0)
    world.tagger.refuses_the_prefix = True
    times: list[float] = []
    world.tagger.before_answering = lambda _: times.append(world.clock.now())

    world.tag(world.upload())

    assert len(times) == 2
    assert times[1] - times[0] >= 1 / 10


def test_slots_that_cannot_be_read_are_no_attempt() -> None:
    """To call without a slot would break the promise; the upload is not to blame."""
    world = World(requests_per_second=10.0, max_attempts=1)
    world.slots.fails_with(ResultsUnavailable("away"))
    delivery = world.upload()

    assert world.tag(delivery) == (delivery.message_id,)
    assert world.tagger.calls == []
    assert world.dead_letters.letters == []
    assert max(world.upload_queue.hidden_for.values()) >= 1

    world.slots.recovers()
    assert world.tag(delivery) == ()


def test_copies_of_what_is_done_take_no_slots() -> None:
    """Nor do copies in one batch: a slot that passes unused is lost."""
    world = World(requests_per_second=1.0)
    done = [world.upload(f"{n}.png") for n in range(8)]
    world.tag(*done)
    world.slots.reserved.clear()
    new = world.upload("new.png")

    world.tag(*done, new, replace(new, message_id="copy", receipt_handle="copy"))

    assert len(world.slots.reserved) == 1
