"""
Backfill: objects that were there before us, put on the upload queue.

What is sent is saved after each batch: a backfill that is cut off at any point goes on from there.
It may then send a few again, which are recognized and paid once; it leaves none out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeGuard

from hangtag.errors import QueueUnavailable
from hangtag.events import ParsedRecord, Unreadable, record_of_object
from hangtag.operators.ports import (
    Checkpoint,
    ListedObject,
    Listing,
    TaggedVersions,
    UnusableCheckpoint,
    UploadFeed,
)
from hangtag.ports import Clock
from hangtag.text import to_timestamp
from hangtag.uploads import Skip, Upload

LOOK_EVERY = 500
"""Messages after which the queue's depth is looked at again: others fill it, too."""

LOOK_PAUSE_SECONDS = 5.0
"""Between two looks at a queue that is too deep."""

MAX_TRIES = 8
"""To send what the queue does not take, before it is given up."""

_KEY_BYTES = 1_024  # of a key, at most
_BEYOND_SENSE = 10**18  # bytes or objects
_BATCH = 10  # messages in one request to SQS, at most
_ASKED_AT_ONCE = 100  # versions in one look at the results
_BATCHES_PER_SECOND = (
    10  # with a rate: a slow one is not ten at once and then a long silence
)


class Passed(StrEnum):
    """Why an object is not put on the queue."""

    ALREADY_TAGGED = "ALREADY_TAGGED"
    """This version has a result."""
    FOLDER_MARKER = "FOLDER_MARKER"
    """An empty object whose key ends in a slash, as consoles make for folders."""
    EMPTY = "EMPTY"
    """It has no bytes."""
    TOO_LARGE = "TOO_LARGE"
    """It is larger than the stack sends to the API."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be backfilled. A checkpoint belongs to one order."""

    stack: str
    bucket: str
    prefix: str
    inventory: str | None
    """Uri of the manifest that is read instead of listing."""
    again: bool
    """Whether what is tagged already is tagged again."""

    def document(self) -> dict[str, object]:
        """As it stands in a checkpoint."""
        return {
            "stack": self.stack,
            "bucket": self.bucket,
            "prefix": self.prefix,
            "inventory": self.inventory,
            "again": self.again,
        }


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast, how deep, how large."""

    rate: float | None
    """Messages per second; None for as fast as it goes."""
    max_queued: int
    """Uploads that wait or are worked on, at most, while more are sent."""
    max_image_bytes: int | None
    """The stack's; None where it is not known, and the function judges."""


@dataclass(slots=True)
class Report:
    """What a backfill did, or would do, in all of its runs together."""

    dry_run: bool
    listed: int = 0
    enqueued: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    """Objects that are not sent, by `Passed`."""
    bytes: int = 0
    """Of those that are sent, or are left to be sent by a dry run, as far as the listing tells."""
    resumed_at: int = 0
    """How many were listed by the runs before."""
    waits_at: int | None = None
    """The queue's depth, while it is too deep."""

    @property
    def skipped(self) -> int:
        """Objects that are not sent."""
        return sum(self.passed.values())

    @property
    def meant(self) -> int:
        """Objects that are sent, or would be."""
        return self.listed - self.skipped

    def document(self) -> dict[str, object]:
        """As `hangtag backfill --json` prints it."""
        return {
            "listed": self.listed,
            "enqueued": self.enqueued,
            "skipped": self.skipped,
            "dryRun": self.dry_run,
        }


@dataclass(frozen=True, slots=True)
class Sources:
    """All that a backfill needs from outside."""

    listing: Listing
    results: TaggedVersions
    feed: UploadFeed
    checkpoint: Checkpoint
    clock: Clock


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run begins: at the beginning, or where the one before was cut off."""

    place: str | None
    token: str
    """Of the order to tag again; the same in all runs, so that what is sent twice is paid once."""
    counts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """Whether there is nothing to go on from."""
        return not self.counts


def start_of(order: Order, checkpoint: Checkpoint, *, token: str) -> Start:
    """
    Where to begin; *token* is for an order that begins now.

    Raises:
        UnusableCheckpoint: It cannot be read, or is another order's.
    """
    saved = checkpoint.load()
    if saved is None:
        return Start(None, token)
    if saved.get("order") != order.document():
        raise UnusableCheckpoint(
            f"it is another backfill's ({_told(saved.get('order'))}), not this one's "
            f"({_told(order.document())})"
        )
    place, its_token = saved.get("place"), saved.get("token")
    counts = _counts(saved.get("counts"))
    if (
        not (place is None or _is_short_text(place))
        or not _is_short_text(its_token)
        or counts is None
    ):
        raise UnusableCheckpoint("it does not say how far the backfill was")
    return Start(place, its_token, counts)


def _is_short_text(value: object) -> TypeGuard[str]:
    """Whether it can be sent to AWS: a key, or something shorter."""
    if not isinstance(value, str):
        return False
    with suppress(UnicodeEncodeError):  # JSON can spell half a character
        return 0 < len(value.encode()) <= _KEY_BYTES
    return False


def _told(order: object) -> str:
    if not isinstance(order, dict):
        return "nothing that is known"
    words = [
        f"stack {order.get('stack')}, s3://{order.get('bucket')}/{order.get('prefix')}"
    ]
    words += [f"from {order['inventory']}"] if order.get("inventory") else []
    words += ["with --again"] if order.get("again") else []
    return ", ".join(words)


def _counts(saved: object) -> Mapping[str, Any] | None:
    """The counts of a checkpoint, or None where it has none."""
    if not isinstance(saved, dict) or not isinstance(saved.get("passed"), dict):
        return None
    numbers = [saved.get(name) for name in ("listed", "enqueued", "bytes")]
    numbers += saved["passed"].values()
    are_counts = all(
        isinstance(number, int) and 0 <= number < _BEYOND_SENSE for number in numbers
    )
    return saved if are_counts else None


def backfill(
    order: Order,
    sources: Sources,
    limits: Limits,
    start: Start,
    *,
    dry_run: bool,
    progress: Callable[[Report], None] = lambda _: None,
) -> Report:
    """
    Put the objects of an *order* on the upload queue, from *start* to the end.

    A dry run does all but send, save and wait. *progress* is called with the report so far,
    often. Memory does not grow with the number of objects.

    Raises:
        QueueUnavailable, ResultsUnavailable, ObjectForbidden, ObjectUnavailable: AWS refused or
            failed; what was sent is saved, and the backfill can go on.
        UnusableListing, UnusableCheckpoint: As the ports say.
    """
    return _Run(order, sources, limits, start, progress, dry_run=dry_run).to_the_end()


class _Run:
    """One run of a backfill."""

    def __init__(
        self,
        order: Order,
        sources: Sources,
        limits: Limits,
        start: Start,
        progress: Callable[[Report], None],
        *,
        dry_run: bool,
    ) -> None:
        self._order = order
        self._sources = sources
        self._limits = limits
        self._start = start
        self._progress = progress
        self._report = Report(dry_run=dry_run)
        if not start.is_new:
            self._report.listed = self._report.resumed_at = start.counts["listed"]
            self._report.enqueued = start.counts["enqueued"]
            # What was sent before is no work that is left
            self._report.bytes = 0 if dry_run else start.counts["bytes"]
            self._report.passed.update(start.counts["passed"])
        self._at_start = self._counts()
        self._is_noted = not start.is_new
        self._place = start.place
        self._batch: list[str] = []
        self._batch_size = min(_batch_size(limits.rate), limits.max_queued)
        self._next_send = 0.0
        self._room = 0
        self._unlooked = 0
        self._at = to_timestamp(sources.clock.now())

    def to_the_end(self) -> Report:
        """All that is left of the order."""
        for page in self._sources.listing.pages(after=self._start.place):
            for found in _pieces(page, _ASKED_AT_ONCE):
                self._take(found)
        self._send()
        if not self._report.dry_run:
            self._sources.checkpoint.remove()
        return self._report

    def _take(self, found: Sequence[ListedObject]) -> None:
        """Sort objects into those to send and those to pass, in their order."""
        reasons = [self._reason_to_pass(one) for one in found]
        entries = [
            self._entry(one) if reason is None else None
            for one, reason in zip(found, reasons, strict=True)
        ]
        tagged = self._tagged(entries)
        for one, reason, entry in zip(found, reasons, entries, strict=True):
            self._report.listed += 1
            self._place = one.place
            if isinstance(entry, Upload) and (entry.uri, entry.version) in tagged:
                self._report.passed[Passed.ALREADY_TAGGED] += 1
            elif entry is None or isinstance(entry, Skip):
                self._report.passed[reason or Passed.FOLDER_MARKER] += 1
            else:
                self._report.bytes += one.size or 0
                self._batch.append(_message(entry))
                if len(self._batch) >= self._batch_size:
                    self._send()
        if not self._batch:
            self._save(self._place, self._counts())
        self._progress(self._report)

    def _reason_to_pass(self, found: ListedObject) -> Passed | None:
        """What the listing alone tells."""
        if found.size is None:
            return None
        if found.size == 0:
            is_marker = found.key.endswith("/")
            return Passed.FOLDER_MARKER if is_marker else Passed.EMPTY
        largest = self._limits.max_image_bytes
        is_too_large = largest is not None and found.size > largest
        return Passed.TOO_LARGE if is_too_large else None

    def _entry(self, found: ListedObject) -> ParsedRecord:
        return record_of_object(
            bucket=self._order.bucket,
            key=found.key,
            version_id=found.version_id,
            etag=found.etag,
            size=found.size,
            at=self._at,
        )

    def _tagged(
        self, entries: Sequence[ParsedRecord | None]
    ) -> AbstractSet[tuple[str, str]]:
        uploads = [entry for entry in entries if isinstance(entry, Upload)]
        if self._order.again or not uploads:
            return frozenset()
        return self._sources.results.tagged(uploads)

    def _send(self) -> None:
        """Send the batch, at its time and when there is room for it, and note that."""
        if not self._batch or self._report.dry_run:
            self._batch = []
            return
        if not self._is_noted:
            # The token before the first message that carries it: else who begins anew orders anew
            self._save(self._start.place, self._at_start)
        self._wait_for_room()
        self._wait_for_turn()
        left = self._batch
        pause = 0.5
        for tries in range(1, MAX_TRIES + 1):
            left = self._refused(left, is_last=tries == MAX_TRIES)
            if not left:
                break
            self._sources.clock.sleep(pause)
            pause = min(2 * pause, 10.0)
        self._report.enqueued += len(self._batch)
        self._room -= len(self._batch)
        self._unlooked += len(self._batch)
        self._batch = []
        self._save(self._place, self._counts())
        self._progress(self._report)

    def _refused(self, bodies: Sequence[str], *, is_last: bool) -> list[str]:
        """
        Send; what was not taken.

        Raises:
            QueueUnavailable: It is not taken, and this was the last try.
        """
        try:
            again = self._start.token if self._order.again else None
            places = self._sources.feed.send(bodies, again=again)
        except QueueUnavailable:
            if is_last:
                raise
            return list(bodies)
        if places and is_last:
            raise QueueUnavailable(
                f"the upload queue did not take {len(places)} of {len(bodies)} messages, "
                f"{MAX_TRIES} times"
            )
        return [bodies[place] for place in places]

    def _wait_for_turn(self) -> None:
        """Evenly spaced: a pause earns no burst."""
        if self._limits.rate is None:
            return
        clock = self._sources.clock
        now = clock.now()
        if now < self._next_send:
            clock.sleep(self._next_send - now)
        begins = max(now, self._next_send)
        self._next_send = begins + len(self._batch) / self._limits.rate

    def _wait_for_room(self) -> None:
        """
        Until the queue holds so little that the batch does not make it too deep.

        It is looked at when what was seen to fit has been sent, and every `LOOK_EVERY` messages.
        """
        while self._room < len(self._batch) or self._unlooked >= LOOK_EVERY:
            depth = self._sources.feed.depth()
            self._room = self._limits.max_queued - depth
            self._unlooked = 0
            if self._room >= len(self._batch):
                break
            self._report.waits_at = depth
            self._progress(self._report)
            self._sources.clock.sleep(LOOK_PAUSE_SECONDS)
        self._report.waits_at = None

    def _save(self, place: str | None, counts: Mapping[str, Any]) -> None:
        """All up to the place is sent or passed."""
        if self._report.dry_run:
            return
        self._sources.checkpoint.save(
            {
                "order": self._order.document(),
                "token": self._start.token,
                "place": place,
                "counts": counts,
            }
        )
        self._is_noted = True

    def _counts(self) -> Mapping[str, Any]:
        return {
            "listed": self._report.listed,
            "enqueued": self._report.enqueued,
            "bytes": self._report.bytes,
            "passed": dict(self._report.passed),
        }


def _batch_size(rate: float | None) -> int:
    if rate is None:
        return _BATCH
    return max(1, min(_BATCH, int(rate / _BATCHES_PER_SECOND)))


def _message(entry: Upload | Unreadable) -> str:
    """What cannot be read is the function's to bury."""
    return entry.notification() if isinstance(entry, Upload) else entry.body


def _pieces(
    page: Sequence[ListedObject], size: int
) -> Iterator[Sequence[ListedObject]]:
    for first in range(0, len(page), size):
        yield page[first : first + size]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast uploads can be tagged, and what that rests on."""

    per_second: float
    because: str


def expected_speed(
    *,
    rate: float | None,
    requests_per_second: float,
    images_at_once: int | None,
) -> Speed | None:
    """
    The narrowest of what is known: *rate* of sending, the API's rate (0 for none), the width.

    None where nothing is known. An answer is taken to last `ASSUMED_SECONDS`: nobody knows it
    beforehand.
    """
    speeds = []
    if rate is not None:
        speeds.append(Speed(rate, f"--rate {rate:g}"))
    if requests_per_second > 0:
        speeds.append(
            Speed(requests_per_second, f"MaxRequestsPerSecond {requests_per_second:g}")
        )
    if images_at_once:
        speeds.append(
            Speed(
                images_at_once / ASSUMED_SECONDS,
                f"MaxConcurrency x BatchSize = {images_at_once} images at once, if one takes "
                f"{ASSUMED_SECONDS:g} s",
            )
        )
    return min(speeds, key=lambda speed: speed.per_second) if speeds else None


ASSUMED_SECONDS = 1.0
"""For one image, from its claim to its end. A guess, and said to be one."""
