"""Text and tables for a terminal, without control characters and markup from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from hangtag.text import printable


def text(value: object, style: str = "") -> Text:
    """*value* on one line; control characters and markup in it have no effect."""
    return Text(printable(str(value)), style=style)


def indented(block: str) -> Iterator[Text]:
    """The lines of *block*, with their indentation."""
    for line in block.splitlines():
        yield Text(printable(line))


def table(*headings: str, numbers: Iterable[str] = ()) -> Table:
    """An empty table. Long cells are folded, never cut; *numbers* are aligned to the right."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in headings:
        made.add_column(
            heading,
            overflow="fold",
            justify="right" if heading in numbers else "left",
        )
    return made


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """Names and values in two columns; a `Text` keeps its style."""
    made = Table.grid(padding=(0, 2))
    made.add_column()
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(
            text(name, "dim"), value if isinstance(value, Text) else text(value)
        )
    return made
