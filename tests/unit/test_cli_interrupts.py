"""Ctrl-C while letters are read: every letter is visible afterwards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence

import pytest

from hangtag.dead_letters import DeadLetter
from hangtag.operators.letters import LetterFilter, find
from hangtag.operators.ports import Letter
from hangtag.operators.restore import restore
from hangtag_cli.interrupts import deferred_interrupts, raise_deferred_interrupt
from tests.builders import a_dead_letter, a_letter, an_upload
from tests.fakes import (
    FakeClock,
    FakeDeadLetterBox,
    FakeDeadLetterQueue,
    FakeFailureBook,
)


def press_ctrl_c() -> None:
    """Raises SIGINT in the command's only thread; the tests may run in one of several."""
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


class ImpatientBox(FakeDeadLetterBox):
    """Presses Ctrl-C when SQS has returned letters, and again when they are put back."""

    def receive(self, most: int = 10) -> Sequence[Letter]:
        """The signal arrives before the command knows the letters."""
        letters = super().receive(most)
        press_ctrl_c()
        return letters

    def put_back(self, letters: object) -> None:
        """Raises a second signal before any letter is visible."""
        press_ctrl_c()
        super().put_back(letters)  # type: ignore[arg-type]  # the caller's argument


def test_an_interrupt_in_the_middle_of_a_receive_hides_no_letter() -> None:
    """The interrupt is raised when the letters are known, and still ends the walk."""
    box = ImpatientBox(*(a_letter(f"letter {n}") for n in range(30)))
    clock = FakeClock()

    with pytest.raises(KeyboardInterrupt), deferred_interrupts(box) as held:
        find(held, FakeFailureBook(), LetterFilter(), clock=clock)

    assert len(box.visible) == 30
    assert box.hidden == []


def test_an_interrupt_ends_a_restore_after_the_current_letter() -> None:
    """That letter is restored completely; a second run restores the others."""

    class ImpatientQueue(FakeDeadLetterQueue):
        """Presses Ctrl-C with the first letter."""

        def send(self, letter: DeadLetter) -> str:
            press_ctrl_c()
            return super().send(letter)

    queue, clock = ImpatientQueue(), FakeClock()
    letters = [a_dead_letter(an_upload(f"{number}.png")) for number in range(3)]

    with (
        pytest.raises(KeyboardInterrupt),
        deferred_interrupts(FakeDeadLetterBox()) as held,
    ):
        restore(
            letters,
            queue,
            held,
            FakeFailureBook(),
            clock=clock,
            dry_run=False,
            progress=lambda _: raise_deferred_interrupt(),
        )

    assert queue.letters == letters[:1]


def test_an_interrupt_after_the_deferral_is_raised_at_once() -> None:
    """Only an interrupt inside the block is deferred."""
    with deferred_interrupts(FakeDeadLetterBox(a_letter("one"))) as held:
        assert len(held.receive()) == 1

    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()
