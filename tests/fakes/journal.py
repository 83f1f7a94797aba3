from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hangtag.dead_letters import DeadLetter
from hangtag.errors import HangtagError
from hangtag.metrics import Metric
from hangtag.ports import NO_FACTS, BreakerState, CallReason
from hangtag.uploads import Skip, Upload


@dataclass(frozen=True, slots=True)
class Retry:
    """A line about an upload that is handed back."""

    uri: str
    code: str
    message: str
    attempt: int
    delay_seconds: float


class FakeJournal:
    """`Journal` that keeps its lines, sorted by what they are about."""

    def __init__(self) -> None:
        self.tags: list[tuple[str, int, Mapping[str, Any]]] = []
        """Uri, attempt and facts."""
        self.skips: list[Skip] = []
        self.burials: list[DeadLetter] = []
        self.retries: list[Retry] = []
        self.facts_of_failures: list[Mapping[str, Any]] = []
        """Of burials and retries, in turn."""
        self.troubles: list[tuple[str, HangtagError]] = []
        """What was being done, and what went wrong."""
        self.breaker_events: list[tuple[str, BreakerState]] = []
        self.calls: list[tuple[CallReason, float]] = []
        """Why the API was called, and for how many seconds."""
        self.ends = 0
        """Invocations that have ended."""
        self.mistakes: list[tuple[str, Exception]] = []

    def tagged(self, upload: Upload, *, attempt: int, facts: Mapping[str, Any]) -> None:
        self.tags.append((upload.uri, attempt, facts))

    def skipped(
        self,
        skip: Skip,
        *,
        attempt: int = 0,  # noqa: ARG002 - the log's own test reads it
        facts: Mapping[str, Any] = NO_FACTS,  # noqa: ARG002
    ) -> None:
        self.skips.append(skip)

    def buried(
        self,
        letter: DeadLetter,
        upload: Upload | None,  # noqa: ARG002 - the letter tells
        *,
        facts: Mapping[str, Any] = NO_FACTS,
    ) -> None:
        self.burials.append(letter)
        self.facts_of_failures.append(facts)

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
        uri = upload.uri if upload else ""
        self.retries.append(Retry(uri, code, message, attempt, delay_seconds))
        self.facts_of_failures.append(facts)

    def troubled(self, doing: str, error: HangtagError) -> None:
        self.troubles.append((doing, error))

    def breaker(self, event: str, state: BreakerState) -> None:
        self.breaker_events.append((event, state))

    def oldest_failure(self, seconds: float) -> None:
        """Nobody reads it here."""

    def called(self, reason: CallReason, seconds: float) -> None:
        self.calls.append((reason, seconds))

    def end(self) -> None:
        self.ends += 1

    def unforeseen(self, uri: str, error: Exception) -> None:
        self.mistakes.append((uri, error))


class FakeMeter:
    """`Meter` that keeps what was added, and what of it was told."""

    def __init__(self) -> None:
        self._added: list[tuple[Metric, float, Mapping[str, str]]] = []
        self.told: list[list[tuple[Metric, float, Mapping[str, str]]]] = []
        """What each flush told, as it was added."""

    def add(self, metric: Metric, value: float = 1.0, **dimensions: str) -> None:
        self._added.append((metric, value, dimensions))

    def flush(self) -> None:
        if self._added:
            self.told.append(self._added)
            self._added = []
