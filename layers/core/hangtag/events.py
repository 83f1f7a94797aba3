"""SQS messages in, uploads out: what a Lambda event holds, record by record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from hangtag.errors import UnreadableEvent
from hangtag.uploads import (
    BUCKET_BYTES,
    KEY_BYTES,
    PUT,
    SEQUENCER_DIGITS,
    VERSION_BYTES,
    Skip,
    SkipReason,
    Upload,
    is_text,
    notification_of,
    notification_record,
)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record, or a whole body, that is no upload event."""

    error: UnreadableEvent
    body: str
    """What a dead letter carries: the body byte for byte, or a notification of the one record."""


RECONCILE = {"hangtag": "try again"}
"""What the stack's schedule sends to the function, for the breaker."""


RETAG_ATTRIBUTE = "Again"
"""
The message attribute of an order to tag also what is tagged already: a token of the order.

An upload is asked about once for each token, however often the message comes.
"""


TOKEN_LENGTH = 100


ParsedRecord = Upload | Skip | Unreadable
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
    retag: str | None = None
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
        retag=_retag(attributes),
    )


def _retag(attributes: Mapping[str, Any]) -> str | None:
    attribute = attributes.get(RETAG_ATTRIBUTE) or {}
    token = attribute.get("stringValue")
    return token if is_text(token) and len(token) <= TOKEN_LENGTH else None


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


def read_body(body: str) -> tuple[ParsedRecord, ...]:
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


def read_document(document: object, body: str) -> tuple[ParsedRecord, ...]:
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
    if undelivered == RECONCILE:
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


def _read_records(records: list[object], body: str) -> tuple[ParsedRecord, ...]:
    """
    What nobody can read is one entry, the last: one letter, not thousands of what came together.

    If that is all of them, it is the body, byte for byte.
    """
    entries: list[ParsedRecord] = []
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
        rewritten = notification_of(unreadable)
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


def record_of_object(
    *,
    bucket: str,
    key: str,
    version_id: str | None,
    etag: str | None,
    size: int | None,
    at: str,
) -> ParsedRecord:
    """
    An object that was there before anybody heard of it, as an upload; *at* is ISO 8601, UTC.

    Its record is S3's, but for the sequencer: what is not known to be newer than another version
    never counts as newer.
    """
    record = notification_record(
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
        return _unreadable(str(error), notification_of([record]))


def _read_eventbridge(event: Mapping[str, Any], body: str) -> ParsedRecord:
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
    return notification_record(
        bucket=bucket,
        arn=_bucket_arn(event, bucket),
        key=key,
        size=found.get("size"),
        etag=found.get("etag"),
        version_id=found.get("version-id"),
        sequencer=found.get("sequencer"),
        at=event.get("time"),
        name=_EVENT_NAMES.get(str(reason), PUT),
        region=event.get("region"),
    )


def _bucket_arn(event: Mapping[str, Any], bucket: str) -> str:
    resources = event.get("resources")
    if isinstance(resources, list) and resources and is_text(resources[0]):
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
    if len(key.encode()) > KEY_BYTES or len(bucket.encode()) > BUCKET_BYTES:
        raise _NoUpload("the bucket's name or the key is longer than S3 allows")
    for name, value in (("eTag", etag), ("versionId", version_id)):
        if is_text(value) and len(value.encode()) > VERSION_BYTES:
            raise _NoUpload(f"the {name} is longer than S3 allows")
    size = found.get("size")
    upload = Upload(
        bucket=bucket,
        key=key,
        # "null" is what S3 calls the version of an object that has none
        version_id=version_id if version_id != "null" and is_text(version_id) else None,
        etag=(etag.strip('"') or None) if is_text(etag) else None,
        size=size if isinstance(size, int) and not isinstance(size, bool) else None,
        sequencer=_sequencer(found.get("sequencer")),
        record=record,
    )
    if key.endswith("/") and upload.size == 0:
        return Skip(SkipReason.FOLDER_MARKER, upload.uri, upload)
    return upload


_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def _sequencer(value: object) -> str | None:
    if (
        is_text(value)
        and len(value) <= SEQUENCER_DIGITS
        and _HEX_DIGITS.issuperset(value)
    ):
        return value
    return None


def _mapping(parent: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    value: Any = parent
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping):
        raise _NoUpload(f"{'.'.join(path)} is missing")
    return value


def _text(parent: Mapping[str, Any], name: str) -> str:
    value = parent.get(name)
    if not is_text(value):
        raise _NoUpload(f"{name} is missing")
    return value
