"""Attributes for filters, and announcements too large for SNS; see also test_results.py."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.announcements import (
    MAX_BYTES,
    MAX_LIST_BYTES,
    Announcement,
    announcement_of,
)
from hangtag.errors import HangtagError
from hangtag.results import Document, removed_result
from hangtag.tagger_api import Context, read_answer
from tests.builders import (
    BUCKET,
    NOON,
    a_failed_result,
    a_result,
    an_answer,
    an_upload,
    answer_document,
    jacket,
)
from tests.fakes import World, upload_of
from tests.fakes.queues import size_of
from tests.fuzzing import TEXTS, damaged, times, to_lenient_json

ARN = f"arn:aws:s3:::{BUCKET}"
TABLE = "hangtag-ResultsTable-EXAMPLE"
LARGE = "hangtag-largeresultsbucket-example"


def announce(result: Document, *, least: str = "0") -> Announcement:
    """The announcement of a result."""
    return announcement_of(
        result,
        bucket_arn=ARN,
        table=TABLE,
        large_results_bucket=LARGE,
        min_confidence=Decimal(least),
    )


def value(name: str, confidence: str | None = None) -> dict[str, Any]:
    """A recognised value."""
    found: dict[str, Any] = {"name": name}
    return found if confidence is None else found | {"confidence": Decimal(confidence)}


# ---- MinConfidence


def test_values_below_the_least_confidence_are_no_attributes() -> None:
    """The khaki of the jacket has a confidence of 0.10."""
    result = a_result()

    announcement = announce(result, least="0.5")

    assert announcement.lists["color"] == ("beige", "T0326")
    assert announcement.document["data"] == result


def test_a_value_of_exactly_the_least_confidence_is_kept() -> None:
    """The parameter names the lowest confidence that counts."""
    announcement = announce(
        a_result(answer=an_answer({"item": value("coat", "0.6")})), least="0.60"
    )

    assert announcement.lists["item"] == ("coat",)


@pytest.mark.parametrize("confidence", [None, "high", True, [1]])
def test_a_value_without_a_confidence_is_kept(confidence: object) -> None:
    """A category has none, for one."""
    odd = {"name": "coat", "confidence": confidence}

    announcement = announce(a_result(answer=an_answer({"item": odd})), least="0.9")

    assert announcement.lists["item"] == ("coat",)


def test_one_confident_garment_is_enough_for_a_value() -> None:
    """The other one is not."""
    answer = an_answer({"item": value("coat", "0.1")}, {"item": value("coat", "0.9")})

    assert announce(a_result(answer=answer), least="0.5").lists["item"] == ("coat",)


def test_the_function_leaves_out_values_below_min_confidence() -> None:
    """It gets the parameter of the stack."""
    world = World(min_confidence=Decimal("0.5"))
    world.tag(delivery := world.upload())

    (announcement,) = world.announcer.announced
    assert "khaki" not in announcement.lists["color"]
    stored = world.newest(upload_of(delivery).uri)
    assert stored == announcement.document["data"]


# ---- values that SNS takes


@pytest.mark.parametrize("character", ["\t", "\n", "\0", "\x1b", "\x7f", "\ufffe"])
def test_attributes_have_a_space_for_each_character_that_sns_drops(
    character: str,
) -> None:
    """Names and product ids come from outside."""
    result = a_result(
        answer=an_answer({"item": {"id": f"T{character}1", "name": f"a{character}b"}}),
        context=Context(id=f"SKU{character}1"),
    )

    announcement = announce(result)

    assert announcement.texts["productId"] == "SKU 1"
    assert announcement.lists["item"] == ("a b", "T 1")
    assert announcement.document["data"] == result


def test_values_that_become_the_same_are_listed_once() -> None:
    """A filter cannot tell them apart."""
    result = a_result(answer=an_answer({"colors": [value("a\tb"), value("a\nb")]}))

    assert announce(result).lists["color"] == ("a b",)


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\0", "\u3000", 7, True, None, []])
def test_a_blank_value_is_left_out(blank: object) -> None:
    """SNS refuses empty ones, and only text can be filtered by."""
    answer = an_answer(
        {"item": {"id": blank, "name": "coat"}, "looks": [{"id": blank}]}
    )

    announcement = announce(a_result(answer=answer))

    assert announcement.lists["item"] == ("coat",)
    assert "look" not in announcement.lists


def test_quotes_and_backslashes_stay() -> None:
    """SNS gets a String.Array as JSON, which escapes them."""
    announcement = announce(a_result(answer=an_answer({"item": value('7" \\ x')})))

    kind, text = announcement.attributes()["item"]
    assert kind == "String.Array"
    assert json.loads(text) == ['7" \\ x']


def test_a_value_that_no_filter_names_is_left_out() -> None:
    """A name of 100 KB would need the room of all others."""
    result = a_result(
        answer=an_answer({"item": value("x" * 2_049), "looks": [value("x" * 2_048)]})
    )

    announcement = announce(result)

    assert "item" not in announcement.lists
    assert announcement.lists["look"] == ("x" * 2_048,)


# ---- failed and removed


def test_a_failed_upload_has_its_code_and_kind_as_attributes() -> None:
    """A shop shows "no tags" for a permanent failure."""
    assert announce(a_failed_result()).attributes() == {
        "type": ("String", "hangtag.image.failed.v1"),
        "bucket": ("String", BUCKET),
        "code": ("String", "807"),
        "kind": ("String", "permanent"),
    }


def test_a_removed_image_has_its_type_and_bucket_as_attributes() -> None:
    """Nothing else is known of it."""
    result = removed_result(an_upload(), removed_at=NOON)

    assert announce(result).attributes() == {
        "type": ("String", "hangtag.image.removed.v1"),
        "bucket": ("String", BUCKET),
    }


# ---- size


def large(note: str) -> Document:
    """A result with a note in its only garment."""
    return a_result(answer=an_answer({**jacket(), "note": note}))


def largest_note() -> int:
    """The characters of the longest note that SNS takes."""
    return MAX_BYTES - size_of(announce(large("")))


def test_the_largest_announcement_that_sns_takes_is_whole() -> None:
    """To the byte, attributes included."""
    announcement = announce(large("x" * largest_note()))

    assert size_of(announcement) == MAX_BYTES
    assert "truncated" not in announcement.document["data"]


def test_a_larger_announcement_points_to_the_full_result() -> None:
    """It has all own fields and attributes, but none of the API's answer."""
    result = large("x" * (largest_note() + 1))

    announcement = announce(result)

    own = ("status", "image", "language", "context", "taggedAt")
    assert announcement.document["data"] == {
        **{name: result[name] for name in own},
        "truncated": True,
        "fullResult": {
            "table": TABLE,
            "key": {"uri": result["image"]["uri"], "version": "result"},
            "largeResultsBucket": LARGE,
        },
    }
    whole = announce(large(""))
    assert announcement.attributes() == whole.attributes()
    assert announcement.document["id"] == whole.document["id"]


@pytest.mark.parametrize("part", ["notMatchedObject", "imageInfo", "genderInfo", "new"])
def test_any_part_of_the_answer_may_be_the_large_one(part: str) -> None:
    """Not only the objects."""
    body = answer_document()
    body["data"][part] = [{"name": "x" * 300_000}]
    answer = read_answer(json.dumps(body, default=float).encode(), http_status=201)

    data = announce(a_result(answer=answer)).document["data"]

    assert data["truncated"]
    assert part not in data


def test_characters_that_need_escapes_count_with_their_escapes() -> None:
    """A DEL has one byte in the answer and six in the announcement."""
    announcement = announce(large("\x7f" * 50_000))

    assert announcement.document["data"]["truncated"]
    assert size_of(announcement) <= MAX_BYTES


def test_too_many_values_are_cut_to_the_most_confident_ones() -> None:
    """Subscribers read that there were more."""
    colors = [value(f"{n:04}" + "x" * 96, f"0.{n:04}") for n in range(1_000)]

    announcement = announce(a_result(answer=an_answer({**jacket(), "colors": colors})))

    kept = announcement.lists["color"]
    assert 600 < len(kept) < 650
    assert kept == tuple(color["name"] for color in colors[-len(kept) :])
    assert announcement.lists["category"] == ("jacket", "T0360")
    assert announcement.document["data"]["attributesTruncated"]
    assert len(announcement.attributes()["color"][1]) <= MAX_LIST_BYTES


def test_a_value_counts_with_its_highest_confidence() -> None:
    """It stays if one garment is sure of it."""
    many = [value(f"{n:04}" + "x" * 96, "0.5") for n in range(1_000)]
    colors = [[value("red", "0.1"), *many], [value("red", "0.9")]]

    announcement = announce(
        a_result(answer=an_answer(*[{"colors": some} for some in colors]))
    )

    assert announcement.lists["color"][0] == "red"
    assert len(announcement.lists["color"]) < 1_000


def test_a_truncated_announcement_says_that_its_attributes_are_cut_too() -> None:
    """They are all that it has of the answer."""
    colors = [value(f"{n:04}" + "x" * 900) for n in range(400)]

    announcement = announce(a_result(answer=an_answer({"colors": colors})))

    assert announcement.document["data"]["truncated"]
    assert announcement.document["data"]["attributesTruncated"]


def test_a_long_value_does_not_displace_shorter_ones() -> None:
    """What no longer fits is left out, and the next one may fit."""
    most = [value(f"{n:02}" + "y" * 2_000, "0.9") for n in range(40)]

    announcement = announce(
        a_result(answer=an_answer({"colors": [*most, value("red", "0.1")]}))
    )

    assert announcement.lists["color"][-1] == "red"
    assert len(announcement.lists["color"]) < 41


def test_the_own_fields_fit_whatever_they_contain() -> None:
    """Of a hand-made event with the longest texts, and of metadata that need escapes."""
    upload = an_upload("\x7f" * 1_024, version_id="\x7f" * 1_024, etag="\x7f" * 1_024)
    colors = [{"name": f"{n}{'x' * 2_000}"} for n in range(300)]
    result = a_result(
        upload,
        answer=an_answer({"colors": colors}),
        context=Context(id="x" * 2_000, brand="\x7f" * 2_000),
    )

    announcement = announce(result)

    assert announcement.document["data"]["truncated"]
    assert size_of(announcement) <= MAX_BYTES


@pytest.mark.parametrize("size", [1, 300_000])
def test_a_field_of_the_answer_never_passes_for_one_of_large_announcements(
    size: int,
) -> None:
    """A subscriber would read the full result where the API says."""
    body = answer_document()
    body["data"] |= {
        "truncated": True,
        "fullResult": {"table": "another"},
        "attributesTruncated": True,
        "new": "x" * size,
    }
    answer = read_answer(json.dumps(body, default=float).encode(), http_status=201)

    data = announce(a_result(answer=answer)).document["data"]

    assert "attributesTruncated" not in data
    if size == 1:
        assert data["new"] == "x"
        assert not {"truncated", "fullResult"} & {*data}
    else:
        assert data["fullResult"]["table"] == TABLE


def test_confidences_of_any_size_and_precision_rank_values() -> None:
    """A number beyond the range of calculations is one that was paid for."""
    long = "0." + "9" * 40
    colors = [
        *(value(f"{n:04}" + "x" * 1_996, f"{long}{n:02}") for n in range(40)),
        value("certain", "1E+9999999"),
    ]

    kept = announce(a_result(answer=an_answer({"colors": colors}))).lists["color"]

    assert kept[-1] == "certain"
    assert kept[-2].startswith("0039")
    assert not any(name.startswith("0000") for name in kept)


def test_the_function_names_its_table_in_a_truncated_announcement() -> None:
    """Subscribers read the full result there."""
    world = World()
    world.tagger.answer = an_answer({**jacket(), "note": "x" * 300_000})

    assert world.tag(world.upload()) == ()

    (announcement,) = world.announcer.announced
    place = announcement.document["data"]["fullResult"]
    assert place["table"] == "hangtag-results"
    assert place["largeResultsBucket"] == "hangtag-large-results"


# ---- any answer

ANSWERS = [
    answer_document(),
    answer_document({"colors": [{"id": "x" * 1_000, "name": "y" * 3_000}] * 3}),
    answer_document(*[{"item": {"name": "\x7f" * 9_000}}] * 6),
    answer_document(
        *[{"colors": [value(f"{n}{m}" * 200) for m in "abc"]} for n in range(99)]
    ),
    {
        "status": "ok",
        "data": {"objects": [{"type": "NODETC"}], "new": "\u2028" * 50_000},
    },
]


@pytest.mark.fuzz("hangtag.tagger_api.read_answer")
@times(4)
@given(
    damaged(ANSWERS),
    st.fixed_dictionaries({}, optional={"id": TEXTS, "brand": TEXTS, "price": TEXTS}),
    st.sampled_from(["0", "0.5", "1"]),
)
def test_any_answer_makes_an_announcement_that_sns_takes(
    document: object, context: dict[str, str], least: str
) -> None:
    """The fake announcer refuses what SNS refuses, and what the schema refuses."""
    body = to_lenient_json(document).encode("utf-8", "replace")
    try:
        answer = read_answer(body, http_status=201)
    except HangtagError:
        return
    metadata: dict[str, Any] = {
        name: text[:600].encode("utf-8", "replace").decode()
        for name, text in context.items()
    }
    result = a_result(answer=answer, context=Context(**metadata))

    World().announcer.announce(announce(result, least=least))
