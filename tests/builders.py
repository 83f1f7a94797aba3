"""Builders of valid objects; a test changes only the fields that matter to it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote_plus

from hangtag.dead_letters import DeadLetter
from hangtag.events import Delivery, read_body
from hangtag.failure import Failure
from hangtag.lifecycle import CallReason, FailedUpload, Record, UploadKey, fail
from hangtag.operators.ports import Letter
from hangtag.results import Document, failed_result, tagged_result
from hangtag.tagger_api import (
    PIECE_BYTES,
    Answer,
    Base64Body,
    Context,
    Language,
    read_answer,
)
from hangtag.text import to_json
from hangtag.uploads import Upload

REPOSITORY = Path(__file__).parent.parent
EVENTS = REPOSITORY / "events"

BUCKET = "hangtag-uploads-example"
KEY = "lookbook/spring jacket.jpg"
URI = f"s3://{BUCKET}/{KEY}"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:uploads"
NOON = "2026-11-22T12:00:00.000Z"
NOON_SECONDS = 1_795_348_800.0
API_KEY = "key-of-the-tests"

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
"""The first bytes of a PNG; Hangtag reads no further."""

FIRST_BYTES = {
    "image/bmp": b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00",
    "image/gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01",
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR",
    "image/tiff": b"II*\x00\x08\x00\x00\x00\x0e\x00\xfe\x00\x04\x00\x01\x00",
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
}


def sample_event(name: str) -> dict[str, Any]:
    """The event in `events/<name>.json`."""
    text = (EVENTS / f"{name}.json").read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text))


# ---- events


def record(
    key: str = KEY,
    *,
    bucket: str = BUCKET,
    version_id: str | None = "version-1",
    etag: str | None = "0123456789abcdef",
    size: int | None = len(PNG),
    sequencer: str | None = "0065A3F1C2D4E5B607",
    event_name: str = "ObjectCreated:Put",
) -> dict[str, Any]:
    """A record of an S3 notification, without the fields that are None."""
    found = {
        "key": quote_plus(key, safe="/"),
        "size": size,
        "eTag": etag,
        "versionId": version_id,
        "sequencer": sequencer,
    }
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": NOON,
        "eventName": event_name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {
                name: value for name, value in found.items() if value is not None
            },
        },
    }


def notification(*records: object) -> str:
    """An S3 notification as the body of an SQS message, without blanks, as S3 writes it."""
    return json.dumps({"Records": list(records)}, separators=(",", ":"))


def eventbridge_event(
    key: str = KEY, *, reason: object = "PutObject"
) -> dict[str, Any]:
    """An EventBridge event of S3; its key is raw."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "123456789012",
        "time": NOON,
        "region": "eu-central-1",
        "resources": [f"arn:aws:s3:::{BUCKET}"],
        "detail": {
            "bucket": {"name": BUCKET},
            "object": {
                "key": key,
                "size": len(PNG),
                "etag": "0123456789abcdef",
                "version-id": "version-1",
                "sequencer": "0065A3F1C2D4E5B607",
            },
            "reason": reason,
        },
    }


def sns_envelope(message: str, **changes: object) -> dict[str, Any]:
    """The envelope in which SNS delivers a message, unless the subscription is raw."""
    return {
        "Type": "Notification",
        "MessageId": "9b2f8f7c-5b0e-5c44-9d3f-d0a1c3f9a0b1",
        "TopicArn": TOPIC,
        "Subject": "Amazon S3 Notification",
        "Message": message,
        "Timestamp": NOON,
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/cert.pem",
        "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
        **changes,
    }


def in_sns(body: str) -> str:
    """A body in an SNS envelope."""
    return json.dumps(sns_envelope(body))


def sns_event(*messages: str) -> dict[str, Any]:
    """The event with which SNS invokes a function that is subscribed itself."""
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": f"{TOPIC}:3c5b1f4e",
                "Sns": sns_envelope(message),
            }
            for message in messages
        ]
    }


def an_upload(key: str = KEY, **changes: Any) -> Upload:  # noqa: ANN401 - see `record`
    """The upload of a record with these fields."""
    (entry,) = read_body(notification(record(key, **changes)))
    assert isinstance(entry, Upload)
    return entry


def a_delivery(
    body: str | None = None, *, message_id: str = "message-1", replays: int = 0
) -> Delivery:
    """An SQS message; its receipt handle is made from its id."""
    return Delivery(
        message_id=message_id,
        receipt_handle=f"handle of {message_id}",
        body=notification(record()) if body is None else body,
        replays=replays,
    )


def copy_of(delivery: Delivery, name: str) -> Delivery:
    """The same event in another message."""
    return replace(delivery, message_id=name, receipt_handle=f"handle of {name}")


def message_of(delivery: Delivery) -> tuple[str, ...]:
    """The message id that is returned if this delivery is handed back."""
    return (delivery.message_id,)


def sqs_event(*bodies: str) -> dict[str, Any]:
    """The event with which Lambda invokes the function for these messages."""
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": f"handle of message-{number}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for number, body in enumerate(bodies, start=1)
        ]
    }


# ---- answers


def jacket() -> dict[str, Any]:
    """A garment with several colours, in the API's document shape."""
    return {
        "category": {"id": "T0360", "name": "jacket"},
        "position": {"x": Decimal("0.5033992828"), "y": Decimal("0.5039257706")},
        "item": {
            "id": "T0345",
            "name": "balmacaan-jacket",
            "confidence": Decimal("0.7787289023"),
        },
        "colors": [
            {"id": "T0326", "name": "beige", "confidence": Decimal("0.8287289023")},
            {"id": "EXAMPLE-1", "name": "khaki", "confidence": Decimal("0.10")},
        ],
        "looks": [
            {"id": "T0141", "name": "casual", "confidence": Decimal("0.8063992262")}
        ],
    }


def answer_document(*tags: dict[str, Any]) -> dict[str, Any]:
    """The body of a successful answer with these garments, or with a jacket."""
    return {
        "status": "ok",
        "data": {
            "imageInfo": [{"id": "T0449", "name": "nonFashion"}],
            "genderInfo": {"id": "T0418", "name": "male"},
            "objects": [{"type": "CLOTHING", "tags": list(tags) or [jacket()]}],
        },
        "error": None,
    }


def failed_answer_document(code: object, message: str = "no") -> dict[str, Any]:
    """The body of an answer with an error."""
    return {"status": "fail", "data": {}, "error": {"code": code, "message": message}}


def to_body(document: object) -> bytes:
    """A document as an HTTP body, with all digits of a `Decimal`."""
    return to_json(document).encode()


def a_body(
    image: bytes = PNG,
    media_type: str = "image/png",
    context: Context | None = None,
    *,
    with_prefix: bool = True,
) -> Base64Body:
    """A request with an image, in as many pieces as the function would have."""
    pieces = [
        image[start : start + PIECE_BYTES]
        for start in range(0, len(image), PIECE_BYTES)
    ]
    return Base64Body(
        pieces,
        len(image),
        media_type,
        context or Context(),
        with_prefix,
    )


def an_answer(*tags: dict[str, Any]) -> Answer:
    """A successful answer, as read by Hangtag."""
    return read_answer(to_body(answer_document(*tags)), http_status=201)


# ---- results and letters


def a_result(
    upload: Upload | None = None,
    *,
    answer: Answer | None = None,
    language: Language = "en",
    context: Context | None = None,
    tagged_at: str = NOON,
) -> Document:
    """A TAGGED result."""
    return tagged_result(
        upload or an_upload(),
        answer or an_answer(),
        language=language,
        context=context or Context(),
        tagged_at=tagged_at,
    )


def a_failure(
    code: str = "807", *, message: str = "Too small.", image_format: str = ""
) -> Failure:
    """The failure of an error."""
    return Failure(
        code=code,
        kind="permanent",
        message=message,
        source="api",
        attempts=1,
        failed_at=NOON,
        image_format=image_format,
    )


def a_failed_result(upload: Upload | None = None, code: str = "807") -> Document:
    """A FAILED result."""
    return failed_result(upload or an_upload(), a_failure(code))


def a_dead_letter(
    upload: Upload | None = None,
    *,
    code: str = "807",
    message: str = "Too small.",
    replays: int = 0,
    image_format: str = "",
) -> DeadLetter:
    """The dead letter of an upload."""
    upload = upload or an_upload()
    return DeadLetter(
        body=upload.notification(),
        failure=a_failure(code, message=message, image_format=image_format),
        image=upload.uri,
        replays=replays,
        request_id="request-1",
    )


def a_letter(letter_id: str, letter: DeadLetter | None = None) -> Letter:
    """A dead letter as received from the queue."""
    return Letter(letter_id, f"handle of {letter_id}", letter or a_dead_letter())


def a_failed_record(
    upload: Upload | None = None,
    *,
    code: str = "807",
    replays: int = 0,
    letter_id: str = "letter-1",
    failed_at: str = NOON,
) -> Record:
    """The record of an upload that failed with its first attempt."""
    upload = upload or an_upload()
    failed = FailedUpload(
        failure=replace(a_failure(code), failed_at=failed_at),
        notification=upload.notification(),
        letter_id=letter_id,
        request_id="request-1",
    )
    claimed = Record(rev="rev-1", sequencer=upload.sequencer, replays=replays)
    return fail(claimed, failed, calls={CallReason.FIRST: 1}, at=failed_at)


def key_of(upload: Upload) -> UploadKey:
    """The key of the upload's record."""
    return (upload.uri, upload.version)


# ---- the stream of the table


def stream_record(
    uri: str = URI,
    *,
    version: str,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A record of the table's stream; items in DynamoDB's notation, without their keys."""
    keys = {"uri": {"S": uri}, "version": {"S": version}}
    images = {"OldImage": old, "NewImage": new}
    names = {(False, True): "INSERT", (True, False): "REMOVE"}
    return {
        "eventID": "1",
        "eventName": names.get((old is not None, new is not None), "MODIFY"),
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
        "awsRegion": "eu-central-1",
        "dynamodb": {
            "ApproximateCreationDateTime": NOON_SECONDS,
            "Keys": keys,
            "SequenceNumber": "111",
            "SizeBytes": 26,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **{
                name: {**keys, **image}
                for name, image in images.items()
                if image is not None
            },
        },
    }


def stream_event(*records: dict[str, Any]) -> dict[str, Any]:
    """The event with which Lambda invokes a function for these changes."""
    return {"Records": list(records)}
