"""
The documented shapes of the Tagger API's requests and answers, every field.

The sandbox is built on these models, and the OpenAPI document is made of them. The functions do
not load them, for shorter cold starts (docs/decisions/0050-no-pydantic.md).

An answer that was paid for must not be thrown away over an odd value: the models are strict about
lists of objects and tags only, and keep any other value as it came. `hangtag.tagger_api.reading`
accepts the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from hangtag.tagger_api.answer import NOTHING_DETECTED
from hangtag.tagger_api.request import Detection

# ---- requests


class Context(BaseModel):
    """The product in the image; every field is optional."""

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


class Image(BaseModel):
    """The image itself, or its URL."""

    type: Literal["url", "base64"]
    content: str = Field(
        description="The image's URL, or data:<media type>;base64,<base64>"
    )


class TaggingRequest(BaseModel):
    """The body of a request."""

    image: Image
    context: Context | None = None


# ---- answers


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
