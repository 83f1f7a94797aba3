"""The search for leaks finds a secret in every form, and nothing else."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest

from local.leaks import Marks, echoes_of, leaks_in

MARKS = Marks.new()
SECRETS = {"the API key": MARKS.api_key, "image bytes": f"Comment {MARKS.image} IDAT"}
URL = "https://bucket/key?X-Amz-Credential=ASIA&X-Amz-Signature=0123"
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "URL": lambda text: quote(text, safe=""),
    "HTML": html.escape,
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64, one byte later": lambda text: b64encode(b"-" + text.encode()).decode(),
    "base64, two bytes later": lambda text: b64encode(b"--" + text.encode()).decode(),
    "base64 for URLs": lambda text: urlsafe_b64encode(b"?>" + text.encode()).decode(),
    "base64 in lines": lambda text: in_lines(text, "\n"),
    "base64 in lines, JSON": lambda text: json.dumps(in_lines(text, "\n")),
    "base64 in lines, URL": lambda text: quote(in_lines(text, "\r\n"), safe=""),
    "base64 amid others": lambda text: b64encode(f"a{text}b".encode()).decode(),
}


def in_lines(text: str, end: str) -> str:
    """Base64 in lines so short that each mark is broken."""
    encoded = b64encode(text.encode()).decode()
    return end.join(re.findall(".{1,10}", encoded))


def found(text: str) -> list[str]:
    """What is found in a text."""
    return [leak.partition(" in ")[0] for leak in leaks_in([("a log", text)], MARKS)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_in_every_form(secret: str, form: str) -> None:
    """As it is, escaped, or in base64 after any number of bytes."""
    assert found(f"before {FORMS[form](SECRETS[secret])} after") == [secret]


@pytest.mark.parametrize("form", FORMS)
def test_a_presigned_url_is_found_in_every_form(form: str) -> None:
    """By the names of its parameters, because its values are not known."""
    assert found(FORMS[form](URL)) == ["a presigned URL"]


@pytest.mark.parametrize("part", [slice(0, 25), slice(-25, None)])
def test_a_part_of_the_key_is_found(part: slice) -> None:
    """Half a key in a text that was cut is a leak, too."""
    assert found(MARKS.api_key[part]) == ["the API key"]


def test_the_place_is_named() -> None:
    """With the text around it."""
    [leak] = leaks_in([("a log", f"so {MARKS.image} it")], MARKS)

    assert leak.startswith("image bytes in a log: ")
    assert f"so {MARKS.image} it" in leak


def test_texts_without_secrets_are_no_leaks() -> None:
    """Neither removed signatures nor other keys and images."""
    other = Marks.new()
    removed = "https://bucket/key?..., X-Amz-Signature"

    for text in (removed, other.api_key, other.image, echoes_of(other.api_key)):
        assert found(text) == []
