"""The ports of a backfill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

from hangtag.lifecycle import UploadKey
from hangtag.uploads import Upload


@dataclass(frozen=True, slots=True)
class ListedObject:
    """The newest version of a key, as a listing describes it."""

    key: str
    version_id: str | None
    """None if the listing does not say, or the bucket has no versions."""
    etag: str | None
    size: int | None
    """Bytes."""
    place: str
    """Its place in the listing, from which the listing can be continued."""
    is_archived: bool = False
    """Whether S3 must restore it before it can be read, as far as the listing says."""


class UnusableListing(Exception):
    """The listing cannot be read, or is not of the bucket's objects; says why."""


class Listing(Protocol):
    """The objects of a bucket."""

    def pages(self, *, after: str | None) -> Iterator[Sequence[ListedObject]]:
        """
        All objects in the listing's sequence, or the objects after the place *after*.

        Only one page is in memory at a time.

        Raises:
            ObjectForbidden, ObjectUnavailable, ObjectArchived, ObjectKmsKeyUnusable: S3 refused or
                failed.
            UnusableListing: The listing cannot be used.
        """
        ...


class TaggedVersions(Protocol):
    """The object versions that are tagged."""

    def tagged(self, uploads: Sequence[Upload]) -> AbstractSet[UploadKey]:
        """
        The keys of the uploads that have a TAGGED result.

        Raises:
            ResultsUnavailable: DynamoDB refused or failed.
        """
        ...


class UploadFeed(Protocol):
    """The upload queue, to which a backfill sends."""

    def send(self, bodies: Sequence[str], *, again: str | None) -> Sequence[int]:
        """
        Send up to ten notifications, with the re-tag token *again* if there is one.

        Returns the indexes (from 0) of the notifications that the queue did not accept.

        Raises:
            QueueUnavailable: SQS refused or failed; it may have accepted any of them.
        """
        ...

    def depth(self) -> int:
        """
        The number of messages that wait or are in flight, as SQS estimates it.

        Raises:
            QueueUnavailable: SQS refused or failed.
        """
        ...


class UnusableCheckpoint(Exception):
    """The checkpoint cannot be read or written, or belongs to another backfill; says why."""


class Checkpoint(Protocol):
    """Where a backfill saves its progress. All methods raise `UnusableCheckpoint`."""

    def load(self) -> Mapping[str, Any] | None:
        """The document that was saved last; None before the first."""
        ...

    def save(self, document: Mapping[str, Any]) -> None:
        """Replace the document, completely or not at all, even in a crash."""
        ...

    def remove(self) -> None:
        """Remove the document, if there is one."""
        ...
