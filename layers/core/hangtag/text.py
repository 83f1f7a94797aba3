"""Text for output: JSON, timestamps, printable characters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal


def shortened(text: str, longest: int = 200) -> str:
    """*text*, or its beginning and "..." if it has more than *longest* characters."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


UNPRINTABLE = re.compile(
    "[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    "|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""The characters that `printable` replaces."""


def printable(text: str) -> str:
    """
    *text* on one line, with a space for each character that a log, a terminal or SQS may refuse.

    SQS accepts U+0020 to U+D7FF, U+E000 to U+FFFD and U+10000 to U+10FFFF. Marks that change the
    direction of writing are replaced, too: they make one name look like another.
    """
    return UNPRINTABLE.sub(" ", text)


def to_json(document: object) -> str:
    """
    *document* as JSON on one line; a `Decimal` keeps its digits.

    Raises:
        TypeError: A value in it has no JSON form.
    """
    if isinstance(document, Mapping):
        members = (
            f"{json.dumps(name, ensure_ascii=False)}: {to_json(value)}"
            for name, value in document.items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(document, list | tuple):
        return "[" + ", ".join(map(to_json, document)) + "]"
    if isinstance(document, Decimal):
        if not document.is_finite():
            raise TypeError(f"{document} is not a JSON number")
        return str(document)
    return json.dumps(document, ensure_ascii=False)


def to_timestamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
