"""
What arrives: SQS messages, and in them the uploads.

A message is read once, here; what travels on are frozen values. S3 notifications carry
URL-encoded keys, EventBridge events raw ones; an upload's key is always the raw one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeGuard
from urllib.parse import quote_plus


class SkipReason(StrEnum):
    """Why an upload ends without being tagged and without having failed."""

    TEST_EVENT = "TEST_EVENT"
    """S3 tests a notification when it is set up."""
    NOT_AN_UPLOAD = "NOT_AN_UPLOAD"
    """The event tells of something else: a deletion, a restore, an expiry."""
    FOLDER_MARKER = "FOLDER_MARKER"
    """An empty object whose key ends in a slash, as consoles make for folders."""
    OBJECT_GONE = "OBJECT_GONE"
    """The object version was deleted or overwritten before its turn came."""
    ALREADY_TAGGED = "ALREADY_TAGGED"
    """This version's result is stored and announced."""
    ALREADY_FAILED = "ALREADY_FAILED"
    """A copy of what has failed since it was sent; its dead letter tells of it."""
    SUPERSEDED = "SUPERSEDED"
    """A newer version of the same key has ended already."""
    DISCARDED = "DISCARDED"
    """It failed, and an operator has discarded its dead letter."""


ENDING_REASONS = (
    SkipReason.FOLDER_MARKER,
    SkipReason.OBJECT_GONE,
    SkipReason.SUPERSEDED,
    SkipReason.DISCARDED,
)
"""Why uploads end as skipped. The other reasons are of records that brought no new upload."""


LONGEST_NOTIFICATION = 240 * 1024
"""
Bytes of a notification of ours. S3's own are about 1 KB; a message of the upload queue takes 256 KB
with its attributes, an item of the table 400 KB.
"""


@dataclass(frozen=True, slots=True)
class Upload:
    """One object version that arrived."""

    bucket: str
    key: str
    version_id: str | None
    etag: str | None
    size: int | None
    """Bytes."""
    sequencer: str | None
    """S3's hexadecimal order of the events of one key."""
    record: Mapping[str, Any]
    """The S3 notification record that tells of it; sending it again is the replay."""

    @property
    def uri(self) -> str:
        """`s3://bucket/key` with the raw key: nothing in it is percent-encoded."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def bucket_arn(self) -> str:
        """The bucket's ARN, as the event gives it."""
        arn = self.record["s3"]["bucket"].get("arn")
        return arn if is_text(arn) else f"arn:aws:s3:::{self.bucket}"

    @property
    def is_identified(self) -> bool:
        """
        Whether it is known which version of the object is meant.

        An event without a version id may be of a bucket without versions, or of somebody who
        left it out: only the object tells.
        """
        return self.version_id is not None

    @property
    def version(self) -> str:
        """
        What tells this version from the key's others: the version id, or the etag without one.

        An event that names neither is told from others by its place in their order. At most
        1,000 bytes of UTF-8, so that it fits into a DynamoDB sort key.
        """
        if self.version_id is not None:
            return _bounded("version:", self.version_id)
        if self.etag is not None:
            return _bounded("etag:", self.etag)
        return f"event:{self.order}"

    @property
    def order(self) -> str:
        """
        A text that sorts like the events of one key happened.

        Sequencers are compared as hexadecimal numbers, left-padded. An event without one sorts
        before all that have one: "-" comes before every digit.
        """
        return order_of(self.sequencer)

    @property
    def happened_at(self) -> float | None:
        """When S3 says that it arrived, in seconds since 1970; None where it does not."""
        try:
            moment = datetime.fromisoformat(self.record["eventTime"])
        except (KeyError, TypeError, ValueError):
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def identified_as(self, *, version_id: str | None, etag: str, size: int) -> Upload:
        """
        The same upload, with what its event did not tell taken from the object.

        So is its record: replayed, it is about this version, whatever is there by then.
        """
        if self.etag not in (None, etag):
            return self  # the object that is there now is another one
        found = {"versionId": version_id, "eTag": etag, "size": size}
        s3 = self.record["s3"]
        told = {**s3, "object": {**s3["object"], **_known(found)}}
        return replace(
            self,
            version_id=version_id,
            etag=etag,
            size=size,
            record={**self.record, "s3": told},
        )

    def ordered_as(self, sequencer: str | None) -> Upload:
        """The same upload with its place in the order of its key's events."""
        return replace(self, sequencer=sequencer)

    def notification(self, *, longest: int = LONGEST_NOTIFICATION) -> str:
        """
        An S3 notification with exactly this upload's record, as JSON.

        If that is more than *longest* bytes, the record is cut down to what S3 writes: less than
        10 KB.
        """
        whole = notification_of([self.record])
        if len(whole.encode()) <= longest:
            return whole
        return notification_of([self._bare_record()])

    def _bare_record(self) -> dict[str, Any]:
        return notification_record(
            bucket=self.bucket,
            arn=self.bucket_arn if len(self.bucket_arn) < BUCKET_BYTES else None,
            key=self.key,
            size=self.size,
            etag=self.etag,
            version_id=self.version_id,
            sequencer=self.sequencer,
            at=_short(self.record.get("eventTime")),
            name=_short(self.record.get("eventName")) or PUT,
            region=_short(self.record.get("awsRegion")),
        )

    def image(self) -> dict[str, str | int | None]:
        """The upload as it stands in a result."""
        return {
            "uri": self.uri,
            "bucket": self.bucket,
            "key": self.key,
            "versionId": self.version_id,
            "etag": self.etag,
            "size": self.size,
            "sequencer": self.sequencer,
        }


def order_of(sequencer: str | None) -> str:
    """As `Upload.order`."""
    if sequencer is None:
        return "-"
    return sequencer.upper().rjust(SEQUENCER_DIGITS, "0")


@dataclass(frozen=True, slots=True)
class Skip:
    """A record that is no work, and why."""

    reason: SkipReason
    uri: str | None
    upload: Upload | None = None
    """The object version that ends so; None where none arrived."""


PUT = "ObjectCreated:Put"


def notification_record(
    *,
    bucket: str,
    key: str,
    size: object,
    etag: object,
    version_id: object,
    at: object,
    sequencer: object = None,
    arn: str | None = None,
    name: str = PUT,
    region: object = None,
) -> dict[str, Any]:
    """A record as S3 writes it, of what is known."""
    fields = {
        "key": quote_plus(key, safe="/"),
        "size": size,
        "eTag": etag,
        "versionId": version_id,
        "sequencer": sequencer,
    }
    event = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": at,
        "eventName": name,
    }
    return {
        **_known(event),
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": arn or f"arn:aws:s3:::{bucket}"},
            "object": _known(fields),
        },
    }


def _known(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _short(value: object) -> str | None:
    return value if is_text(value) and len(value) <= 100 else None


def notification_of(records: list[Any]) -> str:
    """
    Records as a notification: JSON, no longer than its text has to be.

    Only what SQS takes in no message is escaped: it may have come so.
    """
    text = json.dumps({"Records": records}, ensure_ascii=False, separators=(",", ":"))
    return _NOT_IN_A_MESSAGE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_NOT_IN_A_MESSAGE = re.compile("[\ud800-\udfff\ufffe\uffff]")


# S3's limits (buckets made before 2018 in us-east-1 may have the longer name)
KEY_BYTES = 1_024
BUCKET_BYTES = 255
VERSION_BYTES = 1_024
SEQUENCER_DIGITS = 64  # AWS's have 16 to 18 today


def _bounded(prefix: str, value: str) -> str:
    if len(value.encode()) <= 900:
        return prefix + value
    return f"{prefix}sha256:{hashlib.sha256(value.encode()).hexdigest()}"


def is_text(value: object) -> TypeGuard[str]:
    """Whether *value* is a text that has characters, all of them whole."""
    if not isinstance(value, str) or not value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can spell half a character: "\ud800"
        return False
    return True
