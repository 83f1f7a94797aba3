"""The six image formats that the Tagger API takes, recognised by their first bytes."""

from __future__ import annotations

from hangtag.errors import UnsupportedFormat
from hangtag.tagger_api.raw_photos import TIFF_SIGNATURES, raw_photo

MEDIA_TYPES = (
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "image/webp",
)

SIGNATURE_BYTES = 4_096
"""
Bytes of an image that `media_type` needs.

The six formats need 28. The others need more: the tags of a RAW photo, the comments of an SVG.
"""


def media_type(first_bytes: bytes) -> str | None:
    """
    The media type of an image by its first `SIGNATURE_BYTES` bytes; None in another format.

    File names and declared content types are ignored, because they are often wrong. The API does
    not document BigTIFF and RAW photos, which begin like a TIFF.
    """
    if first_bytes.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if first_bytes.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if first_bytes.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP":
        return "image/webp"
    if first_bytes.startswith(TIFF_SIGNATURES):
        return None if raw_photo(first_bytes) else "image/tiff"
    return "image/bmp" if _is_bmp(first_bytes) else None


_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)


def _is_bmp(first_bytes: bytes) -> bool:
    """Whether it is a BMP: texts can begin with "BM", too, so the header decides."""
    if first_bytes[:2] != b"BM":
        return False
    if first_bytes[6:10] == b"\0\0\0\0":
        return True
    # Some programs write into these reserved words. The file size is wrong too often to decide.
    pixels = int.from_bytes(first_bytes[10:14], "little")
    header = int.from_bytes(first_bytes[14:18], "little")
    planes = first_bytes[22:24] if header == 12 else first_bytes[26:28]
    return (
        header in _BMP_HEADER_SIZES
        and 14 + header <= pixels < 65_536
        and planes == b"\x01\0"
    )


def require_media_type(first_bytes: bytes, name: str) -> str:
    """
    The media type of an image by its first bytes; *name* is for the error's message.

    Raises:
        UnsupportedFormat: The image is in none of the six formats.
    """
    kind = media_type(first_bytes)
    if kind is None:
        raise _unsupported(first_bytes, name)
    return kind


def _unsupported(first_bytes: bytes, name: str) -> UnsupportedFormat:
    from hangtag.tagger_api.other_formats import (  # noqa: PLC0415 - cold starts do without it
        OTHER_FORMATS,
        STRAY_BYTES,
        count_stray_bytes,
        other_format,
    )

    count = count_stray_bytes(first_bytes)
    kind = media_type(first_bytes[count:])
    if kind is not None:
        found = kind.removeprefix("image/").upper()
        strays = "1 stray byte; remove it"
        if count > 1:
            strays = f"{count:,} stray bytes; remove them"
        message = f"{name} is a {found} behind {strays}"
        return UnsupportedFormat(message, image_format=STRAY_BYTES)
    other = other_format(first_bytes)
    if other is not None:
        return UnsupportedFormat(f"{name} {OTHER_FORMATS[other]}", image_format=other)
    return UnsupportedFormat(
        f"{name} begins with {first_bytes[:8].hex(' ')}; it is not a BMP, GIF, JPEG, PNG, "
        "TIFF or WEBP image"
    )
