"""The journal, read for numbers: what is told of uploads is counted, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hangtag.dead_letters import DeadLetter
from hangtag.errors import HangtagError
from hangtag.metrics import Metric
from hangtag.ports import (
    NO_FACTS,
    BreakerState,
    CallReason,
    Clock,
    Journal,
    Meter,
)
from hangtag.telemetry import BreakerSeen, Event, Trouble
from hangtag.uploads import Skip, SkipReason, Upload

_COPIES = (SkipReason.ALREADY_TAGGED, SkipReason.ALREADY_FAILED)


class MeteringJournal:
    """`Journal` that hands everything on to another one and counts it by a meter."""

    def __init__(self, journal: Journal, meter: Meter, clock: Clock) -> None:
        self._journal = journal
        self._meter = meter
        self._clock = clock

    def tagged(self, upload: Upload, *, attempt: int, facts: Mapping[str, Any]) -> None:
        """One more, and how long it has been on its way."""
        self._journal.tagged(upload, attempt=attempt, facts=facts)
        self._meter.add(Metric.IMAGES_TAGGED)
        if upload.happened_at is not None:
            on_its_way = max(0.0, self._clock.now() - upload.happened_at)
            self._meter.add(Metric.UPLOAD_TO_TAGGED_LATENCY, 1000 * on_its_way)

    def skipped(
        self, skip: Skip, *, attempt: int = 0, facts: Mapping[str, Any] = NO_FACTS
    ) -> None:
        """One more with this reason; a copy is a bill that was not paid."""
        self._journal.skipped(skip, attempt=attempt, facts=facts)
        if skip.reason in _COPIES:
            self._meter.add(Metric.DUPLICATES_AVOIDED)
        else:
            self._meter.add(Metric.IMAGES_SKIPPED, reason=skip.reason)

    def buried(
        self,
        letter: DeadLetter,
        upload: Upload | None,
        *,
        facts: Mapping[str, Any] = NO_FACTS,
    ) -> None:
        """One more with this code."""
        self._journal.buried(letter, upload, facts=facts)
        failure = letter.failure
        self._meter.add(Metric.IMAGES_FAILED, code=failure.code, kind=failure.kind)

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
        """One more, if it was an attempt."""
        self._journal.retried(
            upload,
            code=code,
            message=message,
            attempt=attempt,
            delay_seconds=delay_seconds,
            facts=facts,
        )
        if attempt:
            self._meter.add(Metric.RETRIES)

    def called(self, reason: CallReason, seconds: float) -> None:
        """One more with this reason, and how long it took."""
        self._journal.called(reason, seconds)
        self._meter.add(Metric.API_CALLS, reason=reason)
        self._meter.add(Metric.API_LATENCY, 1000 * seconds)

    def troubled(self, doing: str, error: HangtagError) -> None:
        """Nothing to count."""
        self._journal.troubled(doing, error)

    def breaker(self, event: str, state: BreakerState) -> None:
        """Whether it is open, so that an alarm lasts as long as that."""
        self._journal.breaker(event, state)
        self._meter.add(Metric.BREAKER_OPEN, float(event in ("opened", "open")))

    def oldest_failure(self, seconds: float) -> None:
        """As it is."""
        self._journal.oldest_failure(seconds)
        self._meter.add(Metric.OLDEST_FAILURE, seconds)

    def unforeseen(self, uri: str, error: Exception) -> None:
        """Nothing to count: it is retried, or buried with its code."""
        self._journal.unforeseen(uri, error)

    def end(self) -> None:
        """Tell the numbers of the invocation."""
        self._journal.end()
        self._meter.flush()


class JournalTelemetry:
    """`Telemetry` that writes the breaker's events into a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def emit(self, event: Event) -> None:
        """Write it."""
        match event:
            case BreakerSeen():
                state = BreakerState(event.failures, event.code, event.message)
                self._journal.breaker(event.event, state)
            case Trouble():
                self._journal.troubled(event.doing, event.error)

    def flush(self) -> None:
        """The journal keeps nothing back."""
