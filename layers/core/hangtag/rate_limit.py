"""
The rate limiter: all instances together begin at most `MaxRequestsPerSecond` calls a second.

Every call begins at a slot. Slots are evenly spaced, and one item in the table holds the next
free one. A slot that passes unused is gone, so a pause earns no burst. No prefix of the keys can
hold all slots of the next time. Why it works like this: docs/decisions/0013-rate.md.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from hangtag.ports import Clock

SPACING = 1.05
"""
Slots are that much further apart than the rate asks for.

A call may begin `_LATE_SECONDS` after its slot. So the calls that begin within one second had
their slots within 1.045 seconds, and R slots last 1.05 seconds: no second sees more than R calls.
"""

_LATE_SECONDS = 0.045
"""A call that would begin later than that after its slot reserves another one."""

_LONGEST_LEAD_SECONDS = 2.0

LONGEST_DELAY_SECONDS = 1_800.0
"""A message that always waits that long is received 672 times in 14 days: SQS allows 1,000."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A moment at which a call may begin."""

    at: float
    """Seconds since 1970."""
    is_reserved: bool
    """Whether it is the caller's; else it is only the next free one, and too late."""


class SlotStore(Protocol):
    """The next free slot, one for all instances."""

    def reserve(self, *, step: float, earliest: float, latest: float) -> Slot:
        """
        Reserve the next free slot, which is not before *earliest*.

        Nothing is reserved if it is after *latest*. *step* is the distance of two slots in
        seconds, the others are seconds since 1970.

        Raises:
            ResultsUnavailable: DynamoDB refused or failed; a slot may be lost.
        """
        ...


class RateLimited(Exception):
    """No slot is free in time; no call was made."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no free slot for a call; again in {seconds:.0f} s")
        self.seconds = seconds
        """After which the upload is to be delivered again."""


class RateLimiter:
    """Makes calls wait for their slots; threads may share it."""

    def __init__(
        self,
        slots: SlotStore | None,
        clock: Clock,
        *,
        requests_per_second: float,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        """
        Limit the calls to *requests_per_second*; 0 means no limit, and *slots* may be None then.

        *random_fraction* returns 0 to 1.
        """
        self._slots = slots if requests_per_second > 0 else None
        self._clock = clock
        self._step = SPACING / requests_per_second if requests_per_second > 0 else 0.0
        self._random_fraction = random_fraction
        self._next_free = 0.0
        """The next free slot, as the last reservation has found it."""
        self._took = 0.0
        """Seconds that the last reservation took."""
        self._waiting: Counter[str] = Counter()
        """Calls of this instance that have not begun yet, by prefix."""
        self._lock = Lock()

    def check(self, latest: float, prefix: str) -> None:
        """
        Ask whether a slot may be free for a call in time, without a request.

        Raises:
            RateLimited: It is known that `wait` would find none.
        """
        if self._next_free > self._latest(latest, others=self._waiting[prefix]):
            raise self._limited()

    def wait(self, latest: float, prefix: str) -> None:
        """
        Reserve the next free slot and sleep until then; the call has to begin at once.

        The slot is not after *latest* (seconds since 1970). While other calls about the same
        *prefix* of keys wait in this instance, it is in the first half of the time until then:
        the second half is for the other prefixes.

        Raises:
            RateLimited: None is free in time.
            ResultsUnavailable: The table refused or failed.
        """
        if self._slots is None:
            return
        with self._waits(prefix) as others:
            while True:
                slot = self._reserve(self._slots, self._latest(latest, others=others))
                self._clock.sleep(max(0.0, slot - self._clock.now()))
                if self._clock.now() <= slot + _LATE_SECONDS:
                    return

    @contextmanager
    def _waits(self, prefix: str) -> Iterator[int]:
        """Count a call as waiting; yields how many others about the prefix were waiting before."""
        with self._lock:
            others = self._waiting[prefix]
            self._waiting[prefix] += 1
        try:
            yield others
        finally:
            with self._lock:
                self._waiting[prefix] -= 1
                if not self._waiting[prefix]:
                    del self._waiting[prefix]  # there may be any number of prefixes

    def _latest(self, latest: float, *, others: int) -> float:
        """The latest slot for a call with *others* of its prefix waiting."""
        now = self._clock.now()
        return now + (latest - now) / 2 if others else latest

    def _reserve(self, slots: SlotStore, latest: float) -> float:
        began = self._clock.now()
        # Were the table slow, a slot at this moment would have passed before it is known
        earliest = began + min(2 * self._took, _LONGEST_LEAD_SECONDS)
        slot = slots.reserve(step=self._step, earliest=earliest, latest=latest)
        self._took = self._clock.now() - began
        if not slot.is_reserved:
            self._next_free = slot.at
            raise self._limited()
        self._next_free = slot.at + self._step
        return slot.at

    def _limited(self) -> RateLimited:
        """
        The uploads that wait come back between the next free slot and twice as late.

        By then as many slots have become free as are reserved now.
        """
        until_free = self._next_free - self._clock.now()
        seconds = until_free * (1 + self._random_fraction())
        return RateLimited(min(max(1.0, seconds), LONGEST_DELAY_SECONDS))
