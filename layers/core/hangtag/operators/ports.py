"""What operators' work needs from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from hangtag.dead_letters import DeadLetter
from hangtag.uploads import Upload


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


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a listing tells of it: the newest version of its key."""

    key: str
    version_id: str | None
    """None where the listing does not tell, or the object has none."""
    etag: str | None
    size: int | None
    """Bytes."""
    place: str
    """Where in the listing it stands; a listing can go on after it."""


class UnusableListing(Exception):
    """What was named is no list of the bucket's objects that can be read; says why."""


class Listing(Protocol):
    """The objects that are there already."""

    def pages(self, *, after: str | None) -> Iterator[Sequence[ListedObject]]:
        """
        All of them in the listing's own order, or those behind the place *after*.

        Page by page: however many there are, a page at a time is held.

        Raises:
            ObjectForbidden, ObjectUnavailable: S3 refused or failed.
            UnusableListing: It is none.
        """
        ...


class TaggedVersions(Protocol):
    """What is known to be tagged."""

    def tagged(self, uploads: Sequence[Upload]) -> AbstractSet[tuple[str, str]]:
        """
        Uri and `Upload.version` of those that have a TAGGED result.

        Raises:
            ResultsUnavailable: DynamoDB refused or failed.
        """
        ...


class UploadFeed(Protocol):
    """The upload queue as a backfill fills it."""

    def send(self, bodies: Sequence[str], *, again: str | None) -> Sequence[int]:
        """
        Put up to ten notifications there, with the token of an order to tag again.

        Returns the places (from 0) of those that the queue did not take.

        Raises:
            QueueUnavailable: SQS refused or failed; it may have taken any of them.
        """
        ...

    def depth(self) -> int:
        """
        How many uploads wait or are worked on, as SQS estimates it.

        Raises:
            QueueUnavailable: SQS refused or failed.
        """
        ...


class UnusableCheckpoint(Exception):
    """A checkpoint cannot be read or written, or is another order's; says why."""


class Checkpoint(Protocol):
    """Where a backfill notes how far it is. All methods raise `UnusableCheckpoint`."""

    def load(self) -> Mapping[str, Any] | None:
        """What was saved last, or None where there is nothing."""
        ...

    def save(self, document: Mapping[str, Any]) -> None:
        """Keep this instead: whole or not at all, also by a crash."""
        ...

    def remove(self) -> None:
        """Keep nothing."""
        ...
