"""
The announcements as models; `events/generate_schemas.py` makes the JSON Schemas of them.

A schema accepts every announcement that can be sent. Fields of Hangtag's own have exactly the
stated form. Fields of the Tagger API's answer are kept as they came: the schemas document their
usual form, and accept any other value. A later version may add fields anywhere.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WrapValidator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from hangtag.announcements import FAILED, REMOVED, TAGGED
from hangtag.tagger_api.models import DetectedObject, Named

_AsItCame = WrapValidator(lambda value, _: value)
"""Documents the usual form of a value of the API; it may have any other."""

_Timestamp = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$",
        json_schema_extra={"format": "date-time"},
    ),
]


class Image(BaseModel):
    """The object version that the event is about."""

    uri: str = Field(
        pattern="^s3://",
        description="s3://bucket/key with the raw key: nothing in it is percent-encoded",
        examples=["s3://hangtag-uploads-example/lookbook/spring jacket.jpg"],
    )
    bucket: str = Field(min_length=1, description="Name of the bucket")
    key: str = Field(min_length=1, description="The raw key, not percent-encoded")
    versionId: str | None = Field(
        description="The object's version; null in a bucket without versions"
    )
    etag: str | None = Field(
        description="The object's entity tag, without quotes; null if it is not known"
    )
    size: int | None = Field(description="Bytes; null if the size is not known")
    sequencer: str | None = Field(
        pattern="^[0-9A-Fa-f]{1,64}$",
        description="S3's hexadecimal number that orders the events of one key: pad the shorter "
        "one with zeros on the left, then the higher one is newer. Null if the event had none",
        examples=["0065A3F1C2D4E5B607"],
    )


class Context(BaseModel):
    """What the uploader said about the product; fields without a value are left out."""

    id: str = Field("", description="Product id as kept by the uploader")
    detection: list[str] = Field(
        [], description="What was to be tagged", examples=[["TOP", "SHOES"]]
    )
    gender: str = Field("", description="Who wears it", examples=["female"])
    brand: str = Field("", description="Brand")
    currency: str = Field("", description="Currency of the price", examples=["KRW"])
    price: str | Decimal = Field("", description="A number, or a number as text")
    age: str = Field("", description="Age group", examples=["early20s"])
    keywords: str = Field("", description="Words for a search")
    productContentName: str = Field("", description="Name of the product")
    season: str = Field("", description="Season", examples=["19SS"])


class _OwnFields(BaseModel):
    status: Literal["TAGGED"] = Field(description="The API has tagged the image")
    image: Image
    language: str = Field(
        min_length=1,
        description="Language of the tags' names",
        examples=["en", "ko", "zh", "ja"],
    )
    context: Context
    taggedAt: _Timestamp = Field(description="When the image was tagged, UTC")
    attributesTruncated: Literal[True] = Field(
        default=True,
        description="Only there if the tags have more values than the message attributes have "
        "room for: the least confident ones are missing in the attributes",
    )


class TaggedResult(_OwnFields):
    """The stored result: Hangtag's own fields, and all fields of the API's answer."""

    objects: list[DetectedObject] = Field(
        description="What was found; empty, or of the type NODETC, if nothing was"
    )
    notMatchedObject: list[Annotated[DetectedObject, _AsItCame]] = Field(
        description="Found, but not asked for in the context's detection"
    )
    genderInfo: Annotated[Named | None, _AsItCame] = Field(
        description="Whom the garments are for; null if the API does not say"
    )
    imageInfo: list[Annotated[Named, _AsItCame]] = Field(
        description="About the whole image", examples=[[]]
    )


class ResultKey(BaseModel):
    """The primary key of an item."""

    uri: str = Field(pattern="^s3://", description="The image's uri")
    version: Literal["result"] = Field(description="The sort key of results")


class FullResult(BaseModel):
    """
    An item of DynamoDB: its attribute `result` has all fields.

    If the item has the attribute `largeResult`, its result is too large for DynamoDB, too:
    the object with that key in the bucket `largeResultsBucket` has all fields.
    """

    table: str = Field(description="Name of the results table")
    key: ResultKey
    largeResultsBucket: str = Field(
        description="Name of the bucket of the results that the table does not take"
    )


class TruncatedResult(_OwnFields):
    """
    The stored result without the API's answer.

    SNS takes 256 KiB, attributes included. `hangtag results show URI` prints the full result.
    """

    truncated: Literal[True] = Field(
        description="The API's answer is left out, because it is too large"
    )
    fullResult: FullResult = Field(description="Where the full result is")


class RemovedResult(BaseModel):
    """The object is gone, and with it its result."""

    status: Literal["REMOVED"] = Field(description="The object was deleted")
    image: Image
    removedAt: _Timestamp = Field(description="When the object was removed, UTC")


class Failure(BaseModel):
    """Why the image has no tags."""

    code: str = Field(
        min_length=1,
        description="The error code; docs/error-codes.md lists them. More may be added",
        examples=["807", "UNSUPPORTED_FORMAT"],
    )
    kind: str = Field(
        min_length=1,
        description="What the failure calls for. More kinds may be added",
        examples=["permanent", "transient", "auth", "quota", "config"],
    )
    message: str = Field(description="For people; its words may change")
    source: str = Field(
        min_length=1,
        description="Where the failure comes from. More sources may be added",
        examples=["api", "image", "aws", "event", "internal"],
    )
    attempts: int = Field(ge=0, description="Attempts until then")
    failedAt: _Timestamp = Field(description="When the upload failed, UTC")
    format: str = Field(
        "",
        description="The format that was found instead of an accepted one, if it is known",
        examples=["HEIC"],
    )


class FailedResult(BaseModel):
    """The upload is in the dead-letter queue; an operator may replay it."""

    status: Literal["FAILED"] = Field(description="The image could not be tagged")
    image: Image
    failure: Failure


class _Event(BaseModel):
    specversion: Literal["1.0"] = Field(description="Version of CloudEvents")
    id: str = Field(
        pattern="^[0-9a-f]{32}$",
        description="The same for every repetition of the same event, and another one for every "
        "other event",
        examples=["7d8f2b61c9a04e53b1f6d2a8c4e09f17"],
    )
    source: str = Field(
        pattern="^arn:[a-z0-9-]+:s3:::",
        description="ARN of the bucket",
        examples=["arn:aws:s3:::hangtag-uploads-example"],
    )
    subject: str = Field(min_length=1, description="The object's raw key")
    time: _Timestamp = Field(
        description="When it happened, UTC: taggedAt, removedAt or failedAt"
    )
    datacontenttype: Literal["application/json"] = Field(
        description="Media type of the data"
    )


class TaggedEvent(_Event):
    """An image was tagged, and its result is stored."""

    type: Literal["hangtag.image.tagged.v1"] = Field(description="Type and version")
    data: TaggedResult | TruncatedResult = Field(description="The result")


class RemovedEvent(_Event):
    """
    An image was removed: its object was deleted, or the newest version is a delete marker.

    Its result is gone.
    """

    type: Literal["hangtag.image.removed.v1"] = Field(description="Type and version")
    data: RemovedResult = Field(description="What is known of the removal")


class FailedEvent(_Event):
    """An image could not be tagged: it is in the dead-letter queue until it is replayed."""

    type: Literal["hangtag.image.failed.v1"] = Field(description="Type and version")
    data: FailedResult = Field(description="The failure")


EVENTS: dict[str, type[BaseModel]] = {
    TAGGED: TaggedEvent,
    REMOVED: RemovedEvent,
    FAILED: FailedEvent,
}
"""The model of each type of event."""

_API_FIELDS = {
    "Named": {
        "id": "The API's id, opaque and the same in every language",
        "name": "The name in the result's language",
    },
    "Attribute": {
        "id": "The API's id, opaque and the same in every language",
        "name": "The name in the result's language",
        "confidence": "How sure the API is, 0 to 1",
    },
    "ColorDetail": {
        "code": "Red, green and blue, in hexadecimal",
        "name": "Name of the colour",
        "pixelFraction": "Share of the garment's pixels, 0 to 1",
    },
    "Position": {
        "x": "From the left, 0 to 1 of the image's width",
        "y": "From the top, 0 to 1 of the image's height",
    },
    "Tag": {
        "category": "Kind of garment",
        "position": "Where the garment is",
        "item": "Kind of garment, finer than the category",
        "colors": "Colours, of 18",
        "colorDetails": "Colours, of a fine palette",
        "details": "Details such as buttons",
        "prints": "Prints",
        "textures": "Materials",
        "looks": "Styles",
        "length": "Length",
        "sleeveLength": "Length of the sleeves",
        "neckLine": "Neckline",
        "fit": "Fit",
        "shape": "Shape",
        "heelHeight": "Shoes only: height of the heel",
        "toeType": "Shoes only: form of the toe",
        "heelShape": "Shoes only: form of the heel",
        "soleType": "Shoes only: kind of sole",
    },
    "DetectedObject": {
        "type": "Type of the garments; more types may be added",
        "tags": "The garments",
    },
}
"""Descriptions of the API's fields, by model."""

_OTHER = {"description": "Any other value, as the API sent it"}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's signature
        return False  # it is the field's name

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:  # noqa: ARG002
        return {"type": "number"}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(
            schema["schema"]
        )  # a field that is left out has none

    def function_wrap_schema(
        self, schema: core_schema.WrapValidatorFunctionSchema
    ) -> JsonSchemaValue:
        usual = self.generate_inner(schema["schema"])
        return {"anyOf": [*usual.get("anyOf", [usual]), _OTHER]}


def schema_of(event: str) -> dict[str, Any]:
    """The JSON Schema of a type of event."""
    schema = EVENTS[event].model_json_schema(schema_generator=_Generator)
    definitions = schema["$defs"]
    for model, descriptions in _API_FIELDS.items():
        if model in definitions:
            for name, description in descriptions.items():
                definitions[model]["properties"][name]["description"] = description
    if "DetectedObject" in definitions:
        definitions["DetectedObject"]["required"] = ["tags"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:hangtag:event:{event}",
        **schema,
        "title": event,
    }
