"""
The announcements of results, for subscribers: CloudEvents 1.0 documents.

Each status of a result has an event type, with a JSON Schema in `events/schemas`.

SNS's rules, by the page of its developer guide or API reference that states them:

- Body and attributes (name, type, value) have 262,144 bytes at most; a topic with a higher limit
  takes no HTTP and no e-mail subscriptions (API: CreateTopic, Publish).
- XML's characters only: of the control characters, tab and line breaks (FAQ: limits). Filter
  policies need values that are valid in JSON strings, which excludes those, too. No value may be
  empty (guide: message attributes).
- A String.Array is a JSON array; its numbers, `true`, `false` and `null` are no texts. With raw
  delivery, SNS discards a message to SQS with more than ten attributes (guide: message attributes).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from hangtag.results import Document, keep_highest, named_in, own_part
from hangtag.text import to_attribute, to_json, to_printable_json

TAGGED = "hangtag.image.tagged.v1"
FAILED = "hangtag.image.failed.v1"
REMOVED = "hangtag.image.removed.v1"

_TYPES = MappingProxyType({"TAGGED": TAGGED, "FAILED": FAILED, "REMOVED": REMOVED})

MAX_BYTES = 256 * 1024
"""The largest announcement, body and attributes: SNS's default."""

MAX_LIST_BYTES = 64 * 1024
"""The most bytes of all values in attributes of type String.Array; most have less than 1 KiB."""

_LONGEST_VALUE = 2_048
"""Characters of an attribute's value: a product id in S3's metadata is shorter."""

EVERY_CONFIDENCE = Decimal(0)
"""The `MinConfidence` that keeps every value."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A CloudEvents 1.0 document and the SNS message attributes to filter it by."""

    document: Document
    message: str
    """The document as JSON, its numbers digit for digit."""
    texts: Mapping[str, str]
    """Attributes of type String."""
    lists: Mapping[str, tuple[str, ...]]
    """Attributes of type String.Array."""

    def attributes(self) -> dict[str, tuple[str, str]]:
        """The type and the value of each attribute, as SNS takes them."""
        return _attributes(self.texts, self.lists)


def announcement_of(
    result: Document,
    *,
    bucket_arn: str,
    table: str = "",
    large_results_bucket: str = "",
    min_confidence: Decimal = EVERY_CONFIDENCE,
) -> Announcement:
    """
    The announcement of a TAGGED, FAILED or REMOVED result; SNS always takes it.

    Its id is the same however often the same result is announced, and another one for every
    other result; one in another place of the sequence is another.

    Only a TAGGED result has tags. Attributes leave out those below *min_confidence*. If it is too
    large, the announcement leaves out the API's answer, and says where it is: in the results
    *table*, and from there perhaps in *large_results_bucket*.
    """
    image, kind = result["image"], _TYPES[result["status"]]
    time = _time_of(result)
    texts, values = _filters_of(result, min_confidence)
    is_cut = _cut(values)
    lists = {name: tuple(found) for name, found in values.items() if found}
    document = {
        "specversion": "1.0",
        "id": _announcement_id(result, time),
        "type": kind,
        "source": bucket_arn,
        "subject": image["key"],
        "time": time,
        "datacontenttype": "application/json",
        "data": _data_of(result, is_cut=is_cut),
    }
    message = to_printable_json(document)
    if _size_of(message, _attributes(texts, lists)) > MAX_BYTES:
        document["data"] = _data_of(own_part(result), is_cut=is_cut) | {
            "truncated": True,
            "fullResult": {
                "table": table,
                "key": {"uri": image["uri"], "version": "result"},
                "largeResultsBucket": large_results_bucket,
            },
        }
        message = to_printable_json(document)
    return Announcement(document, message, texts, lists)


# ---- the document


def _time_of(result: Document) -> str:
    """When the result was made, ISO 8601, UTC."""
    match result["status"]:
        case "FAILED":
            return str(result["failure"]["failedAt"])
        case "REMOVED":
            return str(result["removedAt"])
    return str(result["taggedAt"])


def _announcement_id(result: Document, time: str) -> str:
    image = result["image"]
    identity = [
        image["uri"],
        image["versionId"] or image["etag"],
        image["sequencer"],
        time,
    ]
    if result["status"] != "TAGGED":
        identity.append(result["status"])
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def _size_of(message: str, attributes: Mapping[str, tuple[str, str]]) -> int:
    """Bytes, as SNS counts them."""
    return len(message.encode()) + sum(
        len(name) + len(kind) + len(value.encode())
        for name, (kind, value) in attributes.items()
    )


def _data_of(result: Document, *, is_cut: bool) -> Document:
    """The result, without unknown fields of the answer that would pass for ours."""
    data = {name: value for name, value in result.items() if name not in _OF_LARGE}
    return data | {"attributesTruncated": True} if is_cut else data


_OF_LARGE = ("truncated", "fullResult", "attributesTruncated")
"""Fields that only large announcements have."""


# ---- the attributes

_Values = dict[str, dict[str, Decimal | None]]
"""Values by attribute, each with its highest confidence; None where the API gives none."""

_TAG_ATTRIBUTES = {
    "category": "category",
    "item": "item",
    "color": "colors",
    "look": "looks",
}
"""Names of attributes of a tag, by the message attribute that lists their values."""


def _attributes(
    texts: Mapping[str, str], lists: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, str]]:
    return {
        **{name: ("String", value) for name, value in texts.items()},
        **{name: ("String.Array", to_json(values)) for name, values in lists.items()},
    }


def _filters_of(result: Document, least: Decimal) -> tuple[dict[str, str], _Values]:
    """The attributes of type String, and of type String.Array."""
    status = result["status"]
    texts = {"type": _TYPES[status], "bucket": result["image"]["bucket"]}
    values: _Values = {}
    if status == "FAILED":
        failure = result["failure"]
        texts |= {"code": failure["code"], "kind": failure["kind"]}
    elif status == "TAGGED":
        genders = [
            named.get("name") for named, _ in _named(result.get("genderInfo"), least)
        ]
        texts |= {
            "language": result["language"],
            "productId": result["context"].get("id"),
            "gender": genders[0] if genders else None,
        }
        values = _values_of(result, least)
    cleaned = {name: _clean(value) for name, value in texts.items()}
    return {name: value for name, value in cleaned.items() if value}, values


def _values_of(result: Document, least: Decimal) -> _Values:
    """The types of the objects, and names and ids over all tags, each once."""
    values: _Values = {name: {} for name in ("objectType", *_TAG_ATTRIBUTES)}
    for found in result["objects"]:
        _add(values["objectType"], found.get("type"), None)
        for tag in found.get("tags") or ():
            for name, attribute in _TAG_ATTRIBUTES.items():
                for named, confidence in _named(tag.get(attribute), least):
                    _add(values[name], named.get("name"), confidence)
                    _add(values[name], named.get("id"), confidence)
    return values


def _add(
    values: dict[str, Decimal | None], value: object, confidence: Decimal | None
) -> None:
    text = _clean(value)
    if text:
        keep_highest(values, text, confidence)


def _named(
    found: object, least: Decimal
) -> Iterator[tuple[Mapping[str, Any], Decimal | None]]:
    """The values of an attribute, without those below the confidence *least*."""
    return (
        (named, confidence)
        for named, confidence in named_in(found)
        if confidence is None or confidence >= least
    )


def _clean(value: object) -> str:
    """*value* as SNS takes it; empty if it is no text, blank, or too long."""
    if not isinstance(value, str) or len(value) > _LONGEST_VALUE:
        return ""
    text = to_attribute(value)
    return text if text.strip() else ""


def _cut(values: _Values) -> bool:
    """
    Remove what exceeds `MAX_LIST_BYTES`; whether there was any.

    Values without a confidence are kept first, then the most confident ones.
    """
    left = MAX_LIST_BYTES
    if sum(_bytes_of(value) for found in values.values() for value in found) <= left:
        return False
    ranked = [
        # Unlike a minus, `copy_negate` takes every exponent and rounds nothing
        (confidence is not None, (confidence or Decimal(0)).copy_negate(), found, value)
        for found in values.values()
        for value, confidence in found.items()
    ]
    for _, _, found, value in sorted(ranked, key=lambda one: one[:2]):
        size = _bytes_of(value)
        if size <= left:
            left -= size
        else:
            del found[value]
    return True


def _bytes_of(value: str) -> int:
    """Of a value in a JSON array; `to_attribute` has removed what JSON escapes at length."""
    return len(value.encode()) + value.count('"') + value.count("\\") + len('"", ')
