"""docs/events.md describes the announcements, and its consumer keeps what the page promises."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.announcements import TAGGED, Announcement, announcement_of
from hangtag.results import Document, removed_result
from hangtag.tagger_api import Context
from tests.builders import BUCKET, NOON, a_failed_result, a_failure, a_result, an_upload
from tests.events_page import CONSUMER, PAGE, consumer, filter_policies

ARN = f"arn:aws:s3:::{BUCKET}"


def announced(result: Document) -> Announcement:
    """The announcement of a result."""
    return announcement_of(result, bucket_arn=ARN)


def every_type() -> list[Announcement]:
    """A tagged, a failed and a removed image."""
    failed = a_failed_result()
    failed["failure"] = a_failure(image_format="HEIC").document()
    return [
        announced(a_result(context=Context(id="SKU-1"))),
        announced(failed),
        announced(removed_result(an_upload(), removed_at=NOON)),
    ]


def rows(table: str) -> dict[str, str]:
    """The rows of the table with this first heading: its other cells by name."""
    text = PAGE.split(f"\n| {table} |", 1)[1].split("\n\n", 1)[0]
    found: dict[str, str] = {}
    for line in text.splitlines()[2:]:
        names, rest = line.strip("| ").split(" | ", 1)
        found |= dict.fromkeys(re.findall(r"`([\w.]+)`", names), rest)
    return found


def paths(data: Document) -> Iterator[str]:
    """The fields of a result, and those in its `image` and `failure`."""
    for name, value in data.items():
        if name in ("image", "failure"):
            yield from (f"{name}.{inner}" for inner in value)
        else:
            yield name


# ---- fields and attributes


def test_every_field_is_on_the_page() -> None:
    """For each type; a subscriber never reads our code."""
    fields, of_data = rows("field"), rows("field of `data`")

    for announcement in every_type():
        document = announcement.document
        assert set(document) == set(fields)
        kind = document["type"].split(".")[2]
        said = {
            name for name, rest in of_data.items() if rest.startswith(("all", kind))
        }
        assert set(paths(document["data"])) - said == set()


def test_every_message_attribute_is_on_the_page_with_its_type() -> None:
    """Filter policies depend on both."""
    attributes = rows("attribute")
    seen = set()

    for announcement in every_type():
        kind = announcement.document["type"].split(".")[2]
        for name in announcement.texts:
            assert re.match(rf"String \| (all|{kind}) ", attributes[name])
        for name in announcement.lists:
            assert re.match(rf"String.Array \| (all|{kind}) ", attributes[name])
        seen |= {*announcement.texts, *announcement.lists}

    assert seen == set(attributes)


def test_a_tagged_announcement_has_at_most_ten_attributes() -> None:
    """SQS takes ten, and SNS drops a message with more if its delivery is raw."""
    of_tagged = [
        name for name, rest in rows("attribute").items() if "| failed" not in rest
    ]

    assert len(of_tagged) <= 10


# ---- filter policies


@pytest.mark.parametrize("policy", filter_policies().values(), ids=json.dumps)
def test_a_filter_policy_is_within_the_limits_of_sns(policy: dict[str, Any]) -> None:
    """At most five names and 150 combinations of values."""
    parts = policy.get("$or", [policy])
    names = {name for part in parts for name in part}
    combinations = sum(
        math.prod(len(values) for values in part.values()) for part in parts
    )

    assert len(names) <= 5
    assert combinations <= 150


# ---- the consumer


def an_event(key: str, sequencer: str | None, time: str = NOON) -> Document:
    """A tagged announcement."""
    upload = an_upload(key, sequencer=sequencer, version_id=f"version {sequencer}")
    return announced(a_result(upload, tagged_at=time)).document


LATER = "2026-11-22T12:00:01.000Z"
OLDEST_FIRST = [
    an_event("a", None),
    an_event("a", "9F"),
    an_event("a", "00a0"),
    an_event("a", "0100"),
    an_event("a", "100", LATER),
    an_event("a", "0FFFFFFFFFFFFFFFFF"),
]
"""The announcements of a key; sequencers differ in length and case."""


def consumed(events: list[Document]) -> list[Document]:
    """What the consumer applies of these."""
    applied: list[Document] = []
    newest: dict[str, Any] = {}
    consume = consumer()
    for event in events:
        consume(event, newest, applied.append)
    return applied


def test_the_consumer_is_short() -> None:
    """So that subscribers read it."""
    lines = [line for line in CONSUMER.splitlines() if line.strip()]

    assert len(lines) <= 15


@given(
    st.lists(
        st.sampled_from([*OLDEST_FIRST, an_event("b", "01"), an_event("b", "02")]),
        max_size=40,
    )
)
def test_shuffled_and_repeated_announcements_leave_the_newest(
    events: list[Document],
) -> None:
    """Each is applied once at most, later ones only; the last one of a key is its newest."""
    age = [*OLDEST_FIRST, an_event("b", "01"), an_event("b", "02")]

    applied = consumed(events)

    for key in ("a", "b"):
        received = [age.index(event) for event in events if event["subject"] == key]
        used = [age.index(event) for event in applied if event["subject"] == key]
        assert used == sorted(set(used))
        assert used[-1:] == ([max(received)] if received else [])


def test_every_order_of_tagged_failed_and_removed_ends_alike() -> None:
    """As in the table of the page."""
    failed = announced(a_failed_result(an_upload("a", sequencer="02"))).document
    tagged = an_event("a", "02", LATER)
    removed = announced(
        removed_result(an_upload("a", sequencer="03"), removed_at=NOON)
    ).document
    again = an_event("a", "04")

    for order in itertools.permutations([failed, tagged, removed]):
        assert consumed(list(order))[-1] == removed
    for order in itertools.permutations([failed, tagged]):
        assert consumed(list(order))[-1] == tagged
    for order in itertools.permutations([tagged, removed, again]):
        assert consumed(list(order))[-1] == again
    assert tagged["type"] == TAGGED


def test_work_that_failed_is_done_again() -> None:
    """The consumer remembers an announcement after it was applied."""
    consume, event = consumer(), an_event("a", "01")
    newest: dict[str, Any] = {}
    applied: list[Document] = []

    def crash(_event: Document) -> None:
        raise OSError("the shop is down")

    with pytest.raises(OSError, match="the shop is down"):
        consume(event, newest, crash)
    consume(event, newest, applied.append)

    assert applied == [event]
