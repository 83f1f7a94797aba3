"""
Builds the OpenAPI 3.1 document of the Tagger API and the sandbox's own endpoints.

The schemas come from the contract's models; `docs/tagger-api.openapi.yaml` is this document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from hangtag.errors import HangtagError
from hangtag.tagger_api import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    Detection,
)
from hangtag.tagger_api.errors import leaves
from hangtag.tagger_api.models import AnswerBody, TaggingRequest
from hangtag_sandbox import vocabulary
from hangtag_sandbox.answers import answer, refusal, to_json
from hangtag_sandbox.calls import Call
from hangtag_sandbox.colors import SeenColor
from hangtag_sandbox.faults import Fault
from hangtag_sandbox.paths import SYNTHETIC_HEADER, TAGS_PATH
from hangtag_sandbox.prints import SeenPrint
from hangtag_sandbox.quota import QuotaDocument
from hangtag_sandbox.sightings import Sighting
from hangtag_sandbox.validation import http_status

Json = dict[str, Any]

_ABOUT = """\
The OMNIOUS Tagger API 2.12 as Hangtag reads it, with the sandbox's own endpoints.

The vendor does not publish the HTTP statuses of errors: the sandbox's are used here. Clients read
the body of an answer first. Fields may be missing or null, and unknown fields may appear.
"""


@cache
def openapi() -> Json:
    """Return the whole document as JSON values."""
    schemas = _schemas()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tagger API (Hangtag's sandbox)",
            "version": "2.12",
            "description": _ABOUT,
        },
        "servers": [{"url": "/", "description": "The sandbox"}],
        "tags": [
            {"name": "Tagger API", "description": "The vendor's published API."},
            {
                "name": "Sandbox",
                "description": "List the calls, inject faults, set quota and keys.",
            },
        ],
        "paths": {TAGS_PATH: {"post": _tagging()}, **_own_paths()},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The control token, which the sandbox prints or takes from "
                    "HANGTAG_SANDBOX_TOKEN",
                },
            },
        },
    }


def published_errors() -> list[type[HangtagError]]:
    """List the product's error classes with a published API code, sorted by code."""
    errors = [leaf for leaf in leaves() if leaf.code.isdigit()]
    return sorted(errors, key=lambda leaf: int(leaf.code))


class _Shapes(GenerateJsonSchema):
    """Writes shorter JSON Schemas than pydantic's default."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:  # noqa: ARG002  pydantic's signature
        return {"type": "number"}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if isinstance(inner.get("type"), str) and "enum" not in inner:
            return {**inner, "type": [inner["type"], "null"]}
        return super().nullable_schema(schema)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        shape = super().default_schema(schema)
        if shape.get("default", ...) is None:
            del shape["default"]
        return shape

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  pydantic's signature
        return False


def _schemas() -> Json:
    models: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (model.__name__, "validation", TypeAdapter(model))
        for model in (TaggingRequest, AnswerBody, Fault, QuotaDocument, Call)
    ]
    _, whole = TypeAdapter.json_schemas(
        models,
        by_alias=True,
        ref_template="#/components/schemas/{model}",
        schema_generator=_Shapes,
    )
    schemas: Json = whole["$defs"]
    for shape in schemas.values():
        shape.pop("title", None)
        if "description" in shape:
            shape["description"] = " ".join(shape["description"].split())
    return schemas


def _tagging() -> Json:
    return {
        "tags": ["Tagger API"],
        "operationId": "tag",
        "summary": "Tag the garments in an image",
        "security": [{"key": []}],
        "parameters": [
            {
                "name": "accept-language",
                "in": "header",
                "description": "The language of the names in the answer",
                "schema": {"enum": list(LANGUAGES), "default": DEFAULT_LANGUAGE},
            }
        ],
        "requestBody": {
            "required": True,
            "content": _json(_shape("TaggingRequest"), {"example": _REQUEST}),
        },
        "responses": {
            "201": {
                "description": "The tags",
                "headers": {
                    SYNTHETIC_HEADER: {
                        "description": "The fields that the sandbox invented, separated by "
                        "commas; missing if it invented no field",
                        "schema": {"type": "string"},
                    }
                },
                "content": _json(_answer("ok", {"type": "null"}), _answers()),
            },
            **dict(_refusals()),
        },
    }


def _refusals() -> Iterator[tuple[str, Json]]:
    by_status: dict[int, list[type[HangtagError]]] = {}
    for error in published_errors():
        by_status.setdefault(http_status(int(error.code)), []).append(error)
    for status in sorted(by_status):
        errors = by_status[status]
        yield (
            str(status),
            {
                "description": "Refused: "
                + ", ".join(error.code for error in errors)
                + ". A fault may add the header Retry-After.",
                "content": _json(
                    _answer("fail", {"$ref": "#/components/schemas/AnswerError"}),
                    {"examples": {error.code: _refusal(error) for error in errors}},
                ),
            },
        )


def _refusal(error: type[HangtagError]) -> Json:
    meaning = str(error.__doc__).strip()
    return {
        "summary": meaning,
        "value": json.loads(to_json(refusal(int(error.code), meaning))),
    }


def _answers() -> Json:
    shirt = Sighting(
        x=0.5033992828,
        y=0.5039257706,
        colors=[
            SeenColor(
                "#e5ccaf",
                "gray-sand",
                vocabulary.COLORS["beige"],
                vocabulary.SHADES["plain"],
                1.0,
            )
        ],
        print=SeenPrint(vocabulary.PRINTS["solid"], 0.9973957539),
    )
    shoes = [
        replace(shirt, x=x, y=0.8293977976, pair=0) for x in (0.3587198853, 0.6412)
    ]
    seen = {
        "One garment": ([shirt], ()),
        "A garment, and shoes that were not requested": (
            [shirt, *shoes],
            _ALL_CLOTHING,
        ),
        "Nothing found": ([], ()),
    }
    return {
        "examples": {
            summary: {
                "value": json.loads(
                    to_json(
                        answer(
                            sightings, "0" * 64, language="en", detection=detection
                        ).body
                    )
                )
            }
            for summary, (sightings, detection) in seen.items()
        }
    }


_ALL_CLOTHING: tuple[Detection, ...] = ("TOP", "BOTTOM", "WHOLEBODY", "SWIMWEAR")

_REQUEST = {
    "image": {"type": "url", "content": "http://127.0.0.1:8000/a-dress.jpg"},
    "context": {
        "id": "A111",
        "detection": ["TOP", "BOTTOM", "WHOLEBODY", "SWIMWEAR", "SHOES"],
        "gender": "female",
        "brand": "Sample Studio",
        "currency": "USD",
        "price": 299.99,
        "age": "early20s",
        "keywords": "summer onepiece",
        "productContentName": "one-piece",
        "season": "19SS",
    },
}


def _own_paths() -> Json:
    done = {"204": {"description": "Done"}}
    wrong = {"400": _reason("The request is invalid")}
    untyped = {"415": _reason("The body is not application/json")}
    fault, quota = _shape("Fault"), _shape("QuotaDocument")
    return {
        "/sandbox/faults": {
            "get": _own(
                "List the active faults, with their remaining calls",
                {"200": _shown(_list(fault))},
            ),
            "post": _own(
                "Add a fault for one image or for all calls",
                {"201": _shown(fault), **wrong, **untyped},
                body=_json(fault, {"examples": _FAULTS}),
            ),
            "delete": _own("Remove all faults", done),
        },
        "/sandbox/faults/{sha256}": {
            "parameters": [
                {
                    "name": "sha256",
                    "in": "path",
                    "required": True,
                    "description": "SHA-256 of the image's bytes, hex",
                    "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"},
                }
            ],
            "delete": _own("Remove the fault of one image", {**done, **wrong}),
        },
        "/sandbox/calls": {
            "get": _own(
                "List the tag calls, oldest first",
                {"200": _shown(_list(_shape("Call"))), **wrong},
                parameters=[_SINCE],
            ),
            "delete": _own("Clear the list of calls", done),
        },
        "/sandbox/quota": {
            "get": _own(
                "Show how many successful answers are left", {"200": _shown(quota)}
            ),
            "put": _own(
                "Set how many successful answers are left before error 823",
                {"200": _shown(quota), **wrong, **untyped},
                body=_json(quota, {"example": {"left": 100}}),
            ),
        },
        "/sandbox/keys": {
            "put": _own(
                "Accept these API keys only",
                {
                    "200": _shown(_object({"keys": {"type": "integer"}})),
                    **wrong,
                    **untyped,
                },
                body=_json(_shape("KeysDocument"), {"example": {"keys": ["new-key"]}}),
            ),
        },
        "/healthz": {
            "get": _own(
                "Check that the sandbox runs",
                {"200": _shown(_object({"status": {"const": "ok"}}))},
                is_control=False,
            )
        },
    }


_FAULTS = {
    "One image": {"value": {"sha256": "0" * 64, "code": 803, "times": 2}},
    "Every tenth call": {"value": {"rate": 0.1, "code": 500}},
    "Too many requests": {
        "value": {"status": 429, "body": "", "retryAfter": 2, "times": 3}
    },
    "One after the other": {
        "value": {
            "sequence": [
                {"status": 503, "body": "<html>Bad gateway</html>"},
                {"cut": "half"},
                {},
                {"delaySeconds": 20},
            ]
        }
    },
}


_SINCE = {
    "name": "since",
    "in": "query",
    "description": "List only calls that arrived later: seconds since 1970, as in `at`",
    "schema": {"type": "number", "default": 0},
}


def _own(
    summary: str,
    responses: Json,
    *,
    body: Json | None = None,
    parameters: list[Json] | None = None,
    is_control: bool = True,
) -> Json:
    operation: Json = {"tags": ["Sandbox"], "summary": summary}
    if is_control:
        operation["security"] = [{"token": []}]
        responses = {**responses, "401": _reason("The token is missing or wrong")}
    if parameters is not None:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return {**operation, "responses": responses}


def _reason(description: str) -> Json:
    return {
        "description": f"{description}; `error` gives the reason",
        "content": _json(_object({"error": {"type": "string"}})),
    }


def _shown(schema: Json) -> Json:
    return {"description": "The current state", "content": _json(schema)}


def _answer(status: str, error: Json) -> Json:
    return {
        "allOf": [
            _shape("AnswerBody"),
            _object({"status": {"const": status}, "error": error}),
        ]
    }


def _json(schema: Json, examples: Json | None = None) -> Json:
    return {"application/json": {"schema": schema, **(examples or {})}}


def _shape(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def _object(properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }
