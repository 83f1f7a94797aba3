"""The JSON documents of the control endpoints `/sandbox/...`."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel


class ControlDocument(BaseModel):
    """A JSON object with the model's fields in camel case; any other field is an error."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True
    )


class KeysDocument(ControlDocument):
    """The API keys that the sandbox accepts."""

    keys: tuple[Annotated[str, Field(min_length=1, max_length=1_000)], ...] = Field(
        strict=False,
        min_length=1,
        max_length=100,
        description="The accepted API keys; the sandbox refuses any other key",
    )


_Document = TypeVar("_Document", bound=ControlDocument)


class InvalidRequest(ValueError):
    """A request to a control endpoint is invalid; names the field, the reason and the value."""


def parse_control(kind: type[_Document], body: bytes) -> _Document:
    """
    Parse a JSON *body* into a document of this *kind*.

    Raises:
        InvalidRequest: The body does not match the model.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False):
            field = ".".join(str(step) for step in problem["loc"])
            value = f" (got {str(problem['input'])[:100]!r})" if field else ""
            name = field or kind.__name__.removesuffix("Document").lower()
            problems.append(f"{name}: {problem['msg']}{value}")
        raise InvalidRequest("; ".join(problems)) from error
