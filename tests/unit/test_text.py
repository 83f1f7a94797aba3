"""Text is encoded for where it goes."""

from __future__ import annotations

import csv
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.text import (
    escape_json,
    printable,
    to_attribute,
    to_csv_cell,
    to_log_line,
    to_printable_json,
)
from tests.hostile import BYTES, CHARACTERS, TEXT, raw_in

ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""With the halves of surrogate pairs, which JSON can contain and UTF-8 cannot."""


@pytest.mark.parametrize("character", [*"".join(CHARACTERS), BYTES], ids=ascii)
def test_a_character_that_acts_on_a_terminal_is_replaced_for_people(
    character: str,
) -> None:
    """Words stay apart, on one line."""
    assert printable(f"a{character}b") == "a b"


@pytest.mark.parametrize("text", ["plain", "봄 자켓 🧥", "a  b", "<&>\"'\\", "e\u0301"])
def test_harmless_text_is_the_same_for_people_and_in_attributes(text: str) -> None:
    """Only harmful characters are replaced."""
    assert printable(text) == to_attribute(text) == text


@given(ANY_TEXT)
def test_an_attribute_is_accepted_by_sqs(text: str) -> None:
    """SQS refuses a message with another character, and the failure would be lost."""
    value = to_attribute(text)

    assert re.fullmatch(
        "[\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*", value
    )
    assert len(value) == len(text)


@pytest.mark.parametrize("mark", ["\x9b", "\u202e", "\u2066", "\u200f", "\u2028"])
def test_an_attribute_has_no_controls_and_no_marks_of_direction(mark: str) -> None:
    """AWS's consoles show attributes."""
    assert to_attribute(f"a{mark}b") == "a b"


@pytest.mark.parametrize("text", ["a\u3000b", "\u2764\ufe0f\u200d\U0001f525", "\ue000"])
def test_an_attribute_keeps_what_filter_policies_may_compare(text: str) -> None:
    """A product's name may have wide blanks, joined emoji and characters of a vendor's font."""
    assert to_attribute(text) == text


@given(ANY_TEXT)
def test_a_line_of_the_log_is_ascii_and_has_the_exact_text(text: str) -> None:
    """`sam logs` prints it on a terminal as it is."""
    line = to_log_line({text: [text]})

    assert re.fullmatch("[ -~]*", line)
    assert json.loads(line) == {text: [text]}


def test_a_value_without_a_json_form_does_not_stop_the_log() -> None:
    """It is written as text."""
    assert to_log_line({"error": ValueError("a\x9b")}) == r'{"error":"a\u009b"}'


def test_a_name_without_a_json_form_is_an_error() -> None:
    """The functions' own lines have only texts as names."""
    assert to_log_line({1: None, None: 2}) == '{"1":null,"null":2}'
    with pytest.raises(TypeError):
        to_log_line({("a", "b"): 1})


@given(ANY_TEXT)
def test_json_for_programs_is_printable_and_has_the_exact_text(text: str) -> None:
    """People read it on a terminal, too."""
    shown = to_printable_json({text: [text]})

    assert shown.isprintable()
    assert raw_in(shown) == []
    assert json.loads(shown) == {text: [text]}


def test_json_for_programs_keeps_other_languages_readable() -> None:
    """Only what cannot be shown is escaped."""
    assert to_printable_json(["봄\u202e🧥"]) == '["봄\\u202e🧥"]'
    assert escape_json('"\U000e0001"') == r'"\udb40\udc01"'


def test_the_hostile_text_has_all_of_the_characters() -> None:
    """The tests of the outputs rely on it."""
    assert len(raw_in(TEXT + BYTES)) == len({*"".join(CHARACTERS)})


# ---- CSV

FORMULA = re.compile(r'[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20]')


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("plain", '"plain"'),
        ('a "b", c', '"a ""b"", c"'),
        ("=1+1", '"\'=1+1"'),
        ("a;=1", '"a;\'=1"'),
        ("a=b-c", '"a=b-c"'),
        ("드레스", '"드레스"'),
        ("a\r\nb", '"a  b"'),
    ],
)
def test_a_csv_cell_is_quoted_and_calculates_nothing(text: str, cell: str) -> None:
    """Only what could begin a formula gets an apostrophe."""
    assert to_csv_cell(text) == cell


@pytest.mark.parametrize("separator", [",", ";"])
@given(text=st.text(st.sampled_from('=+-@;,"\t\r\n \uff1da')) | ANY_TEXT)
def test_no_cell_begins_a_formula(separator: str, text: str) -> None:
    """In some countries a semicolon separates cells, whatever the file says."""
    line = f"{to_csv_cell('first')},{to_csv_cell(text)},{to_csv_cell('last')}"

    [cells] = csv.reader([line], delimiter=separator)

    assert not [cell for cell in cells if FORMULA.match(cell)]
    assert len(cells) == 3 or separator == ";"
    assert raw_in(line) == []


def test_a_long_csv_cell_is_cut() -> None:
    """Excel would put the rest into the cell below."""
    assert len(to_csv_cell("a" * 100_000)) < 32_767
