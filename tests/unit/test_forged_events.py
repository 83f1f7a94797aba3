"""A sender to the upload queue can spend, but silences no key and changes no other upload."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hangtag.errors import HangtagError, ObjectForbidden, ObjectUnavailable
from hangtag.events import Delivery, retag_token
from hangtag.lifecycle import CallReason
from hangtag.policy import ImageTransport
from tests.builders import BUCKET, NOON_SECONDS, PNG, copy_of
from tests.fakes import LEASE_SECONDS, World, upload_of

HIGHEST = "F" * 64


def forged(
    delivery: Delivery,
    *,
    name: str = "forged",
    **changes: Any,  # noqa: ANN401 - JSON-like
) -> Delivery:
    """A message about the same object version, with other facts of its object."""
    document = json.loads(delivery.body)
    document["Records"][0]["s3"]["object"] |= changes
    return replace(copy_of(delivery, name), body=json.dumps(document))


def stored_version(world: World, delivery: Delivery) -> str:
    """The version whose result the key has."""
    stored = world.results.stored(upload_of(delivery).uri)
    assert stored is not None
    return stored.version


def announced_versions(world: World) -> list[str]:
    """The version ids of all announcements, in sequence."""
    return [
        one.document["data"]["image"]["versionId"] for one in world.announcer.announced
    ]


# ---- sequencers


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("is_told_first", [True, False])
def test_a_forged_sequencer_does_not_silence_a_key(
    *, versioned: bool, is_told_first: bool
) -> None:
    """The next upload is the object's current version, and takes the place of the lie."""
    world = World(versioned=versioned)
    old = world.upload(content=PNG + b"1")
    lie = forged(old, sequencer=HIGHEST)
    for delivery in (lie, old) if is_told_first else (old, lie):
        assert world.tag(delivery) == ()
    new = world.upload(content=PNG + b"2")

    assert world.tag(new) == ()

    assert world.ended_as(upload_of(new)) == "TAGGED"
    assert stored_version(world, new) == upload_of(new).version
    assert len(world.tagger.calls) == len(world.announcer.announced) == 2


def test_an_old_version_with_a_forged_sequencer_replaces_nothing() -> None:
    """Tagged or not, it is not the object's current version, and is not paid again."""
    world = World()
    tagged, untagged, new = (world.upload(content=PNG + bytes([n])) for n in range(3))
    for delivery in (tagged, new):
        assert world.tag(delivery) == ()

    for old in (tagged, untagged):
        for digits in range(50, 55):
            lie = forged(old, name=f"lie {digits}", sequencer="F" * digits)
            assert world.tag(lie) == ()

    assert stored_version(world, new) == upload_of(new).version
    assert world.ended_as(upload_of(tagged)) == "TAGGED"
    assert world.ended_as(upload_of(untagged)) == "SUPERSEDED"
    assert len(world.tagger.calls) == len(world.announcer.announced) == 2


@pytest.mark.parametrize("sequencer", ["0", HIGHEST])
def test_a_forged_place_of_the_current_version_does_not_lose_it(sequencer: str) -> None:
    """A low sequencer would end the new version as superseded before its own event arrives."""
    world = World()
    world.tag(world.upload(content=PNG + b"1"))
    new = world.upload(content=PNG + b"2")

    for delivery in (forged(new, sequencer=sequencer), new):
        assert world.tag(delivery) == ()

    assert world.ended_as(upload_of(new)) == "TAGGED"
    assert stored_version(world, new) == upload_of(new).version
    assert len(world.tagger.calls) == 2


@pytest.mark.parametrize("is_deleted", [True, False])
def test_of_two_versions_that_are_not_current_the_higher_sequencer_wins(
    *, is_deleted: bool
) -> None:
    """A third version is there, or a delete marker."""
    world = World()
    first, second = (world.upload(content=PNG + bytes([n])) for n in range(2))
    if is_deleted:
        world.objects.delete(upload_of(first).uri)
    else:
        world.put(upload_of(first).key, PNG + b"third")

    for delivery in (second, first):
        assert world.tag(delivery) == ()

    assert announced_versions(world) == [upload_of(second).version_id]
    assert world.ended_as(upload_of(first)) == "SUPERSEDED"


def test_while_the_current_version_has_failed_each_forged_switch_costs_one_call() -> (
    None
):
    """It puts one old version in the place of the other, until the current one is tagged."""
    world = World()
    old = [world.upload(content=PNG + bytes([n])) for n in range(2)]
    for delivery in (*old, world.upload(content=b"no image")):
        assert world.tag(delivery) == ()
    lies = [
        forged(old[digits % 2], name=f"lie {digits}", sequencer="F" * digits)
        for digits in range(50, 58)
    ]

    for lie in lies[:6]:
        assert world.tag(lie, copy_of(lie, f"{lie.message_id}, copy")) == ()

    assert len(world.tagger.calls) == 2 + 6
    for delivery in old:
        assert world.calls_about(upload_of(delivery))[CallReason.OVERTAKEN] == 3

    for delivery in (world.upload(content=PNG + b"new"), *lies[6:]):
        assert world.tag(delivery) == ()
    assert len(world.tagger.calls) == 2 + 6 + 1


def test_a_backfill_does_not_replace_a_result_that_has_a_sequencer() -> None:
    """Also of the current version: a message about an old one can come before it."""
    world = World()
    old, current = (world.upload(content=PNG + bytes([n])) for n in range(2))

    for delivery in (forged(old, sequencer="1"), forged(current, sequencer=None)):
        assert world.tag(delivery) == ()

    assert stored_version(world, old) == upload_of(old).version
    assert world.ended_as(upload_of(current)) == "SUPERSEDED"
    assert len(world.tagger.calls) == 1


def test_s3_is_asked_only_where_another_version_has_a_result() -> None:
    """First uploads, their copies and their retries make no further request."""
    world = World()
    world.objects.fails_with(AssertionError("no request"), at="find")
    delivery = world.upload()

    for one in (delivery, copy_of(delivery, "copy"), forged(delivery, sequencer="FF")):
        assert world.tag(one) == ()

    assert world.ended_as(upload_of(delivery)) == "TAGGED"


def test_while_s3_does_not_say_which_version_is_current_nothing_is_paid() -> None:
    """It is an attempt that failed; the next one tags the upload."""
    world = World()
    world.tag(world.upload(content=PNG + b"1"))
    new = world.upload(content=PNG + b"2")
    world.objects.fails_with(ObjectUnavailable("503"), at="find", times=1)

    assert len(world.tag(new)) == 1
    assert len(world.tagger.calls) == 1
    assert world.tag(new) == ()

    record = world.record_of(upload_of(new))
    assert record is not None
    assert record.attempts == 2
    assert stored_version(world, new) == upload_of(new).version


def test_if_s3_may_not_say_which_version_is_current_the_sequencers_do() -> None:
    """A role without the permission to list gets a 403 for a deleted object."""
    world = World()
    old, new = (world.upload(content=PNG + bytes([n])) for n in range(2))
    world.objects.fails_with(ObjectForbidden("403"), at="find")

    for delivery in (new, old):
        assert world.tag(delivery) == ()

    assert stored_version(world, new) == upload_of(new).version
    assert world.ended_as(upload_of(old)) == "SUPERSEDED"


def test_a_version_that_is_stored_during_a_call_is_judged_again() -> None:
    """Each of the two was judged newer than nothing; the current one has the result."""
    world = World()
    old, new = (world.upload(content=PNG + bytes([n])) for n in range(2))

    def meanwhile(_: object) -> None:
        world.tagger.before_answering = lambda _: None
        world.tag(forged(new, sequencer="0"))

    world.tagger.before_answering = meanwhile

    assert world.tag(forged(old, sequencer=HIGHEST)) == ()

    assert stored_version(world, new) == upload_of(new).version
    assert world.ended_as(upload_of(old)) == "SUPERSEDED"
    assert announced_versions(world) == [upload_of(new).version_id]


@pytest.mark.parametrize(("failures", "calls"), [(3, 2), (10_000, 3)])
def test_an_answer_that_was_paid_waits_for_s3_as_for_the_table(
    failures: int, calls: int
) -> None:
    """As long as the function's time lasts; then a second call has its reason."""
    world = World()
    old, new = (world.upload(content=PNG + bytes([n])) for n in range(2))

    def meanwhile(_: object) -> None:
        world.tagger.before_answering = lambda _: None
        world.tag(old)
        error: HangtagError = ObjectUnavailable("503")
        world.objects.fails_with(error, at="find", times=failures)

    world.tagger.before_answering = meanwhile

    handed_back = world.tag(new)
    world.objects.recovers()
    world.clock.advance(LEASE_SECONDS)
    if handed_back:
        assert world.tag(new) == ()

    assert stored_version(world, new) == upload_of(new).version
    assert len(world.tagger.calls) == calls
    assert world.calls_about(upload_of(new)).get(CallReason.UNSTORED, 0) == calls - 2


# ---- other facts of the event


def test_the_announcement_names_the_bucket_that_was_read() -> None:
    """Subscribers may filter by its source; the event's own ARN is not believed."""
    world = World()
    document = json.loads(world.upload().body)
    document["Records"][0]["s3"]["bucket"]["arn"] = "arn:aws:s3:::somebody-else"

    world.tag(replace(world.upload(), body=json.dumps(document)))

    [announcement] = world.announcer.announced
    assert announcement.document["source"] == f"arn:aws:s3:::{BUCKET}"


def test_a_forged_folder_marker_does_not_end_an_upload() -> None:
    """The genuine event was sent before that end, but has a sequencer: it is no copy."""
    world = World()
    delivery = replace(world.upload("folder/"), sent_at=world.clock.now() - 60)
    assert world.tag(forged(delivery, size=0)) == ()
    assert world.ended_as(upload_of(delivery)) == "FOLDER_MARKER"

    assert world.tag(delivery) == ()

    assert world.ended_as(upload_of(delivery)) == "TAGGED"


@pytest.mark.parametrize("replays", [3, 99, 900_000_000_000_000, 999_999_999_999_999])
def test_a_forged_count_of_replays_does_not_stop_replays(replays: int) -> None:
    """Copies of the forged message make no attempt, and the letter has the real count."""
    world = World()
    delivery = replace(world.upload(content=b"no image"), sent_at=NOON_SECONDS - 60)
    lie = replace(copy_of(delivery, "lie"), replays=replays)

    for one in (lie, lie, delivery, lie):
        assert world.tag(one) == ()

    [letter] = world.dead_letters.letters
    assert letter.replays == 1
    replayed = replace(delivery, replays=letter.replays + 1)
    assert world.tag(replayed, replayed) == ()
    assert [one.replays for one in world.dead_letters.letters] == [1, 2]


@pytest.mark.parametrize("years", [0.001, 1, 5_000])
def test_a_retag_token_of_the_future_does_not_stop_later_requests(years: float) -> None:
    """It would sort above all tokens that follow."""
    world = World()
    delivery = world.upload()
    world.tag(delivery)
    future = world.clock.now() + years * 365 * 24 * 3_600
    world.tag(replace(delivery, retag=retag_token(future, "ffffffff")))
    assert len(world.tagger.calls) == 1
    world.clock.advance(3_600)
    token = retag_token(world.clock.now(), "00000000")

    assert world.tag(replace(delivery, retag=token)) == ()

    assert world.calls_about(upload_of(delivery)) == {
        CallReason.FIRST: 1,
        CallReason.AGAIN: 1,
    }


def test_a_token_of_a_clock_that_is_some_minutes_ahead_is_believed() -> None:
    """The operator's machine makes it."""
    world = World()
    delivery = world.upload()
    world.tag(delivery)
    token = retag_token(world.clock.now() + 240, "00000000")

    assert world.tag(replace(delivery, retag=token)) == ()

    assert len(world.tagger.calls) == 2


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2026-11-22T11:59:50.000Z", 10),
        ("2026-11-22T12:00:01.000Z", -1),
        ("2026-11-09T12:00:00.000Z", 13 * 24 * 3_600),
        ("2026-11-01T12:00:00.000Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("2026-11-22T13:00:00.000Z", None),
        (["2026"], None),
    ],
)
def test_a_forged_time_does_not_spoil_the_latency(
    time: object, seconds: float | None
) -> None:
    """SQS keeps a message for 14 days, and S3's clock is right within minutes."""
    world = World()
    delivery = world.upload()
    document: dict[str, Any] = json.loads(delivery.body)
    document["Records"][0]["eventTime"] = time

    assert world.tag(replace(delivery, body=json.dumps(document))) == ()

    [tagged] = world.tags
    assert tagged.seconds_since_upload == seconds


@pytest.mark.parametrize("image_transport", ["base64", "url"])
@pytest.mark.parametrize(
    "changes",
    [
        {"eTag": "0" * 32},
        {"size": 1},
        {"size": -1},
        {"eTag": "0" * 32, "sequencer": "0", "size": 10**15},
    ],
)
def test_forged_facts_of_a_version_cost_one_call_and_lose_nothing(
    changes: dict[str, Any], image_transport: ImageTransport
) -> None:
    """The genuine event finds its version tagged, and the result has the facts of the object."""
    world = World(image_transport=image_transport)
    delivery = replace(world.upload(), sent_at=world.clock.now())

    for one in (forged(delivery, **changes), delivery, forged(delivery, **changes)):
        assert world.tag(one) == ()

    assert world.ended_as(upload_of(delivery)) == "TAGGED"
    assert len(world.tagger.calls) == len(world.announcer.announced) == 1
    shown = world.newest(upload_of(delivery).uri)
    assert shown is not None
    for name in ("etag", "size"):
        assert shown["image"][name] == upload_of(delivery).image()[name]


@pytest.mark.parametrize(
    "changes", [{"versionId": "another"}, {"versionId": None, "eTag": "0" * 32}]
)
def test_a_version_that_does_not_exist_costs_no_call(
    changes: dict[str, Any],
) -> None:
    """Only the record of the invented version says that it is gone."""
    world = World()
    delivery = replace(world.upload(), sent_at=world.clock.now())

    assert world.tag(forged(delivery, **changes)) == ()
    assert world.tagger.calls == []
    assert world.tag(delivery) == ()

    assert world.ended_as(upload_of(delivery)) == "TAGGED"
