"""
Backfill: sends objects that were uploaded before the stack was deployed to the upload queue.

Progress is saved after each batch, so that an interrupted backfill can continue. It may then send
a few uploads twice, which are paid once, and it leaves none out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hangtag.backoff import backoff
from hangtag.errors import QueueUnavailable
from hangtag.events import Unreadable, record_of_object
from hangtag.lifecycle import UploadKey
from hangtag.operators.backfill_ports import (
    Checkpoint,
    ListedObject,
    Listing,
    TaggedVersions,
    UploadFeed,
)
from hangtag.operators.backfill_start import BackfillRequest, BackfillStart
from hangtag.ports import Clock
from hangtag.selection import ALL_KEYS, Selection
from hangtag.text import to_timestamp
from hangtag.uploads import Skip, Upload

DEPTH_CHECK_MESSAGES = 500
"""The queue's depth is read again after so many messages, because others send to it too."""

DEPTH_CHECK_SECONDS = 5.0
"""Between two reads of the depth of a queue that is too deep."""

MAX_SENDS = 8
"""How often a message is sent that the queue does not accept, before the backfill fails."""

_MAX_BATCH = 10  # messages in one request to SQS
_BATCHES_PER_SECOND = 10  # with a rate, at least: a low rate is spread evenly, too
_LOOKUP_SIZE = 100  # versions in one read of the results


class NotSent(StrEnum):
    """Why an object is not sent to the queue."""

    ALREADY_TAGGED = "ALREADY_TAGGED"
    """This version has a result."""
    NOT_SELECTED = "NOT_SELECTED"
    """The stack's UploadPrefix and UploadSuffixes do not select the key."""
    FOLDER_MARKER = "FOLDER_MARKER"
    """An empty object whose key ends in a slash, which consoles create for folders."""
    EMPTY = "EMPTY"
    """The object has no bytes."""
    TOO_LARGE = "TOO_LARGE"
    """The object is larger than the stack sends to the API."""
    ARCHIVED = "ARCHIVED"
    """The object would be sent, but S3 must restore it first."""


_Entry = Upload | Unreadable | NotSent
"""A listed object: to be sent, or not."""


@dataclass(frozen=True, slots=True)
class BackfillLimits:
    """How fast to send, how deep the queue may get, and which objects."""

    rate: float | None
    """Messages per second; None for no limit."""
    max_queued: int
    """Nothing is sent while the queue would hold more."""
    max_image_bytes: int | None
    """The stack's; None if it is unknown, then the function decides."""
    selection: Selection = ALL_KEYS
    """The stack's."""


@dataclass(slots=True)
class BackfillReport:
    """The progress of a backfill, or of a dry run, over all its runs."""

    dry_run: bool
    listed: int = 0
    enqueued: int = 0
    not_sent: Counter[str] = field(default_factory=Counter)
    """Objects by `NotSent`."""
    bytes: int = 0
    """Of the objects to send, as far as the listing knows; of a dry run, still to send."""
    waits_at: int | None = None
    """The queue's depth, while it is too deep."""

    @property
    def skipped(self) -> int:
        """Objects that are not sent."""
        return sum(self.not_sent.values())

    @property
    def archived(self) -> int:
        """Skipped objects that have to be restored first."""
        return self.not_sent[NotSent.ARCHIVED]

    @property
    def not_selected(self) -> int:
        """Skipped objects that the stack does not tag, because of their keys."""
        return self.not_sent[NotSent.NOT_SELECTED]

    @property
    def to_send(self) -> int:
        """Objects that are sent, or would be."""
        return self.listed - self.skipped

    def document(self) -> dict[str, object]:
        """As `hangtag backfill --json` prints it; with `archived` if it is not 0."""
        return {
            "listed": self.listed,
            "enqueued": self.enqueued,
            "skipped": self.skipped,
            "dryRun": self.dry_run,
            **({"archived": self.archived} if self.archived else {}),
        }


@dataclass(frozen=True, slots=True)
class BackfillSources:
    """The ports of a backfill."""

    listing: Listing
    results: TaggedVersions
    feed: UploadFeed
    checkpoint: Checkpoint
    clock: Clock
    partition: str
    """The AWS partition of the bucket."""


def backfill(
    request: BackfillRequest,
    sources: BackfillSources,
    limits: BackfillLimits,
    start: BackfillStart,
    *,
    dry_run: bool,
    progress: Callable[[BackfillReport], None] = lambda _: None,
) -> BackfillReport:
    """
    Send the objects of a *request* to the upload queue, from *start* to the end.

    A dry run does the same, except that it does not send, save or wait. *progress* is called with
    the report so far. Memory use does not depend on the number of objects.

    Raises:
        QueueUnavailable, ResultsUnavailable, and the errors of `Listing.pages`: AWS refused or
            failed. The progress is saved, and the backfill can continue.
        UnusableListing, UnusableCheckpoint: See `hangtag.operators.backfill_ports`.
    """
    run = _Run(request, sources, limits, start, progress, dry_run=dry_run)
    return run.to_the_end()


class _Run:
    """One run of a backfill."""

    def __init__(
        self,
        request: BackfillRequest,
        sources: BackfillSources,
        limits: BackfillLimits,
        start: BackfillStart,
        progress: Callable[[BackfillReport], None],
        *,
        dry_run: bool,
    ) -> None:
        self._request = request
        self._sources = sources
        self._limits = limits
        self._start = start
        self._progress = progress
        self._report = BackfillReport(dry_run=dry_run)
        if not start.is_new:
            self._report.listed = start.counts["listed"]
            self._report.enqueued = start.counts["enqueued"]
            # A dry run reports the bytes that are left to send
            self._report.bytes = 0 if dry_run else start.counts["bytes"]
            self._report.not_sent.update(start.counts["notSent"])
        self._counts_at_start = self._counts()
        self._is_saved = not start.is_new
        self._place = start.place
        self._batch: list[str] = []
        self._batch_size = min(_batch_size(limits.rate), limits.max_queued)
        self._pacer = _Pacer(sources.clock, limits.rate)
        self._room = 0
        self._sent_since_check = 0
        self._at = to_timestamp(sources.clock.now())

    def to_the_end(self) -> BackfillReport:
        for page in self._sources.listing.pages(after=self._start.place):
            for found in _chunks(page, _LOOKUP_SIZE):
                self._handle(found)
        self._send()
        if not self._report.dry_run:
            self._sources.checkpoint.remove()
        return self._report

    def _handle(self, found: Sequence[ListedObject]) -> None:
        """Count each object as not sent, or add it to the batch; send full batches."""
        entries = [self._entry(one) for one in found]
        tagged = self._tagged(entries)
        for one, entry in zip(found, entries, strict=True):
            self._report.listed += 1
            self._place = one.place
            if isinstance(entry, Upload) and (entry.uri, entry.version) in tagged:
                self._count_or_add(one, NotSent.ALREADY_TAGGED)
            elif one.is_archived and not isinstance(entry, NotSent):
                self._count_or_add(one, NotSent.ARCHIVED)
            else:
                self._count_or_add(one, entry)
        if not self._batch:
            self._save(self._place, self._counts())
        self._progress(self._report)

    def _count_or_add(self, found: ListedObject, entry: _Entry) -> None:
        if isinstance(entry, NotSent):
            self._report.not_sent[entry] += 1
            return
        self._report.bytes += found.size or 0
        self._batch.append(_body(entry))
        if len(self._batch) >= self._batch_size:
            self._send()

    def _reason_not_to_send(self, found: ListedObject) -> NotSent | None:
        """The reason, as far as the listing alone shows it."""
        if not self._limits.selection.has(found.key):
            return NotSent.NOT_SELECTED
        if found.size is None:
            return None
        if found.size == 0:
            is_marker = found.key.endswith("/")
            return NotSent.FOLDER_MARKER if is_marker else NotSent.EMPTY
        largest = self._limits.max_image_bytes
        is_too_large = largest is not None and found.size > largest
        return NotSent.TOO_LARGE if is_too_large else None

    def _entry(self, found: ListedObject) -> _Entry:
        reason = self._reason_not_to_send(found)
        if reason is not None:
            return reason
        record = record_of_object(
            bucket=self._request.bucket,
            key=found.key,
            version_id=found.version_id,
            etag=found.etag,
            size=found.size,
            at=self._at,
            partition=self._sources.partition,
        )
        return NotSent.FOLDER_MARKER if isinstance(record, Skip) else record

    def _tagged(self, entries: Sequence[_Entry]) -> AbstractSet[UploadKey]:
        uploads = [entry for entry in entries if isinstance(entry, Upload)]
        if self._request.again or not uploads:
            return frozenset()
        return self._sources.results.tagged(uploads)

    def _send(self) -> None:
        """Send the batch when the rate and the queue's depth allow it; save the progress."""
        if not self._batch or self._report.dry_run:
            self._batch = []
            return
        if not self._is_saved:
            # The token is saved before a message carries it: a new run must not make another one
            self._save(self._start.place, self._counts_at_start)
        self._wait_for_room()
        self._pacer.wait(len(self._batch))
        left = self._batch
        for number in range(1, MAX_SENDS + 1):
            left = self._refused(left, is_last=number == MAX_SENDS)
            if not left:
                break
            self._sources.clock.sleep(backoff(number, base=0.5, cap=10.0))
        self._report.enqueued += len(self._batch)
        self._room -= len(self._batch)
        self._sent_since_check += len(self._batch)
        self._batch = []
        self._save(self._place, self._counts())
        self._progress(self._report)

    def _refused(self, bodies: Sequence[str], *, is_last: bool) -> list[str]:
        """
        Send; returns the bodies that the queue did not accept.

        Raises:
            QueueUnavailable: A permission is missing, or the last attempt did not send all.
        """
        try:
            again = self._start.token if self._request.again else None
            indexes = self._sources.feed.send(bodies, again=again)
        except QueueUnavailable as error:
            if is_last or error.is_denied:
                raise
            return list(bodies)
        if indexes and is_last:
            raise QueueUnavailable(
                f"the upload queue did not accept {len(indexes)} of {len(bodies)} messages, "
                f"{MAX_SENDS} times"
            )
        return [bodies[index] for index in indexes]

    def _wait_for_room(self) -> None:
        """Wait until the batch does not make the queue deeper than `max_queued`."""
        while (
            self._room < len(self._batch)
            or self._sent_since_check >= DEPTH_CHECK_MESSAGES
        ):
            depth = self._sources.feed.depth()
            self._room = self._limits.max_queued - depth
            self._sent_since_check = 0
            if self._room >= len(self._batch):
                break
            self._report.waits_at = depth
            self._progress(self._report)
            self._sources.clock.sleep(DEPTH_CHECK_SECONDS)
        self._report.waits_at = None

    def _save(self, place: str | None, counts: Mapping[str, Any]) -> None:
        """Save that all objects up to *place* are handled."""
        if self._report.dry_run:
            return
        self._sources.checkpoint.save(
            {
                "request": self._request.document(),
                "token": self._start.token,
                "place": place,
                "counts": counts,
            }
        )
        self._is_saved = True

    def _counts(self) -> Mapping[str, Any]:
        return {
            "listed": self._report.listed,
            "enqueued": self._report.enqueued,
            "bytes": self._report.bytes,
            "notSent": dict(self._report.not_sent),
        }


class _Pacer:
    """Spreads messages evenly at a rate; a pause does not earn a burst."""

    def __init__(self, clock: Clock, rate: float | None) -> None:
        self._clock = clock
        self._rate = rate
        self._next = 0.0

    def wait(self, count: int) -> None:
        if self._rate is None:
            return
        now = self._clock.now()
        if now < self._next:
            self._clock.sleep(self._next - now)
        self._next = max(now, self._next) + count / self._rate


def _batch_size(rate: float | None) -> int:
    if rate is None:
        return _MAX_BATCH
    return max(1, min(_MAX_BATCH, int(rate / _BATCHES_PER_SECOND)))


def _body(entry: Upload | Unreadable) -> str:
    """Unreadable names are sent, too: the function dead-letters them."""
    return entry.notification() if isinstance(entry, Upload) else entry.body


def _chunks(
    page: Sequence[ListedObject], size: int
) -> Iterator[Sequence[ListedObject]]:
    for first in range(0, len(page), size):
        yield page[first : first + size]
