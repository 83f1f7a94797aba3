"""The OpenAPI document matches the models and the committed file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import validate
from werkzeug.test import Client

from docs.generate_openapi import openapi_yaml
from hangtag.tagger_api import LANGUAGES, read_answer
from hangtag.tagger_api.models import Context, Tag, TaggingRequest
from hangtag_sandbox import create_app
from hangtag_sandbox.openapi import openapi
from hangtag_sandbox.validation import http_status
from tests.builders import REPOSITORY

TAGGING: dict[str, Any] = openapi()["paths"]["/tagger/v2.12/tags"]["post"]


def test_the_committed_document_is_fresh() -> None:
    """To update it: `python docs/generate_openapi.py > docs/tagger-api.openapi.yaml`."""
    committed = REPOSITORY / "docs" / "tagger-api.openapi.yaml"

    assert openapi_yaml() == committed.read_text(encoding="utf-8")


def test_the_document_is_openapi_3_1() -> None:
    """Code generators and API browsers read it."""
    validate(openapi())

    assert openapi()["openapi"].startswith("3.1.")


def test_the_sandbox_serves_the_document() -> None:
    """It is the same document, as JSON."""
    response = Client(create_app(["key"])).get("/openapi.json")

    assert openapi() == response.get_json()


def test_the_document_has_every_field_of_the_contract() -> None:
    """Fields have the API's names."""
    schemas = openapi()["components"]["schemas"]

    assert set(Tag.model_fields) == set(schemas["Tag"]["properties"])
    assert set(schemas["Context"]["properties"]) == {
        field.alias or name for name, field in Context.model_fields.items()
    }
    assert schemas["AnswerData"]["properties"].keys() >= {
        "imageInfo",
        "genderInfo",
        "objects",
        "notMatchedObject",
    }
    assert list(LANGUAGES) == TAGGING["parameters"][0]["schema"]["enum"]


PUBLISHED = [500, 609, 612, 623, *range(801, 810), 823, 824, 825, 826]


def test_the_document_has_every_published_error() -> None:
    """Each has the sandbox's status and the body of an error."""
    examples = {
        int(code): (int(status), example["value"])
        for status, response in TAGGING["responses"].items()
        for code, example in response["content"]["application/json"]["examples"].items()
        if status != "201"
    }

    assert PUBLISHED == sorted(examples)
    for code, (status, body) in examples.items():
        assert http_status(code) == status
        assert code == body["error"]["code"]


def test_the_example_of_a_request_is_valid() -> None:
    """A copy of it does not get error 824."""
    example = TAGGING["requestBody"]["content"]["application/json"]["example"]

    asked = TaggingRequest.model_validate(example)

    assert asked.context is not None
    assert example["context"] == json.loads(
        json.dumps(
            asked.context.model_dump(by_alias=True, exclude_none=True), default=float
        )
    )


@pytest.mark.parametrize(
    "name", TAGGING["responses"]["201"]["content"]["application/json"]["examples"]
)
def test_the_examples_of_answers_can_be_read_by_the_product(name: str) -> None:
    """They have the shape of real answers."""
    examples = TAGGING["responses"]["201"]["content"]["application/json"]["examples"]
    body = json.dumps(examples[name]["value"]).encode()

    answer = read_answer(body, http_status=201)

    assert len(answer.objects) == 1
