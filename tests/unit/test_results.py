from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.announcements import Announcement, announcement_of
from hangtag.failure import Failure
from hangtag.parsing import parse_json
from hangtag.results import failed_result
from hangtag.tagger_api import Context
from hangtag.text import to_json, to_timestamp
from tests.builders import (
    BUCKET,
    KEY,
    NOON,
    NOON_SECONDS,
    URI,
    a_failed_result,
    a_failure,
    a_result,
    an_answer,
    an_upload,
    jacket,
)

ARN = f"arn:aws:s3:::{BUCKET}"
RICH_CONTEXT = Context(id="A111", detection=("TOP",), product_content_name="봄 자켓")


def announce(**changes: Any) -> Announcement:  # noqa: ANN401 - see `a_result`
    """The announcement of a result."""
    return announcement_of(a_result(**changes), bucket_arn=ARN)


# ---- results


def test_a_tagged_result_has_the_image_the_context_and_the_answer() -> None:
    """This is what `hangtag results show` prints and what subscribers get."""
    result = a_result(language="ko", context=RICH_CONTEXT)

    assert result == {
        "status": "TAGGED",
        "image": {
            "uri": URI,
            "bucket": BUCKET,
            "key": KEY,
            "versionId": "version-1",
            "etag": "0123456789abcdef",
            "size": 72,
            "sequencer": "0065A3F1C2D4E5B607",
        },
        "language": "ko",
        "context": {
            "id": "A111",
            "detection": ("TOP",),
            "productContentName": "봄 자켓",
        },
        "taggedAt": NOON,
        "objects": [{"type": "CLOTHING", "tags": [jacket()]}],
        "notMatchedObject": [],
        "genderInfo": {"id": "T0418", "name": "male"},
        "imageInfo": [{"id": "T0449", "name": "nonFashion"}],
    }


def test_a_failed_result_has_the_image_and_the_failure() -> None:
    """It says the same as the dead letter."""
    result = a_failed_result(code="807")

    assert result == {
        "status": "FAILED",
        "image": a_result()["image"],
        "failure": {
            "code": "807",
            "kind": "permanent",
            "message": "Too small.",
            "source": "api",
            "attempts": 1,
            "failedAt": NOON,
        },
    }


def test_a_failed_result_names_the_format_that_was_found() -> None:
    """Only where there is one: subscribers know the other fields."""
    failure = a_failure("UNSUPPORTED_FORMAT", image_format="HEIC")

    document = failed_result(an_upload(), failure)["failure"]

    assert document == {
        **replace(failure, image_format="").document(),
        "format": "HEIC",
    }
    assert "format" not in a_failure().document()
    assert Failure.from_document(document) == failure


# ---- announcements


def test_an_announcement_is_a_cloudevent() -> None:
    """Version 1.0, with the result as its data."""
    result = a_result()

    document = announcement_of(result, bucket_arn=ARN).document

    assert {
        "specversion": "1.0",
        "id": document["id"],
        "type": "hangtag.image.tagged.v1",
        "source": ARN,
        "subject": KEY,
        "time": NOON,
        "datacontenttype": "application/json",
        "data": result,
    } == document


def test_the_same_result_has_the_same_id() -> None:
    """Subscribers recognise a repetition by it."""
    assert announce().document["id"] == announce().document["id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"upload": an_upload("other.png")},
        {"upload": an_upload(bucket="other")},
        {"upload": an_upload(version_id="version-2")},
        {"upload": an_upload(version_id=None)},
        {"tagged_at": "2026-11-22T12:00:00.001Z"},
    ],
)
def test_another_result_has_another_id(changes: dict[str, Any]) -> None:
    """A new result must not look like a repetition."""
    assert announce().document["id"] != announce(**changes).document["id"]


def test_without_versions_the_etag_tells_results_apart() -> None:
    """A bucket without versions has only the etag."""
    one = announce(upload=an_upload(version_id=None, etag="a"))
    other = announce(upload=an_upload(version_id=None, etag="b"))

    assert one.document["id"] != other.document["id"]


def test_an_announcements_numbers_keep_their_digits() -> None:
    """0.5033992828 is not 0.50339928279999997."""
    message = announce().message

    assert '"x": 0.5033992828' in message
    assert '"confidence": 0.10}' in message
    assert parse_json(message)["data"]["objects"] == a_result()["objects"]


def test_subscribers_can_filter_by_attributes() -> None:
    """The attributes have names and ids of every value, and all colours."""
    announcement = announce(context=RICH_CONTEXT)

    assert announcement.texts == {
        "type": "hangtag.image.tagged.v1",
        "bucket": BUCKET,
        "language": "en",
        "productId": "A111",
        "gender": "male",
    }
    assert announcement.lists == {
        "objectType": ("CLOTHING",),
        "category": ("jacket", "T0360"),
        "item": ("balmacaan-jacket", "T0345"),
        "color": ("beige", "T0326", "khaki", "EXAMPLE-1"),
        "look": ("casual", "T0141"),
    }


def test_an_announcement_has_at_most_ten_attributes() -> None:
    """With raw delivery SQS accepts ten; a message with more is lost."""
    announcement = announce(context=RICH_CONTEXT)

    assert len({*announcement.texts, *announcement.lists}) == 10


def test_attributes_without_a_value_are_left_out() -> None:
    """SNS refuses empty ones."""
    nothing = an_answer({"category": {"name": ""}, "colors": [], "item": None})

    announcement = announce(answer=nothing)

    assert set(announcement.texts) == {"type", "bucket", "language", "gender"}
    assert set(announcement.lists) == {"objectType"}


def test_a_value_found_twice_is_listed_once() -> None:
    """Two jackets are one category."""
    announcement = announce(answer=an_answer(jacket(), jacket()))

    assert announcement.lists["category"] == ("jacket", "T0360")


@pytest.mark.parametrize(
    "odd", [None, "text", 7, True, [None], ["x"], [[{}]], {"id": 1}]
)
def test_invalid_attributes_are_left_out_of_the_filters(odd: object) -> None:
    """A result is announced whatever the API answers."""
    answer = an_answer({"category": odd, "item": odd, "colors": odd, "looks": odd})

    announcement = announce(answer=answer)

    assert set(announcement.lists) == {"objectType"}


# ---- JSON and time

json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_like)
def test_json_keeps_every_value_and_digit(document: object) -> None:
    """A Decimal keeps its digits in both directions."""
    written = to_json(document)

    assert to_json(parse_json(written)) == written
    assert "\n" not in written


def test_numbers_in_any_notation_are_valid_json() -> None:
    """Other programs read exponents and trailing zeros."""
    numbers = [Decimal("1E+5"), Decimal("1.10"), Decimal("-0.0"), Decimal("1E-400")]

    assert json.loads(to_json(numbers)) == [1e5, 1.1, 0.0, 0.0]


def test_text_in_json_is_readable() -> None:
    """Korean text is not escaped; line breaks are."""
    assert to_json({"name": '봄\n"x"'}) == r'{"name": "봄\n\"x\""}'


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), object(), b"x"])
def test_values_that_json_lacks_are_an_error(value: object) -> None:
    """The error is raised here, not in a subscriber."""
    with pytest.raises(TypeError):
        to_json([value])


def test_timestamps_are_utc_with_milliseconds() -> None:
    """Their alphabetical sequence is the sequence in time."""
    assert to_timestamp(NOON_SECONDS) == "2026-11-22T12:00:00.000Z"
    assert to_timestamp(NOON_SECONDS + 0.0015) == "2026-11-22T12:00:00.001Z"
