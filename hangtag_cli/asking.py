"""What `hangtag tag` does: local files to the Tagger API, the way the function does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hangtag.contract import (
    SIGNATURE_BYTES,
    Answer,
    Context,
    Language,
    RequestBody,
    media_type,
)
from hangtag.failures import (
    EmptyImage,
    ImageTooLarge,
    PrefixRefused,
    UnsupportedFormat,
)
from hangtag.pipeline import API_TIMEOUT_SECONDS
from hangtag.ports import StoredImage, Tagger

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
        image = read_image(file)
        try:
            return self._ask(image, with_prefix=True)
        except PrefixRefused:
            # The API's documentation contradicts itself about the prefix.
            return self._ask(image, with_prefix=False)

    def _ask(self, image: StoredImage, *, with_prefix: bool) -> Answer:
        return self.tagger.ask(
            RequestBody(image.content, image.media_type, self.context, with_prefix),
            language=self.language,
            api_key=self.api_key,
            timeout_seconds=API_TIMEOUT_SECONDS,
        )


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
        kind = media_type(first_bytes)
        if kind is None:
            raise UnsupportedFormat(
                f"{file} begins with {first_bytes[:8].hex(' ')}, like no BMP, GIF, JPEG, "
                "PNG, TIFF or WEBP"
            )
        content = first_bytes + stream.read(MAX_IMAGE_BYTES)
    if len(content) > MAX_IMAGE_BYTES:
        raise ImageTooLarge(f"{file} has more than {MAX_IMAGE_BYTES:,} bytes")
    return StoredImage(content, kind, metadata={})
