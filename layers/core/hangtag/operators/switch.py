"""Pause and resume tagging."""

from __future__ import annotations

from dataclasses import dataclass

from hangtag.breaker import FAILURES_TO_OPEN, BreakerStore, EventSourceMapping
from hangtag.errors import MappingUnavailable
from hangtag.ports import BreakerState, Clock
from hangtag.text import to_timestamp

LONGEST_SWITCHING_SECONDS = 120.0
"""A change of the mapping takes up to a minute, and has to wait for the one before."""


@dataclass(frozen=True, slots=True)
class TaggingState:
    """Whether uploads are tagged, and if not, why."""

    breaker: BreakerState
    is_enabled: bool
    """Whether the event source mapping is."""

    @property
    def is_half_open(self) -> bool:
        """Whether the breaker lets uploads through to see if the fault is over."""
        return not self.breaker.is_open and self.breaker.failures >= FAILURES_TO_OPEN

    @property
    def is_paused(self) -> bool:
        """Whether an operator has paused, or the mapping is disabled without a reason we know."""
        if self.breaker.paused_at is not None:
            return True
        return not (self.is_enabled or self.breaker.is_open or self.is_half_open)


class Switch:
    """Pauses and resumes tagging. Waits while Lambda is busy, as the function does not."""

    def __init__(
        self, store: BreakerStore, mapping: EventSourceMapping, clock: Clock
    ) -> None:
        self._store = store
        self._mapping = mapping
        self._clock = clock

    def breaker(self) -> BreakerState:
        """
        The state of the breaker.

        Raises:
            ResultsUnavailable: It cannot be read.
        """
        return self._store.read()

    def tagging(self) -> TaggingState:
        """
        The states of breaker and mapping.

        Raises:
            ResultsUnavailable, MappingUnavailable: They cannot be read.
        """
        return TaggingState(self.breaker(), self._mapping.is_enabled())

    def pause(self) -> BreakerState:
        """
        Keep uploads on the queue until an operator resumes; the breaker before.

        Raises:
            ResultsUnavailable, MappingUnavailable: Call it again.
        """
        before = self.breaker()
        self._store.pause(at=to_timestamp(self._clock.now()))
        self._switch(on=False)
        return before

    def resume(self) -> BreakerState:
        """
        End a pause and close the breaker; the breaker before.

        Raises:
            ResultsUnavailable, MappingUnavailable: Call it again.
        """
        before = self.breaker()
        self._store.reset()
        self._switch(on=True)
        return before

    def _switch(self, *, on: bool) -> None:
        until = self._clock.now() + LONGEST_SWITCHING_SECONDS
        while True:
            try:
                return self._mapping.switch(on=on)
            except MappingUnavailable as error:
                wait = error.retry_after_seconds
                if wait is None or self._clock.now() + wait > until:
                    raise
                self._clock.sleep(wait)
