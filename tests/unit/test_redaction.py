"""Secrets that the API echoes: hidden in any spelling."""

from __future__ import annotations

import json
import tracemalloc
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from itertools import combinations
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.redaction import (
    has_secret,
    redacted,
    redacted_document,
    without_secrets,
)
from hangtag.tagger_api import MAX_ANSWER_BYTES
from tests.cpu_time import no_hang

KEY = "sk+Omni/9f8E{5b}=4a3&Q"
"""It has characters that JSON, HTML, URLs and the two alphabets of base64 write differently."""


def escaped_for_json(text: str) -> str:
    """Each character as a four-digit escape."""
    return "".join(f"\\u{ord(character):04X}" for character in text)


def url_encoded(text: str) -> str:
    """Each character as `%41`."""
    return "".join(f"%{ord(character):02x}" for character in text)


def bytes_in_hexadecimal(text: str) -> str:
    """Each character as `41`."""
    return text.encode().hex()


def in_base64(before: str, after: str = "") -> Callable[[str], str]:
    """Base64 of a text in the middle of another."""
    return lambda text: b64encode(f"{before}{text}{after}".encode()).decode()


def in_lines(text: str, columns: int, end: str) -> str:
    """*text* with *end* after each line."""
    lines = [
        text[start : start + columns] + end for start in range(0, len(text), columns)
    ]
    return "".join(lines)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "twice": lambda key: key + key,
    "escaped for JSON": escaped_for_json,
    "escaped slash": lambda key: key.replace("/", r"\/"),
    "JSON in JSON": lambda key: json.dumps(json.dumps(escaped_for_json(key))),
    "as Python writes bytes": lambda key: "".join(f"\\x{ord(one):02x}" for one in key),
    "one character escaped": lambda key: key.replace("O", r"\u004f"),
    "URL-encoded": lambda key: quote(key, safe=""),
    "URL-encoded twice": lambda key: quote(quote(key, safe=""), safe=""),
    "URL-encoded everywhere": lambda key: url_encoded(url_encoded(key)),
    "URL-encoded and escaped": lambda key: escaped_for_json(quote(key, safe="")),
    "HTML": lambda key: "".join(f"&#{ord(one)};" for one in key),
    "HTML in hexadecimal": lambda key: "".join(f"&#x{ord(one):X};" for one in key),
    "HTML by name": lambda key: key.replace("&", "&amp;"),
    "hexadecimal": bytes_in_hexadecimal,
    "hexadecimal in upper case": lambda key: key.encode().hex().upper(),
    "base64": in_base64(""),
    "base64 after one byte": in_base64("x", "yz"),
    "base64 after two bytes": in_base64("xy", "z"),
    "base64 after three bytes": in_base64("xyz"),
    "base64 of credentials": in_base64("user:", "@host"),
    "base64 for URLs": lambda key: urlsafe_b64encode(f"a{key}".encode()).decode(),
    "base64, URL-encoded": lambda key: quote(in_base64("a")(key), safe=""),
    "base64, escaped": lambda key: escaped_for_json(in_base64("a")(key)),
    "base64 in lines": lambda key: in_lines(in_base64("ab")(key), 9, "\n"),
    "base64 in lines of CR LF": lambda key: in_lines(in_base64("a")(key), 10, "\r\n"),
    "base64 in lines, escaped": lambda key: in_lines(in_base64("")(key), 11, r"\n"),
    "base64 in lines, escaped CR LF": lambda key: json.dumps(
        in_lines(in_base64("")(key), 9, "\r\n")
    ),
    "base64 in lines, URL-encoded": lambda key: quote(
        in_lines(in_base64("")(key), 9, "\r\n"), safe=""
    ),
    "UTF-16": lambda key: key.encode("utf-16-le").decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_secret_is_hidden_in_any_spelling(spelling: Callable[[str], str]) -> None:
    """The text around it stays."""
    spelled = spelling(KEY)

    shown = redacted(f"봄: <{spelled}>, sorry", [KEY])

    assert shown.startswith("봄: ")
    assert shown.endswith(">, sorry")
    assert "..." in shown
    for start in range(len(spelled) - 8):
        assert spelled[start : start + 8] not in shown


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_secret_is_found_in_the_json_around_it(
    spelling: Callable[[str], str],
) -> None:
    """A body is searched before its texts are."""
    for body in (json.dumps([spelling(KEY)]), escaped_for_json(spelling(KEY))):
        assert has_secret(body.encode(), [KEY])


@given(st.text() | st.from_regex(r"(\\u00[0-7][0-9a-f]|%[0-9a-f]{2}|&#\d+;|.)*"))
def test_a_text_without_a_secret_is_unchanged(text: str) -> None:
    """Escapes in it are not decoded."""
    assert redacted(text, [KEY]) == text


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_secret_is_hidden_between_any_texts(before: str, after: str) -> None:
    """Its neighbours do not matter."""
    assert KEY not in redacted(f"{before}{KEY}{after}", [KEY])


def test_all_secrets_are_redacted() -> None:
    """Also one that is spelled in another way than the next."""
    text = f"first-secret, {quote('second/secret', safe='')}, {in_base64('')(KEY)}"

    shown = redacted(text, ["first-secret", "second/secret", KEY])

    assert shown == "..., ..., ..."


def test_the_rest_of_a_base64_text_is_hidden_with_the_secret() -> None:
    """The secret is the beginning of an image, or a part of a larger one."""
    image = b64encode(bytes(range(256))).decode()

    assert redacted(f"data:image/png;base64,{image}", [image[:64]]).endswith(
        "base64,..."
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", r"\n", r"\r\n", "%0A", "%0d%0a"])
@pytest.mark.parametrize("columns", [60, 64, 76])
def test_base64_in_lines_is_hidden_to_its_end(columns: int, end: str) -> None:
    """The secret may be whole on one line, and the rest of the image on the next ones."""
    image = b64encode(bytes(range(256)) * 4).decode()

    shown = redacted(f"image: {in_lines(image, columns, end)}; sorry", [image[:48]])

    assert shown == "image: ...; sorry"


@pytest.mark.parametrize("end", ["\n", "\r\n", r"\n"])
def test_an_unknown_image_is_hidden_in_base64_with_lines(end: str) -> None:
    """It is recognised by its prefix, or by its first bytes."""
    image = in_lines(b64encode(b"GIF89a" + bytes(range(256))).decode(), 20, end)

    assert without_secrets(f"<base64,{image}>") == "<base64,...>"
    assert without_secrets(f"<{image}>") == "<...>"


@pytest.mark.parametrize("secret", ["", "red", "coat"])
def test_a_very_short_secret_is_not_redacted(secret: str) -> None:
    """It would hide parts of ordinary words."""
    assert redacted("a red coat", [secret]) == "a red coat"


def test_texts_names_and_numbers_of_a_document_are_redacted() -> None:
    """Other values stay as they are."""
    document = {
        "red": ["a", {"key-1234": 7}, None, True],
        "x": "my key-1234",
        "n": 123456789,
    }

    assert redacted_document(document, ["key-1234", "123456789"]) == {
        "red": ["a", {"...": 7}, None, True],
        "x": "my ...",
        "n": "...",
    }


@pytest.mark.parametrize(
    "unit",
    [
        "X-Amz-",
        "X-Amz-A=",
        "base64,",
        " Qk",
        "%25",
        "&#0",
        r"\u0041",
        "\\\\",
        "\0",
        "a",
        KEY,
        KEY + " ",
        KEY[:-1],
        f"{KEY} {'a' * 100} ",
    ],
)
def test_hiding_takes_linear_time(unit: str) -> None:
    """A hostile text does not use up the function's time."""
    text = f"{KEY} " + unit * (MAX_ANSWER_BYTES // len(unit))

    with no_hang():
        assert KEY not in without_secrets(redacted(text, [KEY]))


def test_many_combinations_of_spellings_take_no_longer_than_one() -> None:
    """An answer may echo each of several secrets in each spelling."""
    secrets = [KEY, KEY[::-1], "ASIA/20260101/eu-west-1/s3"]
    spellings = [str.lower, bytes_in_hexadecimal, *map(in_base64, ("", "a", "ab"))]
    spelled = [spelling(secret) for secret in secrets for spelling in spellings]
    texts = [" ".join(some) for some in combinations(spelled, 4)]

    with no_hang():
        shown = redacted_document(texts, secrets)

    assert set(shown) == {"... ... ... ..."}


def test_a_secret_in_a_long_base64_text_takes_little_memory() -> None:
    """The function has 512 MB, and ten answers at once."""
    text = f"{KEY}\n" + ("x" * 64 + "\n") * 16_000
    tracemalloc.start()
    try:
        assert redacted(text, [KEY]) == "..."
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 10 * len(text)
