"""The announcements, on SNS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hangtag.adapters.aws_errors import translated
from hangtag.announcements import Announcement
from hangtag.errors import AnnouncementFailed
from hangtag.results import own_part
from hangtag.text import printable, to_attribute, to_printable_json

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef


_MAX_BYTES = 256 * 1024  # SNS's limit for a message with its attributes


class SnsAnnouncer:
    """`Announcer` on SNS."""

    def __init__(self, client: SNSClient, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def announce(self, announcement: Announcement) -> None:
        subject = printable(announcement.document["subject"])
        message = announcement.message()
        attributes = _attributes(announcement)
        size = len(message.encode()) + sum(
            len(name.encode()) + len(str(value).encode())
            for name, value in attributes.items()
        )
        if size > _MAX_BYTES:
            message = to_printable_json(
                {
                    **announcement.document,
                    "data": {
                        **own_part(announcement.document["data"]),
                        "truncated": True,
                    },
                }
            )
        with translated(AnnouncementFailed, f"announcing {subject}"):
            self._client.publish(
                TopicArn=self._topic_arn,
                Message=message,
                MessageAttributes=attributes,
            )


def _attributes(
    announcement: Announcement,
) -> dict[str, MessageAttributeValueTypeDef]:
    attributes: dict[str, MessageAttributeValueTypeDef] = {
        name: {"DataType": "String", "StringValue": to_attribute(value)}
        for name, value in announcement.texts.items()
        if to_attribute(value).strip()
    }
    for name, values in announcement.lists.items():
        attributes[name] = {
            "DataType": "String.Array",
            "StringValue": json.dumps(
                [to_attribute(value) for value in values], ensure_ascii=False
            ),
        }
    return attributes
