"""
Prints an example of an announcement, made by the function's own code.

    python -m events.generate_examples tagged > events/examples/tagged.json
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import Any

from hangtag.announcements import announcement_of
from hangtag.failure import Failure
from hangtag.results import Document, failed_result, removed_result, tagged_result
from hangtag.tagger_api import Context, read_answer
from hangtag.tagger_api.errors import SidesTooSmall
from hangtag.text import to_json
from hangtag.uploads import Upload

_BUCKET = "hangtag-uploads-example"
_TIME = "2026-11-30T10:15:30.123Z"

_UPLOAD = Upload(
    bucket=_BUCKET,
    key="lookbook/spring jacket.jpg",
    version_id="3sL4kqtJlcpXroDTDmJrmSpXd3dIbrHY",
    etag="0123456789abcdef0123456789abcdef",
    size=184_467,
    sequencer="0065A3F1C2D4E5B607",
    record={},
)

_JACKET: dict[str, Any] = {
    "category": {"id": "T0360", "name": "jacket"},
    "position": {"x": Decimal("0.5033992828"), "y": Decimal("0.5039257706")},
    "item": {
        "id": "T0345",
        "name": "balmacaan-jacket",
        "confidence": Decimal("0.7787289023"),
    },
    "colors": [{"id": "T0326", "name": "beige", "confidence": Decimal("0.8287289023")}],
    "colorDetails": [
        {
            "code": "#e5ccaf",
            "name": "Desert Sand",
            "pixelFraction": Decimal("0.6287289023"),
        }
    ],
    "prints": [{"id": "T0198", "name": "solid", "confidence": Decimal("0.9128728902")}],
    "looks": [{"id": "T0141", "name": "casual", "confidence": Decimal("0.8063992262")}],
    "sleeveLength": {
        "id": "T0082",
        "name": "long-sleeve",
        "confidence": Decimal("0.9563992262"),
    },
}


def _tagged(*objects: dict[str, Any], gender: dict[str, str] | None) -> Document:
    data = {"objects": objects, "genderInfo": gender}
    body = to_json({"status": "ok", "data": data, "error": None})
    return tagged_result(
        _UPLOAD,
        read_answer(body.encode(), http_status=201),
        language="en",
        context=Context(id="SKU-1042", detection=("TOP",), brand="Example"),
        tagged_at=_TIME,
    )


def _clothing(*garments: dict[str, Any]) -> Document:
    clothing = {"type": "CLOTHING", "tags": garments}
    return _tagged(clothing, gender={"id": "T0418", "name": "male"})


def _failed() -> Document:
    failure = Failure.of(
        SidesTooSmall("The width or height of the image is too small."),
        attempts=1,
        failed_at=_TIME,
    )
    return failed_result(_UPLOAD, failure)


EXAMPLES: dict[str, Document] = {
    "tagged": _clothing(_JACKET),
    "tagged-nothing-detected": _tagged({"type": "NODETC", "tags": []}, gender=None),
    "tagged-truncated": _clothing({**_JACKET, "padding": "x" * 300_000}),
    "removed": removed_result(_UPLOAD, removed_at=_TIME),
    "failed": _failed(),
}
"""The results that are announced, by the name of the file."""


def example_text(name: str) -> str:
    """The content of the file in `events/examples`."""
    announcement = announcement_of(
        EXAMPLES[name],
        bucket_arn=f"arn:aws:s3:::{_BUCKET}",
        table="hangtag-ResultsTable-EXAMPLE",
        large_results_bucket="hangtag-largeresultsbucket-example",
    )
    # Through JSON, for line breaks between the fields; floats have room for these digits
    document = json.loads(announcement.message)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(example_text(sys.argv[1]))
