"""Pause and resume tagging."""

from __future__ import annotations

from dataclasses import dataclass

from hangtag.breaker import ROW
from hangtag.errors import (
    MappingUnavailable,
)
from hangtag.ports import BreakerState, BreakerStore, Clock, Intake
from hangtag.text import to_timestamp


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether uploads are taken, and who wants it so."""

    breaker: BreakerState
    is_running: bool
    """Whether uploads are taken from the queue."""

    @property
    def is_on_trial(self) -> bool:
        """Whether uploads are let through to see if the fault is over."""
        return not self.breaker.is_open and self.breaker.row >= ROW

    @property
    def is_paused(self) -> bool:
        """Whether somebody wants no uploads taken: an operator, or whoever switched it off."""
        if self.breaker.paused_at is not None:
            return True
        return not (self.is_running or self.breaker.is_open or self.is_on_trial)


LONGEST_SWITCHING_SECONDS = 120.0
"""A change of the event source mapping takes up to a minute, and another one has to wait for it."""


class Switch:
    """What operators do with tagging as a whole; it waits where the function would not."""

    def __init__(self, store: BreakerStore, intake: Intake, clock: Clock) -> None:
        self._store = store
        self._intake = intake
        self._clock = clock

    def state(self) -> BreakerState:
        """
        What is known of faults and pauses.

        Raises:
            ResultsUnavailable: It cannot be read.
        """
        return self._store.read()

    def standing(self) -> Standing:
        """
        How things stand.

        Raises:
            ResultsUnavailable, MappingUnavailable: It cannot be read.
        """
        return Standing(self.state(), self._intake.is_running())

    def pause(self) -> BreakerState:
        """
        Take no more uploads, until an operator resumes; how it stood.

        Raises:
            ResultsUnavailable, MappingUnavailable: Call it again.
        """
        before = self.state()
        self._store.pause(at=to_timestamp(self._clock.now()))
        self._turn(on=False)
        return before

    def resume(self) -> BreakerState:
        """
        End a pause and close the breaker; how it stood.

        Raises:
            ResultsUnavailable, MappingUnavailable: Call it again.
        """
        before = self.state()
        self._store.reset()
        self._turn(on=True)
        return before

    def _turn(self, *, on: bool) -> None:
        until = self._clock.now() + LONGEST_SWITCHING_SECONDS
        while True:
            try:
                return self._intake.switch(on=on)
            except MappingUnavailable as error:
                wait = error.retry_after_seconds
                if wait is None or self._clock.now() + wait > until:
                    raise
                self._clock.sleep(wait)
