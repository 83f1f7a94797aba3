"""
An upload, the object version that Hangtag works on, and the reasons to skip one.

An event that says that an object version is gone, a removal, is an upload, too.

`hangtag.events` reads them from S3's events.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any


class SkipReason(StrEnum):
    """Why a record ends without a tagged image and without a failure."""

    TEST_EVENT = "TEST_EVENT"
    """S3 tests a notification when it is set up."""
    NOT_AN_UPLOAD = "NOT_AN_UPLOAD"
    """The event reports something else: a restore, new object tags, a replication."""
    NOT_SELECTED = "NOT_SELECTED"
    """UploadPrefix and UploadSuffixes do not select the key."""
    FOLDER_MARKER = "FOLDER_MARKER"
    """
    An empty object whose key ends in a slash, or its removal. Consoles create these as folders.
    """
    OBJECT_GONE = "OBJECT_GONE"
    """The object version was deleted or overwritten before the function read it."""
    ALREADY_TAGGED = "ALREADY_TAGGED"
    """The result of this version is stored and published."""
    ALREADY_FAILED = "ALREADY_FAILED"
    """A copy of an upload that has failed."""
    ALREADY_REMOVED = "ALREADY_REMOVED"
    """A copy of a removal that is stored and published."""
    SUPERSEDED = "SUPERSEDED"
    """
    A newer version of the same key has ended already; or a removal whose key has an object again.
    """
    DISCARDED = "DISCARDED"
    """The upload failed, and an operator has discarded its dead letter."""


ENDING_REASONS = (
    SkipReason.FOLDER_MARKER,
    SkipReason.OBJECT_GONE,
    SkipReason.SUPERSEDED,
    SkipReason.DISCARDED,
)
"""The reasons that end an upload. The other reasons skip records without a new upload."""


@dataclass(frozen=True)
class Upload:
    """One object version that arrived."""

    bucket: str
    key: str
    """The raw key: not URL-encoded."""
    version_id: str | None
    etag: str | None
    """Without quotes."""
    size: int | None
    """Bytes."""
    sequencer: str | None
    """S3's hexadecimal number that orders the events of one key."""
    record: Mapping[str, Any]
    """The record of the S3 notification; sending it again replays the upload."""
    is_removal: bool = False
    """Whether the event says that the object version is gone: deleted, or expired."""

    @cached_property
    def uri(self) -> str:
        """`s3://bucket/key` with the raw key: nothing in it is percent-encoded."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def prefix(self) -> str:
        """The key up to its first slash; "" if it has none."""
        head, slash, _ = self.key.partition("/")
        return head if slash else ""

    @property
    def is_identified(self) -> bool:
        """
        Whether the event names its object version.

        Events of buckets without versions have no version id, and hand-made events may lack it.
        A removal needs none: its event itself is its identity.
        """
        return self.version_id is not None or self.is_removal

    @cached_property
    def version(self) -> str:
        """
        Distinguishes this version from the others of its key.

        The version id, else the etag, else the event's place in the sequence. A removal has a
        version of its own, which all copies of its event share. At most 1,000 bytes of UTF-8, so
        that it fits into a DynamoDB sort key.
        """
        if self.is_removal:
            return self._version_of_removal()
        found = version_of(self.version_id, self.etag)
        return f"event:{self.order}" if found is None else found

    def _version_of_removal(self) -> str:
        if self.sequencer is not None:
            return f"removed:{self.order}"
        # A delete marker that is created and deleted again has one version id, but two events
        facts = [self.version_id, self.etag]
        facts += [self.record.get(name) for name in ("eventName", "eventTime")]
        return _bounded("removed:", json.dumps(facts))

    @cached_property
    def order(self) -> str:
        """The `order_of` its sequencer."""
        return order_of(self.sequencer)

    @property
    def happened_at(self) -> float | None:
        """The record's `eventTime` in seconds since 1970; None if it has no valid one."""
        try:
            moment = datetime.fromisoformat(self.record["eventTime"])
        except (KeyError, TypeError, ValueError):
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def identified_as(self, *, version_id: str | None, etag: str, size: int) -> Upload:
        """
        Complete the upload, and its record, with facts of the object in the bucket.

        The completed record replays this very version, even if the object is overwritten later.
        Returns the upload unchanged if its event names another etag.
        """
        if self.etag not in (None, etag):
            return self
        s3 = self.record["s3"]
        # S3 writes "null" for the version of an object in a bucket without versions.
        found = {"versionId": version_id or "null", "eTag": etag, "size": size}
        completed = {**s3, "object": {**s3["object"], **found}}
        return replace(
            self,
            version_id=version_id,
            etag=etag,
            size=size,
            record={**self.record, "s3": completed},
        )

    def read_as(self, *, etag: str | None, size: int) -> Upload:
        """
        The upload with facts of the object version that was read: its event may say otherwise.

        Its version and its record stay as they are.
        """
        # Without a version id the etag is the version, and S3 has compared it
        known = etag if self.version_id is not None else self.etag
        return replace(self, etag=known, size=size)

    def ordered_as(self, sequencer: str | None) -> Upload:
        """The upload with this sequencer."""
        if sequencer == self.sequencer:
            return self
        return replace(self, sequencer=sequencer)

    def placed_at(self, order: str) -> Upload:
        """The upload in this place (`order`) of the sequence."""
        return self if order == self.order else self.ordered_as(_sequencer_of(order))

    def notification(self) -> str:
        """An S3 notification with exactly this upload's record, as ASCII JSON."""
        return to_notification(self.record)

    def image(self) -> dict[str, str | int | None]:
        """The `image` of a result."""
        return {
            "uri": self.uri,
            "bucket": self.bucket,
            "key": self.key,
            "versionId": self.version_id,
            "etag": self.etag,
            "size": self.size,
            "sequencer": self.sequencer,
        }


@dataclass(frozen=True, slots=True)
class Skip:
    """A record that needs no work."""

    reason: SkipReason
    uri: str | None
    upload: Upload | None = None
    """The object version that ends with this reason, if there is one."""


def version_of(version_id: str | None, etag: str | None) -> str | None:
    """The `Upload.version` of an object with this version id and etag; None without both."""
    if version_id is not None:
        return _bounded("version:", version_id)
    return None if etag is None else _bounded("etag:", etag)


SEQUENCER_DIGITS = 64
"""The most digits of a sequencer; S3's have 16 to 18."""


def order_of(sequencer: str | None) -> str:
    """
    A text that sorts like the sequencers of one key: as hexadecimal numbers.

    An event without a sequencer sorts before all others: "-" comes before every digit.
    """
    if sequencer is None:
        return "-"
    return sequencer.upper().rjust(SEQUENCER_DIGITS, "0")


def _sequencer_of(order: str) -> str | None:
    """The reverse of `order_of`, without zeros on the left."""
    return None if order == order_of(None) else order.lstrip("0") or "0"


def arn_of_bucket(bucket: str, *, partition: str) -> str:
    """The ARN of a bucket in an AWS partition: `aws`, `aws-cn`, `aws-us-gov`."""
    return f"arn:{partition}:s3:::{bucket}"


def to_notification(*records: object) -> str:
    """
    An S3 notification with these records.

    SQS refuses some characters in a message, so that all but ASCII is escaped.
    """
    return _COMPACT.encode({"Records": records})


_COMPACT = json.JSONEncoder(separators=(",", ":"))


def _bounded(prefix: str, value: str) -> str:
    if len(value.encode()) <= 900:
        return prefix + value
    return f"{prefix}sha256:{hashlib.sha256(value.encode()).hexdigest()}"
