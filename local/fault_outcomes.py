"""The outcomes of the fault matrix: the ledger's checks, and those of each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from local.fault_cells import DENIED, HALF, KILLING, NO_FAULT, SLOW, Cell
from local.fault_rules import REFUSAL, Run
from local.ledger import ABANDONED, Ending, Ledger
from local.processes import LocalError

NOT_INJECTED = "the fault was not injected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a cell."""

    cell: Cell
    ending: Ending
    injected: int
    """How often the fault was injected."""
    troubles: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether all promises were kept."""
        return not self.troubles


def check(
    runs: Sequence[Run],
    ledger: Ledger,
    *,
    max_attempts: int,
    stream_troubles: Sequence[str] = (),
) -> list[Outcome]:
    """
    Return the outcomes of the cells; every cell gets the problems of the neighbours.

    `stream_troubles` are those of the index and of the announced failures, of all cells together.
    """
    outcomes = []
    for run in runs:
        if run.sent is None:
            raise LocalError(f"{run.key} was not uploaded")
        ending = ledger.ending_of(run.sent, run.marker)
        injected = run.injected
        if run.cell.step.is_api and run.cell.fault not in KILLING:
            injected = ending.calls
        troubles = [
            *ending.troubles,
            *unexpected(run.cell, ending, injected, max_attempts),
        ]
        outcomes.append(Outcome(run.cell, ending, injected, tuple(troubles)))
    neighbours = {
        f"a neighbour without a fault: {trouble}"
        for one in outcomes
        if one.cell.fault == NO_FAULT
        for trouble in one.troubles
    }
    neighbours.update(stream_troubles)
    return [
        replace(one, troubles=(*one.troubles, *sorted(neighbours)))
        for one in outcomes
        if one.cell.fault != NO_FAULT
    ]


def unexpected(
    cell: Cell, ending: Ending, injected: int, max_attempts: int
) -> list[str]:
    """Check the outcome that this cell must have, beyond the promises for every upload."""
    if cell.fault != NO_FAULT and not injected:
        return [NOT_INJECTED]
    end = f"{ending.status} {ending.detail}".strip()
    # A claim may be in the table although its response was lost; then its lease expires
    is_write = cell.step.operation == "PutItem"
    may_arrive = cell.fault in KILLING or (is_write and cell.fault in (HALF, SLOW))
    begins = not cell.step.is_claim or may_arrive
    if ending.detail == ABANDONED and not begins:
        return [f"{ABANDONED}, although no attempt has begun"]
    if cell.step.refused and cell.fault != NO_FAULT:
        allowed = [f"FAILED {REFUSAL}"]
        if cell.fault in KILLING and may_use_all_attempts(cell, max_attempts):
            allowed.append(f"FAILED {ABANDONED}")
        return [] if end in allowed else [f"{end} instead of {REFUSAL}"]
    passes = cell.fault == NO_FAULT or not (
        begins and not cell.step.by_index and may_use_all_attempts(cell, max_attempts)
    )
    if passes and ending.status in ("FAILED", "SKIPPED"):
        return [f"{end}, although the fault is over"]
    return []


def may_use_all_attempts(cell: Cell, max_attempts: int) -> bool:
    """Whether a cell's fault may use up the upload's attempts."""
    return cell.mode == "for ever" or max_attempts == 1 or cell.fault == DENIED
