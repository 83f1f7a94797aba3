"""Types of the arguments and options."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hangtag_cli.arguments import read_image_uri, read_letter_name, read_since

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/key",
        "s3://bucket/folder/",
        "s3://bucket//",
        "s3://bucket/a b+c%20d?e=f#g",
        "s3://bucket/드레스.jpg",
        "s3://bucket/two\nlines",
        "s3://bucket/s3://bucket/key",
    ],
)
def test_the_key_of_a_uri_is_raw(uri: str) -> None:
    """It is not decoded, and does not end at "?" or "#": S3 allows them in keys."""
    assert uri == read_image_uri(uri)


def test_a_letter_is_named_by_its_image_or_its_id() -> None:
    """Unreadable letters have no image."""
    assert read_letter_name("s3://bucket/a b") == "s3://bucket/a b"
    assert read_letter_name(" 7c6d5b1e-3f0a ") == "7c6d5b1e-3f0a"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", datetime(2026, 11, 22, 10, 30, tzinfo=UTC)),
        ("24h", datetime(2026, 11, 21, 12, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 15, 12, tzinfo=UTC)),
        ("2w", datetime(2026, 11, 8, 12, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T06:30", datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),
        ("2026-11-01T06:30Z", datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),
        ("2026-11-01T06:30+09:00", datetime(2026, 10, 31, 21, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_span_before_now_or_an_iso_time(
    text: str, moment: datetime
) -> None:
    """Without a zone it is UTC, as in everything that Hangtag prints."""
    assert moment == read_since(text, now=NOW)


@pytest.mark.parametrize(
    "text",
    ["", "h", "24", "-1h", "24 hours", "12:30", "999999w", "0001-01-01T00:00+14:00"],
)
def test_an_invalid_time_is_refused_with_an_example(text: str) -> None:
    """A misread --since would show wrong numbers."""
    with pytest.raises(ValueError, match="write it like 24h"):
        read_since(text, now=NOW)
