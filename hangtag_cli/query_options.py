"""The options by which `hangtag results find` and `export` select results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from . import output
from .arguments import CONFIDENCE, SINCE, WORD, Checked

if TYPE_CHECKING:
    from hangtag.operators.find import Query

_Function = TypeVar("_Function", bound=Callable[..., Any])

_FIELDS: Final = {
    "product": "of the product with this id",
    "type": "with an object of this type, such as CLOTHING or SHOES",
    "category": "with a garment of this category",
    "item": "with this item",
    "color": "with this colour",
    "print": "with this print",
    "texture": "with this texture",
    "look": "with this look",
    "gender": "of this gender",
}
"""The fields of `hangtag.index.FIELDS`, and what an option for each selects."""


def read_value_field(text: str) -> str:
    """
    A field whose values are known; British spelling is fine.

    Raises:
        ValueError: There is no such field.
    """
    fields = [field for field in _FIELDS if field != "product"]
    word = text.strip().lower().replace("colour", "color")
    if word in fields:
        return word
    similar = get_close_matches(word, fields, 1, 0.5)
    hint = f"; did you mean {similar[0]}?" if similar else ":"
    if word == "product":
        hint = ", because product ids are not listed:"
    raise ValueError(f"{text!r} is no field{hint} The fields are {', '.join(fields)}")


VALUE_FIELD = Checked("field", read_value_field)

_OPTIONS = (
    *(
        click.option(
            f"--{field}", field, multiple=True, type=WORD, help=f"Only images {what}."
        )
        for field, what in _FIELDS.items()
    ),
    click.option(
        "--min-confidence",
        type=CONFIDENCE,
        help="Only images that have the values above with at least this confidence, 0 to 1.",
    ),
    click.option(
        "--since",
        type=SINCE,
        help="Only what was tagged at that time or later: 24h, 7d, 2026-01-31.",
    ),
    click.option(
        "--until", type=SINCE, help="Only what was tagged at that time or earlier."
    ),
)


def query_options(function: _Function) -> _Function:
    """Take the options of a query; all that are given must match, also repeated ones."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def query_of(options: Mapping[str, Any]) -> Query:
    """
    The query that the options make.

    Raises:
        UsageError: No time is both since and until.
    """
    from hangtag.operators.find import Query

    since: datetime | None = options["since"]
    until: datetime | None = options["until"]
    if since and until and since > until:
        raise click.UsageError(
            f"Nothing was tagged since {since:%Y-%m-%dT%H:%M:%SZ} and until "
            f"{until:%Y-%m-%dT%H:%M:%SZ}: --since must be earlier than --until.",
            ctx=click.get_current_context(),
        )
    min_confidence: Decimal | None = options["min_confidence"]
    filters = tuple((field, value) for field in _FIELDS for value in options[field])
    if min_confidence and not filters:
        output.talk(
            "--min-confidence has no effect without a value, such as --color red."
        )
    return Query(
        filters=filters,
        min_confidence=min_confidence,
        since=_timestamp(since),
        until=_timestamp(until),
    )


def _timestamp(moment: datetime | None) -> str | None:
    """As `hangtag.text.to_timestamp`, but to the end of the year 9999: without a rounded number."""
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
