"""The sandbox follows its OpenAPI document for any request."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

import pytest
import schemathesis
from PIL import Image
from schemathesis import Case, HookContext
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    positive_data_acceptance,
    unsupported_method,
)

from hangtag_sandbox import create_app
from hangtag_sandbox.access import Access
from hangtag_sandbox.fetching import Fetcher

KEY = "contract-key"
TOKEN = "token-of-the-tests"


def picture() -> str:
    """A picture with a red shape, as `image.content`."""
    image = Image.new("RGB", (60, 80), (235, 235, 235))
    image.paste((200, 30, 40), (15, 20, 45, 60))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


PICTURE = picture()

NOT_SAID = [
    positive_data_acceptance,  # no schema describes base64 or which fields belong together
    unsupported_method,  # the contract's answer to an unknown method is 623, not HTTP 405
]


def fresh_app() -> Any:  # noqa: ANN401  schemathesis takes any app
    """A sandbox without faults, delays and fetches."""
    access = Access(TOKEN)
    return create_app([KEY], access=access, fetcher=Fetcher(), wait=lambda _: None)


schema = schemathesis.openapi.from_wsgi("/openapi.json", fresh_app())


@schema.hook
def map_body(_: HookContext, body: Any) -> Any:  # noqa: ANN401  any JSON
    """Puts a picture into some requests: no string generator produces one."""
    image = body.get("image") if isinstance(body, dict) else None
    if isinstance(image, dict) and image.get("type") == "base64":
        image["content"] = PICTURE
    return body


@pytest.mark.fuzz("hangtag_sandbox.create_app")
@schema.parametrize()
def test_the_sandbox_follows_its_document(case: Case[Any]) -> None:
    """Statuses, content types and shapes are the published ones for any data."""
    # Faults and quotas of one example must not affect the next one.
    case.operation.app = fresh_app()

    headers = {"x-api-key": KEY}
    if not (case.meta and case.meta.is_negative_at(ParameterLocation.HEADER)):
        headers["Authorization"] = f"Bearer {TOKEN}"
    case.call_and_validate(headers=headers, excluded_checks=NOT_SAID)
