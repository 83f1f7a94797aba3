"""The options and arguments by which `hangtag failures` selects failures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from hangtag.errors import Kind

from .arguments import SINCE, WORD

if TYPE_CHECKING:
    from hangtag.operators.letters import LetterFilter

_Function = TypeVar("_Function", bound=Callable[..., Any])

_FILTERS = (
    click.option(
        "--code",
        "codes",
        multiple=True,
        type=WORD,
        metavar="CODE",
        help="Only with this error code; may be given several times.",
    ),
    click.option(
        "--kind",
        "kinds",
        multiple=True,
        type=click.Choice(get_args(Kind)),
        help="Only of this kind; may be given several times.",
    ),
    click.option(
        "--prefix",
        type=WORD,
        metavar="TEXT",
        help="Only keys that begin with TEXT; or uris, if TEXT begins with s3://.",
    ),
    click.option(
        "--since",
        type=SINCE,
        metavar="TIME",
        help="Only what failed at that time or later: 24h, 7d, 2026-01-31.",
    ),
    click.option(
        "--until",
        type=SINCE,
        metavar="TIME",
        help="Only what failed at that time or earlier.",
    ),
    click.option(
        "--attempts",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Only what was attempted at least that often.",
    ),
)


def filter_options(function: _Function) -> _Function:
    """Take the filters; all that are given must match."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


def filter_of(
    names: tuple[str, ...] = (),
    *,
    codes: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
    prefix: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    attempts: int = 0,
) -> LetterFilter:
    """
    The filter that the options make, with *names*: uris of images and ids of letters.

    Raises:
        UsageError: No time is both since and until.
    """
    from hangtag.operators.letters import LetterFilter
    from hangtag.text import to_timestamp

    if since and until and since > until:
        raise click.UsageError(
            f"Nothing failed since {since:%Y-%m-%dT%H:%M:%SZ} and until "
            f"{until:%Y-%m-%dT%H:%M:%SZ}: --since must be earlier than --until.",
            ctx=click.get_current_context(),
        )
    images = tuple(name for name in names if name.startswith("s3://"))
    return LetterFilter(
        codes=codes,
        images=images,
        ids=tuple(name for name in names if name not in images),
        kinds=kinds,
        prefix=prefix or "",
        since=to_timestamp(since.timestamp()) if since else "",
        until=to_timestamp(until.timestamp()) if until else "",
        attempts=attempts,
    )
