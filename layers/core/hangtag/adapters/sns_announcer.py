"""The announcements, on SNS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hangtag.adapters.aws_errors import translated
from hangtag.announcements import Announcement
from hangtag.errors import AnnouncementFailed
from hangtag.text import printable

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class SnsAnnouncer:
    """`Announcer` on SNS."""

    def __init__(self, client: SNSClient, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def announce(self, announcement: Announcement) -> None:
        subject = printable(announcement.document["subject"])
        with translated(AnnouncementFailed, f"announcing {subject}"):
            self._client.publish(
                TopicArn=self._topic_arn,
                Message=announcement.message,
                MessageAttributes={
                    name: {"DataType": kind, "StringValue": value}
                    for name, (kind, value) in announcement.attributes().items()
                },
            )
