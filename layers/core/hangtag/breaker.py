"""
The breaker: a fault that is everybody's must not bury the backlog.

A wrong key, a used-up quota or a wrong address fails every upload alike. The first few in a row
are buried with their code, so that one can see what happened. Then the breaker opens: the event
source mapping is switched off, what is in hand goes back, and the backlog waits unread on the
queue. A schedule lets uploads through again: one that is tagged closes the breaker, one that
fails opens it anew and is not buried. An operator closes it at once by `hangtag resume`. A pause
is an operator's, too, and nobody else ends it.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

from hangtag.errors import (
    AnnouncementFailed,
    HangtagError,
    MappingUnavailable,
    ResultsUnavailable,
    leaves,
)
from hangtag.ports import Alarm, BreakerState, BreakerStore, Clock, Intake, Journal
from hangtag.text import printable, to_timestamp

ROW = 5
"""Failures in a row that are buried; the last of them opens the breaker."""

TRY_AGAIN_MINUTES = 15
"""Between two tries of the schedule in template.yaml."""

SYSTEMIC_KINDS = ("auth", "quota", "config")
"""The kinds of failures that are everybody's."""

CALL_AGAIN_SECONDS = 24 * 3_600.0
"""Until somebody is called again about the same fault: what waits does not wait for ever."""

_SYSTEMIC_LEAVES = {leaf.code: leaf for leaf in leaves() if leaf.kind in SYSTEMIC_KINDS}

_CALLING_SECONDS = 60.0
"""To call somebody takes less; whoever took it over and did not come back has crashed."""

_STRAYS_SECONDS = 60.0
"""A request to switch the mapping off arrives so soon after its invocation's end at the latest."""

_LOOK_SECONDS = 5.0
"""
A look at the state is good for that long where all goes well.

Batches that end sooner, as most do, look once.
"""


class Breaker:
    """The breaker as a worker and the schedule use it; for operators there is `Switch`."""

    def __init__(
        self,
        store: BreakerStore,
        intake: Intake,
        alarm: Alarm,
        journal: Journal,
        clock: Clock,
        *,
        invocation_seconds: float,
        stack_name: str = "hangtag",
    ) -> None:
        """*invocation_seconds*: no invocation that may switch the intake off lasts longer."""
        self._store = store
        self._intake = intake
        self._alarm = alarm
        self._journal = journal
        self._clock = clock
        self._strays_seconds = invocation_seconds + _STRAYS_SECONDS
        self._stack_name = stack_name

    def watch(self) -> Watch:
        """A look at it, for one invocation. Raises nothing: what cannot be seen is closed."""
        state = self.look()
        if state.is_stopped:
            # Switching off takes up to a minute, whoever opened it may have crashed, and a
            # deployment may have switched it on again.
            state = self._switch_off() or state
            if state.is_open:
                self._journal.breaker("open", state)
        self._call_somebody(state)
        return Watch(self, state, self._clock)

    def look(self) -> BreakerState:
        """How it stands. Raises nothing: what cannot be seen is closed."""
        try:
            return self._store.read()
        except ResultsUnavailable as error:
            self._journal.troubled("reading the breaker", error)
            return BreakerState()

    def try_again(self) -> BreakerState:
        """
        Let uploads through, should the breaker be open and nobody have paused; how it stood.

        Raises:
            ResultsUnavailable, MappingUnavailable: It is tried again next time.
        """
        state = self._store.read()
        self._journal.breaker("open" if state.is_open else "at rest", state)
        self._call_somebody(state)
        if state.paused_at is not None:
            return state
        # A row without an open breaker: the last try was cut off in the middle, or is running.
        if state.is_open or state.row >= ROW:
            self._store.try_again()
            self._intake.switch(on=True)
            self._journal.breaker("tried", state)
        elif state.switched_off_at is not None:
            self._see_it_on(state.switched_off_at)
        return state

    def count(self, error: HangtagError) -> int:
        """
        Count a failure that is everybody's, and open when there are too many; the row's length.

        Raises:
            ResultsUnavailable: It is not counted.
        """
        state = self._store.count_failure(error.code, str(error))
        if state.row >= ROW and self._open():
            self._switch_off()
            self._journal.breaker("opened", replace(state, opened_at=self._now()))
        self._call_somebody(state)
        return state.row

    def close(self, state: BreakerState) -> None:
        """A success after failures. Raises nothing: the next success says it again."""
        try:
            is_closed = self._store.end_row()
        except ResultsUnavailable as error:
            self._journal.troubled("closing the breaker", error)
            return
        if is_closed and state.row >= ROW:
            self._journal.breaker("closed", state)

    def _open(self) -> bool:
        """Whether it is opened by this. Raises nothing: the next failure opens it otherwise."""
        try:
            return self._store.open(at=self._now(), row=ROW)
        except ResultsUnavailable as error:
            # The failure is counted all the same: it is one of the few, and somebody is called.
            self._journal.troubled("opening the breaker", error)
            return False

    def _switch_off(self) -> BreakerState | None:
        """Leave uploads on the queue; how it stands then, as far as it can be seen."""
        try:
            # First: should an operator resume now, and this be cut off, the schedule knows of it.
            self._store.note_switch_off(at=self._now())
            self._intake.switch(on=False)
            state = self._store.read()
            if not state.is_stopped:
                # An operator resumed in between: nobody would take uploads until the schedule.
                self._intake.switch(on=True)
        except (ResultsUnavailable, MappingUnavailable) as error:
            # While it is on uploads go back one by one, and each invocation tries it again.
            self._journal.troubled("switching the event source mapping off", error)
            return None
        return state

    def _see_it_on(self, switched_off_at: str) -> None:
        """Nothing is wrong any more: what the function switched off is to be on."""
        if not self._intake.is_running():
            self._intake.switch(on=True)
        elif switched_off_at < to_timestamp(self._clock.now() - self._strays_seconds):
            self._store.forget_switch_off(at=switched_off_at)

    def _call_somebody(self, state: BreakerState) -> None:
        """Once for each fault, and once a day as long as it lasts. Raises nothing."""
        now = self._clock.now()
        is_due = state.call_due is None or state.call_due <= now
        if state.row < ROW or not is_due:
            return
        taken = now + _CALLING_SECONDS
        try:
            if self._store.take_call(now=now, until=taken, row=ROW):
                self._alarm.call(*self._alarm_of(state))
                self._store.put_off_call(taken=taken, until=now + CALL_AGAIN_SECONDS)
        except (ResultsUnavailable, AnnouncementFailed) as trouble:
            # Whoever sees the row next calls: the next upload, or the schedule
            self._journal.troubled("calling somebody", trouble)

    def _alarm_of(self, state: BreakerState) -> tuple[str, str]:
        """Subject and text."""
        code = state.code or ""
        # Another version of Hangtag may have counted, with codes of its own.
        leaf = _SYSTEMIC_LEAVES.get(code)
        advice = f"Who acts: {leaf.who}. {leaf.advice}\n\n" if leaf else ""
        hangtag = "hangtag"
        if self._stack_name != "hangtag":
            hangtag += f" --stack {self._stack_name}"
        text = (
            f"Tagging has stopped: {state.row} uploads in a row failed for a reason that is "
            f"everybody's, the last one with {code}: "
            f"{printable(state.message or '')}\n\n"
            f"{advice}"
            f"The first {ROW} are buried in the dead-letter queue, all others wait on the upload "
            "queue and lose nothing for 14 days. When it is mended:\n\n"
            f"    {hangtag} resume\n"
            f"    {hangtag} failures replay --code {code} --yes\n\n"
            f"Every {TRY_AGAIN_MINUTES} minutes it is tried by itself; once a day you hear of it "
            "again."
        )
        return f"Hangtag has stopped tagging: {code}", text

    def _now(self) -> str:
        return to_timestamp(self._clock.now())


class Watch:
    """The breaker during one invocation; its threads share it."""

    def __init__(self, breaker: Breaker, state: BreakerState, clock: Clock) -> None:
        self._breaker = breaker
        self._state = state
        self._row = state.row
        self._is_stopped = state.is_stopped
        self._clock = clock
        self._looked_at = clock.now()
        self._lock = Lock()

    @property
    def is_stopped(self) -> bool:
        """Whether uploads go back as they are."""
        return self._is_stopped

    def failed(self, error: HangtagError) -> bool:
        """
        A failure that is everybody's: whether it is one of the few that are buried.

        Raises:
            ResultsUnavailable: It is not counted.
        """
        row = self._breaker.count(error)
        with self._lock:
            self._row = row
            self._is_stopped = self._is_stopped or row >= ROW
        return row <= ROW

    def succeeded(self) -> None:
        """An upload was answered: whatever failed was not everybody's, or is mended."""
        with self._lock:
            now = self._clock.now()
            is_old = now > self._looked_at + _LOOK_SECONDS
            if is_old:
                self._looked_at = now
            row, self._row = self._row, 0
        state = replace(self._state, row=row)
        if is_old and not row:
            # The others' failures: five among many successes are no row
            state = self._breaker.look()
        if state.row:
            self._breaker.close(state)


def fault_of(state: BreakerState) -> str | None:
    """
    The code of the fault that tagging has stopped for.

    It is there from the moment the breaker opens until it closes, also while it is tried whether
    the fault is over. None else, and where a success came in between counting and opening.
    """
    return state.code if state.is_open or state.row >= ROW else None
