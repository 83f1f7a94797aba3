"""
The fault matrix: every fault at every step of an upload, on the real template.

A cell is one upload that meets one fault at one step, once or until the fault is removed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hangtag.text import printable
from local.fault_cells import FAULTS, MODES, STEPS, Cell, all_cells
from local.fault_outcomes import Outcome
from local.fault_runner import cell_runner
from local.processes import LocalError
from local.progress import counting, steps_on

WIDTH_WITHOUT_TERMINAL = 200


def show_matrix(
    directory: Path, *, only: str = "", max_attempts: int = 3, transport: str = "base64"
) -> bool:
    """
    Run the cells whose names contain `only`, and print their table; True if all pass.

    Then it searches all that the stack has produced for the API key, image bytes and presigned
    URLs.

    `max_attempts` and `transport` are the stack's parameters. All files are in `directory`; all
    programs are stopped at the end.

    Raises:
        LocalError: No cell has such a name, or the stack itself failed.
    """
    cells = [
        cell for cell in all_cells(max_attempts) if only.lower() in str(cell).lower()
    ]
    if not cells:
        raise LocalError(f"no cell of the matrix has {only!r} in its name")
    console = Console(stderr=True)
    step = steps_on(console)
    output = Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)
    with (
        cell_runner(
            directory, step=step, max_attempts=max_attempts, transport=transport
        ) as runner,
        counting(console, "Cells", total=len(cells)) as advance,
    ):
        outcomes = runner.run(cells, advance=advance)
        leaks = runner.leaks()
    output.print(report(outcomes))
    failed = sum(not outcome.ok for outcome in outcomes)
    output.print(f"{len(outcomes) - failed} of {len(outcomes)} cells are ok.")
    for leak in leaks:
        output.print(f"! {printable(leak)}", markup=False, highlight=False)
    return failed == 0 and not leaks


def report(outcomes: Sequence[Outcome]) -> Table:
    """Return a table with a row for each step and mode, and a column for each fault."""
    table = Table(title="Outcomes of the uploads by step and fault")
    table.add_column("step", overflow="fold")
    table.add_column("duration")
    shown = [one for one in FAULTS if any(it.cell.fault == one for it in outcomes)]
    for fault in shown:
        table.add_column(fault, overflow="fold")
    by_cell = {outcome.cell: outcome for outcome in outcomes}
    for step in STEPS:
        for mode in MODES:
            row = [by_cell.get(Cell(step, fault, mode)) for fault in shown]
            if any(row):
                table.add_row(step.name, mode, *map(entry, row))
    return table


def entry(outcome: Outcome | None) -> Text:
    """Format a cell of the table: ok or the problems, then the outcome and the paid calls."""
    if outcome is None:
        return Text("-", "dim")
    ending = outcome.ending
    end = ending.detail if ending.status == "FAILED" else ending.status
    summary = f"{end}, {ending.paid} paid"
    if outcome.ok:
        return Text(f"ok ({summary})", "green")
    return Text(f"{'; '.join(outcome.troubles)} ({summary})", "red")
