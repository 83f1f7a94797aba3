"""What operators' work needs from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hangtag.dead_letters import DeadLetter


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter in hand: hidden from others for a while."""

    id: str
    receipt_handle: str
    letter: DeadLetter


class DeadLetterBox(Protocol):
    """The dead-letter queue as operators use it."""

    def receive(self, most: int = 10) -> Sequence[Letter]:
        """Up to *most* letters (ten), hidden for at most 30 s; none when there are none left."""
        ...

    def count(self) -> int:
        """About how many letters there are, those in anybody's hands included."""
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


UploadKey = tuple[str, str]
"""An upload's uri and version, which tell it from every other."""


class Standing(StrEnum):
    """How things stand with an upload, to somebody who holds a dead letter of it."""

    FAILED = "FAILED"
    """It lies in the dead-letter queue, or did until the letter expired."""
    REPLAYED = "REPLAYED"
    """It failed, and was put on the upload queue again; nobody has begun with it yet."""
    DISCARDED = "DISCARDED"
    """It failed, and an operator wants no more of it."""
    TAGGED = "TAGGED"
    """There is nothing left to do."""
    OTHER = "OTHER"
    """It waits for an attempt, is being worked on, or was skipped."""


@dataclass(frozen=True, slots=True)
class KnownUpload:
    """What the table knows of an upload, as far as operators of dead letters need it."""

    key: UploadKey
    standing: Standing
    replays: int
    """The highest count of replays it was begun with."""
    ended_at: str = ""
    """ISO 8601, UTC; with the key it tells this failure from a later one."""
    letter_id: str = ""
    """Of its dead letter; empty where nobody has kept it."""
    letter: DeadLetter | None = None
    """What its dead letter says; None where it did not fail."""


class FailureBook(Protocol):
    """
    The failures in the table of results.

    All methods raise `ResultsUnavailable`. Those that change something do it only as long as
    the upload still stands as it was read, and tell whether it did.
    """

    def failures(self, *, since: str = "", until: str = "") -> Iterator[KnownUpload]:
        """
        Those that stand as FAILED; the index that finds them may be behind by a moment.

        *since* and *until* (ISO 8601, UTC, both included) limit when they failed.
        """
        ...

    def look_up(self, keys: Iterable[UploadKey]) -> Mapping[UploadKey, KnownUpload]:
        """What is known of these uploads now; those nobody knows are left out."""
        ...

    def reserve_replay(self, known: KnownUpload, *, seconds: float) -> bool:
        """Whether nobody else may replay a FAILED upload, for that long or until it is marked."""
        ...

    def release_replay(self, known: KnownUpload) -> bool:
        """Take a reservation back: nothing was sent."""
        ...

    def mark_replayed(self, known: KnownUpload, *, at: str) -> bool:
        """From FAILED to REPLAYED (*at* is ISO 8601, UTC); the next claim begins anew."""
        ...

    def discard(self, known: KnownUpload, *, at: str) -> bool:
        """From FAILED to DISCARDED (*at* is ISO 8601, UTC), unless its replay is reserved."""
        ...

    def restore(self, known: KnownUpload, *, letter_id: str) -> bool:
        """From DISCARDED back to FAILED, with a new dead letter."""
        ...
