"""
Validates requests and images, and refuses the bad ones with the API's error codes.

The checks run in this sequence, and the first failed one gives the answer:

    1. the path and the method                            623
    2. the header x-api-key: missing, wrong               612, 609
    3. the header accept-language                         826
    4. the body: too long, incomplete, not JSON           809, 824
    5. image.type: neither url nor base64                 804
    6. context.detection: an unknown word                 825
    7. any other field of a wrong type                    824
    8. image.content: a URL that cannot be fetched        803
       missing, or no prefix data:image/…;base64,         801
       not base64                                         802
    9. an active fault                                    its own code
   10. the account's quota                                823
   11. the image: too many bytes                          809
       unsupported format, or it does not open            805
       an aspect ratio above 1:10                         806
       a side too short, too long                         807, 808
       it does not decode                                 805

`limits` holds the numbers. The vendor does not publish the HTTP statuses of its errors; those in
`http_status` are ours.

Base64 is parsed strictly: line breaks, blanks, the URL-safe alphabet and missing padding are
errors. The vendor does not document whether its API accepts them, and a request that passes here
must pass there.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from hmac import compare_digest
from io import BytesIO
from itertools import islice
from typing import IO, Any

from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base as Exif
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pydantic import ValidationError

from hangtag.parsing import parse_json
from hangtag.tagger_api import (
    DEFAULT_LANGUAGE,
    DETECTIONS,
    SIGNATURE_BYTES,
    Detection,
    Language,
    media_type,
    read_language,
)
from hangtag.tagger_api.models import Image, TaggingRequest
from hangtag_sandbox.fetching import NotFetched
from hangtag_sandbox.limits import (
    LONGEST_RATIO,
    LONGEST_SIDE,
    LONGEST_TILE,
    MOST_DIGITS,
    MOST_EXIF_SEGMENTS,
    MOST_IMAGE_BYTES,
    MOST_RLE_PIXELS,
    MOST_SCANS,
    MOST_VALUES,
    SHORTEST_SIDE,
)
from hangtag_sandbox.pixels import Pixels, read_pixels


class Refused(Exception):
    """The sandbox refuses the request with this error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def http_status(code: int) -> int:
    """Return the HTTP status of an error code."""
    return _HTTP_STATUS.get(code, 400)


_HTTP_STATUS = {500: 500, 609: 401, 612: 401, 623: 404, 823: 429}


def validate_key(key: str | None, keys: Collection[str]) -> None:
    """Refuse a missing or empty key (612) and a key that is not in *keys* (609)."""
    if not key:
        raise Refused(612, "The header x-api-key is missing.")
    # The time of a comparison must not show how much of a key is right.
    if not any(compare_digest(key.encode(), each.encode()) for each in keys):
        raise Refused(609, "The key in x-api-key is wrong or has no permission.")


def validate_language(header: str | None) -> Language:
    """Return the requested language, by default English; refuse an unknown one (826)."""
    if header is None:
        return DEFAULT_LANGUAGE
    try:
        return read_language(header)
    except ValueError as error:
        raise Refused(826, f"accept-language: {error}.") from error


def validate_detection(words: Sequence[str]) -> tuple[Detection, ...]:
    """Return the words of `context.detection`; refuse an unknown one (825)."""
    known: dict[str, Detection] = {word: word for word in DETECTIONS}
    for word in words:
        if word not in known:
            raise Refused(825, _not_detected("context.detection", word))
    return tuple(known[word] for word in words)


def read_document(body: bytes) -> dict[str, Any]:
    """Parse the body; refuse any body but a JSON object (824)."""
    # Parsing 60 MB of `[],[],` would take gigabytes of memory.
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise Refused(824, f"The body has more than {MOST_VALUES} values.")
    try:
        document = parse_json(body)
    except ValueError as error:
        raise Refused(824, f"The body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise Refused(
            824, f"The body is a JSON {type(document).__name__}, not an object."
        )
    return document


def read_request(document: dict[str, Any]) -> TaggingRequest:
    """Parse the request; refuse one that breaks the contract (804, 825, 824, 801 or 803)."""
    _validate_price(document.get("context"))
    try:
        return TaggingRequest.model_validate(document)
    except ValidationError as error:
        raise _refusal(error, document) from error


def _validate_price(context: object) -> None:
    """Refuse a price that is too slow to print, such as 1e999999999 (824)."""
    price = context.get("price") if isinstance(context, dict) else None
    if isinstance(price, Decimal) and abs(price.adjusted()) > MOST_DIGITS:
        raise Refused(
            824, f"context.price: {price} has more than {MOST_DIGITS} digits."
        )


def read_image(image: Image, fetch: Callable[[str], bytes]) -> bytes:
    """
    Return the bytes of the image; *fetch* downloads an image that is given by its URL.

    Refuses a URL that cannot be fetched (803), a bad prefix (801) and bad base64 (802).
    """
    if image.type == "url":
        try:
            return fetch(image.content)
        except NotFetched as error:
            raise Refused(
                803, f"Fail to fetch the image from its URL: {error}."
            ) from error
    prefix = _PREFIX.match(image.content)
    if prefix is None:
        raise Refused(
            801,
            "image.content does not begin with a prefix like data:image/png;base64,",
        )
    try:
        return b64decode(image.content[prefix.end() :], validate=True)
    except ValueError as error:
        raise Refused(802, f"image.content is not base64: {error}.") from error


_PREFIX = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)


def open_image(content: bytes) -> ImageFile:
    """
    Open an image without decoding its pixels.

    Refuses too many bytes (809), other formats (805), a bad ratio (806) and sides (807, 808).
    """
    if len(content) > MOST_IMAGE_BYTES:
        raise Refused(
            809, f"The image has {len(content)} bytes; the limit is {MOST_IMAGE_BYTES}."
        )
    kind = media_type(content[:SIGNATURE_BYTES])
    if kind is None:
        raise Refused(805, "The image is not a BMP, GIF, JPEG, PNG, TIFF or WEBP.")
    if kind == "image/jpeg" and _has_too_many_exif_segments(content):
        raise Refused(
            805, f"The JPEG image has more than {MOST_EXIF_SEGMENTS} Exif segments."
        )
    try:
        image = _READERS[kind](BytesIO(content))
    except DecompressionBombError as error:
        # Pillow raises this for a WEBP before its sides are known; they exceed the limit anyway.
        raise Refused(808, f"The image is too large: {error}") from error
    except Exception as error:  # Pillow does not document the errors of its readers
        raise Refused(805, f"The {kind} image does not open: {error}") from error
    _validate_sides(*image.size)
    _validate_effort(image, content)
    return image


# PIL.Image.open would check the number of pixels before the sandbox can check ratio and sides.
_READERS: dict[str, Callable[[IO[bytes]], ImageFile]] = {
    "image/bmp": BmpImageFile,
    "image/gif": GifImageFile,
    "image/jpeg": JpegImageFile,
    "image/png": PngImageFile,
    "image/tiff": TiffImageFile,
    "image/webp": WebPImageFile,
}


def decode_image(image: ImageFile) -> Pixels:
    """Decode an image to upright, small pixels; refuse one that does not decode (805)."""
    try:
        return read_pixels(image)
    except Exception as error:  # Pillow does not document the errors of its decoders
        raise Refused(805, f"The image does not decode: {error}") from error


def _validate_sides(width: int, height: int) -> None:
    sides = f"{width} x {height} pixels"
    if max(width, height) > LONGEST_RATIO * min(width, height):
        raise Refused(
            806, f"The image has {sides}; 1:{LONGEST_RATIO} is the longest ratio."
        )
    if min(width, height) < SHORTEST_SIDE:
        raise Refused(
            807, f"The image has {sides}; a side has at least {SHORTEST_SIDE}."
        )
    if max(width, height) > LONGEST_SIDE:
        raise Refused(808, f"The image has {sides}; a side has at most {LONGEST_SIDE}.")


def _validate_effort(image: ImageFile, content: bytes) -> None:
    """Refuse an image that needs far more time or memory than its sides suggest (805)."""
    # Each scan decodes the whole image.
    if isinstance(image, JpegImageFile) and _scans(content) > MOST_SCANS:
        raise Refused(805, f"The JPEG image has more than {MOST_SCANS} scans.")
    if isinstance(image, TiffImageFile):
        tile = (image.tag_v2.get(Exif.TileWidth), image.tag_v2.get(Exif.TileLength))
        if any(isinstance(side, int) and side > LONGEST_TILE for side in tile):
            raise Refused(805, f"The TIFF image has tiles of {tile} pixels.")

    if isinstance(image, BmpImageFile) and image.tile[0][0] == "bmp_rle":
        width, height = image.size
        if width * height > MOST_RLE_PIXELS:
            raise Refused(
                805,
                f"The run-length encoded BMP has more than {MOST_RLE_PIXELS:,} pixels.",
            )


def _has_too_many_exif_segments(content: bytes) -> bool:
    found = islice(_EXIF_SEGMENT.finditer(content), MOST_EXIF_SEGMENTS, None)
    return next(found, None) is not None


_EXIF_SEGMENT = re.compile(rb"\xff\xe1..Exif\0\0", re.DOTALL)


def _scans(content: bytes) -> int:
    """The headers of scans in a JPEG. Its data escapes them; colour profiles hardly have them."""
    return sum(1 for _ in _SCAN.finditer(content))


# The marker, the header's length, and the number of components that follows from it
_SCAN = re.compile(rb"\xff\xda\0(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")


def _refusal(error: ValidationError, document: dict[str, Any]) -> Refused:
    problems = {
        ".".join(str(step) for step in problem["loc"]): problem
        for problem in error.errors(include_url=False)
    }
    for field in ("image", "image.type"):
        if field in problems:
            return Refused(804, "image.type is neither url nor base64.")
    for field, problem in problems.items():
        if field.startswith("context.detection"):
            return Refused(825, _not_detected(field, problem["input"]))
    for field, problem in problems.items():
        if field != "image.content":
            return Refused(824, f"{field}: {problem['msg']}.")
    code = 801 if document["image"]["type"] == "base64" else 803
    return Refused(code, f"image.content: {problems['image.content']['msg']}.")


def _not_detected(field: str, word: object) -> str:
    allowed = ", ".join(DETECTIONS)
    return f"{field}: {word!r} is not allowed; use {allowed}."
