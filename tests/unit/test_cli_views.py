"""Tables for people, on what is fed to them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from hangtag.dead_letters import DeadLetter
from hangtag.errors import UNCODED
from hangtag.failure import Failure
from hangtag.operators.replay import ReplayReport
from hangtag.tagger_api.errors import leaves
from hangtag_cli.advice import advice_on
from hangtag_cli.garments import answer_page, result_page
from hangtag_cli.letters import (
    letter_document,
    letter_page,
    letters_page,
    replay_page,
    to_second,
)
from hangtag_cli.output import json_line
from tests.builders import (
    NOON,
    URI,
    a_dead_letter,
    a_failed_result,
    a_letter,
    a_result,
    an_answer,
    an_upload,
    notification,
    record,
)

HOSTILE = "\x1b[2J\x07\x9b31m[red]\r\n\x7f"


def printed(parts: Iterable[RenderableType], *, width: int = 200) -> str:
    """What a terminal of that width is sent, colours and all."""
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=True, color_system=None, markup=False
    )
    for part in parts:
        console.print(part)
    return stream.getvalue()


def test_a_result_is_shown_garment_by_garment() -> None:
    """Everything one looks for first stands in one line per garment."""
    shown = printed(result_page(a_result()))

    assert URI in shown
    assert f"tagged at  {NOON}" in shown
    assert "language   en" in shown
    row = next(line for line in shown.splitlines() if "balmacaan-jacket" in line)
    assert row.split("  ")[0] == "CLOTHING"
    for cell in ("jacket", "beige 0.83, khaki 0.10", "casual", "0.50, 0.50"):
        assert cell in row
    assert "gender  male" in shown


def test_a_failed_result_says_who_acts_and_how() -> None:
    """The operator should not have to look the code up."""
    shown = printed(result_page(a_failed_result(code="807")))

    assert "807" in shown
    assert "uploader" in shown
    assert "Upload a larger picture." in shown


def test_a_dry_run_shows_each_that_would_be_dealt_with() -> None:
    """What is hostile in a key or an id reaches no terminal."""
    report = ReplayReport(dry_run=True)
    report.matched = 3
    report.choose(a_letter("letter-1", a_dead_letter()))
    report.choose(a_letter(HOSTILE, replace(a_dead_letter(), image=None)))
    report.would += 1

    shown = printed(replay_page(report))

    assert URI in shown
    assert "... and 1 more" in shown
    assert not set(shown) & {"\x1b", "\x07", "\x9b", "\r", "\x7f"}


def test_tables_tell_times_to_the_second() -> None:
    """Milliseconds would break each into two lines, on a terminal of the usual width."""
    letter = a_letter("letter-1", a_dead_letter())

    shown = printed(letters_page([letter]), width=80)

    assert to_second(letter.letter.failure.failed_at) in shown
    assert to_second("2026-11-22T12:00:00.123Z") == "2026-11-22T12:00:00Z"
    assert to_second("not a time") == "not a time"


def test_a_picture_without_garments_says_so() -> None:
    """An empty table would look like a mistake."""
    nothing = {"objects": [{"type": "NODETC", "tags": []}]}

    assert "no garment found" in printed(answer_page(nothing))
    assert "no garment found" in printed(answer_page({"objects": []}))


def test_what_was_not_asked_for_is_named() -> None:
    """Otherwise people wonder where the shoes went."""
    answer = {**an_answer().document(), "notMatchedObject": [{"type": "SHOES"}]}

    assert "not asked for  SHOES" in printed(answer_page(answer))


@pytest.mark.parametrize(
    "character",
    ["\x1b", "\x7f", "\x85", "\x9b", "\u202e", "\u2066", "\ud800", "\uffff"],
)
def test_json_has_nothing_that_a_terminal_obeys(character: str) -> None:
    """It is read there, too; whoever parses it gets what was meant."""
    document = {"key": f"before{character}after", "드레스": "é"}

    line = json_line(document)

    assert character not in line.decode()
    assert "드레스" in line.decode()
    assert json.loads(line) == document


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "tags", "colors", "name", "confidence", "x", "item"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(parts=st.fixed_dictionaries({"objects": _json, "genderInfo": _json}))
def test_no_answer_is_too_odd_to_be_shown(parts: dict[str, Any]) -> None:
    """The API's leaves are kept as they come; a table must not break over one."""
    assert printed(answer_page(parts))


def test_what_comes_from_outside_does_nothing_to_the_terminal() -> None:
    """Whoever may upload chooses the key; it must not move the operator's cursor."""
    upload = an_upload(f"dress{HOSTILE}.jpg")
    tag = {"category": {"name": HOSTILE}, "colors": [{"id": HOSTILE}]}
    letter = a_letter(
        "id", DeadLetter(HOSTILE, a_failure_with(HOSTILE), upload.uri, 0, HOSTILE)
    )

    shown = printed(
        [
            *result_page(a_result(upload, answer=an_answer(tag))),
            *result_page(a_failed_result(upload)),
            *letters_page([letter]),
            *letter_page(letter),
        ]
    )

    assert "[red]" in shown, "markup is text"
    assert not [
        character
        for character in shown
        if character != "\n" and not character.isprintable()
    ]


def a_failure_with(text: str) -> Failure:
    """A failure that says *text* wherever it can."""
    return Failure(text, text, text, text, attempts=1, failed_at=text)


def test_an_empty_queue_is_good_news() -> None:
    """An empty table would leave people in doubt."""
    assert "no dead letters" in printed(letters_page([]))


def test_letters_are_summed_up_by_code() -> None:
    """What is to be done depends on the code alone."""
    letters = [
        a_letter("1", a_dead_letter(code="807")),
        a_letter("2", a_dead_letter(code="823")),
        a_letter("3", a_dead_letter(code="823")),
    ]

    shown = printed(letters_page(letters))

    summary = shown[shown.index("who acts") :].splitlines()
    rows = [line.split() for line in summary if line.startswith("8")]
    assert [row[:3] for row in rows] == [
        ["823", "permanent", "2"],
        ["807", "permanent", "1"],
    ]
    assert "Raise the quota" in shown


def test_a_letter_without_an_image_is_called_by_its_id() -> None:
    """Else it could not be shown or replayed."""
    letter = a_letter(
        "id-of-it",
        DeadLetter("not json", a_failure_with("UNREADABLE_EVENT"), None, 0, ""),
    )

    assert "id-of-it" in printed(letters_page([letter]))
    assert "id-of-it" in printed(letter_page(letter))


def test_everything_known_of_a_letter_is_shown() -> None:
    """Failure, advice, the version, and the body."""
    letter = a_letter("id-of-it", a_dead_letter())

    shown = printed(letter_page(letter))

    for fact in ("807", "Upload a larger picture.", "version-1", "request-1", '"key":'):
        assert fact in shown


def test_a_letter_of_several_records_names_each_upload() -> None:
    """SQS itself moves whole messages, with all records in them."""
    body = notification(record("a.jpg"), record("b.jpg"))
    letter = a_letter("id", DeadLetter(body, a_failure_with(UNCODED), URI, 0, ""))

    uploads = letter_document(letter)["uploads"]

    assert [upload["key"] for upload in uploads] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.code)
def test_every_code_has_its_own_advice(leaf: Any) -> None:  # noqa: ANN401 - a class
    """The error tree says who acts; the command passes it on."""
    assert leaf.advice == advice_on(leaf.code).text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (UNCODED, "Look at its body"),
        ("899", "Ask the vendor"),
        ("HTTP_502", "Check TaggerApiUrl"),
        ("FROM_TOMORROW", "this version of Hangtag does not know the code"),
    ],
)
def test_codes_that_cannot_be_listed_have_advice_too(code: str, words: str) -> None:
    """Nobody is left alone with a number."""
    assert words in advice_on(code).text


def test_a_narrow_terminal_gets_everything() -> None:
    """Cells are folded, never cut: half a key is no key."""
    shown = printed(letters_page([a_letter("1", a_dead_letter())]), width=60)

    assert "…" not in shown


def test_a_number_has_two_decimals_in_tables() -> None:
    """The digits are for programs."""
    tag = {"position": {"x": Decimal("0.123456"), "y": 1}}

    assert "0.12, 1.00" in printed(answer_page(an_answer(tag).document()))
