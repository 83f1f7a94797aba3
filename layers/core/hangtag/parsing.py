r"""
JSON from outside: bounded in depth and digits, in characters that UTF-8 can encode.

The parser is Python's own (docs/decisions/0050-no-pydantic.md). It refuses integers of more than
4,300 digits, and of several members with one name it keeps the last. This module adds the bound of
the depth, and handles lone surrogates ("\ud800"): JSON can spell them, UTF-8 cannot encode them.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

DEEPEST = 100
"""Nested lists and objects that are read; events and answers have fewer than ten."""


def parse_event(text: str) -> Any:
    """
    A JSON document whose numbers are `int` and `float`, as `json.dumps` writes them again.

    Raises:
        ValueError: It is not JSON, nested too deeply, or has a lone surrogate.
    """
    document = _parsed(_EVENTS, text)
    if _may_have_surrogates(text):
        # `dumps` escapes no character here, so that encoding finds all lone surrogates
        json.dumps(document, ensure_ascii=False).encode()
    return document


def parse_json(body: bytes | str) -> Any:
    """
    A JSON document whose numbers are `int` and `Decimal`, not rounded.

    Lone surrogates are replaced.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    if isinstance(body, bytes):
        body = body.decode(json.detect_encoding(body), "surrogatepass")
    try:
        document = _parsed(_NUMBERS, body)
    except InvalidOperation as error:
        raise ValueError("the exponent of a number is too large") from error
    return _whole_characters(document) if _may_have_surrogates(body) else document


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


_EVENTS = json.JSONDecoder()
_NUMBERS = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


def _parsed(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        document = decoder.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    # Most documents have too few brackets to be deep
    if text.count("[") + text.count("{") > DEEPEST and isinstance(document, _NESTING):
        _require_shallow(document)
    return document


def _require_shallow(document: dict[str, Any] | list[Any]) -> None:
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [
            part
            for value in level
            for part in (value.values() if isinstance(value, dict) else value)
            if isinstance(part, _NESTING)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


_NESTING = (dict, list)

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _may_have_surrogates(text: str) -> bool:
    """Whether a character of the JSON *text* is a surrogate, or escaped as one or two."""
    if "\\u" in text and _ESCAPED_SURROGATE.search(text):
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode()
    if isinstance(value, list):
        return [_whole_characters(part) for part in value]
    if isinstance(value, dict):
        return {
            _whole_characters(name): _whole_characters(part)
            for name, part in value.items()
        }
    return value
