"""The request that ReplayFailures takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from hangtag.errors import Kind
from hangtag.operators.letters import LetterFilter
from hangtag.operators.replay import ReplayLimits

_Code = Annotated[str, StringConstraints(min_length=1)]


class RequestError(ValueError):
    """An invalid request: nothing is done, and the message names the wrong field."""


class ReplayRequest(BaseModel):
    """Which failures are replayed, how many and how fast. It is a dry run by default."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )

    codes: list[_Code] = []
    """Error codes, as text; empty means all."""
    kinds: list[Kind] = []
    """Empty means all."""
    prefix: str = ""
    """Of the key; of the uri, where it begins with s3://."""
    max: int | None = Field(default=None, ge=0)
    """At most that many; None means all."""
    ratePerSecond: float | None = Field(  # noqa: N815 - the request's own name
        default=None, ge=0, le=1_000_000
    )
    """At most that many a second, evenly spaced; None or 0 means no limit."""
    dryRun: bool = True  # noqa: N815 - the request's own name
    """Only report, change nothing."""

    def selected(self) -> LetterFilter:
        """The filter of the request."""
        return LetterFilter(codes=self.codes, kinds=self.kinds, prefix=self.prefix)

    def limits(self) -> ReplayLimits:
        """How much at once, and how fast."""
        return ReplayLimits(self.max, self.ratePerSecond or 0.0)


def read_request(event: object) -> ReplayRequest:
    """
    The request in a Lambda event.

    Raises:
        RequestError: It is invalid: names every field that is wrong or unknown.
    """
    try:
        return ReplayRequest.model_validate(event)
    except ValidationError as error:
        troubles = "; ".join(
            f"{'.'.join(map(str, trouble['loc'])) or 'the event'}: {trouble['msg']}"
            for trouble in error.errors(include_url=False)
        )
        fields = ", ".join(ReplayRequest.model_fields)
        raise RequestError(
            f"nothing was replayed, the request is invalid: {troubles} (its fields: {fields})"
        ) from error
