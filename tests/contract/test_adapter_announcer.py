"""`Announcer`: announcements, in memory and through SNS to a subscriber."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from hangtag.adapters.sns_announcer import SnsAnnouncer
from hangtag.ports import Announcer
from hangtag.results import Announcement, announcement_of
from hangtag.tagger_api import Context, parse_json
from tests.builders import BUCKET, a_result, an_answer, an_upload, jacket
from tests.contract.aws_parts import session
from tests.fakes import FakeAnnouncer

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

BUCKET_ARN = f"arn:aws:s3:::{BUCKET}"


@dataclass(frozen=True)
class Heard:
    """An announcement as a subscriber hears it."""

    message: str
    attributes: dict[str, tuple[str, str]]
    """Type and value by name."""

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        """The message, its numbers digit for digit."""
        return parse_json(self.message)

    def listed(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """The values of an attribute of type String.Array."""
        kind, value = self.attributes[name]
        assert kind == "String.Array"
        return json.loads(value)


@dataclass(frozen=True)
class Topic:
    """The port, and a subscriber."""

    port: Announcer
    heard: Callable[[], list[Heard]]


@dataclass(frozen=True)
class Sns:
    """A topic in moto, and queues that subscribe."""

    client: SNSClient
    topic_arn: str

    def subscribe(self, name: str, **attributes: str) -> Callable[[], list[Heard]]:
        """A subscriber; what it has heard since it was last asked."""
        queues = session().client("sqs")
        url = queues.create_queue(QueueName=name)["QueueUrl"]
        arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self.client.subscribe(
            TopicArn=self.topic_arn,
            Protocol="sqs",
            Endpoint=arn["Attributes"]["QueueArn"],
            Attributes=attributes,
        )

        def heard() -> list[Heard]:
            answer = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            return [
                _heard(json.loads(message["Body"]))
                for message in answer.get("Messages", [])
            ]

        return heard

    def announcer(self) -> SnsAnnouncer:
        """The adapter."""
        return SnsAnnouncer(self.client, self.topic_arn)


def _heard(envelope: dict[str, Any]) -> Heard:
    return Heard(
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
    """The fake that the pipeline's tests use."""
    fake = FakeAnnouncer()

    def heard() -> list[Heard]:
        return [
            Heard(
                announcement.message(),
                {
                    **{
                        name: ("String", value)
                        for name, value in announcement.texts.items()
                    },
                    **{
                        name: ("String.Array", json.dumps(values, ensure_ascii=False))
                        for name, values in announcement.lists.items()
                    },
                },
            )
            for announcement in fake.announced
        ]

    return Topic(fake, heard)


@pytest.fixture(params=["fake", "moto"])
def topic(request: pytest.FixtureRequest) -> Topic:
    """The fake, then the adapter."""
    if request.param == "fake":
        return fake_topic()
    sns: Sns = request.getfixturevalue("sns")
    return Topic(sns.announcer(), sns.subscribe("subscriber"))


def an_announcement(
    *garments: dict[str, Any], key: str = "jacket.jpg", **context: object
) -> Announcement:
    """The announcement of an upload that was tagged."""
    result = a_result(
        an_upload(key),
        answer=an_answer(*garments),
        context=Context.model_validate(context),
    )
    return announcement_of(result, bucket_arn=BUCKET_ARN)


def color(name: str) -> dict[str, Any]:
    """A garment of that colour."""
    return {"colors": [{"id": f"id of {name}", "name": name}]}


# ---- the fake and the adapter


def test_a_subscriber_hears_the_announcement(topic: Topic) -> None:
    """The CloudEvents document, digit for digit."""
    announcement = an_announcement()

    topic.port.announce(announcement)

    (heard,) = topic.heard()
    assert heard.document == announcement.document
    (garment,) = heard.document["data"]["objects"][0]["tags"]
    assert garment["colors"][1]["confidence"].as_tuple() == Decimal("0.10").as_tuple()


def test_announcements_carry_what_subscribers_filter_by(topic: Topic) -> None:
    """Texts as String, sets of names and ids as String.Array."""
    topic.port.announce(an_announcement(id="SKU-1"))

    (heard,) = topic.heard()
    texts = {
        name: value
        for name, (kind, value) in heard.attributes.items()
        if kind == "String"
    }
    assert texts == {
        "type": "hangtag.image.tagged.v1",
        "bucket": BUCKET,
        "language": "en",
        "productId": "SKU-1",
        "gender": "male",
    }
    assert heard.listed("objectType") == ["CLOTHING"]
    assert heard.listed("category") == ["jacket", "T0360"]
    assert heard.listed("item") == ["balmacaan-jacket", "T0345"]
    assert heard.listed("color") == ["beige", "T0326", "khaki", "EXAMPLE-1"]
    assert heard.listed("look") == ["casual", "T0141"]
    assert len(heard.attributes) == 10


def test_what_is_empty_is_left_out(topic: Topic) -> None:
    """SNS takes no empty attribute."""
    topic.port.announce(an_announcement({"category": None, "colors": []}))

    (heard,) = topic.heard()
    assert set(heard.attributes) == {
        "type",
        "bucket",
        "language",
        "gender",
        "objectType",
    }


def test_other_scripts_are_heard_as_they_are(topic: Topic) -> None:
    """In the document and in the attributes."""
    announcement = an_announcement(color("연한 베이지"), key="봄/재킷.jpg", id="제품 1")

    topic.port.announce(announcement)

    (heard,) = topic.heard()
    assert heard.document["subject"] == "봄/재킷.jpg"
    assert heard.attributes["productId"] == ("String", "제품 1")
    assert heard.listed("color") == ["연한 베이지", "id of 연한 베이지"]
    assert "연한 베이지" in heard.attributes["color"][1]


def test_the_same_result_is_announced_with_the_same_id(topic: Topic) -> None:
    """A subscriber can tell a repetition."""
    topic.port.announce(an_announcement())
    topic.port.announce(an_announcement())

    first, second = topic.heard()
    assert first.document == second.document


# ---- SNS alone


def test_a_subscriber_hears_only_what_it_wants(sns: Sns) -> None:
    """A filter policy on a name finds every garment that has it among others."""
    wants_khaki = sns.subscribe("khaki", FilterPolicy='{"color": ["khaki"]}')
    wants_red = sns.subscribe("red", FilterPolicy='{"color": ["red"]}')
    wants_sku_1 = sns.subscribe("sku-1", FilterPolicy='{"productId": ["SKU-1"]}')

    sns.announcer().announce(an_announcement(jacket(), id="SKU-1"))
    sns.announcer().announce(an_announcement(color("red"), id="SKU-2"))

    heard = [
        [one.document["data"]["context"]["id"] for one in subscriber()]
        for subscriber in (wants_khaki, wants_red, wants_sku_1)
    ]
    assert heard == [["SKU-1"], ["SKU-2"], ["SKU-1"]]


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x08", "\n", "\x1b", "\x7f", "\x85", "\ufffe", "\uffff"],
    ids=ascii,
)
def test_attributes_are_free_of_what_sns_refuses(sns: Sns, character: str) -> None:
    """A name from outside must not make an announcement impossible."""
    heard = sns.subscribe("subscriber")

    sns.announcer().announce(
        an_announcement(color(f"red{character}ish"), id=f"SKU{character}1")
    )

    (one,) = heard()
    assert one.attributes["productId"] == ("String", "SKU 1")
    raw = one.attributes["color"][1]
    assert character not in raw
    assert len(one.listed("color")) == 2


@pytest.mark.parametrize("character", ["\x00", "\x1b"], ids=ascii)
def test_the_document_keeps_odd_characters_in_a_harmless_spelling(
    sns: Sns, character: str
) -> None:
    """A queue that subscribes refuses them raw; JSON can spell them."""
    heard = sns.subscribe("subscriber")

    sns.announcer().announce(an_announcement(key=f"a{character}b.jpg"))

    (one,) = heard()
    assert character not in one.message
    assert one.document["subject"] == f"a{character}b.jpg"


def test_an_attribute_of_nothing_but_blanks_is_left_out(sns: Sns) -> None:
    """It would be as empty."""
    heard = sns.subscribe("subscriber")

    sns.announcer().announce(an_announcement(id="\x00\n "))

    (one,) = heard()
    assert "productId" not in one.attributes
