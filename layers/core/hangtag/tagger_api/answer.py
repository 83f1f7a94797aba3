"""
The answers of the Tagger API.

The models describe the documented shape. An answer that was paid for must not be thrown away over
an odd value: the models are strict about lists of objects and tags only, and keep any other value
as it came. `hangtag.tagger_api.reading` makes an `Answer` of a body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

NOTHING_DETECTED = "NODETC"
"""The type of an object that stands for "no garment found"."""


def _keep_invalid(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return value


_KeepAnything = WrapValidator(_keep_invalid)
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
        strict=True,  # else pydantic expands 1E999999999 to see whether it is whole
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
        Field(None, description="Detected, but not requested in detection")
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
    """A successful answer in one shape; its numbers are `int` and `Decimal`, not rounded."""

    objects: list[dict[str, Any]]
    not_matched_object: list[Any]
    gender_info: Any
    image_info: list[Any]
    unknown: dict[str, Any] = field(default_factory=dict)
    """Other fields of the answer, unchanged."""

    def document(self) -> dict[str, Any]:
        """The four documented parts by the API's names, and the unknown fields."""
        return {
            **self.unknown,
            "objects": self.objects,
            "notMatchedObject": self.not_matched_object,
            "genderInfo": self.gender_info,
            "imageInfo": self.image_info,
        }
