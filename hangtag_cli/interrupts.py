"""Ctrl-C between two receives: what was received is known then, and is put back."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hangtag.operators.ports import DeadLetterBox, Letter


class _PatientBox:
    """A box that looks for a Ctrl-C before it receives; see `held_back`."""

    def __init__(self, box: DeadLetterBox) -> None:
        self._box = box

    def receive(self, most: int = 10) -> Sequence[Letter]:
        listen()
        return self._box.receive(most)

    def count(self) -> int:
        return self._box.count()

    def put_back(self, letters: Iterable[Letter]) -> None:
        self._box.put_back(letters)

    def delete(self, letter: Letter) -> None:
        self._box.delete(letter)

    def resend(self, letter: Letter, *, replays: int) -> None:
        self._box.resend(letter, replays=replays)


def listen() -> None:
    """Raise KeyboardInterrupt where a Ctrl-C was held back until now."""
    if hasattr(signal, "sigpending") and signal.SIGINT in signal.sigpending():
        signal.sigwait({signal.SIGINT})  # heard, by this
        raise KeyboardInterrupt


@contextmanager
def held_back(box: DeadLetterBox) -> Iterator[DeadLetterBox]:
    """
    The same *box*, for somebody who only looks: Ctrl-C waits until all letters are put back.

    In the middle of a receive it would leave letters hidden that nobody knows of, and a second one
    those that are being put back. Begin it before any thread, which would take the signal else.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield box
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield _PatientBox(box)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
