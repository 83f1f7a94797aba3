"""No upload is lost or paid twice through crashes, outages and lost responses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from threading import Barrier, BrokenBarrierError, current_thread, main_thread

import pytest

from hangtag.errors import (
    AnnouncementFailed,
    ApiTimeout,
    QueueUnavailable,
    ResultsUnavailable,
)
from hangtag.lifecycle import CallReason
from hangtag.tagger_api.errors import SidesTooSmall, UrlNotFetched
from hangtag.time_budget import TimeBudget
from tests.builders import PNG, copy_of
from tests.fakes import (
    BUDGET,
    LEASE_SECONDS,
    Call,
    Killed,
    World,
    upload_of,
)

# ---- crashes


def test_an_upload_that_kills_the_function_is_abandoned_and_the_others_are_tagged() -> (
    None
):
    """They are delivered together; uploads that were cut off last time run last, one by one."""
    world = World(max_attempts=3)
    killer = world.upload("killer.png", metadata={"tagger-id": "killer"})
    neighbours = [world.upload(f"{n}.png") for n in range(6)]

    def kill(call: Call) -> None:
        if call.request.context and call.request.context.id == "killer":
            raise Killed

    world.tagger.before_answering = kill
    left = [killer, *neighbours]
    for _ in range(8):
        try:
            back = world.tag(*left)
        except Killed:
            # SQS gets no response and delivers all of them again
            world.clock.advance(LEASE_SECONDS + 1)
            continue
        left = [delivery for delivery in left if delivery.message_id in back]

    assert left == []
    assert world.codes == ["ABANDONED"]
    assert world.dead_letters.letters[0].failure.attempts == 3
    assert {world.ended_as(upload_of(one)) for one in neighbours} == {"TAGGED"}


@pytest.mark.parametrize(
    ("step", "call", "after", "paid", "announced"),
    [
        ("records.swap", 0, False, 1, 1),
        ("records.swap", 0, True, 1, 1),
        ("snapshots.snapshot", 0, True, 1, 1),
        ("objects.read", 0, True, 1, 1),
        ("api_keys.key", 0, True, 1, 1),
        ("tagger.ask", 0, False, 1, 1),
        ("tagger.ask", 0, True, 2, 1),
        ("results.store", 0, False, 2, 1),
        ("results.store", 0, True, 1, 1),
        ("announcer.announce", 0, False, 1, 1),
        ("announcer.announce", 0, True, 1, 2),
        ("records.swap", 1, False, 1, 2),
        ("records.swap", 1, True, 1, 1),
    ],
)
def test_an_upload_is_tagged_after_a_kill_at_any_request(
    step: str,
    call: int,
    paid: int,
    announced: int,
    *,
    after: bool,
) -> None:
    """
    Only an answer that was not stored is paid again, with its reason; announcement ids are equal.
    """
    world = World()
    delivery = world.upload()
    world.kills(step, call=call, after=after)
    with pytest.raises(Killed):
        world.tag(delivery)
    world.revives()
    world.clock.advance(LEASE_SECONDS + 1)

    assert world.tag(delivery) == ()

    assert world.ended_as(upload_of(delivery)) == "TAGGED"
    assert len(world.tagger.answered) == paid
    calls = world.calls_about(upload_of(delivery))
    unfinished = calls.get(CallReason.UNFINISHED, 0)
    assert paid - 1 <= unfinished <= world.cut_off(upload_of(delivery)) <= 1
    ids = [one.document["id"] for one in world.announcer.announced]
    assert len(ids) == announced
    assert len(set(ids)) == 1


@pytest.mark.parametrize(
    ("step", "call", "after", "letters"),
    [
        ("dead_letters.send", 0, False, 1),
        ("dead_letters.send", 0, True, 2),
        ("records.swap", 1, False, 2),
        ("records.swap", 1, True, 1),
    ],
)
def test_a_refused_upload_is_dead_lettered_after_a_kill_at_any_request(
    step: str, call: int, letters: int, *, after: bool
) -> None:
    """The letter may exist twice, but no upload is FAILED without a letter."""
    world = World()
    delivery = replace(world.upload(), sent_at=world.clock.now() - 5)
    world.tagger.fails_with(SidesTooSmall("Too small."))
    world.kills(step, call=call, after=after)
    with pytest.raises(Killed):
        world.tag(delivery)
    world.revives()
    world.clock.advance(LEASE_SECONDS + 1)

    assert world.tag(delivery) == ()

    assert world.ended_as(upload_of(delivery)) == "FAILED"
    assert world.codes == ["807"] * letters


def test_an_upload_is_tagged_beside_several_that_kill_the_function() -> None:
    """Uploads that run beside a killer are cut off with it, and are delivered with it again."""
    world = World(max_attempts=3)
    killers = [
        world.upload(f"killer {n}.png", metadata={"tagger-id": "killer"})
        for n in range(3)
    ]
    neighbours = [world.upload(f"{n}.png") for n in range(3)]
    sent_at = world.clock.now() - 5
    left = [replace(one, sent_at=sent_at) for one in (*killers, *neighbours)]
    meet = Barrier(len(left))

    def kill(call: Call) -> None:
        # Uploads that run at the same time have threads of their own, and all of them call the API
        # before one of them kills the function.
        if current_thread() is not main_thread():
            with suppress(BrokenBarrierError):
                meet.wait(timeout=5)
        if call.request.context and call.request.context.id == "killer":
            world.dies()

    world.tagger.before_answering = kill
    for _ in range(30):
        meet = Barrier(len(left))
        try:
            back = world.tag(*left)
            left = [delivery for delivery in left if delivery.message_id in back]
        except Killed:
            world.clock.advance(LEASE_SECONDS + 1)
        world.revives()
        if not left:
            break

    assert left == []
    assert {world.ended_as(upload_of(one)) for one in neighbours} == {"TAGGED"}
    assert world.codes == ["ABANDONED"] * len(killers)
    assert {letter.failure.attempts for letter in world.dead_letters.letters} == {3}
    assert all(world.cut_off(upload_of(one)) <= 1 for one in neighbours)


def test_a_worker_whose_lease_expired_hands_its_message_back() -> None:
    """Its late answer does not replace the answer that another worker stored."""
    world = World()
    delivery = world.upload()

    def take_over(_: Call) -> None:
        world.tagger.before_answering = lambda _: None
        world.clock.advance(LEASE_SECONDS + 1)
        assert world.tag(copy_of(delivery, "copy")) == ()

    world.tagger.before_answering = take_over

    assert world.tag(delivery) == (delivery.message_id,)

    assert len(world.announcer.announced) == 1
    assert world.cut_off(upload_of(delivery)) == 1
    assert world.tag(delivery) == ()
    assert len(world.tagger.calls) == 2


# ---- outages of the table


def test_a_paid_answer_is_stored_after_an_outage() -> None:
    """The table is away for half a minute; the API is called once."""
    world = World()
    began = world.clock.now()
    world.results.fails_with(ResultsUnavailable("away"), at="store")
    healed = began + 30

    def sleep(seconds: float) -> None:
        world.clock.advance(seconds)
        if world.clock.now() > healed:
            world.results.recovers()

    world.clock.when_sleeping = sleep

    assert world.tag(world.upload()) == ()

    assert len(world.tagger.calls) == len(world.announcer.announced) == 1


def test_an_outage_until_the_deadline_costs_one_more_call_with_its_reason() -> None:
    """The store is retried until the deadline, and the second call is counted as UNSTORED."""
    world = World(max_attempts=3)
    delivery = world.upload()
    began = world.clock.now()
    world.results.fails_with(ResultsUnavailable("away"), at="store")

    assert world.tag(delivery) == (delivery.message_id,)
    spent = world.clock.now() - began
    world.results.recovers()
    assert world.tag(delivery) == ()

    assert (
        LEASE_SECONDS - BUDGET.request - 2.5 <= spent <= LEASE_SECONDS - BUDGET.request
    )
    assert world.calls_about(upload_of(delivery)) == {
        CallReason.FIRST: 1,
        CallReason.UNSTORED: 1,
    }


def test_a_letter_that_cannot_be_sent_leaves_the_message_on_the_queue() -> None:
    """Nor is a FAILED result written, which could not be replayed."""
    world = World()
    world.dead_letters.fails_with(QueueUnavailable("away"))
    delivery = world.upload(content=b"no image")

    assert world.tag(delivery) == (delivery.message_id,)
    assert world.ended_as(upload_of(delivery)) is None

    world.dead_letters.recovers()
    assert world.tag(delivery) == ()
    assert world.codes == ["UNSUPPORTED_FORMAT"]


# ---- deadline


def test_an_upload_without_enough_time_is_not_claimed() -> None:
    """It is handed back at once; with a second more it is tagged."""
    world = World(max_attempts=1)
    delivery = world.upload()
    world.deadline.seconds = BUDGET.attempt - 0.1
    world.objects.fails_with(AssertionError("nothing is read"))

    assert world.tag(delivery) == (delivery.message_id,)
    assert world.upload_queue.hidden_for == {delivery.receipt_handle: 1}

    world.objects.recovers()
    world.deadline.seconds += 1
    assert world.tag(delivery) == ()


def test_aws_clients_get_the_deadline_of_each_invocation() -> None:
    """This holds for every kind of event."""
    world = World()

    world.tag()
    assert world.aws_deadline.deadline is world.deadline
    world.aws_deadline.deadline = None
    world.pipeline.reconcile(world.invocation())

    assert world.aws_deadline.deadline is world.deadline


# ---- cut off attempts and lost responses


def test_a_claim_whose_response_is_lost_uses_no_attempt() -> None:
    """The client repeats the write and finds that it arrived."""
    world = World(max_attempts=1)
    delivery = world.upload()
    away = ResultsUnavailable("the response was lost")
    world.records.fails_with(away, at="the response to claim", times=2)

    assert world.tag(delivery) == ()

    assert world.calls_about(upload_of(delivery)) == {CallReason.FIRST: 1}
    assert world.cut_off(upload_of(delivery)) == 0


@pytest.mark.parametrize("step", ["TAGGED", "FAILED", "SKIPPED", "release"])
def test_a_write_whose_response_is_lost_is_applied_once(step: str) -> None:
    """The record already has the `rev` of this write."""
    world = World(max_attempts=2)
    delivery = world.upload()
    away = ResultsUnavailable("the response was lost")
    world.records.fails_with(away, at=f"the response to {step}", times=2)
    if step == "FAILED":
        world.tagger.fails_with(SidesTooSmall("Too small."))
    if step == "SKIPPED":
        world.objects.forget(upload_of(delivery).uri)
    if step == "release":
        world.tagger.fails_with(ApiTimeout("slow"), times=1)
        assert world.tag(delivery) == (delivery.message_id,)

    assert world.tag(delivery) == ()

    record = world.record_of(upload_of(delivery))
    assert record is not None
    assert record.cut_off == 0
    assert sum(record.calls.values()) == len(world.tagger.calls)


@pytest.mark.parametrize("goes_wrong", ["cannot be sent", "is killed sending"])
def test_an_abandoned_upload_is_not_started_again_if_its_letter_cannot_be_sent(
    goes_wrong: str,
) -> None:
    """It would kill the function again."""
    world = World(max_attempts=1)
    delivery = world.upload()
    world.kills("tagger.ask", after=False)
    with suppress(Killed):
        world.tag(delivery)
    world.revives()
    world.clock.advance(LEASE_SECONDS + 1)
    if goes_wrong == "cannot be sent":
        world.dead_letters.fails_with(QueueUnavailable("away"), times=2)
        assert world.tag(delivery) == world.tag(delivery) == (delivery.message_id,)
    else:
        world.kills("dead_letters.send", after=False)
        with suppress(Killed):
            world.tag(delivery)
        world.revives()
        world.clock.advance(LEASE_SECONDS + 1)

    assert world.tag(delivery, world.upload("neighbour.png")) == ()

    assert world.codes == ["ABANDONED"]
    assert len(world.tagger.answered) == 1  # the other upload's


@pytest.mark.parametrize("step", ["TAGGED", "FAILED"])
def test_a_last_attempt_whose_end_cannot_be_written_is_released_in_time(
    step: str,
) -> None:
    """An expired lease would count as cut off, and the upload would be abandoned."""
    world = World(max_attempts=1)
    delivery = world.upload()
    if step == "FAILED":
        world.tagger.fails_with(SidesTooSmall("Too small."))
    world.records.fails_with(ResultsUnavailable("away"), at=step)

    assert world.tag(delivery) == (delivery.message_id,)

    assert world.deadline.seconds_left() >= BUDGET.write
    world.records.recovers()
    assert world.tag(delivery) == ()
    assert world.ended_as(upload_of(delivery)) == step
    assert set(world.codes) <= {SidesTooSmall.code}


@pytest.mark.parametrize("function_timeout", [5, 10, 60, 900])
def test_after_the_slowest_write_a_claim_can_still_be_released(
    function_timeout: int,
) -> None:
    """There are three tries: a direct one, and two of a client, with up to a second between."""
    budget = TimeBudget.of(function_timeout)
    slowest = 3 * (budget.aws_connect + budget.aws_read) + 1.0

    assert budget.write >= slowest + budget.request


def test_an_announced_upload_does_not_fail_during_an_outage_of_the_table() -> None:
    """Only its last write fails: it is announced again without a call."""
    world = World(max_attempts=1)
    delivery = world.upload()
    world.records.fails_with(ResultsUnavailable("away"), at="TAGGED")

    for _ in range(3):
        assert world.tag(delivery) == (delivery.message_id,)

    assert world.dead_letters.letters == []
    world.records.recovers()
    assert world.tag(delivery) == ()
    assert world.ended_as(upload_of(delivery)) == "TAGGED"
    assert len(world.tagger.calls) == 1


def test_a_stored_answer_that_cannot_be_read_is_not_paid_again() -> None:
    """Before a call the function must know whether an answer is stored."""
    world = World(max_attempts=5)
    delivery = world.upload()
    world.announcer.fails_with(AnnouncementFailed("away"), times=1)
    world.tag(delivery)
    world.results.fails_with(ResultsUnavailable("away"), at="read", times=2)

    handed_back = [len(world.tag(delivery)) for _ in range(3)]

    assert handed_back == [1, 1, 0]
    assert len(world.tagger.calls) == 1


@pytest.mark.parametrize(
    ("step", "call", "after"),
    [
        ("results.store", 0, True),
        ("announcer.announce", 0, False),
        ("announcer.announce", 0, True),
    ],
)
def test_an_upload_that_kills_the_function_after_the_store_is_abandoned(
    step: str, call: int, *, after: bool
) -> None:
    """Other uploads must not wait without end; a replay announces it without a call."""
    world = World(max_attempts=2)
    delivery = world.upload()
    for _ in range(20):
        world.kills(step, call=call, after=after)
        if world.cut_off(upload_of(delivery)) and step == "results.store":
            world.kills("announcer.announce", after=False)
        left: tuple[str, ...] = (delivery.message_id,)
        with suppress(Killed):
            left = world.tag(delivery)
        world.revives()
        if not left:
            break
        world.clock.advance(LEASE_SECONDS + 1)

    assert world.codes == ["ABANDONED"]
    world.clock.advance(1)
    assert world.tag(replace(delivery, replays=1)) == ()
    assert world.ended_as(upload_of(delivery)) == "TAGGED"
    assert len(world.tagger.calls) == 1


def test_a_first_call_without_a_slot_for_the_second_is_an_attempt() -> None:
    """Otherwise each delivery would repeat it, and the upload would never be dead-lettered."""
    world = World(max_attempts=2, requests_per_second=0.02)
    world.tagger.refuses_the_prefix = True
    delivery = world.upload()

    for _ in range(4):
        world.clock.advance(200)
        if not world.tag(delivery):
            break

    assert world.codes == ["OUT_OF_TIME"]
    assert len(world.tagger.calls) == 2


def test_without_versions_the_api_gets_the_image_not_its_url() -> None:
    """The API might fetch a later object, whose tags would be stored for this one."""
    world = World(versioned=False, image_transport="url")
    delivery = world.upload(content=PNG + b"a")

    assert world.tag(delivery) == ()

    [call] = world.tagger.calls
    assert call.request.image.type == "base64"


def test_a_replay_after_a_result_that_was_never_stored_has_its_reason() -> None:
    """Both calls were paid, and the second one is no retry."""
    world = World(max_attempts=1)
    world.results.fails_with(ResultsUnavailable("away"), at="store")
    delivery = world.upload()
    world.tag(delivery)
    world.results.recovers()

    assert world.codes == ["RESULTS_UNAVAILABLE"]
    assert world.tag(replace(delivery, replays=1)) == ()
    assert world.calls_about(upload_of(delivery)) == {
        CallReason.FIRST: 1,
        CallReason.UNSTORED: 1,
    }


def test_calls_about_an_object_that_is_then_deleted_are_counted() -> None:
    """The API could not fetch it because it was deleted."""
    world = World(image_transport="url")
    delivery = world.upload()
    world.tagger.fails_with(UrlNotFetched("403"), at="ask", times=1)
    world.tagger.before_answering = lambda _: world.objects.forget(
        upload_of(delivery).uri
    )

    assert world.tag(delivery) == ()

    assert world.ended_as(upload_of(delivery)) == "OBJECT_GONE"
    assert world.calls_about(upload_of(delivery)) == {CallReason.FIRST: 1}
