"""Dead letters: the notification that failed, plus its failure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hangtag.errors import UNCODED
from hangtag.events import Unreadable, read_body, read_count, read_replays
from hangtag.failure import Failure
from hangtag.lifecycle import Record, UploadKey
from hangtag.text import to_attribute
from hangtag.uploads import Upload

RETENTION_SECONDS = 14 * 24 * 3_600
"""How long SQS keeps a letter (template.yaml)."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message of the dead-letter queue."""

    body: str
    """An S3 notification with exactly the record that failed; sending it back is the replay."""
    failure: Failure
    image: str | None
    """The uri, where there is one."""
    replays: int
    """How often it was replayed before it failed this time."""
    request_id: str
    """Of the invocation that sent it."""

    def attributes(self) -> dict[str, str]:
        """
        Message attributes by name; without empty values and control characters.

        SQS accepts ten.
        """
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
            "Format": self.failure.image_format,
        }
        printed = {name: to_attribute(value) for name, value in attributes.items()}
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
    """The dead letter of an unreadable body, which is kept byte for byte."""
    return DeadLetter(
        body=unreadable.body,
        failure=failure,
        image=None,
        replays=replays,
        request_id=request_id,
    )


def letter_of_record(key: UploadKey, record: Record) -> DeadLetter:
    """
    The dead letter of a FAILED record: the one in the queue, or the one that expired there.

    Raises:
        ValueError: The record keeps no failure.
    """
    if record.failed is None:
        raise ValueError(f"the record of {key[0]} is {record.status}: it has no letter")
    return DeadLetter(
        body=record.failed.notification,
        failure=record.failed.failure,
        image=key[0],
        replays=record.replays,
        request_id=record.failed.request_id,
    )


def read_letter(
    body: str, attributes: Mapping[str, Mapping[str, str]], *, sent_at: str
) -> DeadLetter:
    """
    A letter as SQS hands it out.

    A letter without a valid code (SQS's own redrive moved it, or a person sent it) reads as
    `UNCODED`.
    *sent_at* (ISO 8601) is the time of the failure if the letter does not contain one.
    """
    texts = {name: value.get("StringValue") or "" for name, value in attributes.items()}
    code = texts.get("ErrorCode", "")
    return DeadLetter(
        body=body,
        failure=Failure(
            code=code if _CODE.fullmatch(code) else UNCODED,
            kind=texts.get("ErrorKind") or "uncoded",
            message=texts.get("ErrorMessage")
            or "no reason was recorded: SQS moved it, or it was put there by hand",
            source=texts.get("ErrorSource") or "internal",
            attempts=read_count(attributes, "Attempts"),
            failed_at=_timestamp(texts.get("FailedAt", "")) or sent_at,
            image_format=texts.get("Format", ""),
        ),
        # The body knows it exactly; the attribute is free of control characters.
        image=_image_in(body) or texts.get("Image") or None,
        replays=read_replays(attributes),
        request_id=texts.get("RequestId", ""),
    )


_CODE = re.compile(r"[A-Za-z0-9_.+-]{1,64}")


def _timestamp(text: str) -> str:
    """*text* if it is an ISO 8601 time, which can be sorted; else an empty text."""
    return text if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text) else ""


def _image_in(body: str) -> str | None:
    """The uri of the first upload; None for a letter about an unreadable record."""
    records = read_body(body)
    if isinstance(records[-1], Unreadable):
        return None
    return next((one.uri for one in records if isinstance(one, Upload)), None)
