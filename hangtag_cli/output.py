"""
Data on stdout, messages on stderr.

Every text of the command leaves through this module and `tables`, which encode it
(docs/decisions/0031-text-is-encoded-where-it-leaves.md).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hangtag.text import printable

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

_WIDTH_OF_PIPES = 120


def data(document: Mapping[str, object]) -> None:
    """Print one line of JSON, in UTF-8, even if the terminal has another encoding."""
    click.echo(json_line(document))


def json_line(document: Mapping[str, object]) -> bytes:
    """
    *document* as JSON in UTF-8, without the end of the line.

    All characters that are not printable are escaped: a terminal can show it, and a parser gets
    the exact values.
    """
    from hangtag.text import to_printable_json

    return to_printable_json(document).encode()


def encoded(data: bytes) -> None:
    """Print bytes that an encoder of `hangtag.text` has made."""
    click.echo(data, nl=False)


def page(parts: Iterable[RenderableType]) -> None:
    """Print tables and texts. The terminal wraps long texts, so that they can be copied whole."""
    from rich.text import Text

    from .tables import cell

    console = _console()
    for part in map(cell, parts):
        console.print(part, soft_wrap=isinstance(part, Text))


def talk(message: str) -> None:
    """Print a message on stderr, on one line."""
    click.echo(printable(message), err=True)


def talk_lines(text: str) -> None:
    """Print a text on stderr; only line feeds begin a new line."""
    for line in text.rstrip("\n").split("\n"):
        talk(line)


def talk_uncaught(
    _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    """Print the traceback of an error of the command itself, as `sys.excepthook`."""
    import traceback

    talk_lines("".join(traceback.format_exception(error)))


def talk_log() -> None:
    """Print on stderr what is logged at level WARNING and above."""
    import logging

    class Talk(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            talk_lines(self.format(record))

    logging.basicConfig(handlers=[Talk()])


def command_line(*words: str) -> str:
    """A command that a person can copy into a shell."""
    return shlex.join(map(printable, words))


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
    about how many there are, or 0; it is called only if there is a terminal. *console* is for
    tests.
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
            total=max(estimate, known) or None,
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
