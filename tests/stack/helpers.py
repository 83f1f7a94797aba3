"""Helpers for the tests on the stack."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image, ImageDraw

from local.ledger import RESULT
from local.watch import WatchedStack


def picture(seed: str, format_name: str = "PNG") -> bytes:
    """Draw a small image of a garment; each seed gives a different image."""
    color = hashlib.sha256(seed.encode()).digest()[:3]
    image = Image.new("RGB", (120, 160), "white")
    ImageDraw.Draw(image).rectangle((30, 40, 90, 130), fill=tuple(color))
    file = io.BytesIO()
    image.save(file, format_name)
    return file.getvalue()


def sha256(content: bytes) -> str:
    """Return the digest by which the sandbox identifies an image."""
    return hashlib.sha256(content).hexdigest()


def calls_about(stack: WatchedStack, content: bytes) -> list[dict[str, Any]]:
    """List the API calls with an image."""
    return [call for call in stack.sandbox_calls() if call["sha256"] == sha256(content)]


def records_of(stack: WatchedStack, key: str) -> list[dict[str, Any]]:
    """Return the records of all versions of a key."""
    return [one for one in _items_of(stack, key) if one["version"]["S"] != RESULT]


def result_of(stack: WatchedStack, key: str) -> dict[str, Any]:
    """Return the result of a key."""
    [item] = [one for one in _items_of(stack, key) if one["version"]["S"] == RESULT]
    return item


def _items_of(stack: WatchedStack, key: str) -> list[dict[str, Any]]:
    found = stack.client("dynamodb").query(
        TableName=stack.outputs["ResultsTableName"],
        KeyConditionExpression="uri = :uri",
        ExpressionAttributeValues={":uri": {"S": stack.uri(key)}},
        ConsistentRead=True,
    )
    items: list[dict[str, Any]] = found["Items"]
    return items


def request_replay(
    stack: WatchedStack,
    request: dict[str, Any],
    client: Any = None,  # noqa: ANN401 - as `WatchedStack.client` returns it
) -> dict[str, Any]:
    """Invoke the function ReplayFailures, and return its response, or its error."""
    answer = (client or stack.client("lambda")).invoke(
        FunctionName=stack.outputs["ReplayFailuresFunctionName"],
        Payload=json.dumps(request).encode(),
    )
    response: dict[str, Any] = json.loads(answer["Payload"].read())
    return response


def notification(stack: WatchedStack, key: str, version: str) -> str:
    """Return a minimal S3 notification."""
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": stack.outputs["UploadsBucketName"]},
            "object": {"key": key, "versionId": version},
        },
    }
    return json.dumps({"Records": [record]})


@contextmanager
def configured(stack: WatchedStack, **variables: str | None) -> Iterator[None]:
    """Set environment variables of the function, or remove them, while the context lasts."""
    functions = stack.client("lambda")
    name = stack.outputs["TagUploadsFunctionName"]
    deployed = functions.get_function_configuration(FunctionName=name)["Environment"]
    changed = {**deployed["Variables"], **variables}
    kept = {name: value for name, value in changed.items() if value is not None}
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": kept}
    )
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Environment=deployed)


@contextmanager
def without_notifications(stack: WatchedStack) -> Iterator[None]:
    """Switch off the bucket's notifications while the context lasts."""
    client = stack.client("s3")
    bucket = stack.outputs["UploadsBucketName"]
    original = client.get_bucket_notification_configuration(Bucket=bucket)
    original.pop("ResponseMetadata", None)
    client.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={}
    )
    try:
        yield
    finally:
        client.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=original
        )


def wait_until_idle(stack: WatchedStack) -> None:
    """Wait until the upload queue is empty."""
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]

    def idle() -> bool | None:
        counts = stack.client("sqs").get_queue_attributes(
            QueueUrl=stack.outputs["UploadQueueUrl"], AttributeNames=names
        )["Attributes"]
        return True if all(counts[name] == "0" for name in names) else None

    stack.wait_for(idle, "the upload queue to be empty")
