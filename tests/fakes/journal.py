from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hangtag.dead_letters import DeadLetter
from hangtag.failures import HangtagError
from hangtag.ports import BreakerState
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
        self.troubles: list[tuple[str, HangtagError]] = []
        """What was being done, and what went wrong."""
        self.breaker_events: list[tuple[str, BreakerState]] = []
        self.mistakes: list[tuple[str, Exception]] = []

    def tagged(self, upload: Upload, *, attempt: int, facts: Mapping[str, Any]) -> None:
        self.tags.append((upload.uri, attempt, facts))

    def skipped(self, skip: Skip) -> None:
        self.skips.append(skip)

    def buried(self, letter: DeadLetter) -> None:
        self.burials.append(letter)

    def retried(
        self, uri: str, *, code: str, message: str, attempt: int, delay_seconds: float
    ) -> None:
        self.retries.append(Retry(uri, code, message, attempt, delay_seconds))

    def troubled(self, doing: str, error: HangtagError) -> None:
        self.troubles.append((doing, error))

    def breaker(self, event: str, state: BreakerState) -> None:
        self.breaker_events.append((event, state))

    def unforeseen(self, uri: str, error: Exception) -> None:
        self.mistakes.append((uri, error))
