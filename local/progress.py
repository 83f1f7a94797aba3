"""What is being done, said while it is done: a spinner on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

Step = Callable[[str], AbstractContextManager[None]]
"""Announces a piece of work that takes a while, and says when it is done."""


def steps_on(console: Console) -> Step:
    """Steps told on `console`."""

    @contextmanager
    def step(work: str) -> Iterator[None]:
        began = time.monotonic()
        if console.is_terminal:
            with console.status(f"{work} ..."):
                yield
        else:
            console.print(f"{work} ...")
            yield
        seconds = f"{time.monotonic() - began:.0f} s"
        console.print(f"[green]ok[/] {work} [dim]({seconds})[/]", highlight=False)

    return step


@contextmanager
def counting(
    console: Console, work: str, *, total: int
) -> Iterator[Callable[[int], None]]:
    """Work on `total` things: call what this gives with the number of those done."""
    if not console.is_terminal:
        told = 0

        def tell(done: int) -> None:
            nonlocal told
            if done >= told + total / 10 or told < done == total:
                console.print(f"{work}: {done} of {total}", highlight=False)
                told = done

        yield tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(work, total=total)
        yield lambda done: progress.update(task, completed=done)
