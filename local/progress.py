"""Shows progress: a spinner or a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

Step = Callable[[str], AbstractContextManager[None]]
"""Shows a description of the work while the context lasts, and the duration at its end."""


def steps_on(console: Console) -> Step:
    """Return a `Step` that prints on `console`."""

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
    """Show progress on `total` items; yields a function to call with the number done."""
    if not console.is_terminal:
        printed = 0

        def advance(done: int) -> None:
            nonlocal printed
            if done >= printed + total / 10 or printed < done == total:
                console.print(f"{work}: {done} of {total}", highlight=False)
                printed = done

        yield advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(work, total=total)
        yield lambda done: progress.update(task, completed=done)
