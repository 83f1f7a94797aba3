"""Results of a batch: one bill, the newest version wins, store before announce."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from hangtag.errors import (
    AnnouncementFailed,
    ApiTimeout,
    HangtagError,
    QueueUnavailable,
    ResultsUnavailable,
)
from hangtag.tagger_api.errors import (
    ApiInternalError,
    FormatRefused,
    KeyNotSent,
    KeyRefused,
    PrefixRefused,
    RatioRefused,
    UrlNotFetched,
)
from hangtag.uploads import SkipReason
from tests.builders import (
    API_KEY,
    NOON,
    PNG,
    URI,
    a_delivery,
    message_of,
    notification,
    record,
)
from tests.fakes import LEASE_SECONDS, Call, Killed, World, upload_of

# ---- second calls in an attempt


def test_a_rotated_key_is_fetched_and_used_in_the_same_attempt() -> None:
    """A rotation costs one more call."""
    world = World()
    world.api_keys.key()
    world.api_keys.set_key("new key")
    world.tagger.accepted_key = "new key"

    handed_back = world.tag(world.upload())

    assert handed_back == ()
    assert [call.api_key for call in world.tagger.calls] == [API_KEY, "new key"]
    assert len(world.announcer.announced) == 1


@pytest.mark.parametrize("error", [KeyRefused, KeyNotSent])
def test_an_unchanged_key_is_not_sent_twice(
    error: type[HangtagError],
) -> None:
    """The API would refuse it again."""
    world = World()
    world.tagger.fails_with(error("no"))

    world.tag(world.upload())

    assert len(world.tagger.calls) == 1


def test_a_fresh_key_is_tried_once() -> None:
    """If the API refuses the fresh key too, the upload fails and an operator has to act."""
    world = World(max_attempts=1)
    world.api_keys.key()
    world.api_keys.set_key("new key")
    world.tagger.accepted_key = "another"

    world.tag(world.upload())

    assert [call.api_key for call in world.tagger.calls] == [API_KEY, "new key"]
    assert world.codes == ["609"]


def test_an_image_with_a_refused_prefix_is_sent_once_without_it() -> None:
    """The API's documentation contradicts itself about the prefix."""
    world = World()
    world.tagger.refuses_the_prefix = True

    handed_back = world.tag(world.upload())

    with_prefix, without = (call.request.image.content for call in world.tagger.calls)
    assert handed_back == ()
    assert with_prefix == "data:image/png;base64," + without
    assert len(world.announcer.announced) == 1


def test_a_prefix_error_about_an_image_without_prefix_is_a_failure() -> None:
    """The function makes two calls and no third."""
    world = World()
    world.tagger.fails_with(PrefixRefused("no"))

    world.tag(world.upload())

    assert len(world.tagger.calls) == 2
    assert world.codes == ["801"]


# ---- store, then announce


def test_a_result_that_was_not_stored_is_not_announced() -> None:
    """A subscriber that reads the table must find the result."""
    world = World()
    world.results.fails_with(ResultsUnavailable("away"), at="store")

    world.tag(world.upload())

    assert world.announcer.announced == []


def test_a_failed_announcement_is_retried_without_asking_again() -> None:
    """The answer is paid for and stored."""
    world = World()
    world.announcer.fails_with(AnnouncementFailed("away"), times=1)
    delivery = world.upload()

    first = world.tag(delivery)
    world.clock.advance(10)
    second = world.tag(delivery)

    (announcement,) = world.announcer.announced
    assert (first, second) == (message_of(delivery), ())
    assert len(world.tagger.calls) == 1
    assert announcement.document["time"] == NOON


def test_an_upload_whose_announcement_failed_for_good_is_replayed_for_free() -> None:
    """The letter is replayed, and the stored answer is announced."""
    world = World(max_attempts=1)
    world.announcer.fails_with(AnnouncementFailed("away"), times=1)
    delivery = world.upload()

    world.tag(delivery)
    world.tag(replace(delivery, replays=1))

    result = world.newest(URI)
    assert result is not None
    assert result["status"] == "TAGGED"
    assert len(world.tagger.calls) == 1
    assert len(world.announcer.announced) == 1


def test_an_announcement_that_cannot_be_recorded_is_repeated_with_the_same_id() -> None:
    """Announcements are at least once; subscribers recognise a repetition by its id."""
    world = World()
    world.records.fails_with(ResultsUnavailable("away"), at="TAGGED")
    delivery = world.upload()

    world.tag(delivery)
    world.records.recovers()
    world.tag(delivery)

    one, other = world.announcer.announced
    assert one.document == other.document
    assert len(world.tagger.calls) == 1


# ---- one bill


def test_a_repetition_of_a_tagged_upload_is_skipped() -> None:
    """S3 and SQS repeat messages; the function neither pays nor announces twice."""
    world = World()
    delivery = world.upload()

    world.tag(delivery)
    handed_back = world.tag(replace(delivery, message_id="other", receipt_handle="o"))

    assert handed_back == ()
    assert world.skips == [SkipReason.ALREADY_TAGGED]
    assert (len(world.tagger.calls), len(world.announcer.announced)) == (1, 1)


def test_a_repetition_in_the_same_batch_waits() -> None:
    """The second delivery waits until the first one's lease ends, and makes no call."""
    world = World()
    delivery = world.upload()
    twin = replace(delivery, message_id="twin", receipt_handle="handle of twin")

    handed_back = world.tag(delivery, twin)

    assert len(world.tagger.calls) == 1
    assert len(world.announcer.announced) == 1
    assert set(handed_back) <= {delivery.message_id, "twin"}
    assert len(handed_back) + len(world.skips) == 1


def test_an_upload_that_another_worker_has_claimed_is_retried_before_its_lease_ends() -> (
    None
):
    """Either that worker has finished by then, or it has crashed and the lease expires."""
    world = World()
    delivery = world.upload()
    world.kills("objects.read", after=False)
    with suppress(Killed):
        world.tag(delivery)
    world.revives()

    first = world.tag(delivery)
    world.clock.advance(LEASE_SECONDS)
    second = world.tag(delivery)

    assert (first, second) == (message_of(delivery), ())
    assert world.upload_queue.hidden_for == {delivery.receipt_handle: 1}
    assert [(retry.code, retry.work.attempt) for retry in world.hand_backs] == [
        ("BUSY", 0)
    ]
    assert world.tags[0].work.attempt == 2


def test_a_replay_starts_with_attempt_1() -> None:
    """Its letter counts one more replay."""
    world = World(max_attempts=2)
    world.tagger.fails_with(ApiTimeout("slow"))
    delivery = world.upload()

    for _ in range(2):
        world.tag(delivery)
    for _ in range(2):
        world.tag(replace(delivery, replays=1))

    first, second = world.dead_letters.letters
    assert (first.failure.attempts, first.replays) == (2, 0)
    assert (second.failure.attempts, second.replays) == (2, 1)


def test_a_replay_resets_the_attempts_of_a_waiting_retry() -> None:
    """The operator's request takes precedence, also before the last attempt has failed."""
    world = World(max_attempts=3)
    world.tagger.fails_with(ApiTimeout("slow"))
    delivery = world.upload()

    for _ in range(2):
        world.tag(delivery)
    for _ in range(2):
        world.tag(replace(delivery, replays=1))

    assert world.codes == []
    assert [retry.work.attempt for retry in world.hand_backs] == [1, 2, 1, 2]


def test_a_replay_of_an_upload_that_was_tagged_since_is_skipped() -> None:
    """Its letter was left over."""
    world = World()
    delivery = world.upload()

    world.tag(delivery)
    world.tag(replace(delivery, replays=1))

    assert world.skips == [SkipReason.ALREADY_TAGGED]


# ---- newest wins


def test_an_older_event_that_arrives_late_is_skipped() -> None:
    """The function makes no call and no announcement."""
    world = World()
    older, newer = world.upload(content=PNG + b"1"), world.upload(content=PNG + b"2")

    world.tag(newer)
    world.tag(older)

    result = world.newest(URI)
    assert result is not None
    assert world.skips == [SkipReason.SUPERSEDED]
    assert len(world.tagger.calls) == 1
    assert result["image"]["versionId"] == upload_of(newer).version_id


def test_an_older_call_that_answers_late_is_not_announced() -> None:
    """
    A newer version was tagged during the call; the late answer is stored in its own record only.
    """
    world = World()
    older, newer = world.upload(content=PNG + b"1"), world.upload(content=PNG + b"2")

    def overtake(_: Call) -> None:
        world.tagger.before_answering = lambda _: None
        world.tag(newer)

    world.tagger.before_answering = overtake

    world.tag(older)

    result = world.newest(URI)
    (announcement,) = world.announcer.announced
    assert result is not None
    assert result["image"]["versionId"] == upload_of(newer).version_id
    assert announcement.document["data"] == result
    assert world.skips == [SkipReason.SUPERSEDED]


def test_a_superseded_upload_is_not_called_about_again() -> None:
    """A repetition of it ends at once."""
    world = World()
    older, newer = world.upload(content=PNG + b"1"), world.upload(content=PNG + b"2")

    world.tag(newer)
    world.tag(older)
    handed_back = world.tag(older)

    assert handed_back == ()
    assert len(world.tagger.calls) == 1


def test_versions_of_different_keys_do_not_supersede_each_other() -> None:
    """Sequencers order the events of one key only."""
    world = World()
    older, newer = world.upload("a.png"), world.upload("b.png")

    world.tag(newer)
    world.tag(older)

    assert len(world.announcer.announced) == 2


def test_a_newer_version_that_failed_is_shown_instead_of_the_older_result() -> None:
    """Operators ask about the object that is in the bucket now."""
    world = World()
    older, newer = world.upload(content=PNG), world.upload(content=b"no image")

    world.tag(newer)
    world.tag(older)

    result = world.newest(URI)
    assert result is not None
    assert result["status"] == "FAILED"
    assert result["image"]["versionId"] == upload_of(newer).version_id


# ---- information that must not be lost


def test_an_event_without_a_sequencer_does_not_supersede_its_own_upload() -> None:
    """The copy comes from another sender and lacks the sequencer."""
    world = World()
    facts = world.put()
    completed = record(version_id=facts.version_id, etag=facts.etag, sequencer="0A")
    world.tagger.fails_with(RatioRefused("too long"), times=1)
    world.tag(a_delivery(notification(completed), message_id="message-1"))

    bare = record(version_id=facts.version_id, etag=facts.etag, sequencer=None)
    world.tag(a_delivery(notification(bare), message_id="message-2"))

    assert len(world.tags) == 1
    assert SkipReason.SUPERSEDED not in world.skips


def test_an_event_with_an_etag_only_is_about_the_version_with_that_etag() -> None:
    """In a versioned bucket both events are about one version, so there is one call."""
    world = World()
    delivery = world.upload()
    facts = world.objects.find(upload_of(delivery))
    assert facts is not None
    etag_only = record(version_id=None, etag=facts.etag, sequencer=None)

    world.tag(delivery)
    world.tag(a_delivery(notification(etag_only), message_id="message-2"))

    assert len(world.tagger.calls) == 1
    assert world.skips == [SkipReason.ALREADY_TAGGED]


def test_a_failure_that_could_not_be_dead_lettered_keeps_its_code() -> None:
    """
    The next delivery dead-letters the upload with the first failure, not with the queue's error.
    """
    world = World(max_attempts=2)
    world.tagger.fails_with(ApiInternalError("down"))
    delivery = world.upload()
    world.tag(delivery)
    world.dead_letters.fails_with(QueueUnavailable("away"), times=1)

    assert world.tag(delivery) == ("message-1",)
    assert world.tag(delivery) == ()

    assert world.codes == ["500"]


def test_a_stored_result_is_announced_after_any_number_of_attempts() -> None:
    """Announcing is free; dead-lettering it as ABANDONED would hide a paid result."""
    world = World(max_attempts=1)
    world.announcer.fails_with(RuntimeError("killed"), times=1)
    world.dead_letters.fails_with(QueueUnavailable("away"), times=1)
    delivery = world.upload()
    world.tag(delivery)

    assert world.tag(delivery) == ()

    assert len(world.tagger.calls) == 1
    assert len(world.tags) == 1


def test_an_outage_does_not_exhaust_the_receives() -> None:
    """The delay of hand-backs without an attempt grows, also where RetryBaseSeconds is 0."""
    world = World(retry_base_seconds=0)
    world.records.fails_with(ResultsUnavailable("away"))
    delivery = world.upload()
    delays = []
    for receives in (1, 2, 3, 20):
        world.tag(replace(delivery, receives=receives))
        delays.append(world.upload_queue.hidden_for[delivery.receipt_handle])

    assert [1, 2, 4, 1575] == delays  # a half of the last quarter of 1,800 is left out


def test_an_object_that_is_uploaded_again_after_its_deletion_is_tagged() -> None:
    """Without versions, the same bytes under the same key are the same upload."""
    world = World()
    delivery = world.upload()
    world.objects.forget(URI)
    world.tag(delivery)
    world.objects.restore(URI)

    world.tag(delivery)

    assert len(world.tags) == 1


# ---- image transport by URL


def test_with_url_transport_the_api_is_sent_a_link_to_the_version() -> None:
    """The request does not contain the image."""
    world = World(image_transport="url")
    delivery = world.upload(metadata={"tagger-brand": "B"})

    assert world.tag(delivery) == ()

    (call,) = world.tagger.calls
    assert call.request.image.type == "url"
    assert "versionId=version-1" in call.request.image.content
    assert call.request.context is not None
    assert call.request.context.brand == "B"


def test_a_file_that_is_no_image_is_refused_before_its_link_is_sent() -> None:
    """The function reads the first bytes in both transports."""
    world = World(image_transport="url")

    world.tag(world.upload(content=b"no image"))

    assert world.codes == ["UNSUPPORTED_FORMAT"]
    assert world.tagger.calls == []


def test_an_image_that_the_api_cannot_fetch_is_sent_as_base64() -> None:
    """After error 803 the same attempt makes a second call with the image."""
    world = World(image_transport="url")
    world.tagger.fails_with(UrlNotFetched("cannot fetch"), times=1)

    assert world.tag(world.upload()) == ()

    assert ["url", "base64"] == [call.request.image.type for call in world.tagger.calls]
    assert len(world.tags) == 1


def test_an_image_that_is_deleted_before_the_second_call_is_skipped() -> None:
    """A deleted object is skipped at every step."""
    world = World(image_transport="url")
    delivery = world.upload()
    world.tagger.fails_with(UrlNotFetched("cannot fetch"), times=1)
    world.tagger.before_answering = lambda _: world.objects.forget(URI)

    assert world.tag(delivery) == ()

    assert SkipReason.OBJECT_GONE in set(world.skips)


def test_a_presigned_url_is_in_no_log_and_no_letter() -> None:
    """A presigned URL gives access to the image."""
    world = World(image_transport="url")

    def refuse(call: Call) -> None:
        raise FormatRefused(f"cannot read {call.request.image.content}")

    world.tagger.before_answering = refuse
    world.tag(world.upload())

    (letter,) = world.dead_letters.letters
    assert letter.failure.message.endswith("&...")
    assert "secret" not in repr(letter) + repr(world.telemetry.events)
