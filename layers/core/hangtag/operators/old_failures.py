"""Failures as the old store of results has them; goes with `adapters/dynamodb_results.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hangtag.dead_letters import DeadLetter
from hangtag.errors import Failure
from hangtag.lifecycle import UploadKey


class Standing(StrEnum):
    """How things stand with an upload, to somebody who holds a dead letter of it."""

    FAILED = "FAILED"
    """It lies in the dead-letter queue, or did until the letter expired."""
    REPLAYED = "REPLAYED"
    """It failed, and was put on the upload queue again; nobody has begun with it yet."""
    DISCARDED = "DISCARDED"
    """It failed, and an operator wants no more of it."""
    TAGGED = "TAGGED"
    """There is nothing left to do."""
    OTHER = "OTHER"
    """It waits for an attempt, is being worked on, or was skipped."""


@dataclass(frozen=True, slots=True)
class KnownUpload:
    """What the table knows of an upload, as far as operators of dead letters need it."""

    key: UploadKey
    standing: Standing
    replays: int
    """The highest count of replays it was begun with."""
    ended_at: str = ""
    """ISO 8601, UTC; with the key it tells this failure from a later one."""
    letter_id: str = ""
    """Of its dead letter; empty where nobody has kept it."""
    letter: DeadLetter | None = None
    """What its dead letter says; None where it did not fail."""


def letter_of_result(
    result: Mapping[str, Any], *, body: str, replays: int, request_id: str
) -> DeadLetter:
    """The dead letter that a FAILED result tells of: the same, should it have expired."""
    failure = result["failure"]
    return DeadLetter(
        body=body,
        failure=Failure(
            code=failure["code"],
            kind=failure["kind"],
            message=failure["message"],
            source=failure["source"],
            attempts=int(failure["attempts"]),
            failed_at=failure["failedAt"],
        ),
        image=result["image"]["uri"],
        replays=replays,
        request_id=request_id,
    )
