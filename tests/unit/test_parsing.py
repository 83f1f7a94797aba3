"""JSON from outside is bounded, and any text is JSON or a `ValueError`."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import from_json

from hangtag.parsing import DEEPEST, parse_event, parse_json
from tests import fuzzing

PARSERS = [parse_event, parse_json]

_pieces = st.lists(
    st.sampled_from(
        [*'{}[]:,"0123456789-+.eE \t\n\ufeff\x00\\', '{"a":', "NaN", "true", "\\ud83d"]
    )
    | st.characters(exclude_categories=()),
    max_size=12,
).map("".join)
texts = fuzzing.JSON.map(fuzzing.to_lenient_json) | _pieces | fuzzing.TEXTS


def nested(depth: int) -> str:
    """Lists and objects in each other."""
    return '[{"a":' * (depth // 2) + ("[]" if depth % 2 else "0") + "}]" * (depth // 2)


@pytest.mark.fuzz("hangtag.parsing.parse_event")
@given(texts)
@example('{"a": 1, "a": 2}')
@example("[NaN, Infinity, -Infinity, 1e400, -0]")
@example("\ufeff{}")
@example('"\\ud83d\\ude00 \\\\ud83d"')
@example('{"\\ud83d": 1}')
def test_an_event_is_read_as_the_parser_of_pydantic_reads_it(text: str) -> None:
    """The same values of all JSON; what that refuses is a `ValueError`."""
    try:
        expected = repr(from_json(text.encode()))
    except ValueError:
        with pytest.raises(ValueError, match=r".+"):
            parse_event(text)
        return

    assert repr(parse_event(text)) == expected


@pytest.mark.fuzz("hangtag.parsing.parse_json")
@given(texts.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary())
def test_any_bytes_are_json_or_a_value_error(body: bytes) -> None:
    """UTF-8 can encode all that is read."""
    try:
        document = parse_json(body)
    except ValueError:
        return

    json.dumps(document, ensure_ascii=False, default=str).encode()


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("depth", [DEEPEST + 1, DEEPEST + 2, 5_000, 500_001])
def test_json_that_is_nested_too_deeply_is_refused(parse: Any, depth: int) -> None:  # noqa: ANN401 - one of `PARSERS`
    """Whatever walks through the document later has room for a hundred levels."""
    assert parse(nested(DEEPEST - 1)) is not None
    with pytest.raises(ValueError, match="nested too deeply"):
        parse(nested(depth))


@pytest.mark.parametrize("parse", PARSERS)
def test_json_may_be_as_wide_as_it_likes(parse: Any) -> None:  # noqa: ANN401 - one of `PARSERS`
    """Only the depth is limited: an answer has many lists beside each other."""
    wide = [[{"a": [number]}] for number in range(DEEPEST)]

    assert parse(json.dumps(wide)) == wide


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("text", ["9" * 4_301, "[-" + "9" * 5_000 + "]", "{", "", "'"])
def test_text_that_is_no_json_is_refused(parse: Any, text: str) -> None:  # noqa: ANN401 - one of `PARSERS`
    """Integers of more than 4,300 digits included, which take long to convert."""
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e9999999999999999999"]
)
def test_numbers_of_an_answer_are_finite(text: str) -> None:
    """JSON has no others; a `Decimal` of that exponent could not be made."""
    with pytest.raises(ValueError, match=r"not a JSON number|exponent"):
        parse_json(f"[{text}]")


def test_lone_surrogates_in_an_answer_are_replaced() -> None:
    """An answer is paid for; both spellings of a whole character stay."""
    text = r'{"\udc00": ["\ud800!", "\ud83d\ude00", "😀", "\\ud800", 1.50]}'

    assert parse_json(text) == {"?": ["?!", "😀", "😀", "\\ud800", Decimal("1.50")]}
    assert parse_json(b'"\xed\xa0\x80"') == "?"


@pytest.mark.parametrize(
    "text", [r'"\ud800"', r'{"\uDFFF": 1}', '"\udc00"', r'"\ud83d\\"']
)
def test_an_event_with_a_lone_surrogate_is_refused(text: str) -> None:
    """No key of S3 has one, and no message of ours could hold it."""
    with pytest.raises(ValueError, match="surrogates not allowed"):
        parse_event(text)
