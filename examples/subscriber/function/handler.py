"""
Writes the tags of an image to S3, as object tags of exactly the version that was tagged.

This subscriber of Hangtag reads nothing but announcements, which docs/events.md describes, and
imports nothing of Hangtag. A small table has the place of the newest announcement of each key, so
that repeated and older ones change nothing.
"""

from __future__ import annotations

import json
import logging
import os
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

LOG = logging.getLogger(__name__)
LOG.setLevel(logging.INFO)

TAGGED = "hangtag.image.tagged.v1"

PREFIX = "hangtag-"
TAGS = ("category", "item", "color", "objectType", "look", "gender", "productId")
"""The message attributes that become object tags; the last are left out if there is no room."""

# S3's limits
MOST_TAGS = 10
LONGEST_VALUE = 256
ALLOWED = frozenset("_.:/=+-@")
"""Besides letters, digits and blanks."""

GONE = {"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"}
"""S3's errors if the version was deleted, or is a delete marker."""


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Handle each message; SQS delivers those again that failed."""
    failed = []
    for message in event["Records"]:
        try:
            outcome = handle(
                json.loads(message["body"]),
                attributes_of(message),
                s3=client("s3"),
                table=client("dynamodb"),
                table_name=os.environ["TABLE"],
            )
            LOG.info("%s: %s", message["messageId"], outcome)
        except Exception:
            # The other messages must not be repeated, whatever is wrong with this one.
            LOG.exception("%s failed", message["messageId"])
            failed.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failed}


def handle(
    announcement: dict[str, Any],
    attributes: Mapping[str, list[str]],
    *,
    s3: S3Client,
    table: DynamoDBClient,
    table_name: str,
) -> str:
    """
    Apply an announcement, unless it is a repetition or older than the newest one of its key.

    It is remembered last: after a crash, SQS delivers it again, and it is applied again.
    """
    image, position = announcement["data"]["image"], position_of(announcement)
    known = table.get_item(
        TableName=table_name, Key={"uri": {"S": image["uri"]}}, ConsistentRead=True
    ).get("Item")
    if known and known["position"]["S"] >= position:
        return "a repetition, or older than the newest announcement"
    if announcement["type"] == TAGGED:
        outcome = write_tags(image, tags_of(attributes), s3=s3)
    else:
        outcome = "the object is gone, and its tags with it"
    try:
        table.put_item(
            TableName=table_name,
            Item={
                "uri": {"S": image["uri"]},
                "position": {"S": position},
                "type": {"S": announcement["type"]},
            },
            ConditionExpression="attribute_not_exists(uri) OR #position < :position",
            ExpressionAttributeNames={"#position": "position"},
            ExpressionAttributeValues={":position": {"S": position}},
        )
    except table.exceptions.ConditionalCheckFailedException:
        return f"{outcome}; meanwhile, a newer announcement was applied"
    return outcome


def position_of(announcement: dict[str, Any]) -> str:
    """Return a text that sorts like the announcements of one key; a repetition has the same."""
    sequencer = announcement["data"]["image"]["sequencer"] or ""
    return f"{sequencer.upper():0>64}#{announcement['time']}#{announcement['id']}"


def attributes_of(message: dict[str, Any]) -> dict[str, list[str]]:
    """Return the message attributes; one of type String is a list of one value."""
    return {
        name: json.loads(attribute["stringValue"])
        if attribute["dataType"] == "String.Array"
        else [attribute["stringValue"]]
        for name, attribute in message["messageAttributes"].items()
    }


def tags_of(attributes: Mapping[str, list[str]]) -> dict[str, str]:
    """
    Return the object tags for message attributes, the most important first.

    A truncated announcement, which has no `objects`, has message attributes like any other.
    """
    tags = {
        f"{PREFIX}{name}": joined(attributes[name])
        for name in TAGS
        if name in attributes
    }
    return {name: value for name, value in tags.items() if value}


def joined(values: Iterable[str]) -> str:
    """Join values with a plus sign, as many as fit into the value of a tag."""
    text = ""
    for value in filter(None, map(cleaned, values)):
        longer = f"{text}+{value}" if text else value
        if length(longer) <= LONGEST_VALUE:
            text = longer
    return text


def cleaned(value: str) -> str:
    """Replace the characters that S3 refuses in a tag: by `_`, blanks of all kinds by a blank."""
    kinds = {"L": None, "N": None, "Z": " "}
    return "".join(
        c if c in ALLOWED else kinds.get(unicodedata.category(c)[0], "_") or c
        for c in unicodedata.normalize("NFC", value)
    ).strip()


def length(text: str) -> int:
    """Return the length as S3 counts it, in units of UTF-16."""
    return len(text.encode("utf-16-le")) // 2


def write_tags(image: dict[str, Any], tags: Mapping[str, str], *, s3: S3Client) -> str:
    """Replace our tags of the object version; tags of others stay."""
    if image["versionId"] is None:
        return "not tagged: the bucket has no versions"
    version = {
        "Bucket": image["bucket"],
        "Key": image["key"],
        "VersionId": image["versionId"],
    }
    try:
        found = s3.get_object_tagging(**version)["TagSet"]
        present = {tag["Key"]: tag["Value"] for tag in found}
        wanted = merged(present, tags)
        if wanted == present:
            return "has the tags already"
        s3.put_object_tagging(
            **version,
            Tagging={
                "TagSet": [{"Key": name, "Value": wanted[name]} for name in wanted]
            },
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            return "not tagged: the version is gone"
        raise
    return "tagged"


def merged(present: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of others, and as many of ours as there is room for."""
    others = {
        name: value for name, value in present.items() if not name.startswith(PREFIX)
    }
    room = MOST_TAGS - len(others)
    return others | dict(list(tags.items())[:room])


@cache
def client(service: str) -> Any:  # noqa: ANN401 - boto3's types need the literal name
    """Return a boto3 client; each instance of the function makes it once."""
    return boto3.client(service)  # type: ignore[call-overload]
