"""The announcements, on SNS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hangtag.adapters.aws_errors import translated
from hangtag.failures import AnnouncementFailed, printable
from hangtag.results import Announcement

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef


class SnsAnnouncer:
    """`Announcer` on SNS."""

    def __init__(self, client: SNSClient, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def announce(self, announcement: Announcement) -> None:
        subject = announcement.document["subject"]
        with translated(AnnouncementFailed, f"announcing {printable(subject)}"):
            self._client.publish(
                TopicArn=self._topic_arn,
                Message=announcement.message(),
                MessageAttributes=_attributes(announcement),
            )


def _attributes(
    announcement: Announcement,
) -> dict[str, MessageAttributeValueTypeDef]:
    attributes: dict[str, MessageAttributeValueTypeDef] = {
        name: {"DataType": "String", "StringValue": printable(value)}
        for name, value in announcement.texts.items()
        if printable(value).strip()
    }
    for name, values in announcement.lists.items():
        attributes[name] = {
            "DataType": "String.Array",
            "StringValue": json.dumps(
                [printable(value) for value in values], ensure_ascii=False
            ),
        }
    return attributes
