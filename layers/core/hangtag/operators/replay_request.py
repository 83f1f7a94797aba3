"""Reads and carries out the requests of ReplayFailures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from hangtag.claims import new_rev
from hangtag.errors import Kind, ResultsUnavailable
from hangtag.operators.letters import LetterFilter
from hangtag.operators.ports import DeadLetterBox, FailureBook, RunLease
from hangtag.operators.replay import (
    RESERVE_SECONDS,
    ReplayLimits,
    ReplayReport,
    replay,
)
from hangtag.ports import Clock, Deadline
from hangtag.text import to_timestamp

ANSWER_SECONDS = 40.0
"""
How long a run lasts at most, unless the request says otherwise.

AWS's clients repeat an invocation that has not answered after 60 seconds; a cold start takes up to
`COLD_START_SECONDS` of them.
"""

COLD_START_SECONDS = 10.0
"""Lambda's limit for the init phase."""

LONGEST_SECONDS = 300.0
"""The function's timeout in template.yaml."""

SHORTEST_SECONDS = RESERVE_SECONDS + 5.0
"""A shorter run would have no time to replay anything."""

_Code = Annotated[str, StringConstraints(min_length=1)]


class RequestError(ValueError):
    """The request is invalid: the message names each wrong field, and nothing is done."""


class ReplayRunning(Exception):
    """Another run of the function was under way when the request was sent; nothing is replayed."""

    def __init__(self, until: float, *, now: float) -> None:
        end = to_timestamp(until)
        if until > now:
            other = f"works until {end} at most; repeat the request after that"
        else:
            other = (
                f"ended at {end}, while this instance started, and may have been for the same "
                "request; look at what is left, and repeat the request"
            )
        super().__init__(f"nothing was replayed: another run of this function {other}")


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
    maxSeconds: float = Field(  # noqa: N815 - the request's own name
        default=ANSWER_SECONDS, ge=SHORTEST_SECONDS, le=LONGEST_SECONDS
    )
    """The function answers within that time. Clients that wait for it allow 60 seconds."""
    ratePerSecond: float | None = Field(  # noqa: N815 - the request's own name
        default=None, ge=0, le=1_000_000
    )
    """
    At most that many a second, evenly spaced; None or 0 means no limit.

    The interval must fit into `maxSeconds`, because a run waits for its first slot, too.
    """
    dryRun: bool = True  # noqa: N815 - the request's own name
    """Only report, change nothing."""

    @field_validator("ratePerSecond")
    @classmethod
    def _check_rate(cls, rate: float | None, info: ValidationInfo) -> float | None:
        seconds = info.data.get("maxSeconds", LONGEST_SECONDS)
        # Twice the interval, because part of the time may pass before the first slot
        if rate and (needed := RESERVE_SECONDS + 2 / rate) > seconds:
            raise ValueError(
                f"{rate:g} is one every {1 / rate:g} s, which does not fit into maxSeconds "
                f"{seconds:g}: send maxSeconds of {needed:g} or more (it may be "
                f"{LONGEST_SECONDS:g} at most), or a higher rate"
            )
        return rate

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
        RequestError: A field is wrong or unknown.
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


def carry_out(
    request: ReplayRequest,
    box: DeadLetterBox,
    book: FailureBook,
    lease: RunLease,
    *,
    clock: Clock,
    deadline: Deadline,
    waited_seconds: float = 0.0,
) -> ReplayReport:
    """
    Replay what the *request* selects, unless another run was under way when it was sent.

    *waited_seconds* is how long the request may have waited for a cold start: meanwhile a warm
    instance may have carried out the same request, sent at the same moment. A dry run takes no
    lease, nor does a run that has no time to replay anything.

    Raises:
        ReplayRunning: Another run holds the lease; nothing was changed.
        QueueUnavailable, ResultsUnavailable: As `replay`; or the lease cannot be read or written.
    """
    changes_nothing = request.dryRun or deadline.seconds_left() < RESERVE_SECONDS
    with (
        nullcontext()
        if changes_nothing
        else _single_run(lease, clock, deadline, waited_seconds)
    ):
        return replay(
            box,
            book,
            request.selected(),
            clock=clock,
            dry_run=request.dryRun,
            limits=request.limits(),
            deadline=deadline,
        )


@contextmanager
def _single_run(
    lease: RunLease, clock: Clock, deadline: Deadline, waited_seconds: float
) -> Iterator[None]:
    """Hold the lease; it expires at the *deadline* if the function is killed."""
    holder, now = new_rev(), clock.now()
    taken_until = lease.take(
        holder, now=now - waited_seconds, until=now + deadline.seconds_left()
    )
    if taken_until is not None:
        raise ReplayRunning(taken_until, now=now)
    try:
        yield
    finally:
        with suppress(ResultsUnavailable):
            lease.release(holder, at=clock.now())
