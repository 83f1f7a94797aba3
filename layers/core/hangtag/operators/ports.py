"""The ports of the operators' work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hangtag.dead_letters import DeadLetter
from hangtag.lifecycle import Record, UploadKey
from hangtag.ports import RecordStore


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter of the queue, or of a record whose letter was not received."""

    id: str
    receipt_handle: str
    """Empty where the letter was not received from the queue."""
    letter: DeadLetter


class DeadLetterBox(Protocol):
    """The dead-letter queue as operators use it."""

    def receive(self, most: int = 10) -> Sequence[Letter]:
        """Up to *most* letters (ten), hidden for 30 s; an empty answer proves little."""
        ...

    def count(self) -> int:
        """About how many letters there are, hidden ones included."""
        ...

    def put_back(self, letters: Iterable[Letter]) -> None:
        """Make letters visible again, at once."""
        ...

    def delete(self, letter: Letter) -> None:
        """Remove a letter for good."""
        ...

    def resend(self, letter: Letter, *, replays: int) -> None:
        """
        Put a letter's notification on the upload queue, with its count of replays.

        The letter may be one that is no longer in the queue.
        """
        ...


class RunLease(Protocol):
    """
    The lease of ReplayFailures: its holder alone may replay.

    All methods raise `ResultsUnavailable`; the write may have arrived.
    """

    def take(self, holder: str, *, now: float, until: float) -> float | None:
        """
        Take the lease *until* that moment, unless another holder has it at *now* or later.

        Returns None if *holder* has it now, else the end of the other holder's lease. All times
        are seconds since 1970. The call may be repeated. A lease that ends more than 900 seconds
        after *now* comes from a wrong clock, and counts as free.
        """
        ...

    def release(self, holder: str, *, at: float) -> None:
        """End the lease at that moment, unless another holder has it."""
        ...


class FailureBook(RecordStore, Protocol):
    """
    The records of the uploads, as operators of failures use them.

    All methods raise `ResultsUnavailable`.
    """

    def failures(
        self, *, since: str = "", until: str = ""
    ) -> Iterator[tuple[UploadKey, Record]]:
        """
        The FAILED uploads; the index that finds them may be behind by a moment.

        *since* and *until* (ISO 8601, UTC, both included) limit when they failed.
        """
        ...

    def look_up(self, keys: Iterable[UploadKey]) -> Mapping[UploadKey, Record]:
        """The records of these uploads as they are now; uploads without one are left out."""
        ...
