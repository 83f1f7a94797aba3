"""
One attempt to tag an upload: claim, read the object, call the API, store, announce, finish.

An attempt returns `ENDED`, or a `Retry`: the delivery goes back to the queue. See
`hangtag.lifecycle` for what it writes on the way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from hangtag import lifecycle
from hangtag.backoff import backoff, persist
from hangtag.breaker import SYSTEMIC_KINDS, Breaker, Watch
from hangtag.calling import Caller, Calling
from hangtag.claims import Claim, ClaimLost, Claims
from hangtag.dead_letters import (
    DeadLetter,
    letter_of_unreadable,
    letter_of_upload,
)
from hangtag.errors import (
    Abandoned,
    Failure,
    HangtagError,
    InternalError,
    OutOfTime,
    ResultsUnavailable,
)
from hangtag.events import Delivery, Unreadable
from hangtag.lifecycle import (
    Arrival,
    Busy,
    Calls,
    Done,
    FailedUpload,
    Record,
    UploadKey,
)
from hangtag.ports import (
    Announcer,
    ApiKeys,
    AwsDeadline,
    Clock,
    DeadLetterQueue,
    Deadline,
    ImageHead,
    ObjectStore,
    RecordStore,
    ResultStore,
    Snapshot,
    SnapshotReader,
    StoredImage,
    StoredResult,
    Tagger,
    UploadQueue,
)
from hangtag.rate_limit import RateLimited, RateLimiter
from hangtag.results import Document, announcement_of, tagged_result
from hangtag.tagger_api import (
    Answer,
    Context,
    Detection,
    Language,
    read_metadata,
)
from hangtag.telemetry import (
    NO_WORK,
    Called,
    DeadLettered,
    HandedBack,
    Skipped,
    Tagged,
    Telemetry,
    Unforeseen,
    Work,
)
from hangtag.text import to_timestamp
from hangtag.time_budget import TimeBudget
from hangtag.uploads import Skip, SkipReason, Upload

RETRY_CAP_SECONDS = 900.0
"""The longest delay of a retry (design: at most 15 minutes)."""

HAND_BACK_CAP_SECONDS = 1_800.0
"""
The longest delay of a delivery that was only handed back.

In 14 days, as long as SQS keeps a message, it is received less than 1,000 times: then SQS itself
would move it to the dead-letter queue, without a code.
"""

_HAND_BACK_BASE_SECONDS = 1.0
_BREAKER_BASE_SECONDS = 15.0

_MORE_TO_ANNOUNCE = 10
"""Attempts beyond `MaxAttempts` if an answer is stored and not announced."""

_CLAIM_SECONDS = 2.0
"""A claim is repeated for that long; a longer outage is not worth waiting for."""

# Codes of deliveries that are handed back although nothing went wrong
DEADLINE = "DEADLINE"
BUSY = "BUSY"
RATE = "RATE"
BREAKER = "BREAKER"

_T = TypeVar("_T")

ImageTransport = Literal["base64", "url"]
"""How an image reaches the API: sent along, or fetched by the API from a presigned URL."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All that the main job needs from outside."""

    objects: ObjectStore
    api_keys: ApiKeys
    tagger: Tagger
    snapshots: SnapshotReader
    records: RecordStore
    results: ResultStore
    announcer: Announcer
    dead_letters: DeadLetterQueue
    upload_queue: UploadQueue
    rate_limiter: RateLimiter
    breaker: Breaker
    telemetry: Telemetry
    clock: Clock
    aws_deadline: AwsDeadline


@dataclass(frozen=True, slots=True)
class Policy:
    """What the stack's parameters say."""

    language: Language
    detection: tuple[Detection, ...]
    max_attempts: int
    retry_base_seconds: float
    lease_seconds: float
    """How long a claim holds: no invocation lasts longer."""
    budget: TimeBudget
    width: int
    """How many uploads one invocation works on at the same time."""
    image_transport: ImageTransport = "base64"


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What the uploads of one invocation share."""

    request_id: str
    deadline: Deadline
    breaker: Watch
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing is left to do: the upload has ended, or did before."""


ENDED = Ended()


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
class Arrived:
    """An upload that is to be tagged."""

    upload: Upload
    delivery: Delivery
    is_gone: bool = False
    """Whether there was no object when its version was looked for."""
    error: HangtagError | None = None
    """Why its object version could not be identified: its attempt fails so."""

    @property
    def key(self) -> UploadKey:
        """What copies of the same upload have in common."""
        return (self.upload.uri, self.upload.version)


class _Stopwatch:
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
        return {**self._parts, "all": round(1000 * self.seconds())}

    def seconds(self) -> float:
        """All of it until now."""
        return self._clock.now() - self._began


@dataclass(slots=True)
class _Attempt:
    """A claimed upload."""

    arrived: Arrived
    upload: Upload
    batch: BatchContext
    claim: Claim
    calling: Calling
    stopwatch: _Stopwatch
    is_unstored: bool = field(default=False)
    """Whether the API answered, and the answer is stored nowhere yet."""

    @property
    def number(self) -> int:
        """From 1."""
        return self.claim.record.attempts + 1

    def began_late(self, lease_seconds: float) -> bool:
        """Whether the time was short for others' sake: it used less than half, and made no call."""
        is_short = self.stopwatch.seconds() < lease_seconds / 2
        return is_short and not self.calling.calls

    def work(self) -> Work:
        """What it did so far, for the log."""
        milliseconds = self.stopwatch.milliseconds()
        return Work(self.number, dict(self.calling.calls), milliseconds)


class Tagging:
    """Brings uploads to their end, one at a time; threads may share it."""

    def __init__(
        self,
        ports: Ports,
        policy: Policy,
        *,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        self._ports = ports
        self._policy = policy
        self._budget = policy.budget
        self._claims = Claims(ports.records, ports.clock)
        self._caller = Caller(
            ports.tagger,
            ports.api_keys,
            ports.clock,
            policy.budget,
            ports.rate_limiter,
            called=lambda why, took: ports.telemetry.emit(Called(why, took)),
        )
        self._random_fraction = random_fraction

    def tag(self, arrived: Arrived, batch: BatchContext) -> Ended | Retry:
        """Bring an upload to its end, or say when it is to be delivered again."""
        outcome = self._begin(arrived, batch)
        if isinstance(outcome, _Attempt):
            attempt = outcome
            outcome = self._run(attempt)
            if isinstance(outcome, Retry):
                self._hand_back(attempt.upload, outcome, attempt.work())
        elif isinstance(outcome, Retry):
            self._hand_back(arrived.upload, outcome)
        return outcome

    def _begin(self, arrived: Arrived, batch: BatchContext) -> _Attempt | Ended | Retry:
        """Claim the upload, unless there is no time, no slot, or nothing to do."""
        upload, delivery = arrived.upload, arrived.delivery
        if batch.breaker.is_stopped:
            delay = self._delay(delivery, base=_BREAKER_BASE_SECONDS)
            return Retry(BREAKER, "tagging has stopped", delay)
        seconds_left = batch.deadline.seconds_left() - self._budget.attempt
        if seconds_left < 0:
            message = "too little of the function's time is left"
            return Retry(DEADLINE, message, self._delay(delivery))
        try:
            self._ports.rate_limiter.check(self._ports.clock.now() + seconds_left)
            claim = self._claim(arrived, batch)
        except RateLimited as limit:
            return Retry(RATE, str(limit), limit.seconds)
        except ResultsUnavailable as error:
            return Retry(error.code, str(error), self._delay(delivery))
        match claim:
            case Done(reason=reason):
                self._ports.telemetry.emit(Skipped(reason, upload.uri, upload))
                return ENDED
            case Busy(seconds=seconds):
                # The other worker is done long before its lease expires, most likely
                delay = min(seconds, self._delay(delivery))
                return Retry(BUSY, "another worker is at it", delay)
        calling = Calling(batch.deadline, lifecycle.first_call(claim.record))
        return _Attempt(
            arrived,
            upload.ordered_as(claim.record.sequencer),
            batch,
            claim,
            calling,
            _Stopwatch(self._ports.clock),
        )

    def _claim(self, arrived: Arrived, batch: BatchContext) -> Claim | Done | Busy:
        """Raises ResultsUnavailable."""
        upload, delivery = arrived.upload, arrived.delivery
        now = self._ports.clock.now()
        arrival = Arrival(
            now,
            self._policy.lease_seconds,
            sequencer=upload.sequencer,
            replays=delivery.replays,
            sent_at="" if delivery.sent_at is None else to_timestamp(delivery.sent_at),
            retag=delivery.retag,
        )
        seen = batch.snapshot.records.get(arrived.key)
        until = now + _CLAIM_SECONDS
        found = self._claims.claim(arrived.key, seen, arrival, until=until)
        if isinstance(found, Done) and self._is_overtaken(upload, found):
            arrival = replace(arrival, is_overtaken=True)
            return self._claims.claim(arrived.key, found.record, arrival, until=until)
        return found

    def _is_overtaken(self, upload: Upload, done: Done) -> bool:
        """
        Whether a tagged version is newer than was known, and an older one's result is there.

        Its own result only moves up.
        """
        is_tagged = done.reason is SkipReason.ALREADY_TAGGED
        if not is_tagged or upload.order <= done.record.order:
            return False
        stored = self._ports.results.move_up(upload)
        return stored is None or (
            stored.version != upload.version and stored.order < upload.order
        )

    def _run(self, attempt: _Attempt) -> Ended | Retry:
        try:
            return self._attempt(attempt)
        except ClaimLost:
            return Retry(BUSY, "another worker took it over", _HAND_BACK_BASE_SECONDS)
        except RateLimited as limit:
            self._release(attempt, is_attempt=False)
            return Retry(RATE, str(limit), limit.seconds)
        except OutOfTime as error:
            if attempt.began_late(self._policy.lease_seconds):
                self._release(attempt, is_attempt=False)
                delay = self._delay(attempt.arrived.delivery)
                return Retry(DEADLINE, str(error), delay)
            return self._fail(attempt, error)
        except HangtagError as error:
            return self._fail(attempt, error)
        # A bug of Hangtag ends like any failure: counted, retried, dead-lettered with its code
        except Exception as error:  # noqa: BLE001
            self._ports.telemetry.emit(Unforeseen(attempt.upload.uri, error))
            message = f"{type(error).__name__}: {error}"
            return self._fail(attempt, InternalError(message))

    def _attempt(self, attempt: _Attempt) -> Ended | Retry:
        """From the claim to the end. Raises what goes wrong on the way."""
        upload = attempt.upload
        stored = self._stored(attempt)
        is_own = stored is not None and self._is_own(attempt, stored)
        self._check_attempts(attempt, is_stored=is_own)
        if stored is not None and is_own:
            result = stored.document or {}
        else:
            if stored is not None and stored.order > upload.order:
                return self._skip(attempt, SkipReason.SUPERSEDED)
            answer = self._answer(attempt)
            if answer is None:
                return self._skip(attempt, SkipReason.OBJECT_GONE)
            result = answer
            if not self._store(attempt, result):
                return self._skip(attempt, SkipReason.SUPERSEDED)
        self._ports.announcer.announce(
            announcement_of(result, bucket_arn=upload.bucket_arn)
        )
        attempt.stopwatch.end("announce")
        return self._finish(attempt, result)

    def _check_attempts(self, attempt: _Attempt, *, is_stored: bool) -> None:
        """
        Give up an upload whose attempts were all used, the last one cut off.

        Raises:
            Abandoned: So it is.
        """
        attempts = attempt.claim.record.attempts
        # An answer that was paid for is worth more attempts: only to announce it is left
        most = self._policy.max_attempts + is_stored * _MORE_TO_ANNOUNCE
        if attempts >= most:
            raise Abandoned(f"{attempts} attempts, and the last one was cut off")

    def _stored(self, attempt: _Attempt) -> StoredResult | None:
        """
        What is stored as the result of the key.

        The snapshot is good enough for a first claim: no attempt before can have stored an answer.
        """
        upload = attempt.upload
        if attempt.claim.is_first:
            return attempt.batch.snapshot.results.get(upload.uri)
        stored = self._ports.results.read(upload.uri)
        is_own = stored is not None and self._is_own(attempt, stored)
        if stored is not None and is_own and stored.order < upload.order:
            # It was stored for an event without a sequencer
            self._ports.results.move_up(upload)
            return self._ports.results.read(upload.uri)
        return stored

    def _is_own(self, attempt: _Attempt, stored: StoredResult) -> bool:
        """Whether it is the answer that this attempt is after, left by one before."""
        record = attempt.claim.record
        is_same = stored.version == attempt.upload.version
        return is_same and stored.retag == record.retag and stored.document is not None

    def _answer(self, attempt: _Attempt) -> Document | None:
        """The result that the API's answer makes, or None if the object is gone."""
        if attempt.arrived.error is not None:
            raise attempt.arrived.error
        found = None if attempt.arrived.is_gone else self._call(attempt)
        if found is None:
            return None
        language, context, answer = found
        attempt.is_unstored = True
        attempt.batch.breaker.succeeded()
        return tagged_result(
            attempt.upload,
            answer,
            language=language,
            context=context,
            tagged_at=self._now(),
        )

    def _call(self, attempt: _Attempt) -> tuple[Language, Context, Answer] | None:
        upload, objects = attempt.upload, self._ports.objects
        is_second_form = False
        # A URL names no etag: without versions it may lead to a later object
        if self._sends_urls and upload.version_id is not None:
            head = objects.peek(upload)
            attempt.stopwatch.end("read")
            if head is None:
                return None
            language, context = self._context(head)
            url = objects.link(upload, seconds=self._policy.lease_seconds)
            answer = self._timed(
                attempt,
                lambda: self._caller.call_with_url(
                    url, context, language=language, calling=attempt.calling
                ),
            )
            if answer is not None:
                return language, context, answer
            is_second_form = True
        image = objects.read(upload)
        attempt.stopwatch.end("read")
        if image is None:
            return None
        language, context = self._context(image)
        answer = self._timed(
            attempt,
            lambda: self._caller.call_with_image(
                image,
                context,
                language=language,
                calling=attempt.calling,
                is_second_form=is_second_form,
            ),
        )
        return language, context, answer

    @property
    def _sends_urls(self) -> bool:
        return self._policy.image_transport == "url" and self._caller.sends_urls

    def _context(self, image: StoredImage | ImageHead) -> tuple[Language, Context]:
        return read_metadata(
            image.metadata,
            language=self._policy.language,
            detection=self._policy.detection,
        )

    def _timed(self, attempt: _Attempt, call: Callable[[], _T]) -> _T:
        try:
            return call()
        finally:
            attempt.stopwatch.end("call")

    def _store(self, attempt: _Attempt, result: Document) -> bool:
        """
        Store an answer that was paid for, however long it takes.

        Returns False where a newer one is there. Raises ResultsUnavailable, ResultTooLarge.
        """
        record = attempt.claim.record
        is_stored = persist(
            lambda: self._ports.results.store(
                attempt.upload, result, retag=record.retag, fence=record.lease_until
            ),
            clock=self._ports.clock,
            until=self._until(attempt, self._budget.request),
        )
        attempt.is_unstored = False
        attempt.stopwatch.end("store")
        return is_stored

    def _finish(self, attempt: _Attempt, result: Document) -> Ended | Retry:
        """Subscribers know the result: from now on the upload does not fail any more."""
        try:
            self._write(
                attempt,
                lambda record, calls: lifecycle.finish(
                    record, calls=calls, at=self._now()
                ),
            )
        except ResultsUnavailable as error:
            return self._retry(attempt, error)
        upload = attempt.upload
        arrived_at = upload.happened_at
        since = None if arrived_at is None else self._ports.clock.now() - arrived_at
        self._ports.telemetry.emit(
            Tagged(upload, attempt.work(), len(result["objects"]), since)
        )
        return ENDED

    def _skip(self, attempt: _Attempt, reason: SkipReason) -> Ended:
        self._write(
            attempt,
            lambda record, calls: lifecycle.skip(
                record, reason, calls=calls, at=self._now()
            ),
        )
        upload = attempt.upload
        self._ports.telemetry.emit(Skipped(reason, upload.uri, upload, attempt.work()))
        return ENDED

    # ---- what goes wrong

    def _fail(self, attempt: _Attempt, error: HangtagError) -> Ended | Retry:
        """Dead-letter, or hand back for a retry."""
        if error.kind in SYSTEMIC_KINDS:
            is_counted = False
            with suppress(ResultsUnavailable):
                is_counted = attempt.batch.breaker.failed(error)
            if is_counted:
                return self._dead_letter(attempt, error)
            return self._retry(attempt, error, base=_BREAKER_BASE_SECONDS)
        if error.kind == "permanent" and error.source == "api" and error.code.isdigit():
            # The API itself refused the image: the key, the account and the URL are fine
            attempt.batch.breaker.succeeded()
        is_last = attempt.number >= self._policy.max_attempts
        if error.kind == "permanent" or is_last:
            return self._dead_letter(attempt, error)
        self._release(attempt, is_attempt=True)
        delay = backoff(
            attempt.number,
            base=self._policy.retry_base_seconds,
            cap=RETRY_CAP_SECONDS,
            random_fraction=self._random_fraction,
        )
        # The API's Retry-After is the least
        delay = max(delay, min(error.retry_after_seconds or 0.0, RETRY_CAP_SECONDS))
        return Retry(error.code, str(error), delay, is_attempt=True)

    def _dead_letter(self, attempt: _Attempt, error: HangtagError) -> Ended | Retry:
        """Send first, write then: what cannot be dead-lettered stays on the queue."""
        letter = letter_of_upload(
            attempt.upload,
            self._failure(
                error, attempts=min(attempt.number, self._policy.max_attempts)
            ),
            replays=attempt.arrived.delivery.replays,
            request_id=attempt.batch.request_id,
        )
        try:
            letter_id = self._ports.dead_letters.send(letter)
            failed = FailedUpload(
                letter.failure, letter.body, letter_id, letter.request_id
            )
            self._write(
                attempt,
                lambda record, calls: lifecycle.fail(
                    record,
                    failed,
                    calls=calls,
                    at=letter.failure.failed_at,
                    is_unstored=attempt.is_unstored,
                ),
            )
        except ClaimLost:
            return Retry(BUSY, "another worker took it over", _HAND_BACK_BASE_SECONDS)
        except HangtagError as trouble:
            return self._retry(attempt, trouble, because=letter)
        self._ports.telemetry.emit(DeadLettered(letter, attempt.upload, attempt.work()))
        return ENDED

    def _retry(
        self,
        attempt: _Attempt,
        error: HangtagError,
        *,
        base: float = _HAND_BACK_BASE_SECONDS,
        because: DeadLetter | None = None,
    ) -> Retry:
        """Hand back an attempt that does not count: it was not the upload that failed."""
        self._release(attempt, is_attempt=False)
        message = str(error)
        if because is not None:
            message = f"cannot dead-letter {because.failure.code}: {message}"
        return Retry(
            error.code, message, self._delay(attempt.arrived.delivery, base=base)
        )

    def _release(self, attempt: _Attempt, *, is_attempt: bool) -> None:
        """Release the claim; where that fails, its lease expires."""
        with suppress(ResultsUnavailable, ClaimLost):
            self._write(
                attempt,
                lambda record, calls: lifecycle.release(
                    record,
                    calls=calls,
                    is_attempt=is_attempt,
                    is_unstored=attempt.is_unstored,
                ),
                reserve=self._budget.request,
            )

    def _write(
        self,
        attempt: _Attempt,
        change: Callable[[Record, Calls], Record],
        *,
        reserve: float | None = None,
    ) -> None:
        """As `Claims.write`, again while the table fails, until so much of the time is left."""
        calls = dict(attempt.calling.calls)
        self._claims.write(
            attempt.claim,
            lambda record: change(record, calls),
            until=self._until(
                attempt, self._budget.write if reserve is None else reserve
            ),
        )

    def _until(self, attempt: _Attempt, reserve: float) -> float:
        left = attempt.batch.deadline.seconds_left()
        return self._ports.clock.now() + left - reserve

    def _delay(
        self, delivery: Delivery, *, base: float = _HAND_BACK_BASE_SECONDS
    ) -> float:
        """Seconds until the next delivery of one that was no attempt; grows with the receives."""
        return backoff(
            delivery.receives,
            base=base,
            cap=HAND_BACK_CAP_SECONDS,
            random_fraction=self._random_fraction,
        )

    # ---- for the batch

    def skip(self, skip: Skip, delivery: Delivery) -> Ended | Retry:
        """A record that is not to be tagged ends; its upload, if it has one, is noted."""
        if skip.upload is not None:
            try:
                self._claims.skip(
                    (skip.upload.uri, skip.upload.version),
                    skip.reason,
                    at=self._now(),
                    until=self._ports.clock.now() + _CLAIM_SECONDS,
                )
            except ResultsUnavailable as error:
                retry = Retry(error.code, str(error), self._delay(delivery))
                self._hand_back(skip.upload, retry)
                return retry
        self._ports.telemetry.emit(Skipped(skip.reason, skip.uri or "", skip.upload))
        return ENDED

    def dead_letter_body(
        self, unreadable: Unreadable, delivery: Delivery, *, request_id: str
    ) -> Ended | Retry:
        """Dead-letter a message that holds no upload, or not only uploads, as it is."""
        letter = letter_of_unreadable(
            unreadable,
            self._failure(unreadable.error, attempts=1),
            replays=delivery.replays,
            request_id=request_id,
        )
        try:
            self._ports.dead_letters.send(letter)
        except HangtagError as trouble:
            message = f"cannot dead-letter {letter.failure.code}: {trouble}"
            retry = Retry(trouble.code, message, self._delay(delivery))
            self._hand_back(None, retry)
            return retry
        self._ports.telemetry.emit(DeadLettered(letter))
        return ENDED

    def unforeseen(self, about: str, error: Exception, delivery: Delivery) -> Retry:
        """A bug of Hangtag outside of an attempt: it must not fail the other deliveries."""
        self._ports.telemetry.emit(Unforeseen(about, error))
        return Retry(InternalError.code, str(error), self._delay(delivery))

    def _failure(self, error: HangtagError, *, attempts: int) -> Failure:
        return Failure.of(error, attempts=attempts, failed_at=self._now())

    def _hand_back(
        self, upload: Upload | None, retry: Retry, work: Work = NO_WORK
    ) -> None:
        if not retry.is_attempt:
            work = replace(work, attempt=0)
        self._ports.telemetry.emit(
            HandedBack(
                upload, retry.code, retry.message, retry.seconds, work, retry.is_attempt
            )
        )

    def _now(self) -> str:
        return to_timestamp(self._ports.clock.now())
