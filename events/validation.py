"""Compares announcements with the committed schemas, for the tests and the local cloud."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from jsonschema_rs import Draft202012Validator

SCHEMAS = Path(__file__).parent / "schemas"


class InvalidAnnouncement(AssertionError):
    """An announcement breaks a promise; the message says which."""


def require_valid(message: str) -> None:
    """
    Compare the body of an announcement with the schema of its type.

    Raises:
        InvalidAnnouncement: It has another form, or no known type.
    """
    document = json.loads(message, parse_float=_finite)
    path = SCHEMAS / f"{document.get('type')}.json"
    if not path.is_file():
        raise InvalidAnnouncement(f"no schema for {document.get('type')!r}")
    problems = [
        f"{'.'.join(map(str, error.instance_path)) or 'the event'}: {error.message[:500]}"
        for error in _validator(path).iter_errors(document)
    ]
    if problems:
        raise InvalidAnnouncement("; ".join(problems))


@cache
def _validator(path: Path) -> Draft202012Validator:
    return Draft202012Validator(json.loads(path.read_text("utf-8")))


def _finite(digits: str) -> float:
    """JSON has larger numbers than Python's floats, which are then infinite."""
    return max(-1e308, min(1e308, float(digits)))
