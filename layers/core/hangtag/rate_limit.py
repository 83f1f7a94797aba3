"""
A real rate: calls begin at turns that all instances of the function reserve in one shared book.

Turns are evenly spread, and those that pass unused are gone, so that a pause earns no burst. A
batch reserves its turns with one update. What gets no turn in its invocation's time goes back to
the queue for as long as the line of those that wait is.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Protocol

from hangtag.errors import ResultsUnavailable
from hangtag.ports import Clock, Deadline, NoTurn, TurnBook, Turns

CALLS = "calls"
"""The line of calls: its turns are used in the invocation that reserves them."""

WAITERS = "waiters"
"""The line of those that went back to the queue: when each is to come again."""

_ROOM = 1.05
"""Turns lie that much further apart than the rate asks for: the network is not even."""

_LATE_SECONDS = 0.045
"""
By which a call may begin after its turn.

Less than the room: the calls of one second had their turns in at most 1.045 seconds, and so many
turns of a rate R last 1.05 seconds: no second sees more than R of them begin.
"""

_LONGEST_LEAD_SECONDS = 2.0

_LONGEST_WAIT_SECONDS = 1_800.0
"""In 14 days of waiting, as long as SQS keeps a message, it is received less than 1,000 times."""


class TurnRefused(Exception):
    """No turn is free as long as the invocation lasts; nothing was asked."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no turn for a call; again in {seconds:.0f} s")
        self.seconds = seconds
        """After which the upload is to be delivered again."""


class TurnUnknown(Exception):
    """The book of turns cannot be read; nothing was asked."""

    def __init__(self, error: ResultsUnavailable) -> None:
        super().__init__(str(error))
        self.error = error


class Pace(Protocol):
    """When a batch may call the API."""

    def check(self) -> None:
        """
        Raise `TurnRefused` where it is known already that there will be no turn.

        Raises:
            TurnUnknown: The book cannot be read.
        """
        ...

    def expect(self) -> None:
        """An upload is begun: it will wait for a turn, most likely."""
        ...

    def drop(self) -> None:
        """One that was expected has ended without a call."""
        ...

    def wait(self) -> None:
        """
        Wait for a turn; the call has to begin at once then.

        Raises:
            TurnRefused: None is free in time.
            TurnUnknown: The book cannot be read.
        """
        ...


class Unpaced:
    """`Pace` without a limit: it costs nothing."""

    def check(self) -> None:
        """Nothing is ever refused."""

    def expect(self) -> None:
        """Nothing is reserved."""

    def drop(self) -> None:
        """Nothing was reserved."""

    def wait(self) -> None:
        """There is nothing to wait for."""


class Pacing:
    """The rate of all instances together, *requests_per_second*."""

    def __init__(
        self, book: TurnBook, clock: Clock, *, requests_per_second: float
    ) -> None:
        self._book = book
        self._clock = clock
        self.every = _ROOM / requests_per_second
        """Seconds between two turns."""
        self.next_free = 0.0
        """The first turn that was free when the book was last looked at."""
        self._took = 0.0
        """Seconds that the last reservation took."""

    def of_batch(
        self, uploads: int, deadline: Deadline, *, seconds_after: float
    ) -> BatchPace:
        """
        The pace of a batch of so many uploads.

        *seconds_after* must be left of the invocation's time when a call begins.
        """
        latest = self._clock.now() + deadline.seconds_left() - seconds_after
        return BatchPace(self, uploads, latest=latest)

    def reserve(
        self, line: str, count: int, *, earliest: float, latest: float
    ) -> Turns | NoTurn:
        """
        As `TurnBook.reserve`, at this rate.

        Begins later by what a reservation takes: a turn that has passed before it is known, were
        the table slow, would be lost each time.
        """
        asked = self._clock.now()
        found = self._book.reserve(
            line,
            count,
            every=self.every,
            earliest=earliest + min(2 * self._took, _LONGEST_LEAD_SECONDS),
            latest=latest,
        )
        self._took = self._clock.now() - asked
        return found

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock.now()

    def is_in_time(self, turn: float) -> bool:
        """Whether a call that begins now still keeps its *turn*."""
        return self._clock.now() <= turn + _LATE_SECONDS

    def sleep_until(self, moment: float) -> None:
        """Wait for a moment; not at all if it has passed."""
        left = moment - self._clock.now()
        if left > 0:
            self._clock.sleep(left)


class BatchPace:
    """
    `Pace` of one batch; its threads share it.

    Turns are reserved for all that have been begun when the first of them needs one: copies of
    what is done already never get there, and would waste theirs.
    """

    def __init__(self, pacing: Pacing, uploads: int, *, latest: float) -> None:
        self._pacing = pacing
        self._latest = latest
        self._unheard_of = uploads
        self._expected = 0
        self._turns: deque[float] = deque()
        self._tickets: deque[float] = deque()
        self._lock = Lock()

    def check(self) -> None:
        """As `Pace.check`; asks nobody, unless it is refused."""
        with self._lock:
            if not self._turns and self._pacing.next_free > self._latest:
                raise self._refusal()

    def expect(self) -> None:
        """As `Pace.expect`."""
        with self._lock:
            self._expected += 1
            self._unheard_of -= 1

    def drop(self) -> None:
        """As `Pace.drop`."""
        with self._lock:
            self._expected -= 1

    def wait(self) -> None:
        """As `Pace.wait`."""
        while True:
            with self._lock:
                turn = self._next_turn()
            self._pacing.sleep_until(turn)
            # Whoever comes too late for a turn would begin together with the next one.
            if self._pacing.is_in_time(turn):
                return

    def _next_turn(self) -> float:
        now = self._pacing.now()
        while self._turns:
            turn = self._turns.popleft()
            if self._pacing.is_in_time(turn):
                self._expected -= 1
                return turn
        found = self._reserve(CALLS, self._expected, earliest=now, latest=self._latest)
        if isinstance(found, NoTurn):
            self._pacing.next_free = found.next
            raise self._refusal()
        every = self._pacing.every
        self._turns.extend(
            found.first + number * every for number in range(found.count)
        )
        self._pacing.next_free = found.first + found.count * every
        self._expected -= 1
        return self._turns.popleft()

    def _refusal(self) -> TurnRefused:
        """With a place in the line of those that wait."""
        now = self._pacing.now()
        if not self._tickets:
            earliest = max(now, self._pacing.next_free)
            latest = now + _LONGEST_WAIT_SECONDS
            waiting = self._expected + self._unheard_of
            found = self._reserve(WAITERS, waiting, earliest=earliest, latest=latest)
            if isinstance(found, NoTurn):
                return TurnRefused(_LONGEST_WAIT_SECONDS)
            self._tickets.extend(
                found.first + number * self._pacing.every
                for number in range(found.count)
            )
        return TurnRefused(max(1.0, self._tickets.popleft() - now))

    def _reserve(
        self, line: str, count: int, *, earliest: float, latest: float
    ) -> Turns | NoTurn:
        try:
            return self._pacing.reserve(
                line, max(1, count), earliest=earliest, latest=latest
            )
        except ResultsUnavailable as error:
            raise TurnUnknown(error) from error
