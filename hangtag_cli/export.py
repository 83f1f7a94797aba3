"""`hangtag results export`: many results, for other programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from . import output
from .app import App, Command, json_option, pass_app
from .exits import NotDone
from .find import nothing_found
from .query_options import query_of, query_options

if TYPE_CHECKING:
    from hangtag.operators.find import Found
    from hangtag.results import Document

_FORMATS: Final = ("jsonl", "csv", "parquet")
_STEP = 100  # results between two updates of the progress bar


@click.command(
    "export",
    cls=Command,
    examples=(
        "hangtag results export --format csv --output tags.csv",
        "hangtag results export --since 24h --category dresses > new.jsonl",
    ),
)
@json_option
@click.option(
    "--format",
    "file_format",
    type=click.Choice(_FORMATS),
    default="jsonl",
    show_default=True,
    help="JSON with a result a line; a table with a garment a line; or typed columns.",
)
@click.option(
    "--output",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file to write; the default is stdout. Parquet needs a file.",
)
@query_options
@pass_app
@click.pass_context
def export(
    ctx: click.Context,
    app: App,
    /,
    file_format: str,
    path: Path | None,
    **options: Any,  # noqa: ANN401 - see `query_options`
) -> None:
    """
    Export results, oldest first.

    It exports all, or those with all the given values.

    FILE is created, or replaced, when the export is complete: not after Ctrl-C or an error. jsonl
    and parquet have the exact values, csv is safe to open in a spreadsheet. docs/export.md
    describes the columns, and the export of millions of results. --json is the same as --format
    jsonl. Exits with 1, and writes no file, if there is no result.
    """
    if app.json and file_format != "jsonl":
        raise click.UsageError(
            f"--json and --format {file_format} contradict each other.", ctx=ctx
        )
    if path is None and file_format == "parquet":
        raise click.UsageError(
            "Parquet cannot go to stdout: name a file with --output.", ctx=ctx
        )
    query = query_of(options)
    finder = app.stack().finder()
    found = finder.results(query, oldest_first=True)
    first = next(found, None)
    if first is None:
        raise NotDone(nothing_found(finder, query))
    with _destination(file_format, path) as write:
        now = datetime.now(UTC)
        until = min(options["until"] or now, now)
        number = _write_all(first.result, found, write, until=until)
    output.talk(f"Exported {number:,} results{f' to {path}' if path else ''}.")


def _write_all(
    first: Document,
    others: Iterator[Found],
    write: Callable[[Document], object],
    *,
    until: datetime,
) -> int:
    """Write all results; returns their number."""
    with output.bar("Exporting", lambda: 0) as show:
        write(first)
        number = 1
        for number, found in enumerate(others, start=2):
            write(found.result)
            if number % _STEP == 0:
                last = found.result["taggedAt"]
                expected = expected_number(number, first["taggedAt"], last, until)
                show(number, expected, f"Exporting, to {last[:10]}")
    return number


def expected_number(number: int, first: str, last: str, until: datetime) -> int:
    """
    About how many results there are, after *number* that were tagged from *first* to *last*.

    It takes them to come as often until *until*. 0 if that cannot be said yet.
    """
    begin, now = datetime.fromisoformat(first), datetime.fromisoformat(last)
    if not begin < now < until:
        return 0
    return round(number * ((until - begin) / (now - begin)))


@contextmanager
def _destination(
    file_format: str, path: Path | None
) -> Iterator[Callable[[Document], object]]:
    """Yield the function that writes a result."""
    with ExitStack() as stack:
        file = None if path is None else stack.enter_context(_whole_file(path))
        send = output.encoded if file is None else file.write
        if file_format == "jsonl":
            yield lambda result: send(output.json_line(result) + b"\n")
        elif file_format == "csv":
            from .csv_rows import BYTE_ORDER_MARK, header, rows_of

            # A program that reads stdout wants no mark
            send(header() if file is None else BYTE_ORDER_MARK + header())
            yield lambda result: send(rows_of(result))
        elif file is not None:
            from .parquet_rows import ParquetRows

            yield stack.enter_context(ParquetRows(file)).write


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """
    A file that has its name only if the block ends without an error.

    Raises:
        NotDone: It cannot be written.
    """
    if path.exists() and not path.is_file():
        raise NotDone(f"{path} is not a file: name another with --output")
    try:
        handle, name = mkstemp(
            prefix=f"{path.name[:100]}.", suffix=".part", dir=path.parent
        )
    except OSError as error:
        raise NotDone(
            f"{path} cannot be written ({error.strerror}): name another file with --output"
        ) from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise NotDone(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
