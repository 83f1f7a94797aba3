"""
Reads Lambda events: the SQS messages in them, and the uploads in the messages.

S3 notifications have URL-encoded keys, EventBridge events raw ones; an upload has the raw key.
Both may come in envelopes: of SNS, or of Lambda's destination for failed asynchronous events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard
from urllib.parse import quote_plus, unquote_plus

from hangtag.errors import UnreadableEvent
from hangtag.parsing import parse_event
from hangtag.text import shortened, to_timestamp
from hangtag.uploads import (
    SEQUENCER_DIGITS,
    Skip,
    SkipReason,
    Upload,
    arn_of_bucket,
    to_notification,
)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message with at least one record that is no event of S3."""

    error: UnreadableEvent
    body: str
    """The whole body, byte for byte."""


ParsedRecord = Upload | Skip | Unreadable
"""One record of a message; an `Unreadable` stands for all unreadable records of the message."""


RECONCILE = {"hangtag": "try again"}
"""The payload that the stack's schedule sends to the function."""


RETAG_ATTRIBUTE = "Again"
"""
The message attribute of a request to tag an upload that is tagged already; its value is a token.

The function tags each upload once per token, however often SQS delivers the message.
"""

_RETAG_TOKEN = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [0-9a-f]{8}", re.ASCII
)


def retag_token(at: float, unique: str) -> str:
    """
    The re-tag token of a request made at that time (seconds since 1970).

    *unique* is eight lowercase hexadecimal digits. Tokens sort by time: of two requests to tag
    again, each upload follows the later one.
    """
    return f"{to_timestamp(at)} {unique}"


def is_retag_token(token: object) -> TypeGuard[str]:
    """Whether it has the form of `retag_token`."""
    return isinstance(token, str) and _RETAG_TOKEN.fullmatch(token) is not None


def believable_retag(token: str | None, *, now: float) -> str | None:
    """
    The token, or None if it is of the future: it would sort above all requests that follow.

    *now* is in seconds since 1970.
    """
    if token is None or token > to_timestamp(now + CLOCK_SKEW_SECONDS):
        return None
    return token


CLOCK_SKEW_SECONDS = 300.0
"""How far the clock of another machine may be ahead."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One SQS message as handed to the function."""

    message_id: str
    receipt_handle: str
    body: str
    replays: int
    """How often an operator has replayed the upload."""
    receives: int = 1
    """How often SQS has delivered the message, this time included."""
    sent_at: float | None = None
    """When the message was sent, in seconds since 1970; None if unknown."""
    retag: str | None = None
    """The token of a request to tag also what is tagged; None if there is no request."""


def read_deliveries(event: object) -> tuple[Delivery, ...] | None:
    """
    The deliveries of a Lambda event, or None for an event that did not come through SQS.

    Raises:
        UnreadableEvent: The event claims to come from SQS, but a record lacks its message id,
            its receipt handle or its body. Lambda would redeliver the whole batch for ever if
            the function answered with a wrong message id.
    """
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list) or not records:
        return None
    if not all(
        isinstance(record, dict) and record.get("eventSource") == "aws:sqs"
        for record in records
    ):
        return None
    return tuple(_read_delivery(record) for record in records)


def _read_delivery(record: Mapping[str, Any]) -> Delivery:
    for name in ("messageId", "receiptHandle", "body"):
        if not _is_text(record.get(name)):
            raise UnreadableEvent(
                f"a record of eventSource aws:sqs has no {name}: this is no event of SQS; "
                "to invoke the function by hand, send the S3 notification itself"
            )
    attributes = _part(record, "messageAttributes")
    system_attributes = _part(record, "attributes")
    sent = _to_count(str(system_attributes.get("SentTimestamp", "")))
    receives = _to_count(str(system_attributes.get("ApproximateReceiveCount", "")))
    token = _part(attributes, RETAG_ATTRIBUTE).get("stringValue")
    return Delivery(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        body=record["body"],
        # A dead letter that AWS moved back still has its code: that is a replay, too.
        replays=read_replays(attributes) + ("ErrorCode" in attributes),
        receives=max(1, receives),
        sent_at=sent / 1000 if sent else None,
        retag=token if is_retag_token(token) else None,
    )


def read_replays(attributes: Mapping[str, Any]) -> int:
    """The number in the message attribute `Replays`; 0 without a valid number."""
    return read_count(attributes, "Replays")


def read_count(attributes: Mapping[str, Any], name: str) -> int:
    """The number in the message attribute *name*; 0 without a valid number."""
    attribute = _part(attributes, name)
    return _to_count(
        str(attribute.get("stringValue") or attribute.get("StringValue") or "")
    )


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object in a field; an empty one if there is none."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _to_count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


MOST_RECORDS = 100
"""
The most records of a message, over all its envelopes; S3 sends one.

A message of 256 KB could hold a thousand, and each may be a paid call.
"""


def read_body(body: str) -> tuple[ParsedRecord, ...]:
    """
    The records of a message's body, at least one; envelopes of SNS and Lambda are opened.

    All unreadable records of a body are one `Unreadable`, the last element. Any text can be
    read: what is no event is unreadable, and so is a body of more than `MOST_RECORDS`.
    """
    try:
        return _read_text(body, _Place(body))
    except _TooManyRecords as error:
        return (_unreadable(str(error), body),)


def to_bare(body: str) -> str:
    """
    The S3 notification with exactly the uploads of *body*, without envelopes.

    A body without an upload, or with an unreadable record, is returned as it is.
    """
    parsed = read_body(body)
    uploads = [one.upload if isinstance(one, Skip) else one for one in parsed]
    records = [one.record for one in uploads if isinstance(one, Upload)]
    if not records or isinstance(parsed[-1], Unreadable):
        return body
    return to_notification(*records)


_MOST_ENVELOPES = 5
"""
The limit of nesting. AWS itself nests three: an SNS notification, in an SNS event, in Lambda's
destination record.
"""


class _TooManyRecords(Exception):
    """A body has more than `MOST_RECORDS`."""

    def __init__(self) -> None:
        super().__init__(f"the body has more than {MOST_RECORDS} records; S3 sends one")


class _Counter:
    """Counts the records of a body, over all its envelopes."""

    def __init__(self) -> None:
        self._records = 0

    def add(self, records: int) -> None:
        """Raises `_TooManyRecords`."""
        self._records += records
        if self._records > MOST_RECORDS:
            raise _TooManyRecords


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a document was found: it is a message's body, or inside envelopes in the body."""

    body: str
    name: str = "the body"
    envelopes: int = 0
    """How many envelopes are around the document."""
    counter: _Counter = field(default_factory=_Counter)
    """The same for all places in a body."""

    def inside(self, name: str) -> _Place:
        """The place in the next envelope."""
        return replace(self, name=name, envelopes=self.envelopes + 1)

    def unreadable(self, trouble: str) -> tuple[Unreadable]:
        """The whole body as unreadable; *trouble* completes a sentence about the document."""
        return (_unreadable(f"{self.name} {trouble}", self.body),)


def _read_text(text: str, place: _Place) -> tuple[ParsedRecord, ...]:
    try:
        document = parse_event(text)
    except ValueError as error:
        return place.unreadable(f"is not JSON: {error}")
    return _read_document(document, place)


def _read_document(document: object, place: _Place) -> tuple[ParsedRecord, ...]:
    if place.envelopes > _MOST_ENVELOPES:
        return place.unreadable(f"is in more than {_MOST_ENVELOPES} envelopes")
    if not isinstance(document, dict):
        return place.unreadable(f"is a JSON {type(document).__name__}, not an object")
    if "requestContext" in document and "requestPayload" in document:
        # Lambda's destination record of an asynchronous event that failed
        inner = place.inside("the payload in Lambda's destination record")
        return _read_document(document["requestPayload"], inner)
    if document.get("Type") in _SNS_TYPES:
        return _read_sns_envelope(document, place)
    if document.get("Event") == "s3:TestEvent":
        return (Skip(SkipReason.TEST_EVENT, None),)
    if document == RECONCILE:
        return (Skip(SkipReason.NOT_AN_UPLOAD, None),)
    records = document.get("Records")
    if document.get("source") == "aws.s3":
        records = [document]
    if not isinstance(records, list) or not records:
        return place.unreadable(
            "is neither an S3 notification nor an EventBridge event of S3"
        )
    if all(map(_is_of_sns, records)):
        return _read_sns_event(records, place)
    return _read_records(records, place)


_CONFIRMATIONS = {
    "SubscriptionConfirmation": "SNS sends nothing more before the subscription is confirmed: "
    "run `aws sns confirm-subscription` with the token in the message, then discard it",
    "UnsubscribeConfirmation": "the queue is no longer subscribed: "
    "subscribe it again if the topic's uploads are to be tagged, and discard the message",
}
"""What an operator does about SNS's messages about the subscription itself, by their type."""

_SNS_TYPES = ("Notification", *_CONFIRMATIONS)


def _read_sns_envelope(
    envelope: Mapping[str, Any], place: _Place
) -> tuple[ParsedRecord, ...]:
    """The records of the message in an SNS envelope."""
    kind = envelope["Type"]
    if kind in _CONFIRMATIONS:
        # Its SubscribeURL and its token are secrets: the error must not repeat them.
        topic = shortened(str(envelope.get("TopicArn")))
        return place.unreadable(f"is SNS's {kind} of {topic}: {_CONFIRMATIONS[kind]}")
    message = envelope.get("Message")
    if not isinstance(message, str):
        return place.unreadable("is an SNS envelope without a Message")
    return _read_text(message, place.inside("the message in the SNS envelope"))


def _is_of_sns(record: object) -> bool:
    """Whether this is a record of the event by which SNS invokes a function."""
    return (
        isinstance(record, dict)
        and record.get("EventSource") == "aws:sns"
        and isinstance(record.get("Sns"), dict)
    )


def _read_sns_event(
    records: Sequence[Mapping[str, Any]], place: _Place
) -> tuple[ParsedRecord, ...]:
    """The records of all messages of an SNS event, with at most one `Unreadable`, the last."""
    if len(records) > MOST_RECORDS:  # a message without an upload costs time, too
        raise _TooManyRecords
    inner = place.inside("the Sns of a record")
    parsed = [one for record in records for one in _read_document(record["Sns"], inner)]
    unreadable = [one for one in parsed if isinstance(one, Unreadable)]
    return (
        *(one for one in parsed if not isinstance(one, Unreadable)),
        *unreadable[:1],
    )


def _read_records(records: Sequence[object], place: _Place) -> tuple[ParsedRecord, ...]:
    place.counter.add(len(records))
    may_be_large = _MOST_GROWTH * len(place.body) > RECORD_BYTES
    parsed: list[ParsedRecord] = []
    troubles: list[str] = []
    for number, record in enumerate(records, start=1):
        try:
            if may_be_large and len(to_notification(record)) > RECORD_BYTES:
                raise _InvalidRecord("larger than 16 KB")
            parsed.append(_read_record(record))
        except ValueError as error:
            troubles.append(f"record {number}: {error}")
    if troubles:
        parsed += place.unreadable(
            f"has {len(troubles)} of {len(records)} records unreadable; {troubles[0]}"
        )
    return tuple(parsed)


def _unreadable(message: str, body: str) -> Unreadable:
    return Unreadable(UnreadableEvent(message), body)


class _InvalidRecord(ValueError):
    """A record is no event of S3."""


RECORD_BYTES = 16 * 1_024
"""The largest record that Hangtag reads. S3's own have about 1 KB."""

_MOST_GROWTH = 12
"""A record has at most that many bytes per character of the body: an emoji is two escapes."""

# S3's limits, those of buckets in us-east-1 from before 2018 included: no slash, no ARN
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")
_KEY_BYTES = 1_024
_TEXT_BYTES = 1_024  # of an eTag or a version id

_SEQUENCER = re.compile(f"[0-9A-Fa-f]{{1,{SEQUENCER_DIGITS}}}")


def _read_record(record: object) -> Upload | Skip:
    """
    The upload of a record of an S3 notification, or of an EventBridge event of S3.

    Raises:
        ValueError: The record lacks something, or has what S3 does not allow.
    """
    if not isinstance(record, dict):
        raise _InvalidRecord("not a JSON object")
    if record.get("source") == "aws.s3":
        record = _record_of_eventbridge(record)
    if record.get("eventSource") != "aws:s3":
        raise _InvalidRecord("not of eventSource aws:s3")
    event_name = _text(record, "eventName")
    s3 = _object(record, "s3")
    bucket = _text(_object(s3, "bucket"), "name")
    if not _BUCKET.fullmatch(bucket):
        raise _InvalidRecord("no bucket can have this name")
    found = _object(s3, "object")
    key = unquote_plus(_text(found, "key", longest=3 * _KEY_BYTES), errors="strict")
    if _is_longer(key, _KEY_BYTES):
        raise _InvalidRecord(f"key is longer than {_KEY_BYTES:,} bytes")
    # Bucket notifications have "ObjectCreated:Put", configurations "s3:ObjectCreated:Put".
    kind = event_name.removeprefix("s3:").partition(":")[0]
    if kind in _REMOVALS:
        return replace(_upload(bucket, key, found, record), is_removal=True)
    if kind != "ObjectCreated":
        return Skip(SkipReason.NOT_AN_UPLOAD, f"s3://{bucket}/{key}")
    upload = _upload(bucket, key, found, record)
    if key.endswith("/") and upload.size == 0:
        return Skip(SkipReason.FOLDER_MARKER, upload.uri, upload)
    return upload


def _upload(
    bucket: str, key: str, found: Mapping[str, Any], record: dict[str, Any]
) -> Upload:
    version_id = _optional_text(found, "versionId")
    etag = _optional_text(found, "eTag") or ""
    size = found.get("size")
    sequencer = found.get("sequencer")
    is_valid = isinstance(sequencer, str) and _SEQUENCER.fullmatch(sequencer)
    return Upload(
        bucket=bucket,
        key=key,
        version_id=None if version_id == "null" else version_id,
        etag=etag.strip('"') or None,
        size=size if type(size) is int else None,
        sequencer=sequencer if is_valid else None,
        record=record,
    )


_REMOVED, _EXPIRED = _REMOVALS = ("ObjectRemoved", "LifecycleExpiration")
"""The kinds of events that say that an object version is gone."""

_PUT = "ObjectCreated:Put"
_EVENT_NAMES = {
    "POST Object": "ObjectCreated:Post",
    "CopyObject": "ObjectCreated:Copy",
    "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
}
"""The event names of S3 notifications by EventBridge's reasons."""


def _record_of_eventbridge(event: Mapping[str, Any]) -> dict[str, Any]:
    """The record that S3 would send to a queue for the same upload or removal."""
    detail = _object(event, "detail")
    found = _object(detail, "object")
    name = event.get("detail-type")
    if name == "Object Created":
        name = _EVENT_NAMES.get(str(detail.get("reason")), _PUT)
    elif name == "Object Deleted":
        is_expired = detail.get("reason") == "Lifecycle Expiration"
        has_marker = detail.get("deletion-type") == "Delete Marker Created"
        name = (
            f"{_EXPIRED if is_expired else _REMOVED}:"
            f"{'DeleteMarkerCreated' if has_marker else 'Delete'}"
        )
    resources = event.get("resources")
    return _notification_record(
        bucket=_text(_object(detail, "bucket"), "name"),
        arn=resources[0] if isinstance(resources, list) and resources else None,
        key=_text(found, "key"),
        event={
            "awsRegion": event.get("region"),
            "eventTime": event.get("time"),
            "eventName": name,
        },
        found={
            "size": found.get("size"),
            "eTag": found.get("etag"),
            "versionId": found.get("version-id"),
            "sequencer": found.get("sequencer"),
        },
    )


def record_of_object(
    *,
    bucket: str,
    key: str,
    version_id: str | None,
    etag: str | None,
    size: int | None,
    at: str,
    partition: str,
    sequencer: str | None = None,
) -> ParsedRecord:
    """
    An object of a bucket in the AWS *partition*, as if S3 had reported it.

    *at* is ISO 8601, in UTC. Without a *sequencer*, the object never counts as newer than a
    version that has one.
    """
    record = _notification_record(
        bucket=bucket,
        arn=arn_of_bucket(bucket, partition=partition),
        key=key,
        event={"eventTime": at, "eventName": _PUT},
        found={
            "size": size,
            "eTag": etag,
            "versionId": version_id,
            "sequencer": sequencer,
        },
    )
    try:
        return _read_record(record)
    except ValueError as error:
        return _unreadable(str(error), to_notification(record))


def _notification_record(
    *,
    bucket: str,
    key: str,
    event: Mapping[str, object],
    found: Mapping[str, object],
    arn: object,
) -> dict[str, Any]:
    """A record as S3 writes it; values that are None are left out."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        **_known(event),
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": _known({"name": bucket, "arn": arn or None}),
            "object": {"key": quote_plus(key, safe="/"), **_known(found)},
        },
    }


def _known(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    if isinstance(value, dict):
        return value
    raise _InvalidRecord(f"{name} is missing")


def _text(parent: Mapping[str, Any], name: str, *, longest: int = _TEXT_BYTES) -> str:
    text = _optional_text(parent, name, longest=longest)
    if text is None:
        raise _InvalidRecord(f"{name} is missing")
    return text


def _optional_text(
    parent: Mapping[str, Any], name: str, *, longest: int = _TEXT_BYTES
) -> str | None:
    """The text, or None if it is missing, empty or no text."""
    value = parent.get(name)
    if not isinstance(value, str) or not value:
        return None
    if _is_longer(value, longest):
        raise _InvalidRecord(f"{name} is longer than {longest:,} bytes")
    return value


def _is_longer(text: str, most_bytes: int) -> bool:
    return len(text) > most_bytes or (
        not text.isascii() and len(text.encode()) > most_bytes
    )


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""
