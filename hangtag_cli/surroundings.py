"""The object and the log of a letter, as `hangtag failures show` prints them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hangtag.events import read_body
from hangtag.operators.ports import Letter
from hangtag.results import Document
from hangtag.uploads import Upload

from . import output
from .exits import NotDone

if TYPE_CHECKING:
    from .stack import Stack


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The object and the log of a letter; None if they could not be read."""

    objects: Sequence[Document | None] | None
    """Of each upload, the object as it is now; None if it is gone."""
    log: Sequence[str] | None
    """The function's lines of the invocation that sent the letter."""


def look_around(stack: Stack, letter: Letter) -> Surroundings:
    """Read both; an error becomes a message on stderr, and that part is left out."""
    objects, log = None, None
    try:
        objects = [stack.object_of(upload) for upload in uploads_in(letter)]
    except NotDone as trouble:
        output.talk(f"The object cannot be read: {trouble.message}")
    request_id = letter.letter.request_id
    try:
        failed_at = datetime.fromisoformat(letter.letter.failure.failed_at)
        failed_at = failed_at.astimezone(UTC)
    except (ValueError, OverflowError):  # a handmade letter
        return Surroundings(objects, log)
    if request_id:
        try:
            lines = stack.log_of(request_id, around=failed_at)
            uris = [upload.uri for upload in uploads_in(letter)]
            # Lines without an image are Lambda's own, about the whole invocation
            meant = [None, "", letter.letter.image, *uris]
            log = [line for line in lines if _uri_in(line) in meant]
        except NotDone as trouble:
            output.talk(f"The log cannot be read: {trouble.message}")
    return Surroundings(objects, log)


def _uri_in(line: str) -> object:
    """The image that a line of the log names, or None."""
    try:
        return json.loads(line).get("uri")
    except (ValueError, AttributeError, RecursionError):
        return None


def uploads_in(letter: Letter) -> list[Upload]:
    """The uploads a letter is about."""
    return [
        entry for entry in read_body(letter.letter.body) if isinstance(entry, Upload)
    ]
