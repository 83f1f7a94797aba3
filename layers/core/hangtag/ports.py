"""
What the core needs from outside, and nothing more.

Each port has an adapter in `hangtag.adapters` and a fake in the tests; both take the same
contract tests. Adapters translate every foreign error into a leaf of `hangtag.errors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from hangtag.dead_letters import DeadLetter
from hangtag.errors import HangtagError
from hangtag.lifecycle import Record, UploadKey
from hangtag.metrics import Metric
from hangtag.results import Announcement, Document
from hangtag.tagger_api import Answer, Language, RequestBody
from hangtag.uploads import Skip, SkipReason, Upload


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


class Patience(Protocol):
    """What ends waits for AWS in time."""

    def begin(self, deadline: Deadline) -> None:
        """From now on no request to AWS begins that could not end before *deadline*."""
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


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What is stored as the result of a key."""

    version: str
    """`Upload.version` of the object version that it is about."""
    order: str
    """`Upload.order` of that version."""
    retag: str | None
    """`Record.retag` when it was stored: a newer request to tag again wants another answer."""
    document: Document | None = None
    """The result; None where only what stands above was read."""


class ResultStore(Protocol):
    """
    The newest TAGGED result of each key.

    All methods raise `ResultsUnavailable`.
    """

    def read(self, uri: str) -> StoredResult | None:
        """The whole result as it is now."""
        ...

    def store(
        self, upload: Upload, document: Document, *, retag: str | None, fence: float
    ) -> bool:
        """
        Store a result; False where a newer one is there, and nothing is changed.

        Newer is a higher `Upload.order`, and for the same order a later *fence*: the end of the
        lease (`Record.lease_until`) under which the API was called. May be repeated.

        Raises:
            ResultTooLarge: It does not fit into an item.
        """
        ...

    def move_up(self, upload: Upload) -> StoredResult | None:
        """
        Give the upload's own result the upload's order, should that be higher.

        Returns what is there now, without its document; None where nothing is.
        """
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the table says about a batch before anything is done."""

    breaker: BreakerState | None = None
    records: Mapping[UploadKey, Record] = field(default_factory=dict)
    """Without what a FAILED one keeps (`Record.failed`)."""
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


class CallReason(StrEnum):
    """Why the API is called about an upload; every call has one, and is counted by it."""

    FIRST = "FIRST"
    """Nobody has asked about this version yet."""
    RETRY = "RETRY"
    """A call before this one failed."""
    FRESH_KEY = "FRESH_KEY"
    """The key was refused and has been changed since it was read."""
    PREFIX = "PREFIX"
    """The image was refused with the data-URI prefix, or without it."""
    AS_BASE64 = "AS_BASE64"
    """The API could not fetch the image from its URL."""
    UNSTORED = "UNSTORED"
    """There was an answer, and the table stayed down until the function's time was over."""
    AGAIN = "AGAIN"
    """It is tagged already, and somebody wants a new answer (`hangtag backfill --again`)."""
    UNFINISHED = "UNFINISHED"
    """The attempt before this one was cut off, by a crash or a timeout; it may have been paid."""


Calls = Mapping[CallReason, int]
"""How many calls there were for each reason."""

NO_CALLS: Calls = MappingProxyType({})


class ClaimLost(Exception):
    """Another worker has taken the upload over, because the claim's lease had run out."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on an upload, until the lease ends or another worker takes over."""

    attempt: int
    """From 1; a replay begins anew."""
    unannounced: Document | None
    """A TAGGED result that is stored, but not announced in its place: that is left to do."""
    sequencer: str | None
    """The newest that the upload's events came with, this one or one before."""
    ran_out: bool
    """Whether the attempt before this one was never finished."""
    reason: CallReason
    """Why a call that is made now is made."""
    calls: Calls
    """The calls of all attempts before, as far as they came to an end."""
    cut_off: int
    """Attempts before that did not: each may have called, and been paid."""
    token: str
    """Tells this claim from every other."""
    renews: bool = False
    """Whether it is tagged already, and a new answer is wanted: the old one counts until then."""
    was_confirmed: bool = False
    """Whether the attempt before is known to have begun: its worker was told of its claim."""
    failures: int = 0
    """Attempts before, since the upload arrived or was replayed, that ended and are known to."""
    announced_as: str | None = None
    """The `Upload.order` with which `unannounced` was announced last; None if it never was."""


@dataclass(frozen=True, slots=True)
class Done:
    """There is nothing to do for this delivery, and why."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Busy:
    """Another worker holds the claim."""

    seconds: float
    """Until its lease ends."""


class OldResultStore(Protocol):
    """
    One item per object version: its claim, its attempts and calls, its result.

    Versions of one key never overwrite each other; the newest is the one whose `Upload.order`
    is the highest among those that have ended. All methods raise `ResultsUnavailable`; those
    that are given a claim raise `ClaimLost` and change nothing where it holds no longer. Their
    *calls* are those of this attempt.
    """

    def claim(
        self,
        upload: Upload,
        *,
        replays: int,
        sent_at: float | None,
        lease_seconds: float,
        again: str | None = None,
    ) -> Claim | Done | Busy:
        """
        Begin an attempt, unless the upload is done or another worker is at it.

        *sent_at* (seconds since 1970) tells a copy of what has failed, sent before it did, from
        a replay of it, sent after. *again* is the token of an order to tag also what is tagged:
        each order begins anew what it finds, once; the store keeps the token of the last one.
        What is done, but comes with a newer event than any before, has to move up in the order.

        Where it fails, a claim that was made all the same is taken back, if that can be done.
        """
        ...

    def confirm(self, upload: Upload, claim: Claim) -> None:
        """
        The claim has reached its worker: the attempt begins.

        A claim whose answer is lost on its way looks like an attempt that was cut off. Without
        this told of the last attempt, those would count an upload out that nobody ever began.
        """
        ...

    def release(
        self, upload: Upload, claim: Claim, *, calls: Calls, unstored: bool
    ) -> None:
        """
        Give the claim back: the upload is tried again later.

        *unstored*: there was an answer, and it could not be stored.
        """
        ...

    def withdraw(self, upload: Upload, claim: Claim, *, calls: Calls) -> None:
        """
        Give the claim back as if it had not been made: the attempt does not count.

        One that followed an attempt that ran out, and asked nothing, leaves it as one that ran
        out: it is not known yet whether the upload was to blame.
        """
        ...

    def skip(
        self,
        upload: Upload,
        reason: SkipReason,
        *,
        claim: Claim | None,
        at: str,
        calls: Calls = NO_CALLS,
    ) -> None:
        """
        The upload ends without an answer; *at* is ISO 8601, UTC.

        The attempt does not count: should the upload come again, it is looked at again. Without
        a claim, what is known of the upload already stays as it is. With one that renews a
        result, that result counts on: the upload is done.
        """
        ...

    def store_tagged(
        self, upload: Upload, claim: Claim, result: Document, *, calls: Calls
    ) -> None:
        """
        Keep a TAGGED result.

        Raises:
            ResultTooLarge: It does not fit into an item.
        """
        ...

    def finish(self, upload: Upload, claim: Claim, *, announced: bool) -> None:
        """
        The stored result is *announced* in its place, or does not have to be: nothing is left.

        One that was overtaken before anybody heard of it is looked at again, should it come again.
        """
        ...

    def store_failed(
        self,
        upload: Upload,
        claim: Claim,
        result: Document,
        *,
        calls: Calls,
        unstored: bool,
        letter_id: str = "",
        request_id: str = "",
    ) -> None:
        """
        Keep a FAILED result and the notification that a replay needs.

        A result that was too large to be announced and leaves no room for them is given up.
        *unstored* as in `release`; *letter_id* is the dead letter's, *request_id* that of the
        invocation that buried it.
        """
        ...

    def is_superseded(self, upload: Upload) -> bool:
        """Whether a newer version of the same key has ended as TAGGED or FAILED."""
        ...

    def has_passed_another(self, upload: Upload, *, since: str) -> bool:
        """
        Whether another version of the same key has ended between a place and the upload's.

        The place is an `Upload.order`; the upload's own is stored already.
        """
        ...

    def oldest_failure(self, *, since: float) -> float | None:
        """
        When the oldest of what stands as FAILED, and failed since then, did fail; None if nothing.

        Both in seconds since 1970. The index that finds it may be behind by a moment.
        """
        ...


@dataclass(frozen=True, slots=True)
class Turns:
    """Moments at which calls may be begun, evenly spread."""

    first: float
    """Seconds since 1970."""
    count: int


@dataclass(frozen=True, slots=True)
class NoTurn:
    """All moments in question are taken."""

    next: float
    """The first that is free, in seconds since 1970."""


class TurnBook(Protocol):
    """
    Who may call the API when: one book for all instances of the function.

    Raises `ResultsUnavailable`.
    """

    def reserve(
        self, line: str, count: int, *, every: float, earliest: float, latest: float
    ) -> Turns | NoTurn:
        """
        Up to *count* turns of a *line*, *every* so many seconds.

        The first is the first that is free from *earliest* on; none is after *latest*. What
        was free before and not taken is gone: a pause earns no burst.
        """
        ...


@dataclass(frozen=True, slots=True)
class BreakerState:
    """What is known about faults that are everybody's."""

    row: int = 0
    """Failures of that kind since the last success."""
    code: str | None = None
    """Of the last of them."""
    message: str | None = None
    opened_at: str | None = None
    """ISO 8601, UTC; None while the breaker is closed."""
    paused_at: str | None = None
    """ISO 8601, UTC; since when an operator has paused tagging, None where nobody has."""
    call_due: float | None = None
    """From when on (seconds since 1970) somebody is to be called again; None: nobody was yet."""
    switched_off_at: str | None = None
    """ISO 8601, UTC; when the function last switched the intake off, until it is seen on again."""

    @property
    def is_open(self) -> bool:
        """Whether uploads wait until the fault is mended."""
        return self.opened_at is not None

    @property
    def is_stopped(self) -> bool:
        """Whether uploads are to wait, for whatever reason."""
        return self.is_open or self.paused_at is not None


class BreakerStore(Protocol):
    """The breaker's state, one for all instances. All methods raise `ResultsUnavailable`."""

    def read(self) -> BreakerState:
        """How it stands now."""
        ...

    def count_failure(self, code: str, message: str) -> BreakerState:
        """One more failure in the row; how it stands with it."""
        ...

    def open(self, *, at: str, row: int) -> bool:
        """
        Open it (*at* is ISO 8601, UTC), if the row is still that long at least.

        False where it was open, or a success or an operator was faster.
        """
        ...

    def end_row(self) -> bool:
        """A success: the row begins anew. False where it is open: it stays so, and the row."""
        ...

    def take_call(self, *, now: float, until: float, row: int) -> bool:
        """
        Whether a call is due *now*, and ours to make: nobody else's *until* then.

        Both in seconds since 1970. Whoever took it and crashed leaves it due again. None is due
        where the row is not that long any more.
        """
        ...

    def put_off_call(self, *, taken: float, until: float) -> None:
        """Somebody was called: none is due *until* then. *taken* is the *until* it was taken by."""
        ...

    def note_switch_off(self, *, at: str) -> None:
        """The intake is about to be switched off (*at* is ISO 8601, UTC)."""
        ...

    def forget_switch_off(self, *, at: str) -> None:
        """The intake was seen on since it was switched off *at*, if that was the last time."""
        ...

    def try_again(self) -> None:
        """Let uploads through, but keep the row: the next failure opens it again."""
        ...

    def pause(self, *, at: str) -> None:
        """Note that an operator wants no uploads taken (*at* is ISO 8601, UTC)."""
        ...

    def reset(self) -> None:
        """Closed, no row, not paused, nobody called. What was switched off is not on by this."""
        ...


class Intake(Protocol):
    """What hands uploads from the queue to the function: the event source mapping."""

    def is_running(self) -> bool:
        """
        Whether uploads are taken from the queue.

        Raises:
            IntakeUnavailable: Lambda refused or failed, or there is no such mapping.
        """
        ...

    def switch(self, *, on: bool) -> None:
        """
        Take uploads from the queue, or leave them there; at most a minute until it is so.

        Raises:
            IntakeUnavailable: Lambda refused or failed, or there is no such mapping. It says
                when to try again where another change has to end first.
        """
        ...


class Alarm(Protocol):
    """Where somebody is called who can mend what the function cannot."""

    def call(self, subject: str, text: str) -> None:
        """
        Say it.

        Raises:
            AnnouncementFailed: SNS refused or failed.
        """
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

    def bury(self, letter: DeadLetter) -> str:
        """
        Put a letter there; the id that SQS gave it.

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


class Meter(Protocol):
    """Where numbers are told. Threads may share it."""

    def add(self, metric: Metric, value: float = 1.0, **dimensions: str) -> None:
        """One more value, told as a whole and once more by its dimensions."""
        ...

    def flush(self) -> None:
        """Tell what was added, if anything was."""
        ...


NO_FACTS: Mapping[str, Any] = MappingProxyType({})


class Journal(Protocol):
    """The log: one line per upload that ended or is tried again."""

    def tagged(self, upload: Upload, *, attempt: int, facts: Mapping[str, Any]) -> None:
        """An upload was tagged; *facts* are durations and counts."""
        ...

    def skipped(
        self, skip: Skip, *, attempt: int = 0, facts: Mapping[str, Any] = NO_FACTS
    ) -> None:
        """A record was no work; 0 attempts: it was seen before one was begun."""
        ...

    def buried(
        self,
        letter: DeadLetter,
        upload: Upload | None,
        *,
        facts: Mapping[str, Any] = NO_FACTS,
    ) -> None:
        """Something failed for good; *upload* where it was one, *facts* as in `tagged`."""
        ...

    def retried(
        self,
        upload: Upload | None,
        *,
        code: str,
        message: str,
        attempt: int,
        delay_seconds: float,
        facts: Mapping[str, Any] = NO_FACTS,
    ) -> None:
        """
        An upload is handed back and tried again; None where nobody can read what it is.

        *facts* as in `tagged`, where an attempt was begun.
        """
        ...

    def unforeseen(self, uri: str, error: Exception) -> None:
        """An exception that is a mistake of ours, with its traceback."""
        ...

    def troubled(self, doing: str, error: HangtagError) -> None:
        """Something beside the uploads went wrong; they do not suffer from it."""
        ...

    def called(self, reason: CallReason, seconds: float) -> None:
        """A call of the API has ended, well or not, after so many seconds."""
        ...

    def breaker(self, event: str, state: BreakerState) -> None:
        """The breaker was `opened`, `tried` or `closed`, or was found `open` or `at rest`."""
        ...

    def oldest_failure(self, seconds: float) -> None:
        """What has failed and was not dealt with is so old at most."""
        ...

    def end(self) -> None:
        """The invocation ends."""
        ...
