"""An attempt to tag an upload, and how it can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hangtag.breaker import Watch
from hangtag.calling import Calling
from hangtag.claims import Claim
from hangtag.errors import HangtagError
from hangtag.events import Delivery
from hangtag.lifecycle import CallReason, UploadKey
from hangtag.ports import Clock, Deadline, Snapshot
from hangtag.telemetry import Work
from hangtag.uploads import Upload


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing is left to do: the upload has ended, or had ended before."""


ENDED = Ended()

# Codes of deliveries that are handed back although nothing went wrong
DEADLINE = "DEADLINE"
BUSY = "BUSY"
RATE = "RATE"
BREAKER = "BREAKER"


@dataclass(frozen=True, slots=True)
class Retry:
    """The delivery goes back to the queue."""

    code: str
    """An error code, or `DEADLINE`, `BUSY`, `RATE`, `BREAKER`."""
    message: str
    seconds: float
    """After which it is to be delivered again."""
    is_attempt: bool = False
    """Whether it counts as a failed attempt."""


@dataclass(frozen=True, slots=True)
class BatchContext:
    """Shared by the uploads of one invocation."""

    request_id: str
    deadline: Deadline
    breaker: Watch
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Arrived:
    """An upload that is to be tagged."""

    upload: Upload
    delivery: Delivery
    is_gone: bool = False
    """Whether there was no object when its version was looked for."""
    error: HangtagError | None = None
    """The error in identifying its object version; its attempt fails with it."""

    @property
    def key(self) -> UploadKey:
        """The same for all copies of an upload."""
        return (self.upload.uri, self.upload.version)


class Stopwatch:
    """How long the parts of an attempt take."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._last = clock.now()
        self._parts: dict[str, int] = {}

    def end(self, part: str) -> None:
        """A part has ended, and the next one begins."""
        now = self._clock.now()
        self._parts[part] = round(1000 * (now - self._last))
        self._last = now

    def milliseconds(self) -> Mapping[str, int]:
        """Each part, and all of it until now."""
        return {**self._parts, "all": round(1000 * (self._clock.now() - self._began))}

    def seconds(self) -> float:
        """All of it until now."""
        return self._clock.now() - self._began


@dataclass(slots=True)
class Attempt:
    """A claimed upload."""

    arrived: Arrived
    upload: Upload
    """With the highest sequencer that is known of it."""
    batch: BatchContext
    claim: Claim
    calling: Calling
    stopwatch: Stopwatch
    next_call: CallReason | None = None
    """Why the API would be called again, once it has answered."""

    @property
    def number(self) -> int:
        """From 1."""
        return self.claim.record.attempts + 1

    def began_late(self, lease_seconds: float) -> bool:
        """Whether time ran out although it used less than half of it, and made no call."""
        is_short = self.stopwatch.seconds() < lease_seconds / 2
        return is_short and not self.calling.calls

    def work(self) -> Work:
        """The work so far, for the log."""
        milliseconds = self.stopwatch.milliseconds()
        return Work(self.number, dict(self.calling.calls), milliseconds)
