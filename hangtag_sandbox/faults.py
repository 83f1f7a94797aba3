"""What the sandbox was told to do with single images, instead of tagging them."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from hangtag_sandbox.judge import http_status
from hangtag_sandbox.limits import MOST_DELAY_SECONDS

Digest = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True, strict=True)
]
"""The SHA-256 of an image's bytes, as hex."""


class Fault(BaseModel):
    """
    How to answer for the image with this digest.

    After the delay comes the *body* as it is, if there is one; else an answer with the error
    *code*; without both, the image is tagged as usual.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True
    )

    sha256: Digest
    code: int | None = Field(None, ge=1)
    message: str | None = None
    status: int | None = Field(
        None, ge=200, le=599, description="None: the one that goes with the code"
    )
    times: int | None = Field(None, ge=1, description="None: until it is taken back")
    delay_seconds: float = Field(0.0, ge=0, le=MOST_DELAY_SECONDS)
    body: str | None = None

    @model_validator(mode="after")
    def _say_with_what(self) -> Fault:
        if self.code is not None and self.body is not None:
            raise ValueError("give a code or a body, not both")
        if self.answers or self.status in (None, 201):
            return self
        raise ValueError(f"status {self.status} needs a code or a body to go with it")

    @property
    def answers(self) -> bool:
        """Whether it takes the place of the tagging."""
        return self.code is not None or self.body is not None

    @property
    def http_status(self) -> int:
        """The status it answers with."""
        if self.status is not None:
            return self.status
        return 201 if self.code is None else http_status(self.code)

    def document(self) -> dict[str, Any]:
        """The fault as it was given, with all its defaults."""
        return self.model_dump(by_alias=True)


class BadFault(ValueError):
    """An order to the sandbox is not understood; says which field, why, and what came."""


def read_fault(body: bytes) -> Fault:
    """
    The fault that a JSON *body* asks for.

    Raises:
        BadFault: It is none.
    """
    try:
        return Fault.model_validate_json(body)
    except ValidationError as error:
        raise BadFault(_plain(error)) from error


def read_digest(text: str) -> str:
    """
    *text* as a digest, in lower case.

    Raises:
        BadFault: It is none.
    """
    try:
        return _DIGEST.validate_python(text)
    except ValidationError as error:
        raise BadFault(f"{text!r} is no SHA-256 in hex, 64 digits long") from error


_DIGEST: TypeAdapter[str] = TypeAdapter(Digest)


class Faults:
    """The faults in force, at most one for an image. Threads may share it."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = {fault.sha256: fault for fault in faults}
        self._lock = Lock()

    def set(self, fault: Fault) -> None:
        """Put *fault* in force, in place of the image's last one."""
        with self._lock:
            self._faults[fault.sha256] = fault

    def take(self, digest: str) -> Fault | None:
        """The fault for one call with this image; it counts down the times left."""
        with self._lock:
            fault = self._faults.get(digest)
            if fault is None or fault.times is None:
                return fault
            if fault.times == 1:
                del self._faults[digest]
            else:
                fewer = fault.model_copy(update={"times": fault.times - 1})
                self._faults[digest] = fewer
            return fault

    def clear(self, digest: str | None = None) -> None:
        """Take back the fault of one image, or of all; one that is not there is no matter."""
        with self._lock:
            if digest is None:
                self._faults.clear()
            else:
                self._faults.pop(digest, None)

    def listing(self) -> list[Fault]:
        """The faults in force, the oldest first."""
        with self._lock:
            return list(self._faults.values())


def _plain(error: ValidationError) -> str:
    troubles = []
    for trouble in error.errors(include_url=False):
        field = ".".join(str(step) for step in trouble["loc"])
        came = f" (got {str(trouble['input'])[:100]!r})" if field else ""
        troubles.append(f"{field or 'fault'}: {trouble['msg']}{came}")
    return "; ".join(troubles)
