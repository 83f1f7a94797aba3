"""Dead letters: the notification that failed, plus its failure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hangtag.errors import UNCODED, Failure
from hangtag.events import Unreadable, read_body, read_count, read_replays
from hangtag.text import printable
from hangtag.uploads import Upload

RETENTION_SECONDS = 14 * 24 * 3_600
"""How long SQS keeps a letter (template.yaml)."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What is put into the dead-letter queue, or was found there."""

    body: str
    """An S3 notification with exactly the record that failed; sending it back is the replay."""
    failure: Failure
    image: str | None
    """The uri, where there is one."""
    replays: int
    """How often it was replayed before it failed this time."""
    request_id: str
    """Of the invocation that buried it."""

    def attributes(self) -> dict[str, str]:
        """Message attributes by name; none is empty, none has control characters."""
        attributes = {
            "ErrorCode": self.failure.code,
            "ErrorKind": self.failure.kind,
            "ErrorMessage": self.failure.message,
            "ErrorSource": self.failure.source,
            "Attempts": str(self.failure.attempts),
            "Replays": str(self.replays),
            "FailedAt": self.failure.failed_at,
            "Image": self.image or "",
            "RequestId": self.request_id,
        }
        printed = {name: printable(value) for name, value in attributes.items()}
        return {name: value for name, value in printed.items() if value.strip()}


def letter_of_upload(
    upload: Upload, failure: Failure, *, replays: int, request_id: str
) -> DeadLetter:
    """The dead letter of an upload that failed for good."""
    return DeadLetter(
        body=upload.notification(),
        failure=failure,
        image=upload.uri,
        replays=replays,
        request_id=request_id,
    )


def letter_of_unreadable(
    unreadable: Unreadable, failure: Failure, *, replays: int, request_id: str
) -> DeadLetter:
    """The dead letter of a body nobody can read; it stays as it is."""
    return DeadLetter(
        body=unreadable.body,
        failure=failure,
        image=None,
        replays=replays,
        request_id=request_id,
    )


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


def read_letter(
    body: str, attributes: Mapping[str, Mapping[str, str]], *, sent_at: str
) -> DeadLetter:
    """
    A letter as SQS hands it out.

    One without a code (SQS's own redrive moved it, or somebody put it there) reads as
    `UNCODED`; *sent_at* (ISO 8601) stands in where it does not say when it failed.
    """
    texts = {name: value.get("StringValue") or "" for name, value in attributes.items()}
    code = texts.get("ErrorCode") or UNCODED
    return DeadLetter(
        body=body,
        failure=Failure(
            code=code,
            kind=texts.get("ErrorKind") or "uncoded",
            message=texts.get("ErrorMessage")
            or "nobody wrote down why: SQS moved it, or it was put there by hand",
            source=texts.get("ErrorSource") or "internal",
            attempts=read_count(attributes, "Attempts"),
            failed_at=_timestamp(texts.get("FailedAt", "")) or sent_at,
        ),
        # The body knows it exactly; the attribute is free of control characters.
        image=_image_in(body) or texts.get("Image") or None,
        replays=read_replays(attributes),
        request_id=texts.get("RequestId", ""),
    )


def _timestamp(text: str) -> str:
    """*text*, if it sorts like a time of ours; else nothing: a letter may be anybody's."""
    return text if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text) else ""


def _image_in(body: str) -> str | None:
    """The uri of the first upload; None for a letter about an unreadable record."""
    records = read_body(body)
    if isinstance(records[-1], Unreadable):
        return None
    return next((one.uri for one in records if isinstance(one, Upload)), None)
