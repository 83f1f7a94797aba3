"""The result of an upload, as it is stored, and its announcement."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hangtag.failure import Failure
from hangtag.tagger_api import Answer, Context, Language
from hangtag.text import to_printable_json
from hangtag.uploads import Upload

ANNOUNCEMENT_TYPE = "hangtag.image.tagged.v1"

Document = dict[str, Any]
"""JSON-like: dicts, lists, text, bool, None, and numbers as `int` and `Decimal`."""


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
    The announcement of a TAGGED result.

    Its id is the same however often the same result is announced, and another one for every
    other result; one in another place of the order is another.
    """
    image = result["image"]
    texts = {
        "type": ANNOUNCEMENT_TYPE,
        "bucket": image["bucket"],
        "language": result["language"],
        "productId": result["context"].get("id") or "",
        "gender": _name(result.get("genderInfo")),
    }
    lists = {
        "objectType": _object_types(result),
        **_tag_values(result),
    }
    return Announcement(
        document={
            "specversion": "1.0",
            "id": _announcement_id(result),
            "type": ANNOUNCEMENT_TYPE,
            "source": bucket_arn,
            "subject": image["key"],
            "time": result["taggedAt"],
            "datacontenttype": "application/json",
            "data": result,
        },
        texts={name: value for name, value in texts.items() if value},
        lists={name: values for name, values in lists.items() if values},
    )


def _announcement_id(result: Document) -> str:
    image = result["image"]
    identity = [
        image["uri"],
        image["versionId"] or image["etag"],
        image["sequencer"],
        result["taggedAt"],
    ]
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
