"""`hangtag status`: how things stand, on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from . import output
from .app import App, Command, json_option, pass_app
from .arguments import SINCE
from .failures import find_letters

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hangtag.ports import Letter

    from .stack import QueueCounts, Stack


@click.command(
    "status",
    cls=Command,
    examples=("hangtag status", "hangtag --json status --since 7d"),
)
@json_option
@click.option(
    "--since",
    type=SINCE,
    default="24h",
    show_default=True,
    metavar="TIME",
    help="Count results from then on: 24h, 7d, or an ISO time (UTC without a zone).",
)
@pass_app
def status(app: App, since: datetime) -> None:
    """
    Show how things stand.

    What waits, what was tagged, what failed, and whether tagging is paused. The numbers of the
    queue are SQS's estimates. Every dead letter stays visible.
    """
    from collections import Counter

    from hangtag.replay import LetterFilter
    from hangtag.results import to_timestamp

    stack = app.stack()
    started = to_timestamp(since.timestamp())
    uploads = stack.count_uploads()
    paused = stack.is_paused()
    results = {
        ended: stack.results().count_ended(ended, since=started)
        for ended in ("TAGGED", "FAILED")
    }
    letters = find_letters(app, LetterFilter())
    if not app.json:
        output.page(
            _page(stack, uploads, letters, results, since=started, paused=paused)
        )
        return
    codes = Counter(letter.letter.failure.code for letter in letters)
    output.data(
        {
            "queue": {"waiting": uploads.waiting, "inFlight": uploads.in_flight},
            "deadLetters": dict(sorted(codes.items())),
            "results": results,
            "paused": paused,
            # Nothing opens the breaker yet; whoever reads this needs no second form later.
            "breaker": {"open": False, "code": None},
        }
    )


def _page(
    stack: Stack,
    uploads: QueueCounts,
    letters: list[Letter],
    results: dict[str, int],
    *,
    since: str,
    paused: bool,
) -> Iterator[RenderableType]:
    from .letters import codes_table
    from .tables import facts, text

    yield facts(
        [
            ("stack", f"{stack.name} in {stack.region}"),
            ("tagging", text("paused", "yellow") if paused else "running"),
            (
                "upload queue",
                f"{uploads.waiting:,} waiting, {uploads.in_flight:,} in flight",
            ),
            (
                "results",
                f"{results['TAGGED']:,} tagged, {results['FAILED']:,} failed since {since}",
            ),
            ("dead letters", f"{len(letters):,}"),
        ]
    )
    if letters:
        yield ""
        yield codes_table(letters)
