"""
Changes of the results, and what follows from them: entries of the index, announcements, deletions.

The changes come from the stream of the table of results: each at least once, those of a key in
their sequence. Every step may be repeated, also with more or fewer changes at a time: the index
ends as if it were built anew from the results (docs/decisions/0042-index-from-the-stream.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from hangtag.announcements import announcement_of
from hangtag.index import KnownValue, Term, entries_of, known_values, position_of
from hangtag.lifecycle import FailedUpload, Record
from hangtag.ports import Announcer, Clock, IndexEntry, LargeResults, ResultIndex
from hangtag.results import Document, failed_document
from hangtag.uploads import arn_of_bucket

_Places = dict[tuple[Term, str], IndexEntry]
"""Entries by term and position."""

_MOST_VALUES_SEEN = 10_000
"""Values that this process remembers to have written; then it forgets them all."""

_VALUES_SEEN_SECONDS = 3_600.0
"""It forgets them after that time, too: an operator may have emptied the index."""


@dataclass(frozen=True, slots=True)
class ResultItem:
    """The item of a key's result; of one that is removed, both fields are None."""

    document: Document | None
    """The result; only our own part of it if it is large."""
    large_key: str | None = None
    """Where the whole of a large result is."""


NO_RESULT = ResultItem(document=None)


@dataclass(frozen=True, slots=True)
class ResultChanged:
    """The item of a result was written or deleted."""

    uri: str
    old: ResultItem
    new: ResultItem


@dataclass(frozen=True, slots=True)
class RecordFailed:
    """The record of an upload was written as FAILED."""

    record: Record
    """With no more than its status, sequencer and `Record.failed`."""
    before: FailedUpload | None
    """`Record.failed` as it was before."""

    @property
    def is_new(self) -> bool:
        """Whether the upload has failed just now; a reservation and a restore repeat a failure."""
        failed = self.record.failed
        return failed is not None and (
            self.before is None
            or self.before.failure.failed_at != failed.failure.failed_at
        )


Change = ResultChanged | RecordFailed


@dataclass(frozen=True, slots=True)
class Indexed:
    """What was done for a batch of changes."""

    results: int
    """Keys whose result has changed."""
    put: int
    """Entries written."""
    removed: int
    """Entries removed."""
    announced: int
    """Failures announced."""


class Indexer:
    """Applies changes; threads must not share it."""

    def __init__(
        self,
        index: ResultIndex,
        large_results: LargeResults,
        announcer: Announcer,
        clock: Clock,
        *,
        min_confidence: Decimal,
        partition: str,
    ) -> None:
        """*partition* is AWS's: `aws`, `aws-cn`, `aws-us-gov`."""
        self._index = index
        self._large_results = large_results
        self._announcer = announcer
        self._min_confidence = min_confidence
        self._partition = partition
        self._clock = clock
        self._values_seen: set[KnownValue] = set()
        self._values_seen_since = clock.now()

    def apply(self, changes: Sequence[Change]) -> Indexed:
        """
        Index, announce, then delete the large results that are no longer used.

        Known values go first, so that every value of the index is known, and new entries before
        old ones, so that a result is found all the time.

        Raises:
            ResultsUnavailable, AnnouncementFailed: Nothing is lost if the same changes are applied
                again.
        """
        histories = _histories(changes)
        put: list[IndexEntry] = []
        gone: list[IndexEntry] = []
        values: set[KnownValue] = set()
        unused: set[str] = set()
        for uri, items in histories.items():
            *before, last = items
            document = self._whole(last)
            if document is not None:
                values |= known_values(document)
            entries = self._entries(uri, document, self._min_confidence)
            # An earlier attempt may have stopped anywhere, so each item before counts
            earlier = [self._entries(uri, self._whole(one)) for one in before]
            put += [
                entry
                for place, entry in entries.items()
                if any(one.get(place) != entry for one in earlier)
            ]
            gone += {
                place: entry
                for one in earlier
                for place, entry in one.items()
                if place not in entries
            }.values()
            unused |= {
                one.large_key
                for one in before
                if one.large_key and one.large_key != last.large_key
            }
        self._learn(values)
        self._index.put(put)
        self._index.remove(gone)
        announced = self._announce_failures(changes)
        for key in sorted(unused):
            self._large_results.delete(key)
        return Indexed(len(histories), len(put), len(gone), announced)

    def _whole(self, item: ResultItem) -> Document | None:
        """The whole result of an item."""
        if item.document is None or item.large_key is None:
            return item.document
        found = self._large_results.read(item.large_key)
        return None if found is None else {**found, **item.document}

    def _entries(
        self,
        uri: str,
        document: Document | None,
        min_confidence: Decimal = Decimal(0),
    ) -> _Places:
        """
        The entries of a result by their places.

        The minimum is not for old results: they may have been indexed with a lower one.
        """
        if document is None:
            return {}
        entries = entries_of(document, min_confidence=min_confidence)
        if not entries:
            return {}
        position = position_of(document)
        return {
            (term, position): IndexEntry(term, position, uri, confidence)
            for term, confidence in entries.items()
        }

    def _learn(self, values: set[KnownValue]) -> None:
        now = self._clock.now()
        if now - self._values_seen_since > _VALUES_SEEN_SECONDS:
            self._values_seen.clear()
            self._values_seen_since = now
        new = values - self._values_seen
        self._index.learn(new)
        if len(self._values_seen) + len(new) > _MOST_VALUES_SEEN:
            self._values_seen.clear()
        self._values_seen |= new

    def _announce_failures(self, changes: Sequence[Change]) -> int:
        failures = list(_new_failures(changes))
        for document in failures:
            bucket = document["image"]["bucket"]
            arn = arn_of_bucket(bucket, partition=self._partition)
            self._announcer.announce(announcement_of(document, bucket_arn=arn))
        return len(failures)


def _histories(changes: Sequence[Change]) -> Mapping[str, list[ResultItem]]:
    """
    The items of each key, from the first before the changes to the last after them.

    An item before a change is the one after the change before, unless that one was lost.
    """
    histories: dict[str, list[ResultItem]] = {}
    for change in changes:
        if isinstance(change, ResultChanged):
            items = histories.setdefault(change.uri, [change.old])
            if change.old != items[-1]:
                items.append(change.old)
            items.append(change.new)
    return histories


def _new_failures(changes: Sequence[Change]) -> Iterator[Document]:
    for change in changes:
        if isinstance(change, RecordFailed) and change.is_new:
            document = failed_document(change.record)
            if document is not None:
                yield document
