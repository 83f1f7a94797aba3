"""Removals: the result of an object that is gone goes, and no late event brings it back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hangtag.announcements import REMOVED, TAGGED, Announcement
from hangtag.dead_letters import RETENTION_SECONDS
from hangtag.ending import REMOVAL_FAILED
from hangtag.errors import (
    AnnouncementFailed,
    ObjectForbidden,
    ObjectUnavailable,
    QueueUnavailable,
    ResultsUnavailable,
)
from hangtag.events import Delivery, retag_token
from hangtag.lifecycle import CallReason, Status
from hangtag.operators.show import newest
from hangtag.ports import StoredResult
from hangtag.removal import TOMBSTONE_SECONDS
from hangtag.tagger_api.errors import KeyRefused
from hangtag.telemetry import Removed
from hangtag.uploads import SkipReason, order_of
from tests.builders import KEY, NOON, PNG, URI, a_delivery, a_failed_record, copy_of
from tests.fakes import LEASE_SECONDS, Call, Killed, World, upload_of


def announced(world: World) -> list[tuple[str, str]]:
    """The last part of the type, and the version id, of each announcement."""
    return [
        (one.document["type"].split(".")[2], one.document["data"]["image"]["versionId"])
        for one in world.announcer.announced
    ]


def place_of(announcement: Announcement) -> tuple[int, str]:
    """Its place among the announcements of its key, as docs/events.md compares it."""
    document = announcement.document
    sequencer = document["data"]["image"]["sequencer"]
    return (int(sequencer, 16) if sequencer else -1, document["time"])


def tombstone_of(world: World, uri: str = URI) -> StoredResult:
    """The tombstone of a key."""
    stored = world.results.stored(uri)
    assert stored is not None
    assert stored.removed_at is not None
    assert stored.document is None
    return stored


def sent_again(world: World) -> list[Delivery]:
    """Takes the messages that the function has put on the upload queue."""
    bodies, world.upload_queue.bodies = world.upload_queue.bodies, []
    return [
        a_delivery(body, message_id=f"sent again {number} of {len(bodies)}")
        for number, body in enumerate(bodies)
    ]


def work_off(world: World, *deliveries: Delivery) -> None:
    """Invokes the function for each delivery, and for what it puts on the queue itself."""
    waiting = list(deliveries)
    while waiting:
        assert world.tag(waiting.pop(0)) == ()
        waiting += sent_again(world)


def tagged_and_deleted(world: World) -> Delivery:
    """Tags an upload, and removes its result; returns the delivery of the upload."""
    delivery = world.upload()
    work_off(world, delivery)
    work_off(world, world.delete())
    return delivery


# ---- the object is gone


@pytest.mark.parametrize("versioned", [True, False])
def test_a_deletion_removes_the_result_and_is_announced(versioned: bool) -> None:  # noqa: FBT001 - a parameter
    """Without a call of the API."""
    world = World(versioned=versioned)
    upload = world.upload()
    assert world.tag(upload) == ()

    removal = world.delete()
    assert world.tag(removal) == ()

    assert world.newest(URI) is None
    assert world.ended_as(upload_of(removal)) == "REMOVED"
    stored = tombstone_of(world)
    assert (stored.version, stored.order) == (
        upload_of(removal).version,
        upload_of(removal).order,
    )
    [tagged, removed] = world.announcer.announced
    assert tagged.document["type"] == TAGGED
    assert removed.document["type"] == removed.texts["type"] == REMOVED
    assert removed.document["data"] == {
        "status": "REMOVED",
        "image": upload_of(removal).image(),
        "removedAt": stored.removed_at,
    }
    assert len(world.tagger.calls) == 1
    assert [one.upload for one in world.telemetry.of(Removed)] == [upload_of(removal)]


def test_a_deletion_of_a_key_without_a_result_is_announced_too() -> None:
    """A subscriber may have been told that the key failed."""
    world = World()
    world.tag(world.upload(content=b"no image"))
    removal = world.delete()

    assert world.tag(removal) == ()

    assert [kind for kind, _ in announced(world)] == ["removed"]
    assert world.newest(URI) is None
    tombstone_of(world)


def test_copies_of_a_deletion_are_announced_once() -> None:
    """However often S3 and SQS repeat it, and also if somebody asks for new tags."""
    world = World()
    world.tag(world.upload())
    removal = world.delete()
    token = retag_token(world.clock.now(), "00000000")

    assert world.tag(removal, copy_of(removal, "copy")) == ()
    assert world.tag(replace(removal, retag=token)) == ()
    assert world.tag(replace(removal, replays=1)) == ()

    assert [kind for kind, _ in announced(world)] == ["tagged", "removed"]
    assert world.skips == [SkipReason.ALREADY_REMOVED] * 3


def test_an_upload_that_arrives_after_its_deletion_costs_nothing() -> None:
    """Its version is still in the bucket, below the delete marker."""
    world = World()
    late = world.upload()

    assert world.tag(world.delete()) == ()
    assert world.tag(late) == ()

    assert world.ended_as(upload_of(late)) == "SUPERSEDED"
    assert world.tagger.calls == []
    tombstone_of(world)


@pytest.mark.parametrize("sequencer", [None, "F" * 64])
def test_a_forged_upload_does_not_bring_the_result_back(sequencer: str | None) -> None:
    """As long as the object is gone, no sequencer is high enough."""
    world = World()
    delivery = tagged_and_deleted(world)
    document = json.loads(delivery.body)
    document["Records"][0]["s3"]["object"]["sequencer"] = sequencer

    assert world.tag(a_delivery(json.dumps(document), message_id="lie")) == ()

    tombstone_of(world)
    assert len(world.tagger.calls) == 1


def test_an_upload_whose_object_is_deleted_during_the_call_has_no_result() -> None:
    """Its answer is paid, but finds the tombstone."""
    world = World()
    delivery = world.upload()

    def meanwhile(_: Call) -> None:
        world.tagger.before_answering = lambda _: None
        assert world.tag(world.delete()) == ()

    world.tagger.before_answering = meanwhile

    assert world.tag(delivery) == ()

    assert world.ended_as(upload_of(delivery)) == "SUPERSEDED"
    assert [kind for kind, _ in announced(world)] == ["removed"]
    tombstone_of(world)


def test_a_deletion_waits_for_no_slot() -> None:
    """The rate limits calls of the API."""
    world = World(requests_per_second=0.001)
    work_off(world, world.upload())
    assert len(world.tag(world.upload("other.png"))) == 1
    world.slots.fails_with(AssertionError("no request"), at="reserve")

    assert world.tag(world.delete()) == ()

    tombstone_of(world)


def test_a_deletion_waits_while_tagging_is_paused() -> None:
    """It goes through the same queue as the uploads."""
    world = World()
    world.breaker_store.pause(at=NOON)
    removal = world.removal()

    assert world.tag(removal) == (removal.message_id,)

    assert world.announcer.announced == []


def test_a_deletion_that_succeeds_does_not_close_the_breaker() -> None:
    """It says nothing about the API."""
    world = World()
    world.tagger.fails_with(KeyRefused("wrong key"), times=1)
    world.tag(world.upload())

    assert world.tag(world.removal("other.png")) == ()

    assert world.breaker_store.state.failures == 1


def test_the_removal_of_a_folder_marker_is_skipped() -> None:
    """Consoles create and delete these as folders."""
    world = World()
    marker = world.upload("folder/", b"")

    assert world.tag(marker, world.delete("folder/")) == ()

    assert world.skips == [SkipReason.FOLDER_MARKER] * 2
    assert world.announcer.announced == []


def test_an_image_whose_key_ends_in_a_slash_is_removed() -> None:
    """It is no folder marker."""
    world = World()

    work_off(world, world.upload("folder/"))
    work_off(world, world.delete("folder/"))

    assert [kind for kind, _ in announced(world)] == ["tagged", "removed"]
    tombstone_of(world, URI.removesuffix(KEY) + "folder/")


# ---- the object is there


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("removal_first", [True, False])
def test_an_upload_after_a_deletion_wins(removal_first: bool, versioned: bool) -> None:  # noqa: FBT001 - parameters
    """In whichever sequence the two events arrive."""
    world = World(versioned=versioned)
    world.tag(world.upload())
    removal, new = world.delete(), world.upload(content=PNG + b"new")

    work_off(world, *((removal, new) if removal_first else (new, removal)))

    stored = world.results.stored(URI)
    assert stored is not None
    assert stored.version == upload_of(new).version
    assert world.ended_as(upload_of(removal)) == "SUPERSEDED"
    assert len(world.tagger.calls) == 2


def test_the_same_image_uploaded_again_to_a_bucket_without_versions_is_tagged_again() -> (
    None
):
    """Its etag, and so its version, is that of the deleted object. Its answer is gone."""
    world = World(versioned=False)
    tagged_and_deleted(world)
    again = world.upload()

    work_off(world, again)

    assert world.newest(URI) is not None
    assert world.calls_about(upload_of(again)) == {
        CallReason.FIRST: 1,
        CallReason.OVERTAKEN: 1,
    }


def test_an_undelete_brings_the_result_back() -> None:
    """By a second call: the answer is not kept."""
    world = World()
    delivery = tagged_and_deleted(world)

    undelete = world.undelete()
    work_off(world, undelete)

    shown = world.newest(URI)
    assert shown is not None
    assert shown["image"]["versionId"] == upload_of(delivery).version_id
    assert shown["image"]["sequencer"] == upload_of(undelete).sequencer
    assert world.ended_as(upload_of(undelete)) == "SUPERSEDED"
    assert [kind for kind, _ in announced(world)] == ["tagged", "removed", "tagged"]
    assert world.calls_about(upload_of(delivery)) == {
        CallReason.FIRST: 1,
        CallReason.OVERTAKEN: 1,
    }


def test_an_undelete_brings_the_result_back_when_the_tombstone_has_expired() -> None:
    """The record says that the version was tagged once."""
    world = World()
    tagged_and_deleted(world)
    world.results.expire(URI)

    work_off(world, world.undelete())

    assert world.newest(URI) is not None


def test_an_expired_result_is_not_paid_again_when_an_older_version_goes() -> None:
    """A lifecycle rule may delete millions of older versions."""
    world = World(results_expire=True)
    old, new = world.upload(), world.upload(content=PNG + b"new")
    work_off(world, old, new)
    world.results.expire(URI)

    work_off(world, world.purge(upload_of(old)))

    assert len(world.tagger.calls) == 2
    assert world.results.stored(URI) is None


def test_a_version_that_was_never_tagged_has_no_expired_result() -> None:
    """Its upload came after the deletion; an undelete tags it for the first time."""
    world = World(results_expire=True)
    late = world.upload()
    work_off(world, world.delete(), late)
    world.results.expire(URI)

    work_off(world, world.undelete())

    assert world.newest(URI) is not None
    assert world.calls_about(upload_of(late)) == {CallReason.FIRST: 1}


def test_a_deletion_removes_a_result_that_expires_meanwhile() -> None:
    """DynamoDB deletes the item after the batch was read."""
    world = World()
    world.tag(world.upload())
    removal = world.delete()
    world.objects.after_finding = lambda: world.results.expire(URI)

    assert world.tag(removal) == ()

    assert world.ended_as(upload_of(removal)) == "REMOVED"
    tombstone_of(world)


def test_an_undelete_before_the_deletion_is_worked_on_changes_nothing() -> None:
    """The result was never removed."""
    world = World()
    delivery = world.upload()
    world.tag(delivery)
    removal = world.delete()
    undelete = world.undelete()

    work_off(world, undelete, removal)

    assert [kind for kind, _ in announced(world)] == ["tagged"]
    assert len(world.tagger.calls) == 1
    assert {world.ended_as(upload_of(one)) for one in (removal, undelete)} == {
        "SUPERSEDED"
    }


def test_an_undelete_while_a_worker_removes_the_result_is_not_lost() -> None:
    """The worker has asked S3 before the undelete, and stores its tombstone after it."""
    world = World()
    world.tag(world.upload())
    removal = world.delete()
    waiting: list[Delivery] = []

    def meanwhile() -> None:
        undelete = world.undelete()
        assert world.tag(undelete) == ()
        assert world.ended_as(upload_of(undelete)) == "SUPERSEDED"
        waiting.extend(sent_again(world))

    world.objects.after_finding = meanwhile

    work_off(world, removal)
    work_off(world, *waiting)

    assert world.newest(URI) is not None


def test_an_upload_after_an_undelete_is_called_about_once_per_version() -> None:
    """Its event is on its way while the removal puts another one on the queue."""
    world = World()
    world.tag(world.upload())
    removal, new = world.delete(), world.upload(content=PNG + b"new")
    assert world.tag(removal) == ()

    work_off(world, *sent_again(world), new, copy_of(new, "copy"))

    assert world.calls_about(upload_of(new)) == {CallReason.FIRST: 1}
    assert announced(world)[-1] == ("tagged", upload_of(new).version_id)


def test_the_version_below_a_version_that_is_deleted_for_good_has_the_result() -> None:
    """The older version is current again."""
    world = World()
    old, new = world.upload(), world.upload(content=PNG + b"new")
    work_off(world, old, new)

    work_off(world, world.purge(upload_of(new)))

    shown = world.newest(URI)
    assert shown is not None
    assert shown["image"]["versionId"] == upload_of(old).version_id
    assert world.calls_about(upload_of(old))[CallReason.OVERTAKEN] == 1


def test_the_deletion_of_an_older_version_changes_nothing() -> None:
    """Nothing is announced: the key has its result."""
    world = World()
    old, new = world.upload(), world.upload(content=PNG + b"new")
    work_off(world, old, new)
    removal = world.purge(upload_of(old))

    assert world.tag(removal) == ()

    assert sent_again(world) == []
    assert world.ended_as(upload_of(removal)) == "SUPERSEDED"
    assert [kind for kind, _ in announced(world)] == ["tagged", "tagged"]


def test_the_deletion_of_an_older_version_does_not_repeat_a_failure() -> None:
    """The failed version has its dead letter already."""
    world = World()
    old, failed = world.upload(), world.upload(content=b"no image")
    work_off(world, old, failed)

    work_off(world, world.purge(upload_of(old)))

    assert world.codes == ["UNSUPPORTED_FORMAT"]


def test_the_result_of_a_version_that_is_deleted_for_good_goes_without_another_one() -> (
    None
):
    """The version below it has failed: what is current has no tags."""
    world = World()
    failed, tagged = world.upload(content=b"no image"), world.upload()
    work_off(world, failed, tagged)

    work_off(world, world.purge(upload_of(tagged)))

    assert world.newest(URI) is None
    assert announced(world)[-1][0] == "removed"
    assert world.codes == ["UNSUPPORTED_FORMAT"]


def test_a_later_failure_is_shown_when_the_tagged_version_is_deleted_for_good() -> None:
    """It is the newest that is known of the key, for subscribers, too."""
    world = World()
    tagged, failed = world.upload(), world.upload(content=b"no image")
    work_off(world, tagged, failed)

    work_off(world, world.purge(upload_of(tagged)))

    shown = world.newest(URI)
    assert shown is not None
    assert shown["status"] == "FAILED"
    [_, removed] = world.announcer.announced
    sequencer = removed.document["data"]["image"]["sequencer"]
    assert order_of(sequencer) < upload_of(failed).order


def test_an_event_that_names_the_tagged_version_removes_nothing_that_is_there() -> None:
    """Whoever may send to the queue can name any version; S3 says that this one exists."""
    world = World()
    tagged, failed = world.upload(), world.upload(content=b"no image")
    work_off(world, tagged, failed)
    stored = world.results.read(URI)

    work_off(world, world.removal(version_id=upload_of(tagged).version_id))

    assert world.results.read(URI) == stored
    assert [kind for kind, _ in announced(world)] == ["tagged"]


def test_a_failure_after_a_deletion_is_not_repeated_when_an_older_version_goes() -> (
    None
):
    """The tombstone of the deletion is still there."""
    world = World()
    old = tagged_and_deleted(world)
    world.clock.advance(1)
    work_off(world, world.upload(content=b"no image"))

    work_off(world, world.purge(upload_of(old)))

    assert world.codes == ["UNSUPPORTED_FORMAT"]


def test_an_undelete_repeats_the_failure_before_the_deletion() -> None:
    """Subscribers were told that the image is gone."""
    world = World()
    work_off(world, world.upload(content=b"no image"))
    world.clock.advance(1)
    work_off(world, world.delete())
    world.clock.advance(1)

    work_off(world, world.undelete())

    assert world.codes == ["UNSUPPORTED_FORMAT"] * 2


def test_an_object_from_before_hangtag_is_not_tagged_when_an_older_version_goes() -> (
    None
):
    """A bucket may delete millions of old versions; only a backfill tags their objects."""
    world = World()
    world.put()
    world.put(content=PNG + b"new")

    work_off(world, world.removal(event_name="ObjectRemoved:Delete"))

    assert world.tagger.calls == []
    assert world.announcer.announced == []
    assert world.results.stored(URI) is None


def test_a_backfill_finds_what_a_tombstone_hides() -> None:
    """It has no sequencer, but S3 says that the object is there."""
    world = World()
    tagged_and_deleted(world)
    world.clock.advance(60)

    assert world.tag(found_by_a_backfill(world)) == ()

    shown = world.newest(URI)
    assert shown is not None
    [_, removed, tagged] = world.announcer.announced
    assert tagged.document["data"] == shown
    assert place_of(tagged) > place_of(removed)


def test_a_backfill_that_a_removal_overtakes_is_announced_as_newer() -> None:
    """The object is deleted during the call, and there again before the answer is stored."""
    world = World()
    document = json.loads(world.upload().body)
    del document["Records"][0]["s3"]["object"]["sequencer"]

    def meanwhile(_: Call) -> None:
        world.tagger.before_answering = lambda _: None
        assert world.tag(world.delete()) == ()
        world.undelete()
        world.clock.advance(1)

    world.tagger.before_answering = meanwhile

    assert world.tag(a_delivery(json.dumps(document))) == ()

    [removed, tagged] = world.announcer.announced
    assert tagged.document["data"] == world.newest(URI)
    assert place_of(tagged) > place_of(removed)


@pytest.mark.parametrize("during_the_call", [True, False])
def test_subscribers_take_what_a_backfill_finds_for_newer_than_the_removal(
    during_the_call: bool,  # noqa: FBT001 - a parameter
) -> None:
    """It has the sequencer of the removal, and a later time."""
    world = World()
    removal = upload_of(world.removal())
    found = found_by_a_backfill(world)

    def remove(_: object = None) -> None:
        world.results.remove(
            removal,
            order=removal.order,
            removed_at=NOON,
            expires_at=0,
            replacing=None,
        )

    if during_the_call:
        world.tagger.before_answering = remove
    else:
        remove()

    assert world.tag(found) == ()

    [tagged] = world.announcer.announced
    shown = world.newest(URI)
    assert shown is not None
    assert shown["image"] == tagged.document["data"]["image"]
    assert order_of(shown["image"]["sequencer"]) == removal.order


def found_by_a_backfill(world: World) -> Delivery:
    """The message about an object whose own event was lost: it has no sequencer."""
    document = json.loads(world.upload(content=PNG + b"found by a backfill").body)
    del document["Records"][0]["s3"]["object"]["sequencer"]
    return a_delivery(json.dumps(document))


def test_a_forged_deletion_of_an_object_that_is_there_changes_nothing() -> None:
    """Who may send to the queue cannot remove results."""
    world = World()
    world.tag(world.upload())

    assert world.tag(world.removal()) == ()

    assert world.newest(URI) is not None
    assert [kind for kind, _ in announced(world)] == ["tagged"]


def test_a_forged_deletion_of_an_object_that_is_gone_does_not_stop_an_undelete() -> (
    None
):
    """Its sequencer is higher than all that follow."""
    world = World()
    tagged_and_deleted(world)
    document = json.loads(world.removal().body)
    document["Records"][0]["s3"]["object"]["sequencer"] = "F" * 64
    work_off(world, a_delivery(json.dumps(document), message_id="lie"))

    work_off(world, world.undelete())

    assert world.newest(URI) is not None


def test_of_two_deletions_the_later_one_stays() -> None:
    """Each is announced, except one that finds the tombstone of a later one."""
    world = World()
    world.tag(world.upload())
    first = world.delete()
    world.upload(content=PNG + b"new")  # its event is late
    second = world.delete()

    work_off(world, second, first)

    assert tombstone_of(world).version == upload_of(second).version
    assert world.ended_as(upload_of(first)) == "SUPERSEDED"
    assert [kind for kind, _ in announced(world)] == ["tagged", "removed"]


def test_the_deletion_of_what_is_left_of_a_deleted_object_is_announced_again() -> None:
    """A version below its delete marker: an upload in between may have failed."""
    world = World()
    upload = tagged_and_deleted(world)

    work_off(world, world.purge(upload_of(upload)))

    assert [kind for kind, _ in announced(world)] == ["tagged", "removed", "removed"]
    assert len({one.document["id"] for one in world.announcer.announced}) == 3


# ---- failures


@pytest.mark.parametrize(
    ("step", "call", "after"),
    [
        ("records.swap", 0, False),
        ("records.swap", 0, True),
        ("snapshots.snapshot", 0, True),
        ("objects.find", 0, False),
        ("objects.find", 0, True),
        ("results.remove", 0, False),
        ("results.remove", 0, True),
        ("objects.find", 1, False),
        ("objects.find", 1, True),
        ("announcer.announce", 0, False),
        ("announcer.announce", 0, True),
        ("records.swap", 1, False),
        ("records.swap", 1, True),
    ],
)
def test_a_deletion_is_announced_after_a_kill_at_any_request(
    step: str, call: int, *, after: bool
) -> None:
    """A repeated announcement has the same id and time."""
    world = World()
    world.tag(world.upload())
    removal = world.delete()
    world.kills(step, call=call, after=after)
    with pytest.raises(Killed):
        world.tag(removal)
    world.revives()
    world.clock.advance(LEASE_SECONDS + 1)

    assert world.tag(removal) == ()

    assert world.ended_as(upload_of(removal)) == "REMOVED"
    tombstone_of(world)
    _, *removed = world.announcer.announced
    assert len({one.message for one in removed}) == 1


@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("objects.find", 0),
        ("snapshots.snapshot", 1),
        ("upload_queue.send", 0),
        ("records.swap", 1),
    ],
)
@pytest.mark.parametrize("after", [True, False])
def test_an_undelete_brings_the_result_back_after_a_kill_at_any_request(
    step: str, call: int, *, after: bool
) -> None:
    """By one further call."""
    world = World()
    tagged_and_deleted(world)
    undelete = world.undelete()
    world.kills(step, call=call, after=after)
    with pytest.raises(Killed):
        world.tag(undelete)
    world.revives()
    world.clock.advance(LEASE_SECONDS + 1)

    work_off(world, undelete, *sent_again(world))

    assert world.newest(URI) is not None
    assert len(world.tagger.calls) == 2


@pytest.mark.parametrize(
    ("port", "method", "error", "attempts"),
    [
        ("objects", "find", ObjectUnavailable("503"), 2),
        ("announcer", "announce", AnnouncementFailed("503"), 2),
        ("results", "remove", ResultsUnavailable("503"), 1),
        ("results", "the response to remove", ResultsUnavailable("lost"), 1),
        ("records", "REMOVED", ResultsUnavailable("503"), 1),
        ("records", "the response to REMOVED", ResultsUnavailable("lost"), 1),
    ],
)
def test_a_deletion_is_retried_when_a_service_fails(
    port: str, method: str, error: Exception, attempts: int
) -> None:
    """Failures of the table count no attempt, as for an upload without a call."""
    world = World()
    world.tag(world.upload())
    removal = world.delete()
    getattr(world, port).fails_with(error, at=method, times=1)

    for _ in range(3):
        world.clock.advance(LEASE_SECONDS + 1)
        handed_back = world.tag(removal)
    assert handed_back == ()

    record = world.record_of(upload_of(removal))
    assert record is not None
    assert record.status is Status.REMOVED
    assert record.attempts == attempts
    ids = {one.document["id"] for one in world.announcer.announced}
    assert len(ids) == 2


@pytest.mark.parametrize("error", [ObjectForbidden("403"), ObjectUnavailable("503")])
def test_a_deletion_that_s3_does_not_confirm_is_dead_lettered(error: Exception) -> None:
    """The event alone removes nothing. A replay removes the result."""
    world = World(max_attempts=2)
    world.tag(world.upload())
    removal = replace(world.delete(), sent_at=world.clock.now() - 5)
    world.objects.fails_with(error, at="find")
    assert world.tag(removal) == (removal.message_id,)
    assert world.tag(removal) == ()
    [letter] = world.dead_letters.letters
    assert letter.failure.message.startswith(REMOVAL_FAILED)
    shown = world.newest(URI)
    assert shown is not None
    assert shown["status"] == "TAGGED"
    world.objects.recovers()

    assert world.tag(a_delivery(letter.body, message_id="replay", replays=1)) == ()

    assert world.ended_as(upload_of(removal)) == "REMOVED"
    tombstone_of(world)


def test_an_undelete_is_retried_while_the_upload_queue_fails() -> None:
    """Otherwise the result would be lost."""
    world = World()
    tagged_and_deleted(world)
    undelete = world.undelete()
    world.upload_queue.fails_with(QueueUnavailable("503"), at="send", times=1)
    assert len(world.tag(undelete)) == 1

    work_off(world, undelete)

    assert world.newest(URI) is not None


def test_without_the_batch_read_a_deletion_replaces_what_is_stored() -> None:
    """The condition of its write shows the result."""
    world = World()
    world.tag(world.upload())
    removal = world.delete()
    world.snapshots.fails_with(ResultsUnavailable("503"), times=1)

    assert world.tag(removal) == ()

    tombstone_of(world)


def test_a_deletion_gives_up_for_now_if_others_always_store_first() -> None:
    """It is handed back, and is no attempt."""
    world = World()
    world.tag(world.upload())
    removal = world.delete()

    rival = StoredResult("version:rival", "0", None)
    world.results.remove = lambda *_, **__: rival  # type: ignore[method-assign]

    assert world.tag(removal) == (removal.message_id,)

    record = world.record_of(upload_of(removal))
    assert record is not None
    assert record.attempts == 0


# ---- what is shown, and for how long


def test_a_failure_after_the_deletion_is_shown() -> None:
    """An upload after the removal has failed."""
    world = World()
    tagged_and_deleted(world)
    work_off(world, world.upload(content=b"no image"))

    shown = world.newest(URI)

    assert shown is not None
    assert shown["status"] == "FAILED"


def test_a_removal_that_failed_is_not_shown_as_a_failed_upload() -> None:
    """The key still has its result."""
    removal = upload_of(World().removal())

    assert newest(None, [a_failed_record(removal)]) is None


def test_a_tombstone_outlives_every_message_that_was_sent_before_it() -> None:
    """On the upload queue, in the dead-letter queue, and replayed on the upload queue."""
    assert TOMBSTONE_SECONDS > 3 * RETENTION_SECONDS
