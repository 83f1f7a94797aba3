"""The API key is found in what people paste and pipe, or refused with a reason."""

from __future__ import annotations

import json
import string
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.api_key import (
    LONGEST_KEY,
    InvalidKey,
    decode_key,
    read_key,
    secret_of,
)

KEY = "Ab-12_cd.EF+34/gh="

DECORATED = {
    "blanks": f"  {KEY}\t",
    "line ends of Windows": f"{KEY}\r\n",
    "a BOM": f"\ufeff{KEY}",
    "invisible characters": f"\u200b{KEY}\u200b\u00a0",
    "quotes": f'"{KEY}"',
    "single quotes": f"'{KEY}'\n",
    "backquotes": f"`{KEY}`",
    "typographic quotes": f"“{KEY}”",
    "typographic single quotes": f"\u2018{KEY}\u2019",
    "quotes and blanks": f' " {KEY} " ',
    "the header": f"x-api-key: {KEY}",
    "the header in quotes": f"'X-API-Key:{KEY}'\r\n",
    "the header with a quoted value": f'x-api-key: "{KEY}"',
    "two pairs of quotes": f"\"'{KEY}'\"",
    "a line of a file with variables": f'HANGTAG_API_KEY="{KEY}"\n',
    "a line of a shell's profile": f"export HANGTAG_API_KEY='{KEY}'",
    "a variable with JSON": f"HANGTAG_API_KEY='{json.dumps({'apiKey': KEY})}'",
    "JSON": json.dumps({"apiKey": KEY}),
    "JSON in the quotes of cmd.exe": f"'{json.dumps({'apiKey': KEY})}'\r\n",
    "JSON with a BOM": "\ufeff" + json.dumps({"apiKey": f" {KEY}\n", "note": "shop"}),
}

REFUSED = {
    "it is empty": ["", " \r\n", "\ufeff", '""', "''", "x-api-key:", '{"apiKey": ""}'],
    "a blank": ["hidden value", "hidden\tvalue", "hidden\u00a0value", "Bearer hidden"],
    "a line break": ["hidden\nvalue", "hidden\r\nvalue\r\n", '{"apiKey": "hid\\nden"}'],
    "an invisible character": [
        *("hidden\x00value", "hidden\x1b[A", "hidden\u200bvalue", "hidden\ufeffvalue"),
        *("hidden\x7f", "hidden\x00"),
    ],
    "not ASCII": ["hidden-välue", "열쇠", "hidden”", "\udcffhidden"],
    "a quote at one end only": ['"hidden', "hidden'", "`hidden"],
    "JSON": [
        *('{"key": "hidden"}', '{"apiKey": "hidden"', '{"apiKey": 1}', "{hidden}"),
        *('{"apiKey": ["hidden"]}', "{" * 10_000, '["hidden"]', "[1]"),
    ],
    "more than 4,096 characters": ["hidden" * 1_000],
}


@pytest.mark.parametrize("text", DECORATED.values(), ids=DECORATED)
def test_the_key_is_found_in(text: str) -> None:
    """It is copied from web pages, mails, consoles and documentation."""
    assert read_key(text) == KEY
    assert read_key(secret_of(text)) == KEY


@pytest.mark.parametrize(
    ("reason", "text"),
    [(reason, text) for reason, texts in REFUSED.items() for text in texts],
)
def test_a_text_that_is_no_key_is_refused_with_the_reason(
    reason: str, text: str
) -> None:
    """A header cannot carry it, or it is not the whole key. The text is not shown."""
    with pytest.raises(InvalidKey, match=reason) as caught:
        read_key(text)

    shown = "".join(traceback.format_exception_only(caught.value))
    assert "hid" not in shown
    assert caught.value.__context__ is None


def test_the_position_of_a_bad_character_is_named() -> None:
    """The user can find it without the message showing the key."""
    with pytest.raises(InvalidKey, match=r"a blank \(character 7 of 12\)"):
        read_key('"hidden value"')


def test_json_is_stored_as_it_was_given() -> None:
    """Other programs may read its other fields."""
    text = '{"apiKey": "key", "note": "shop"}'

    assert secret_of(f"\ufeff{text}\r\n") == text


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
)
@pytest.mark.parametrize("text", [f"{KEY}\r\n", "x", ""])
def test_a_file_of_any_windows_program_is_read(text: str, encoding: str) -> None:
    """PowerShell 5 writes UTF-16, Notepad a BOM."""
    assert decode_key(text.encode(encoding)).lstrip("\ufeff") == text


@pytest.mark.parametrize("data", [b"\xff\xfeh", b"hidden\xff"])
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    """The error does not carry them."""
    with pytest.raises(InvalidKey, match="not text") as caught:
        decode_key(data)

    assert caught.value.__context__ is None


@given(st.text(string.ascii_letters + string.digits + "-_.~+/=", min_size=1))
def test_a_key_stays_as_it_is(key: str) -> None:
    """Bare, and in JSON."""
    key = key[:LONGEST_KEY]

    assert read_key(key) == secret_of(key) == key
    assert read_key(json.dumps({"apiKey": key})) == key


@pytest.mark.fuzz("hangtag.api_key.read_key")
@given(st.text())
def test_what_is_accepted_is_a_valid_header(text: str) -> None:
    """Visible ASCII."""
    try:
        key = read_key(text)
    except InvalidKey:
        return

    assert all("!" <= character <= "~" for character in key)
    assert key
