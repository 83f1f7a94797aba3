"""Uploads that are tagged again, and results without a place in the sequence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hangtag.errors import ApiTimeout
from hangtag.events import Delivery
from hangtag.lifecycle import CallReason
from tests.fakes import World, upload_of


def backfilled(
    world: World, delivery: Delivery, *, token: str | None = None
) -> Delivery:
    """The message that a backfill sends about an upload: without a sequencer."""
    document = json.loads(delivery.body)
    document["Records"][0]["s3"]["object"].pop("sequencer")
    identity = f"{delivery.message_id} {token}"
    return replace(
        delivery,
        body=json.dumps(document),
        message_id=identity,
        receipt_handle=identity,
        retag=token,
        sent_at=world.clock.now(),
    )


@pytest.mark.parametrize("versioned", [True, False])
def test_an_upload_that_moved_up_in_the_sequence_is_tagged_again(
    versioned: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    """Its record was made by a message without a sequencer, or with a lower one."""
    world = World(versioned=versioned)
    delivery = world.upload()
    first = backfilled(world, delivery) if versioned else delivery
    second = delivery if versioned else world.upload()
    assert world.tag(first) == world.tag(second) == ()
    world.clock.advance(100)

    assert world.tag(backfilled(world, delivery, token="1 a")) == ()

    upload = upload_of(delivery)
    newest = world.newest(upload.uri)
    assert world.ended_as(upload) == "TAGGED"
    assert world.calls_about(upload) == {CallReason.FIRST: 1, CallReason.AGAIN: 1}
    assert newest is not None
    assert newest["image"]["sequencer"] == upload_of(second).sequencer


def test_messages_with_two_tokens_are_paid_once_each_and_end() -> None:
    """An operator asks twice, because nothing seems to happen."""
    world = World()
    delivery = world.upload()
    world.tag(delivery)
    world.clock.advance(100)
    one, two = (backfilled(world, delivery, token=token) for token in ("1 a", "2 b"))

    for message in (one, two, one, two, one):
        assert world.tag(message) == ()

    assert world.calls_about(upload_of(delivery)) == {
        CallReason.FIRST: 1,
        CallReason.AGAIN: 2,
    }


def test_messages_with_two_tokens_share_their_attempts() -> None:
    """Otherwise each would give the other another round of attempts, for ever."""
    world = World(max_attempts=3)
    delivery = world.upload()
    world.tag(delivery)
    world.tagger.fails_with(ApiTimeout("slow"))
    one, two = (backfilled(world, delivery, token=token) for token in ("1 a", "2 b"))

    for message in (two, one, two):
        world.clock.advance(100)
        world.tag(message)

    assert world.codes == [ApiTimeout.code]


def test_of_versions_without_a_sequencer_the_one_that_ended_last_is_shown() -> None:
    """Both were found by a backfill."""
    world = World()
    older = world.upload(content=b"no image")
    world.tag(backfilled(world, older))
    world.clock.advance(3_600)
    newer = world.upload()
    world.tag(backfilled(world, newer))

    shown = world.newest(upload_of(newer).uri)

    assert shown is not None
    assert (shown["status"], shown["image"]["versionId"]) == (
        "TAGGED",
        upload_of(newer).version_id,
    )


def test_an_upload_whose_stored_result_is_lost_is_tagged_again() -> None:
    """Somebody deleted the object of a large result: the operator asks for a new answer."""
    world = World()
    delivery = world.upload()
    world.tag(delivery)
    upload = upload_of(delivery)
    world.results.lose(upload.uri)
    world.clock.advance(100)

    assert world.tag(backfilled(world, delivery, token="1 a")) == ()

    assert world.newest(upload.uri) is not None
    assert world.calls_about(upload) == {CallReason.FIRST: 1, CallReason.AGAIN: 1}
