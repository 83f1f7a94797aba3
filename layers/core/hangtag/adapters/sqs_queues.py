"""The upload queue and the dead-letter queue, on SQS."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.adapters.aws_errors import translated
from hangtag.dead_letters import DeadLetter, read_letter
from hangtag.errors import QueueUnavailable
from hangtag.text import to_timestamp

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef, MessageTypeDef

    from hangtag.operators.ports import Letter

REPLAY_GROUP = "replay"
"""The message group of all replays, apart from backfills: neither waits for the other's backlog."""

_BATCH = 10  # SQS's limit of entries in a call
_HIDDEN_SECONDS = 30  # the design's limit for a letter that an operator's command holds


class SqsUploadQueue:
    """`UploadQueue` on SQS."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, body: str) -> None:
        with translated(QueueUnavailable, "sending to the upload queue"):
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=body)

    def delay(self, delays: Mapping[str, float]) -> None:
        troubles = _change_visibility(
            self._client,
            self._queue_url,
            {handle: math.ceil(seconds) for handle, seconds in delays.items()},
        )
        if troubles:
            raise QueueUnavailable(f"delaying messages: {'; '.join(troubles)}")


class SqsDeadLetterQueue:
    """`DeadLetterQueue` on SQS."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, letter: DeadLetter) -> str:
        with translated(QueueUnavailable, "sending to the dead-letter queue"):
            sent = self._client.send_message(
                QueueUrl=self._queue_url,
                MessageBody=letter.body,
                MessageAttributes=_text_attributes(letter.attributes()),
            )
        return sent["MessageId"]


class SqsDeadLetterBox:
    """`DeadLetterBox` on SQS."""

    def __init__(
        self, client: SQSClient, *, dead_letter_queue_url: str, upload_queue_url: str
    ) -> None:
        self._client = client
        self._dead_letter_queue_url = dead_letter_queue_url
        self._upload_queue_url = upload_queue_url

    def receive(self, most: int = _BATCH) -> Sequence[Letter]:
        with translated(QueueUnavailable, "reading the dead-letter queue"):
            answer = self._client.receive_message(
                QueueUrl=self._dead_letter_queue_url,
                MaxNumberOfMessages=min(most, _BATCH),
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
                VisibilityTimeout=_HIDDEN_SECONDS,
                # Long polling asks all of SQS's servers, short polling a sample
                WaitTimeSeconds=1,
            )
        return [_letter_of(message) for message in answer.get("Messages", [])]

    def count(self) -> int:
        with translated(QueueUnavailable, "counting the dead letters"):
            counts = self._client.get_queue_attributes(
                QueueUrl=self._dead_letter_queue_url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
        return sum(map(int, counts.values()))

    def put_back(self, letters: Iterable[Letter]) -> None:
        # What cannot be changed was deleted, or is visible again in 30 s by itself.
        _change_visibility(
            self._client,
            self._dead_letter_queue_url,
            {letter.receipt_handle: 0 for letter in letters},
        )

    def delete(self, letter: Letter) -> None:
        with translated(QueueUnavailable, f"deleting the dead letter {letter.id}"):
            self._client.delete_message(
                QueueUrl=self._dead_letter_queue_url,
                ReceiptHandle=letter.receipt_handle,
            )

    def resend(self, letter: Letter, *, replays: int) -> None:
        with translated(QueueUnavailable, f"replaying the dead letter {letter.id}"):
            self._client.send_message(
                QueueUrl=self._upload_queue_url,
                MessageBody=letter.letter.body,
                MessageAttributes=_text_attributes({"Replays": str(replays)}),
                MessageGroupId=REPLAY_GROUP,
            )


def _letter_of(message: MessageTypeDef) -> Letter:
    # Imported here, so that TagUploads does not load it
    from hangtag.operators.ports import Letter  # noqa: PLC0415

    attributes = {
        name: {"StringValue": value.get("StringValue", "")}
        for name, value in message.get("MessageAttributes", {}).items()
    }
    sent = int(message["Attributes"]["SentTimestamp"]) / 1000
    return Letter(
        id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        letter=read_letter(message["Body"], attributes, sent_at=to_timestamp(sent)),
    )


def _text_attributes(
    texts: Mapping[str, str],
) -> dict[str, MessageAttributeValueTypeDef]:
    return {
        name: {"DataType": "String", "StringValue": value}
        for name, value in texts.items()
    }


def _change_visibility(
    client: SQSClient, queue_url: str, seconds: Mapping[str, int]
) -> list[str]:
    """
    Hide messages for some seconds, by receipt handle.

    Returns the errors, as text. After an error, a message comes back when the visibility timeout
    that it has now runs out.
    """
    troubles: list[str] = []
    pairs = iter(seconds.items())
    while batch := list(islice(pairs, _BATCH)):
        try:
            answer = client.change_message_visibility_batch(
                QueueUrl=queue_url,
                Entries=[
                    {
                        "Id": str(number),
                        "ReceiptHandle": handle,
                        "VisibilityTimeout": timeout,
                    }
                    for number, (handle, timeout) in enumerate(batch)
                ],
            )
        except (ClientError, BotoCoreError) as error:
            troubles.append(str(error))
        else:
            troubles += [
                f"{failed['Code']}: {failed.get('Message', '')}"
                for failed in answer.get("Failed", [])
            ]
    return troubles
