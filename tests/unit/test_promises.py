"""Nothing lost, nothing paid twice: what the pipeline does with copies, crashes and outages."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from threading import Barrier, BrokenBarrierError, active_count

import pytest

from hangtag.errors import (
    AnnouncementFailed,
    ApiTimeout,
    ObjectForbidden,
    ObjectUnavailable,
    QueueUnavailable,
    ResultsUnavailable,
    UnreadableEvent,
)
from hangtag.events import Delivery, read_deliveries
from hangtag.lifecycle import CallReason
from hangtag.tagger_api.errors import SidesTooSmall, UrlNotFetched
from hangtag.time_budget import TimeBudget
from hangtag.uploads import SkipReason
from tests.builders import PNG, a_delivery, an_answer, sqs_event
from tests.fakes import (
    BUDGET,
    LEASE_SECONDS,
    Call,
    Killed,
    World,
    upload_of,
)


def copy_of(delivery: Delivery, name: str) -> Delivery:
    """The same event in another message."""
    return replace(delivery, message_id=name, receipt_handle=f"handle of {name}")


# ---- copies


def test_copies_in_one_batch_are_finished_together_by_one_call() -> None:
    """The second finds the first one done: nothing waits for a lease."""
    world = World()
    delivery = world.upload()

    handed_back = world.tag(
        *[delivery, *(copy_of(delivery, f"copy {n}") for n in range(4))]
    )

    assert handed_back == ()
    assert len(world.tagger.calls) == len(world.announcer.announced) == 1
    assert world.skips == [SkipReason.ALREADY_TAGGED] * 4


def test_copies_of_what_fails_for_now_wait_with_it() -> None:
    """Each would be an attempt of its own, all within a second."""
    world = World(max_attempts=3)
    world.tagger.fails_with(ApiTimeout("slow"))
    delivery = world.upload()

    handed_back = world.tag(delivery, copy_of(delivery, "copy"))

    assert len(handed_back) == 2
    assert len(world.tagger.calls) == 1
    assert len(set(world.upload_queue.hidden_for.values())) == 1


def test_a_crash_after_the_burial_buries_nothing_again() -> None:
    """The message comes back, having been sent before the failure."""
    world = World()
    delivery = replace(world.upload(content=b"no image"), sent_at=world.clock.now() - 5)
    world.tag(delivery)  # and the function dies before SQS is told

    assert world.tag(delivery) == ()

    assert world.codes == ["UNSUPPORTED_FORMAT"]
    assert world.skips == [SkipReason.ALREADY_FAILED]


def test_a_letter_that_awss_own_redrive_moves_back_is_a_replay() -> None:
    """It still has its code; the count goes on."""
    attributes = {
        "ErrorCode": {"stringValue": "807", "dataType": "String"},
        "Replays": {"stringValue": "1", "dataType": "String"},
    }
    event = sqs_event("{}")
    event["Records"][0]["messageAttributes"] = attributes

    deliveries = read_deliveries(event)

    assert deliveries is not None
    assert deliveries[0].replays == 2


@pytest.mark.parametrize("name", ["messageId", "receiptHandle"])
@pytest.mark.parametrize("value", ["", None, 7])
def test_an_event_without_message_ids_is_refused_as_a_whole(
    name: str, value: object
) -> None:
    """To answer with an id that is none would bring the whole batch back, for ever."""
    event = sqs_event("{}")
    event["Records"][0][name] = value

    with pytest.raises(UnreadableEvent, match=name):
        read_deliveries(event)


# ---- several records in a message


def test_an_unreadable_record_is_dead_lettered_once_however_often_its_neighbour_is_retried() -> (
    None
):
    """It waits until the message has nothing else left to do."""
    world = World(max_attempts=5)
    good = json.loads(world.upload().body)["Records"]
    both = a_delivery(json.dumps({"Records": [*good, {"eventSource": "who knows"}]}))
    world.tagger.fails_with(ApiTimeout("slow"), times=3)

    outcomes = []
    for _ in range(4):
        outcomes.append(len(world.tag(both)))
        world.clock.advance(1_000)

    assert outcomes == [1, 1, 1, 0]
    assert world.codes == ["UNREADABLE_EVENT"]
    assert len(world.announcer.announced) == 1


def test_a_message_of_hundreds_of_records_is_worked_on_a_few_at_a_time() -> None:
    """Each holds an image in memory."""
    world = World()
    records = [
        record
        for number in range(300)
        for record in json.loads(world.upload(f"{number}.png").body)["Records"]
    ]
    threads_before = active_count()
    threads: list[int] = []
    world.tagger.before_answering = lambda _: threads.append(active_count())

    assert world.tag(a_delivery(json.dumps({"Records": records}))) == ()

    assert len(world.announcer.announced) == 300
    assert max(threads) - threads_before <= 10


# ---- crashes


def test_what_kills_the_function_is_abandoned_and_takes_no_neighbour_along() -> None:
    """All come back together each time; the suspects are worked on last, one by one."""
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
            # SQS hears nothing: all of them come again
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
def test_wherever_the_function_is_killed_the_upload_is_tagged(
    step: str,
    call: int,
    paid: int,
    announced: int,
    *,
    after: bool,
) -> None:
    """Only an answer that was not stored is paid again, with its excuse; ids are the same."""
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
def test_wherever_the_function_is_killed_what_is_refused_is_buried(
    step: str, call: int, letters: int, *, after: bool
) -> None:
    """A letter may be there twice, but never a FAILED upload without one."""
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


def test_however_many_kill_the_function_an_innocent_neighbour_is_tagged() -> None:
    """All that is begun beside a killer is cut off with it, and all come back as one batch."""
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
        # All are begun before one of them kills the function, where all are worked on together.
        with suppress(BrokenBarrierError):
            meet.wait(timeout=0.1)
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


def test_a_worker_that_was_overtaken_hands_its_message_back() -> None:
    """What it was told too late is not stored over what another one was told."""
    world = World()
    delivery = world.upload()

    def overtaken(_: Call) -> None:
        world.tagger.before_answering = lambda _: None
        world.clock.advance(LEASE_SECONDS + 1)
        assert world.tag(copy_of(delivery, "copy")) == ()

    world.tagger.before_answering = overtaken

    assert world.tag(delivery) == (delivery.message_id,)

    assert len(world.announcer.announced) == 1
    assert world.cut_off(upload_of(delivery)) == 1
    assert world.tag(delivery) == ()
    assert len(world.tagger.calls) == 2


# ---- outages of the table


def test_what_was_paid_for_is_stored_however_long_it_takes() -> None:
    """The table is away for half a minute; there is one call."""
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


def test_a_table_that_stays_away_costs_one_more_call_with_its_excuse() -> None:
    """It is tried until the function's time is over, not beyond, and counted as what it is."""
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
    """And no FAILED result that nobody could replay."""
    world = World()
    world.dead_letters.fails_with(QueueUnavailable("away"))
    delivery = world.upload(content=b"no image")

    assert world.tag(delivery) == (delivery.message_id,)
    assert world.ended_as(upload_of(delivery)) is None

    world.dead_letters.recovers()
    assert world.tag(delivery) == ()
    assert world.codes == ["UNSUPPORTED_FORMAT"]


# ---- time


def test_nothing_is_begun_that_has_too_little_time() -> None:
    """It goes back at once, untouched; with a second more it is tagged."""
    world = World(max_attempts=1)
    delivery = world.upload()
    world.deadline.seconds = BUDGET.attempt - 0.1
    world.objects.fails_with(AssertionError("nothing is read"))

    assert world.tag(delivery) == (delivery.message_id,)
    assert world.upload_queue.hidden_for == {delivery.receipt_handle: 1}

    world.objects.recovers()
    world.deadline.seconds += 1
    assert world.tag(delivery) == ()


def test_aws_is_given_the_time_of_each_invocation() -> None:
    """Whatever the function is called for."""
    world = World()

    world.tag()
    assert world.aws_deadline.deadline is world.deadline
    world.aws_deadline.deadline = None
    world.pipeline.reconcile(world.invocation())

    assert world.aws_deadline.deadline is world.deadline


# ---- newest wins


def without(delivery: Delivery, *names: str) -> Delivery:
    """A copy whose event does not tell these of its object."""
    document = json.loads(delivery.body)
    for name in names:
        del document["Records"][0]["s3"]["object"][name]
    copy = copy_of(delivery, f"{delivery.message_id} without {names}")
    return replace(copy, body=json.dumps(document))


def announced_versions(world: World) -> list[tuple[str | None, str | None]]:
    """Etag and sequencer of what subscribers heard of, in order."""
    images = [one.document["data"]["image"] for one in world.announcer.announced]
    return [(image["etag"], image["sequencer"]) for image in images]


def test_an_object_that_becomes_what_it_was_is_shown_and_announced_again() -> None:
    """
    In a bucket without versions: another version's answer has taken the place of its own.

    There is one result per key, so it is asked once more, and counted with its reason.
    """
    world = World(versioned=False)
    arrivals = []
    for content in (b"aa", b"bb", b"aa"):
        arrivals.append(world.upload(content=PNG + content))
        world.tag(arrivals[-1])

    first, _, third = (upload_of(arrival) for arrival in arrivals)
    shown = world.newest(third.uri)
    assert shown is not None
    assert (shown["image"]["etag"], shown["image"]["sequencer"]) == (
        first.etag,
        third.sequencer,
    )
    assert announced_versions(world)[-1] == (third.etag, third.sequencer)
    assert world.calls_about(third) == {CallReason.FIRST: 1, CallReason.OVERTAKEN: 1}


def test_a_version_that_a_backfill_found_only_moves_up_when_its_event_comes() -> None:
    """Then an older version's late event does not take its place; nothing is asked again."""
    world = World()
    old, new = world.upload(content=PNG + b"1"), world.upload(content=PNG + b"2")

    for delivery in (without(new, "sequencer"), new, old, new, old):
        assert world.tag(delivery) == ()

    shown = world.newest(upload_of(new).uri)
    assert shown is not None
    assert shown["image"]["versionId"] == upload_of(new).version_id
    assert shown["image"]["sequencer"] == upload_of(new).sequencer
    assert world.ended_as(upload_of(old)) == "SUPERSEDED"
    assert len(world.tagger.calls) == len(world.announcer.announced) == 1


def test_a_version_that_was_overtaken_before_its_event_came_is_the_newest_again() -> (
    None
):
    """A backfill found it, an older version's event took its place, then its own event came."""
    world = World()
    old, new = world.upload(content=PNG + b"1"), world.upload(content=PNG + b"2")

    for delivery in (without(new, "sequencer"), old, new, old, new):
        assert world.tag(delivery) == ()

    shown = world.newest(upload_of(new).uri)
    assert shown is not None
    assert shown["image"]["versionId"] == upload_of(new).version_id
    assert announced_versions(world)[-1][1] == upload_of(new).sequencer
    assert world.calls_about(upload_of(new)) == {
        CallReason.FIRST: 1,
        CallReason.OVERTAKEN: 1,
    }


def test_an_event_that_tells_nothing_new_is_announced_once() -> None:
    """The sequencer alone is nothing that subscribers have to hear of."""
    world = World()
    delivery = world.upload()

    for told in (without(delivery, "sequencer"), delivery, delivery):
        assert world.tag(told) == ()

    assert len(world.announcer.announced) == len(world.tagger.calls) == 1
    skipped = world.skips
    assert skipped == [SkipReason.ALREADY_TAGGED] * 2


def test_an_event_without_its_version_id_is_about_the_same_version() -> None:
    """The bucket has versions; whoever sent the copy left the id out."""
    world = World()
    delivery = world.upload()

    for told in (delivery, without(delivery, "versionId")):
        assert world.tag(told) == ()

    assert len(world.tagger.calls) == 1


def test_an_object_that_nobody_may_look_at_is_dead_lettered_with_its_code() -> None:
    """Its event told no version; handed back for ever, nobody would hear of it."""
    world = World(versioned=False, max_attempts=2)
    delivery = world.upload()
    world.objects.fails_with(ObjectForbidden("403"))

    world.tag(delivery)
    assert world.tag(delivery) == ()

    assert world.codes == ["OBJECT_FORBIDDEN"]
    assert world.ended_as(upload_of(delivery)) == "FAILED"


def test_an_object_that_can_never_be_looked_up_is_dead_lettered_with_its_code() -> None:
    """Each look is an attempt: it is reported long before SQS gives the message up."""
    world = World(versioned=False, max_attempts=2)
    delivery = world.upload()
    world.objects.fails_with(ObjectUnavailable("400"))

    handed_back = [len(world.tag(delivery)) for _ in range(2)]

    assert handed_back == [1, 0]
    assert world.codes == ["OBJECT_UNAVAILABLE"]
    assert world.ended_as(upload_of(delivery)) == "FAILED"


def test_what_was_gone_when_it_was_looked_for_has_ended() -> None:
    """Found a moment later it would be another version, with an event of its own."""
    world = World()
    delivery = world.upload()
    uri = upload_of(delivery).uri
    world.objects.forget(uri)
    world.objects.before_reading = lambda: world.objects.restore(uri)

    assert world.tag(without(delivery, "versionId")) == ()

    assert world.tagger.calls == []
    assert world.skips == [SkipReason.OBJECT_GONE]


def test_a_replay_of_what_is_gone_from_a_bucket_without_versions_ends() -> None:
    """Its failure is none any more."""
    world = World(versioned=False)
    delivery = world.upload(content=b"no image")
    world.tag(delivery)
    world.objects.forget(upload_of(delivery).uri)

    assert world.tag(replace(delivery, replays=1)) == ()

    assert world.ended_as(upload_of(delivery)) == "OBJECT_GONE"


# ---- attempts that were cut off, and writes whose responses are lost


def test_a_claim_whose_response_is_lost_is_no_attempt() -> None:
    """It is repeated, and finds that it arrived."""
    world = World(max_attempts=1)
    delivery = world.upload()
    away = ResultsUnavailable("the response was lost")
    world.records.fails_with(away, at="the response to claim", times=2)

    assert world.tag(delivery) == ()

    assert world.calls_about(upload_of(delivery)) == {CallReason.FIRST: 1}
    assert world.cut_off(upload_of(delivery)) == 0


@pytest.mark.parametrize("step", ["TAGGED", "FAILED", "SKIPPED", "release"])
def test_a_write_whose_response_is_lost_is_made_once(step: str) -> None:
    """The record has the `rev` that was just written."""
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
def test_an_abandoned_upload_is_not_begun_again_when_its_letter_cannot_be_sent(
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
    assert len(world.tagger.answered) == 1  # the neighbour's


@pytest.mark.parametrize("step", ["TAGGED", "FAILED"])
def test_a_last_attempt_whose_end_cannot_be_written_is_released_in_time(
    step: str,
) -> None:
    """If its lease expired instead, it would count as cut off and be abandoned."""
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
    """A client tries twice, and waits up to a second in between."""
    budget = TimeBudget.of(function_timeout)
    slowest = 2 * (budget.aws_connect + budget.aws_read) + 1.0

    assert budget.write - slowest >= budget.request


def test_an_announced_upload_never_ends_as_failed_because_the_table_is_away() -> None:
    """Only its end could not be written: it is announced again, and nothing is called."""
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
    """Whether an answer is stored must be known before the API is called again."""
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
def test_an_upload_that_kills_the_function_after_it_is_stored_is_abandoned_too(
    step: str, call: int, *, after: bool
) -> None:
    """Its neighbours must not wait for ever; a replay announces it without a call."""
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


def test_a_first_call_without_a_slot_for_the_second_counts() -> None:
    """Else it would be made again with every delivery, and never be dead-lettered."""
    world = World(max_attempts=2, requests_per_second=0.02)
    world.tagger.refuses_the_prefix = True
    delivery = world.upload()

    for _ in range(4):
        world.clock.advance(200)
        if not world.tag(delivery):
            break

    assert world.codes == ["OUT_OF_TIME"]
    assert len(world.tagger.calls) == 2


def test_without_versions_the_api_is_sent_no_url() -> None:
    """It might fetch a later object, whose tags would be stored as this one's."""
    world = World(versioned=False, image_transport="url")
    delivery = world.upload(content=PNG + b"a")

    assert world.tag(delivery) == ()

    [call] = world.tagger.calls
    assert call.request.image.type == "base64"


def test_an_answer_that_does_not_fit_the_table_explains_the_call_of_its_replay() -> (
    None
):
    """It was paid, and so is the next one, which is no retry."""
    world = World()
    world.tagger.answer = an_answer({"note": "x" * 500_000})
    delivery = world.upload()
    world.tag(delivery)
    world.tagger.answer = an_answer()

    assert world.codes == ["RESULT_TOO_LARGE"]
    assert world.tag(replace(delivery, replays=1)) == ()
    assert world.calls_about(upload_of(delivery)) == {
        CallReason.FIRST: 1,
        CallReason.UNSTORED: 1,
    }


def test_calls_about_an_object_that_has_gone_meanwhile_are_counted() -> None:
    """The API could not fetch it; then it was deleted."""
    world = World(image_transport="url")
    delivery = world.upload()
    world.tagger.fails_with(UrlNotFetched("403"), at="ask", times=1)
    world.tagger.before_answering = lambda _: world.objects.forget(
        upload_of(delivery).uri
    )

    assert world.tag(delivery) == ()

    assert world.ended_as(upload_of(delivery)) == "OBJECT_GONE"
    assert world.calls_about(upload_of(delivery)) == {CallReason.FIRST: 1}


# ---- again


def request_for(delivery: Delivery, token: str) -> Delivery:
    """A backfill's message about the same version: no sequencer, and a re-tag token."""
    document = json.loads(delivery.body)
    del document["Records"][0]["s3"]["object"]["sequencer"]
    return replace(
        copy_of(delivery, token), body=json.dumps(document), retag=f"request {token}"
    )


def test_an_order_to_tag_again_is_one_more_call_however_often_it_comes() -> None:
    """It is counted by its reason, and announced; the version's place in time stays."""
    world = World()
    delivery = world.upload()
    world.tag(delivery)
    ordered = request_for(delivery, "one")
    world.clock.advance(60)

    for _ in range(3):
        assert world.tag(ordered, copy_of(ordered, "copy"), delivery) == ()

    assert world.calls_about(upload_of(delivery)) == {
        CallReason.FIRST: 1,
        CallReason.AGAIN: 1,
    }
    announced = [one.document for one in world.announcer.announced]
    assert len({document["id"] for document in announced}) == len(announced) == 2
    assert announced[1]["data"]["image"]["sequencer"] is not None


def test_an_order_without_a_sequencer_does_not_overtake_a_newer_version() -> None:
    """What a backfill found may have been overwritten since."""
    world = World()
    old = world.upload()
    world.tag(old)
    world.tag(world.upload())

    assert world.tag(request_for(old, "late")) == ()

    assert len(world.tagger.calls) == 2
    assert world.ended_as(upload_of(old)) == "SUPERSEDED"


def test_the_order_is_read_from_the_message() -> None:
    """As a message attribute; what is no token is no order."""
    event = sqs_event("{}", "{}", "{}", "{}")
    for record, value in zip(
        event["Records"], ["order-1", "", "x" * 101, None], strict=True
    ):
        record["messageAttributes"] = {"Again": {"stringValue": value}}

    deliveries = read_deliveries(event)

    assert deliveries is not None
    assert [one.retag for one in deliveries] == ["order-1", None, None, None]
