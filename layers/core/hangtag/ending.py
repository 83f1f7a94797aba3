"""How an attempt ends: tagged, removed, skipped, dead-lettered, or released and handed back."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from hangtag import lifecycle
from hangtag.attempt import BUSY, ENDED, Attempt, Ended, Retry
from hangtag.backoff import backoff
from hangtag.breaker import SYSTEMIC_KINDS
from hangtag.claims import ClaimLost, Claims
from hangtag.dead_letters import RETENTION_SECONDS, DeadLetter, letter_of_upload
from hangtag.errors import (
    ApiTimeout,
    ConfigError,
    HangtagError,
    ResultsUnavailable,
)
from hangtag.events import CLOCK_SKEW_SECONDS, Delivery
from hangtag.failure import Failure
from hangtag.lifecycle import Calls, FailedUpload, Record
from hangtag.policy import Policy, Ports
from hangtag.results import Document
from hangtag.telemetry import (
    DeadLettered,
    Removed,
    Skipped,
    SystemicFailure,
    Tagged,
)
from hangtag.text import to_timestamp
from hangtag.uploads import SkipReason

RETRY_CAP_SECONDS = 900.0
"""The longest delay of a retry (design: at most 15 minutes)."""

HAND_BACK_CAP_SECONDS = 1_800.0
"""
The longest delay of a delivery that was only handed back.

With a quarter less, it is received 896 times in the 14 days for which SQS keeps a message. After
1,000 times SQS itself would move it to the dead-letter queue, without a code.
"""

MOST_TIMEOUTS = 3
"""
The attempt of this number is the last one, if the API gives no answer.

An image on which the API hangs occupies a worker for 30 seconds with each attempt.
"""

_TIMEOUT_BACKOFF = 4
"""Multiplies the delay after a timeout: with fewer attempts, uploads outlive the same outage."""

REMOVAL_FAILED = "the removal of the result failed"
"""Begins the message of a removal's failure: discarding that leaves the result of a gone object."""

HAND_BACK_BASE_SECONDS = 1.0
BREAKER_BASE_SECONDS = 15.0


class Endings:
    """Writes how attempts end; threads may share it."""

    def __init__(
        self,
        ports: Ports,
        policy: Policy,
        claims: Claims,
        *,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        self._ports = ports
        self._policy = policy
        self._claims = claims
        self._random_fraction = random_fraction

    def finish(self, attempt: Attempt, result: Document) -> Ended | Retry:
        """
        Subscribers have the result: from now on the upload cannot fail any more.

        Raises:
            ClaimLost: Another worker has taken it over.
        """
        upload, at = attempt.upload, self.now()
        try:
            self._write(
                attempt, lambda r, calls: lifecycle.finish(r, calls=calls, at=at)
            )
        except ResultsUnavailable as error:
            return self.hand_back(attempt, error)
        since = _seconds_between(upload.happened_at, self._ports.clock.now())
        self._ports.telemetry.emit(
            Tagged(upload, attempt.work(), len(result["objects"]), since)
        )
        return ENDED

    def remove(self, attempt: Attempt) -> Ended | Retry:
        """
        Subscribers know that the object is gone.

        Raises:
            ClaimLost: Another worker has taken it over.
        """
        at = self.now()
        try:
            self._write(attempt, lambda record, _: lifecycle.remove(record, at=at))
        except ResultsUnavailable as error:
            return self.hand_back(attempt, error)
        self._ports.telemetry.emit(Removed(attempt.upload, attempt.work()))
        return ENDED

    def skip(self, attempt: Attempt, reason: SkipReason) -> Ended:
        """
        There is nothing to tag, or nothing to announce.

        Raises:
            ClaimLost, ResultsUnavailable: As `Claims.write`.
        """
        upload, at = attempt.upload, self.now()
        why = attempt.next_call
        self._write(
            attempt,
            lambda r, calls: lifecycle.skip(
                r, reason, calls=calls, at=at, next_call=why
            ),
        )
        self._ports.telemetry.emit(Skipped(reason, upload.uri, upload, attempt.work()))
        return ENDED

    def fail(self, attempt: Attempt, error: HangtagError) -> Ended | Retry:
        """Dead-letter the upload, or hand it back for a retry. Raises nothing."""
        if error.kind in SYSTEMIC_KINDS:
            self._ports.telemetry.emit(SystemicFailure(error.code))
            is_one_of_the_first = False
            with suppress(ResultsUnavailable):
                is_one_of_the_first = attempt.batch.breaker.failed(error)
            if is_one_of_the_first:
                return self._dead_letter(attempt, error)
            return self.hand_back(attempt, error, base=BREAKER_BASE_SECONDS)
        if _shows_that_calls_work(error):
            attempt.batch.breaker.succeeded()
        most, base = self._policy.max_attempts, self._policy.retry_base_seconds
        if isinstance(error, ApiTimeout):
            most, base = min(most, MOST_TIMEOUTS), base * _TIMEOUT_BACKOFF
        if error.kind == "permanent" or attempt.number >= most:
            return self._dead_letter(attempt, error)
        self.release(attempt, is_attempt=True)
        delay = backoff(
            attempt.number,
            base=base,
            cap=RETRY_CAP_SECONDS,
            random_fraction=self._random_fraction,
        )
        # Not before the API's Retry-After
        least = min(error.retry_after_seconds or 0.0, RETRY_CAP_SECONDS)
        return Retry(error.code, str(error), max(delay, least), is_attempt=True)

    def hand_back(
        self,
        attempt: Attempt,
        error: HangtagError,
        *,
        base: float = HAND_BACK_BASE_SECONDS,
        instead_of: DeadLetter | None = None,
    ) -> Retry:
        """
        Hand back an attempt that does not count: it was not the upload that failed.

        *instead_of*: the letter that could not be sent, or whose failure could not be written.
        """
        self.release(attempt, is_attempt=False)
        message = str(error)
        if instead_of is not None:
            message = f"cannot dead-letter {instead_of.failure.code}: {message}"
        return Retry(
            error.code, message, self.delay(attempt.arrived.delivery, base=base)
        )

    def release(self, attempt: Attempt, *, is_attempt: bool) -> None:
        """Release the claim; if that fails, its lease expires."""
        why = attempt.next_call
        with suppress(ResultsUnavailable, ClaimLost):
            self._write(
                attempt,
                lambda r, calls: lifecycle.release(
                    r, calls=calls, is_attempt=is_attempt, next_call=why
                ),
                reserve=self._policy.budget.request,
            )

    def delay(
        self, delivery: Delivery, *, base: float = HAND_BACK_BASE_SECONDS
    ) -> float:
        """Seconds until the next delivery, if this was no attempt; they grow with the receives."""
        return backoff(
            delivery.receives,
            base=base,
            cap=HAND_BACK_CAP_SECONDS,
            random_fraction=self._random_fraction,
        )

    def until(self, attempt: Attempt, reserve: float) -> float:
        """The moment when no more than *reserve* is left of the function's time."""
        left = attempt.batch.deadline.seconds_left()
        return self._ports.clock.now() + left - reserve

    def failure(self, error: HangtagError, *, attempts: int) -> Failure:
        """The failure that *error* is, now."""
        return Failure.of(error, attempts=attempts, failed_at=self.now())

    def now(self) -> str:
        """ISO 8601, UTC."""
        return to_timestamp(self._ports.clock.now())

    def _dead_letter(self, attempt: Attempt, error: HangtagError) -> Ended | Retry:
        """Send first, then write: if the letter cannot be sent, the message stays on the queue."""
        # An upload that is given up began no further attempt
        attempts = min(attempt.number, self._policy.max_attempts)
        failure = self.failure(error, attempts=attempts)
        if attempt.upload.is_removal:
            failure = replace(failure, message=f"{REMOVAL_FAILED}: {failure.message}")
        letter = letter_of_upload(
            attempt.upload,
            failure,
            replays=attempt.claim.record.replays,
            request_id=attempt.batch.request_id,
        )
        failure, why = letter.failure, attempt.next_call
        try:
            letter_id = self._ports.dead_letters.send(letter)
            failed = FailedUpload(failure, letter.body, letter_id, letter.request_id)
            self._write(
                attempt,
                lambda r, calls: lifecycle.fail(
                    r,
                    failed,
                    calls=calls,
                    at=failure.failed_at,
                    next_call=why,
                ),
            )
        except ClaimLost:
            message = "another worker took it over, after its letter was sent"
            return Retry(BUSY, message, HAND_BACK_BASE_SECONDS)
        except HangtagError as trouble:
            return self.hand_back(attempt, trouble, instead_of=letter)
        self._ports.telemetry.emit(DeadLettered(letter, attempt.upload, attempt.work()))
        return ENDED

    def _write(
        self,
        attempt: Attempt,
        change: Callable[[Record, Calls], Record],
        *,
        reserve: float | None = None,
    ) -> None:
        """As `Claims.write`, again while the table fails, until so much of the time is left."""
        calls = dict(attempt.calling.calls)
        least = self._policy.budget.write if reserve is None else reserve
        self._claims.write(
            attempt.claim,
            lambda record: change(record, calls),
            until=self.until(attempt, least),
        )


def _seconds_between(arrived_at: float | None, now: float) -> float | None:
    """The seconds from arrival to *now*; None if the time of arrival cannot be true."""
    if arrived_at is None:
        return None
    seconds = now - arrived_at
    return seconds if -CLOCK_SKEW_SECONDS < seconds < RETENTION_SECONDS else None


def _shows_that_calls_work(error: HangtagError) -> bool:
    """
    Whether the API itself refused the image: key, account and the stack's settings are fine.

    A `ConfigError` of the upload's own metadata says nothing about the stack's settings. This
    assumes that the API checks key and quota before the image, which its documentation does not
    say: otherwise refused images keep the breaker closed while the quota is used up.
    """
    is_refusal = error.kind == "permanent" and error.source == "api"
    return is_refusal and error.code.isdigit() and not isinstance(error, ConfigError)
