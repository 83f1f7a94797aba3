"""
What the sandbox was told to do instead of tagging.

A fault is for one image, by its digest, or for every call. It says how a call goes wrong: with an
error code, with any text, late, cut off; or with a sequence of these, one call after the other.
`after`, `rate` and `times` say which of its calls it strikes.
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

from hangtag_sandbox.judge import http_status
from hangtag_sandbox.limits import MOST_DELAY_SECONDS, MOST_FAULTS, MOST_STEPS
from hangtag_sandbox.orders import BadOrder, Order

Digest = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True, strict=True)
]
"""The SHA-256 of an image's bytes, as hex."""

Cut = Literal["closed", "reset", "half"]
"""The connection ends without an answer, without a farewell, or in the middle of the answer."""


_SHORT = 100  # characters


class Step(Order):
    """
    How one call goes wrong.

    After the delay comes the *body* as it is, if there is one; else an answer with the error
    *code*; without both, the image is tagged as usual. Whatever the answer is, *cut* ends the
    connection before or amid it.
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
    body: str | None = Field(None, description="Any text in place of the answer")
    retry_after: int | str | None = Field(
        None, description="The header Retry-After: seconds or an HTTP date, as given"
    )
    cut: Cut | None = Field(
        None,
        description=(
            "How the connection ends: `closed` without an answer, `reset` likewise but rudely, "
            "`half` in the middle of the answer"
        ),
    )

    @model_validator(mode="after")
    def _say_with_what(self) -> Step:
        if self.code is not None and self.body is not None:
            raise ValueError("give a code or a body, not both")
        if isinstance(self.retry_after, str) and not self.retry_after.isprintable():
            raise ValueError("retryAfter is no text for a header")
        if isinstance(self.retry_after, int) and self.retry_after < 0:
            raise ValueError("retryAfter is less than 0 seconds")
        if self.answers or self.status in (None, 201):
            return self
        raise ValueError(f"status {self.status} needs a code or a body to go with it")

    @property
    def answers(self) -> bool:
        """Whether it takes the place of the tagging."""
        return self.code is not None or self.body is not None

    @property
    def is_harmless(self) -> bool:
        """Whether nothing goes wrong at all."""
        return not (
            self.answers
            or self.delay_seconds
            or self.cut is not None
            or self.retry_after is not None
        )

    def in_short(self) -> dict[str, Any] | None:
        """What it does, for the list of calls: long texts cut off; None where it does nothing."""
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
        """The status it answers with."""
        if self.status is not None:
            return self.status
        return 201 if self.code is None else http_status(self.code)


class Fault(Step):
    """An order to go wrong: how, and for which calls."""

    sha256: Digest | None = Field(
        None, description="Of the image's bytes, hex; null: every image"
    )
    times: int | None = Field(
        None, ge=1, description="It strikes so often; null: until it is taken back"
    )
    rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="It strikes this share of its calls, evenly: 0.25 is every fourth",
    )
    after: int | None = Field(
        None, ge=1, description="It lets so many of its calls pass before"
    )
    sequence: tuple[Step, ...] | None = Field(
        None,
        min_length=1,
        max_length=MOST_STEPS,
        description="One step for each call it strikes, in place of the fields of a step; "
        "it ends with the last one",
    )

    @model_validator(mode="after")
    def _say_it_once(self) -> Fault:
        if self.sequence is not None:
            doubled = (Step.model_fields.keys() | {"times"}) & self.model_fields_set
            if doubled:
                names = ", ".join(sorted(to_camel(name) for name in doubled))
                raise ValueError(f"a sequence says how; leave out {names}")
        elif self.sha256 is None and self.is_harmless:
            raise ValueError("say how calls go wrong: with a code, a body, late, cut")
        return self

    def document(self) -> dict[str, Any]:
        """The fault as it was given, and its simplest fields in any case."""
        simple = self.model_dump(by_alias=True, include=_ALWAYS_TOLD)
        return {**simple, **self.model_dump(by_alias=True, exclude_defaults=True)}


_ALWAYS_TOLD = {
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
    *text* as a digest, in lower case.

    Raises:
        BadOrder: It is none.
    """
    try:
        return _DIGEST.validate_python(text)
    except ValidationError as error:
        raise BadOrder(f"{text!r} is no SHA-256 in hex, 64 digits long") from error


_DIGEST: TypeAdapter[str] = TypeAdapter(Digest)


class Faults:
    """
    The faults in force: at most one for each image, and any number for every call.

    An image's own one goes first; of those for every call, the oldest that strikes. Threads may
    share it.
    """

    def __init__(self) -> None:
        self._of_images: dict[str, _InForce] = {}
        self._of_all: list[_InForce] = []
        self._lock = Lock()

    def set(self, fault: Fault) -> None:
        """
        Put *fault* in force; an image's takes the place of its last one.

        Raises:
            BadOrder: There are too many.
        """
        with self._lock:
            if fault.sha256 is not None:
                self._of_images.pop(fault.sha256, None)
            if len(self._of_images) + len(self._of_all) >= MOST_FAULTS:
                raise BadOrder(f"{MOST_FAULTS} faults are in force; take some back")
            if fault.sha256 is None:
                self._of_all.append(_InForce(fault))
            else:
                self._of_images[fault.sha256] = _InForce(fault)

    def take(self, digest: str) -> Step | None:
        """How one call with this image goes wrong, None where it does not."""
        with self._lock:
            own = self._of_images.get(digest)
            for fault in [*([own] if own else []), *self._of_all]:
                step = fault.strike()
                if fault.is_over:
                    self._forget(fault)
                if step is not None:
                    return step
            return None

    def clear(self, digest: str | None = None) -> None:
        """Take back the fault of one image, or all; one that is not there is no matter."""
        with self._lock:
            if digest is None:
                self._of_images.clear()
                self._of_all.clear()
            else:
                self._of_images.pop(digest, None)

    def listing(self) -> list[Fault]:
        """The faults in force with what is left of them: those of images, then the others."""
        with self._lock:
            in_force = [*self._of_images.values(), *self._of_all]
            return [fault.left() for fault in in_force]

    def _forget(self, fault: _InForce) -> None:
        if fault in self._of_all:
            self._of_all.remove(fault)
        elif fault.order.sha256 is not None:
            self._of_images.pop(fault.order.sha256, None)


class _InForce:
    """A fault, and the calls it has met."""

    def __init__(self, order: Fault) -> None:
        self.order = order
        self._met = 0
        self._struck = 0
        self._rate = Fraction(order.rate or 1).limit_denominator(1_000_000)

    def strike(self) -> Step | None:
        """What becomes of the next call, None where it passes."""
        self._met += 1
        beyond = self._met - (self.order.after or 0)
        if beyond <= 0 or int(beyond * self._rate) == int((beyond - 1) * self._rate):
            return None
        self._struck += 1
        steps = self.order.sequence
        return self.order if steps is None else steps[self._struck - 1]

    @property
    def is_over(self) -> bool:
        """Whether it strikes no more."""
        steps = self.order.sequence
        most = self.order.times if steps is None else len(steps)
        return most is not None and self._struck >= most

    def left(self) -> Fault:
        """The order that would do what this one still does."""
        order = self.order
        changes: dict[str, object] = {}
        if order.times is not None:
            changes["times"] = order.times - self._struck
        if order.sequence is not None:
            changes["sequence"] = order.sequence[self._struck :]
        if order.after is not None:
            changes["after"] = max(0, order.after - self._met) or None
        return order.model_copy(update=changes)
