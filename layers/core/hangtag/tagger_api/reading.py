"""
How a body becomes an `Answer`.

The API's documentation contradicts itself about field names: `colorDetail` and `colorDetails`,
`imageinfo` and `imageInfo`, and several spellings and places of `notMatchedObject` occur.
`read_answer` accepts all of them, keeps every value, and returns one shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from hangtag.errors import BadAnswer
from hangtag.parsing import parse_json
from hangtag.redaction import (
    has_secret,
    redacted,
    redacted_document,
    without_secrets,
)
from hangtag.tagger_api.answer import NOTHING_DETECTED, Answer
from hangtag.tagger_api.errors import ApiRedirected, HttpStatus, error_from_api
from hangtag.text import printable, shortened

MAX_ANSWER_BYTES = 1024 * 1024
"""A longer body is not read. An item of the table has room for 400 KB."""

MAX_VALUES = 20_000
"""Values in an answer's JSON, estimated from its commas and brackets; a garment has about 100."""

MAX_SPELLINGS = 8
"""Values of one field in different spellings and places; documented are four."""


def read_answer(
    body: bytes,
    *,
    http_status: int,
    retry_after_seconds: float | None = None,
    secrets: Iterable[str] = (),
) -> Answer:
    """
    The answer in *body*. An error code in the body goes before *http_status*.

    Neither an error's message nor the answer contains one of the *secrets*, even if the API
    echoes it. Of a body that is longer than `MAX_ANSWER_BYTES`, only the beginning is needed.

    Raises:
        HangtagError: The body has an error code; `UnlistedApiCode` if it is not documented.
        ApiRedirected: The status is 3xx and the body has no code.
        HttpStatus: The status is 4xx or 5xx and the body has no code.
        BadAnswer: The status is 2xx and the body is not a Tagger answer, or an error code has
            more than six digits.
    """
    secrets = tuple(secrets)
    document, problem = _document(body, secrets)
    if document is not None:
        code = _error_code(document)
        if code is not None and len(code) > _MAX_CODE_DIGITS:
            problem = f"its error code has more than {_MAX_CODE_DIGITS} digits"
            raise BadAnswer(_bad_answer(http_status, problem, body, secrets))
        if code is not None:
            raise error_from_api(
                code,
                _error_message(document) or f"the API refused with {code}",
                http_status=http_status,
                retry_after_seconds=retry_after_seconds,
            )
    if 300 <= http_status < 400:
        raise ApiRedirected(
            f"the API answered HTTP {http_status}: {_excerpt(body, secrets)}"
        )
    if not 200 <= http_status < 300:
        raise HttpStatus(
            f"the API answered HTTP {http_status}: {_excerpt(body, secrets)}",
            http_status=http_status,
            retry_after_seconds=retry_after_seconds,
        )
    if document is not None:
        try:
            return _read_success(document)
        except ValueError as error:
            problem = str(error)
    raise BadAnswer(
        _bad_answer(http_status, problem, body, secrets),
        retry_after_seconds=retry_after_seconds,
    )


def _document(
    body: bytes, secrets: tuple[str, ...]
) -> tuple[dict[str, Any] | None, str]:
    """The object in *body*, without secrets; or None, and the reason."""
    if len(body) > MAX_ANSWER_BYTES:
        return None, f"it is longer than {MAX_ANSWER_BYTES:,} bytes"
    # Parsing a million bytes of `[],[],` would take a hundred times as much memory
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        return None, f"it has more than {MAX_VALUES:,} values"
    try:
        document = parse_json(body.decode("utf-8-sig"))
    except ValueError as error:
        return None, f"it is not JSON ({error})"
    if not isinstance(document, dict):
        return None, "it is JSON, but not an object"
    if has_secret(body, secrets):
        document = redacted_document(document, secrets)
    return document, ""


# ---- refusals

_MAX_CODE_DIGITS = 6

# A number, or a number as text; in both, 803.0 is 803
_ERROR_CODE = re.compile(r"\s*(\d+)(?:\.0+)?\s*", re.ASCII)


def _error_code(document: dict[str, Any]) -> str | None:
    """The digits of the code, of any number; None without a code."""
    error = document.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    found = _ERROR_CODE.fullmatch(str(code))
    return found[1] if found else None


def _error_message(document: dict[str, Any]) -> str:
    message = document["error"].get("message")
    return message if isinstance(message, str) else ""


def _bad_answer(
    http_status: int, problem: str, body: bytes, secrets: tuple[str, ...]
) -> str:
    return (
        f"HTTP {http_status}, but not a Tagger answer: {problem}: "
        f"{_excerpt(body, secrets)}"
    )


def _excerpt(body: bytes, secrets: tuple[str, ...]) -> str:
    """The first 200 characters of *body*, on one line and without secrets."""
    # Cut last: half a secret would not be found
    text = redacted(body.decode("utf-8", errors="replace"), secrets)
    return printable(without_secrets(text)).strip()[:200] or "(empty)"


# ---- successful answers


def _read_success(document: dict[str, Any]) -> Answer:
    """
    Raises:
        ValueError: The document is not a successful answer; the message says why.
    """
    data = _data(document)
    # notMatchedObject occurs beside data, too.
    beside = {name: part for name, part in document.items() if name not in _ENVELOPE}
    parts = _one_spelling(chain(data.items(), beside.items()), _DATA_SPELLINGS)
    _require_valid_objects(parts)
    return Answer(
        objects=[_one_object(found) for found in parts["objects"] or []],
        not_matched_object=[
            _one_object(found) for found in _listed(parts.get("notMatchedObject"))
        ],
        gender_info=parts.get("genderInfo"),
        image_info=_listed(parts.get("imageInfo")),
        unknown={name: part for name, part in parts.items() if name not in _PARTS},
    )


def _data(document: dict[str, Any]) -> dict[str, Any]:
    status = document.get("status")
    if status is not None and status != "ok":
        raise ValueError(
            f"its status is {shortened(repr(status))}, without an error code"
        )
    data = document.get("data")
    if not isinstance(data, dict):
        raise ValueError("it has no data")
    return data


_ENVELOPE = {"status", "data", "error"}
# Spellings in lower case, and the one that is returned
_DATA_SPELLINGS = {
    "notmatchedobject": "notMatchedObject",
    "notmatchedobjects": "notMatchedObject",
    "imageinfo": "imageInfo",
    "genderinfo": "genderInfo",
    "objects": "objects",
}
_PARTS = frozenset(_DATA_SPELLINGS.values())
_TAG_SPELLINGS = {"colordetail": "colorDetails", "colordetails": "colorDetails"}
_NOTHING_SPELLINGS = {"no detected product", "nodetc"}


def _require_valid_objects(parts: dict[str, Any]) -> None:
    """The objects and their tags are lists of objects, or null; `hangtag.tagger_api.models`."""
    if "objects" not in parts:
        raise ValueError("its data has no objects")
    for number, found in _objects_in(parts["objects"], "objects"):
        where = f"objects.{number}.tags"
        for _ in _objects_in(found.get("tags"), where):
            pass


def _objects_in(value: Any, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if value is None:
        return
    if not isinstance(value, list):
        raise ValueError(f"{where} is not a list")
    for number, part in enumerate(value):
        if not isinstance(part, dict):
            raise ValueError(f"{where}.{number} is not an object")
        yield number, part


def _one_spelling(
    parts: Iterable[tuple[str, Any]], spellings: Mapping[str, str]
) -> dict[str, Any]:
    """
    The parts by the names in *spellings*; values of the same name are joined.

    Raises:
        ValueError: A name has more than `MAX_SPELLINGS` values, which takes long to join.
    """
    renamed: dict[str, Any] = {}
    joins: dict[str, int] = {}
    for name, value in parts:
        spelling = spellings.get(name.lower(), name)
        if spelling not in renamed:
            renamed[spelling] = value
            continue
        renamed[spelling] = _joined(renamed[spelling], value)
        joins[spelling] = joins.get(spelling, 0) + 1
        if joins[spelling] == MAX_SPELLINGS:
            raise ValueError(f"it has more than {MAX_SPELLINGS} values of {spelling}")
    return renamed


def _joined(first: Any, second: Any) -> Any:
    """One of the values if the other is the same or empty, else a list of both."""
    if first in (None, []):
        return second
    # By repr, not by ==: in Python, 1 equals 1.0 and True.
    if second in (None, []) or repr(second) == repr(first):
        return first
    joined = _listed(first)
    known = {repr(part) for part in joined}
    return [*joined, *(part for part in _listed(second) if repr(part) not in known)]


def _one_object(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    kind = found.get("type")
    if isinstance(kind, str) and kind.lower() in _NOTHING_SPELLINGS:
        found = {**found, "type": NOTHING_DETECTED}
    tags = found.get("tags")
    if tags is None or isinstance(tags, list):
        found = {**found, "tags": [_one_tag(tag) for tag in tags or []]}
    return found


def _one_tag(tag: Any) -> Any:
    return _one_spelling(tag.items(), _TAG_SPELLINGS) if isinstance(tag, dict) else tag


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
