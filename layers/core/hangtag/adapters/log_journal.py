"""The log: one JSON line per upload that ended or is tried again, by Powertools' Logger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hangtag.dead_letters import DeadLetter
from hangtag.errors import HangtagError
from hangtag.ports import NO_FACTS, BreakerState, CallReason
from hangtag.text import printable
from hangtag.uploads import Skip, Upload

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


class LogJournal:
    """`Journal` on a Powertools logger. No key, no image bytes and no URL gets in here."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def tagged(self, upload: Upload, *, attempt: int, facts: Mapping[str, Any]) -> None:
        self._logger.info(
            "tagged",
            extra={
                "uri": upload.uri,
                "version": upload.version,
                "attempt": attempt,
                **facts,
            },
        )

    def skipped(
        self, skip: Skip, *, attempt: int = 0, facts: Mapping[str, Any] = NO_FACTS
    ) -> None:
        self._logger.info(
            "skipped",
            extra={
                "uri": skip.uri or "",
                "version": skip.upload.version if skip.upload else "",
                "reason": str(skip.reason),
                "attempt": attempt,
                **facts,
            },
        )

    def buried(
        self,
        letter: DeadLetter,
        upload: Upload | None,
        *,
        facts: Mapping[str, Any] = NO_FACTS,
    ) -> None:
        self._logger.error(
            "buried",
            extra={
                "uri": letter.image or "",
                "version": upload.version if upload else "",
                "code": letter.failure.code,
                "kind": letter.failure.kind,
                "reason": letter.failure.message,
                "attempt": letter.failure.attempts,
                "replays": letter.replays,
                **facts,
            },
        )

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
        self._logger.warning(
            "handed back",
            extra={
                "uri": upload.uri if upload else "",
                "version": upload.version if upload else "",
                "code": code,
                "reason": printable(message),
                "attempt": attempt,
                "delaySeconds": delay_seconds,
                **facts,
            },
        )

    def called(self, reason: CallReason, seconds: float) -> None:
        """A call stands in the line of its upload."""

    def oldest_failure(self, seconds: float) -> None:
        """Each failure has had its own line."""

    def end(self) -> None:
        """Nothing is kept back."""

    def troubled(self, doing: str, error: HangtagError) -> None:
        self._logger.warning(
            "troubled",
            extra={"doing": doing, "code": error.code, "reason": printable(str(error))},
        )

    def breaker(self, event: str, state: BreakerState) -> None:
        if event in ("open", "at rest"):
            return  # it was looked at, and is as it was
        self._logger.warning(
            "breaker",
            extra={
                "event": event,
                "failures": state.failures,
                "code": state.code or "",
                "reason": printable(state.message or ""),
            },
        )

    def unforeseen(self, uri: str, error: Exception) -> None:
        self._logger.error("unforeseen", exc_info=error, extra={"uri": uri})
