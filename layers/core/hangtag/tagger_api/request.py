"""
What the Tagger API is asked: `POST /tagger/v2.12/tags`.

The models describe the whole request; the sandbox reads requests with them. `Base64Body`
writes one piece by piece, so that an image is never in memory as base64 and as JSON, too.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import Annotated, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict, Field

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
"""The first five stand on the page of version 2.12, the others on the vendor's other pages."""

METADATA_PREFIX = "tagger-"
"""S3 user metadata with this prefix (`x-amz-meta-tagger-…`) is context for the API."""


class Context(BaseModel):
    """What is known of the picture's product; every field may be left out."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    id: str | None = Field(None, description="Product id as kept by the user")
    detection: tuple[Detection, ...] | None = Field(
        None, description="What to tag; empty for all clothing, SHOES only if asked for"
    )
    gender: str | None = Field(None, examples=["female", "male", "unisex"])
    brand: str | None = None
    currency: str | None = Field(None, examples=["KRW", "USD"])
    price: str | int | Decimal | None = Field(
        None, description="A number, or a number as text: both are documented"
    )
    age: str | None = Field(None, examples=["early20s", "over50s"])
    keywords: str | None = None
    product_content_name: Annotated[str | None, Field(alias="productContentName")] = (
        None
    )
    season: str | None = Field(None, examples=["19SS", "19FW"])

    def document(self) -> dict[str, object]:
        """What is sent: the given fields by the API's names."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="python")


class Image(BaseModel):
    """The picture itself, or where it is."""

    type: Literal["url", "base64"]
    content: str = Field(
        description="The image's URL, or data:<media type>;base64,<base64>"
    )


class TaggingRequest(BaseModel):
    """The body of a request."""

    image: Image
    context: Context | None = None


class RequestBody(Protocol):
    """The bytes of a request, piece by piece; again and again, for a second try."""

    def __iter__(self) -> Iterator[bytes]:
        """The pieces."""
        ...

    def __len__(self) -> int:
        """How many bytes they are together: what is sent has a Content-Length."""
        ...


@dataclass(frozen=True, slots=True)
class Base64Body:
    """A request that carries its image as base64; what it holds in memory is the image."""

    image: bytes | bytearray
    media_type: str
    context: Context
    with_prefix: bool = True
    """The API documents the prefix `data:<media type>;base64,`."""

    def __iter__(self) -> Iterator[bytes]:
        yield self._head()
        view = memoryview(self.image)
        for start in range(0, len(view), _PIECE):
            yield b64encode(view[start : start + _PIECE])
        yield _tail(self.context)

    def __len__(self) -> int:
        encoded = (len(self.image) + 2) // 3 * 4
        return len(self._head()) + encoded + len(_tail(self.context))

    def _head(self) -> bytes:
        prefix = f"data:{self.media_type};base64," if self.with_prefix else ""
        return b'{"image":{"type":"base64","content":"' + prefix.encode("ascii")


@dataclass(frozen=True, slots=True)
class UrlBody:
    """A request that says where the image is; the API fetches it."""

    url: str
    context: Context

    def __iter__(self) -> Iterator[bytes]:
        yield self._head()
        yield _tail(self.context)

    def __len__(self) -> int:
        return len(self._head()) + len(_tail(self.context))

    def _head(self) -> bytes:
        # Without the closing quote, which begins the tail
        return b'{"image":{"type":"url","content":' + json.dumps(self.url).encode()[:-1]


@dataclass(frozen=True, slots=True)
class ProbeBody:
    """A request that no image can come of: what is said of it tells of the key alone."""

    def __iter__(self) -> Iterator[bytes]:
        yield _PROBE

    def __len__(self) -> int:
        return len(_PROBE)


_PROBE = b'{"image":{"type":"none","content":""}}'


def _tail(context: Context) -> bytes:
    """From the quote that ends the image's content to the end of the request."""
    document = context.document()
    if not document:
        return b'"}}'
    # A price that came as a number is sent as text: JSON's encoder knows no Decimal, and the
    # API documents both.
    return b'"},"context":' + json.dumps(document, default=str).encode("ascii") + b"}"


_PIECE = 3 * 64 * 1024  # a multiple of three: no padding between the pieces


def read_detection(text: str) -> tuple[Detection, ...]:
    """
    A comma-separated list of what to detect; blanks and letter case do not matter.

    Raises:
        ValueError: A word is none of `DETECTIONS`; the message names it.
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
    One of the four languages.

    Raises:
        ValueError: It is none of them; the message names it.
    """
    for language in LANGUAGES:
        if text.strip().lower() == language:
            return language
    raise ValueError(
        f"{shortened(repr(text))} is no language; allowed are {', '.join(LANGUAGES)}"
    )


def read_metadata(
    metadata: Mapping[str, str],
    *,
    language: Language,
    detection: tuple[Detection, ...],
) -> tuple[Language, Context]:
    """
    The language and the context that an object's user metadata asks for.

    *metadata* has its keys without `x-amz-meta-`, as boto3 gives them; keys without the prefix
    `tagger-` are not ours. *language* and *detection* hold where the metadata says nothing.
    S3 hands values that are not ASCII back RFC 2047-encoded; they are decoded.

    Raises:
        InvalidContext: A `tagger-` key is unknown (a typo must not lose a product's gender) or
            a value is not allowed; names the key, the value and what is allowed.
    """
    fields: dict[str, object] = {"detection": detection or None}
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
                fields["detection"] = read_detection(value) or None
            elif field == "price":
                fields["price"] = _numeric(value)
            else:
                fields[_text_field(field)] = value
        except ValueError as error:
            raise InvalidContext(
                f"x-amz-meta-{shortened(name)} = {shortened(repr(value))}: {error}"
            ) from error
    return language, Context.model_validate(fields)


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
"""The fields of the context as metadata names them, without the prefix."""


def _text_field(field: str) -> str:
    if field not in _TEXT_FIELDS:
        known = ", ".join(METADATA_PREFIX + name for name in METADATA_FIELDS)
        raise ValueError(f"there is no such field; allowed are {known}")
    return _TEXT_FIELDS[field]


def _decode(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        decoded = str(make_header(decode_header(value)))
        decoded.encode()  # some charsets spell half a character, which nothing can carry
    except (MessageError, LookupError, UnicodeError) as error:
        raise ValueError(f"it cannot be decoded by RFC 2047 ({error})") from error
    return decoded


def _numeric(value: str) -> str:
    try:
        finite = Decimal(value).is_finite()
    except InvalidOperation:
        finite = False
    # Python alone reads 1_000, and the digits of other scripts
    if not finite or "_" in value or not value.isascii():
        raise ValueError("it is no number; write it like 299.99")
    return value
