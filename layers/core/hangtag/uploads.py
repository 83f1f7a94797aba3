"""
What arrives: SQS messages, and in them the uploads.

A message is read once, here; what travels on are frozen values. S3 notifications carry
URL-encoded keys, EventBridge events raw ones; an upload's key is always the raw one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeGuard
from urllib.parse import quote_plus, unquote_plus

from hangtag.failures import UnreadableEvent


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
        return arn if _is_text(arn) else f"arn:aws:s3:::{self.bucket}"

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
        whole = _notification([self.record])
        if len(whole.encode()) <= longest:
            return whole
        return _notification([self._bare_record()])

    def _bare_record(self) -> dict[str, Any]:
        return _record(
            bucket=self.bucket,
            arn=self.bucket_arn if len(self.bucket_arn) < _BUCKET_BYTES else None,
            key=self.key,
            size=self.size,
            etag=self.etag,
            version_id=self.version_id,
            sequencer=self.sequencer,
            at=_short(self.record.get("eventTime")),
            name=_short(self.record.get("eventName")) or _PUT,
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
    return sequencer.upper().rjust(_SEQUENCER_DIGITS, "0")


@dataclass(frozen=True, slots=True)
class Skip:
    """A record that is no work, and why."""

    reason: SkipReason
    uri: str | None
    upload: Upload | None = None
    """The object version that ends so; None where none arrived."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record, or a whole body, that is no upload event."""

    error: UnreadableEvent
    body: str
    """What a dead letter carries: the body byte for byte, or a notification of the one record."""


TRY_AGAIN = {"hangtag": "try again"}
"""What the stack's schedule sends to the function, for the breaker."""

AGAIN = "Again"
"""
The message attribute of an order to tag also what is tagged already: a token of the order.

An upload is asked about once for each token, however often the message comes.
"""

_TOKEN_LENGTH = 100

Entry = Upload | Skip | Unreadable
"""What a message holds, record by record."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One SQS message as it was handed to us."""

    message_id: str
    receipt_handle: str
    body: str
    replays: int
    """How often an operator has replayed it."""
    receives: int = 1
    """How often SQS has handed it out, this time included; hand-backs count, too."""
    sent_at: float | None = None
    """When it was put on the queue, in seconds since 1970; None where SQS did not say."""
    again: str | None = None
    """The order, by its token, to tag also what is tagged already; None where there is none."""


def read_deliveries(event: object) -> tuple[Delivery, ...] | None:
    """
    The deliveries of a Lambda event, or None for an event that did not come through SQS.

    Raises:
        UnreadableEvent: It says that it came through SQS, but lacks what SQS always tells. To
            answer with a message id that is none would bring back the whole batch, for ever.
    """
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list) or not records:
        return None
    if not all(
        isinstance(record, Mapping) and record.get("eventSource") == "aws:sqs"
        for record in records
    ):
        return None
    return tuple(_delivery_of(record) for record in records)


def _delivery_of(record: Mapping[str, Any]) -> Delivery:
    for name in ("messageId", "receiptHandle", "body"):
        if not isinstance(record.get(name), str) or not (
            record[name] or name == "body"
        ):
            raise UnreadableEvent(
                f"a record of eventSource aws:sqs has no {name}: this is no event of SQS; "
                "to invoke the function by hand, send the S3 notification itself"
            )
    attributes = record.get("messageAttributes") or {}
    told = record.get("attributes") or {}
    sent = _count(str(told.get("SentTimestamp", "")))
    return Delivery(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        body=record["body"],
        # A letter that AWS's own redrive moved back still has its code; that is a replay, too.
        replays=read_replays(attributes) + ("ErrorCode" in attributes),
        receives=max(1, _count(str(told.get("ApproximateReceiveCount", "")))),
        sent_at=sent / 1000 if sent else None,
        again=_again(attributes),
    )


def _again(attributes: Mapping[str, Any]) -> str | None:
    attribute = attributes.get(AGAIN) or {}
    token = attribute.get("stringValue")
    return token if _is_text(token) and len(token) <= _TOKEN_LENGTH else None


def read_replays(attributes: Mapping[str, Any]) -> int:
    """The number in the message attribute `Replays`; 0 where there is none to be read."""
    return read_count(attributes, "Replays")


def read_count(attributes: Mapping[str, Any], name: str) -> int:
    """The number in the message attribute *name*; 0 where there is none to be read."""
    attribute = attributes.get(name) or {}
    text = attribute.get("stringValue") or attribute.get("StringValue") or ""
    return _count(text)


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def read_body(body: str) -> tuple[Entry, ...]:
    """What a message holds. One bad record does not hide its neighbours."""
    try:
        document = _parsed(body)
    except ValueError as error:
        return (_unreadable(f"the body is not JSON: {error}", body),)
    return read_document(document, body)


def _parsed(body: str) -> object:
    """Raises ValueError. What is nested more deeply than the parser can go is cut off there."""
    try:
        return json.loads(body, parse_int=_number)
    except RecursionError:
        return json.loads(_pruned(body), parse_int=_number)


def _number(text: str) -> int | str:
    """A whole number; as its text, if it has more digits than Python makes numbers of."""
    return int(text) if len(text) <= _LONGEST_NUMBER else text


def read_document(document: object, body: str) -> tuple[Entry, ...]:
    """Like `read_body`, for a body that is parsed already."""
    if not isinstance(document, Mapping):
        kind = type(document).__name__
        return (_unreadable(f"the body is a JSON {kind}, not an object", body),)
    if document.get("Event") == "s3:TestEvent":
        return (Skip(SkipReason.TEST_EVENT, None),)
    if document.get("source") == "aws.s3" and isinstance(
        document.get("detail"), Mapping
    ):
        return (_read_eventbridge(document, body),)
    undelivered = _undelivered_event(document)
    if undelivered == TRY_AGAIN:
        # The schedule's, while the function could not run at all: it has come again since
        return (Skip(SkipReason.NOT_AN_UPLOAD, None),)
    if undelivered is not None:
        return read_document(undelivered, body)
    records = document.get("Records")
    if not isinstance(records, list) or not records:
        return (
            _unreadable(
                "the body is neither an S3 notification nor an EventBridge event of S3",
                body,
            ),
        )
    return _read_records(records, body)


def _read_records(records: list[object], body: str) -> tuple[Entry, ...]:
    """
    What nobody can read is one entry, the last: one letter, not thousands of what came together.

    If that is all of them, it is the body, byte for byte.
    """
    entries: list[Entry] = []
    unreadable: list[object] = []
    first_trouble = ""
    is_writable = True
    for record in records:
        try:
            entries.append(_upload_of_record(record))
        except _NoUpload as error:
            first_trouble = first_trouble or str(error)
            unreadable.append(record)
            is_writable = is_writable and not isinstance(error, _TooDeep)
    if not unreadable:
        return tuple(entries)
    message = first_trouble
    if len(records) > 1:
        message = (
            f"{len(unreadable):,} of {len(records):,} records are no upload events; "
            f"the first: {first_trouble}"
        )
    if entries and is_writable:
        # Written anew, numbers may be longer than they came: as long as nobody can send
        rewritten = _notification(unreadable)
        body = rewritten if len(rewritten) <= len(body) else body
    return (*entries, _unreadable(message, body))


_LONGEST_NUMBER = 4_000  # Python's own limit is 4,300 digits

_LEVELS = 32
"""
Of nesting in a record; S3's have four. What can just be read may be too deep to be written again,
and a record is written again on its dead letter.
"""

_BRACKETS_AND_TEXTS = re.compile(r'[\[{]|[\]}]|"(?:[^"\\]|\\.)*+"?', re.DOTALL)


def _pruned(text: str) -> str:
    """JSON with a 0 for what is nested so deeply that its record is unreadable anyway."""
    kept: list[str] = []
    depth = begin = 0
    deepest = 2 * _LEVELS
    for found in _BRACKETS_AND_TEXTS.finditer(text):
        if found[0] in "[{":
            if depth == deepest:
                kept += text[begin : found.start()], "0"
                begin = len(text)  # until it ends
            depth += 1
        elif found[0] in "]}":
            depth -= 1
            if depth == deepest:
                begin = found.end()
    return "".join(kept) + text[begin:]


def _is_deeper_than(levels: int, value: object) -> bool:
    children: Iterable[object] = ()
    if isinstance(value, Mapping):
        children = value.values()
    elif isinstance(value, list):
        children = value
    return levels == 0 or any(_is_deeper_than(levels - 1, child) for child in children)


def _undelivered_event(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """
    The event inside a Lambda destination record.

    Lambda writes one to the dead-letter queue when a bare event could not be put on the upload
    queue; replayed, it is read like the event itself.
    """
    payload = document.get("requestPayload")
    if "requestContext" in document and isinstance(payload, Mapping):
        return payload if "requestPayload" not in payload else None
    return None


def _unreadable(message: str, body: str) -> Unreadable:
    return Unreadable(UnreadableEvent(message), body)


class _NoUpload(ValueError):
    """A record lacks what an upload needs."""


class _TooDeep(_NoUpload):
    """It may be too deep to be written again."""

    def __init__(self) -> None:
        super().__init__("the record is nested too deeply for an event")


def _upload_of_record(record: object) -> Upload | Skip:
    if _is_deeper_than(_LEVELS, record):
        raise _TooDeep
    if not isinstance(record, Mapping) or record.get("eventSource") != "aws:s3":
        raise _NoUpload("the record is not of eventSource aws:s3")
    name = _text(record, "eventName")
    bucket = _text(_mapping(record, "s3", "bucket"), "name")
    found = _mapping(record, "s3", "object")
    try:
        key = unquote_plus(_text(found, "key"), errors="strict")
    except UnicodeDecodeError as error:
        raise _NoUpload(f"s3.object.key is not UTF-8: {error}") from error
    # Direct notifications say "ObjectCreated:Put", topics' configurations "s3:ObjectCreated:Put"
    if not name.removeprefix("s3:").startswith("ObjectCreated:"):
        return Skip(SkipReason.NOT_AN_UPLOAD, f"s3://{bucket}/{key}")
    return _upload_or_marker(
        bucket=bucket,
        key=key,
        found=found,
        etag=found.get("eTag"),
        version_id=found.get("versionId"),
        record=record,
    )


def entry_of_object(
    *,
    bucket: str,
    key: str,
    version_id: str | None,
    etag: str | None,
    size: int | None,
    at: str,
) -> Entry:
    """
    An object that was there before anybody heard of it, as an upload; *at* is ISO 8601, UTC.

    Its record is S3's, but for the sequencer: what is not known to be newer than another version
    never counts as newer.
    """
    record = _record(
        bucket=bucket,
        key=key,
        size=size,
        etag=etag,
        version_id=version_id,
        at=at,
    )
    try:
        return _upload_of_record(record)
    except _NoUpload as error:
        return _unreadable(str(error), _notification([record]))


def _read_eventbridge(event: Mapping[str, Any], body: str) -> Entry:
    try:
        if _is_deeper_than(_LEVELS, event):
            raise _TooDeep
        detail = event["detail"]
        bucket = _text(_mapping(detail, "bucket"), "name")
        found = _mapping(detail, "object")
        key = _text(found, "key")
        if event.get("detail-type") != "Object Created":
            return Skip(SkipReason.NOT_AN_UPLOAD, f"s3://{bucket}/{key}")
        return _upload_or_marker(
            bucket=bucket,
            key=key,
            found=found,
            etag=found.get("etag"),
            version_id=found.get("version-id"),
            record=_as_notification_record(event, bucket, key, found),
        )
    except _NoUpload as error:
        return _unreadable(f"EventBridge event: {error}", body)


_EVENT_NAMES = {
    "PutObject": "ObjectCreated:Put",
    "POST Object": "ObjectCreated:Post",
    "CopyObject": "ObjectCreated:Copy",
    "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
}


def _as_notification_record(
    event: Mapping[str, Any], bucket: str, key: str, found: Mapping[str, Any]
) -> dict[str, Any]:
    """An EventBridge event as the record that S3 would have sent to a queue."""
    reason = event["detail"].get("reason")
    return _record(
        bucket=bucket,
        arn=_bucket_arn(event, bucket),
        key=key,
        size=found.get("size"),
        etag=found.get("etag"),
        version_id=found.get("version-id"),
        sequencer=found.get("sequencer"),
        at=event.get("time"),
        name=_EVENT_NAMES.get(str(reason), _PUT),
        region=event.get("region"),
    )


_PUT = "ObjectCreated:Put"


def _record(
    *,
    bucket: str,
    key: str,
    size: object,
    etag: object,
    version_id: object,
    at: object,
    sequencer: object = None,
    arn: str | None = None,
    name: str = _PUT,
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
    return value if _is_text(value) and len(value) <= _TOKEN_LENGTH else None


def _notification(records: list[Any]) -> str:
    """
    Records as a notification: JSON, no longer than its text has to be.

    Only what SQS takes in no message is escaped: it may have come so.
    """
    text = json.dumps({"Records": records}, ensure_ascii=False, separators=(",", ":"))
    return _NOT_IN_A_MESSAGE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_NOT_IN_A_MESSAGE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def _bucket_arn(event: Mapping[str, Any], bucket: str) -> str:
    resources = event.get("resources")
    if isinstance(resources, list) and resources and _is_text(resources[0]):
        return resources[0]
    return f"arn:aws:s3:::{bucket}"


def _upload_or_marker(
    *,
    bucket: str,
    key: str,
    found: Mapping[str, Any],
    etag: object,
    version_id: object,
    record: Mapping[str, Any],
) -> Upload | Skip:
    if len(key.encode()) > _KEY_BYTES or len(bucket.encode()) > _BUCKET_BYTES:
        raise _NoUpload("the bucket's name or the key is longer than S3 allows")
    for name, value in (("eTag", etag), ("versionId", version_id)):
        if _is_text(value) and len(value.encode()) > _VERSION_BYTES:
            raise _NoUpload(f"the {name} is longer than S3 allows")
    size = found.get("size")
    upload = Upload(
        bucket=bucket,
        key=key,
        # "null" is what S3 calls the version of an object that has none
        version_id=version_id
        if version_id != "null" and _is_text(version_id)
        else None,
        etag=(etag.strip('"') or None) if _is_text(etag) else None,
        size=size if isinstance(size, int) and not isinstance(size, bool) else None,
        sequencer=_sequencer(found.get("sequencer")),
        record=record,
    )
    if key.endswith("/") and upload.size == 0:
        return Skip(SkipReason.FOLDER_MARKER, upload.uri, upload)
    return upload


# S3's limits (buckets made before 2018 in us-east-1 may have the longer name)
_KEY_BYTES = 1_024
_BUCKET_BYTES = 255
_VERSION_BYTES = 1_024
_SEQUENCER_DIGITS = 64  # AWS's have 16 to 18 today
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def _sequencer(value: object) -> str | None:
    if (
        _is_text(value)
        and len(value) <= _SEQUENCER_DIGITS
        and _HEX_DIGITS.issuperset(value)
    ):
        return value
    return None


def _bounded(prefix: str, value: str) -> str:
    if len(value.encode()) <= 900:
        return prefix + value
    return f"{prefix}sha256:{hashlib.sha256(value.encode()).hexdigest()}"


def _mapping(parent: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    value: Any = parent
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping):
        raise _NoUpload(f"{'.'.join(path)} is missing")
    return value


def _text(parent: Mapping[str, Any], name: str) -> str:
    value = parent.get(name)
    if not _is_text(value):
        raise _NoUpload(f"{name} is missing")
    return value


def _is_text(value: object) -> TypeGuard[str]:
    if not isinstance(value, str) or not value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can spell half a character: "\ud800"
        return False
    return True
