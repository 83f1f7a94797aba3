"""Waits for the results, announcements and dead letters of a running stack."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from events.validation import require_valid
from hangtag.announcements import TAGGED
from local.processes import wait_for
from local.stack import Letter, Stack, text_attributes

T = TypeVar("T")
WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """An announcement as received by a subscriber."""

    document: dict[str, Any]
    attributes: dict[str, str | list[str]]


class Subscriber:
    """A queue with a subscription to the results topic of the stack."""

    def __init__(
        self, stack: Stack, name: str, attributes: Mapping[str, str] | None = None
    ) -> None:
        """
        Subscribe a new queue of this name; it does not receive earlier messages.

        *attributes* are further ones of the subscription, such as `FilterPolicy`.
        """
        topic = stack.outputs["ResultsTopicArn"]
        self._sns = stack.access.client("sns")
        self._sqs = stack.access.client("sqs")
        self._received: list[dict[str, Any]] = []
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"]
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
                }
            ],
        }
        self._sqs.set_queue_attributes(
            QueueUrl=self._url, Attributes={"Policy": json.dumps(policy)}
        )
        self._subscription = self._sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=arn,
            Attributes={"RawMessageDelivery": "true", **(attributes or {})},
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]

    def close(self) -> None:
        """End the subscription and delete the queue."""
        self._sns.unsubscribe(SubscriptionArn=self._subscription)
        self._sqs.delete_queue(QueueUrl=self._url)

    def announcements(self) -> list[Announcement]:
        """
        List all announcements received so far, in the sequence of their arrival.

        Raises:
            InvalidAnnouncement: One of them does not have the form of its schema.
        """
        self._receive()
        return [
            Announcement(
                document=json.loads(message["Body"]),
                attributes=announced_attributes(message["MessageAttributes"]),
            )
            for message in self._received
        ]

    def _receive(self) -> None:
        while messages := self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                require_valid(message["Body"])
                self._received.append(message)
                self._sqs.delete_message(
                    QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"]
                )


@dataclass(frozen=True, slots=True)
class WatchedStack(Stack):
    """
    A running stack with a subscriber to its results topic.

    A wait that times out raises LocalError with the end of the function's log.
    """

    subscriber: Subscriber

    def announcements(
        self, key: str | None = None, *, type_: str | None = None
    ) -> list[Announcement]:
        """List all announcements received so far, or those of one key or one event type."""
        return [
            one
            for one in self.subscriber.announcements()
            if key in (None, one.document["subject"])
            and type_ in (None, one.document["type"])
        ]

    def wait_for(
        self,
        check: Callable[[], T | None],
        awaited: str,
        *,
        seconds: float = WAIT_SECONDS,
    ) -> T:
        """Call `check` until it returns a value, and return that value; `awaited` describes it."""
        return wait_for(
            check,
            seconds=seconds,
            otherwise=lambda: self.with_log(
                f"timed out after {seconds:g} s waiting for {awaited}"
            ),
        )

    def with_log(self, problem: str) -> str:
        """Append the end of the function's log, which may show the cause, to a message."""
        return f"{problem}\n\nThe end of the function's log:\n{self.function_log()}"

    def wait_for_result(
        self, uri: str, *, version: str | None = None, status: str | None = None
    ) -> dict[str, Any]:
        """Wait for the result of an upload, optionally of one version or with one status."""

        def check() -> dict[str, Any] | None:
            result = self.result(uri)
            if result is None:
                return None
            matches = version in (None, result["image"]["versionId"]) and status in (
                None,
                result["status"],
            )
            return result if matches else None

        return self.wait_for(check, f"a result of {uri}")

    def wait_for_announcement(self, key: str, *, type_: str = TAGGED) -> Announcement:
        """Wait for the first announcement of a key that has this event type."""
        return self.wait_for(
            lambda: next(iter(self.announcements(key, type_=type_)), None),
            f"an announcement of {key}",
        )

    def wait_for_dead_letter(self, uri: str) -> Letter:
        """Wait for the first dead letter of an upload."""
        return self.wait_for(
            lambda: next(iter(self.dead_letters(uri)), None), f"a dead letter of {uri}"
        )


def watch(stack: Stack, subscriber_name: str) -> WatchedStack:
    """Add a new subscriber of this name to a stack; it receives messages from now on."""
    subscriber = Subscriber(stack, subscriber_name)
    return WatchedStack(stack.access, stack.sandbox, stack.outputs, subscriber)


def announced_attributes(attributes: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Parse the message attributes of an announcement; SQS has a String.Array as JSON."""
    return {
        name: json.loads(text)
        if attributes[name]["DataType"] == "String.Array"
        else text
        for name, text in text_attributes(attributes).items()
    }
