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

from threading import Lock

from hangtag.failures import AnnouncementFailed, HangtagError, ResultsUnavailable
from hangtag.ports import Alarm, BreakerState, BreakerStore, Clock, Intake, Journal
from hangtag.results import to_timestamp

ROW = 5
"""Failures in a row that are buried; the last of them opens the breaker."""

TRY_AGAIN_MINUTES = 15
"""Between two tries of the schedule in template.yaml."""

SYSTEMIC_KINDS = ("auth", "quota", "config")
"""The kinds of failures that are everybody's."""


class Breaker:
    """The breaker as a worker, the schedule and an operator use it."""

    def __init__(
        self,
        store: BreakerStore,
        intake: Intake,
        alarm: Alarm,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._store = store
        self._intake = intake
        self._alarm = alarm
        self._journal = journal
        self._clock = clock

    def watch(self) -> Watch:
        """A look at it, for one invocation. Raises nothing: what cannot be seen is closed."""
        try:
            state = self._store.read()
        except ResultsUnavailable as error:
            self._journal.troubled("reading the breaker", error)
            state = BreakerState()
        if state.is_open:
            # Switching off takes up to a minute, and whoever opened it may have crashed.
            self._switch_off()
        return Watch(self, state)

    def try_again(self) -> BreakerState:
        """
        Let uploads through, should the breaker be open and nobody have paused; how it stood.

        Raises:
            ResultsUnavailable, IntakeUnavailable: It is tried again next time.
        """
        state = self._store.read()
        # A row without an open breaker: the last try was cut off in the middle, or is running.
        if state.paused_at is None and state.row >= ROW:
            self._store.try_again()
            self._intake.switch(on=True)
            self._journal.breaker("tried", state)
        return state

    def pause(self) -> None:
        """
        Take no more uploads, until an operator resumes.

        Raises:
            ResultsUnavailable, IntakeUnavailable: Call it again.
        """
        self._store.pause(at=self._now())
        self._intake.switch(on=False)

    def resume(self) -> None:
        """
        End a pause and close the breaker.

        Raises:
            ResultsUnavailable, IntakeUnavailable: Call it again.
        """
        self._store.reset()
        self._intake.switch(on=True)

    def count(self, error: HangtagError) -> int:
        """
        Count a failure that is everybody's, and open when there are too many; the row's length.

        Raises:
            ResultsUnavailable: It is not counted.
        """
        row = self._store.count_failure(error.code, str(error))
        if row >= ROW and self._store.open(at=self._now()):
            self._switch_off()
            state = BreakerState(row, error.code, str(error), self._now())
            self._journal.breaker("opened", state)
        if row == ROW:  # once for each fault, not with every try
            self._call_somebody(error)
        return row

    def close(self, state: BreakerState) -> None:
        """A success after failures. Raises nothing: the next success says it again."""
        try:
            self._store.end_row()
        except ResultsUnavailable as error:
            self._journal.troubled("closing the breaker", error)
            return
        if state.row >= ROW:
            self._journal.breaker("closed", state)

    def _switch_off(self) -> None:
        try:
            self._intake.switch(on=False)
        except HangtagError as error:
            # Uploads go back one by one as long as it is on; each invocation tries it again.
            self._journal.troubled("switching the event source mapping off", error)

    def _call_somebody(self, error: HangtagError) -> None:
        text = (
            f"Tagging has stopped: the Tagger API's last {ROW} calls failed with "
            f"{error.code} ({error.kind}): {error}\n\n"
            f"Who acts: {error.who}. {error.advice}\n\n"
            f"Those {ROW} uploads are in the dead-letter queue, all others wait on the upload "
            f"queue and lose nothing for 14 days. When it is mended, run `hangtag resume`, then "
            f"`hangtag failures replay --code {error.code}`. Every {TRY_AGAIN_MINUTES} minutes "
            "it is tried by itself."
        )
        try:
            self._alarm.call(f"Hangtag has stopped tagging: {error.code}", text)
        except AnnouncementFailed as trouble:
            self._journal.troubled("calling somebody", trouble)

    def _now(self) -> str:
        return to_timestamp(self._clock.now())


class Watch:
    """The breaker during one invocation; its threads share it."""

    def __init__(self, breaker: Breaker, state: BreakerState) -> None:
        self._breaker = breaker
        self._state = state
        self._row = state.row
        self._is_open = state.is_open
        self._lock = Lock()

    @property
    def is_open(self) -> bool:
        """Whether uploads go back as they are."""
        return self._is_open

    def failed(self, error: HangtagError) -> bool:
        """
        A failure that is everybody's: whether it is one of the few that are buried.

        Raises:
            ResultsUnavailable: It is not counted.
        """
        row = self._breaker.count(error)
        with self._lock:
            self._row = row
            self._is_open = self._is_open or row >= ROW
        return row <= ROW

    def succeeded(self) -> None:
        """An upload was answered: whatever failed was not everybody's, or is mended."""
        with self._lock:
            row, self._row = self._row, 0
        if row:
            self._breaker.close(BreakerState(row, self._state.code))
