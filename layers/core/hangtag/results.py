"""The result of an upload, as it is stored, and its announcement."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hangtag.failure import Failure
from hangtag.tagger_api import Answer, Context, Language, named_values
from hangtag.text import to_json
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
        return to_json(self.document)


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
        "objectType": _distinct(_object_types(result)),
        "category": _distinct(_tag_values(result, "category")),
        "item": _distinct(_tag_values(result, "item")),
        "color": _distinct(_tag_values(result, "colors")),
        "look": _distinct(_tag_values(result, "looks")),
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


def _object_types(result: Document) -> Iterator[str]:
    for found in result["objects"]:
        kind = found.get("type")
        if isinstance(kind, str) and kind:
            yield kind


def _tag_values(result: Document, attribute: str) -> Iterator[str]:
    """Names and ids of one attribute (or all of a list of them) over all tags."""
    for found in result["objects"]:
        for tag in found.get("tags") or ():
            value = tag.get(attribute)
            for named in value if isinstance(value, list) else (value,):
                yield from named_values(named)


def _name(named: object) -> str:
    name = named.get("name") if isinstance(named, Mapping) else None
    return name if isinstance(name, str) else ""


def _distinct(values: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
