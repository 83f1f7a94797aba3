"""The six image formats that the Tagger API takes, recognised by their first bytes."""

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
"""Bytes of an image that `media_type` needs."""


def media_type(first_bytes: bytes) -> str | None:
    """
    The media type of an image by its first `SIGNATURE_BYTES` bytes, or None.

    File names and declared content types are ignored, because they are often wrong. BigTIFF is
    not one of the documented formats.
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
    # Texts can begin with "BM", too; a BMP has four reserved zero bytes behind the file size.
    if first_bytes[:2] == b"BM" and first_bytes[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return None


def require_media_type(first_bytes: bytes, name: str) -> str:
    """
    The media type of an image by its first bytes; *name* is for the error's message.

    Raises:
        UnsupportedFormat: It is in another format than the six.
    """
    kind = media_type(first_bytes)
    if kind is None:
        raise UnsupportedFormat(
            f"{name} begins with {first_bytes[:8].hex(' ')}; it is not a BMP, GIF, JPEG, PNG, "
            "TIFF or WEBP image"
        )
    return kind
