"""
Writes the table and the diagram of an upload's life into docs/architecture.md.

    python docs/generate_lifecycle.py

Both come from `hangtag.lifecycle`: the transitions from `TRANSITIONS`, the notes from the
module's docstring.
"""  # noqa: INP001 - docs/ is a folder of pages, not a package

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hangtag import lifecycle
from hangtag.lifecycle import TRANSITIONS, Status

PAGE = Path(__file__).with_name("architecture.md")
BEGIN = "<!-- Made by docs/generate_lifecycle.py; do not edit. -->"
END = "<!-- The end of what docs/generate_lifecycle.py made. -->"

STATUSES: tuple[Status | None, ...] = (None, *Status)
DOCSTRING = lifecycle.__doc__ or ""

Cells = dict[tuple[str, Status | None], str]
"""By event and status, what the docstring's table says: a status or `Done`, and its note."""


def updated(page: str) -> str:
    """Return the page with a fresh part between the two markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = [BEGIN, *_table(), "", *_notes(), "", *_diagram(), END]
    return before + "\n".join(parts) + after


def docstring_cells() -> Cells:
    """Read the table in the docstring of `hangtag.lifecycle`."""
    lines = iter(DOCSTRING.splitlines())
    header = next(line for line in lines if line.split()[:1] == ["status"])
    _, *events = _columns(header)
    cells: Cells = {}
    for line in lines:
        if not line:
            break
        (_, name), *found = _columns(line)
        status = None if name == "(none)" else Status(name)
        for start, text in found:
            _, event = min(events, key=lambda column: abs(column[0] - start))
            cells[event, status] = text
    return cells


def _columns(line: str) -> list[tuple[int, str]]:
    """The texts that two spaces or more separate, and where each begins."""
    return [(found.start(), found[0]) for found in re.finditer(r"\S+( \S+)*", line)]


def _table() -> Iterator[str]:
    cells = docstring_cells()
    yield f"| status | {' | '.join(TRANSITIONS)} |"
    yield "|---" * (len(TRANSITIONS) + 1) + "|"
    for status in STATUSES:
        texts = [cells.get((event, status), "") for event in TRANSITIONS]
        yield f"| {f'`{status}`' if status else 'no record'} | {' | '.join(texts)} |"


def _notes() -> Iterator[str]:
    notes = re.findall(
        r"^ +(\(\d\)) (.+?)(?=\n\n|\n +\(\d\))", DOCSTRING, re.MULTILINE | re.DOTALL
    )
    for number, note in notes:
        yield f"- {number} {' '.join(note.split())}"


def _diagram() -> Iterator[str]:
    cells = docstring_cells()
    arrows: dict[tuple[Status | None, Status], list[str]] = {}
    for event, outcomes in TRANSITIONS.items():
        for status, outcome in outcomes.items():
            note = re.search(r"\(\d\)", cells[event, status])
            label = f"{event} {note[0]}" if note else event
            arrows.setdefault((status, outcome), []).append(label)
    yield "```mermaid"
    yield "stateDiagram-v2"
    for (status, outcome), labels in arrows.items():
        yield f"    {status or '[*]'} --> {outcome}: {', '.join(labels)}"
    yield "```"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text("utf-8")), "utf-8")
