"""The tables that the command prints for people."""

from __future__ import annotations

import io
import json
import re
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
from hangtag.tagger_api.models import Tag
from hangtag_cli import garments
from hangtag_cli.advice import advice_on
from hangtag_cli.garments import answer_page, result_page
from hangtag_cli.letters import (
    backup_document,
    letter_document,
    letter_page,
    letters_page,
    read_backup_document,
    replay_page,
    to_second,
)
from hangtag_cli.output import json_line
from hangtag_cli.tables import table
from tests.builders import (
    NOON,
    URI,
    a_dead_letter,
    a_failed_result,
    a_letter,
    a_result,
    an_answer,
    an_upload,
    jacket,
    notification,
    record,
)

HOSTILE = "\x1b[2J\x07\x9b31m[red]\r\n\x7f"


def printed(parts: Iterable[RenderableType], *, width: int = 200) -> str:
    """The output on a terminal of that width, with colours."""
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=True, color_system=None, markup=False
    )
    for part in parts:
        console.print(part)
    return stream.getvalue()


def test_a_result_has_a_line_for_each_value_with_its_confidence() -> None:
    """The values of a list are below each other."""
    shown = printed(result_page(a_result()))

    assert URI in shown
    assert f"tagged at  {NOON}" in shown
    assert "language   en" in shown
    lines = [line.split() for line in shown.splitlines()]
    at = lines.index(["1", "CLOTHING"])
    assert lines[at + 1 : at + 7] == [
        ["position", "centre", "(0.50,", "0.50)"],
        ["category", "jacket"],
        ["item", "balmacaan-jacket", "78%"],
        ["colours", "beige", "83%"],
        ["khaki", "10%"],
        ["looks", "casual", "81%"],
    ]
    assert "gender  male" in shown


def test_every_attribute_of_a_garment_is_shown() -> None:
    """Also one that the API has added since."""
    value = {"id": "T1", "name": "a-value", "confidence": Decimal("0.5")}
    tag = {**dict.fromkeys(Tag.model_fields, value), "position": None, "new": value}

    shown = printed(answer_page({"objects": [{"type": "SHOES", "tags": [tag]}]}))

    assert shown.count("a-value") == len(Tag.model_fields)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ("0.31", "0.52", "centre left (0.31, 0.52)"),
        ("0.9", "0.1", "top right (0.90, 0.10)"),
        ("0.5", "1", "bottom (0.50, 1.00)"),
    ],
)
def test_a_position_has_words(x: str, y: str, words: str) -> None:
    """Two garments of a picture are told apart without a calculation."""
    tag = {"position": {"x": Decimal(x), "y": Decimal(y)}}

    assert words in printed(answer_page(an_answer(tag).document()))


SAND = {"code": "#e5ccaf", "name": "sand", "pixelFraction": Decimal("0.61")}
SAND_SWATCH = "\x1b[48;2;229;204;175m  \x1b[0m sand #e5ccaf"


def swatches_on(**terminal: Any) -> str:  # noqa: ANN401 - the console's options
    """A garment in sand on that terminal."""
    stream = io.StringIO()
    console = Console(file=stream, width=80, **terminal)
    for part in answer_page(an_answer({"colorDetails": [SAND]}).document()):
        console.print(part)
    return stream.getvalue()


def test_a_colour_is_shown_where_the_terminal_can() -> None:
    """The name and the share are beside it."""
    shown = swatches_on(force_terminal=True, color_system="truecolor")

    assert SAND_SWATCH in shown
    assert "61%" in shown


@pytest.mark.parametrize(
    "terminal",
    [
        {"force_terminal": False},
        {"force_terminal": True, "color_system": "truecolor", "no_color": True},
        {"force_terminal": True, "color_system": "standard"},
    ],
    ids=["pipe", "NO_COLOR", "16 colours"],
)
def test_elsewhere_a_colour_is_a_name(terminal: dict[str, Any]) -> None:
    """A theme's 16 colours would show another one."""
    shown = swatches_on(**terminal)

    assert "\x1b[4" not in shown
    assert re.search(r"palette(\x1b\[0m)?  sand #e5ccaf", shown)


@pytest.mark.parametrize("code", ["red", "#12", "#gggggg", "#1234567", HOSTILE, None])
def test_a_colour_that_is_none_is_shown_as_text(code: object) -> None:
    """The API may send anything."""
    tag = {"colorDetails": [{"code": code, "name": "odd"}]}
    answer = {"objects": [{"type": "BAGS", "tags": [tag]}]}

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="truecolor")
    for part in answer_page(answer):
        console.print(part)

    assert "odd" in stream.getvalue()
    assert "\x1b[4" not in stream.getvalue()


def test_a_million_values_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of a hostile API would run through the terminal for minutes."""
    monkeypatch.setattr(garments, "_MOST_GARMENTS", 3)
    monkeypatch.setattr(garments, "_MOST_VALUES", 4)
    tag = {"colors": [{"name": "red"}] * 1_000}
    many = {"objects": [{"type": "BAGS", "tags": [tag] * 1_000}]}

    shown = printed(answer_page(many))

    assert shown.count("red") == 3 * 4
    assert "only the first 4 values; --json prints all" in shown
    assert "only the first 3 garments; --json prints all" in shown


def test_a_result_is_readable_on_40_columns() -> None:
    """A terminal beside an editor is that narrow."""
    tag = {**jacket(), "colorDetails": [SAND]}
    lines = printed(answer_page(an_answer(tag).document()), width=40).splitlines()

    assert max(map(len, lines)) <= 40
    assert [
        line.split() for line in lines if "balmacaan" in line or "sand" in line
    ] == [
        ["item", "balmacaan-jacket", "78%"],
        ["palette", "sand", "#e5ccaf", "61%"],
    ]


def test_a_failed_result_shows_who_acts_and_how() -> None:
    """The operator should not have to look the code up."""
    shown = printed(result_page(a_failed_result(code="807")))

    assert "807" in shown
    assert "uploader" in shown
    assert "Upload a larger picture." in shown


def test_a_dry_run_lists_each_failure_that_would_be_handled() -> None:
    """Control characters in a key or an id do not reach the terminal."""
    report = ReplayReport(dry_run=True)
    report.matched = 3
    report.choose(a_letter("letter-1", a_dead_letter()))
    report.choose(a_letter(HOSTILE, replace(a_dead_letter(), image=None)))
    report.planned += 1

    shown = printed(replay_page(report))

    assert URI in shown
    assert "... and 1 more" in shown
    assert not set(shown) & {"\x1b", "\x07", "\x9b", "\r", "\x7f"}


def test_tables_show_times_to_the_second() -> None:
    """Milliseconds would wrap each time on a terminal of usual width."""
    letter = a_letter("letter-1", a_dead_letter())

    shown = printed(letters_page([letter]), width=80)

    assert to_second(letter.letter.failure.failed_at) in shown
    assert to_second("2026-11-22T12:00:00.123Z") == "2026-11-22T12:00:00Z"
    assert to_second("not a time") == "not a time"


def test_an_image_without_garments_is_reported() -> None:
    """An empty table would look like an error."""
    nothing = {"objects": [{"type": "NODETC", "tags": []}]}

    assert "no garment found" in printed(answer_page(nothing))
    assert "no garment found" in printed(answer_page({"objects": []}))


def test_objects_outside_the_detection_are_listed() -> None:
    """Otherwise users wonder why the shoes are missing."""
    others = [
        {"type": "SHOES", "tags": [{"category": {"name": "boots"}}]},
        {"type": "BAGS"},
    ]
    answer = {**an_answer().document(), "notMatchedObject": others}

    assert "not asked for  SHOES (boots), BAGS" in printed(answer_page(answer))


@pytest.mark.parametrize(
    "character",
    ["\x1b", "\x7f", "\x85", "\x9b", "\u202e", "\u2066", "\ud800", "\uffff"],
)
def test_json_contains_no_control_characters(character: str) -> None:
    """People read it in a terminal, too; a parser gets the original values."""
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


def test_a_text_in_a_row_has_no_effect_on_the_terminal() -> None:
    """Whoever adds a row need not think of it."""
    rows = table("name")
    rows.add_row(f"a{HOSTILE}b")

    [_, _, line, _] = printed([rows]).split("\n")

    assert line.strip() == "a [2J  31m[red]   b"


@pytest.mark.parametrize(
    "number", [Decimal("1e9999"), Decimal("-1e9999"), Decimal("1e-9999"), 10**400]
)
def test_a_huge_number_is_shown_as_it_is(number: Decimal | int) -> None:
    """With all its zeros it would fill the memory: 1e999999999 is an answer, too."""
    tag = {
        "colors": [{"name": "red", "confidence": number}],
        "position": {"x": number, "y": 0.5},
    }

    shown = printed(answer_page({"objects": [{"type": "BAGS", "tags": [tag]}]}))

    assert len(shown) < 3_000
    assert "red" in shown


@given(parts=st.fixed_dictionaries({"objects": _json, "genderInfo": _json}))
def test_every_answer_can_be_shown(parts: dict[str, Any]) -> None:
    """Answers may contain values of any type; a table must not fail on one."""
    assert printed(answer_page(parts))


def test_text_from_outside_cannot_control_the_terminal() -> None:
    """An uploader chooses the key; it must not move the operator's cursor."""
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
    """A failure with *text* in every field."""
    return Failure(text, text, text, text, attempts=1, failed_at=text)


def test_an_empty_dead_letter_queue_is_reported_in_a_sentence() -> None:
    """An empty table would look like an error."""
    assert "no dead letters" in printed(letters_page([]))


def test_letters_are_summarised_by_code() -> None:
    """The remedy depends on the code alone."""
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


def test_the_formats_of_refused_files_are_summarised() -> None:
    """An operator sees at a glance that most of the uploads are HEIC."""
    formats = ["PDF", "HEIC", "", "HEIC", "HEIC", "PDF"]
    letters = [
        a_letter(
            str(number), a_dead_letter(code="UNSUPPORTED_FORMAT", image_format=found)
        )
        for number, found in enumerate(formats)
    ]
    others = [a_letter("807", a_dead_letter())]

    assert "HEIC 3, PDF 2, unknown 1" in printed(letters_page([*letters, *others]))
    assert "unknown" not in printed(letters_page(others))


def test_a_format_is_shown_with_its_failure() -> None:
    """The message has it, too, but a script reads the field."""
    letter = a_letter(
        "id", a_dead_letter(code="UNSUPPORTED_FORMAT", image_format="HEIC")
    )

    assert re.search(r"format\s+HEIC", printed(letter_page(letter)))
    assert letter_document(letter)["format"] == "HEIC"
    assert "format" not in letter_document(a_letter("id"))


def test_a_backup_keeps_the_format() -> None:
    """Backups of older versions have no format."""
    named = a_dead_letter(code="UNSUPPORTED_FORMAT", image_format="HEIC")
    line = backup_document(a_letter("id", named))
    of_before = {name: value for name, value in line.items() if name != "format"}

    assert read_backup_document(line) == named
    assert read_backup_document(of_before).failure.image_format == ""


def test_a_letter_without_an_image_is_named_by_its_id() -> None:
    """Otherwise it could not be shown or replayed."""
    letter = a_letter(
        "id-of-it",
        DeadLetter("not json", a_failure_with("UNREADABLE_EVENT"), None, 0, ""),
    )

    assert "id-of-it" in printed(letters_page([letter]))
    assert "id-of-it" in printed(letter_page(letter))


def test_every_field_of_a_letter_is_shown() -> None:
    """The fields are failure, advice, version and body."""
    letter = a_letter("id-of-it", a_dead_letter())

    shown = printed(letter_page(letter))

    for fact in ("807", "Upload a larger picture.", "version-1", "request-1", '"key":'):
        assert fact in shown


def test_a_letter_with_several_records_names_each_upload() -> None:
    """SQS's redrive moves whole messages with all their records."""
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
        ("HTTP_502", "check TaggerApiUrl"),
        ("HTTP_429", "lower MaxRequestsPerSecond"),
        ("FROM_TOMORROW", "this version of Hangtag does not know the code"),
    ],
)
def test_unlisted_codes_have_advice_too(code: str, words: str) -> None:
    """A bare number would not help an operator."""
    assert words in advice_on(code).text


def test_a_narrow_terminal_shows_every_character() -> None:
    """Cells are wrapped, never cut: half a key is useless."""
    shown = printed(letters_page([a_letter("1", a_dead_letter())]), width=60)

    assert "…" not in shown


def test_a_number_has_two_decimals_in_tables() -> None:
    """JSON output has all digits."""
    tag = {"position": {"x": Decimal("0.123456"), "y": 1}}

    assert "0.12, 1.00" in printed(answer_page(an_answer(tag).document()))
