"""
The main job: deliveries in, every upload tagged, failed or skipped, the rest handed back.

`hangtag.tagging` works on one upload, this module on all of a batch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from hangtag.attempt import Arrived, BatchContext, Ended, Retry
from hangtag.dead_letters import RETENTION_SECONDS
from hangtag.errors import (
    HangtagError,
    InternalError,
    QueueUnavailable,
    ResultsUnavailable,
    UnreadableEvent,
)
from hangtag.events import (
    Delivery,
    ParsedRecord,
    Unreadable,
    read_body,
)
from hangtag.lifecycle import UploadKey
from hangtag.policy import Policy, Ports
from hangtag.ports import Deadline, Snapshot
from hangtag.tagging import Tagging
from hangtag.telemetry import OldestFailure, Skipped, Trouble, Unforeseen
from hangtag.uploads import Skip, SkipReason, Upload

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of the function."""

    request_id: str
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A record of a delivery."""

    delivery: Delivery
    record: ParsedRecord


_Copies = list[Arrived]
"""Copies of one upload: one after the other, so that the second finds the first one done."""

_Others = list[tuple[Delivery, Skip | Unreadable]]
"""The records of one delivery that are no uploads."""


class _Outcome:
    """The outcome of each delivery of a batch."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.delays: dict[str, float] = {}
        """Seconds until it is delivered again, by receipt handle."""

    def add(self, delivery: Delivery, end: Ended | Retry) -> None:
        """One record of a delivery has ended, or is to be delivered again; the longest counts."""
        if isinstance(end, Retry):
            with self._lock:
                known = self.delays.get(delivery.receipt_handle, 0.0)
                self.delays[delivery.receipt_handle] = max(known, end.seconds)

    def has_ended(self, delivery: Delivery) -> bool:
        """Whether all of its records have."""
        return delivery.receipt_handle not in self.delays


class Pipeline:
    """Tags uploads. Keeps no state between invocations, except its threads, and in the ports."""

    def __init__(
        self,
        ports: Ports,
        policy: Policy,
        *,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        self._ports = ports
        self._selection = policy.selection
        self._tagging = Tagging(ports, policy, random_fraction=random_fraction)
        # As wide as a batch of messages with one upload each, as S3 sends them; no wider, because
        # each has a part of its image in memory.
        self._new_pool = partial(ThreadPoolExecutor, max_workers=policy.width)
        self._pool = self._new_pool()

    def tag(
        self, deliveries: Sequence[Delivery], invocation: Invocation
    ) -> tuple[str, ...]:
        """
        Work on all deliveries at the same time.

        Returns the message ids of those that SQS is to deliver again; how long each stays
        hidden is arranged. No delivery fails another, and no error is raised.
        """
        self._ports.aws_deadline.begin(invocation.deadline)
        outcome = _Outcome()
        parsed = [
            _Parsed(delivery, record)
            for delivery in deliveries
            for record in self._read(delivery)
        ]
        self._work(parsed, outcome, invocation)
        if outcome.delays:
            self._delay(outcome.delays)
        self._ports.telemetry.flush()
        return tuple(
            delivery.message_id
            for delivery in deliveries
            if not outcome.has_ended(delivery)
        )

    def enqueue(self, body: str, invocation: Invocation) -> int:
        """
        Put the uploads of an event that did not come through the queue on the queue.

        *body* is the event as JSON, which is read as a message's body is later. Returns how many
        selected uploads there were, folder markers included.

        Raises:
            UnreadableEvent: It is no upload event (its readable uploads are queued all the same).
            QueueUnavailable: The queue did not take them; the event is to be sent again.
        """
        self._ports.aws_deadline.begin(invocation.deadline)
        queued = 0
        error: UnreadableEvent | None = None
        for record in map(self._selected, read_body(body)):
            match record:
                case (Upload() as upload) | Skip(upload=Upload() as upload):
                    self._ports.upload_queue.send(upload.notification())
                    queued += 1
                case Skip():
                    skipped = Skipped(record.reason, record.uri or "")
                    self._ports.telemetry.emit(skipped)
                case Unreadable():
                    error = record.error
        self._ports.telemetry.flush()
        if error is not None:
            raise error
        return queued

    def reconcile(self, invocation: Invocation) -> dict[str, Any]:
        """
        Let uploads through, should the breaker be open, and report the oldest failure.

        The stack's schedule asks for it every 15 minutes. Returns how the breaker was: `open`, the
        `code` that opened it and the number of `failures`; or the code of the `trouble`.
        """
        self._ports.aws_deadline.begin(invocation.deadline)
        try:
            state = self._ports.breaker.reconcile()
        except HangtagError as error:
            self._ports.telemetry.emit(Trouble("reconciling the breaker", error))
            return {"trouble": error.code}
        finally:
            # Afterwards: a slow table must not take the time for the breaker
            self._report_oldest_failure()
            self._ports.telemetry.flush()
        return {"open": state.is_open, "code": state.code, "failures": state.failures}

    def _work(
        self, parsed: Sequence[_Parsed], outcome: _Outcome, invocation: Invocation
    ) -> None:
        arrived = self._together(self._identify, parsed)
        copies = _copies_by_key(one for one in arrived if one is not None)
        batch = self._context(copies, invocation)
        together, alone = self._isolated(copies, batch)
        self._together(partial(self._tag, batch, outcome), together)
        for some in alone:
            self._tag(batch, outcome, some)
        self._together(partial(self._end, batch, outcome), _others_by_delivery(parsed))

    def _together(self, do: Callable[[T], U], items: Sequence[T]) -> list[U]:
        """The results of *do* for the *items*, at the same time; all have ended then."""
        if len(items) == 1:
            return [do(items[0])]
        try:
            futures = [self._pool.submit(do, item) for item in items]
            wait(futures)
        except BaseException:  # such as no memory for a thread
            # Nothing of this invocation may run in the next one
            self._pool.shutdown(cancel_futures=True)
            self._pool = self._new_pool()
            raise
        return [future.result() for future in futures]

    def _report_oldest_failure(self) -> None:
        """SQS's own age leaves out messages that were received three times."""
        now = self._ports.clock.now()
        try:
            failed_at = self._ports.records.oldest_failure(
                since=now - RETENTION_SECONDS
            )
        except ResultsUnavailable as error:
            self._ports.telemetry.emit(Trouble("looking for the oldest failure", error))
            return
        age = 0.0 if failed_at is None else max(0.0, now - failed_at)
        self._ports.telemetry.emit(OldestFailure(age))

    def _read(self, delivery: Delivery) -> tuple[ParsedRecord, ...]:
        try:
            return tuple(map(self._selected, read_body(delivery.body)))
        # A bug in reading must not fail the other deliveries: it is dead-lettered alone
        except Exception as error:  # noqa: BLE001
            self._ports.telemetry.emit(Unforeseen(delivery.message_id, error))
            message = f"reading failed: {type(error).__name__}: {error}"
            return (Unreadable(UnreadableEvent(message), delivery.body),)

    def _selected(self, record: ParsedRecord) -> ParsedRecord:
        """The record, or a skip in its place if the key of its upload is not selected."""
        upload = record.upload if isinstance(record, Skip) else record
        if isinstance(upload, Upload) and not self._selection.has(upload.key):
            return Skip(SkipReason.NOT_SELECTED, upload.uri)
        return record

    def _identify(self, parsed: _Parsed) -> Arrived | None:
        """The upload of a record, with its object's version; None if the record is no upload."""
        upload, delivery = parsed.record, parsed.delivery
        if not isinstance(upload, Upload):
            return None
        if upload.is_identified:
            return Arrived(upload, delivery)
        try:
            facts = self._ports.objects.find(upload)
        except HangtagError as error:
            return Arrived(upload, delivery, error=error)
        # A bug of Hangtag must not fail the other deliveries
        except Exception as error:  # noqa: BLE001
            self._ports.telemetry.emit(Unforeseen(upload.uri, error))
            return Arrived(upload, delivery, error=InternalError(str(error)))
        if facts is None:
            return Arrived(upload, delivery, is_gone=True)
        return Arrived(
            upload.identified_as(
                version_id=facts.version_id, etag=facts.etag, size=facts.size
            ),
            delivery,
        )

    def _context(
        self, copies: Mapping[UploadKey, _Copies], invocation: Invocation
    ) -> BatchContext:
        snapshot = self._snapshot(copies)
        watch = self._ports.breaker.watch(snapshot.breaker)
        return BatchContext(invocation.request_id, invocation.deadline, watch, snapshot)

    def _snapshot(self, keys: Iterable[UploadKey]) -> Snapshot:
        """An empty one if the table fails: each claim then reads its own record."""
        try:
            return self._ports.snapshots.snapshot(keys)
        except ResultsUnavailable as error:
            self._ports.telemetry.emit(Trouble("reading the batch's records", error))
        # One record that cannot be read must not fail the other deliveries
        except Exception as error:  # noqa: BLE001
            self._ports.telemetry.emit(Unforeseen("the batch's records", error))
        return Snapshot()

    def _isolated(
        self, copies: Mapping[UploadKey, _Copies], batch: BatchContext
    ) -> tuple[list[_Copies], list[_Copies]]:
        """
        The uploads to work on together, and the uploads whose last attempt was cut off.

        The latter run alone, one after the other and after all others: an upload that crashes
        the function then has no neighbours that could be cut off with it.
        """
        now = self._ports.clock.now()
        together: list[_Copies] = []
        alone: list[_Copies] = []
        for key, some in copies.items():
            record = batch.snapshot.records.get(key)
            is_alone = record is not None and record.is_cut_off(now)
            (alone if is_alone else together).append(some)
        return together, alone

    def _tag(self, batch: BatchContext, outcome: _Outcome, copies: _Copies) -> None:
        """Work on the copies of one upload, one after the other."""
        for number, arrived in enumerate(copies):
            tag = partial(self._tagging.tag, arrived, batch)
            end = self._guarded(arrived.upload.uri, arrived.delivery, tag)
            outcome.add(arrived.delivery, end)
            if isinstance(end, Retry):
                # The others would not fare better now, and each would be an attempt
                for copy in copies[number + 1 :]:
                    outcome.add(copy.delivery, end)
                return

    def _end(self, batch: BatchContext, outcome: _Outcome, others: _Others) -> None:
        """
        End the skips and the unreadable records of one delivery.

        Its body is dead-lettered after all its uploads have ended: otherwise each retry of such
        an upload would dead-letter the body again.
        """
        for delivery, record in others:
            if not outcome.has_ended(delivery):
                return
            end = partial(self._end_one, batch, delivery, record)
            outcome.add(delivery, self._guarded(delivery.message_id, delivery, end))

    def _end_one(
        self, batch: BatchContext, delivery: Delivery, record: Skip | Unreadable
    ) -> Ended | Retry:
        if isinstance(record, Skip):
            return self._tagging.skip(record, delivery)
        return self._tagging.dead_letter_body(
            record, delivery, request_id=batch.request_id
        )

    def _guarded(
        self, about: str, delivery: Delivery, do: Callable[[], Ended | Retry]
    ) -> Ended | Retry:
        try:
            return do()
        # A bug of Hangtag must not fail the other deliveries
        except Exception as error:  # noqa: BLE001
            return self._tagging.unforeseen(about, error, delivery)

    def _delay(self, delays: Mapping[str, float]) -> None:
        try:
            self._ports.upload_queue.delay(delays)
        except QueueUnavailable as error:
            # They come back when the visibility timeout runs out
            self._ports.telemetry.emit(Trouble("delaying deliveries", error))


def _copies_by_key(arrived: Iterable[Arrived]) -> dict[UploadKey, _Copies]:
    """Copies of the same upload together, in the order of arrival."""
    copies: dict[UploadKey, _Copies] = {}
    for one in arrived:
        copies.setdefault(one.key, []).append(one)
    return copies


def _others_by_delivery(parsed: Iterable[_Parsed]) -> list[_Others]:
    """Skips and unreadable records, by delivery."""
    others: dict[str, _Others] = {}
    for one in parsed:
        delivery, record = one.delivery, one.record
        if not isinstance(record, Upload):
            others.setdefault(delivery.receipt_handle, []).append((delivery, record))
    return list(others.values())
