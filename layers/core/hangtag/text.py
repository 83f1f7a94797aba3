"""Text on its way out: JSON, timestamps, what a terminal or a log can print, no secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal


def shortened(text: str, longest: int = 200) -> str:
    """*text*, cut where it is longer than that; so that a message has room for what follows."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def without_secrets(text: str) -> str:
    """*text* without images as base64 and without what makes a presigned URL one."""
    return _SECRETS.sub(lambda found: (found[1] or "") + "...", text)


# However it is escaped: in JSON, in HTML, in another URL. Base64 without its prefix is told by
# the first bytes of the six formats.
_SECRETS = re.compile(
    r"""
      (?i:X-Amz-[A-Z-]+(?:=|%3D))[^\s"'<>]*
    | (base64,)[A-Za-z0-9+/=\\%]+
    | (?<![A-Za-z0-9+/])
      (?:iVBORw0KGgo|R0lGOD|UklGR|SUkqA|TU0AK|Qk|\\?/9j\\?/)[A-Za-z0-9+/=\\%]{24,}
    """,
    re.VERBOSE,
)


UNPRINTABLE = re.compile(
    "[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    "|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""What `printable` makes a space of."""


def printable(text: str) -> str:
    """
    *text* on one line and without characters that a log, a terminal or SQS chokes on.

    Nor with marks that turn the direction of writing, which make one name look like another.
    SQS takes #x20-#xD7FF, #xE000-#xFFFD and #x10000-#x10FFFF (and tab, newline, return, which
    are made spaces here).
    """
    return UNPRINTABLE.sub(" ", text)


def to_json(document: object) -> str:
    """
    *document* as JSON on one line; a `Decimal` keeps its digits.

    The standard encoder knows no Decimal, and a float would not keep them.

    Raises:
        TypeError: Something in it is not JSON-like.
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
            raise TypeError(f"{document} is no JSON number")
        return str(document)
    return json.dumps(document, ensure_ascii=False)


def to_timestamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
