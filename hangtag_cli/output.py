"""Data on stdout, talk on stderr."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hangtag.text import UNPRINTABLE, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_WIDTH_OF_PIPES = 120


def data(document: Mapping[str, object]) -> None:
    """One line of JSON, in UTF-8 whatever the terminal's encoding is."""
    click.echo(json_line(document))


def json_line(document: Mapping[str, object]) -> bytes:
    """
    *document* as JSON in UTF-8, without the end of the line.

    What a terminal would obey, or has no UTF-8, JSON spells with a backslash.
    """
    from hangtag.text import to_json

    told = UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", to_json(document))
    return told.encode()


def page(parts: Iterable[RenderableType]) -> None:
    """Tables and texts for people. The terminal itself breaks long texts: they can be copied."""
    from rich.text import Text

    console = _console()
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))


def talk(message: str) -> None:
    """A line that is no data."""
    click.echo(printable(message), err=True)


@contextmanager
def working(doing: str) -> Iterator[Callable[[str], None]]:
    """
    Show what is *doing* while it lasts, on a terminal; gives a function that says it anew.

    On anything but a terminal nothing is shown: there it would be noise in a log.
    """
    if not click.get_text_stream("stderr").isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status(Text(printable(doing))) as status:
        yield lambda text: status.update(Text(printable(text)))


@contextmanager
def bar(
    doing: str, expected: Callable[[], int], console: Console | None = None
) -> Iterator[Callable[[int, int, str], None]]:
    """
    Show a progress bar with the time left while something lasts, on a terminal.

    Gives a function that is told how much is behind us, how much there is, and what to say.
    *expected* is how much there will be, roughly; it is asked on a terminal only. *console* is
    where it is shown, else on stderr.
    """
    if console is None and not click.get_text_stream("stderr").isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task(printable(doing), total=None)
        roughly = expected()
        yield lambda behind, known, text: progress.update(
            task,
            completed=behind,
            total=max(roughly, known),
            description=printable(text),
        )


def _console() -> Console:
    from rich.console import Console

    stdout = click.get_text_stream("stdout", errors="replace")
    known = stdout.isatty() or "COLUMNS" in os.environ
    return Console(
        file=stdout,
        width=None if known else _WIDTH_OF_PIPES,
        markup=False,
        highlight=False,
        emoji=False,
    )
