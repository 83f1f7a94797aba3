"""Subscribers receive what docs/events.md promises; the example writes object tags."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from hangtag.announcements import announcement_of
from hangtag.results import Document, removed_result
from hangtag.tagger_api import Context, read_answer
from hangtag.text import to_printable_json
from local.cloud import ROOT
from local.sam import overrides, sam
from local.watch import WatchedStack
from tests.builders import (
    NOON,
    a_failed_result,
    a_result,
    an_upload,
    answer_document,
    to_body,
)
from tests.events_page import filter_policies, snippets, template_of
from tests.stack.helpers import calls_about, picture, wait_until_idle

BUCKET = "hangtag-uploadsbucket-1abc2def3"
"""The bucket in the page's filter policy."""


# ---- announcements by hand: those that a test needs in a certain order


def publish(stack: WatchedStack, result: Document, **changes: object) -> None:
    """Announce a result as the function does, with changes of `data`; None leaves a field out."""
    announcement = announcement_of(
        result, bucket_arn=f"arn:aws:s3:::{result['image']['bucket']}"
    )
    data = announcement.document["data"] | changes
    changed = {name: value for name, value in data.items() if value is not None}
    attributes = {
        name: {"DataType": "String", "StringValue": text}
        for name, text in announcement.texts.items()
    } | {
        name: {"DataType": "String.Array", "StringValue": json.dumps(values)}
        for name, values in announcement.lists.items()
    }
    stack.client("sns").publish(
        TopicArn=stack.outputs["ResultsTopicArn"],
        Message=to_printable_json(announcement.document | {"data": changed}),
        MessageAttributes=attributes,
    )


def tagged(key: str, *, image_type: str = "CLOTHING", **tag: Any) -> Document:  # noqa: ANN401 - the API's shapes
    """The result of an image with one garment, in another bucket than the stack's."""
    document = answer_document()
    tags = [{"category": {"name": "skirt"}} | tag] if image_type != "NODETC" else []
    document["data"]["objects"] = [{"type": image_type, "tags": tags}]
    return a_result(
        an_upload(key, bucket="another-bucket"),
        answer=read_answer(to_body(document), http_status=201),
    )


def samples() -> list[Document]:
    """A result for each filter policy."""
    in_the_bucket = a_result(an_upload("filters/bucket.png", bucket=BUCKET))
    product = a_result(
        an_upload("filters/product.png", bucket="another-bucket"),
        context=Context(id="SKU-1042", brand="Example"),
    )
    return [
        tagged("filters/dress.png", category={"name": "dress"}),
        tagged("filters/red.png", colors=[{"name": "black"}, {"name": "red"}]),
        tagged("filters/wine.png", colors=[{"name": "wine"}]),
        tagged("filters/nothing.png", image_type="NODETC"),
        in_the_bucket,
        product,
        a_failed_result(an_upload("filters/failed.png", bucket="another-bucket")),
        removed_result(
            an_upload("filters/removed.png", bucket="another-bucket"), removed_at=NOON
        ),
    ]


# ---- filter policies

REAL = "uploaded.png"
"""A red garment that is uploaded. Its category is not tested: the sandbox invents it."""

MATCHES = {
    "Only dresses, under both names that versions of the API use": {"dress.png"},
    "Red or wine": {"red.png", "wine.png", REAL},
    "One bucket": {"bucket.png"},
    "One product": {"product.png"},
    "Everything but images in which nothing was found (`NODETC`)": {
        "red.png",
        "wine.png",
        "bucket.png",
        "product.png",
        "dress.png",
        REAL,
    },
    "Only failures": {"failed.png"},
    "One brand, which is no attribute: with `FilterPolicyScope: MessageBody`, a policy is about "
    "the event's fields": {"product.png"},
    "Dresses, and everything that is removed": {"removed.png", "dress.png"},
}
"""The keys that each policy of the page lets through, without their prefix."""


@dataclass
class Queue:
    """A queue that a subscription fills."""

    stack: WatchedStack
    url: str
    received: list[dict[str, Any]]

    def messages(self) -> list[dict[str, Any]]:
        """All messages so far."""
        sqs = self.stack.client("sqs")
        while more := sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            self.received += more
            for message in more:
                sqs.delete_message(
                    QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"]
                )
        return self.received

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a message."""
        return self.stack.wait_for(
            lambda: next(filter(wanted, self.messages()), None), f"{self.url}"
        )

    def keys(self, prefix: str) -> set[str]:
        """The keys below a prefix of the announcements so far."""
        subjects = {json.loads(one["Body"])["subject"] for one in self.messages()}
        return {key.removeprefix(prefix) for key in subjects if key.startswith(prefix)}


@contextmanager
def queue(stack: WatchedStack, name: str, service: str) -> Iterator[tuple[Queue, str]]:
    """A queue to which an AWS service may send, and its ARN, while the context lasts."""
    sqs = stack.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])[
        "Attributes"
    ]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    yield Queue(stack, url, []), arn
    sqs.delete_queue(QueueUrl=url)


@contextmanager
def subscribed(
    stack: WatchedStack, name: str, policy: Mapping[str, Any]
) -> Iterator[Queue]:
    """A queue that is subscribed with a filter policy while the context lasts."""
    sns = stack.client("sns")
    with queue(stack, name, "sns.amazonaws.com") as (made, arn):
        subscription = sns.subscribe(
            TopicArn=stack.outputs["ResultsTopicArn"],
            Protocol="sqs",
            Endpoint=arn,
            Attributes={
                "RawMessageDelivery": "true",
                "FilterPolicy": json.dumps(policy),
                "FilterPolicyScope": (
                    "MessageBody" if "data" in policy else "MessageAttributes"
                ),
            },
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        yield made
        sns.unsubscribe(SubscriptionArn=subscription)


def blank() -> Image.Image:
    """A white image."""
    return Image.new("RGB", (120, 160), "white")


def red_garment() -> Image.Image:
    """A red rectangle."""
    image = blank()
    ImageDraw.Draw(image).rectangle((30, 40, 90, 130), fill="#d22c31")
    return image


def png(image: Image.Image) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def received(stack: WatchedStack) -> Iterator[dict[str, set[str]]]:
    """
    The keys that each policy of the page let through.

    Two images are uploaded: a red garment, and one in which the sandbox finds nothing.
    """
    with ExitStack() as subscriptions:
        queues = {
            sentence: subscriptions.enter_context(
                subscribed(stack, f"filter-{number}", policy)
            )
            for number, (sentence, policy) in enumerate(filter_policies().items())
        }
        stack.upload(f"filters/{REAL}", png(red_garment()))
        stack.upload("filters/blank.png", png(blank()))
        for result in samples():
            publish(stack, result)
        for key in (f"filters/{REAL}", "filters/blank.png"):
            stack.wait_for_announcement(key)
        yield {sentence: one.keys("filters/") for sentence, one in queues.items()}


def test_every_policy_of_the_page_is_tested() -> None:
    """A new one needs a line in `MATCHES`."""
    assert set(filter_policies()) == set(MATCHES)


@pytest.mark.parametrize("sentence", MATCHES)
def test_a_filter_policy_lets_through_what_the_page_says(
    received: dict[str, set[str]], sentence: str
) -> None:
    """Announcements of all three types, some of them of images that were uploaded."""
    of_categories = "resses" in sentence
    matched = received[sentence] - ({REAL} if of_categories else set())

    assert matched == MATCHES[sentence]


# ---- subscriptions as SAM templates


@dataclass(frozen=True)
class Application:
    """A deployed application."""

    stack: WatchedStack
    name: str

    def resource(self, logical_id: str) -> str:
        """The physical id of a resource."""
        found = self.stack.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def queue(self, logical_id: str) -> Queue:
        """A queue."""
        return Queue(self.stack, self.resource(logical_id), [])


@contextmanager
def deployed(
    stack: WatchedStack, name: str, template: Path, folder: Path, **parameters: str
) -> Iterator[Application]:
    """Deploy a template beside the stack while the context lasts."""
    sam(
        "deploy",
        *("--template-file", str(template)),
        *("--stack-name", name),
        *("--parameter-overrides", overrides(parameters)),
        directory=folder,
        env=stack.access.environment(),
    )
    yield Application(stack, name)
    cloudformation = stack.client("cloudformation")
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)


@pytest.fixture(scope="module")
def page(
    stack: WatchedStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    """The page's subscriptions that the local cloud can deliver to."""
    folder = tmp_path_factory.mktemp("page")
    template = folder / "template.yaml"
    found = snippets()
    template.write_text(
        template_of(found["SQS"], found["Lambda"], found["EventBridge"]), "utf-8"
    )
    topic = stack.outputs["ResultsTopicArn"]
    with deployed(stack, "page", template, folder, TopicArn=topic) as application:
        yield application


def test_the_queue_of_the_page_gets_the_announcement_without_an_envelope(
    stack: WatchedStack, page: Application
) -> None:
    """The message is the event; attributes are those of the message."""
    stack.upload("page/sqs.png", picture("page sqs"), {"tagger-id": "SKU-1"})

    message = page.queue("Queue").wait_for(
        lambda one: json.loads(one["Body"])["subject"] == "page/sqs.png"
    )

    assert json.loads(message["Body"])["specversion"] == "1.0"
    attributes = message["MessageAttributes"]
    assert attributes["type"]["StringValue"] == "hangtag.image.tagged.v1"
    assert attributes["productId"]["StringValue"] == "SKU-1"


def test_the_function_of_the_page_gets_what_its_filter_lets_through(
    stack: WatchedStack, page: Application
) -> None:
    """It logs the key of a tagged image, and no failure."""
    publish(stack, a_failed_result(an_upload("page/failed.png")))
    stack.upload("page/lambda.png", picture("page lambda"))

    group = f"/aws/lambda/{page.resource('Function')}"
    logs = stack.client("logs")

    def logged() -> str | None:
        try:
            events = logs.filter_log_events(logGroupName=group)["events"]
        except logs.exceptions.ResourceNotFoundException:  # until the first invocation
            return None
        text = "\n".join(event["message"] for event in events)
        return text if "page/lambda.png" in text else None

    assert "page/failed.png" not in stack.wait_for(logged, "the function's log")


def test_the_bus_gets_the_announcement_from_the_function_of_the_page(
    stack: WatchedStack, page: Application
) -> None:
    """A rule on the bus sees source, type and announcement."""
    assert page.resource("ToEventBridge")
    events = stack.client("events")
    pattern = {"source": ["hangtag"], "detail": {"subject": ["page/bus.png"]}}
    with queue(stack, "from-the-bus", "events.amazonaws.com") as (target, arn):
        events.put_rule(Name="from-hangtag", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="from-hangtag", Targets=[{"Id": "queue", "Arn": arn}])
        publish(stack, a_failed_result(an_upload("page/bus.png")))

        event = json.loads(target.wait_for(lambda _: True)["Body"])

        events.remove_targets(Rule="from-hangtag", Ids=["queue"])
        events.delete_rule(Name="from-hangtag")
    assert event["detail-type"] == "hangtag.image.failed.v1"
    assert event["detail"]["data"]["failure"]["code"] == "807"


# ---- examples/subscriber


@pytest.fixture(scope="module")
def example(
    stack: WatchedStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    """The example, deployed from its folder without a build."""
    with deployed(
        stack,
        "object-tags",
        ROOT / "examples/subscriber/template.yaml",
        tmp_path_factory.mktemp("example"),
        TopicArn=stack.outputs["ResultsTopicArn"],
        BucketName=stack.outputs["UploadsBucketName"],
    ) as application:
        yield application


def tags_of(stack: WatchedStack, key: str, version: str) -> dict[str, str]:
    """The tags of an object version."""
    found = stack.client("s3").get_object_tagging(
        Bucket=stack.outputs["UploadsBucketName"], Key=key, VersionId=version
    )
    return {tag["Key"]: tag["Value"] for tag in found["TagSet"]}


def wait_for_tags(stack: WatchedStack, key: str, version: str) -> dict[str, str]:
    """Wait for the example's tags of an object version."""

    def check() -> dict[str, str] | None:
        tags = tags_of(stack, key, version)
        return tags if any(name.startswith("hangtag-") for name in tags) else None

    return stack.wait_for(check, f"object tags of {key}")


def newest(example: Application, uri: str) -> str | None:
    """The type of the newest announcement that the example applied to a key."""
    item = (
        example.stack.client("dynamodb")
        .get_item(
            TableName=example.resource("Newest"),
            Key={"uri": {"S": uri}},
            ConsistentRead=True,
        )
        .get("Item")
    )
    return item and str(item["type"]["S"])


def wait_until_read(example: Application) -> None:
    """Wait until the example's queue is empty; nothing may be in its dead-letter queue."""

    def depth(queue_name: str) -> int:
        names = (
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        )
        found = example.stack.client("sqs").get_queue_attributes(
            QueueUrl=example.resource(queue_name), AttributeNames=[*names]
        )["Attributes"]
        return sum(int(found[name]) for name in names)

    example.stack.wait_for(
        lambda: True if depth("Queue") == 0 else None, "the example's queue to be empty"
    )
    assert depth("DeadLetterQueue") == 0


def result_like(
    stack: WatchedStack, key: str, version: str, sequencer: str, color: str
) -> Document:
    """A TAGGED result of an object version."""
    return a_result(
        an_upload(
            key,
            bucket=stack.outputs["UploadsBucketName"],
            version_id=version,
            sequencer=sequencer,
        ),
        answer=read_answer(
            to_body(answer_document({"colors": [{"name": color}]})), http_status=201
        ),
    )


def test_the_example_tags_the_version_and_hangtag_does_not_tag_it_again(
    stack: WatchedStack, example: Application
) -> None:
    """A tag of someone else stays; writing tags makes no upload event."""
    key, content = "봄/example.png", picture("example")
    client = stack.client("s3")
    bucket = stack.outputs["UploadsBucketName"]
    version = client.put_object(
        Bucket=bucket,
        Key=key,
        Body=content,
        Metadata={"tagger-id": "SKU-1042"},
        Tagging="team=photos",
    )["VersionId"]

    tags = wait_for_tags(stack, key, version)

    result = stack.wait_for_result(stack.uri(key))
    category = result["objects"][0]["tags"][0]["category"]["name"]
    assert tags["team"] == "photos"
    assert tags["hangtag-productId"] == "SKU-1042"
    assert category in tags["hangtag-category"].split("+")
    wait_until_idle(stack)
    wait_until_read(example)
    assert len(calls_about(stack, content)) == 1
    assert [
        line for line in stack.log_events() if version in line and "skipped" in line
    ] == []


def test_each_version_of_a_key_has_its_own_tags(
    stack: WatchedStack, example: Application
) -> None:
    """An overwritten image keeps those that were written for it."""
    key = "example/overwritten.png"
    older = stack.upload(key, picture("example, older"), {"tagger-id": "SKU-1"})
    assert wait_for_tags(stack, key, older)["hangtag-productId"] == "SKU-1"

    newer = stack.upload(key, picture("example, newer"), {"tagger-id": "SKU-2"})

    assert wait_for_tags(stack, key, newer)["hangtag-productId"] == "SKU-2"
    assert tags_of(stack, key, older)["hangtag-productId"] == "SKU-1"
    wait_until_read(example)


def test_the_example_ignores_late_announcements_after_a_removal(
    stack: WatchedStack, example: Application
) -> None:
    """One that is truncated and newer is applied."""
    key = "example/removed.png"
    version = stack.upload(key, picture("example, removed"))
    tags = wait_for_tags(stack, key, version)
    removal = removed_result(
        an_upload(
            key,
            bucket=stack.outputs["UploadsBucketName"],
            version_id="marker",
            sequencer="F" * 20,
        ),
        removed_at=NOON,
    )

    publish(stack, removal)
    publish(stack, result_like(stack, key, version, "E" * 20, "late"))
    wait_until_read(example)

    assert newest(example, stack.uri(key)) == "hangtag.image.removed.v1"
    assert tags_of(stack, key, version) == tags

    publish(
        stack,
        result_like(stack, key, version, "1" + "0" * 20, "wine"),
        truncated=True,
        objects=None,
        notMatchedObject=None,
        genderInfo=None,
        imageInfo=None,
        fullResult={
            "table": stack.outputs["ResultsTableName"],
            "key": {"uri": stack.uri(key), "version": "result"},
            "largeResultsBucket": stack.outputs["LargeResultsBucketName"],
        },
    )
    wait_until_read(example)

    assert tags_of(stack, key, version)["hangtag-color"] == "wine"
