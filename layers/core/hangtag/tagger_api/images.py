"""The six image formats the Tagger API takes, told by their first bytes."""

from __future__ import annotations

from hangtag.errors import UnsupportedFormat

MEDIA_TYPES = (
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/tiff",
    "image/webp",
)

SIGNATURE_BYTES = 16
"""Bytes of an image that `media_type` wants to see."""


def media_type(first_bytes: bytes) -> str | None:
    """
    The media type of an image by its first `SIGNATURE_BYTES` bytes, or None.

    Names and declared content types are not asked: they are often wrong. BigTIFF is not among
    the formats the API documents.
    """
    if first_bytes.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if first_bytes.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if first_bytes.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP":
        return "image/webp"
    if first_bytes.startswith((b"II*\x00", b"MM\x00*")):
        return "image/tiff"
    # Two letters alone would make a BMP of any text that begins with "BM": the reserved words
    # behind the file size are zero in every BMP.
    if first_bytes[:2] == b"BM" and first_bytes[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return None


def require_media_type(first_bytes: bytes, name: str) -> str:
    """
    The media type of the image called *name*, by its first bytes.

    Raises:
        UnsupportedFormat: It is none of the six formats; tells how it begins.
    """
    kind = media_type(first_bytes)
    if kind is None:
        raise UnsupportedFormat(
            f"{name} begins with {first_bytes[:8].hex(' ')}, like no BMP, GIF, JPEG, PNG, "
            "TIFF or WEBP"
        )
    return kind
