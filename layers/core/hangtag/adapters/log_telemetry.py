"""The log: one JSON line for each event that an operator may look for, by Powertools' Logger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from hangtag.telemetry import (
    BreakerSeen,
    Called,
    DeadLettered,
    Event,
    HandedBack,
    OldestFailure,
    Removed,
    Skipped,
    SystemicFailure,
    Tagged,
    Trouble,
    Unforeseen,
    Work,
)
from hangtag.uploads import Upload

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

_BREAKER_CHANGES = ("opened", "closed", "let through")


class LogTelemetry:
    """
    `Telemetry` on a Powertools logger, whose serializer is `hangtag.text.to_log_line`.

    It logs no API key, no image bytes and no URL.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def emit(self, event: Event) -> None:
        match event:
            case Tagged():
                self._logger.info("tagged", extra=_tagged(event))
            case Removed():
                self._logger.info("removed", extra=_removed(event))
            case Skipped():
                self._logger.info("skipped", extra=_skipped(event))
            case DeadLettered():
                self._logger.error("dead-lettered", extra=_dead_lettered(event))
            case HandedBack():
                self._logger.warning("handed back", extra=_handed_back(event))
            case BreakerSeen() if event.event in _BREAKER_CHANGES:
                self._logger.warning("breaker", extra=_breaker(event))
            case Trouble():
                self._logger.warning("trouble", extra=_trouble(event))
            case Unforeseen():
                extra = {"uri": event.about}
                self._logger.error("unforeseen", exc_info=event.error, extra=extra)
            case BreakerSeen() | Called() | OldestFailure() | SystemicFailure():
                pass  # metrics; an upload's line has its calls and its failure
            case _:
                assert_never(event)

    def flush(self) -> None:
        pass  # each line is written at once


def _tagged(event: Tagged) -> dict[str, Any]:
    return {
        **_identity(event.upload, event.upload.uri),
        "objects": event.objects,
        **_work(event.work),
    }


def _removed(event: Removed) -> dict[str, Any]:
    return {**_identity(event.upload, event.upload.uri), **_work(event.work)}


def _skipped(event: Skipped) -> dict[str, Any]:
    return {
        **_identity(event.upload, event.uri),
        "reason": str(event.reason),
        **_work(event.work),
    }


def _dead_lettered(event: DeadLettered) -> dict[str, Any]:
    letter = event.letter
    return {
        **_identity(event.upload, letter.image or ""),
        "code": letter.failure.code,
        "kind": letter.failure.kind,
        "reason": letter.failure.message,
        **letter.failure.format_field,
        "replays": letter.replays,
        **_work(event.work),
        "attempt": letter.failure.attempts,
    }


def _handed_back(event: HandedBack) -> dict[str, Any]:
    return {
        **_identity(event.upload, event.upload.uri if event.upload else ""),
        "code": event.code,
        "reason": event.message,
        "delaySeconds": event.delay_seconds,
        **_work(event.work),
    }


def _breaker(event: BreakerSeen) -> dict[str, Any]:
    return {
        "event": event.event,
        "failures": event.failures,
        "code": event.code,
        "reason": event.message,
    }


def _trouble(event: Trouble) -> dict[str, Any]:
    return {
        "doing": event.doing,
        "code": event.error.code,
        "reason": str(event.error),
    }


def _identity(upload: Upload | None, uri: str) -> dict[str, Any]:
    return {"uri": uri, "version": upload.version if upload else ""}


def _work(work: Work) -> dict[str, Any]:
    return {
        "attempt": work.attempt,
        "calls": {str(reason): count for reason, count in work.calls.items()},
        "milliseconds": dict(work.milliseconds),
    }
