"""
Text for output: encoded for where it goes, cut; JSON and timestamps.

Texts from outside are kept as they are and encoded when they leave, by one function for each
destination: `printable` for people, `to_log_line` for the log, `to_attribute` for attributes of
messages, `to_printable_json` for programs, `to_csv_cell` for spreadsheets
(docs/decisions/0031-text-is-encoded-where-it-leaves.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from json.encoder import encode_basestring


def shortened(text: str, longest: int = 200) -> str:
    """*text*, or its beginning and "..." if it has more than *longest* characters."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def printable(text: str) -> str:
    """
    *text* on one line for people: a terminal, a message, a mail.

    A space replaces controls, line separators, marks that change the direction of writing,
    invisible and unassigned characters; also those that select a variant of an emoji.
    """
    if _is_printable(text):
        return text
    return "".join(character if _is_printable(character) else " " for character in text)


def _is_printable(text: str) -> bool:
    return text.isprintable() and (text.isascii() or not _INVISIBLE.search(text))


_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
"""Unicode's ignorable characters and blank letters that `str.isprintable` accepts."""


def to_attribute(text: str) -> str:
    """
    *text* as the value of an SQS or SNS message attribute, which filter policies compare.

    A space replaces what SQS refuses (it accepts U+0020 to U+D7FF, U+E000 to U+FFFD and U+10000
    to U+10FFFF), the other control characters, line separators, and marks that change the
    direction of writing. Invisible characters stay: emoji are joined by them.
    """
    return _NOT_IN_ATTRIBUTES.sub(" ", text)


_NOT_IN_ATTRIBUTES = re.compile(
    "[\0-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff"
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


_LONGEST_CELL = 32_000
"""Characters; a cell of Excel takes 32,767."""

_FORMULA = re.compile(r'(^|;)(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20])')


def to_csv_cell(text: str) -> str:
    """
    *text* as a quoted cell of a CSV file: a spreadsheet shows it, and calculates nothing.

    As `printable`, and an apostrophe precedes a `=`, `+`, `-` or `@` at the beginning, which would
    begin a formula. Also after a semicolon: where that separates cells, a cell may begin there. A
    text of more than 32,000 characters is cut.
    """
    shown = printable(shortened(text, _LONGEST_CELL))
    quoted = _FORMULA.sub(r"\1'", shown).replace('"', '""')
    return f'"{quoted}"'


def to_log_line(document: object) -> str:
    """
    *document* as a line of the function's log: JSON in ASCII, without DEL.

    A value without a JSON form is its `str`.

    Raises:
        TypeError: A name in it is no text, number, truth value or None.
    """
    return _LOG_ENCODER.encode(document)


_LOG_ENCODER = json.JSONEncoder(default=str, separators=(",", ":"))


def to_printable_json(document: object) -> str:
    """
    *document* as `to_json` writes it, with the characters escaped that `printable` replaces.

    A terminal can show it, and a parser gets the exact values.

    Raises:
        TypeError: A value in it has no JSON form.
    """
    return escape_json(to_json(document))


def escape_json(text: str) -> str:
    """*text*, which is JSON on one line, with the characters escaped that `printable` replaces."""
    if _is_printable(text):
        return text
    return "".join(
        character if _is_printable(character) else json.dumps(character)[1:-1]
        for character in text
    )


def to_json(document: object) -> str:
    """
    *document* as JSON on one line; a `Decimal` keeps its digits.

    Raises:
        TypeError: A value in it has no JSON form.
    """
    # The frequent types first: a result has hundreds of values
    if isinstance(document, str):
        return encode_basestring(document)
    if isinstance(document, dict):
        members = [
            f"{encode_basestring(name)}: {to_json(value)}"
            for name, value in document.items()
        ]
        return "{" + ", ".join(members) + "}"
    if isinstance(document, Decimal):
        if not document.is_finite():
            raise TypeError(f"{document} is not a JSON number")
        return str(document)
    if isinstance(document, _LISTS):
        return "[" + ", ".join([to_json(part) for part in document]) + "]"
    if isinstance(document, Mapping):
        return to_json(dict(document))
    return _ENCODER.encode(document)


_LISTS = (list, tuple)
_ENCODER = json.JSONEncoder(ensure_ascii=False)


def to_timestamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
