"""Answers in DynamoDB: values are kept as far as its types allow, and no value is an error."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.dynamodb_table import from_attribute, to_attribute
from hangtag.tagger_api import read_answer
from tests.builders import (
    URI,
    a_result,
    an_answer,
    an_upload,
    answer_document,
    jacket,
    to_body,
)
from tests.contract.aws_parts import create_large_results, create_table, session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LARGEST = Decimal("9." + "9" * 37 + "E+125")
SMALLEST = Decimal("1E-130")


def kept(value: object) -> Any:  # noqa: ANN401 - JSON-like
    """The value after a round trip."""
    return from_attribute(to_attribute(value))


# ---- any number


@pytest.mark.parametrize(
    "number",
    [
        0,
        1,
        -1,
        10**37,
        12_345_678_901_234_567_890_123_456_789_012_345_678,
        Decimal("0.1"),
        Decimal("0.12345678901234567890123456789012345678"),
        Decimal("-0.5033992828"),
        LARGEST,
        LARGEST.copy_negate(),
        SMALLEST,
        SMALLEST.copy_negate(),
        Decimal("1.234567890123456789012345678901234567E-128"),
    ],
)
def test_a_number_within_dynamodbs_range_is_unchanged(number: int | Decimal) -> None:
    """The range is 38 digits, from 1e-130 to 9.99…e125."""
    assert kept(number) == number


@pytest.mark.parametrize(
    ("number", "rounded"),
    [
        (Decimal("0." + "1" * 40), Decimal("0." + "1" * 38)),
        (Decimal("0." + "6" * 40), Decimal("0." + "6" * 37 + "7")),
        (10**45 + 1, 10**45),
        (Decimal("9" * 40), 10**40),
        (Decimal("1." + "5" * 37 + "E-130"), Decimal("1." + "5" * 34 + "6E-130")),
    ],
)
def test_digits_beyond_38_are_rounded(
    number: int | Decimal, rounded: int | Decimal
) -> None:
    """They are not refused."""
    assert kept(number) == rounded


@pytest.mark.parametrize(
    "number",
    ["1E-131", "-9E-131", "1E-9999999", "0E-500", "0E+500", "-0", "0.000", "-0.0"],
)
def test_numbers_too_close_to_0_become_0(number: str) -> None:
    """No confidence is that small."""
    assert kept(Decimal(number)) == 0


@pytest.mark.parametrize(
    "number",
    ["1E+126", "-1E+126", "1E+9999999", "-1E+9999999", "9." + "9" * 40 + "E+125"],
)
def test_numbers_beyond_the_range_are_stored_as_text(number: str) -> None:
    """All digits are kept, also where rounding would exceed the range."""
    assert kept(Decimal(number)) == number


def test_huge_integers_are_stored_as_text() -> None:
    """Integers in JSON have no limit."""
    assert kept(10**130) == "1" + "0" * 130


def test_integers_are_read_as_integers() -> None:
    """An index of 2 is printed as 2, not as 2.0 or 2E+0."""
    came = [kept(number) for number in (2, Decimal("2.0"), Decimal("2E+2"))]

    assert [(number, type(number)) for number in came] == [
        (2, int),
        (2, int),
        (200, int),
    ]


def test_a_boolean_is_no_number() -> None:
    """Python's True equals 1."""
    assert kept([True, False, 1, 0]) == [True, False, 1, 0]
    assert [type(part) for part in kept([True, 1])] == [bool, int]


@given(
    st.one_of(
        st.integers(),
        st.decimals(allow_nan=False, allow_infinity=False),
        st.builds(
            lambda digits, exponent: Decimal(digits).scaleb(exponent, Context(prec=99)),
            st.integers(-(10**50), 10**50),
            st.integers(-200, 200),
        ),
    )
)
def test_no_number_is_an_error(number: int | Decimal) -> None:
    """Each is rounded to DynamoDB's precision, or kept as text."""
    came = kept(number)

    if isinstance(came, str):
        assert abs(Decimal(number)) > LARGEST
        assert Decimal(came) == number
    elif abs(Decimal(number)) < SMALLEST:
        assert came == 0
    else:
        # 38 digits; two less at the lowest end
        wide = Context(prec=99)
        distance = abs(wide.subtract(Decimal(came), Decimal(number)))
        assert distance <= wide.multiply(abs(Decimal(number)), Decimal("1E-35"))


# ---- any answer

NUMBERS = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**28) + 1, 10**28 - 1),
    st.integers(-100, 90),
)
"""Numbers within DynamoDB's range, in any notation."""

# JSON can escape half a character, which reading joins; other text is written unescaped
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NAMES = TEXTS.filter(bool)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**37), 10**37) | NUMBERS | TEXTS,
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(NAMES, children, max_size=4)
    ),
    max_leaves=20,
)

UNKNOWN_FIELDS = st.dictionaries(NAMES.map("new {}".format), VALUES, max_size=4)


def same(left: object, right: object) -> bool:
    """Equal, and of the same JSON type: 1 is neither true nor "1", but it is 1.0."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(
            same(value, right[name]) for name, value in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right


@given(VALUES)
def test_any_value_survives_a_round_trip(value: object) -> None:
    """Values may be empty, null, booleans, numbers and any characters."""
    assert same(value, kept(value))


def with_plain_zeros(value: object) -> object:
    """The value, in which 0.00 and 0E+9 are 0."""
    match value:
        case dict():
            return {name: with_plain_zeros(part) for name, part in value.items()}
        case list():
            return [with_plain_zeros(part) for part in value]
        case Decimal() if value.is_zero():
            return Decimal(0)
        case _:
            return value


@given(VALUES)
def test_any_value_is_written_as_boto3_writes_it(value: object) -> None:
    """boto3's own serializer is not used, because loading it takes longer than a cold start has."""
    assert TypeSerializer().serialize(with_plain_zeros(value)) == to_attribute(value)


@given(VALUES)
def test_any_value_is_read_as_boto3_reads_it(value: object) -> None:
    """Apart from whole numbers, which are integers."""
    attribute = TypeSerializer().serialize(value)

    assert same(TypeDeserializer().deserialize(attribute), from_attribute(attribute))


@pytest.mark.parametrize("value", [0.5, b"bytes", {1, 2}, object()])
def test_values_that_are_not_json_like_are_refused(value: object) -> None:
    """Floats would be rounded; the API's numbers are read as decimals."""
    with pytest.raises(TypeError, match="DynamoDB takes no"):
        to_attribute(value)


@pytest.mark.parametrize("attribute", [{}, {"SS": ["a"]}, {"B": b"a"}, "text", None])
def test_attributes_of_other_types_are_refused(attribute: object) -> None:
    """Only an item that was written by hand has sets or binary values."""
    with pytest.raises(TypeError, match="not the attribute"):
        from_attribute(attribute)


@pytest.mark.parametrize("number", ["1E+126", "1E+999999999", "1E-999", "1" * 39, "x"])
def test_numbers_that_dynamodb_cannot_store_are_refused(number: str) -> None:
    """They come from an event that was written by hand; as an integer one would fill the memory."""
    with pytest.raises(ArithmeticError):
        from_attribute({"N": number})


@given(tag=UNKNOWN_FIELDS, found=UNKNOWN_FIELDS, confidence=NUMBERS)
def test_any_answer_survives_a_round_trip(
    tag: dict[str, Any], found: dict[str, Any], confidence: Decimal
) -> None:
    """From the API's bytes to the operators' view, with known and unknown fields."""
    item = {"id": "T0345", "name": "재킷", "confidence": confidence}
    document = answer_document({**jacket(), "item": item, **tag})
    document["data"]["objects"][0].update(found)
    answer = read_answer(to_body(document), http_status=201)

    came = kept(answer.document())

    assert same(answer.document(), came)
    (garment,) = came["objects"][0]["tags"]
    assert same({"item": item, **tag}, {name: garment[name] for name in ("item", *tag)})


# ---- through DynamoDB


@pytest.fixture
def client(aws: None) -> DynamoDBClient:  # noqa: ARG001 - the client is of it
    """DynamoDB in memory, with the template's table."""
    create_table()
    return session().client("dynamodb")


def test_an_answer_with_odd_numbers_is_stored(client: DynamoDBClient) -> None:
    """The answer was paid for, so no number in it may be an error."""
    store = DynamoDBResults(client, "ResultsTable", create_large_results())
    odd = {"huge": Decimal("1E+9999999"), "tiny": Decimal("1E-9999999"), "zero": 0}
    fine = Decimal("0." + "1" * 40)
    answer = an_answer({**jacket(), "odd": odd, "fine": fine})

    result = a_result(answer=answer)
    assert store.store(an_upload(), result, retag=None, fence=1.0) is None

    stored = store.read(URI)
    assert stored is not None
    assert stored.document is not None
    (garment,) = stored.document["objects"][0]["tags"]
    assert garment["odd"] == {"huge": "1E+9999999", "tiny": 0, "zero": 0}
    assert garment["fine"] == Decimal("0." + "1" * 38)
