"""Reads the changes of the table from the events of its stream."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag import lifecycle
from hangtag.adapters.dynamodb_records import item_of
from hangtag.adapters.dynamodb_stream import oldest_change, read_changes
from hangtag.adapters.dynamodb_table import to_attribute
from hangtag.errors import UnreadableEvent
from hangtag.indexing import NO_RESULT, RecordFailed, ResultChanged, ResultItem
from hangtag.lifecycle import Record
from hangtag.uploads import SkipReason
from tests.builders import (
    NOON,
    NOON_SECONDS,
    URI,
    a_failed_record,
    a_result,
    an_upload,
    key_of,
    stream_event,
    stream_record,
)

RESULT_ITEM = {
    "result": to_attribute(a_result()),
    "objectVersion": {"S": "version:version-1"},
    "order": {"S": "0065"},
    "fence": {"N": "1"},
}
TOMBSTONE = {
    "objectVersion": {"S": "version:version-2"},
    "order": {"S": "0066"},
    "removedAt": {"S": NOON},
    "expiresAt": {"N": "1800000000"},
}


def changed(**images: Any) -> dict[str, Any]:  # noqa: ANN401 - an item
    """The event of a change of a key's result."""
    return stream_event(stream_record(version="result", **images))


def recorded(new: Record, old: Record | None = None) -> dict[str, Any]:
    """The event of a change of a record."""
    upload = an_upload()
    return stream_event(
        stream_record(
            version=upload.version,
            old=None if old is None else item_of(key_of(upload), old),
            new=item_of(key_of(upload), new),
        )
    )


def test_a_stored_result_is_a_change_from_none() -> None:
    """Its numbers are as they are stored."""
    [change] = read_changes(changed(new=RESULT_ITEM))

    assert change == ResultChanged(URI, NO_RESULT, ResultItem(a_result()))


def test_a_replaced_result_is_read_with_the_one_before() -> None:
    """Its entries are removed."""
    new = {**RESULT_ITEM, "result": to_attribute(a_result(tagged_at="2027"))}

    [change] = read_changes(changed(old=RESULT_ITEM, new=new))

    assert change == ResultChanged(
        URI, ResultItem(a_result()), ResultItem(a_result(tagged_at="2027"))
    )


@pytest.mark.parametrize("image", [{"new": TOMBSTONE}, {}], ids=["tombstone", "TTL"])
def test_a_removed_or_expired_result_is_none(image: dict[str, Any]) -> None:
    """DynamoDB deletes an item that has expired, and says so in the stream."""
    [change] = read_changes(changed(old=RESULT_ITEM, **image))

    assert change == ResultChanged(URI, ResultItem(a_result()), NO_RESULT)


def test_a_large_result_has_the_key_of_its_object() -> None:
    """The item has no more than our own part."""
    new = {**RESULT_ITEM, "largeResult": {"S": "a/b.json"}}

    [change] = read_changes(changed(new=new))

    assert change == ResultChanged(URI, NO_RESULT, ResultItem(a_result(), "a/b.json"))


def test_a_failure_is_read_from_its_record() -> None:
    """With what its announcement needs."""
    record = a_failed_record()

    [change] = read_changes(recorded(record, Record(rev="rev-1")))

    assert change == RecordFailed(
        Record(
            status=lifecycle.Status.FAILED,
            sequencer=record.sequencer,
            failed=record.failed,
        ),
        before=None,
    )


def test_a_failure_that_was_there_before_is_read_too() -> None:
    """A reservation writes the same failure again."""
    record = a_failed_record()

    [change] = read_changes(recorded(lifecycle.reserve(record, until=9.0), record))

    assert isinstance(change, RecordFailed)
    assert change.before == record.failed


def test_other_changes_are_left_out() -> None:
    """The filter of the event source mapping keeps most of them away."""
    failed = a_failed_record()
    upload = an_upload()
    others = [
        Record(),
        replace(Record(), status=lifecycle.Status.TAGGED),
        lifecycle.skip(None, SkipReason.OBJECT_GONE, at=NOON),
        lifecycle.discard(failed, at=NOON),
        lifecycle.replay(failed),
    ]
    records = [
        stream_record(version=upload.version, new=item_of(key_of(upload), one))
        for one in others
    ]
    records += [
        stream_record(version=upload.version, old=item_of(key_of(upload), failed)),
        stream_record("hangtag:breaker", version="state", new={"failures": {"N": "1"}}),
    ]

    assert read_changes(stream_event(*records)) == []


def test_an_item_of_a_later_version_is_read() -> None:
    """What this version does not know is left out."""
    upload = an_upload()
    record = item_of(key_of(upload), a_failed_record())
    record |= {"calls": {"M": {"LATER": {"N": "1"}}}, "later": {"BOOL": True}}
    event = stream_event(
        stream_record(version=upload.version, new=record),
        stream_record(version="result", new={**RESULT_ITEM, "later": {"L": []}}),
    )

    assert len(read_changes(event)) == 2


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        None,
        {"Records": [{}]},
        {"Records": [{"dynamodb": {"Keys": {}}}]},
        changed(new={"result": {"S": "text"}}),
        changed(new={"result": {"M": {"a": {"N": "1e999"}}}}),
        changed(new={"result": {"M": {"a": {"X": "1"}}}}),
    ],
)
def test_what_is_no_event_of_the_stream_is_refused(event: object) -> None:
    """Somebody invoked the function by hand, or another program wrote into the table."""
    with pytest.raises(UnreadableEvent):
        read_changes(event)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["M", "L", "S", "N", "SS", "B", "result", "status", "uri"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)
PLACES = [
    ("Keys",),
    ("Keys", "version"),
    ("NewImage",),
    ("NewImage", "result"),
    ("NewImage", "result", "M", "taggedAt"),
    ("NewImage", "largeResult"),
    ("NewImage", "failure"),
    ("NewImage", "failure", "M"),
    ("NewImage", "sequencer"),
    ("OldImage",),
    ("OldImage", "failure"),
]


@pytest.mark.fuzz("hangtag.adapters.dynamodb_stream.read_changes")
@given(place=st.sampled_from(PLACES), value=JSON, is_result=st.booleans())
def test_any_event_is_read_or_refused(
    place: tuple[str, ...], value: object, *, is_result: bool
) -> None:
    """A change that is refused ends in the queue of failures, and takes no other with it."""
    upload = an_upload()
    failed = item_of(key_of(upload), a_failed_record())
    record = deepcopy(
        stream_record(
            version="result" if is_result else upload.version,
            old=failed,
            new={**failed, **RESULT_ITEM},
        )
    )
    part = record["dynamodb"]
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value

    try:
        changes = read_changes(stream_event(record))
    except UnreadableEvent:
        return
    assert all(isinstance(one, ResultChanged | RecordFailed) for one in changes)


def test_the_oldest_change_of_a_batch_shows_the_lag() -> None:
    """An event that was made by hand may not say it."""
    new, old = (stream_record(version="result") for _ in range(2))
    old["dynamodb"]["ApproximateCreationDateTime"] = NOON_SECONDS - 5

    assert oldest_change(stream_event(new, old)) == NOON_SECONDS - 5
    del old["dynamodb"]["ApproximateCreationDateTime"]
    assert oldest_change(stream_event(old)) is None
