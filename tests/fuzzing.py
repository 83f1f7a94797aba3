"""Inputs that no honest program sends, for the tests marked `fuzz`."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

EDGES = st.sampled_from(
    [
        "",
        " ",
        "\0",
        "\x9b31m",
        "\u202e",
        "\ud800",
        "\udcff",
        "null",
        "NaN",
        "-1",
        "-0",
        "1e999999999",
        "٣",
        "²",
        "9" * 20,
        "9" * 5_000,
        "x" * 70_000,
        "s3://",
        "s3:///",
        "s3://b/\0",
        "http://[",
        "https://[::1",
        "https://host:port/",
        "https://x@[/",
        "=?utf-8?q?=FF?=",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59.999999-14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "1969-12-31T00:00:00Z",
        "2026-11-29T10:00:00 and more",
        "%",
        "%ff",
        "{}",
        "[]",
    ]
)
TEXTS = EDGES | st.text() | st.text(st.characters(exclude_categories=()))
"""Any text, also such that UTF-8 cannot encode."""

ARGUMENTS = (
    st.binary(max_size=20) | TEXTS.map(lambda text: text.encode("utf-8", "ignore"))
).map(lambda argument: os.fsdecode(argument.replace(b"\0", b"")))
"""Any argument of a program: it has no NUL, and bytes that are not UTF-8 become half surrogates."""

NUMBERS = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**16, 10**40, 10**4_000, 5e-324])
)

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
    ),
    max_leaves=8,
)
"""Any JSON-like value."""


@st.composite
def damaged(draw: st.DrawFn, documents: Sequence[Any]) -> Any:  # noqa: ANN401 - JSON
    """One of the *documents* with up to three changes: a part is replaced, removed or added."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(0, 3))):
        document = _changed(draw, document)
    return document


def _changed(draw: st.DrawFn, value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        name = draw(st.sampled_from(sorted(value)))
        match draw(st.integers(0, 9)):
            case 0:
                return {key: part for key, part in value.items() if key != name}
            case 1:
                return {**value, draw(TEXTS): draw(JSON)}
            case _:
                return {**value, name: _changed(draw, value[name])}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(value) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value, draw(JSON)]
            case _:
                return [*value[:at], _changed(draw, value[at]), *value[at + 1 :]]
    return draw(JSON)


@st.composite
def damaged_bytes(draw: st.DrawFn, contents: Sequence[bytes]) -> bytes:
    """One of the *contents*, cut or with other bytes in a place; or any bytes."""
    content = draw(st.sampled_from(contents))
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.integers(0, len(content)))
        end = draw(st.integers(begin, min(len(content), begin + 20)) | st.just(begin))
        content = content[:begin] + draw(st.binary(max_size=20)) + content[end:]
    return draw(st.just(content) | st.just(content) | st.binary())


def to_lenient_json(document: object) -> str:
    """JSON as careless programs write it: with NaN, half surrogate pairs and huge numbers."""
    return json.dumps(document, default=str)


def times(factor: int) -> settings:
    """A multiple of the examples of the profile, for a test that is quick or rarely succeeds."""
    profile = settings.default
    assert profile is not None
    return settings(max_examples=factor * profile.max_examples)
