"""`Announcer`: announcements in memory, and through SNS to a subscriber."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from hangtag.adapters.sns_announcer import SnsAnnouncer
from hangtag.announcements import MAX_BYTES, Announcement, announcement_of
from hangtag.parsing import parse_json
from hangtag.ports import Announcer
from hangtag.tagger_api import Context
from tests.builders import BUCKET, a_result, an_answer, an_upload, jacket
from tests.contract.aws_parts import session
from tests.fakes import FakeAnnouncer
from tests.fakes.queues import size_of

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

BUCKET_ARN = f"arn:aws:s3:::{BUCKET}"


@dataclass(frozen=True)
class Received:
    """An announcement as a subscriber receives it."""

    message: str
    attributes: dict[str, tuple[str, str]]
    """Type and value of each attribute."""

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        """The message, with all digits of its numbers."""
        return parse_json(self.message)

    def listed(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """The values of an attribute of type String.Array."""
        kind, value = self.attributes[name]
        assert kind == "String.Array"
        return json.loads(value)


@dataclass(frozen=True)
class Topic:
    """The port and a subscriber."""

    port: Announcer
    receive: Callable[[], list[Received]]


@dataclass(frozen=True)
class Sns:
    """A topic in moto, and subscribed queues."""

    client: SNSClient
    topic_arn: str

    def subscribe(self, name: str, **attributes: str) -> Callable[[], list[Received]]:
        """Adds a subscriber; the returned function receives its new announcements."""
        queues = session().client("sqs")
        url = queues.create_queue(QueueName=name)["QueueUrl"]
        arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self.client.subscribe(
            TopicArn=self.topic_arn,
            Protocol="sqs",
            Endpoint=arn["Attributes"]["QueueArn"],
            Attributes=attributes,
        )

        def receive() -> list[Received]:
            answer = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            return [
                _received(json.loads(message["Body"]))
                for message in answer.get("Messages", [])
            ]

        return receive

    def announcer(self) -> SnsAnnouncer:
        """The adapter."""
        return SnsAnnouncer(self.client, self.topic_arn)


def _received(envelope: dict[str, Any]) -> Received:
    return Received(
        envelope["Message"],
        {
            name: (attribute["Type"], attribute["Value"])
            for name, attribute in envelope.get("MessageAttributes", {}).items()
        },
    )


@pytest.fixture
def sns(aws: None) -> Sns:  # noqa: ARG001 - the topic is of it
    """A topic."""
    client = session().client("sns")
    return Sns(client, client.create_topic(Name="ResultsTopic")["TopicArn"])


def fake_topic() -> Topic:
    """The fake of the unit tests."""
    fake = FakeAnnouncer()

    def receive() -> list[Received]:
        return [
            Received(announcement.message, announcement.attributes())
            for announcement in fake.announced
        ]

    return Topic(fake, receive)


@pytest.fixture(params=["fake", "moto"])
def topic(request: pytest.FixtureRequest) -> Topic:
    """The fake, then the adapter."""
    if request.param == "fake":
        return fake_topic()
    sns: Sns = request.getfixturevalue("sns")
    return Topic(sns.announcer(), sns.subscribe("subscriber"))


def an_announcement(
    *garments: dict[str, Any], key: str = "jacket.jpg", **context: str
) -> Announcement:
    """The announcement of a tagged upload."""
    result = a_result(
        an_upload(key),
        answer=an_answer(*garments),
        context=Context(**context),  # type: ignore[arg-type]  # no detection
    )
    return announcement_of(result, bucket_arn=BUCKET_ARN)


def color(name: str) -> dict[str, Any]:
    """A garment of that colour."""
    return {"colors": [{"id": f"id of {name}", "name": name}]}


# ---- the fake and the adapter


def test_a_subscriber_receives_the_announcement(topic: Topic) -> None:
    """It is the CloudEvents document with all digits."""
    announcement = an_announcement()

    topic.port.announce(announcement)

    (receive,) = topic.receive()
    assert receive.document == announcement.document
    (garment,) = receive.document["data"]["objects"][0]["tags"]
    assert garment["colors"][1]["confidence"].as_tuple() == Decimal("0.10").as_tuple()


def test_announcements_have_attributes_for_filters(topic: Topic) -> None:
    """Single values are Strings, sets of names and ids are String.Arrays."""
    topic.port.announce(an_announcement(id="SKU-1"))

    (receive,) = topic.receive()
    texts = {
        name: value
        for name, (kind, value) in receive.attributes.items()
        if kind == "String"
    }
    assert texts == {
        "type": "hangtag.image.tagged.v1",
        "bucket": BUCKET,
        "language": "en",
        "productId": "SKU-1",
        "gender": "male",
    }
    assert receive.listed("objectType") == ["CLOTHING"]
    assert receive.listed("category") == ["jacket", "T0360"]
    assert receive.listed("item") == ["balmacaan-jacket", "T0345"]
    assert receive.listed("color") == ["beige", "T0326", "khaki", "EXAMPLE-1"]
    assert receive.listed("look") == ["casual", "T0141"]
    assert len(receive.attributes) == 10


def test_empty_attributes_are_left_out(topic: Topic) -> None:
    """SNS refuses an empty attribute."""
    topic.port.announce(an_announcement({"category": None, "colors": []}))

    (receive,) = topic.receive()
    assert set(receive.attributes) == {
        "type",
        "bucket",
        "language",
        "gender",
        "objectType",
    }


def test_text_in_any_script_arrives_unchanged(topic: Topic) -> None:
    """This holds for the document and the attributes."""
    announcement = an_announcement(color("연한 베이지"), key="봄/재킷.jpg", id="제품 1")

    topic.port.announce(announcement)

    (receive,) = topic.receive()
    assert receive.document["subject"] == "봄/재킷.jpg"
    assert receive.attributes["productId"] == ("String", "제품 1")
    assert receive.listed("color") == ["연한 베이지", "id of 연한 베이지"]
    assert "연한 베이지" in receive.attributes["color"][1]


def test_the_same_result_is_announced_with_the_same_id(topic: Topic) -> None:
    """Subscribers recognise a repetition by it."""
    topic.port.announce(an_announcement())
    topic.port.announce(an_announcement())

    first, second = topic.receive()
    assert first.document == second.document


def test_the_largest_announcement_is_taken(topic: Topic) -> None:
    """One byte more, and it is truncated."""
    note = "x" * (MAX_BYTES - size_of(an_announcement({"note": ""})))

    topic.port.announce(an_announcement({"note": note}))

    (receive,) = topic.receive()
    assert receive.document["data"]["objects"][0]["tags"] == [{"note": note}]


@pytest.mark.parametrize(
    "character", ["x", "\x7f", "\u2028", "봄", "\\", '"'], ids=ascii
)
def test_a_larger_answer_is_announced_without_it(topic: Topic, character: str) -> None:
    """Many values, and each of them large."""
    long = character * 150
    values = [{"name": f"{n}{long}", "id": f"T{n}{long}"} for n in range(500)]

    topic.port.announce(an_announcement({"colors": values, "looks": values}))

    (receive,) = topic.receive()
    assert receive.document["data"]["truncated"]
    assert receive.document["data"]["attributesTruncated"]
    assert receive.listed("objectType") == ["CLOTHING"]
    assert len(receive.listed("color")) > 10


def test_hostile_names_and_product_ids_arrive(topic: Topic) -> None:
    """SNS would refuse them as they are, or drop them for subscribers with a filter."""
    hostile = "a\t\0\x1b\x7f\x85\ufffe\u2028b\"'\\{}[]%0A"

    topic.port.announce(an_announcement(color(hostile), id=hostile))

    (receive,) = topic.receive()
    expected = "a       b\"'\\{}[]%0A"
    assert receive.attributes["productId"] == ("String", expected)
    assert receive.listed("color") == [expected, f"id of {expected}"]
    assert receive.document["data"]["context"]["id"] == hostile


# ---- SNS only


def test_a_subscriber_with_a_filter_receives_only_matching_announcements(
    sns: Sns,
) -> None:
    """A filter policy on a name matches every garment that has it among others."""
    wants_khaki = sns.subscribe("khaki", FilterPolicy='{"color": ["khaki"]}')
    wants_red = sns.subscribe("red", FilterPolicy='{"color": ["red"]}')
    wants_sku_1 = sns.subscribe("sku-1", FilterPolicy='{"productId": ["SKU-1"]}')

    sns.announcer().announce(an_announcement(jacket(), id="SKU-1"))
    sns.announcer().announce(an_announcement(color("red"), id="SKU-2"))

    receive = [
        [one.document["data"]["context"]["id"] for one in subscriber()]
        for subscriber in (wants_khaki, wants_red, wants_sku_1)
    ]
    assert receive == [["SKU-1"], ["SKU-2"], ["SKU-1"]]


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x08", "\n", "\x1b", "\x7f", "\x85", "\ufffe", "\uffff"],
    ids=ascii,
)
def test_attributes_contain_no_characters_that_sns_refuses(
    sns: Sns, character: str
) -> None:
    """A name from outside must not prevent an announcement."""
    receive = sns.subscribe("subscriber")

    sns.announcer().announce(
        an_announcement(color(f"red{character}ish"), id=f"SKU{character}1")
    )

    (one,) = receive()
    assert one.attributes["productId"] == ("String", "SKU 1")
    raw = one.attributes["color"][1]
    assert character not in raw
    assert len(one.listed("color")) == 2


@pytest.mark.parametrize("character", ["\x00", "\x1b"], ids=ascii)
def test_the_document_escapes_characters_that_sqs_refuses(
    sns: Sns, character: str
) -> None:
    """A subscribed queue refuses them unescaped."""
    receive = sns.subscribe("subscriber")

    sns.announcer().announce(an_announcement(key=f"a{character}b.jpg"))

    (one,) = receive()
    assert character not in one.message
    assert one.document["subject"] == f"a{character}b.jpg"


def test_an_attribute_of_blanks_is_left_out(sns: Sns) -> None:
    """SNS treats it as empty."""
    receive = sns.subscribe("subscriber")

    sns.announcer().announce(an_announcement(id="\x00\n "))

    (one,) = receive()
    assert "productId" not in one.attributes
