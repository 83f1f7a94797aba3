"""How far a long job is, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from hangtag.backfill import Report
    from hangtag.ports import Clock


@contextmanager
def bar(
    total: int, clock: Clock, console: Console | None = None
) -> Iterator[Callable[[Report], None]]:
    """A bar over *total* objects, with the rate of this run and the time left, on stderr."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} sent/s"),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    )
    began = clock.now()
    first: int | None = None
    with progress:
        task = progress.add_task("Enqueueing", total=total, rate=0.0)

        def show(report: Report) -> None:
            nonlocal first
            if first is None:
                # What the runs before have done is no speed of this one
                first = report.enqueued
                progress.reset(task, total=total, completed=report.listed, rate=0.0)
            seconds = max(clock.now() - began, 0.001)
            doing = "Enqueueing"
            if report.waits_at is not None:
                doing = f"Waiting: {report.waits_at:,} on the queue"
            progress.update(
                task,
                completed=report.listed,
                description=doing,
                rate=(report.enqueued - first) / seconds,
            )

        yield show
