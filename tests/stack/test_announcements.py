"""Announcements of hostile and of large results reach subscribers with and without filters."""

from __future__ import annotations

from typing import Any

import pytest

from hangtag.adapters.sns_announcer import SnsAnnouncer
from hangtag.announcements import MAX_BYTES, Announcement, announcement_of
from hangtag.tagger_api import Context
from local.watch import WatchedStack, watch
from tests.builders import BUCKET, a_result, an_answer, an_upload
from tests.fakes.queues import size_of
from tests.stack.helpers import configured, picture

HOSTILE = "a\t\0\x1b\x7f\x85\ufffe\u2028b\"'\\{}[]%0A"
AS_ATTRIBUTE = "a       b\"'\\{}[]%0A"


def announced(
    stack: WatchedStack, announcement: Announcement, key: str
) -> tuple[Any, dict[str, Any]]:
    """Publish an announcement as the function does; what a subscriber receives."""
    topic = stack.outputs["ResultsTopicArn"]
    SnsAnnouncer(stack.client("sns"), topic).announce(announcement)
    received = stack.wait_for_announcement(key)
    return received.document, dict(received.attributes)


def an_announcement(
    key: str, *garments: dict[str, Any], **context: str
) -> Announcement:
    """The announcement of an upload that was tagged."""
    result = a_result(
        an_upload(key),
        answer=an_answer(*garments),
        context=Context(**context),  # type: ignore[arg-type]  # no detection
    )
    return announcement_of(result, bucket_arn=f"arn:aws:s3:::{BUCKET}", table="results")


def test_hostile_names_and_product_ids_reach_a_subscriber_with_a_filter(
    stack: WatchedStack,
) -> None:
    """SNS neither refuses nor drops them."""
    filtered = watch(stack, "hostile-filter")
    client = stack.client("sns")
    [arn] = [
        one["SubscriptionArn"]
        for one in client.list_subscriptions_by_topic(
            TopicArn=stack.outputs["ResultsTopicArn"]
        )["Subscriptions"]
        if one["Endpoint"].endswith(":hostile-filter")
    ]
    client.set_subscription_attributes(
        SubscriptionArn=arn,
        AttributeName="FilterPolicy",
        AttributeValue='{"productId": [{"prefix": "a  "}], "color": [{"prefix": "a  "}]}',
    )
    announcement = an_announcement(
        "hostile.png", {"colors": [{"name": HOSTILE}]}, id=HOSTILE
    )

    document, attributes = announced(stack, announcement, "hostile.png")

    assert document["data"]["context"]["id"] == HOSTILE
    assert attributes["productId"] == AS_ATTRIBUTE
    assert attributes["color"] == [AS_ATTRIBUTE]
    assert filtered.wait_for_announcement("hostile.png").document == document


def test_control_characters_in_metadata_are_announced(stack: WatchedStack) -> None:
    """S3 takes them in RFC 2047's encoding."""
    key = "hostile-metadata.png"
    stack.client("s3").put_object(
        Bucket=stack.outputs["UploadsBucketName"],
        Key=key,
        Body=picture(key),
        Metadata={"tagger-id": "=?UTF-8?Q?SKU=09=1B1?="},
    )

    received = stack.wait_for_announcement(key)

    assert received.attributes["productId"] == "SKU  1"
    assert received.document["data"]["context"]["id"] == "SKU\t\x1b1"


@pytest.mark.parametrize("more", [0, 1], ids=["largest", "larger"])
def test_sns_takes_every_announcement(stack: WatchedStack, more: int) -> None:
    """To the byte; a larger one is truncated, and its subscribers still read the tags."""
    key = f"large-{more}.png"
    colors = {"colors": [{"name": "red"}]}
    room = MAX_BYTES - size_of(an_announcement(key, {**colors, "note": ""}))
    announcement = an_announcement(key, {**colors, "note": "x" * (room + more)})

    document, attributes = announced(stack, announcement, key)

    assert document["data"].get("truncated", False) is bool(more)
    assert ("objects" in document["data"]) is not bool(more)
    assert attributes["color"] == ["red"]


def test_values_below_min_confidence_are_no_attributes(stack: WatchedStack) -> None:
    """The result keeps them; a category has no confidence, and stays."""
    with configured(stack, HANGTAG_MIN_CONFIDENCE="1"):
        stack.upload("unsure.png", picture("unsure.png"))
        received = stack.wait_for_announcement("unsure.png")

    data = received.document["data"]
    [tag] = data["objects"][0]["tags"]
    assert tag["item"]["confidence"] < 1
    assert "item" not in received.attributes
    assert tag["category"]["name"] in received.attributes["category"]
    assert stack.result(stack.uri("unsure.png")) == data
