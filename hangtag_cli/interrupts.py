"""Ctrl-C is deferred while letters are received, so that all of them are made visible again."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hangtag.operators.ports import DeadLetterBox, Letter


class _InterruptibleBox:
    """A box that raises a deferred Ctrl-C before it receives; see `deferred_interrupts`."""

    def __init__(self, box: DeadLetterBox) -> None:
        self._box = box

    def receive(self, most: int = 10) -> Sequence[Letter]:
        raise_deferred_interrupt()
        return self._box.receive(most)

    def count(self) -> int:
        return self._box.count()

    def put_back(self, letters: Iterable[Letter]) -> None:
        self._box.put_back(letters)

    def delete(self, letter: Letter) -> None:
        self._box.delete(letter)

    def resend(self, letter: Letter, *, replays: int) -> None:
        self._box.resend(letter, replays=replays)


def raise_deferred_interrupt() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed while it was deferred."""
    if hasattr(signal, "sigpending") and signal.SIGINT in signal.sigpending():
        signal.sigwait({signal.SIGINT})  # takes it, so that it is not delivered again
        raise KeyboardInterrupt


@contextmanager
def deferred_interrupts(box: DeadLetterBox) -> Iterator[DeadLetterBox]:
    """
    The same *box*, with Ctrl-C deferred to the moments between two receives.

    In the middle of a receive it would leave letters hidden that the command does not know; a
    second one would interrupt making them visible. Begin this before any thread is started: it
    would receive the signal.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield box
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield _InterruptibleBox(box)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
