"""Reads the events of the stream of the table of results: what has changed in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hangtag.adapters.dynamodb_records import failed_record_of
from hangtag.adapters.dynamodb_results import RESULT
from hangtag.adapters.dynamodb_table import from_attribute
from hangtag.errors import UnreadableEvent
from hangtag.indexing import NO_RESULT, Change, RecordFailed, ResultChanged, ResultItem
from hangtag.lifecycle import Status
from hangtag.results import Document

Image = Mapping[str, Any]
"""An item of the table before or after a change, in DynamoDB's notation."""


_UNREADABLE = (
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError),
    ValueError,
)


def read_changes(event: object) -> list[Change]:
    """
    The changes in an event with which Lambda invokes a function for a stream.

    Changes of other items are left out, and so is what this version does not know about an item.

    Raises:
        UnreadableEvent: It is no event of a stream, or an item is not as Hangtag writes it.
    """
    try:
        return list(_changes(event))
    except _UNREADABLE as error:
        raise UnreadableEvent(
            f"no changes of the table: {type(error).__name__}: {error}"
        ) from error


def oldest_change(event: Mapping[str, Any]) -> float | None:
    """When the first of the changes was made, in seconds since 1970; None if it does not say."""
    times = [
        float(found)
        for record in event["Records"]
        if (found := record["dynamodb"].get("ApproximateCreationDateTime"))
    ]
    return min(times, default=None)


def _changes(event: Any) -> Iterator[Change]:  # noqa: ANN401 - whatever was sent
    for record in event["Records"]:
        change = record["dynamodb"]
        keys = change["Keys"]
        old: Image = change.get("OldImage") or {}
        new: Image = change.get("NewImage") or {}
        if keys["version"]["S"] == RESULT:
            yield ResultChanged(keys["uri"]["S"], _result_in(old), _result_in(new))
        elif _is_failed(new):
            before = failed_record_of(old).failed if "failure" in old else None
            yield RecordFailed(failed_record_of(new), before)


def _result_in(image: Image) -> ResultItem:
    """The result in an item; a removed one has none."""
    if "result" not in image:
        return NO_RESULT
    document: Document = from_attribute({"M": image["result"]["M"]})
    large = image.get("largeResult")
    return ResultItem(document, None if large is None else str(large["S"]))


def _is_failed(image: Image) -> bool:
    return bool(image.get("status") == {"S": str(Status.FAILED)} and "failure" in image)
