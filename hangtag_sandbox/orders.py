"""What the sandbox is told, as JSON."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel


class Order(BaseModel):
    """The fields of an order are those of its model, in camel case, and no others."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True
    )


class KeysOrder(Order):
    """Whom the sandbox admits from now on."""

    keys: tuple[Annotated[str, Field(min_length=1, max_length=1_000)], ...] = Field(
        strict=False,
        min_length=1,
        max_length=100,
        description="The API keys; all others are refused",
    )


_Order = TypeVar("_Order", bound=Order)


class BadOrder(ValueError):
    """An order to the sandbox is not understood; says which field, why, and what came."""


def read_order(kind: type[_Order], body: bytes) -> _Order:
    """
    The order of this *kind* in a JSON *body*.

    Raises:
        BadOrder: It is none.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        troubles = []
        for trouble in error.errors(include_url=False):
            field = ".".join(str(step) for step in trouble["loc"])
            came = f" (got {str(trouble['input'])[:100]!r})" if field else ""
            name = field or kind.__name__.lower()
            troubles.append(f"{name}: {trouble['msg']}{came}")
        raise BadOrder("; ".join(troubles)) from error
