"""No upload is lost or paid twice through copies, replays and late events."""

from __future__ import annotations

import json
from dataclasses import replace
from threading import active_count

import pytest

from hangtag.errors import (
    ApiTimeout,
    ApiUnreachable,
    ObjectForbidden,
    ObjectUnavailable,
    UnreadableEvent,
)
from hangtag.events import MOST_RECORDS, Delivery, read_deliveries, retag_token
from hangtag.lifecycle import CallReason
from hangtag.uploads import SkipReason
from tests.builders import NOON_SECONDS, PNG, a_delivery, copy_of, sqs_event
from tests.fakes import (
    World,
    upload_of,
)

# ---- copies


def test_copies_in_one_batch_are_finished_together_by_one_call() -> None:
    """The second copy finds the first one done, so it waits for no lease."""
    world = World()
    delivery = world.upload()

    handed_back = world.tag(
        *[delivery, *(copy_of(delivery, f"copy {n}") for n in range(4))]
    )

    assert handed_back == ()
    assert len(world.tagger.calls) == len(world.announcer.announced) == 1
    assert world.skips == [SkipReason.ALREADY_TAGGED] * 4


def test_copies_of_a_transient_failure_wait_with_it() -> None:
    """Otherwise each copy would use an attempt, all within a second."""
    world = World(max_attempts=3)
    world.tagger.fails_with(ApiTimeout("slow"))
    delivery = world.upload()

    handed_back = world.tag(delivery, copy_of(delivery, "copy"))

    assert len(handed_back) == 2
    assert len(world.tagger.calls) == 1
    assert len(set(world.upload_queue.hidden_for.values())) == 1


def test_a_crash_after_dead_lettering_writes_no_second_letter() -> None:
    """The message was sent before the failure, so it is a copy."""
    world = World()
    delivery = replace(world.upload(content=b"no image"), sent_at=world.clock.now() - 5)
    world.tag(delivery)  # the function is killed before SQS gets the response

    assert world.tag(delivery) == ()

    assert world.codes == ["UNSUPPORTED_FORMAT"]
    assert world.skips == [SkipReason.ALREADY_FAILED]


def test_a_letter_that_an_sqs_redrive_moves_back_is_a_replay() -> None:
    """Its attributes have the code and the count of replays."""
    attributes = {
        "ErrorCode": {"stringValue": "807", "dataType": "String"},
        "Replays": {"stringValue": "1", "dataType": "String"},
    }
    event = sqs_event("{}")
    event["Records"][0]["messageAttributes"] = attributes

    deliveries = read_deliveries(event)

    assert deliveries is not None
    assert deliveries[0].replays == 2


def test_attributes_of_raw_sns_delivery_that_look_like_ours_lose_and_pay_nothing() -> (
    None
):
    """Raw delivery makes attributes of SQS from those of the publisher; S3 sets none."""
    world = World()
    event = sqs_event(world.upload().body, world.upload("bad.png", b"no image").body)
    for message in event["Records"]:
        message["attributes"] = {"SentTimestamp": str(int(NOON_SECONDS - 1) * 1_000)}
        message["messageAttributes"] = {
            name: {"stringValue": value, "dataType": "String"}
            for name, value in {
                "Replays": "900000000000000",
                "ErrorCode": "E-1",
                "Again": "true",
                "Attempts": "99",
            }.items()
        }
    deliveries = read_deliveries(event)
    assert deliveries is not None

    for _ in range(3):  # SQS repeats itself
        assert world.tag(*deliveries) == ()

    assert len(world.tagger.calls) == len(world.announcer.announced) == 1
    assert world.codes == ["UNSUPPORTED_FORMAT"]
    assert world.dead_letters.letters[0].replays == 1


@pytest.mark.parametrize("name", ["messageId", "receiptHandle"])
@pytest.mark.parametrize("value", ["", None, 7])
def test_an_event_without_message_ids_is_refused_as_a_whole(
    name: str, value: object
) -> None:
    """A response with an invalid id would make Lambda return the whole batch each time."""
    event = sqs_event("{}")
    event["Records"][0][name] = value

    with pytest.raises(UnreadableEvent, match=name):
        read_deliveries(event)


# ---- several records in a message


def test_an_unreadable_record_is_dead_lettered_once_however_often_its_neighbour_is_retried() -> (
    None
):
    """Its letter is written when the other records of the message have ended."""
    world = World(max_attempts=5)
    good = json.loads(world.upload().body)["Records"]
    both = a_delivery(json.dumps({"Records": [*good, {"eventSource": "who knows"}]}))
    world.tagger.fails_with(ApiUnreachable("reset"), times=3)

    outcomes = []
    for _ in range(4):
        outcomes.append(len(world.tag(both)))
        world.clock.advance(1_000)

    assert outcomes == [1, 1, 1, 0]
    assert world.codes == ["UNREADABLE_EVENT"]
    assert len(world.announcer.announced) == 1


def test_a_message_with_many_records_runs_a_few_at_a_time() -> None:
    """Each running record holds an image in memory."""
    world = World()
    records = [
        record
        for number in range(MOST_RECORDS)
        for record in json.loads(world.upload(f"{number}.png").body)["Records"]
    ]
    threads_before = active_count()
    threads: list[int] = []
    world.tagger.before_answering = lambda _: threads.append(active_count())

    assert world.tag(a_delivery(json.dumps({"Records": records}))) == ()

    assert len(world.announcer.announced) == MOST_RECORDS
    assert max(threads) - threads_before <= 10


# ---- newest wins


def without(delivery: Delivery, *names: str) -> Delivery:
    """A copy whose event lacks these fields of its object."""
    document = json.loads(delivery.body)
    for name in names:
        del document["Records"][0]["s3"]["object"][name]
    copy = copy_of(delivery, f"{delivery.message_id} without {names}")
    return replace(copy, body=json.dumps(document))


def announced_versions(world: World) -> list[tuple[str | None, str | None]]:
    """Etag and sequencer of each announcement, in sequence."""
    images = [one.document["data"]["image"] for one in world.announcer.announced]
    return [(image["etag"], image["sequencer"]) for image in images]


def test_an_object_that_returns_to_an_earlier_content_is_announced_again() -> None:
    """
    In a bucket without versions another content has replaced the result in between.

    A key has one result, so the API is called once more, and the call is counted by its reason.
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


def test_a_backfilled_version_gets_its_sequencer_when_its_event_arrives() -> None:
    """Then an older version's late event does not replace it, and the API is not called again."""
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


def test_a_backfilled_version_is_not_replaced_by_an_older_versions_event() -> None:
    """It has no sequencer before its own event arrives; S3 says that it is the current version."""
    world = World()
    old, new = world.upload(content=PNG + b"1"), world.upload(content=PNG + b"2")

    for delivery in (without(new, "sequencer"), old, new, old, new):
        assert world.tag(delivery) == ()

    shown = world.newest(upload_of(new).uri)
    assert shown is not None
    assert shown["image"]["versionId"] == upload_of(new).version_id
    assert shown["image"]["sequencer"] == upload_of(new).sequencer
    assert world.ended_as(upload_of(old)) == "SUPERSEDED"
    assert len(world.tagger.calls) == len(world.announcer.announced) == 1


def test_an_event_that_only_adds_the_sequencer_is_not_announced() -> None:
    """Subscribers need no announcement for a sequencer alone."""
    world = World()
    delivery = world.upload()

    for arrival in (without(delivery, "sequencer"), delivery, delivery):
        assert world.tag(arrival) == ()

    assert len(world.announcer.announced) == len(world.tagger.calls) == 1
    skipped = world.skips
    assert skipped == [SkipReason.ALREADY_TAGGED] * 2


def test_an_event_without_its_version_id_is_about_the_same_version() -> None:
    """The bucket has versions, but the sender left the id out."""
    world = World()
    delivery = world.upload()

    for arrival in (delivery, without(delivery, "versionId")):
        assert world.tag(arrival) == ()

    assert len(world.tagger.calls) == 1


def test_an_object_without_permission_to_read_is_dead_lettered_with_its_code() -> None:
    """Its event has no version. Without an attempt it would be handed back without end."""
    world = World(versioned=False, max_attempts=2)
    delivery = world.upload()
    world.objects.fails_with(ObjectForbidden("403"))

    world.tag(delivery)
    assert world.tag(delivery) == ()

    assert world.codes == ["OBJECT_FORBIDDEN"]
    assert world.ended_as(upload_of(delivery)) == "FAILED"


def test_an_object_that_can_never_be_looked_up_is_dead_lettered_with_its_code() -> None:
    """Each lookup is an attempt, so the failure shows before SQS moves the message."""
    world = World(versioned=False, max_attempts=2)
    delivery = world.upload()
    world.objects.fails_with(ObjectUnavailable("400"))

    handed_back = [len(world.tag(delivery)) for _ in range(2)]

    assert handed_back == [1, 0]
    assert world.codes == ["OBJECT_UNAVAILABLE"]
    assert world.ended_as(upload_of(delivery)) == "FAILED"


def test_an_object_that_is_missing_at_the_lookup_is_skipped() -> None:
    """An object that appears later is another version with its own event."""
    world = World()
    delivery = world.upload()
    uri = upload_of(delivery).uri
    world.objects.forget(uri)
    world.objects.before_reading = lambda: world.objects.restore(uri)

    assert world.tag(without(delivery, "versionId")) == ()

    assert world.tagger.calls == []
    assert world.skips == [SkipReason.OBJECT_GONE]


def test_a_replay_of_a_deleted_object_ends_without_versions() -> None:
    """The upload counts as a failure no more."""
    world = World(versioned=False)
    delivery = world.upload(content=b"no image")
    world.tag(delivery)
    world.objects.forget(upload_of(delivery).uri)

    assert world.tag(replace(delivery, replays=1)) == ()

    assert world.ended_as(upload_of(delivery)) == "OBJECT_GONE"


# ---- re-tagging

A_TOKEN = retag_token(NOON_SECONDS, "0123abcd")


def request_for(delivery: Delivery, token: str) -> Delivery:
    """A backfill's message about the same version, with a re-tag token and without a sequencer."""
    document = json.loads(delivery.body)
    del document["Records"][0]["s3"]["object"]["sequencer"]
    return replace(copy_of(delivery, token), body=json.dumps(document), retag=token)


def test_a_request_to_tag_again_makes_one_call_however_often_it_arrives() -> None:
    """The call is counted by its reason and announced; the version keeps its sequencer."""
    world = World()
    delivery = world.upload()
    world.tag(delivery)
    requested = request_for(delivery, A_TOKEN)
    world.clock.advance(60)

    for _ in range(3):
        assert world.tag(requested, copy_of(requested, "copy"), delivery) == ()

    assert world.calls_about(upload_of(delivery)) == {
        CallReason.FIRST: 1,
        CallReason.AGAIN: 1,
    }
    announced = [one.document for one in world.announcer.announced]
    assert len({document["id"] for document in announced}) == len(announced) == 2
    assert announced[1]["data"]["image"]["sequencer"] is not None


def test_a_request_without_a_sequencer_does_not_replace_a_newer_version() -> None:
    """A backfilled object may have been overwritten since."""
    world = World()
    old = world.upload()
    world.tag(old)
    world.tag(world.upload())

    assert world.tag(request_for(old, A_TOKEN)) == ()

    assert len(world.tagger.calls) == 2
    assert world.ended_as(upload_of(old)) == "SUPERSEDED"


def test_the_retag_token_is_read_from_the_message() -> None:
    """It is a message attribute; an invalid token is ignored."""
    event = sqs_event("{}", "{}", "{}", "{}")
    for record, value in zip(
        event["Records"], [A_TOKEN, "", "zzzz", None], strict=True
    ):
        record["messageAttributes"] = {"Again": {"stringValue": value}}

    deliveries = read_deliveries(event)

    assert deliveries is not None
    assert [one.retag for one in deliveries] == [A_TOKEN, None, None, None]
