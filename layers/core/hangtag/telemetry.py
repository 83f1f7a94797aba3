"""The events that the log and the metrics are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hangtag.dead_letters import DeadLetter
from hangtag.errors import HangtagError
from hangtag.lifecycle import NO_CALLS, CallReason, Calls
from hangtag.uploads import SkipReason, Upload


@dataclass(frozen=True, slots=True)
class Work:
    """The work of an attempt until it ended."""

    attempt: int = 0
    """From 1; 0 if it does not count."""
    calls: Calls = field(default_factory=lambda: NO_CALLS)
    milliseconds: Mapping[str, int] = field(default_factory=dict)
    """By part: `read`, `call`, `store`, `announce`, and `all`."""


NO_WORK = Work()


@dataclass(frozen=True, slots=True)
class Tagged:
    """An upload was tagged: stored and announced."""

    upload: Upload
    work: Work
    objects: int
    """Objects of the answer."""
    seconds_since_upload: float | None
    """None where the event does not say when the object arrived."""


@dataclass(frozen=True, slots=True)
class Removed:
    """An object is gone: its result was removed, and that was announced."""

    upload: Upload
    """The removal."""
    work: Work


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record ended without being tagged."""

    reason: SkipReason
    uri: str
    upload: Upload | None = None
    """None if the record has no upload."""
    work: Work = NO_WORK
    is_copy: bool = False
    """Whether the upload had ended before."""


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """Something failed for good, and its letter is in the dead-letter queue."""

    letter: DeadLetter
    upload: Upload | None = None
    """None if the message has no upload."""
    work: Work = NO_WORK


@dataclass(frozen=True, slots=True)
class HandedBack:
    """A delivery goes back to the queue, to be delivered again."""

    upload: Upload | None
    code: str
    """An error code, or why no attempt was begun: `DEADLINE`, `BUSY`, `RATE`, `BREAKER`."""
    message: str
    delay_seconds: float
    work: Work = NO_WORK
    is_attempt: bool = False
    """Whether it counts as a failed attempt."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call of the Tagger API has ended, well or not."""

    reason: CallReason
    seconds: float


@dataclass(frozen=True, slots=True)
class SystemicFailure:
    """An attempt failed for a reason that would hit every upload; another event has the upload."""

    code: str


@dataclass(frozen=True, slots=True)
class BreakerSeen:
    """The state of the breaker has been read or changed."""

    event: str
    """`opened`, `closed`, `let through`, or how it was found: `open`, `at rest`."""
    failures: int
    """Consecutive systemic failures."""
    code: str
    message: str

    @property
    def is_open(self) -> bool:
        """Whether tagging has stopped."""
        return self.event in ("opened", "open")


@dataclass(frozen=True, slots=True)
class OldestFailure:
    """The age of the oldest upload that is FAILED; 0 without one."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error that affects no upload."""

    doing: str
    error: HangtagError


@dataclass(frozen=True, slots=True)
class Unforeseen:
    """An exception that is a bug of Hangtag; logged with its traceback."""

    about: str
    """A uri, or a message id."""
    error: Exception


Event = (
    Tagged
    | Removed
    | Skipped
    | DeadLettered
    | HandedBack
    | Called
    | SystemicFailure
    | BreakerSeen
    | OldestFailure
    | Trouble
    | Unforeseen
)


class Telemetry(Protocol):
    """Where events are reported. Threads may share it."""

    def emit(self, event: Event) -> None:
        """Report an event."""
        ...

    def flush(self) -> None:
        """The invocation ends: write buffered events."""
        ...


class Fanout:
    """`Telemetry` that hands every event to several others."""

    def __init__(self, *others: Telemetry) -> None:
        self._others = others

    def emit(self, event: Event) -> None:
        """Hand it on."""
        for other in self._others:
            other.emit(event)

    def flush(self) -> None:
        """Flush all of them."""
        for other in self._others:
            other.flush()
