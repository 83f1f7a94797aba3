"""
The announcements of results, for subscribers: CloudEvents 1.0 documents.

Each status of a result has an event type. docs/events.md describes the documents and attributes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hangtag.results import Document
from hangtag.text import to_printable_json

TAGGED = "hangtag.image.tagged.v1"
FAILED = "hangtag.image.failed.v1"
REMOVED = "hangtag.image.removed.v1"

_TYPES = MappingProxyType({"TAGGED": TAGGED, "FAILED": FAILED, "REMOVED": REMOVED})


@dataclass(frozen=True, slots=True)
class Announcement:
    """A CloudEvents 1.0 document and the SNS message attributes to filter it by."""

    document: Document
    texts: Mapping[str, str]
    """Attributes of type String."""
    lists: Mapping[str, tuple[str, ...]]
    """Attributes of type String.Array."""

    def message(self) -> str:
        """The document as JSON, its numbers digit for digit."""
        return to_printable_json(self.document)


def announcement_of(result: Document, *, bucket_arn: str) -> Announcement:
    """
    The announcement of a TAGGED, FAILED or REMOVED result.

    Its id is the same however often the same result is announced, and another one for every
    other result; one in another place of the sequence is another.
    """
    image, kind = result["image"], _TYPES[result["status"]]
    time = _time_of(result)
    texts = {"type": kind, "bucket": image["bucket"]}
    lists: dict[str, tuple[str, ...]] = {}
    if kind == TAGGED:
        texts |= {
            "language": result["language"],
            "productId": result["context"].get("id") or "",
            "gender": _name(result.get("genderInfo")),
        }
        lists = {"objectType": _object_types(result), **_tag_values(result)}
    elif kind == FAILED:
        failure = result["failure"]
        texts |= {"code": failure["code"], "kind": failure["kind"]}
    return Announcement(
        document={
            "specversion": "1.0",
            "id": _announcement_id(result, time),
            "type": kind,
            "source": bucket_arn,
            "subject": image["key"],
            "time": time,
            "datacontenttype": "application/json",
            "data": result,
        },
        texts={name: value for name, value in texts.items() if value},
        lists={name: values for name, values in lists.items() if values},
    )


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


def _object_types(result: Document) -> tuple[str, ...]:
    kinds = (found.get("type") for found in result["objects"])
    return tuple(
        dict.fromkeys(kind for kind in kinds if isinstance(kind, str) and kind)
    )


def _tag_values(result: Document) -> dict[str, tuple[str, ...]]:
    """The attributes of type String.Array: names and ids over all tags, each once."""
    values: dict[str, dict[str, None]] = {name: {} for name in _TAG_ATTRIBUTES}
    for found in result["objects"]:
        for tag in found.get("tags") or ():
            for name, attribute in _TAG_ATTRIBUTES.items():
                values[name] |= dict.fromkeys(named_values(tag.get(attribute)))
    return {name: tuple(found) for name, found in values.items()}


_TAG_ATTRIBUTES = {
    "category": "category",
    "item": "item",
    "color": "colors",
    "look": "looks",
}
"""Names of attributes of a tag, by the message attribute that lists their values."""


def named_values(attribute: object) -> list[str]:
    """The name and the id of an attribute, or of each in a list, without missing and empty ones."""
    return [
        value
        for named in (attribute if isinstance(attribute, list) else (attribute,))
        if isinstance(named, Mapping)
        for value in (named.get("name"), named.get("id"))
        if isinstance(value, str) and value
    ]


def _name(named: object) -> str:
    name = named.get("name") if isinstance(named, Mapping) else None
    return name if isinstance(name, str) else ""
