"""Data on stdout, messages on stderr."""

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
    """Print one line of JSON, in UTF-8, even if the terminal has another encoding."""
    click.echo(json_line(document))


def json_line(document: Mapping[str, object]) -> bytes:
    """
    *document* as JSON in UTF-8, without the end of the line.

    Control characters, and characters that UTF-8 does not have, are escaped.
    """
    from hangtag.text import to_json

    text = UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", to_json(document))
    return text.encode()


def page(parts: Iterable[RenderableType]) -> None:
    """Print tables and texts. The terminal wraps long texts, so that they can be copied whole."""
    from rich.text import Text

    console = _console()
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))


def talk(message: str) -> None:
    """Print a message on stderr."""
    click.echo(printable(message), err=True)


@contextmanager
def working(doing: str) -> Iterator[Callable[[str], None]]:
    """
    Show the text *doing* on a terminal while the block runs; yields a function that changes it.

    Without a terminal it shows nothing.
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
    Show a progress bar with the time left on a terminal while the block runs.

    Yields a function that takes the number done, the number known, and a text. *expected* returns
    about how many there are; it is called only if there is a terminal. *console* is for tests.
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
        estimate = expected()
        yield lambda done, known, text: progress.update(
            task,
            completed=done,
            total=max(estimate, known),
            description=printable(text),
        )


def _console() -> Console:
    from rich.console import Console

    stdout = click.get_text_stream("stdout", errors="replace")
    has_width = stdout.isatty() or "COLUMNS" in os.environ
    return Console(
        file=stdout,
        width=None if has_width else _WIDTH_OF_PIPES,
        markup=False,
        highlight=False,
        emoji=False,
    )
