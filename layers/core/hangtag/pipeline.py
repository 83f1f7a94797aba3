"""
The main job: deliveries in, every upload tagged, failed or skipped, the rest handed back.

Nothing here talks to the outside; see `hangtag.ports`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from hangtag.asking import LEAST_SECONDS, RESERVE_SECONDS, Asker, OutOfTime
from hangtag.contract import (
    Answer,
    Context,
    Detection,
    Language,
    read_metadata,
)
from hangtag.dead_letters import DeadLetter, letter_of_unreadable, letter_of_upload
from hangtag.failures import (
    Abandoned,
    Failure,
    HangtagError,
    InternalError,
    QueueUnavailable,
    ResultsUnavailable,
    UnreadableEvent,
    UrlNotFetched,
)
from hangtag.ports import (
    Announcer,
    ApiKeys,
    Busy,
    Claim,
    Clock,
    DeadLetterQueue,
    Deadline,
    Done,
    ImageHead,
    Journal,
    ObjectStore,
    ResultStore,
    StoredImage,
    Tagger,
    UploadQueue,
)
from hangtag.results import (
    Document,
    announcement_of,
    failed_result,
    tagged_result,
    to_timestamp,
)
from hangtag.uploads import (
    Delivery,
    Entry,
    Skip,
    SkipReason,
    Unreadable,
    Upload,
    read_body,
    read_document,
)

MAX_DELAY_SECONDS = 900.0
"""The longest delay of a retry (design: at most 15 minutes)."""

ImageTransport = Literal["base64", "url"]
"""How an image reaches the API: sent along, or fetched by the API from a presigned URL."""

BUSY = "BUSY"
DEADLINE = "DEADLINE"
"""What the log says of deliveries that are only handed back; these are no failures."""

_TOO_LATE = "too little time left"


@dataclass(frozen=True, slots=True)
class Policy:
    """How the stack wants it done."""

    language: Language
    detection: tuple[Detection, ...]
    max_attempts: int
    retry_base_seconds: float
    """Delay of the first retry; doubles with each further one."""
    lease_seconds: float
    """How long a claim holds: no longer than an invocation can last."""
    image_transport: ImageTransport = "base64"


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside."""

    objects: ObjectStore
    api_keys: ApiKeys
    tagger: Tagger
    results: ResultStore
    announcer: Announcer
    dead_letters: DeadLetterQueue
    upload_queue: UploadQueue
    journal: Journal
    clock: Clock


@dataclass(frozen=True, slots=True)
class Invocation:
    """What is known of the run of the function that does the work."""

    request_id: str
    deadline: Deadline


class Pipeline:
    """Tags uploads."""

    def __init__(
        self,
        ports: Ports,
        policy: Policy,
        *,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        self._ports = ports
        self._policy = policy
        self._asker = Asker(ports.tagger, ports.api_keys, ports.clock)
        self._random_fraction = random_fraction

    def tag(
        self, deliveries: Sequence[Delivery], invocation: Invocation
    ) -> tuple[str, ...]:
        """
        Work on all deliveries at the same time.

        Returns the message ids of those that SQS is to deliver again; how long each stays
        hidden is arranged. No delivery fails another, and no error is raised.
        """
        work = [
            (delivery, entry)
            for delivery in deliveries
            for entry in self._entries_of(delivery)
        ]
        # As wide as the batch: the default pool of a two-core machine would be six wide and
        # make a batch of ten wait for a second wave.
        with ThreadPoolExecutor(max_workers=max(1, len(work))) as pool:
            delays = list(
                pool.map(
                    lambda pair: self._finish_entry(pair[0], pair[1], invocation), work
                )
            )

        handed_back: dict[str, float] = {}
        for (delivery, _), delay in zip(work, delays, strict=True):
            if delay is not None:
                longest = max(delay, handed_back.get(delivery.receipt_handle, 0.0))
                handed_back[delivery.receipt_handle] = longest
        if handed_back:
            self._delay_deliveries(handed_back)
        return tuple(
            delivery.message_id
            for delivery in deliveries
            if delivery.receipt_handle in handed_back
        )

    def enqueue(self, event: Mapping[str, Any], body: str) -> int:
        """
        Put the uploads of a bare event, one that did not come through the queue, on the queue.

        Returns how many there were.

        Raises:
            UnreadableEvent: It is no upload event (its readable uploads are queued all the same).
            QueueUnavailable: The queue did not take them; the event is to be sent again.
        """
        queued = 0
        unreadable: UnreadableEvent | None = None
        for entry in read_document(event, body):
            match entry:
                case Upload():
                    self._ports.upload_queue.send(entry.notification())
                    queued += 1
                case Skip():
                    self._ports.journal.skipped(entry)
                case Unreadable():
                    unreadable = entry.error
        if unreadable is not None:
            raise unreadable
        return queued

    def _entries_of(self, delivery: Delivery) -> tuple[Entry, ...]:
        try:
            return read_body(delivery.body)
        # A mistake of ours in reading must not fail the other deliveries: it is buried alone.
        except Exception as error:  # noqa: BLE001
            self._ports.journal.unforeseen(delivery.message_id, error)
            trouble = UnreadableEvent(
                f"reading failed: {type(error).__name__}: {error}"
            )
            return (Unreadable(trouble, delivery.body),)

    def _delay_deliveries(self, delays: Mapping[str, float]) -> None:
        try:
            self._ports.upload_queue.delay(delays)
        except QueueUnavailable as error:
            # They come back all the same, only later than meant.
            self._ports.journal.retried(
                "",
                code=error.code,
                message=str(error),
                attempt=0,
                delay_seconds=max(delays.values()),
            )

    def _finish_entry(
        self, delivery: Delivery, entry: Entry, invocation: Invocation
    ) -> float | None:
        """
        Bring one entry of a delivery to its end.

        Returns None when it has ended, else the seconds after which it is to be delivered again.
        """
        try:
            match entry:
                case Skip():
                    self._ports.journal.skipped(entry)
                    return None
                case Unreadable():
                    return self._bury_unreadable(entry, delivery, invocation)
                case Upload():
                    return self._finish_upload(entry, delivery, invocation)
        # A mistake of ours must not fail the neighbours of the upload that it met.
        except Exception as error:  # noqa: BLE001
            uri = entry.uri if isinstance(entry, Upload) else delivery.message_id
            self._ports.journal.unforeseen(uri or delivery.message_id, error)
            return self._delay_of_receive(delivery)

    def _finish_upload(
        self, upload: Upload, delivery: Delivery, invocation: Invocation
    ) -> float | None:
        if invocation.deadline.seconds_left() < RESERVE_SECONDS + LEAST_SECONDS:
            return self._hand_back(upload, DEADLINE, _TOO_LATE, 0.0)
        try:
            identified = self._identify(upload)
            if identified is None:
                self._skip(upload, SkipReason.OBJECT_GONE)
                return None
            upload = identified
            claim = self._ports.results.claim(
                upload,
                replays=delivery.replays,
                lease_seconds=self._policy.lease_seconds,
            )
        except HangtagError as error:
            # Nothing was begun, so this is no attempt, and there is none to be counted out.
            delay = self._delay_of_receive(delivery, error)
            return self._hand_back(upload, error.code, str(error), delay)
        match claim:
            case Done():
                self._skip(upload, SkipReason.ALREADY_TAGGED)
                return None
            case Busy():
                delay = min(claim.seconds, MAX_DELAY_SECONDS)
                return self._hand_back(upload, BUSY, "another worker is at it", delay)
            case Claim():
                upload = upload.ordered_as(claim.sequencer)
                return self._finish_claimed(upload, claim, delivery, invocation)

    def _finish_claimed(
        self, upload: Upload, claim: Claim, delivery: Delivery, invocation: Invocation
    ) -> float | None:
        try:
            self._attempt(upload, claim, invocation)
        except OutOfTime:
            # Begun, but nothing was asked: that is no attempt.
            with suppress(ResultsUnavailable):
                self._ports.results.withdraw(upload)
            return self._hand_back(upload, DEADLINE, _TOO_LATE, 0.0)
        except HangtagError as error:
            return self._fail(upload, claim, error, delivery, invocation)
        # A mistake of ours ends like any failure: counted, retried, buried with its code.
        except Exception as error:  # noqa: BLE001
            self._ports.journal.unforeseen(upload.uri, error)
            return self._fail(
                upload,
                claim,
                InternalError(f"{type(error).__name__}: {error}"),
                delivery,
                invocation,
            )
        return None

    def _attempt(self, upload: Upload, claim: Claim, invocation: Invocation) -> None:
        """From the claim to the announcement; raises what goes wrong on the way."""
        ports = self._ports
        started = ports.clock.now()
        result = claim.unannounced
        if result is None:
            if claim.ran_out and claim.attempt > self._policy.max_attempts:
                raise Abandoned(f"begun {claim.attempt - 1} times and never finished")
            if ports.results.is_superseded(upload):
                self._skip_claimed(upload, SkipReason.SUPERSEDED)
                return
            image = self._look_at(upload)
            if image is not None:
                result = self._tag(upload, image, invocation)
            if result is None:
                self._skip_claimed(upload, SkipReason.OBJECT_GONE)
                return
        ports.results.store_tagged(upload, result)

        if ports.results.is_superseded(upload):
            ports.results.finish(upload)
            self._skip(upload, SkipReason.SUPERSEDED)
            return
        ports.announcer.announce(announcement_of(result, bucket_arn=upload.bucket_arn))
        ports.results.finish(upload)
        ports.journal.tagged(
            upload,
            attempt=claim.attempt,
            facts={
                "objects": len(result["objects"]),
                "seconds": round(ports.clock.now() - started, 3),
            },
        )

    def _look_at(self, upload: Upload) -> StoredImage | ImageHead | None:
        if self._policy.image_transport == "url":
            return self._ports.objects.peek(upload)
        return self._ports.objects.read(upload)

    def _tag(
        self, upload: Upload, image: StoredImage | ImageHead, invocation: Invocation
    ) -> Document | None:
        language, context = read_metadata(
            image.metadata,
            language=self._policy.language,
            detection=self._policy.detection,
        )
        answer = self._ask(upload, image, language, context, invocation)
        if answer is None:
            return None
        return tagged_result(
            upload,
            answer,
            language=language,
            context=context,
            tagged_at=to_timestamp(self._ports.clock.now()),
        )

    def _ask(
        self,
        upload: Upload,
        image: StoredImage | ImageHead,
        language: Language,
        context: Context,
        invocation: Invocation,
    ) -> Answer | None:
        """The answer, or None if the object went away before it could be sent."""
        deadline = invocation.deadline
        if isinstance(image, ImageHead):
            url = self._ports.objects.link(upload, seconds=self._policy.lease_seconds)
            try:
                return self._asker.ask_about_url(
                    url, context, language=language, deadline=deadline
                )
            except UrlNotFetched:
                # The API cannot reach the bucket; it still may be told.
                found = self._ports.objects.read(upload)
                if found is None:
                    return None
                image = found
        return self._asker.ask_about(
            image, context, language=language, deadline=deadline
        )

    def _fail(
        self,
        upload: Upload,
        claim: Claim,
        error: HangtagError,
        delivery: Delivery,
        invocation: Invocation,
    ) -> float | None:
        """Bury, or give back for a retry."""
        if error.kind == "permanent" or claim.attempt >= self._policy.max_attempts:
            failure = self._failure(error, attempts=claim.attempt)
            letter = letter_of_upload(
                upload,
                failure,
                replays=delivery.replays,
                request_id=invocation.request_id,
            )
            return self._bury(letter, upload, delivery)
        # Without the release the claim's lease runs out by itself.
        with suppress(ResultsUnavailable):
            self._ports.results.release(upload)
        delay = self._delay(attempt=claim.attempt, error=error)
        return self._hand_back(
            upload, error.code, str(error), delay, attempt=claim.attempt
        )

    def _bury_unreadable(
        self, entry: Unreadable, delivery: Delivery, invocation: Invocation
    ) -> float | None:
        letter = letter_of_unreadable(
            entry,
            self._failure(entry.error, attempts=1),
            replays=delivery.replays,
            request_id=invocation.request_id,
        )
        return self._bury(letter, None, delivery)

    def _bury(
        self, letter: DeadLetter, upload: Upload | None, delivery: Delivery
    ) -> float | None:
        """Bury first, acknowledge after: what cannot be buried stays on the queue."""
        try:
            self._ports.dead_letters.bury(letter)
            if upload is not None:
                self._ports.results.store_failed(
                    upload, failed_result(upload, letter.failure)
                )
        except HangtagError as error:
            if upload is not None:
                with suppress(ResultsUnavailable):
                    self._ports.results.release(upload)
            delay = self._delay_of_receive(delivery)
            self._ports.journal.retried(
                letter.image or "",
                code=error.code,
                message=f"cannot bury {letter.failure.code}: {error}",
                attempt=letter.failure.attempts,
                delay_seconds=delay,
            )
            return delay
        self._ports.journal.buried(letter)
        return None

    def _identify(self, upload: Upload) -> Upload | None:
        """The upload with its version; None if the object is gone."""
        if upload.is_identified:
            return upload
        facts = self._ports.objects.find(upload)
        if facts is None:
            return None
        return upload.identified_as(
            version_id=facts.version_id, etag=facts.etag, size=facts.size
        )

    def _skip(self, upload: Upload, reason: SkipReason) -> None:
        self._ports.journal.skipped(Skip(reason, upload.uri))

    def _skip_claimed(self, upload: Upload, reason: SkipReason) -> None:
        """Nothing was asked: should the upload come again, it is looked at again."""
        self._ports.results.withdraw(upload)
        self._skip(upload, reason)

    def _hand_back(
        self, upload: Upload, code: str, message: str, delay: float, *, attempt: int = 0
    ) -> float:
        self._ports.journal.retried(
            upload.uri,
            code=code,
            message=message,
            attempt=attempt,
            delay_seconds=delay,
        )
        return delay

    def _failure(self, error: HangtagError, *, attempts: int) -> Failure:
        return Failure.of(
            error,
            attempts=attempts,
            failed_at=to_timestamp(self._ports.clock.now()),
        )

    def _delay_of_receive(
        self, delivery: Delivery, error: HangtagError | None = None
    ) -> float:
        """
        Seconds until the next try of what was no attempt.

        It grows with the receives, and is never nothing: an outage must not use up the receives
        after which SQS moves a message to the dead-letter queue, without a code.
        """
        delay = self._delay(attempt=delivery.receives, error=error)
        return max(delay, min(2.0**delivery.receives, MAX_DELAY_SECONDS / 10))

    def _delay(self, *, attempt: int, error: HangtagError | None = None) -> float:
        """
        Seconds until the next try: doubling from `retry_base_seconds`, give or take a quarter.

        Jitter, so that what failed together does not come back together. What the other side
        asked for (Retry-After) is the least.
        """
        doubled = self._policy.retry_base_seconds * 2.0 ** min(attempt - 1, 16)
        jittered = doubled * (0.75 + self._random_fraction() / 2)
        asked_for = (error.retry_after_seconds if error else None) or 0.0
        return float(math.ceil(min(max(jittered, asked_for), MAX_DELAY_SECONDS)))
