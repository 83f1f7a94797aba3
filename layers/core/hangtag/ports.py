"""
What the core needs from outside, and nothing more.

Each port has an adapter in `hangtag.adapters` and a fake in the tests; both take the same
contract tests. Adapters translate every foreign error into a leaf of `hangtag.failures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hangtag.contract import Answer, Language, RequestBody
from hangtag.dead_letters import DeadLetter
from hangtag.results import Announcement, Document
from hangtag.uploads import Skip, Upload


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


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What S3 says of an object version."""

    version_id: str | None
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An object version that is an image the API takes."""

    content: bytes | bytearray
    media_type: str
    metadata: Mapping[str, str]
    """User metadata, its keys without `x-amz-meta-`."""


@dataclass(frozen=True, slots=True)
class ImageHead:
    """What the first bytes of an object version tell: it is an image the API takes."""

    media_type: str
    metadata: Mapping[str, str]
    """User metadata, its keys without `x-amz-meta-`."""


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

        No more than the first bytes are read of what is no image.

        Raises:
            EmptyImage, ImageTooLarge, UnsupportedFormat: It is not to be sent.
            ObjectForbidden, ObjectUnavailable: S3 refused or failed.
        """
        ...

    def peek(self, upload: Upload) -> ImageHead | None:
        """Like `read`, but no more than the first bytes. Raises like `read`."""
        ...

    def link(self, upload: Upload, *, seconds: float) -> str:
        """
        A URL from which anybody can fetch exactly the upload's version for that long.

        It is a secret: it goes to the API and into no log.
        """
        ...


class ApiKeys(Protocol):
    """The API key; cached."""

    def key(self) -> str:
        """
        The key.

        Raises:
            ApiKeyMissing: The secret holds none.
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
        One call.

        Raises:
            HangtagError: Any leaf whose source is "api".
        """
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on an upload, until the lease ends."""

    attempt: int
    """From 1; a replay begins anew."""
    unannounced: Document | None
    """A TAGGED result that is stored but not announced: only that is left to do."""
    sequencer: str | None
    """The upload's, also where this event came without one but an earlier one did not."""
    ran_out: bool
    """Whether the attempt before this one was never finished."""


@dataclass(frozen=True, slots=True)
class Done:
    """The upload's result is stored and announced."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Another worker holds the claim."""

    seconds: float
    """Until its lease ends."""


class ResultStore(Protocol):
    """
    One item per object version: its claim, its attempts, its result.

    Versions of one key never overwrite each other; the newest is the one whose `Upload.order`
    is the highest among those that have ended. All methods raise `ResultsUnavailable`.
    """

    def claim(
        self, upload: Upload, *, replays: int, lease_seconds: float
    ) -> Claim | Done | Busy:
        """Begin an attempt, unless the upload is done or another worker is at it."""
        ...

    def release(self, upload: Upload) -> None:
        """Give the claim back: the upload is tried again later."""
        ...

    def withdraw(self, upload: Upload) -> None:
        """Give the claim back as if it had not been made: the attempt does not count."""
        ...

    def store_tagged(self, upload: Upload, result: Document) -> None:
        """
        Keep a TAGGED result.

        Raises:
            ResultTooLarge: It does not fit into an item.
        """
        ...

    def finish(self, upload: Upload) -> None:
        """The stored result is announced, or never will be: there is nothing left to do."""
        ...

    def store_failed(self, upload: Upload, result: Document) -> None:
        """Keep a FAILED result and the notification that a replay needs."""
        ...

    def is_superseded(self, upload: Upload) -> bool:
        """Whether a newer version of the same key has ended."""
        ...


class Announcer(Protocol):
    """The topic."""

    def announce(self, announcement: Announcement) -> None:
        """
        Publish.

        Raises:
            AnnouncementFailed: SNS refused or failed.
            ResultTooLarge: SNS does not take so much.
        """
        ...


class DeadLetterQueue(Protocol):
    """Where failures wait."""

    def bury(self, letter: DeadLetter) -> None:
        """
        Put a letter there.

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
            QueueUnavailable: SQS refused or failed, for some of them at least; those come back
                when the queue's visibility timeout runs out.
        """
        ...


class Journal(Protocol):
    """The log: one line per upload that ended or is tried again."""

    def tagged(self, upload: Upload, *, attempt: int, facts: Mapping[str, Any]) -> None:
        """An upload was tagged; *facts* are durations and counts."""
        ...

    def skipped(self, skip: Skip) -> None:
        """A record was no work."""
        ...

    def buried(self, letter: DeadLetter) -> None:
        """Something failed for good."""
        ...

    def retried(
        self, uri: str, *, code: str, message: str, attempt: int, delay_seconds: float
    ) -> None:
        """An upload is handed back and tried again."""
        ...

    def unforeseen(self, uri: str, error: Exception) -> None:
        """An exception that is a mistake of ours, with its traceback."""
        ...


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter in hand: hidden from others for a while."""

    id: str
    receipt_handle: str
    letter: DeadLetter


class DeadLetterBox(Protocol):
    """The dead-letter queue as operators use it."""

    def receive(self) -> Sequence[Letter]:
        """Up to ten letters, hidden for at most 30 s; none when there are none left."""
        ...

    def put_back(self, letters: Iterable[Letter]) -> None:
        """Make letters visible again, at once."""
        ...

    def delete(self, letter: Letter) -> None:
        """Remove a letter for good."""
        ...

    def resend(self, letter: Letter, *, replays: int) -> None:
        """Put a letter's notification on the upload queue, with its count of replays."""
        ...
