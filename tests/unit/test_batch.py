"""A batch: uploads are tagged concurrently, before the deadline, and each delivery on its own."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from threading import Barrier

import pytest

from hangtag.calling import API_TIMEOUT_SECONDS
from hangtag.errors import (
    ApiTimeout,
    ObjectUnavailable,
    QueueUnavailable,
    ResultsUnavailable,
    UnreadableEvent,
)
from hangtag.events import read_body
from hangtag.selection import Selection
from hangtag.tagger_api import models
from hangtag.tagger_api.errors import (
    KeyRefused,
)
from hangtag.uploads import SkipReason, Upload
from tests.builders import (
    API_KEY,
    BUCKET,
    FIRST_BYTES,
    KEY,
    NOON,
    PNG,
    URI,
    a_delivery,
    an_answer,
    eventbridge_event,
    in_sns,
    message_of,
    notification,
    record,
    sample_event,
    sns_event,
)
from tests.fakes import BUDGET, LEASE_SECONDS, Call, World, upload_of

# ---- success


def test_an_upload_is_tagged_stored_and_announced() -> None:
    """This is the main path."""
    world = World()
    delivery = world.upload()

    handed_back = world.tag(delivery)

    result = world.newest(URI)
    assert handed_back == ()
    assert result is not None
    assert (result["status"], result["taggedAt"]) == ("TAGGED", NOON)
    assert result["objects"] == an_answer().objects
    assert result["image"] == upload_of(delivery).image()
    assert [result] == [
        announcement.document["data"] for announcement in world.announcer.announced
    ]
    [tagged] = world.tags
    assert (tagged.upload.uri, tagged.work.attempt) == (URI, 1)
    assert world.codes == []


@pytest.mark.parametrize(("kind", "content"), FIRST_BYTES.items())
def test_the_api_gets_the_image_with_its_true_media_type(
    kind: str, content: bytes
) -> None:
    """The extension of the name is ignored."""
    world = World()

    world.tag(world.upload("always.jpg", content))

    (call,) = world.tagger.calls
    assert call.request.image.content.startswith(f"data:{kind};base64,")
    assert call.api_key == API_KEY


def test_language_and_context_come_with_the_upload() -> None:
    """Object metadata reaches the API, the result and the announcement."""
    world = World(language="ja", detection=("HAT",))

    world.tag(world.upload(metadata={"tagger-language": "ko", "tagger-id": "A111"}))

    (call,) = world.tagger.calls
    (announcement,) = world.announcer.announced
    result = world.newest(URI)
    assert result is not None
    assert call.language == "ko"
    assert call.request.context == models.Context.model_validate(
        {"id": "A111", "detection": ["HAT"]}
    )
    assert (result["language"], result["context"]["id"]) == ("ko", "A111")
    assert announcement.texts["productId"] == "A111"


def test_the_stacks_language_is_the_default() -> None:
    """It applies where the upload's metadata has no language."""
    world = World(language="ja")

    world.tag(world.upload())

    (call,) = world.tagger.calls
    assert call.language == "ja"


def test_the_version_that_the_event_names_is_tagged() -> None:
    """The object may have been overwritten since."""
    world = World()
    delivery = world.upload(content=PNG + b"old")
    world.put(content=PNG + b"new")

    world.tag(delivery)

    (call,) = world.tagger.calls
    assert len(call.request.image.content) == len("data:image/png;base64,") + 100


def test_an_event_without_version_and_etag_is_about_the_current_object() -> None:
    """
    The function reads both from the object, so it is the same upload as an event that has them.
    """
    world = World()
    delivery = world.upload()
    bare = a_delivery(
        notification(record(version_id=None, etag=None, size=None, sequencer=None))
    )

    world.tag(bare)
    world.tag(delivery)

    result = world.newest(URI)
    assert result is not None
    assert result["image"]["versionId"] == upload_of(delivery).version_id
    assert world.skips == [SkipReason.ALREADY_TAGGED]
    assert len(world.tagger.calls) == 1


def test_an_empty_batch_succeeds() -> None:
    """It hands back no delivery."""
    assert World().tag() == ()


# ---- concurrency


def test_ten_uploads_run_at_the_same_time() -> None:
    """The API is slow: no upload waits for another one to finish."""
    world = World()
    all_asking = Barrier(10, timeout=10)
    world.tagger.before_answering = lambda _: all_asking.wait()

    handed_back = world.tag(*(world.upload(f"{number}.png") for number in range(10)))

    assert handed_back == ()
    assert len(world.announcer.announced) == 10


def test_nothing_of_a_failed_invocation_runs_in_the_next_one() -> None:
    """Here no thread could begin, which is an error of the whole invocation."""
    world = World()
    runs_late: list[bool] = []
    world.objects.after_finding = lambda: runs_late.append(True)
    unknown = [
        a_delivery(notification(record(f"{number}.png", version_id=None, etag=None)))
        for number in range(2)
    ]
    threading.stack_size(1 << 46)  # more than there is
    try:
        with pytest.raises(RuntimeError):
            world.tag(*unknown)
    finally:
        threading.stack_size(0)

    handed_back = world.tag(world.upload("a.png"), world.upload("b.png"))

    assert handed_back == ()
    assert len(world.announcer.announced) == 2
    assert not runs_late


def test_the_records_of_one_message_run_at_the_same_time() -> None:
    """A message may hold several records."""
    world = World()
    together = Barrier(2, timeout=10)
    world.tagger.before_answering = lambda _: together.wait()
    one, other = world.upload("one.png"), world.upload("other.png")
    both = a_delivery(notification(upload_of(one).record, upload_of(other).record))

    handed_back = world.tag(both)

    assert handed_back == ()
    assert len(world.announcer.announced) == 2


def test_a_message_is_handed_back_if_one_of_its_records_is() -> None:
    """Its other record has ended by then, and is not paid for again."""
    world = World()
    one, other = world.upload("one.png"), world.upload("other.png")
    both = a_delivery(notification(upload_of(one).record, upload_of(other).record))
    world.objects.fails_with(ObjectUnavailable("slow"), times=1, at="read")

    first = world.tag(both)
    second = world.tag(both)

    assert (first, second) == (message_of(both), ())
    assert len(world.tagger.calls) == 2
    assert len(world.announcer.announced) == 2


def test_a_message_is_delayed_by_the_longest_delay_of_its_records() -> None:
    """Otherwise one of its records would be retried too early."""
    world = World()
    one, other = world.upload("one.png"), world.upload("other.png")
    both = a_delivery(notification(upload_of(one).record, upload_of(other).record))
    world.tagger.fails_with(ApiTimeout("slow", retry_after_seconds=77), times=1)
    world.tagger.fails_with(ApiTimeout("slow"), times=1)

    world.tag(both)

    assert world.upload_queue.hidden_for == {both.receipt_handle: 77}


def test_a_failure_does_not_affect_other_deliveries() -> None:
    """Only the failed delivery is handed back."""
    world = World()
    good = world.upload("good.png")
    bad = world.upload("bad.png", b"no image")
    later = world.upload("later.png", metadata={"tagger-id": "later"})

    def refuse(call: Call) -> None:
        if call.request.context is not None:
            raise ApiTimeout("slow")

    world.tagger.before_answering = refuse

    handed_back = world.tag(good, bad, later)

    assert message_of(later) == handed_back
    assert world.codes == ["UNSUPPORTED_FORMAT"]
    assert world.newest(f"s3://{BUCKET}/good.png") is not None


# ---- deleted objects and records to skip


def test_a_deleted_object_is_skipped() -> None:
    """It was deleted before the function read it; that is no failure."""
    world = World()
    delivery = a_delivery(notification(record(version_id="version-9")))

    handed_back = world.tag(delivery)

    assert handed_back == ()
    assert world.skips == [SkipReason.OBJECT_GONE]
    assert (world.codes, world.tagger.calls) == ([], [])


def test_a_deleted_object_of_an_event_without_version_is_skipped() -> None:
    """Without version and etag it is not even claimed."""
    world = World()
    delivery = a_delivery(notification(record(version_id=None, etag=None)))

    handed_back = world.tag(delivery)

    assert handed_back == ()
    assert world.skips == [SkipReason.OBJECT_GONE]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sqs-s3-test-event", SkipReason.TEST_EVENT),
        ("sqs-folder-marker", SkipReason.FOLDER_MARKER),
    ],
)
def test_a_record_that_is_no_upload_is_skipped_for_a_named_reason(
    name: str, reason: SkipReason
) -> None:
    """It is counted and logged."""
    world = World()
    body = sample_event(name)["Records"][0]["body"]

    handed_back = world.tag(a_delivery(body))

    assert handed_back == ()
    assert [reason] == world.skips


ONLY_SUMMER = Selection(("summer/",), (".png", ".PNG"))


@pytest.mark.parametrize("key", ["winter/a.png", "summer/a.gif", "summer/notes/"])
def test_an_upload_that_is_not_selected_is_skipped_without_a_trace(key: str) -> None:
    """It is counted, but has no record, and S3 is not asked for its version."""
    world = World(selection=ONLY_SUMMER)
    delivery = a_delivery(notification(record(key, size=0, version_id=None)))

    handed_back = world.tag(delivery)

    assert handed_back == ()
    assert world.skips == [SkipReason.NOT_SELECTED]
    assert world.records.records == {}
    assert (world.tagger.calls, world.dead_letters.letters) == ([], [])


def test_a_selected_upload_beside_one_that_is_not_selected_is_tagged() -> None:
    """Of one message, as of several."""
    world = World(selection=ONLY_SUMMER)
    good = upload_of(world.upload("summer/a.png")).record
    other = upload_of(world.upload("winter/a.png")).record

    assert world.tag(a_delivery(notification(other, good))) == ()

    assert len(world.tags) == 1
    assert world.skips == [SkipReason.NOT_SELECTED]


def test_a_message_with_one_unreadable_record_is_tagged_and_dead_lettered() -> None:
    """The readable record is tagged; the letter has the whole body unchanged."""
    world = World()
    good = upload_of(world.upload()).record
    bad = {"eventSource": "aws:s3"}

    delivery = a_delivery(notification(good, bad))

    handed_back = world.tag(delivery)

    (letter,) = world.dead_letters.letters
    assert handed_back == ()
    assert len(world.announcer.announced) == 1
    assert letter.body == delivery.body


def test_a_batch_larger_than_the_width_is_tagged_as_a_whole() -> None:
    """A deployment that lowers BatchSize changes the function before the event source mapping."""
    world = World(width=2)
    deliveries = [world.upload(f"{number}.png") for number in range(7)]

    assert world.tag(*deliveries) == ()

    assert len(world.tags) == len(world.tagger.calls) == 7


# ---- envelopes of SNS


def test_an_upload_that_comes_both_in_an_sns_envelope_and_bare_is_tagged_once() -> None:
    """Its version identifies it, not its message."""
    world = World()
    delivery = world.upload()
    wrapped = replace(
        delivery, body=in_sns(delivery.body), message_id="w", receipt_handle="w"
    )

    assert world.tag(wrapped, delivery) == ()

    assert len(world.tagger.calls) == len(world.announcer.announced) == 1
    assert world.skips == [SkipReason.ALREADY_TAGGED]


def test_the_letter_and_the_record_of_an_upload_from_an_sns_envelope_are_bare() -> None:
    """Both are what S3 would have sent, and so is a replay."""
    world = World()
    delivery = world.upload(content=b"no image")

    world.tag(replace(delivery, body=in_sns(delivery.body)))

    [letter] = world.dead_letters.letters
    found = world.record_of(upload_of(delivery))
    assert letter.body == delivery.body
    assert found is not None
    assert found.failed is not None
    assert found.failed.notification == delivery.body


def test_nonsense_in_an_sns_envelope_is_dead_lettered_with_the_envelope() -> None:
    """The envelope names the topic; the message says that it was inside one."""
    world = World()
    body = in_sns("hello")

    assert world.tag(a_delivery(body)) == ()

    [letter] = world.dead_letters.letters
    assert (letter.failure.code, letter.body) == ("UNREADABLE_EVENT", body)
    assert "in the SNS envelope" in letter.failure.message


def test_the_uploads_of_an_event_of_sns_are_put_on_the_queue_bare() -> None:
    """The function itself may be subscribed to a topic."""
    world = World()
    event = sns_event(notification(record("a.png"), record("b.png")))

    queued = world.pipeline.enqueue(json.dumps(event), world.invocation())

    assert queued == 2
    assert world.upload_queue.bodies == [
        notification(record("a.png")),
        notification(record("b.png")),
    ]


# ---- deadline


@pytest.mark.parametrize("left", [0.0, 1.0, BUDGET.attempt - 0.1])
def test_an_upload_that_cannot_finish_in_time_is_handed_back(left: float) -> None:
    """It uses no attempt, because it was not claimed."""
    world = World()
    world.deadline.seconds = left
    delivery = world.upload()

    handed_back = world.tag(delivery)
    world.deadline.seconds = LEASE_SECONDS
    world.tag(delivery)

    assert message_of(delivery) == handed_back
    assert world.upload_queue.hidden_for == {delivery.receipt_handle: 1}
    assert [(retry.code, retry.work.attempt) for retry in world.hand_backs] == [
        ("DEADLINE", 0)
    ]
    assert world.tags[0].work.attempt == 1


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (60.0, API_TIMEOUT_SECONDS),
        (BUDGET.reserve + 20.0, 20.0),
        (BUDGET.reserve + BUDGET.least_call, BUDGET.least_call),
    ],
)
def test_the_api_call_gets_the_time_that_is_left(left: float, expected: float) -> None:
    """The timeout leaves time to store and announce, and is never more than half a minute."""
    world = World()
    delivery = world.upload()
    world.objects.before_reading = lambda: setattr(world.deadline, "seconds", left)

    world.tag(delivery)

    (call,) = world.tagger.calls
    assert call.timeout_seconds == pytest.approx(expected)


def test_a_call_without_enough_time_is_not_made_and_uses_no_attempt() -> None:
    """Its answer would be paid for and lost."""
    world = World(max_attempts=1)
    delivery = world.upload()
    world.deadline.seconds = (
        LEASE_SECONDS / 2
    )  # the images of other uploads took the other half
    world.objects.before_reading = lambda: setattr(world.deadline, "seconds", 3.2)

    assert world.tag(delivery) == ("message-1",)

    assert world.tagger.calls == []
    world.deadline.seconds = 60.0
    world.objects.before_reading = lambda: None
    assert world.tag(delivery) == ()
    assert world.tags[0].work.attempt == 1


# ---- outages of AWS services


def test_an_upload_that_cannot_be_claimed_is_handed_back_without_an_attempt() -> None:
    """Without the table attempts cannot be counted; the function makes no call without a claim."""
    world = World(max_attempts=1)
    world.records.fails_with(ResultsUnavailable("away"), at="claim")
    delivery = world.upload()

    handed_back = [world.tag(delivery) for _ in range(3)]
    world.records.recovers()
    handed_back.append(world.tag(delivery))

    assert handed_back == [message_of(delivery)] * 3 + [()]
    assert len(world.tagger.calls) == 1
    assert world.tags[0].work.attempt == 1


def test_an_upload_whose_object_cannot_be_looked_up_is_handed_back() -> None:
    """The function needs the version for the claim."""
    world = World()
    world.put()
    world.objects.fails_with(ObjectUnavailable("no"), times=1, at="find")
    delivery = a_delivery(notification(record(version_id=None, etag=None)))

    handed_back = [world.tag(delivery) for _ in range(2)]

    assert handed_back == [message_of(delivery), ()]
    assert len(world.announcer.announced) == 1


@pytest.mark.parametrize("end", ["release", "withdraw"])
def test_releasing_a_claim_is_retried_for_a_moment(end: str) -> None:
    """Until the lease expires no other worker can claim the upload; an outage is not waited out."""
    world = World()
    away = ResultsUnavailable("away")
    if end == "release":
        world.tagger.fails_with(ApiTimeout("slow"), times=1)
    else:  # a systemic failure that cannot be counted
        world.tagger.fails_with(KeyRefused("rotated"), times=1)
        world.breaker_store.fails_with(away, times=1, at="count_failure")
    world.results.fails_with(away, times=2, at=end)
    delivery = world.upload()
    began = world.clock.now()

    first = world.tag(delivery)
    second = world.tag(delivery)

    assert (first, second) == (message_of(delivery), ())
    assert world.clock.now() - began < 3


def test_a_claim_that_cannot_be_released_expires() -> None:
    """The upload waits a little longer and is retried."""
    world = World()
    world.tagger.fails_with(ApiTimeout("slow"), times=1)
    world.records.fails_with(ResultsUnavailable("away"), at="release")
    delivery = world.upload()

    first = world.tag(delivery)
    world.results.recovers()
    second = world.tag(delivery)
    world.clock.advance(LEASE_SECONDS + 1)
    third = world.tag(delivery)

    assert (first, second, third) == (message_of(delivery), message_of(delivery), ())
    assert [retry.code for retry in world.hand_backs] == ["API_TIMEOUT", "BUSY"]
    assert len(world.announcer.announced) == 1


def test_an_upload_that_cannot_be_dead_lettered_stays_on_the_queue() -> None:
    """Dead-letter first, acknowledge after."""
    world = World()
    world.dead_letters.fails_with(QueueUnavailable("away"), times=1)
    delivery = world.upload(content=b"no image")

    first = world.tag(delivery)
    world.clock.advance(LEASE_SECONDS + 1)
    second = world.tag(delivery)

    assert (first, second) == (message_of(delivery), ())
    assert world.codes == ["UNSUPPORTED_FORMAT"]
    assert world.hand_backs[0].code == "QUEUE_UNAVAILABLE"


def test_an_unreadable_message_that_cannot_be_dead_lettered_stays_on_the_queue() -> (
    None
):
    """It has no record, so the message is its only copy."""
    world = World()
    world.dead_letters.fails_with(QueueUnavailable("away"), times=1)
    delivery = a_delivery("no event")

    handed_back = [world.tag(delivery) for _ in range(2)]

    assert handed_back == [message_of(delivery), ()]
    assert world.codes == ["UNREADABLE_EVENT"]


def test_a_failure_that_cannot_be_stored_is_dead_lettered_again() -> None:
    """A crash may repeat a letter, but loses none."""
    world = World()
    world.records.fails_with(ResultsUnavailable("away"), at="FAILED")
    delivery = world.upload(content=b"no image")

    first = world.tag(delivery)
    world.records.recovers()
    world.clock.advance(LEASE_SECONDS + 1)
    second = world.tag(delivery)

    assert (first, second) == (message_of(delivery), ())
    assert world.codes == ["UNSUPPORTED_FORMAT", "UNSUPPORTED_FORMAT"]


@pytest.mark.parametrize(
    ("port", "at"),
    [
        ("objects", "find"),
        ("snapshots", "snapshot"),
        ("records", "claim"),
        ("objects", "read"),
        ("api_keys", "fresh_key"),
        ("tagger", "ask"),
        ("results", "store"),
        ("announcer", "announce"),
        ("records", "TAGGED"),
        ("dead_letters", "send"),
        ("records", "FAILED"),
    ],
)
def test_a_bug_does_not_affect_other_deliveries(port: str, at: str) -> None:
    """It is logged, and its delivery is handed back or dead-lettered."""
    world = World(max_attempts=1)
    bodies = [
        notification(record("find.png", version_id=None, etag=None)),
        world.upload("good.png").body,
        world.upload("bad.png", b"no image").body,
        world.upload("other.png").body,
    ]
    world.put("find.png")
    deliveries = [
        a_delivery(body, message_id=f"message-{number}")
        for number, body in enumerate(bodies)
    ]
    getattr(world, port).fails_with(ZeroDivisionError("ours"), times=1, at=at)

    handed_back = world.tag(*deliveries)

    known = {delivery.message_id for delivery in deliveries}
    ended = len(world.announcer.announced) + len(world.dead_letters.letters)
    assert len(world.bugs) == 1
    assert set(handed_back) <= known
    assert len(handed_back) <= 1
    assert ended + len(handed_back) >= 4


# ---- events without a queue


@pytest.mark.parametrize(
    "event", [sample_event("s3-put"), sample_event("eventbridge-object-created")]
)
def test_a_bare_event_is_put_on_the_queue(event: dict[str, object]) -> None:
    """There it has retries; the function does not tag it in the same invocation."""
    world = World()

    queued = world.pipeline.enqueue(json.dumps(event), world.invocation())

    (body,) = world.upload_queue.bodies
    assert queued == 1
    assert [type(entry) for entry in read_body(body)] == [Upload]
    assert world.tagger.calls == []


def test_each_upload_of_a_bare_event_is_a_message_of_its_own() -> None:
    """So one upload cannot hold up the other."""
    world = World()
    event = json.loads(notification(record("a.png"), record("b.png")))

    queued = world.pipeline.enqueue(json.dumps(event), world.invocation())

    assert queued == 2
    assert [upload_of(a_delivery(body)).key for body in world.upload_queue.bodies] == [
        "a.png",
        "b.png",
    ]


def test_a_folder_marker_of_a_bare_event_is_put_on_the_queue() -> None:
    """The function counts it when it receives it from there."""
    world = World()
    event = json.loads(notification(record("lookbook/", size=0)))

    queued = world.pipeline.enqueue(json.dumps(event), world.invocation())

    assert queued == 1
    (body,) = world.upload_queue.bodies
    assert world.tag(a_delivery(body)) == ()
    assert world.skips == [SkipReason.FOLDER_MARKER]


def test_a_bare_event_that_is_not_selected_is_not_queued() -> None:
    """It would only be skipped later."""
    world = World(selection=ONLY_SUMMER)
    event = notification(record("winter/a.png"), record("summer/b.png"))

    queued = world.pipeline.enqueue(event, world.invocation())

    (body,) = world.upload_queue.bodies
    assert (queued, "summer/b.png" in body) == (1, True)
    assert world.skips == [SkipReason.NOT_SELECTED]


def test_a_bare_event_that_is_no_upload_is_skipped() -> None:
    """It has no upload to count."""
    world = World()
    event = json.loads(notification(record(event_name="ObjectRestore:Completed")))

    queued = world.pipeline.enqueue(json.dumps(event), world.invocation())

    assert queued == 0
    assert world.upload_queue.bodies == []
    assert world.skips == [SkipReason.NOT_AN_UPLOAD]


def test_an_unreadable_bare_event_is_an_error() -> None:
    """The sender gets the error; readable uploads beside it are queued."""
    world = World()
    event = json.loads(notification({"eventSource": "aws:s3"}, record("b.png")))

    with pytest.raises(UnreadableEvent):
        world.pipeline.enqueue(json.dumps(event), world.invocation())

    assert len(world.upload_queue.bodies) == 1


def test_a_bare_event_that_cannot_be_queued_is_an_error() -> None:
    """Lambda retries it, and in the end sends it to the dead-letter queue."""
    world = World()
    world.upload_queue.fails_with(QueueUnavailable("away"))
    event = eventbridge_event()

    with pytest.raises(QueueUnavailable):
        world.pipeline.enqueue(json.dumps(event), world.invocation())


def test_the_api_key_is_in_no_log_and_no_letter() -> None:
    """This holds for a refused key, too."""
    world = World(max_attempts=1)
    world.tagger.accepted_key = "another"

    world.tag(world.upload(KEY))

    said = [*world.hand_backs, *world.dead_letters.letters, *world.dead_lettered]
    assert said
    assert API_KEY not in repr(said)
