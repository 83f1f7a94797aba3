"""
What the Tagger API answers.

`read_answer` reads tolerantly, keeps everything and gives one shape out: the contract's page does
not pin field names (`colorDetail` and `colorDetails`, `notMatchedObject` in several spellings and
places, `imageinfo` and `imageInfo` have all been seen), and an answer that was paid for is not
thrown away over an odd value. The models describe the documented shape; where the whole answer
hangs on a type (objects, tags) they are strict, at its leaves they let through what came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, NoReturn

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from hangtag.errors import ApiRedirected, BadAnswer, HttpStatus, error_from_api
from hangtag.text import printable, shortened, without_secrets

NOTHING_DETECTED = "NODETC"
"""The type of an object that stands for "no garment found"."""


def _as_it_came(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return value


_KeepAnything = WrapValidator(_as_it_came)
_NoneIsEmpty = BeforeValidator(lambda value: [] if value is None else value)


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Named(_Model):
    """An id and the name it has in the answer's language."""

    id: Annotated[str | None, _KeepAnything] = Field(None, examples=["T0360"])
    name: Annotated[str | None, _KeepAnything] = Field(None, examples=["jacket"])


class Attribute(Named):
    """A recognised attribute and how sure the API is of it, 0 to 1."""

    confidence: Annotated[Decimal | None, _KeepAnything] = None


class ColorDetail(_Model):
    """A colour of the fine palette and its share of the garment's pixels, 0 to 1."""

    code: Annotated[str | None, _KeepAnything] = Field(None, examples=["#e5ccaf"])
    name: Annotated[str | None, _KeepAnything] = None
    pixelFraction: Annotated[Decimal | None, _KeepAnything] = None


class Position(_Model):
    """The centre of the garment's bounding box, each 0 to 1 of the image's sides."""

    x: Annotated[Decimal | None, _KeepAnything] = None
    y: Annotated[Decimal | None, _KeepAnything] = None


_Attribute = Annotated[Attribute | None, _KeepAnything]
_Attributes = Annotated[tuple[Attribute, ...] | None, _KeepAnything]


class Tag(_Model):
    """One garment. Any attribute may be missing, null or empty."""

    category: Annotated[Named | None, _KeepAnything] = None
    position: Annotated[Position | None, _KeepAnything] = None
    item: _Attribute = None
    pairIndex: Annotated[int | None, _KeepAnything] = Field(
        None,
        strict=True,  # else 1E999999999 would be written out to see whether it is whole
        description="Shoes only: the same number for the two of a pair",
    )
    colors: _Attributes = None
    colorDetails: Annotated[tuple[ColorDetail, ...] | None, _KeepAnything] = None
    details: _Attributes = None
    prints: _Attributes = None
    textures: _Attributes = None
    looks: _Attributes = None
    length: _Attribute = None
    sleeveLength: _Attribute = None
    neckLine: _Attribute = None
    fit: _Attribute = None
    shape: _Attribute = None
    heelHeight: _Attribute = None
    toeType: _Attribute = None
    heelShape: _Attribute = None
    soleType: _Attribute = None


class DetectedObject(_Model):
    """Garments of one type."""

    type: Annotated[str | None, _KeepAnything] = Field(
        None,
        examples=[
            "CLOTHING",
            "SWIMWEAR",
            "SHOES",
            "BAGS",
            "HATS",
            "JEWELRIES",
            "ACCESSORIES",
            NOTHING_DETECTED,
        ],
    )
    tags: Annotated[tuple[Tag, ...], _NoneIsEmpty] = ()


class AnswerData(_Model):
    """The result of an analysis."""

    imageInfo: Annotated[tuple[Named, ...] | None, _KeepAnything] = None
    genderInfo: Annotated[Named | None, _KeepAnything] = None
    objects: Annotated[tuple[DetectedObject, ...], _NoneIsEmpty] = ()
    notMatchedObject: Annotated[tuple[DetectedObject, ...] | None, _KeepAnything] = (
        Field(None, description="What was detected but not asked for")
    )


class AnswerError(_Model):
    """Why there is no result."""

    code: int
    message: str | None = None


class AnswerBody(_Model):
    """The body of every answer, good or bad."""

    status: str = Field(examples=["ok", "fail"])
    data: AnswerData
    error: AnswerError | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer, in one shape; numbers are `int` and `Decimal`, digit for digit."""

    objects: list[dict[str, Any]]
    not_matched_object: list[Any]
    gender_info: Any
    image_info: list[Any]
    unknown: dict[str, Any] = field(default_factory=dict)
    """What else the answer's data had, kept as it came."""

    def document(self) -> dict[str, Any]:
        """The four parts by the API's names, and what is unknown."""
        return {
            **self.unknown,
            "objects": self.objects,
            "notMatchedObject": self.not_matched_object,
            "genderInfo": self.gender_info,
            "imageInfo": self.image_info,
        }


def read_answer(
    body: bytes,
    *,
    http_status: int,
    retry_after_seconds: float | None = None,
    secret: str = "",
) -> Answer:
    """
    The answer in *body*, judged by the body first and by its HTTP status then.

    *secret* stands in no error's text, also where the API echoes it.

    Raises:
        HangtagError: The leaf for the code in the body (`UnlistedApiCode` for a number that is
            not documented).
        ApiRedirected: The status is 3xx and the body carries no code.
        HttpStatus: The status is 4xx or 5xx and the body carries no code.
        BadAnswer: The status is 2xx and the body is no Tagger answer.
    """
    try:
        document = parse_json(body)
    except ValueError as error:
        document = None
        trouble = f"it is not JSON ({error})"
    else:
        trouble = "it is JSON, but no object"

    if isinstance(document, dict):
        code = _error_code(document)
        if code is not None:
            raise error_from_api(
                code,
                _hidden(_error_message(document), secret)
                or f"the API refused with {code}",
                http_status=http_status,
                retry_after_seconds=retry_after_seconds,
            )
    if 300 <= http_status < 400:
        raise ApiRedirected(
            f"the API answered HTTP {http_status}: {_excerpt(body, secret)}"
        )
    if not 200 <= http_status < 300:
        raise HttpStatus(
            f"the API answered HTTP {http_status}: {_excerpt(body, secret)}",
            http_status=http_status,
            retry_after_seconds=retry_after_seconds,
        )
    if isinstance(document, dict):
        try:
            return _read_success(document)
        except ValueError as error:
            trouble = str(error)
    raise BadAnswer(
        f"HTTP {http_status}, but no Tagger answer: {trouble}: {_excerpt(body, secret)}",
        retry_after_seconds=retry_after_seconds,
    )


def parse_json(body: bytes | str) -> Any:
    """
    JSON with its digits kept: numbers are `int` and `Decimal`.

    Raises:
        ValueError: It is not JSON, or too deep to be read.
    """
    try:
        return _whole_characters(
            json.loads(body, parse_float=_number, parse_constant=_no_number), _DEEPEST
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def named_values(attribute: object) -> Iterator[str]:
    """The name and the id of an attribute, as far as it has them."""
    if isinstance(attribute, Mapping):
        for part in ("name", "id"):
            value = attribute.get(part)
            if isinstance(value, str) and value:
                yield value


def _number(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation as error:
        raise ValueError(f"{digits[:40]} is beyond all numbers") from error


_DEEPEST = 100
"""Lists in lists that are read: far more than an answer has, far less than harms a reader."""


def _whole_characters(value: Any, deepest: int) -> Any:
    r"""JSON can spell half a character ("\ud800"), which nothing else can carry."""
    if deepest < 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode()
    if isinstance(value, list):
        return [_whole_characters(part, deepest - 1) for part in value]
    if isinstance(value, dict):
        return {
            _whole_characters(name, deepest): _whole_characters(part, deepest - 1)
            for name, part in value.items()
        }
    return value


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _error_code(document: dict[str, Any]) -> str | None:
    error = document.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, bool):
        return None
    if isinstance(code, int):
        return str(code)
    # 8.03E2 is 803, but the digits of 1E999999999 would fill the memory
    if isinstance(code, Decimal) and code.adjusted() < 10:
        return str(int(code)) if code == code.to_integral_value() else None
    if isinstance(code, str) and code.strip().isascii() and code.strip().isdigit():
        return code.strip()
    return None


def _error_message(document: dict[str, Any]) -> str:
    message = document["error"].get("message")
    return message if isinstance(message, str) else ""


def _read_success(document: dict[str, Any]) -> Answer:
    """Raises ValueError where the document is no successful answer."""
    status = document.get("status")
    if status is not None and status != "ok":
        raise ValueError(
            f"its status is {shortened(repr(status))}, without an error code"
        )
    data = document.get("data")
    if not isinstance(data, dict):
        raise ValueError("it has no data")

    parts = _joined_parts(_one_spelling(data), _one_spelling(_root_parts(document)))
    if "objects" not in parts:
        raise ValueError("its data has no objects")
    try:
        AnswerData.model_validate(parts)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        expected = _EXPECTED.get(first["type"], first["msg"])
        raise ValueError(f"{where} is {expected}") from error

    return Answer(
        objects=[_one_object(found) for found in parts["objects"] or []],
        not_matched_object=[
            _one_object(found) for found in _listed(parts.get("notMatchedObject"))
        ],
        gender_info=parts.get("genderInfo"),
        image_info=_listed(parts.get("imageInfo")),
        unknown={name: part for name, part in parts.items() if name not in _PARTS},
    )


# Spellings that have been seen, folded to lower case, and the one that is given out
_DATA_SPELLINGS = {
    "notmatchedobject": "notMatchedObject",
    "notmatchedobjects": "notMatchedObject",
    "imageinfo": "imageInfo",
    "genderinfo": "genderInfo",
    "objects": "objects",
}
_PARTS = frozenset(_DATA_SPELLINGS.values())
_TAG_SPELLINGS = {"colordetail": "colorDetails", "colordetails": "colorDetails"}
_NOTHING_SPELLINGS = {"no detected product", "nodetc"}


# In JSON's words, not in Python's
_EXPECTED = {"tuple_type": "no list", "model_type": "no object"}


def _root_parts(document: dict[str, Any]) -> dict[str, Any]:
    """`notMatchedObject` has been seen beside `data`, too; what is unknown there is kept."""
    envelope = {"status", "data", "error"}
    return {name: value for name, value in document.items() if name not in envelope}


def _joined_parts(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return second | {
        name: _joined(value, second[name]) if name in second else value
        for name, value in first.items()
    }


def _one_spelling(
    parts: dict[str, Any], spellings: Mapping[str, str] = _DATA_SPELLINGS
) -> dict[str, Any]:
    """The same parts under the names that are given out; what says something is not lost."""
    renamed: dict[str, Any] = {}
    for name, value in parts.items():
        spelling = spellings.get(name.lower(), name)
        if spelling not in renamed:
            renamed[spelling] = value
        else:
            renamed[spelling] = _joined(renamed[spelling], value)
    return renamed


def _joined(first: Any, second: Any) -> Any:
    """Two spellings of one part, both of which may say something."""
    # By repr, not by ==: to Python 1 is 1.0 and True
    if second in (None, []) or repr(second) == repr(first):
        return first
    if first in (None, []):
        return second
    first = first if isinstance(first, list) else [first]
    second = second if isinstance(second, list) else [second]
    told = {repr(part) for part in first}
    return [*first, *(part for part in second if repr(part) not in told)]


def _one_object(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    kind = found.get("type")
    if isinstance(kind, str) and kind.lower() in _NOTHING_SPELLINGS:
        found = {**found, "type": NOTHING_DETECTED}
    tags = found.get("tags")
    if tags is None or isinstance(tags, list):
        found = {**found, "tags": [_one_tag(tag) for tag in tags or []]}
    return found


def _one_tag(tag: Any) -> Any:
    return _one_spelling(tag, _TAG_SPELLINGS) if isinstance(tag, dict) else tag


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _excerpt(body: bytes, secret: str) -> str:
    """What came, as far as it fits: the first 200 characters."""
    text = _hidden(body[:4_000].decode("utf-8", errors="replace"), secret)
    return printable(without_secrets(text)).strip()[:200] or "(empty)"


def _hidden(text: str, secret: str) -> str:
    return text.replace(secret, "...") if secret else text
