"""The item of the next free slot takes fewer updates than there are calls: no upload is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.rate_item import BEFORE_SECONDS, SECONDS, Load
from hangtag.adapters.dynamodb_slots import DynamoDBSlots
from hangtag.events import Delivery
from tests.fakes import HotItem, World

UNITS = 1.0
"""Updates that the item takes in a second; a DynamoDB partition takes 1,000."""


def most_in_a_second(moments: list[float]) -> int:
    """The highest number of calls that start within a second."""
    return max(sum(at <= other < at + 1 for other in moments) for at in moments)


def throttled_world(*, rate: float) -> tuple[World, HotItem, list[float]]:
    """A pipeline whose slots are in a throttled item; and the moments of its calls."""
    world = World(requests_per_second=rate, max_attempts=1, width=1)
    item = HotItem(world.clock, units_per_second=UNITS)
    client: Any = item
    slots: Any = DynamoDBSlots(client, "table")
    world.slots = slots
    world.pipeline = world.instance(lambda port, _: port)
    moments: list[float] = []
    world.tagger.before_answering = lambda _: moments.append(world.clock.now())
    return world, item, moments


def tag_all(world: World, uploads: list[Delivery]) -> int:
    """Receives the uploads in batches of ten until none is handed back; returns the rounds."""
    rounds = 0
    while uploads:
        rounds += 1
        assert rounds < 100
        left: list[Delivery] = []
        for start in range(0, len(uploads), 10):
            batch = uploads[start : start + 10]
            world.deadline.begin()
            back = world.tag(*batch)
            left += [one for one in batch if one.message_id in back]
        world.clock.advance(max(world.upload_queue.hidden_for.values(), default=0.0))
        uploads = [replace(one, receives=one.receives + 1) for one in left]
    return rounds


def test_uploads_without_a_slot_of_a_throttled_item_are_handed_back_and_tagged_later() -> (
    None
):
    """With `MaxAttempts` 1: a throttled reservation is no attempt, and there is no call."""
    world, item, moments = throttled_world(rate=100.0)
    uploads = [world.upload(f"{number}.png") for number in range(80)]

    rounds = tag_all(world, uploads)

    assert item.throttled > 0
    assert rounds > 1
    assert {retry.code for retry in world.hand_backs} == {"RESULTS_UNAVAILABLE"}
    assert len(moments) == len(world.announcer.announced) == len(uploads)
    assert world.dead_letters.letters == []
    assert most_in_a_second(moments) <= 100


@pytest.mark.parametrize("instances", [3, 6, 20])
def test_a_throttled_item_admits_most_of_the_calls_that_it_has_units_for(
    instances: int,
) -> None:
    """However many instances compete for it, they do not lock each other out."""
    units = 40.0
    load = Load(rate=80.0, instances=instances, answer=0.5)

    item = load.run(units_per_second=units)

    end = BEFORE_SECONDS + SECONDS
    calls = sum(BEFORE_SECONDS <= at < end for at in load.began) / SECONDS
    assert item.throttled > 0
    assert calls > units / 2
    assert most_in_a_second(load.began) <= 80
