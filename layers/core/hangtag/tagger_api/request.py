"""
Requests of the Tagger API: `POST /tagger/v2.12/tags`.

`Base64Body` writes a request in pieces, so that the memory holds the image, but neither its base64
nor the JSON. The sandbox reads requests with `hangtag.tagger_api.models`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import Any, Literal, Protocol, get_args
from urllib.parse import unquote, urlsplit

from pybase64 import b64encode

from hangtag.errors import InvalidContext
from hangtag.text import shortened

Language = Literal["en", "ko", "zh", "ja"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT_LANGUAGE: Language = "en"

Detection = Literal[
    "TOP",
    "BOTTOM",
    "WHOLEBODY",
    "SWIMWEAR",
    "SHOES",
    "BAG",
    "HAT",
    "JEWELRY",
    "ACCESSORY",
]
DETECTIONS: tuple[Detection, ...] = get_args(Detection)
"""The first five are documented for version 2.12, the others on the vendor's other pages."""

PIECE_BYTES = 3 * 64 * 1024
"""Bytes of a piece of an image. A multiple of three: no padding between the pieces."""

METADATA_PREFIX = "tagger-"
"""S3 user metadata with this prefix (`x-amz-meta-tagger-…`) is context for the API."""


@dataclass(frozen=True, slots=True)
class Context:
    """The product in the image; every field is optional."""

    id: str | None = None
    """Product id as kept by the user."""
    detection: tuple[Detection, ...] | None = None
    """What to tag; empty for all clothing, SHOES only if asked for."""
    gender: str | None = None
    brand: str | None = None
    currency: str | None = None
    price: str | None = None
    """A number as text."""
    age: str | None = None
    keywords: str | None = None
    product_content_name: str | None = None
    season: str | None = None

    def document(self) -> dict[str, object]:
        """The fields that are set, by the API's names."""
        return {
            name: value
            for field, name in _API_NAMES.items()
            if (value := getattr(self, field)) is not None
        }


_API_NAMES = {field.name: field.name for field in fields(Context)} | {
    "product_content_name": "productContentName"
}


class RequestBody(Protocol):
    """The bytes of a request in pieces; a second call iterates again."""

    def __iter__(self) -> Iterator[bytes]:
        """The pieces."""
        ...

    def __len__(self) -> int:
        """The number of bytes, for the header Content-Length."""
        ...

    def secrets(self) -> tuple[str, ...]:
        """Parts that may be in no log and no result, though the API may echo them."""
        ...


@dataclass(frozen=True, slots=True)
class Base64Body:
    """A request that contains its image as base64; a piece at a time is held in memory."""

    image: Iterable[bytes]
    """Pieces, all but the last of `PIECE_BYTES`; a second call iterates again."""
    size: int
    """Bytes, of all pieces."""
    media_type: str
    context: Context
    with_prefix: bool = True
    """Whether the base64 follows the documented prefix `data:<media type>;base64,`."""

    def __iter__(self) -> Iterator[bytes]:
        yield self._head()
        yield from map(b64encode, self.image)
        yield _tail(self.context)

    def __len__(self) -> int:
        encoded = (self.size + 2) // 3 * 4
        return len(self._head()) + encoded + len(_tail(self.context))

    def secrets(self) -> tuple[str, ...]:
        """The image's beginning in base64 and hexadecimal; the rest is hidden with it."""
        first_bytes = next(iter(self.image))[:_RECOGNISED_BYTES]
        return b64encode(first_bytes).rstrip(b"=").decode("ascii"), first_bytes.hex()

    def _head(self) -> bytes:
        prefix = f"data:{self.media_type};base64," if self.with_prefix else ""
        return b'{"image":{"type":"base64","content":"' + prefix.encode("ascii")


@dataclass(frozen=True, slots=True)
class UrlBody:
    """A request that contains the image's URL; the API fetches the image."""

    url: str
    context: Context

    def __iter__(self) -> Iterator[bytes]:
        yield self._head()
        yield _tail(self.context)

    def __len__(self) -> int:
        return len(self._head()) + len(_tail(self.context))

    def secrets(self) -> tuple[str, ...]:
        """The signature, the credential and the token in the URL's query, as sent and decoded."""
        query = urlsplit(self.url).query
        values = [
            value
            for name, _, value in (part.partition("=") for part in query.split("&"))
            if name.lower() in _SECRET_PARAMETERS
        ]
        return tuple(dict.fromkeys([*values, *map(unquote, values)]))

    def _head(self) -> bytes:
        # Without the closing quote: the tail begins with it
        return b'{"image":{"type":"url","content":' + json.dumps(self.url).encode()[:-1]


@dataclass(frozen=True, slots=True)
class ProbeBody:
    """An invalid request: the API's refusal shows whether the key is good, and costs nothing."""

    def __iter__(self) -> Iterator[bytes]:
        yield _PROBE

    def __len__(self) -> int:
        return len(_PROBE)

    def secrets(self) -> tuple[str, ...]:
        """It has none."""
        return ()


_PROBE = b'{"image":{"type":"none","content":""}}'


def _tail(context: Context) -> bytes:
    """From the quote that ends the image's content to the end of the request."""
    document = context.document()
    if not document:
        return b'"}}'
    return b'"},"context":' + json.dumps(document).encode("ascii") + b"}"


_RECOGNISED_BYTES = 48  # also a multiple of three: its base64 is that of the image
_SECRET_PARAMETERS = {"x-amz-credential", "x-amz-security-token", "x-amz-signature"}


def read_detection(text: str) -> tuple[Detection, ...]:
    """
    The detections in a comma-separated list, in any letter case.

    Raises:
        ValueError: A word is not in `DETECTIONS`; the message names it.
    """
    words = [word.strip().upper() for word in text.split(",") if word.strip()]
    known: dict[str, Detection] = {word: word for word in DETECTIONS}
    for word in words:
        if word not in known:
            raise ValueError(
                f"{shortened(repr(word))} cannot be detected; "
                f"allowed are {', '.join(DETECTIONS)}"
            )
    return tuple(known[word] for word in words)


def read_language(text: str) -> Language:
    """
    The language with that code, in any letter case.

    Raises:
        ValueError: It is not in `LANGUAGES`; the message names it.
    """
    for language in LANGUAGES:
        if text.strip().lower() == language:
            return language
    raise ValueError(
        f"{shortened(repr(text))} is not a supported language; "
        f"allowed are {', '.join(LANGUAGES)}"
    )


def read_metadata(
    metadata: Mapping[str, str],
    *,
    language: Language,
    detection: tuple[Detection, ...],
) -> tuple[Language, Context]:
    """
    The language and the context from an object's user metadata.

    *metadata* has its keys without `x-amz-meta-`, as boto3 returns them; keys without the prefix
    `tagger-` are ignored. *language* and *detection* are the defaults. S3 returns values that
    are not ASCII in the encoding of RFC 2047; they are decoded.

    Raises:
        InvalidContext: A `tagger-` key is unknown, which may be a typo, or a value is not
            allowed. The message names the key, the value and what is allowed.
    """
    found: dict[str, Any] = {"detection": detection or None}
    for key, raw in sorted(metadata.items()):
        name = key.lower()
        if not name.startswith(METADATA_PREFIX):
            continue
        field = name.removeprefix(METADATA_PREFIX)
        value = raw
        try:
            value = _decode(raw).strip()
            if not value:
                continue
            if field == "language":
                language = read_language(value)
            elif field == "detection":
                found["detection"] = read_detection(value) or None
            elif field == "price":
                found["price"] = _numeric(value)
            else:
                found[_text_field(field)] = value
        except ValueError as error:
            raise InvalidContext(
                f"x-amz-meta-{shortened(name)} = {shortened(repr(value))}: {error}"
            ) from error
    return language, Context(**found)


_TEXT_FIELDS = {
    "id": "id",
    "gender": "gender",
    "brand": "brand",
    "currency": "currency",
    "age": "age",
    "keywords": "keywords",
    "product-content-name": "product_content_name",
    "season": "season",
}

METADATA_FIELDS = (*_TEXT_FIELDS, "detection", "price", "language")
"""The names of the metadata's fields, without the prefix."""


def _text_field(field: str) -> str:
    if field not in _TEXT_FIELDS:
        known = ", ".join(METADATA_PREFIX + name for name in METADATA_FIELDS)
        raise ValueError(f"unknown field; allowed are {known}")
    return _TEXT_FIELDS[field]


def _decode(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        decoded = str(make_header(decode_header(value)))
        decoded.encode()  # fails for lone surrogates, which some charsets can spell
    except (MessageError, LookupError, UnicodeError) as error:
        raise ValueError(f"it cannot be decoded by RFC 2047 ({error})") from error
    return decoded


def _numeric(value: str) -> str:
    try:
        finite = Decimal(value).is_finite()
    except InvalidOperation:
        finite = False
    # Decimal also accepts 1_000 and the digits of other scripts.
    if not finite or "_" in value or not value.isascii():
        raise ValueError("it is not a number; write it like 299.99")
    return value
