"""The upload queue, to which a backfill sends, on SQS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.adapters.aws_errors import DENIED, code_of, translated
from hangtag.errors import QueueUnavailable
from hangtag.events import RETAG_ATTRIBUTE

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

BACKFILL_GROUP = "backfill"
"""The message group of all backfills: SQS delivers other messages before a backlog of a group."""


class SqsUploadFeed:
    """`UploadFeed` on SQS."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, bodies: Sequence[str], *, again: str | None) -> Sequence[int]:
        attributes: dict[str, MessageAttributeValueTypeDef] = {}
        if again is not None:
            attributes[RETAG_ATTRIBUTE] = {"DataType": "String", "StringValue": again}
        try:
            response = self._client.send_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {
                        "Id": str(index),
                        "MessageBody": body,
                        "MessageAttributes": attributes,
                        "MessageGroupId": BACKFILL_GROUP,
                    }
                    for index, body in enumerate(bodies)
                ],
            )
        except (ClientError, BotoCoreError) as error:
            failed = QueueUnavailable(f"sending to the upload queue: {error}")
            failed.is_denied = (
                isinstance(error, ClientError) and code_of(error) in DENIED
            )
            raise failed from error
        return sorted(int(failed["Id"]) for failed in response.get("Failed", []))

    def depth(self) -> int:
        with translated(QueueUnavailable, "reading the depth of the upload queue"):
            attributes = self._client.get_queue_attributes(
                QueueUrl=self._queue_url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesDelayed",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
        return sum(int(count) for count in attributes.values())
