"""
One upload: from its claim to its end as TAGGED, FAILED or skipped, or back to the queue.

Nothing here talks to the outside; see `hangtag.ports`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from hangtag.breaker import SYSTEMIC_KINDS, Breaker, BreakerStore, Watch
from hangtag.calling import Asker, Asking, OutOfTime, SlotsUnavailable
from hangtag.dead_letters import DeadLetter, letter_of_upload
from hangtag.errors import (
    Abandoned,
    Failure,
    HangtagError,
    InternalError,
    ObjectForbidden,
    ObjectUnavailable,
    ResultsUnavailable,
    UrlNotFetched,
)
from hangtag.events import Delivery
from hangtag.ports import (
    NO_CALLS,
    NO_FACTS,
    Announcer,
    ApiKeys,
    Busy,
    CallReason,
    Claim,
    ClaimLost,
    Clock,
    DeadLetterQueue,
    Deadline,
    Done,
    ImageHead,
    Journal,
    ObjectStore,
    OldResultStore,
    Patience,
    StoredImage,
    Tagger,
    UploadQueue,
)
from hangtag.rate_limit import RateLimited, RateLimiter, SlotStore
from hangtag.results import (
    Document,
    announcement_of,
    failed_result,
    placed_anew,
    tagged_result,
)
from hangtag.tagger_api import Answer, Context, Detection, Language, read_metadata
from hangtag.text import to_timestamp
from hangtag.time_budget import Timing
from hangtag.uploads import Skip, SkipReason, Upload

MAX_DELAY_SECONDS = 900.0
"""The longest delay of a retry (design: at most 15 minutes)."""

BREAKER_DELAY_SECONDS = 30.0
"""How long what is in hand goes back when tagging has stopped."""

_LONGEST_BREAKER_DELAY_SECONDS = 1_800.0
"""In a fault of 14 days, as long as SQS keeps a message, it is received less than 1,000 times."""

_QUICK_RECEIVES = 10
"""So often it goes back for the short while: a fault that is mended within some hours."""

ImageTransport = Literal["base64", "url"]
"""How an image reaches the API: sent along, or fetched by the API from a presigned URL."""

_BEGINNING_SECONDS = 0.5
"""From an invocation's begin until an image is read: looks at the breaker, claims."""

_GIVING_BACK_SECONDS = 2.0
"""To give a claim back is tried for that long; an outage that lasts longer is not waited for."""

# Codes in the log of deliveries that are handed back although nothing went wrong
DEADLINE = "DEADLINE"
BUSY = "BUSY"
RATE = "RATE"
BREAKER = "BREAKER"
_TAKEN_OVER = "another worker took it over"
_TOO_LATE = "too little of the function's time is left"


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Ports:
    """All that the main job needs from outside."""

    objects: ObjectStore
    api_keys: ApiKeys
    tagger: Tagger
    results: OldResultStore
    announcer: Announcer
    dead_letters: DeadLetterQueue
    upload_queue: UploadQueue
    slots: SlotStore
    breaker_store: BreakerStore
    breaker: Breaker
    journal: Journal
    clock: Clock
    patience: Patience


@dataclass(frozen=True, slots=True)
class Policy:
    """What the stack's parameters say."""

    language: Language
    detection: tuple[Detection, ...]
    max_attempts: int
    retry_base_seconds: float
    lease_seconds: float
    """How long a claim holds: no invocation lasts longer."""
    timing: Timing
    width: int
    """How many uploads are worked on at the same time by one invocation."""
    image_transport: ImageTransport = "base64"
    requests_per_second: float = 0.0
    """Of all instances together; 0 is no limit."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What the uploads of one invocation share."""

    request_id: str
    deadline: Deadline
    latest_call: float
    """Until when a call may begin, in seconds since 1970."""
    breaker: Watch


@dataclass(frozen=True, slots=True)
class _Sight:
    """An upload, and what a look at its object has shown, if its event left the version out."""

    upload: Upload
    is_gone: bool = False
    """Found a moment later, it would be another version, with an event of its own."""
    trouble: HangtagError | None = None
    """Why nobody knows its version: the attempt fails so, and asks nothing about any other."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """An attempt: an upload that is claimed."""

    upload: Upload
    claim: Claim
    delivery: Delivery
    batch: Batch
    asking: Asking
    laps: _Laps
    sight: _Sight

    def facts(self) -> dict[str, Any]:
        """Its calls by their reasons, and the durations of its parts, for the log."""
        calls = {str(why): times for why, times in self.asking.calls.items()}
        return {"calls": calls, "milliseconds": self.laps.milliseconds()}


def delay_of_breaker(delivery: Delivery) -> float:
    """
    Seconds for which what is in hand goes back when tagging has stopped.

    It grows in a fault that lasts: every try of the breaker is a receive or two, and after 1,000
    SQS itself would move the message to the dead-letter queue, without a code.
    """
    doublings = min(max(0, delivery.receives - _QUICK_RECEIVES), 16)
    return min(BREAKER_DELAY_SECONDS * 2.0**doublings, _LONGEST_BREAKER_DELAY_SECONDS)


class _Laps:
    """How long the parts of an attempt take."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._last = clock.now()
        self._laps: dict[str, int] = {}

    def end(self, part: str) -> None:
        """A part has ended, and the next one begins."""
        now = self._clock.now()
        self._laps[part] = round(1000 * (now - self._last))
        self._last = now

    def milliseconds(self) -> dict[str, int]:
        """Each part, and all of it until now."""
        return {**self._laps, "all": round(1000 * (self._clock.now() - self._began))}


class Suspect(Exception):
    """
    An upload whose last attempt was cut off, perhaps by itself.

    It is to be worked on alone, so that it takes no neighbour along should it do so again.
    """


class _Unnoted(Exception):
    """The table does not take a note, and the function's time is over."""

    def __init__(self, error: ResultsUnavailable) -> None:
        super().__init__(str(error))
        self.error = error


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
        self._asker = Asker(
            ports.tagger,
            ports.api_keys,
            ports.clock,
            policy.timing,
            called=ports.journal.called,
        )
        self._random_fraction = random_fraction
        self._limiter = RateLimiter(
            ports.slots,
            ports.clock,
            requests_per_second=policy.requests_per_second,
            random_fraction=random_fraction,
        )

    def finish(
        self, upload: Upload, delivery: Delivery, batch: Batch, *, alone: bool
    ) -> float | None:
        """
        Bring an upload of a delivery to its end.

        Returns None when it has ended, else the seconds after which it is to be delivered again.

        Raises:
            Suspect: It is to be worked on alone; only if it is not *alone*.
        """
        if batch.breaker.is_stopped:
            delay = delay_of_breaker(delivery)
            return self._hand_back(upload, BREAKER, "tagging has stopped", delay)
        if self._is_late(batch):
            delay = self._delay_of_deadline(delivery)
            return self._hand_back(upload, DEADLINE, _TOO_LATE, delay)
        try:
            self._limiter.check(batch.latest_call)
            sight = self._identify(upload, delivery)
            upload = sight.upload
            if sight.is_gone and upload.etag is None:
                # Nothing tells it from the key's others
                self._skip(upload, SkipReason.OBJECT_GONE, None)
                return None
            claim = self._ports.results.claim(
                upload,
                replays=delivery.replays,
                sent_at=delivery.sent_at,
                lease_seconds=self._policy.lease_seconds,
                again=delivery.again,
            )
        except RateLimited as refusal:
            delay = self._delay_of_rate(delivery, refusal)
            return self._hand_back(upload, RATE, str(refusal), delay)
        except SlotsUnavailable as trouble:
            return self._hand_back_unbegun(upload, delivery, trouble.error)
        except HangtagError as error:
            # Nothing was begun, so this is no attempt, and there is none to be counted out.
            return self._hand_back_unbegun(upload, delivery, error)
        match claim:
            case Done():
                self._log_skip(upload, claim.reason)
                return None
            case Busy():
                # The other worker is done long before its lease ends, most likely.
                delay = min(claim.seconds, self.delay_of_receive(delivery))
                return self._hand_back(upload, BUSY, "another worker is at it", delay)
            case Claim():
                upload = upload.ordered_as(claim.sequencer)
                asking = Asking(
                    batch.deadline, lambda: self._wait_for_slot(batch), claim.reason
                )
                laps = _Laps(self._ports.clock)
                begun = _Begun(upload, claim, delivery, batch, asking, laps, sight)
                return self._finish_claimed(begun, alone=alone)

    def _finish_claimed(self, begun: _Begun, *, alone: bool) -> float | None:
        """Returns and raises like `finish`."""
        upload, claim = begun.upload, begun.claim
        if claim.ran_out and not alone and not self._is_abandoned(claim):
            with suppress(ResultsUnavailable, ClaimLost):
                self._ports.results.withdraw(upload, claim, calls={})
            raise Suspect
        return self._finish_begun(begun)

    def _wait_for_slot(self, batch: Batch) -> None:
        try:
            self._limiter.wait(batch.latest_call)
        except ResultsUnavailable as error:
            raise SlotsUnavailable(error) from error

    def skip(self, skip: Skip, delivery: Delivery) -> float | None:
        """Note a record that is no work. Returns like `finish`."""
        try:
            if skip.upload is None:
                self._ports.journal.skipped(skip)
            else:
                self._skip(skip.upload, skip.reason, None)
        except ResultsUnavailable as error:
            return self._hand_back_unbegun(skip.upload, delivery, error)
        return None

    def _finish_begun(self, begun: _Begun) -> float | None:
        try:
            self._attempt(begun)
        except OutOfTime:
            if begun.asking.refusal is not None:
                # An API that says so late how it wants to be asked is never asked so in time
                return self._fail(begun, begun.asking.refusal, may_pass=True)
            delay = self._delay_of_deadline(begun.delivery)
            return self._withdraw(begun, DEADLINE, _TOO_LATE, delay)
        except RateLimited as refusal:
            delay = self._delay_of_rate(begun.delivery, refusal)
            return self._withdraw(begun, RATE, str(refusal), delay)
        except (SlotsUnavailable, _Unnoted) as trouble:
            # No fault of the upload, and no attempt to be counted
            error = trouble.error
            delay = self.delay_of_receive(begun.delivery, error)
            return self._withdraw(begun, error.code, str(error), delay)
        except ClaimLost:
            return self._hand_back_begun(begun, BUSY, _TAKEN_OVER, 1.0)
        except HangtagError as error:
            return self._fail(begun, error)
        # A mistake of ours ends like any failure: counted, retried, buried with its code.
        except Exception as error:  # noqa: BLE001
            self._ports.journal.unforeseen(begun.upload.uri, error)
            return self._fail(begun, InternalError(f"{type(error).__name__}: {error}"))
        return None

    def _attempt(self, begun: _Begun) -> None:
        """From the claim to the announcement; raises what goes wrong on the way."""
        ports, upload, claim = self._ports, begun.upload, begun.claim
        laps = begun.laps
        result = claim.unannounced
        if claim.announced_as is None:
            self._begin(begun)
        if result is not None:
            result = placed_anew(result, upload)
        else:
            if ports.results.is_superseded(upload):
                self._skip(upload, SkipReason.SUPERSEDED, begun)
                return
            image = self._look_at(begun)
            laps.end("read")
            if image is not None:
                try:
                    result = self._tag(upload, image, begun.asking)
                finally:
                    laps.end("ask")
            if result is None:
                self._skip(upload, SkipReason.OBJECT_GONE, begun)
                return
            begun.batch.breaker.succeeded()
        self._store(begun, result)
        laps.end("store")

        if self._is_announced(begun):
            self._finish(begun, announced=True)
            self._log_skip(upload, SkipReason.ALREADY_TAGGED, begun)
            return
        # Last, because each question may take long, and a newer one be announced meanwhile
        if self._noted(begun, lambda: ports.results.is_superseded(upload)):
            self._finish(begun, announced=False)
            self._log_skip(upload, SkipReason.SUPERSEDED, begun)
            return
        ports.announcer.announce(announcement_of(result, bucket_arn=upload.bucket_arn))
        laps.end("announce")
        self._finish(begun, announced=True)
        ports.journal.tagged(
            upload,
            attempt=claim.attempt,
            facts={"objects": len(result["objects"]), **begun.facts()},
        )

    def _is_announced(self, begun: _Begun) -> bool:
        """Whether the newest that subscribers know of is this result, if not its new place."""
        place = begun.claim.announced_as
        if place is None:
            return False
        return not self._noted(
            begun,
            lambda: self._ports.results.has_passed_another(begun.upload, since=place),
        )

    def _begin(self, begun: _Begun) -> None:
        """
        The attempt begins; nobody has heard of an answer from one before.

        Raises:
            Abandoned: There were enough of them, and the last one was cut off.
            _Unnoted: It cannot be told that this is the last one.
        """
        upload, claim = begun.upload, begun.claim
        times = self._policy.max_attempts
        if self._is_abandoned(claim):
            raise Abandoned(f"begun {times} times, and at last not finished")
        if claim.attempt >= times:
            self._noted(begun, lambda: self._ports.results.confirm(upload, claim))

    def _store(self, begun: _Begun, result: Document) -> None:
        """What was paid for is stored, however long it takes, as long as there is time."""

        def write() -> None:
            self._ports.results.store_tagged(
                begun.upload, begun.claim, result, calls=begun.asking.calls
            )

        if begun.claim.unannounced is None:
            self._patiently(begun.batch, write)
        else:
            self._noted(begun, write)  # it is stored already, in another place perhaps
        begun.asking.has_answer = False

    def _finish(self, begun: _Begun, *, announced: bool) -> None:
        upload, claim = begun.upload, begun.claim
        self._noted(
            begun,
            lambda: self._ports.results.finish(upload, claim, announced=announced),
        )

    def _is_late(self, batch: Batch) -> bool:
        """Whether there is no time for an attempt any more."""
        return batch.deadline.seconds_left() < self._policy.timing.attempt

    def _seconds_to_note(self, batch: Batch) -> float:
        """As long as there is time left to give the claim back after it."""
        return batch.deadline.seconds_left() - self._policy.timing.note

    def _noted(self, begun: _Begun, note: Callable[[], _T]) -> _T:
        """
        Note how far it is, or ask, as long as there is time left to give the claim back after it.

        Raises:
            _Unnoted: There was not time enough.
        """
        try:
            seconds = self._seconds_to_note(begun.batch)
            return self._patiently(begun.batch, note, seconds=seconds)
        except ResultsUnavailable as error:
            raise _Unnoted(error) from error

    def _patiently(
        self, batch: Batch, ask: Callable[[], _T], *, seconds: float = math.inf
    ) -> _T:
        """
        Ask the table again and again while it fails, for so long, or until the time is over.

        Raises:
            ResultsUnavailable: It went on failing.
        """
        pause = 0.1
        until = self._ports.clock.now() + seconds
        while True:
            try:
                return ask()
            except ResultsUnavailable:
                left = batch.deadline.seconds_left() - pause
                is_over = self._ports.clock.now() + pause > until
                if is_over or left < self._policy.timing.last_aws:
                    raise
                self._ports.clock.sleep(pause)
                pause = min(2 * pause, 2.0)

    def _look_at(self, begun: _Begun) -> StoredImage | ImageHead | None:
        """
        The image, or what can be known of it without reading it; None if it is gone.

        Raises:
            ObjectForbidden, ObjectUnavailable: S3 refused it, failed or was too slow.
        """
        upload, sight = begun.upload, begun.sight
        if sight.trouble is not None:
            raise sight.trouble
        if sight.is_gone:
            return None
        by_link = self._policy.image_transport == "url" and self._asker.may_send_links
        # A link names no etag: without versions it may lead to what has come since.
        if by_link and upload.version_id is not None:
            return self._ports.objects.peek(upload)
        began = self._ports.clock.now()
        image = self._ports.objects.read(upload)
        took = self._ports.clock.now() - began
        longest = self._policy.lease_seconds - self._policy.timing.attempt
        if image is not None and took > longest - _BEGINNING_SECONDS:
            # An invocation of its own would have no time left for a call, either
            raise ObjectUnavailable(f"to read it took {took:.1f} s, too long to ask")
        return image

    def _tag(
        self, upload: Upload, image: StoredImage | ImageHead, asking: Asking
    ) -> Document | None:
        language, context = read_metadata(
            image.metadata,
            language=self._policy.language,
            detection=self._policy.detection,
        )
        answer = self._ask(upload, image, language, context, asking)
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
        asking: Asking,
    ) -> Answer | None:
        """The answer, or None if the object went away before it could be sent."""
        reason = None
        if isinstance(image, ImageHead):
            url = self._ports.objects.link(upload, seconds=self._policy.lease_seconds)
            try:
                return self._asker.ask_about_url(
                    url, context, language=language, asking=asking
                )
            except UrlNotFetched:
                # The API cannot reach the bucket; it still may be told.
                found = self._ports.objects.read(upload)
                if found is None:
                    return None
                image, reason = found, CallReason.AS_BASE64
        return self._asker.ask_about(
            image, context, language=language, asking=asking, reason=reason
        )

    def _fail(
        self, begun: _Begun, error: HangtagError, *, may_pass: bool = False
    ) -> float | None:
        """Bury, or give back for a retry; also what is permanent else, if it *may_pass*."""
        if begun.claim.announced_as is not None:
            # It was heard of already, and what is done never fails afterwards.
            delay = self.delay_of_receive(begun.delivery, error)
            return self._withdraw(begun, error.code, str(error), delay)
        if error.kind in SYSTEMIC_KINDS:
            try:
                is_buried = begun.batch.breaker.failed(error)
            except ResultsUnavailable:
                is_buried = False  # uncounted, and so unburied
            if is_buried:
                return self._bury(begun, error)
            delay = delay_of_breaker(begun.delivery)
            return self._withdraw(begun, error.code, str(error), delay)
        if error.kind == "permanent" and error.source == "api" and error.code.isdigit():
            # The API itself said it: the key, the account and the address are fine.
            begun.batch.breaker.succeeded()
        attempt = begun.claim.attempt
        # Not the attempts: a claim that nobody was told of may be among them
        is_last = begun.claim.failures + 1 >= self._policy.max_attempts
        is_permanent = error.kind == "permanent" and not may_pass
        if is_permanent or is_last:
            return self._bury(begun, error)
        self._release(begun)
        delay = self._delay(attempt=attempt, error=error)
        return self._hand_back_begun(
            begun, error.code, str(error), delay, attempt=attempt
        )

    def _bury(self, begun: _Begun, error: HangtagError) -> float | None:
        """Bury first, store then: what cannot be buried stays on the queue."""
        upload, claim = begun.upload, begun.claim
        # Those that find it abandoned begin nothing themselves.
        attempts = min(claim.attempt, self._policy.max_attempts)
        letter = letter_of_upload(
            upload,
            self.failure(error, attempts=attempts),
            replays=begun.delivery.replays,
            request_id=begun.batch.request_id,
        )

        def write(letter_id: str) -> None:
            self._ports.results.store_failed(
                upload,
                claim,
                failed_result(upload, letter.failure),
                calls=begun.asking.calls,
                unstored=begun.asking.has_answer,
                letter_id=letter_id,
                request_id=letter.request_id,
            )

        try:
            letter_id = self._ports.dead_letters.bury(letter)
            seconds = self._seconds_to_note(begun.batch)
            self._patiently(begun.batch, lambda: write(letter_id), seconds=seconds)
        except ClaimLost:
            return self._hand_back_begun(begun, BUSY, _TAKEN_OVER, 1.0)
        except HangtagError as trouble:
            if isinstance(error, Abandoned):
                self._give_up_claim(begun)  # as it was found: to be buried, not begun
            else:
                self._release(begun)
            return self.not_buried(letter, upload, trouble, begun.delivery)
        self._ports.journal.buried(letter, upload, facts=begun.facts())
        return None

    def _release(self, begun: _Begun) -> None:
        """For a retry. Where it fails the claim's lease runs out by itself."""
        self._give_back(
            begun,
            lambda: self._ports.results.release(
                begun.upload,
                begun.claim,
                calls=begun.asking.calls,
                unstored=begun.asking.has_answer,
            ),
        )

    def _give_back(self, begun: _Begun, write: Callable[[], None]) -> None:
        """A claim. A moment's patience: until its lease has run out, nobody else has the upload."""
        # A last attempt has told that it begins: left so, it would be the end of the upload.
        is_last = begun.claim.attempt >= self._policy.max_attempts
        seconds = math.inf if is_last else _GIVING_BACK_SECONDS
        with suppress(ResultsUnavailable, ClaimLost):
            self._patiently(begun.batch, write, seconds=seconds)

    def not_buried(
        self,
        letter: DeadLetter,
        upload: Upload | None,
        trouble: HangtagError,
        delivery: Delivery,
    ) -> float:
        """Log that a letter could not be buried; the seconds until it is tried again."""
        delay = self.delay_of_receive(delivery)
        self._ports.journal.retried(
            upload,
            code=trouble.code,
            message=f"cannot bury {letter.failure.code}: {trouble}",
            attempt=letter.failure.attempts,
            delay_seconds=delay,
        )
        return delay

    def failure(self, error: HangtagError, *, attempts: int) -> Failure:
        """What is written down about *error*, now."""
        return Failure.of(error, attempts=attempts, failed_at=self._now())

    def delay_of_receive(
        self, delivery: Delivery, error: HangtagError | None = None
    ) -> float:
        """
        Seconds until the next try of what was no attempt.

        It grows with the receives, and is never nothing: an outage must not use up the receives
        after which SQS moves a message to the dead-letter queue, without a code, before it has
        been there for 14 days.
        """
        delay = self._delay(attempt=delivery.receives, error=error)
        least = min(2.0 ** min(delivery.receives, 16), MAX_DELAY_SECONDS / 10)
        if delivery.receives > _QUICK_RECEIVES:
            least = max(least, delay_of_breaker(delivery))
        return max(delay, least)

    def _delay_of_rate(self, delivery: Delivery, refusal: RateLimited) -> float:
        """As the limiter says; longer for one that has often come in vain."""
        if delivery.receives <= _QUICK_RECEIVES:
            return refusal.seconds
        return max(refusal.seconds, delay_of_breaker(delivery))

    def _delay_of_deadline(self, delivery: Delivery) -> float:
        """At once, in an invocation of its own; unless that was so often that it may not help."""
        if delivery.receives <= _QUICK_RECEIVES:
            return 0.0
        return self.delay_of_receive(delivery)

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

    def _is_abandoned(self, claim: Claim) -> bool:
        """Whether the last attempt that it may have was begun, and not finished."""
        return (
            claim.ran_out
            and claim.was_confirmed
            and claim.attempt > self._policy.max_attempts
        )

    def _identify(self, upload: Upload, delivery: Delivery) -> _Sight:
        """The upload with its version, as far as it can be known."""
        if upload.is_identified:
            return _Sight(upload)
        try:
            facts = self._ports.objects.find(upload)
        except ObjectForbidden as error:
            return _Sight(upload, trouble=error)
        except ObjectUnavailable as error:
            if delivery.receives <= _QUICK_RECEIVES:
                raise
            return _Sight(upload, trouble=error)
        if facts is None:
            return _Sight(upload, is_gone=True)
        return _Sight(
            upload.identified_as(
                version_id=facts.version_id, etag=facts.etag, size=facts.size
            )
        )

    def _skip(self, upload: Upload, reason: SkipReason, begun: _Begun | None) -> None:
        at = self._now()
        claim, calls = (begun.claim, begun.asking.calls) if begun else (None, NO_CALLS)
        self._ports.results.skip(upload, reason, claim=claim, at=at, calls=calls)
        self._log_skip(upload, reason, begun)

    def _log_skip(
        self, upload: Upload, reason: SkipReason, begun: _Begun | None = None
    ) -> None:
        skip = Skip(reason, upload.uri, upload)
        if begun is None:
            self._ports.journal.skipped(skip)
            return
        self._ports.journal.skipped(
            skip, attempt=begun.claim.attempt, facts=begun.facts()
        )

    def _withdraw(self, begun: _Begun, code: str, message: str, delay: float) -> float:
        """Hand back what was begun, but is no attempt."""
        self._give_up_claim(begun)
        return self._hand_back_begun(begun, code, message, delay)

    def _give_up_claim(self, begun: _Begun) -> None:
        self._give_back(
            begun,
            lambda: self._ports.results.withdraw(
                begun.upload, begun.claim, calls=begun.asking.calls
            ),
        )

    def _hand_back_unbegun(
        self, upload: Upload | None, delivery: Delivery, error: HangtagError
    ) -> float:
        delay = self.delay_of_receive(delivery, error)
        return self._hand_back(upload, error.code, str(error), delay)

    def _hand_back_begun(
        self, begun: _Begun, code: str, message: str, delay: float, *, attempt: int = 0
    ) -> float:
        facts = begun.facts()
        return self._hand_back(
            begun.upload, code, message, delay, attempt=attempt, facts=facts
        )

    def _hand_back(
        self,
        upload: Upload | None,
        code: str,
        message: str,
        delay: float,
        *,
        attempt: int = 0,
        facts: Mapping[str, Any] = NO_FACTS,
    ) -> float:
        self._ports.journal.retried(
            upload,
            code=code,
            message=message,
            attempt=attempt,
            delay_seconds=delay,
            facts=facts,
        )
        return delay

    def _now(self) -> str:
        return to_timestamp(self._ports.clock.now())
