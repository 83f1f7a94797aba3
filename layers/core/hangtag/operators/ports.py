"""What operators' work needs from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

from hangtag.dead_letters import DeadLetter
from hangtag.lifecycle import Record, UploadKey
from hangtag.ports import RecordStore
from hangtag.uploads import Upload


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
