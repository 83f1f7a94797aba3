"""
The main job: deliveries in, every upload tagged, failed or skipped, the rest handed back.

What happens to one upload is in `hangtag.tagging`; here is what happens to many. Nothing talks to
the outside; see `hangtag.ports`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

from hangtag.dead_letters import RETENTION_SECONDS, letter_of_unreadable
from hangtag.errors import (
    HangtagError,
    QueueUnavailable,
    ResultsUnavailable,
    UnreadableEvent,
)
from hangtag.events import Delivery, Entry, Unreadable, read_body, read_document
from hangtag.ports import BreakerState, Deadline
from hangtag.tagging import Batch, Policy, Ports, Suspect, Tagging
from hangtag.uploads import Skip, Upload


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of the function."""

    request_id: str
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class _Work:
    """An entry of a delivery."""

    delivery: Delivery
    entry: Entry

    @property
    def identity(self) -> object:
        """What copies of the same upload have in common."""
        if isinstance(self.entry, Upload):
            return (self.entry.uri, self.entry.version)
        return id(self)


_Chain = list[_Work]
"""Copies of one upload: one after the other, so that the second finds the first one done."""


class _Outcome:
    """What becomes of the deliveries of a batch."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.delays: dict[str, float] = {}
        """Seconds until it is delivered again, by receipt handle."""

    def hand_back(self, delivery: Delivery, seconds: float) -> None:
        """It is to be delivered again; the longest wait of its entries counts."""
        with self._lock:
            known = self.delays.get(delivery.receipt_handle, 0.0)
            self.delays[delivery.receipt_handle] = max(known, seconds)

    def has_ended(self, delivery: Delivery) -> bool:
        """Whether all of its entries have."""
        return delivery.receipt_handle not in self.delays


class Pipeline:
    """Tags uploads. Keeps nothing between invocations but what the ports keep."""

    def __init__(
        self,
        ports: Ports,
        policy: Policy,
        *,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        self._ports = ports
        self._timing = policy.timing
        self._width = policy.width
        self._tagging = Tagging(ports, policy, random_fraction=random_fraction)

    def tag(
        self, deliveries: Sequence[Delivery], invocation: Invocation
    ) -> tuple[str, ...]:
        """
        Work on all deliveries at the same time.

        Returns the message ids of those that SQS is to deliver again; how long each stays
        hidden is arranged. No delivery fails another, and no error is raised.
        """
        self._ports.patience.begin(invocation.deadline)
        work = [
            _Work(delivery, entry)
            for delivery in deliveries
            for entry in self._entries_of(delivery)
        ]
        outcome = _Outcome()
        # Those that nobody can read come last: were they buried while a neighbour in the same
        # message is handed back, they would be buried again with each of its retries.
        chains, unreadable = _sorted(work)
        batch = self._batch(invocation)
        alone = len(chains) == 1
        # As wide as a batch of messages with one upload each, as S3 sends them: the default pool
        # of a two-core machine would be six wide and make ten wait for a second wave. No wider:
        # a message with hundreds of records must not hold hundreds of images in memory.
        with ThreadPoolExecutor(max_workers=self._width) as pool:
            suspects = pool.map(
                lambda chain: self._finish_chain(chain, batch, outcome, alone=alone),
                chains,
            )
            for chain in [chain for chain in suspects if chain]:
                self._finish_chain(chain, batch, outcome, alone=True)
            ripe = [one for one in unreadable if outcome.has_ended(one.delivery)]
            for one, delay in zip(
                ripe,
                pool.map(lambda one: self._bury_unreadable(one, batch), ripe),
                strict=True,
            ):
                if delay is not None:
                    outcome.hand_back(one.delivery, delay)
        if outcome.delays:
            self._delay_deliveries(outcome.delays)
        self._ports.journal.end()
        return tuple(
            delivery.message_id
            for delivery in deliveries
            if not outcome.has_ended(delivery)
        )

    def enqueue(
        self, event: Mapping[str, Any], body: str, invocation: Invocation
    ) -> int:
        """
        Put the uploads of a bare event, one that did not come through the queue, on the queue.

        Returns how many there were, with those that are no work.

        Raises:
            UnreadableEvent: It is no upload event (its readable uploads are queued all the same).
            QueueUnavailable: The queue did not take them; the event is to be sent again.
        """
        self._ports.patience.begin(invocation.deadline)
        queued = 0
        unreadable: UnreadableEvent | None = None
        for entry in read_document(event, body):
            match entry:
                case Upload():
                    self._ports.upload_queue.send(entry.notification())
                    queued += 1
                case Skip(upload=Upload() as upload):
                    # It is accounted for like one that came through the queue
                    self._ports.upload_queue.send(upload.notification())
                    queued += 1
                case Skip():
                    self._ports.journal.skipped(entry)
                case Unreadable():
                    unreadable = entry.error
        self._ports.journal.end()
        if unreadable is not None:
            raise unreadable
        return queued

    def try_again(self, invocation: Invocation) -> dict[str, Any]:
        """
        Let uploads through, should the breaker be open.

        Returns how it stood: `open`, the `code` that opened it and the count of `failures`; or the
        code of the `trouble` there was in trying. No error is raised: the schedule comes again.
        """
        self._ports.patience.begin(invocation.deadline)
        try:
            state = self._ports.breaker.reconcile()
        except HangtagError as error:
            self._ports.journal.troubled("trying again", error)
            return {"trouble": error.code}
        finally:
            # Afterwards: a slow table must not take the time for the breaker
            self._tell_oldest_failure()
            self._ports.journal.end()
        return {"open": state.is_open, "code": state.code, "failures": state.failures}

    def _tell_oldest_failure(self) -> None:
        """SQS tells an age, too, but not of letters that were looked at three times."""
        now = self._ports.clock.now()
        try:
            failed_at = self._ports.results.oldest_failure(
                since=now - RETENTION_SECONDS
            )
        except ResultsUnavailable as error:
            self._ports.journal.troubled("looking for the oldest failure", error)
            return
        age = 0.0 if failed_at is None else max(0.0, now - failed_at)
        self._ports.journal.oldest_failure(age)

    def _batch(self, invocation: Invocation) -> Batch:
        left = invocation.deadline.seconds_left() - self._timing.attempt
        return Batch(
            request_id=invocation.request_id,
            deadline=invocation.deadline,
            latest_call=self._ports.clock.now() + left,
            breaker=self._ports.breaker.watch(self._breaker_state()),
        )

    def _breaker_state(self) -> BreakerState | None:
        try:
            return self._ports.breaker_store.read()
        except ResultsUnavailable as error:
            self._ports.journal.troubled("reading the breaker", error)
            return None

    def _entries_of(self, delivery: Delivery) -> tuple[Entry, ...]:
        try:
            return read_body(delivery.body)
        # A mistake of ours in reading must not fail the other deliveries: it is buried alone.
        except Exception as error:  # noqa: BLE001
            self._ports.journal.unforeseen(delivery.message_id, error)
            trouble = UnreadableEvent(
                f"reading failed: {type(error).__name__}: {error}"
            )
            return (Unreadable(trouble, delivery.body),)

    def _delay_deliveries(self, delays: Mapping[str, float]) -> None:
        try:
            self._ports.upload_queue.delay(delays)
        except QueueUnavailable as error:
            # They come back all the same, only later than meant.
            self._ports.journal.troubled("delaying deliveries", error)

    def _finish_chain(
        self, chain: _Chain, batch: Batch, outcome: _Outcome, *, alone: bool
    ) -> _Chain:
        """Finish copies of one upload in turn; what is left if they are to be worked on alone."""
        for number, work in enumerate(chain):
            try:
                delay = self._finish_entry(work, batch, alone=alone)
            except Suspect:
                return chain[number:]
            if delay is not None:
                # The others would not fare better now, and each would be an attempt.
                for copy in chain[number:]:
                    outcome.hand_back(copy.delivery, delay)
                break
        return []

    def _finish_entry(self, work: _Work, batch: Batch, *, alone: bool) -> float | None:
        """Returns and raises like `Tagging.finish`."""
        entry, delivery = work.entry, work.delivery
        try:
            if isinstance(entry, Upload):
                return self._tagging.finish(entry, delivery, batch, alone=alone)
            if isinstance(entry, Skip):
                return self._tagging.skip(entry, delivery)
        except Suspect:
            raise
        # A mistake of ours must not fail the neighbours of the upload that it met.
        except Exception as error:  # noqa: BLE001
            uri = entry.uri if isinstance(entry, Upload) else None
            self._ports.journal.unforeseen(uri or delivery.message_id, error)
            return self._tagging.delay_of_receive(delivery)
        return None

    def _bury_unreadable(self, work: _Work, batch: Batch) -> float | None:
        entry, delivery = work.entry, work.delivery
        if not isinstance(entry, Unreadable):
            return None
        letter = letter_of_unreadable(
            entry,
            self._tagging.failure(entry.error, attempts=1),
            replays=delivery.replays,
            request_id=batch.request_id,
        )
        try:
            self._ports.dead_letters.bury(letter)
        except HangtagError as trouble:
            return self._tagging.not_buried(letter, None, trouble, delivery)
        # A mistake of ours must not fail the other deliveries.
        except Exception as error:  # noqa: BLE001
            self._ports.journal.unforeseen(delivery.message_id, error)
            return self._tagging.delay_of_receive(delivery)
        self._ports.journal.buried(letter, None)
        return None


def _sorted(work: Iterable[_Work]) -> tuple[list[_Chain], list[_Work]]:
    """Chains of copies in the order of arrival, and what nobody can read."""
    chains: dict[object, _Chain] = {}
    unreadable: list[_Work] = []
    for one in work:
        if isinstance(one.entry, Unreadable):
            unreadable.append(one)
        else:
            chains.setdefault(one.identity, []).append(one)
    return list(chains.values()), unreadable
