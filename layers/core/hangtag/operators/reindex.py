"""
Rebuilds the index from the results, while uploads may run.

First, every result is compared with its entries, and missing ones are written. Then every entry is
compared with its result, and those of which the result says nothing are removed. Why uploads do not
interfere: docs/decisions/0043-find-by-intersection.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Protocol

from hangtag.index import (
    VALUE_FIELDS,
    KnownValue,
    Term,
    entries_of,
    known_values,
    position_of,
    shard_of,
)
from hangtag.operators.find import IndexReader, ResultsByUri
from hangtag.ports import IndexEntry, ResultIndex
from hangtag.results import Document

_GROUP: Final = 100
"""Results that are compared at a time."""
_REMEMBERED: Final = 500_000
"""
Results whose terms are remembered, so that they are not read again for each entry.

One takes about 300 bytes.
"""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it is in the table."""

    term: Term
    shard: str
    """As it is in the key; `hangtag.index.shard_of` the uri, if the entry is right."""
    position: str
    uri: str


class IndexAudit(Protocol):
    """The index compared with the results. All methods raise `ResultsUnavailable`."""

    def missing(self, entries: Collection[IndexEntry]) -> list[IndexEntry]:
        """Those of the *entries* that are not there now, or with another confidence."""
        ...

    def entries(self) -> Iterator[Sequence[StoredEntry]]:
        """All entries, page by page; without the known values."""
        ...

    def remove(self, entries: Iterable[StoredEntry]) -> None:
        """Remove entries; those that are gone are no error."""
        ...


class AllResults(ResultsByUri, Protocol):
    """The stored results. All methods raise `ResultsUnavailable`."""

    def all_results(self) -> Iterator[Document]:
        """All TAGGED results."""
        ...


@dataclass(slots=True)
class ReindexReport:
    """What was done; in a dry run, what would be done."""

    dry_run: bool
    results: int = 0
    entries: int = 0
    """Entries that the results have."""
    checked: int = 0
    """Entries of the table that were compared with their result."""
    added: int = 0
    removed: int = 0

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "results": self.results,
            "added": self.added,
            "removed": self.removed,
            "dryRun": self.dry_run,
        }


@dataclass(frozen=True, slots=True)
class Tables:
    """What a reindex works on."""

    results: AllResults
    reader: IndexReader
    audit: IndexAudit
    writer: ResultIndex


@dataclass(slots=True)
class Reindex:
    """One run."""

    tables: Tables
    min_confidence: Decimal
    report: ReindexReport
    progress: Callable[[ReindexReport], None]
    _terms: dict[str, tuple[Term, ...]] = field(default_factory=dict)
    """The terms of some results, by position."""
    _same: dict[Term, Term] = field(default_factory=dict)
    """One object for equal terms, which saves most of the memory."""

    def run(self) -> None:
        """
        Write what is missing, then remove what is wrong. It may be repeated.

        Raises:
            ResultsUnavailable: DynamoDB refuses or fails; what is done stays done.
        """
        known = {
            KnownValue(one.term, name)
            for name_of_field in VALUE_FIELDS
            for one in self.tables.reader.known(name_of_field)
            for name in one.names
        }
        results = self.tables.results.all_results()
        while group := list(islice(results, _GROUP)):
            self._add(group, known)
            self.progress(self.report)
        for page in self.tables.audit.entries():
            self._sweep(page)
            self.progress(self.report)

    def _add(self, results: Sequence[Document], known: set[KnownValue]) -> None:
        entries: list[IndexEntry] = []
        learnt: set[KnownValue] = set()
        for result in results:
            position, uri = position_of(result), str(result["image"]["uri"])
            terms = entries_of(result, min_confidence=self.min_confidence)
            if len(self._terms) < _REMEMBERED:
                self._terms[position] = tuple(
                    self._same.setdefault(term, term) for term in terms
                )
            entries += [
                IndexEntry(term, position, uri, confidence)
                for term, confidence in terms.items()
            ]
            learnt |= {one for one in known_values(result) if one.term in terms}
        missing = self.tables.audit.missing(entries)
        if not self.report.dry_run:
            # Values first: an entry is only found by its name if the name is known
            self.tables.writer.learn(learnt - known)
            self.tables.writer.put(missing)
        known |= learnt
        self.report.results += len(results)
        self.report.entries += len(entries)
        self.report.added += len(missing)

    def _sweep(self, page: Sequence[StoredEntry]) -> None:
        doubtful = [
            entry
            for entry in page
            if entry.term not in self._terms.get(entry.position, ())
            or entry.shard != str(shard_of(entry.uri))
        ]
        for start in range(0, len(doubtful), _GROUP):
            some = doubtful[start : start + _GROUP]
            wrong = self._wrong(some)
            if not self.report.dry_run:
                self.tables.audit.remove(wrong)
            self.report.removed += len(wrong)
        self.report.checked += len(page)

    def _wrong(self, entries: Sequence[StoredEntry]) -> list[StoredEntry]:
        """Those of the *entries*, which were read before, of which their results say nothing."""
        right = {
            (term, str(shard_of(uri)), position_of(result), uri)
            for result in self.tables.results.results({one.uri for one in entries})
            for uri in (str(result["image"]["uri"]),)
            for term in entries_of(result, min_confidence=self.min_confidence)
        }
        return [
            one
            for one in entries
            if (one.term, one.shard, one.position, one.uri) not in right
        ]
