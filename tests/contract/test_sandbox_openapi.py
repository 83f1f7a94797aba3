"""The sandbox does what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

import schemathesis
from hypothesis import settings
from PIL import Image
from schemathesis import Case, HookContext
from schemathesis.specs.openapi.checks import (
    positive_data_acceptance,
    unsupported_method,
)

from hangtag_sandbox import create_app
from hangtag_sandbox.fetching import Fetcher

KEY = "contract-key"


def picture() -> str:
    """A red thing on pale ground, as `image.content`."""
    image = Image.new("RGB", (60, 80), (235, 235, 235))
    image.paste((200, 30, 40), (15, 20, 45, 60))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


PICTURE = picture()

NOT_SAID = [
    positive_data_acceptance,  # no schema says what is base64, or which fields go together
    unsupported_method,  # the contract's answer to an unknown method is 623, not HTTP 405
]


def fresh_app() -> Any:  # noqa: ANN401  schemathesis takes any app
    """A sandbox that was told nothing, does not wait and does not fetch."""
    return create_app([KEY], fetcher=Fetcher("none"), wait=lambda _: None)


schema = schemathesis.openapi.from_wsgi("/openapi.json", fresh_app())


@schema.hook
def map_body(_: HookContext, body: Any) -> Any:  # noqa: ANN401  any JSON
    """Some requests bring a picture: no generator of strings comes upon one."""
    image = body.get("image") if isinstance(body, dict) else None
    if isinstance(image, dict) and image.get("type") == "base64":
        image["content"] = PICTURE
    return body


@schema.parametrize()
@settings(max_examples=20)
def test_the_sandbox_keeps_to_its_document(case: Case[Any]) -> None:
    """Statuses, content types and shapes are the published ones, and no data breaks it."""
    # What one example told it must not meet the next one.
    case.operation.app = fresh_app()

    case.call_and_validate(headers={"x-api-key": KEY}, excluded_checks=NOT_SAID)
