"""
One attempt to tag an upload: claim, read the object, call the API, store, announce, finish.

A removal is claimed and fails like an upload; `hangtag.removal` has what comes between.

An attempt returns `ENDED`, or a `Retry`: the delivery goes back to the queue. See
`hangtag.lifecycle` for what it writes on the way.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from hangtag import lifecycle
from hangtag.announcements import announcement_of
from hangtag.answering import Answering
from hangtag.attempt import (
    BREAKER,
    BUSY,
    DEADLINE,
    ENDED,
    RATE,
    Arrived,
    Attempt,
    BatchContext,
    Ended,
    Retry,
    Stopwatch,
)
from hangtag.backoff import persist
from hangtag.calling import Calling
from hangtag.claims import Claim, ClaimLost, Claims
from hangtag.dead_letters import letter_of_unreadable
from hangtag.ending import BREAKER_BASE_SECONDS, HAND_BACK_BASE_SECONDS, Endings
from hangtag.errors import (
    Abandoned,
    HangtagError,
    InternalError,
    ObjectUnavailable,
    OutOfTime,
    ResultsUnavailable,
)
from hangtag.events import Delivery, Unreadable, believable_retag
from hangtag.lifecycle import Busy, CallReason, ClaimRequest, Done
from hangtag.newest import is_newer
from hangtag.policy import Policy, Ports
from hangtag.ports import StoredResult
from hangtag.rate_limit import RateLimited
from hangtag.removal import Removing
from hangtag.results import Document
from hangtag.telemetry import (
    NO_WORK,
    DeadLettered,
    HandedBack,
    Skipped,
    Unforeseen,
    Work,
)
from hangtag.text import to_timestamp
from hangtag.uploads import Skip, SkipReason, Upload, arn_of_bucket

_MOST_RIVALS = 8
"""A store fails if other workers have stored a result first so many times."""

_CLAIM_SECONDS = 2.0
"""A claim is repeated for that long; a longer outage is not worth waiting for."""


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
        self._claims = Claims(ports.records, ports.clock)
        self._answering = Answering(ports, policy)
        self._endings = Endings(
            ports, policy, self._claims, random_fraction=random_fraction
        )
        self._removing = Removing(ports, policy, self._endings)

    def tag(self, arrived: Arrived, batch: BatchContext) -> Ended | Retry:
        """Bring an upload to its end, or say when it is to be delivered again."""
        outcome = self._begin(arrived, batch)
        if isinstance(outcome, Attempt):
            attempt = outcome
            outcome = self._run(attempt)
            if isinstance(outcome, Retry):
                self._report(attempt.upload, outcome, attempt.work())
        elif isinstance(outcome, Retry):
            self._report(arrived.upload, outcome)
        return outcome

    def _begin(self, arrived: Arrived, batch: BatchContext) -> Attempt | Ended | Retry:
        """Claim the upload, unless there is no time, no slot, or nothing to do."""
        upload, delivery = arrived.upload, arrived.delivery
        if batch.breaker.is_stopped:
            delay = self._endings.delay(delivery, base=BREAKER_BASE_SECONDS)
            return Retry(BREAKER, "tagging has stopped", delay)
        seconds_left = batch.deadline.seconds_left() - self._policy.budget.attempt
        if seconds_left < 0:
            message = "too little of the function's time is left"
            return Retry(DEADLINE, message, self._endings.delay(delivery))
        try:
            latest = self._ports.clock.now() + seconds_left
            if not upload.is_removal:
                self._ports.rate_limiter.check(latest, upload.prefix)
            claim = self._claim(arrived, batch)
        except RateLimited as limit:
            return self._rate_limited(limit, delivery)
        except (ResultsUnavailable, ObjectUnavailable) as error:
            return Retry(error.code, str(error), self._endings.delay(delivery))
        match claim:
            case Done(reason=reason):
                skipped = Skipped(reason, upload.uri, upload, is_copy=True)
                self._ports.telemetry.emit(skipped)
                return ENDED
            case Busy(seconds=seconds):
                # Most likely the other worker ends long before its lease expires
                delay = min(seconds, self._endings.delay(delivery))
                return Retry(BUSY, "another worker holds it", delay)
        why = lifecycle.first_call(claim.record)
        calling = Calling(batch.deadline, why, upload.prefix)
        return Attempt(
            arrived,
            upload.ordered_as(claim.record.sequencer),
            batch,
            claim,
            calling,
            Stopwatch(self._ports.clock),
        )

    def _rate_limited(self, limit: RateLimited, delivery: Delivery) -> Retry:
        # The next free slot may be near, and a large backlog in front of it
        delay = max(limit.seconds, self._endings.delay(delivery))
        return Retry(RATE, str(limit), delay)

    def _claim(self, arrived: Arrived, batch: BatchContext) -> Claim | Done | Busy:
        """Raises ResultsUnavailable, ObjectUnavailable."""
        upload, delivery = arrived.upload, arrived.delivery
        now = self._ports.clock.now()
        request = ClaimRequest(
            now,
            self._policy.lease_seconds,
            sequencer=upload.sequencer,
            replays=delivery.replays,
            sent_at="" if delivery.sent_at is None else to_timestamp(delivery.sent_at),
            retag=None
            if upload.is_removal
            else believable_retag(delivery.retag, now=now),
        )
        key = arrived.key
        seen = batch.snapshot.records.get(key)
        until = now + _CLAIM_SECONDS
        found = self._claims.claim(key, seen, request, until=until)
        if isinstance(found, Done) and self._is_overtaken(upload, found):
            request = replace(request, is_overtaken=True)
            return self._claims.claim(key, found.record, request, until=until)
        return found

    def _is_overtaken(self, upload: Upload, done: Done) -> bool:
        """
        Whether the answer of a tagged upload is gone, although its version is the newest.

        That shows when the upload arrives with a higher sequencer than was known. If its own result
        is still there, that moves up in the sequence.
        """
        is_tagged = done.reason is SkipReason.ALREADY_TAGGED
        if not is_tagged or upload.order <= done.record.order:
            return False
        stored = self._ports.results.move_up(upload)
        if stored is None:
            return True
        if stored.version == upload.version:
            return False
        return is_newer(upload, stored, self._ports.objects)

    def _run(self, attempt: Attempt) -> Ended | Retry:
        try:
            return self._attempt(attempt)
        except ClaimLost:
            return Retry(BUSY, "another worker took it over", HAND_BACK_BASE_SECONDS)
        except RateLimited as limit:
            self._endings.release(attempt, is_attempt=False)
            return self._rate_limited(limit, attempt.arrived.delivery)
        except OutOfTime as error:
            if attempt.began_late(self._policy.lease_seconds):
                self._endings.release(attempt, is_attempt=False)
                delay = self._endings.delay(attempt.arrived.delivery)
                return Retry(DEADLINE, str(error), delay)
            return self._endings.fail(attempt, error)
        except HangtagError as error:
            if isinstance(error, ResultsUnavailable) and not attempt.calling.calls:
                # The table failed before anything was called: no upload is to blame
                return self._endings.hand_back(attempt, error)
            return self._endings.fail(attempt, error)
        # A bug of Hangtag ends like any failure: counted, retried, dead-lettered with its code
        except Exception as error:  # noqa: BLE001
            self._ports.telemetry.emit(Unforeseen(attempt.upload.uri, error))
            message = f"{type(error).__name__}: {error}"
            return self._endings.fail(attempt, InternalError(message))

    def _attempt(self, attempt: Attempt) -> Ended | Retry:
        """From the claim to the end. Raises any `HangtagError`, `ClaimLost` or `RateLimited`."""
        # First of all: also an upload that crashes while it is announced has to end
        if attempt.number > self._policy.max_attempts:
            attempts = attempt.claim.record.attempts
            raise Abandoned(
                f"{attempts} attempts are used up, and the last one was cut off "
                "(or MaxAttempts was lowered)"
            )
        if attempt.upload.is_removal:
            return self._removing.remove(attempt)
        stored = self._stored(attempt)
        if stored is not None and self._is_own(attempt, stored):
            result = stored.document or {}
        else:
            if not self._may_replace(attempt, stored):
                return self._endings.skip(attempt, SkipReason.SUPERSEDED)
            new = self._answering.result(attempt)
            if new is None:
                return self._endings.skip(attempt, SkipReason.OBJECT_GONE)
            result = new
            if not self._store(attempt, result, stored):
                return self._endings.skip(attempt, SkipReason.SUPERSEDED)
        self._ports.announcer.announce(
            announcement_of(
                result,
                bucket_arn=arn_of_bucket(
                    attempt.upload.bucket, partition=self._policy.partition
                ),
                table=self._policy.table,
                large_results_bucket=self._policy.large_results_bucket,
                min_confidence=self._policy.min_confidence,
            )
        )
        attempt.stopwatch.end("announce")
        return self._endings.finish(attempt, result)

    def _stored(self, attempt: Attempt) -> StoredResult | None:
        """
        The stored result of the key.

        If it is of the upload's own version, both get the higher of their sequencers. For a first
        claim the snapshot is enough: no attempt before can have stored an answer.
        """
        upload = attempt.upload
        if attempt.claim.is_first:
            stored = attempt.batch.snapshot.results.get(upload.uri)
            if stored is None or stored.version != upload.version:
                return stored
        stored = self._ports.results.read(upload.uri)
        if stored is None or stored.version != upload.version:
            return stored
        if stored.order < upload.order:
            return self._ports.results.move_up(upload)
        if stored.document is not None:
            image = stored.document["image"]
            attempt.upload = upload.ordered_as(image["sequencer"])
        return stored

    def _is_own(self, attempt: Attempt, stored: StoredResult) -> bool:
        """Whether an attempt before has stored the answer that this attempt needs."""
        record = attempt.claim.record
        is_same = stored.version == attempt.upload.version
        return is_same and stored.retag == record.retag and stored.document is not None

    def _may_replace(self, attempt: Attempt, stored: StoredResult | None) -> bool:
        """Whether the attempt's answer may take that place. Raises ObjectUnavailable."""
        if stored is None or stored.version == attempt.upload.version:
            return True
        return self._takes_place(attempt, stored)

    def _takes_place(self, attempt: Attempt, stored: StoredResult) -> bool:
        """
        Whether the upload is newer than the stored result of another version.

        S3 may say so although its sequencer is lower. It then gets the one of the stored result,
        so that subscribers do not take it for older.
        """
        if not is_newer(attempt.upload, stored, self._ports.objects):
            return False
        place = max(attempt.upload.order, stored.order)
        attempt.upload = attempt.upload.placed_at(place)
        return True

    def _store(
        self, attempt: Attempt, result: Document, replacing: StoredResult | None
    ) -> bool:
        """
        Store an answer that was paid for, again until the function's time is over.

        *replacing* is the stored result that is older. If another result has replaced it, the two
        are compared again. Returns False if a newer one is stored.

        Raises:
            ResultsUnavailable, ObjectUnavailable: The table or S3 failed all the time.
        """
        record = attempt.claim.record

        def store_once() -> bool:
            nonlocal replacing
            for _ in range(_MOST_RIVALS):
                found = self._ports.results.store(
                    attempt.upload,
                    result,
                    retag=record.retag,
                    fence=record.lease_until,
                    replacing=replacing,
                )
                if found is None:
                    return True
                if not self._overtakes(attempt, result, found):
                    return False
                replacing = found
            raise ResultsUnavailable(
                f"{attempt.upload.uri}: other workers stored first {_MOST_RIVALS} times"
            )

        is_stored = persist(
            store_once,
            clock=self._ports.clock,
            until=self._endings.until(attempt, self._policy.budget.request),
        )
        attempt.next_call = CallReason.OVERTAKEN
        attempt.stopwatch.end("store")
        return is_stored

    def _overtakes(
        self, attempt: Attempt, result: Document, found: StoredResult
    ) -> bool:
        """Whether an answer is to be stored although *found* was stored before it."""
        if found.version != attempt.upload.version:
            is_newest = self._takes_place(attempt, found)
            result["image"] = attempt.upload.image()
            return is_newest
        if found.order <= attempt.upload.order:
            return False  # a worker with a later lease has stored its answer
        image = (found.document or {})["image"]
        attempt.upload = attempt.upload.ordered_as(image["sequencer"])
        result["image"] = attempt.upload.image()
        return True

    # ---- what is no upload

    def skip(self, skip: Skip, delivery: Delivery) -> Ended | Retry:
        """A record that is not to be tagged ends; its upload, if it has one, is noted."""
        is_copy = False
        if skip.upload is not None:
            try:
                is_copy = not self._claims.skip(
                    (skip.upload.uri, skip.upload.version),
                    skip.reason,
                    at=self._endings.now(),
                    until=self._ports.clock.now() + _CLAIM_SECONDS,
                )
            except ResultsUnavailable as error:
                retry = Retry(error.code, str(error), self._endings.delay(delivery))
                self._report(skip.upload, retry)
                return retry
        self._ports.telemetry.emit(
            Skipped(skip.reason, skip.uri or "", skip.upload, is_copy=is_copy)
        )
        return ENDED

    def dead_letter_body(
        self, unreadable: Unreadable, delivery: Delivery, *, request_id: str
    ) -> Ended | Retry:
        """Dead-letter a message that holds no upload, or not only uploads, as it is."""
        letter = letter_of_unreadable(
            unreadable,
            self._endings.failure(unreadable.error, attempts=1),
            replays=delivery.replays,
            request_id=request_id,
        )
        try:
            self._ports.dead_letters.send(letter)
        except HangtagError as trouble:
            message = f"cannot dead-letter {letter.failure.code}: {trouble}"
            retry = Retry(trouble.code, message, self._endings.delay(delivery))
            self._report(None, retry)
            return retry
        self._ports.telemetry.emit(DeadLettered(letter))
        return ENDED

    def unforeseen(self, about: str, error: Exception, delivery: Delivery) -> Retry:
        """A bug of Hangtag outside of an attempt: it must not fail the other deliveries."""
        self._ports.telemetry.emit(Unforeseen(about, error))
        return Retry(InternalError.code, str(error), self._endings.delay(delivery))

    def _report(
        self, upload: Upload | None, retry: Retry, work: Work = NO_WORK
    ) -> None:
        if not retry.is_attempt:
            work = replace(work, attempt=0)
        self._ports.telemetry.emit(
            HandedBack(
                upload, retry.code, retry.message, retry.seconds, work, retry.is_attempt
            )
        )
