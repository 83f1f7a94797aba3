"""
The ports of the core: everything it needs from outside.

Each port has an adapter in `hangtag.adapters` and a fake in the tests; both take the same
contract tests. Adapters translate every foreign error into a leaf of `hangtag.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from hangtag.announcements import Announcement
from hangtag.dead_letters import DeadLetter
from hangtag.lifecycle import Record, UploadKey
from hangtag.results import Document
from hangtag.tagger_api import Answer, Language, RequestBody
from hangtag.uploads import Upload

if TYPE_CHECKING:  # TagUploads does not load it
    from hangtag.index import KnownValue, Term


class Clock(Protocol):
    """The time."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        ...


class Deadline(Protocol):
    """How much of the invocation's time is left."""

    def seconds_left(self) -> float:
        """Seconds until the function is stopped."""
        ...


class AwsDeadline(Protocol):
    """Keeps requests to AWS within the time of the invocation."""

    def begin(self, deadline: Deadline) -> None:
        """From now on no request to AWS begins that could not end before *deadline*."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """An object version, as S3 describes it."""

    version_id: str | None
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An object version that is an image the API takes."""

    content: Iterable[bytes]
    """Pieces, all but the last of `PIECE_BYTES`; a second call iterates again."""
    size: int
    """Bytes, of all pieces."""
    media_type: str
    metadata: Mapping[str, str]
    """User metadata, its keys without `x-amz-meta-`."""
    etag: str | None = None
    """Without quotes; None for a file that is not in S3."""
    close: Callable[[], object] = lambda: None
    """Called when the content is not needed any more."""


@dataclass(frozen=True, slots=True)
class ImageHead:
    """An object version whose first bytes are those of an image that the API accepts."""

    media_type: str
    metadata: Mapping[str, str]
    """User metadata, its keys without `x-amz-meta-`."""
    etag: str
    """Without quotes."""
    size: int
    """Bytes, of the whole image."""


class ObjectStore(Protocol):
    """Where the images are."""

    def find(self, upload: Upload) -> ObjectFacts | None:
        """
        The current version of the upload's object, or None if it is gone.

        Raises:
            ObjectForbidden, ObjectUnavailable: S3 refused or failed.
        """
        ...

    def read(self, upload: Upload) -> StoredImage | None:
        """
        Exactly the upload's version, or None if that is gone.

        If it is not an image, only its first bytes are read.

        Raises:
            EmptyImage, ImageTooLarge, UnsupportedFormat: It is not to be sent.
            ObjectForbidden, ObjectUnavailable: S3 refused or failed.
            DiskFull: It has no room on the disk.
        """
        ...

    def peek(self, upload: Upload) -> ImageHead | None:
        """Like `read`, but no more than the first bytes. Raises like `read`."""
        ...

    def link(self, upload: Upload, *, seconds: float) -> str:
        """
        A URL from which anyone can fetch exactly the upload's version for that long.

        It is a secret: it goes to the API and into no log.
        """
        ...


class ApiKeys(Protocol):
    """The API key; cached."""

    def key(self) -> str:
        """
        The key.

        Raises:
            ApiKeyMissing: The secret contains no key.
            ApiKeyUnavailable: Secrets Manager refused or failed.
        """
        ...

    def fresh_key(self) -> str:
        """The key as it is now, past the cache. Raises like `key`."""
        ...


class Tagger(Protocol):
    """The Tagger API."""

    def ask(
        self,
        request: RequestBody,
        *,
        language: Language,
        api_key: str,
        timeout_seconds: float,
    ) -> Answer:
        """
        One call. Neither the answer nor an error contains the key or `request.secrets`.

        Raises:
            HangtagError: Any leaf whose source is "api".
        """
        ...


class RecordStore(Protocol):
    """The records of the uploads (`hangtag.lifecycle`), one for each object version."""

    def swap(self, key: UploadKey, seen: str | None, new: Record) -> Record | None:
        """
        Write *new*, if the `rev` of the record is still the one that was *seen* (None: no record).

        Returns None if it was written, else the record that is there; its `rev` is empty where
        there is no record. If it has the `rev` of *new*, an earlier try of the same write arrived:
        so a write may be repeated. The caller gives *new* a new `rev`.

        Raises:
            ResultsUnavailable: DynamoDB refused or failed; it may have been written.
        """
        ...

    def oldest_failure(self, *, since: float) -> float | None:
        """
        When the oldest of the uploads failed that are FAILED since *since* or later.

        None without such an upload. Both times in seconds since 1970. The index may be behind by a
        moment.

        Raises:
            ResultsUnavailable: DynamoDB refused or failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class StoredResult:
    """The stored result of a key, or its tombstone: the object is gone."""

    version: str
    """`Upload.version` of the object version that it is about; a tombstone's: of the removal."""
    order: str
    """`Upload.order` of that version."""
    retag: str | None
    """`Record.retag` when it was stored: a newer request to tag again wants another answer."""
    document: Document | None = None
    """The result; None of a tombstone, and if only the other attributes were read."""
    removed_at: str | None = None
    """ISO 8601, UTC; when the tombstone was stored. None if it is a result."""


class ResultStore(Protocol):
    """
    The newest TAGGED result of each key; `hangtag.newest` decides which version is the newest.

    A tombstone takes the place of the result of an object that is gone. An upload that arrives late
    finds it, and cannot bring the result back.

    All methods raise `ResultsUnavailable`.
    """

    def read(self, uri: str) -> StoredResult | None:
        """The whole result as it is now; without its document if that is lost."""
        ...

    def store(
        self,
        upload: Upload,
        document: Document,
        *,
        retag: str | None,
        fence: float,
        replacing: StoredResult | None = None,
    ) -> StoredResult | None:
        """
        Store a result; None if it is stored, else what is there instead, and nothing is changed.

        Of another version, it replaces only the result *replacing*, if its order is unchanged. Of
        its own version, it replaces a result that is not newer: newer is a higher `Upload.order`,
        and for the same order a later *fence*, the end of the lease (`Record.lease_until`) under
        which the API was called. May be repeated. A document that is returned may have no more
        than its `own_part`.
        """
        ...

    def move_up(self, upload: Upload) -> StoredResult | None:
        """
        Raise the order of the upload's own result to the upload's, if that is higher.

        Returns the stored result after that; None without one.
        """
        ...

    def remove(
        self,
        removal: Upload,
        *,
        order: str,
        removed_at: str,
        expires_at: float,
        replacing: StoredResult | None,
    ) -> StoredResult | None:
        """
        Store a tombstone; None if it is stored, else what is there instead.

        It replaces only *replacing* (None: nothing), if its order is unchanged, and gets *order*.
        *removed_at* is ISO 8601, UTC; at *expires_at* (seconds since 1970) or later DynamoDB
        deletes it.
        """
        ...


@dataclass(frozen=True, slots=True)
class BreakerState:
    """The state of the breaker (`hangtag.breaker`), and whether an operator has paused tagging."""

    failures: int = 0
    """Systemic failures since the last success."""
    code: str | None = None
    """Of the last of them."""
    message: str | None = None
    """Of the last of them."""
    opened_at: str | None = None
    """ISO 8601, UTC; None while the breaker is closed or half-open."""
    paused_at: str | None = None
    """ISO 8601, UTC; None if tagging is not paused."""

    @property
    def is_open(self) -> bool:
        """Whether the breaker keeps uploads on the queue."""
        return self.opened_at is not None

    @property
    def is_stopped(self) -> bool:
        """Whether uploads stay on the queue: the breaker is open, or tagging is paused."""
        return self.opened_at is not None or self.paused_at is not None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a batch in the table, before its first claim."""

    breaker: BreakerState | None = None
    records: Mapping[UploadKey, Record] = field(default_factory=dict)
    """Without `Record.failed`."""
    results: Mapping[str, StoredResult] = field(default_factory=dict)
    """By uri, without their documents."""


class SnapshotReader(Protocol):
    """The table, as a batch reads it first."""

    def snapshot(self, keys: Iterable[UploadKey]) -> Snapshot:
        """
        The breaker, and the record and the result of each upload, all consistently read.

        Raises:
            ResultsUnavailable: DynamoDB refused or failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """An entry of the index: a result is found by a term."""

    term: Term
    position: str
    """The `hangtag.index.position_of` the result."""
    uri: str
    confidence: Decimal | None
    """None where the API gives none."""


class ResultIndex(Protocol):
    """
    The index of the results (`hangtag.index`), for those who write it.

    All writes may be repeated. All methods raise `ResultsUnavailable`.
    """

    def put(self, entries: Collection[IndexEntry]) -> None:
        """Write entries; each replaces the one with its term and position."""
        ...

    def remove(self, entries: Collection[IndexEntry]) -> None:
        """Remove entries, whatever their confidences are; entries that are missing are no error."""
        ...

    def learn(self, values: Collection[KnownValue]) -> None:
        """Remember values and their names; of a value with many names some."""
        ...


class LargeResults(Protocol):
    """
    Where the results are that are too large for the table.

    All methods raise `ResultsUnavailable`.
    """

    def read(self, key: str) -> Document | None:
        """The whole result, or None if it is gone."""
        ...

    def delete(self, key: str) -> None:
        """Delete it; one that is gone is no error."""
        ...


class Announcer(Protocol):
    """The topic."""

    def announce(self, announcement: Announcement) -> None:
        """
        Publish.

        Raises:
            AnnouncementFailed: SNS refused or failed.
        """
        ...


class DeadLetterQueue(Protocol):
    """Where failures wait."""

    def send(self, letter: DeadLetter) -> str:
        """
        Send a letter; the id that SQS gave it.

        Raises:
            QueueUnavailable: SQS refused or failed.
        """
        ...


class UploadQueue(Protocol):
    """Where uploads wait."""

    def send(self, body: str) -> None:
        """
        Put a notification there.

        Raises:
            QueueUnavailable: SQS refused or failed.
        """
        ...

    def delay(self, delays: Mapping[str, float]) -> None:
        """
        Hide deliveries for some seconds, by receipt handle.

        Raises:
            QueueUnavailable: SQS refused or failed, at least for some of them. They come back
                when the queue's visibility timeout runs out.
        """
        ...
