"""Text and tables for a terminal, without control characters and markup from outside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hangtag.text import printable, shortened

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

_LONGEST_TEXT = 4_000  # characters; an image's uri has at most 1,285


class Rows(Table):
    """A table whose cells are encoded for the terminal."""

    def add_row(
        self,
        *cells: RenderableType | None,
        style: str | None = None,  # type: ignore[override]  # no `Style` is needed
        end_section: bool = False,
    ) -> None:
        """Add a row; a `str` in it becomes a `text`."""
        super().add_row(*map(cell, cells), style=style, end_section=end_section)


def cell(content: RenderableType | None) -> RenderableType:
    """*content* for a terminal: a `str` becomes a `text`; texts and tables are encoded already."""
    return text(content) if isinstance(content, str) else content or ""


def text(value: object, style: str = "") -> Text:
    """*value* on one line, at most 4,000 characters; controls and markup in it have no effect."""
    return Text(printable(shortened(str(value), _LONGEST_TEXT)), style=style)


def indented(block: str) -> Iterator[Text]:
    """
    The lines of *block*, two columns to the right: no line of it looks like one of the command's.

    Only line feeds begin a new line.
    """
    for line in block.split("\n"):
        yield Text(f"  {printable(line)}")


def swatch(code: str, label: str) -> RenderableType:
    """The *label* of a colour; before it the colour (`#` and six digits), if the terminal can."""
    return _Swatch(code, text(label))


@dataclass(frozen=True)
class _Swatch:
    code: str
    label: Text

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        yield self._shown(console)

    def __rich_measure__(
        self, console: Console, options: ConsoleOptions
    ) -> Measurement:
        return Measurement.get(console, options, self._shown(console))

    def _shown(self, console: Console) -> Text:
        # 16 colours are those of the terminal's theme
        has_colours = console.color_system in ("256", "truecolor")
        if console.no_color or not has_colours or not _COLOUR.fullmatch(self.code):
            return self.label
        return Text.assemble(("  ", f"on {self.code}"), " ", self.label)


_COLOUR = re.compile("#[0-9a-fA-F]{6}")


def stacked(*parts: RenderableType) -> Group:
    """The *parts*, one below the other, as one cell."""
    return Group(*map(cell, parts))


def table(*headings: str, numbers: Iterable[str] = ()) -> Rows:
    """An empty table. Long cells are folded, never cut; *numbers* are aligned to the right."""
    made = Rows(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in headings:
        made.add_column(
            heading,
            overflow="fold",
            justify="right" if heading in numbers else "left",
        )
    return made


def columns(*, count: int, numbers: Iterable[int] = ()) -> Rows:
    """An empty table without headings; the columns *numbers*, from 0, are aligned to the right."""
    made = Rows(box=None, show_header=False, padding=(0, 2, 0, 0))
    for position in range(count):
        made.add_column(
            overflow="fold", justify="right" if position in numbers else "left"
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
