"""What `hangtag tag` does: local files to the Tagger API, the way the function does it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from hangtag.adapters.system_clock import SystemClock
from hangtag.calling import Asker, Asking
from hangtag.errors import EmptyImage, ImageTooLarge
from hangtag.ports import CallReason, StoredImage, Tagger
from hangtag.tagger_api import (
    SIGNATURE_BYTES,
    Answer,
    Context,
    Language,
    require_media_type,
)
from hangtag.time_budget import Timing

PATIENCE_SECONDS = 120.0
"""For one file, with the wait that a busy API may ask for."""

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""As a stack with default parameters."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the API is asked about every file."""

    tagger: Tagger
    language: Language
    context: Context
    api_key: str

    def ask(self, file: Path) -> Answer:
        """
        The answer about one file.

        Raises:
            HangtagError: The file is not to be sent, or the API did not answer it.
            OSError: The file cannot be read.
        """
        asker = Asker(
            self.tagger,
            _OneKey(self.api_key),
            SystemClock(),
            Timing.of(PATIENCE_SECONDS),
        )
        return asker.ask_about(
            read_image(file),
            self.context,
            language=self.language,
            asking=Asking(_Patience(), lambda: None, CallReason.FIRST),
        )


@dataclass(frozen=True, slots=True)
class _OneKey:
    """`ApiKeys` with the one key a person gave."""

    api_key: str

    def key(self) -> str:
        return self.api_key

    def fresh_key(self) -> str:
        return self.api_key


class _Patience:
    """`Deadline` of a person who waits for one file."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + PATIENCE_SECONDS

    def seconds_left(self) -> float:
        return self._ends - time.monotonic()


def read_image(file: Path) -> StoredImage:
    """
    A local image that the API takes.

    No more than the first bytes are read of what is no image.

    Raises:
        EmptyImage, ImageTooLarge, UnsupportedFormat: It is not to be sent.
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
    return StoredImage(content, kind, metadata={})
