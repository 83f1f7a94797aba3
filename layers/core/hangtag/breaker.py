"""
The breaker: stops tagging while every upload fails for the same reason.

A wrong key, a used-up quota or a wrong address fails every upload alike. The first five such
failures in a row are dead-lettered with their code. The fifth opens the breaker: the event
source mapping is disabled, uploads in hand go back to the queue, and the backlog waits there.
Every 15 minutes uploads are let through again (half-open): a success closes the breaker, a
failure opens it anew and is not dead-lettered. `hangtag resume` closes it at once.

`hangtag pause` disables the same mapping; only `hangtag resume` ends a pause. Why it works like
this: docs/decisions/0012-breaker.md.
"""

from __future__ import annotations

from threading import Lock
from typing import Protocol

from hangtag.errors import HangtagError, MappingUnavailable, ResultsUnavailable
from hangtag.ports import BreakerState, Clock
from hangtag.telemetry import BreakerSeen, Telemetry, Trouble
from hangtag.text import to_timestamp

FAILURES_TO_OPEN = 5
"""Consecutive systemic failures that are dead-lettered; the last of them opens the breaker."""

RECONCILE_MINUTES = 15
"""Between two runs of the schedule in template.yaml, which calls `Breaker.reconcile`."""

SYSTEMIC_KINDS = ("auth", "quota", "config")
"""The kinds of failures that would hit every upload."""


class BreakerStore(Protocol):
    """The breaker's state, one for all instances. All methods raise `ResultsUnavailable`."""

    def read(self) -> BreakerState:
        """The state now."""
        ...

    def count_failure(self, code: str, message: str) -> BreakerState:
        """Count a systemic failure, twice if a response is lost; returns the state with it."""
        ...

    def open(self, *, at: str, failures: int) -> bool:
        """
        Open the breaker if at least that many failures are counted; *at* is ISO 8601, UTC.

        Returns False, and changes nothing, where it is open or fewer are counted.
        """
        ...

    def close(self) -> bool:
        """Set the count to 0, unless the breaker is open: then False, and nothing changes."""
        ...

    def let_through(self) -> None:
        """Half-open the breaker: remove `opened_at`, keep the count."""
        ...

    def pause(self, *, at: str) -> None:
        """Note a pause (*at* is ISO 8601, UTC); the time of an earlier one stays."""
        ...

    def reset(self) -> None:
        """Close the breaker and end a pause."""
        ...


class EventSourceMapping(Protocol):
    """What hands uploads from the queue to the function. All methods raise `MappingUnavailable`."""

    def is_enabled(self) -> bool:
        """Whether the function gets uploads."""
        ...

    def switch(self, *, on: bool) -> None:
        """
        Enable or disable the mapping; Lambda takes up to a minute.

        While another change is under way, the error says when to try again.
        """
        ...


class Breaker:
    """The breaker as the function uses it; operators use `operators.switch`."""

    def __init__(
        self,
        store: BreakerStore,
        mapping: EventSourceMapping,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        self._store = store
        self._mapping = mapping
        self._telemetry = telemetry
        self._clock = clock

    def watch(self, state: BreakerState | None) -> Watch:
        """
        Watch the breaker during one batch; raises nothing.

        *state* is the one that the batch has read. None, where it could not be read, counts as
        closed.
        """
        state = state or BreakerState()
        is_stopped = state.is_stopped
        if is_stopped:
            # The mapping may be enabled: by a deployment, or because whoever opened the
            # breaker was cut off, or because Lambda has not finished disabling it.
            self._disable_mapping()
            if state.is_open:
                self._report("open", state)
        return Watch(self, state.failures, is_stopped=is_stopped)

    def reconcile(self) -> BreakerState:
        """
        Bring the mapping in line with the breaker, and half-open the breaker if it is open.

        Returns the state before.

        Raises:
            ResultsUnavailable, MappingUnavailable: The next run of the schedule tries again.
        """
        state = self._store.read()
        self._report("open" if state.is_open else "at rest", state)
        if state.paused_at is not None:
            self._mapping.switch(on=False)
            return state
        if state.is_open:
            self._store.let_through()
        self._mapping.switch(on=True)
        if state.is_open:
            self._report("let through", state)
        return state

    def count(self, error: HangtagError) -> int:
        """
        Count a systemic failure, and open the breaker at the fifth; the count with it.

        Raises:
            ResultsUnavailable: The failure is not counted.
        """
        state = self._store.count_failure(error.code, str(error))
        if state.failures >= FAILURES_TO_OPEN and self._open():
            self._disable_mapping()
            self._report("opened", state)
        return state.failures

    def close(self, failures: int) -> None:
        """Close the breaker after a success that followed so many failures; raises nothing."""
        try:
            is_closed = self._store.close()
        except ResultsUnavailable as error:
            # The state keeps its count: a success of the next batch closes it
            self._telemetry.emit(Trouble("closing the breaker", error))
            return
        if is_closed and failures >= FAILURES_TO_OPEN:
            self._report("closed", BreakerState())

    def _open(self) -> bool:
        """Whether this call has opened it."""
        at = to_timestamp(self._clock.now())
        try:
            return self._store.open(at=at, failures=FAILURES_TO_OPEN)
        except ResultsUnavailable as error:
            # The failure is counted, so the next one opens the breaker
            self._telemetry.emit(Trouble("opening the breaker", error))
            return False

    def _disable_mapping(self) -> None:
        try:
            self._mapping.switch(on=False)
        except MappingUnavailable as error:
            # Uploads that come meanwhile go back, and each batch tries this again
            self._telemetry.emit(Trouble("disabling the event source mapping", error))

    def _report(self, event: str, state: BreakerState) -> None:
        self._telemetry.emit(
            BreakerSeen(event, state.failures, state.code or "", state.message or "")
        )


class Watch:
    """The breaker during one batch; the batch's threads share it."""

    def __init__(self, breaker: Breaker, failures: int, *, is_stopped: bool) -> None:
        self._breaker = breaker
        self._failures = failures
        self._lock = Lock()
        self.is_stopped = is_stopped
        """Whether uploads go back to the queue untouched."""

    def failed(self, error: HangtagError) -> bool:
        """
        Count a systemic failure; whether it is one of the first five, to be dead-lettered.

        Raises:
            ResultsUnavailable: It is not counted, and so must not be dead-lettered.
        """
        failures = self._breaker.count(error)
        with self._lock:
            self._failures = failures
            self.is_stopped = self.is_stopped or failures >= FAILURES_TO_OPEN
        return failures <= FAILURES_TO_OPEN

    def succeeded(self) -> None:
        """Note that the API has answered about an image: the breaker closes. Raises nothing."""
        with self._lock:
            failures, self._failures = self._failures, 0
        if failures:
            self._breaker.close(failures)


def fault_of(state: BreakerState) -> str | None:
    """
    The code of the failures that stopped tagging, until a success; None if it has not stopped.
    """
    is_known = state.is_open or state.failures >= FAILURES_TO_OPEN
    return state.code if is_known else None
