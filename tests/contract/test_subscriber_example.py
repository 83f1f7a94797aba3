"""The example of a subscriber, with S3 and DynamoDB in memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from examples.subscriber.function import handler
from hangtag.announcements import Announcement, announcement_of
from hangtag.results import removed_result
from hangtag.tagger_api import Context
from hangtag.text import to_printable_json
from tests.builders import NOON, REPOSITORY, a_result, an_answer, an_upload
from tests.contract.aws_parts import session
from tests.template.cloudformation import read_template

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "shop"
TABLE = "Newest"
TEMPLATE = read_template(REPOSITORY / "examples/subscriber/template.yaml")


@dataclass
class Shop:
    """A versioned bucket, and the function's table."""

    s3: Any
    writes: list[dict[str, Any]] = field(default_factory=list)
    """The requests that wrote tags."""

    def upload(self, key: str) -> str:
        """Put an object; returns its version id."""
        answer = self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"image")
        return str(answer["VersionId"])

    def tags(self, key: str, version: str) -> dict[str, str]:
        """The tags of a version."""
        found = self.s3.get_object_tagging(Bucket=BUCKET, Key=key, VersionId=version)
        return {tag["Key"]: tag["Value"] for tag in found["TagSet"]}

    def tag(self, key: str, version: str, **tags: str) -> None:
        """Tag a version as someone else does."""
        self.s3.put_object_tagging(
            Bucket=BUCKET,
            Key=key,
            VersionId=version,
            Tagging={
                "TagSet": [
                    {"Key": name, "Value": value} for name, value in tags.items()
                ]
            },
        )

    def receive(self, *announcements: Announcement) -> list[str]:
        """Invoke the function with these messages; returns the numbers of those that failed."""
        return receive(*map(as_message, announcements))


def as_message(announcement: Announcement) -> dict[str, Any]:
    """The announcement in an SQS message, with raw delivery, as Lambda gets it."""
    return {
        "body": to_printable_json(announcement.document),
        "messageAttributes": {
            name: {"stringValue": text, "dataType": "String"}
            for name, text in announcement.texts.items()
        }
        | {
            name: {"stringValue": json.dumps(values), "dataType": "String.Array"}
            for name, values in announcement.lists.items()
        },
    }


def receive(*messages: dict[str, Any]) -> list[str]:
    """Invoke the function; returns the ids of the messages that failed: their numbers."""
    records = [
        {"messageId": str(number), **message} for number, message in enumerate(messages)
    ]
    answer = handler.lambda_handler({"Records": records}, None)
    return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]


@pytest.fixture
def shop(aws: None, monkeypatch: pytest.MonkeyPatch) -> Shop:  # noqa: ARG001
    """The bucket and the table, with clients that fail at once."""
    clients: dict[str, Any] = {
        "s3": session().client("s3"),
        "dynamodb": session().client("dynamodb"),
    }
    shop = Shop(clients["s3"])
    clients["s3"].create_bucket(
        Bucket=BUCKET,
        CreateBucketConfiguration={
            "LocationConstraint": clients["s3"].meta.region_name
        },
    )
    clients["s3"].put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )
    clients["dynamodb"].create_table(
        TableName=TABLE, **TEMPLATE["Resources"]["Newest"]["Properties"]
    )
    clients["s3"].meta.events.register(
        "provide-client-params.s3.PutObjectTagging",
        lambda params, **_: shop.writes.append(params),
    )
    monkeypatch.setattr(handler, "client", clients.__getitem__)
    monkeypatch.setenv("TABLE", TABLE)
    return shop


def tagged(
    key: str,
    version: str | None,
    *,
    sequencer: str | None = "0B",
    at: str = NOON,
    product: str | None = None,
    colors: Sequence[str] = ("red",),
) -> Announcement:
    """The announcement of a dress."""
    tag = {
        "category": {"id": "T-1", "name": "dress"},
        "colors": [{"name": name} for name in colors],
    }
    return announcement_of(
        a_result(
            an_upload(key, bucket=BUCKET, version_id=version, sequencer=sequencer),
            answer=an_answer(tag),
            context=Context(id=product or None),
            tagged_at=at,
        ),
        bucket_arn=f"arn:aws:s3:::{BUCKET}",
    )


def removed(key: str, *, sequencer: str) -> Announcement:
    """The announcement of a deletion."""
    upload = an_upload(
        key, bucket=BUCKET, version_id="marker", sequencer=sequencer, size=None
    )
    return announcement_of(
        removed_result(upload, removed_at=NOON), bucket_arn=f"arn:aws:s3:::{BUCKET}"
    )


def truncated(announcement: Announcement) -> dict[str, Any]:
    """The message without what the API found, as docs/events.md describes it."""
    data = announcement.document["data"]
    document = announcement.document | {
        "data": {
            "status": data["status"],
            "image": data["image"],
            "language": data["language"],
            "context": data["context"],
            "taggedAt": data["taggedAt"],
            "truncated": True,
            "fullResult": {
                "table": "Results",
                "key": {"uri": data["image"]["uri"], "version": "result"},
            },
        }
    }
    return as_message(announcement) | {"body": json.dumps(document)}


def test_the_version_gets_the_tags_of_its_image(shop: Shop) -> None:
    """Names and ids, and the product; a newer version of the key keeps its own tags."""
    version, newer = shop.upload("봄/dress.png"), shop.upload("봄/dress.png")

    failed = shop.receive(
        tagged("봄/dress.png", version, product="SKU/1", colors=["red", "sky blue"])
    )

    assert failed == []
    assert shop.tags("봄/dress.png", newer) == {}
    assert shop.tags("봄/dress.png", version) == {
        "hangtag-category": "dress+T-1",
        "hangtag-color": "red+sky blue",
        "hangtag-objectType": "CLOTHING",
        "hangtag-gender": "male",
        "hangtag-productId": "SKU/1",
    }


def test_an_announcement_without_objects_gives_the_same_tags(shop: Shop) -> None:
    """They are the message attributes."""
    one, other = shop.upload("one.png"), shop.upload("other.png")

    receive(as_message(tagged("one.png", one)), truncated(tagged("other.png", other)))

    assert shop.tags("one.png", one) == shop.tags("other.png", other) != {}


def test_tags_of_others_stay_and_leave_less_room(shop: Shop) -> None:
    """S3 takes ten tags; the last of ours are left out."""
    version = shop.upload("dress.png")
    others = {f"other-{number}": "kept" for number in range(8)}
    shop.tag("dress.png", version, **others)

    failed = shop.receive(tagged("dress.png", version))

    assert failed == []
    assert shop.tags("dress.png", version) == others | {
        "hangtag-category": "dress+T-1",
        "hangtag-color": "red",
    }


def test_a_newer_result_replaces_all_of_our_tags(shop: Shop) -> None:
    """A tag that the image no longer has must not stay."""
    version = shop.upload("dress.png")
    shop.receive(tagged("dress.png", version, product="SKU-1"))

    shop.receive(
        tagged("dress.png", version, at="2026-11-22T13:00:00.000Z", colors=["wine"])
    )

    tags = shop.tags("dress.png", version)
    assert tags["hangtag-color"] == "wine"
    assert "hangtag-productId" not in tags


def test_a_repetition_writes_nothing(shop: Shop) -> None:
    """Also if someone changed the tags meanwhile."""
    version = shop.upload("dress.png")
    announcement = tagged("dress.png", version)
    shop.receive(announcement)
    shop.tag("dress.png", version, sale="yes")
    shop.writes.clear()

    shop.receive(announcement, announcement)

    assert shop.writes == []
    assert shop.tags("dress.png", version) == {"sale": "yes"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_leaves_the_newest_applied(
    shop: Shop, order: tuple[int, ...]
) -> None:
    """The sequencers have different lengths; the one that is missing is the oldest."""
    version = shop.upload("dress.png")
    announcements = [
        tagged("dress.png", version, sequencer=None, colors=["white"]),
        tagged("dress.png", version, sequencer="ff", colors=["red"]),
        tagged("dress.png", version, sequencer="0100", colors=["wine"]),
    ]

    for number in order:
        shop.receive(announcements[number])

    assert shop.tags("dress.png", version)["hangtag-color"] == "wine"


def test_a_late_announcement_does_not_come_back_after_a_removal(shop: Shop) -> None:
    """A later upload does."""
    version = shop.upload("dress.png")

    failed = shop.receive(
        removed("dress.png", sequencer="0C"),
        tagged("dress.png", version, sequencer="0B"),
    )

    assert failed == []
    assert shop.tags("dress.png", version) == {}

    shop.receive(tagged("dress.png", version, sequencer="0D"))

    assert shop.tags("dress.png", version) != {}


def test_a_version_that_is_gone_is_no_failure(shop: Shop) -> None:
    """It was deleted for good before its announcement arrived."""
    version = shop.upload("dress.png")
    shop.upload("dress.png")
    shop.s3.delete_object(Bucket=BUCKET, Key="dress.png", VersionId=version)

    assert shop.receive(tagged("dress.png", version)) == []
    assert shop.receive(tagged("never.png", "no-such-version")) == []


def test_an_object_without_a_version_is_not_tagged(shop: Shop) -> None:
    """It may be another one by now."""
    version = shop.upload("dress.png")

    failed = shop.receive(tagged("dress.png", None))

    assert failed == []
    assert shop.tags("dress.png", version) == {}


def test_a_message_that_fails_is_delivered_again_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are done; the one that failed is not taken for a repetition later."""
    one, other = shop.upload("one.png"), shop.upload("other.png")
    good, refused = tagged("one.png", one), tagged("other.png", other)
    write = handler.write_tags

    def refuse(image: dict[str, Any], tags: Mapping[str, str], *, s3: S3Client) -> str:
        if image["key"] == "other.png":
            raise ClientError({"Error": {"Code": "SlowDown"}}, "PutObjectTagging")
        return write(image, tags, s3=s3)

    monkeypatch.setattr(handler, "write_tags", refuse)
    failed = receive(
        as_message(good),
        as_message(refused),
        {"body": "not an announcement", "messageAttributes": {}},
    )
    monkeypatch.setattr(handler, "write_tags", write)

    assert failed == ["1", "2"]
    assert shop.tags("one.png", one) != {}
    assert shop.receive(refused) == []
    assert shop.tags("other.png", other) != {}


@given(st.lists(st.text(), max_size=50))
def test_a_value_is_one_that_s3_takes(values: list[str]) -> None:
    """At most 256 units of UTF-16: letters, numbers, blanks and some other characters."""
    value = handler.joined(values)

    assert len(value.encode("utf-16-le")) <= 512
    assert all(c.isalpha() or c.isnumeric() or c in " _.:/=+-@" for c in value)


def test_characters_of_names_are_kept_or_replaced() -> None:
    """Letters of all languages are kept, also those that are written in parts."""
    values = ["봄\u00a0신상", "cafe\u0301", "high(7~)", "\U0001f457", "\ud800", " \t"]

    assert handler.joined(values) == "봄 신상+café+high_7__+_+_+_"


def test_as_many_values_as_fit_are_kept() -> None:
    """Each whole; a long one does not displace those behind it."""
    assert handler.joined(["a" * 200, "b" * 55, "c"]) == f"{'a' * 200}+{'b' * 55}"
    assert handler.joined(["a" * 200, "b" * 56, "c"]) == f"{'a' * 200}+c"
    assert handler.joined(["a" * 257, "red"]) == "red"


def test_the_role_may_do_what_the_function_does_and_nothing_else() -> None:
    """Its S3 actions are those for versions."""
    statements = TEMPLATE["Resources"]["TagObjectsRole"]["Properties"]["Policies"][0][
        "PolicyDocument"
    ]["Statement"]
    actions = {
        action
        for statement in statements
        for action in (
            [statement["Action"]]
            if isinstance(statement["Action"], str)
            else statement["Action"]
        )
    }

    assert {
        action for action in actions if action.startswith(("s3:", "dynamodb:"))
    } == {
        "s3:GetObjectVersionTagging",
        "s3:PutObjectVersionTagging",
        "s3:ListBucket",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
    }
    assert all(statement["Resource"] != "*" for statement in statements)


def test_the_example_imports_nothing_of_hangtag() -> None:
    """It can be copied."""
    source = (REPOSITORY / "examples/subscriber/function/handler.py").read_text("utf-8")

    assert "import hangtag" not in source
    assert "from hangtag" not in source
    assert json.dumps(TEMPLATE).count("hangtag_") == 0
