"""The result of an upload, as it is stored: tagged, failed or removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from hangtag.events import read_body
from hangtag.failure import Failure
from hangtag.lifecycle import Record
from hangtag.tagger_api import Answer, Context, Language
from hangtag.uploads import Upload

_Value = TypeVar("_Value")

Document = dict[str, Any]
"""JSON-like: dicts, lists, text, bool, None, and numbers as `int` and `Decimal`."""


_OWN_FIELDS = ("status", "image", "language", "context", "taggedAt")


def own_part(result: Document) -> Document:
    """The fields of a TAGGED result that are ours, without the API's answer."""
    return {name: result[name] for name in _OWN_FIELDS}


def tagged_result(
    upload: Upload,
    answer: Answer,
    *,
    language: Language,
    context: Context,
    tagged_at: str,
) -> Document:
    """The result of an upload that was tagged; *tagged_at* is ISO 8601, UTC."""
    ours: Document = {
        "status": "TAGGED",
        "image": upload.image(),
        "language": language,
        "context": context.document(),
        "taggedAt": tagged_at,
    }
    # Ours again, last: an unknown field of the answer must not pass for one of them.
    return ours | answer.document() | ours


def failed_result(upload: Upload, failure: Failure) -> Document:
    """The result of an upload that failed for good."""
    return {
        "status": "FAILED",
        "image": upload.image(),
        "failure": failure.document(),
    }


def failed_document(record: Record) -> Document | None:
    """The FAILED result that a record stands for; None if it is not FAILED, or a removal."""
    failed = record.failed
    if failed is None:
        return None
    for upload in read_body(failed.notification):
        if isinstance(upload, Upload) and not upload.is_removal:
            placed = upload.ordered_as(record.sequencer)
            document = failed_result(placed, failed.failure)
            if failed.discarded_at:
                document["failure"]["discardedAt"] = failed.discarded_at
            return document
    return None


def removed_result(upload: Upload, *, removed_at: str) -> Document:
    """The result of a key whose object is gone; *removed_at* is ISO 8601, UTC."""
    return {
        "status": "REMOVED",
        "image": upload.image(),
        "removedAt": removed_at,
    }


def named_in(attribute: object) -> Iterator[tuple[Mapping[str, Any], Decimal | None]]:
    """
    The values of an attribute, which is one or a list, each with its confidence.

    The confidence is None if the API gives none, or none that is a number.
    """
    for named in attribute if isinstance(attribute, list) else (attribute,):
        if isinstance(named, Mapping):
            value = named.get("confidence")
            if isinstance(value, bool) or not isinstance(value, int | Decimal):
                yield named, None
            else:
                yield named, Decimal(value)


def keep_highest(
    confidences: dict[_Value, Decimal | None],
    value: _Value,
    confidence: Decimal | None,
) -> None:
    """Add a value with its confidence, or raise the one it has; None is the highest."""
    known = confidences.setdefault(value, confidence)
    if known is not None and (confidence is None or confidence > known):
        confidences[value] = confidence
