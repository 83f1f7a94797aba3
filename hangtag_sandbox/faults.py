"""
Faults that the sandbox injects into tag calls.

A fault applies to one image, by its digest, or to all calls. It makes a call fail: with an error
code, an arbitrary body, a delay or a cut connection, or with a sequence of such steps, one per
call. `after`, `rate` and `times` select the calls.
"""

from __future__ import annotations

from fractions import Fraction
from threading import Lock
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from hangtag_sandbox.control import ControlDocument, InvalidRequest
from hangtag_sandbox.limits import MOST_DELAY_SECONDS, MOST_FAULTS, MOST_STEPS
from hangtag_sandbox.validation import http_status

Digest = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True, strict=True)
]
"""The SHA-256 of an image's bytes, as hex."""

Cut = Literal["closed", "reset", "half"]
"""How to cut the connection: close it unanswered, with a TCP reset, or amid the answer."""


_SHORT = 100  # characters


class Step(ControlDocument):
    """
    How one call fails.

    After the delay, the sandbox sends the *body* unchanged, or an answer with the error *code*.
    Without both, it tags the image as usual. *cut* ends the connection before or amid the answer.
    """

    code: int | None = Field(None, ge=1, le=999_999, description="The API's error code")
    message: str | None = Field(None, description="The error's text")
    status: int | None = Field(
        None,
        ge=200,
        le=599,
        description="The HTTP status; null: the one that goes with the code",
    )
    delay_seconds: float = Field(
        0.0, ge=0, le=MOST_DELAY_SECONDS, description="Before the answer"
    )
    body: str | None = Field(None, description="Any text, sent instead of the answer")
    retry_after: int | str | None = Field(
        None, description="The header Retry-After: seconds or an HTTP date, as given"
    )
    cut: Cut | None = Field(
        None,
        description=(
            "How the connection ends: `closed` without an answer, `reset` with a TCP reset, "
            "`half` in the middle of the answer"
        ),
    )

    @model_validator(mode="after")
    def _check_answer(self) -> Step:
        if self.code is not None and self.body is not None:
            raise ValueError("give a code or a body, not both")
        if isinstance(self.retry_after, str) and not self.retry_after.isprintable():
            raise ValueError("retryAfter is not valid in a header")
        if isinstance(self.retry_after, int) and self.retry_after < 0:
            raise ValueError("retryAfter is less than 0 seconds")
        if self.answers or self.status in (None, 201):
            return self
        raise ValueError(f"status {self.status} needs a code or a body")

    @property
    def answers(self) -> bool:
        """Whether the step sends its own answer instead of the tagging."""
        return self.code is not None or self.body is not None

    @property
    def is_harmless(self) -> bool:
        """Whether the step changes nothing about the call."""
        return not (
            self.answers
            or self.delay_seconds
            or self.cut is not None
            or self.retry_after is not None
        )

    def summary(self) -> dict[str, Any] | None:
        """Describe the step for the list of calls, long texts cut; None if it is harmless."""
        if self.is_harmless:
            return None
        fields = self.model_dump(
            by_alias=True, include=set(Step.model_fields), exclude_defaults=True
        )
        return {
            name: value[:_SHORT] if isinstance(value, str) else value
            for name, value in fields.items()
        }

    @property
    def http_status(self) -> int:
        """The HTTP status of its answer."""
        if self.status is not None:
            return self.status
        return 201 if self.code is None else http_status(self.code)


class Fault(Step):
    """How calls fail, and which calls."""

    sha256: Digest | None = Field(
        None, description="SHA-256 of the image's bytes, hex; null: every image"
    )
    times: int | None = Field(
        None, ge=1, description="Applies to this many calls; null: until it is removed"
    )
    rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Applies to this share of the calls, evenly: 0.25 is every fourth",
    )
    after: int | None = Field(None, ge=1, description="Skips this many calls first")
    sequence: tuple[Step, ...] | None = Field(
        None,
        min_length=1,
        max_length=MOST_STEPS,
        description="One step per call, instead of the fields of a step; the fault ends after "
        "the last one",
    )

    @model_validator(mode="after")
    def _check_steps(self) -> Fault:
        if self.sequence is not None:
            extra = (Step.model_fields.keys() | {"times"}) & self.model_fields_set
            if extra:
                names = ", ".join(sorted(to_camel(name) for name in extra))
                raise ValueError(f"a sequence has its own steps; leave out {names}")
        elif self.sha256 is None and self.is_harmless:
            raise ValueError(
                "the fault changes nothing: give a code, body, delaySeconds, retryAfter or cut"
            )
        return self

    def document(self) -> dict[str, Any]:
        """Return the fields that were set, and the most common ones always."""
        simple = self.model_dump(by_alias=True, include=_ALWAYS_SHOWN)
        return {**simple, **self.model_dump(by_alias=True, exclude_defaults=True)}


_ALWAYS_SHOWN = {
    "sha256",
    "code",
    "message",
    "status",
    "times",
    "delay_seconds",
    "body",
}


def read_digest(text: str) -> str:
    """
    Check that *text* is a digest, and return it in lower case.

    Raises:
        InvalidRequest: It is not a SHA-256 in hex.
    """
    try:
        return _DIGEST.validate_python(text)
    except ValidationError as error:
        raise InvalidRequest(f"{text!r} is not a SHA-256 of 64 hex digits") from error


_DIGEST: TypeAdapter[str] = TypeAdapter(Digest)


class Faults:
    """
    The active faults: at most one for each image, and any number for all calls. Thread-safe.

    The image's own fault comes first, then the oldest applicable fault for all calls.
    """

    def __init__(self) -> None:
        self._of_images: dict[str, _ActiveFault] = {}
        self._of_all: list[_ActiveFault] = []
        self._lock = Lock()

    def set(self, fault: Fault) -> None:
        """
        Add *fault*; a fault of an image replaces the previous one of that image.

        Raises:
            InvalidRequest: Too many faults are active.
        """
        with self._lock:
            if fault.sha256 is not None:
                self._of_images.pop(fault.sha256, None)
            if len(self._of_images) + len(self._of_all) >= MOST_FAULTS:
                raise InvalidRequest(f"{MOST_FAULTS} faults are active; remove some")
            if fault.sha256 is None:
                self._of_all.append(_ActiveFault(fault))
            else:
                self._of_images[fault.sha256] = _ActiveFault(fault)

    def next_step(self, digest: str) -> Step | None:
        """Count a call with this image and return the step that applies, if any."""
        with self._lock:
            own = self._of_images.get(digest)
            for active in [*([own] if own else []), *self._of_all]:
                step = active.next_step()
                if active.is_over:
                    self._remove(active)
                if step is not None:
                    return step
            return None

    def clear(self, digest: str | None = None) -> None:
        """Remove the fault of one image, or all faults; a missing fault is not an error."""
        with self._lock:
            if digest is None:
                self._of_images.clear()
                self._of_all.clear()
            else:
                self._of_images.pop(digest, None)

    def listing(self) -> list[Fault]:
        """List the active faults as `remaining` describes them: per image first, then for all."""
        with self._lock:
            active_faults = [*self._of_images.values(), *self._of_all]
            return [active.remaining() for active in active_faults]

    def _remove(self, active: _ActiveFault) -> None:
        if active in self._of_all:
            self._of_all.remove(active)
        elif active.fault.sha256 is not None:
            self._of_images.pop(active.fault.sha256, None)


class _ActiveFault:
    """A fault with the number of calls it has counted and changed."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._calls = 0
        self._applied = 0
        self._rate = Fraction(fault.rate or 1).limit_denominator(1_000_000)

    def next_step(self) -> Step | None:
        """Count a call; return the step for it, or None if the call goes through."""
        self._calls += 1
        beyond = self._calls - (self.fault.after or 0)
        if beyond <= 0 or int(beyond * self._rate) == int((beyond - 1) * self._rate):
            return None
        self._applied += 1
        steps = self.fault.sequence
        return self.fault if steps is None else steps[self._applied - 1]

    @property
    def is_over(self) -> bool:
        """Whether the fault has been applied as often as it says."""
        steps = self.fault.sequence
        most = self.fault.times if steps is None else len(steps)
        return most is not None and self._applied >= most

    def remaining(self) -> Fault:
        """Return the fault with `times`, `sequence` and `after` reduced by the calls so far."""
        fault = self.fault
        changes: dict[str, object] = {}
        if fault.times is not None:
            changes["times"] = fault.times - self._applied
        if fault.sequence is not None:
            changes["sequence"] = fault.sequence[self._applied :]
        if fault.after is not None:
            changes["after"] = max(0, fault.after - self._calls) or None
        return fault.model_copy(update=changes)
