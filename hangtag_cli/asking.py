"""Calls of the Tagger API for local files, made as the function makes them."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hangtag.adapters.system_clock import SystemClock
from hangtag.calling import Caller, Calling
from hangtag.errors import EmptyImage, HangtagError, ImageTooLarge
from hangtag.lifecycle import CallReason
from hangtag.ports import StoredImage, Tagger
from hangtag.rate_limit import RateLimiter
from hangtag.tagger_api import (
    PIECE_BYTES,
    SIGNATURE_BYTES,
    Answer,
    Context,
    Language,
    require_media_type,
)
from hangtag.time_budget import TimeBudget

FILE_SECONDS = 120.0
"""The deadline for one file, including a wait that a busy API asks for."""

LONGEST_WAIT_SECONDS = 60.0
"""A longer wait, if a busy API asks for one, is left to the person who waits."""

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""The default of the parameter MaxImageBytes."""


@dataclass(frozen=True, slots=True)
class Question:
    """The parameters that the calls for all files share."""

    tagger: Tagger
    language: Language
    context: Context
    api_key: str

    def ask(self, file: Path) -> Answer:
        """
        The answer for one file.

        Raises:
            HangtagError: The file is no image that can be sent, or the call failed.
            OSError: The file cannot be read.
        """
        clock = SystemClock()
        caller = Caller(
            self.tagger,
            _OneKey(self.api_key),
            clock,
            TimeBudget.of(FILE_SECONDS),
            RateLimiter(None, clock, requests_per_second=0),
        )
        image, calling = read_image(file), Calling(_FileDeadline(), CallReason.FIRST)

        def call() -> Answer:
            return caller.call_with_image(
                image, self.context, language=self.language, calling=calling
            )

        with closing(image):
            try:
                return call()
            except HangtagError as error:
                wait = error.retry_after_seconds
                if wait is None or wait > LONGEST_WAIT_SECONDS:
                    raise
            clock.sleep(wait)
            return call()


@dataclass(frozen=True, slots=True)
class _OneKey:
    """`ApiKeys` with one key, which does not change."""

    api_key: str

    def key(self) -> str:
        return self.api_key

    def fresh_key(self) -> str:
        return self.api_key


class _FileDeadline:
    """`Deadline` for one file."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + FILE_SECONDS

    def seconds_left(self) -> float:
        return self._ends - time.monotonic()


def read_image(file: Path) -> StoredImage:
    """
    Read a local image. Of a file that is no image, it reads only the first bytes.

    Raises:
        EmptyImage, ImageTooLarge, UnsupportedFormat: The API does not accept it.
        OSError: It cannot be read.
    """
    with file.open("rb") as stream:
        first_bytes = stream.read(SIGNATURE_BYTES)
        if not first_bytes:
            raise EmptyImage(f"{file} has no bytes")
        kind = require_media_type(first_bytes, str(file))
        content = first_bytes + stream.read(MAX_IMAGE_BYTES)
    if len(content) > MAX_IMAGE_BYTES:
        raise ImageTooLarge(f"{file} has more than {MAX_IMAGE_BYTES:,} bytes")
    pieces = [
        content[start : start + PIECE_BYTES]
        for start in range(0, len(content), PIECE_BYTES)
    ]
    return StoredImage(pieces, len(content), kind, metadata={})
