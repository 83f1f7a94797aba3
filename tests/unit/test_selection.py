"""UploadPrefix and UploadSuffixes select the keys that AWS's own filters select."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.selection import ALL_KEYS, Selection, read_values

VALUES = st.lists(st.text("ab./", min_size=1, max_size=4), max_size=3).map(tuple)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("summer/a.jpg", True),
        ("summer/.jpg", True),
        ("winter/2026/a b+c%.png", True),
        ("summer/a.JPG", False),
        ("Summer/a.jpg", False),
        ("autumn/a.jpg", False),
        ("summer/a.gif", False),
        ("x/summer/a.jpg", False),
        ("summer%2Fa.jpg", False),
        ("", False),
    ],
)
def test_a_key_is_selected_by_one_of_the_prefixes_and_one_of_the_suffixes(
    key: str, *, expected: bool
) -> None:
    """Raw keys, with upper and lower case."""
    selection = Selection(("summer/", "winter/"), (".jpg", ".png"))

    assert selection.has(key) == expected


def test_without_values_every_key_is_selected() -> None:
    """Also an empty one; an empty side selects all keys of the other."""
    assert ALL_KEYS.has("")
    assert Selection(("a",), ()).has("a")
    assert Selection((), ("z",)).has("z")


@given(st.text("ab./", max_size=8), VALUES, VALUES)
def test_a_selection_is_the_wildcard_of_eventbridge(
    key: str, prefixes: tuple[str, ...], suffixes: tuple[str, ...]
) -> None:
    """So an existing bucket and an own one, with one value or several, select the same keys."""
    patterns = [
        f"{one}*{two}" for one in prefixes or ("",) for two in suffixes or ("",)
    ]
    expected = any(fnmatchcase(key, pattern) for pattern in patterns)

    assert Selection(prefixes, suffixes).has(key) == expected


@pytest.mark.parametrize(
    ("text", "values"),
    [("", ()), ("a/", ("a/",)), (".jpg,.JPG", (".jpg", ".JPG")), (",a,", ("a",))],
)
def test_values_are_separated_by_commas(text: str, values: tuple[str, ...]) -> None:
    """An empty value would select all keys."""
    assert read_values(text) == values
