"""Reads the Tagger API's key from the text of a secret, a file, a variable or a prompt."""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from contextlib import suppress

LONGEST_KEY = 4_096
"""Characters; many servers refuse longer headers."""

_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "\u2018": "\u2019", "«": "»"}
# A header, or a line of a file with environment variables
_NAMED = re.compile(
    r"(?:x-api-key|(?:export\s+)?HANGTAG_API_KEY)\s*[:=]\s*(.*)",
    re.IGNORECASE | re.DOTALL,
)


class InvalidKey(ValueError):
    """The text is not an API key. The message gives the reason and does not show the text."""


def read_key(text: str) -> str:
    """
    The key in *text*: the bare key, `{"apiKey": "…"}`, `x-api-key: …` or `HANGTAG_API_KEY=…`.

    White space, invisible characters and a pair of quotes around it are removed.

    Raises:
        InvalidKey: The key is empty, too long, or has a character that no key has.
    """
    text = _without_name(text)
    key = _without_name(_of_json(text)) if text.startswith(("{", "[")) else text
    if not key:
        raise InvalidKey("it is empty")
    if len(key) > LONGEST_KEY:
        raise InvalidKey(f"it has more than {LONGEST_KEY:,} characters")
    for number, character in enumerate(key, start=1):
        fault = _fault(character)
        if fault is not None:
            raise InvalidKey(f"it contains {fault} (character {number} of {len(key)})")
    if {key[0], key[-1]} & {*_QUOTES}:
        raise InvalidKey("it has a quote at one end only")
    return key


def secret_of(text: str) -> str:
    """
    The value to store in a secret: the key in *text*, or JSON as it was given.

    Raises:
        InvalidKey: As `read_key`.
    """
    key, text = read_key(text), _without_name(text)
    return text if text.startswith("{") else key


def decode_key(data: bytes) -> str:
    """
    The text of a file or pipe with a key: UTF-8, or UTF-16 as PowerShell writes it.

    Raises:
        InvalidKey: The data is not text.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif len(data) > 1 and not any(data[1::2]):  # ASCII in UTF-16 has zeros
        encoding = "utf-16-le"
    elif len(data) > 1 and not any(data[::2]):
        encoding = "utf-16-be"
    else:
        encoding = "utf-8-sig"
    with suppress(UnicodeDecodeError):
        return data.decode(encoding)
    # Outside of the block, because the decoder's error contains the data
    raise InvalidKey("it is not text in UTF-8 or UTF-16")


def _of_json(text: str) -> str:
    try:
        key = json.loads(text)["apiKey"]
    except (ValueError, LookupError, TypeError, RecursionError):
        key = None  # the parser's error contains the text
    if not isinstance(key, str):
        raise InvalidKey('it is JSON other than {"apiKey": "..."}')
    return key


def _without_name(text: str) -> str:
    """*text* without the name of a header or a variable before it, and without quotes."""
    text = _bare(text)
    named = _NAMED.fullmatch(text)
    return _bare(named[1] if named else text)


def _bare(text: str) -> str:
    """*text* without white space, and without a pair of quotes, around it."""
    text = _stripped(text)
    if len(text) > 1 and text[-1] == _QUOTES.get(text[0]):
        text = _stripped(text[1:-1])
    return text


def _stripped(text: str) -> str:
    """*text* without white space and invisible characters, such as a BOM, around it."""
    return text.strip("".join(filter(_is_invisible, set(text))))


def _is_invisible(character: str) -> bool:
    # Control characters are kept, and refused: a NUL at the end is no formatting
    return character.isspace() or unicodedata.category(character) == "Cf"


def _fault(character: str) -> str | None:
    """The kind of a character that no key has; None if it may be part of one."""
    if "!" <= character <= "~":
        return None
    if character in "\r\n":
        return "a line break"
    if character.isspace():
        return "a blank"
    if unicodedata.category(character) in ("Cc", "Cf"):
        return "an invisible character"
    return "a character that is not ASCII"
