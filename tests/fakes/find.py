from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import deepcopy
from decimal import Decimal

from hangtag.index import (
    KnownValue,
    Term,
    entries_of,
    known_values,
    position_of,
    shard_of,
)
from hangtag.operators.find import Candidate, Known, Page, Span
from hangtag.operators.reindex import StoredEntry
from hangtag.ports import IndexEntry
from hangtag.results import Document
from tests.fakes.failing import CanFail

_Key = tuple[Term, str, str]
"""Term, shard and position."""


class FakeIndexTable(CanFail):
    """`IndexReader`, `IndexAudit` and `ResultIndex` in memory."""

    def __init__(self, *, page_size: int = 10_000) -> None:
        """A page has at most *page_size* entries: DynamoDB's have 1 MB."""
        super().__init__()
        self._page_size = page_size
        self.rows: dict[_Key, tuple[str, Decimal | None]] = {}
        """The uri and the confidence of each entry."""
        self.names: defaultdict[Term, set[str]] = defaultdict(set)
        self.requests = 0
        self.looked_up = 0
        """Single entries that were asked for."""

    # ---- IndexReader

    def page(
        self,
        term: Term,
        shard: int,
        span: Span,
        *,
        limit: int,
        min_confidence: Decimal | None,
        with_uris: bool,
    ) -> Page:
        self._request("page")
        positions = sorted(
            (
                position
                for one, of, position in self.rows
                if (one, of) == (term, str(shard)) and span.low <= position <= span.high
            ),
            reverse=not span.oldest_first,
        )
        read = positions[: min(limit, self._page_size)]
        found = [(position, self.rows[term, str(shard), position]) for position in read]
        return Page(
            [
                Candidate(position, uri if with_uris else "")
                for position, (uri, confidence) in found
                if _is_sure(confidence, min_confidence)
            ],
            read[-1] if len(read) < len(positions) else None,
        )

    def look_up(
        self,
        terms: Collection[Term],
        shard: int,
        positions: Sequence[str],
        *,
        min_confidence: Decimal | None,
    ) -> set[str]:
        self._request("look_up")
        self.looked_up += len(terms) * len(positions)
        rows = (
            (at, self.rows.get((term, str(shard), at)))
            for term in terms
            for at in positions
        )
        return {at for at, row in rows if row and _is_sure(row[1], min_confidence)}

    def known(self, field: str) -> Sequence[Known]:
        self._request("known")
        return [
            Known(term, tuple(sorted(names)))
            for term, names in sorted(self.names.items())
            if term.field == field
        ]

    def count(self, term: Term, shard: int) -> int:
        self._request("count")
        return sum(1 for one, of, _ in self.rows if (one, of) == (term, str(shard)))

    def _request(self, name: str) -> None:
        self.requests += 1
        self._may_fail(name)

    # ---- IndexAudit

    def missing(self, entries: Collection[IndexEntry]) -> list[IndexEntry]:
        self._may_fail("missing")
        return [
            entry
            for entry in entries
            if self.rows.get(_key_of(entry)) != (entry.uri, entry.confidence)
        ]

    def entries(self) -> Iterator[Sequence[StoredEntry]]:
        for (term, shard, position), (uri, _) in sorted(self.rows.items()):
            self._may_fail("entries")
            yield [StoredEntry(term, shard, position, uri)]

    def remove(self, entries: Iterable[StoredEntry | IndexEntry]) -> None:
        self._may_fail("remove")
        for entry in entries:
            if isinstance(entry, IndexEntry):
                self.rows.pop(_key_of(entry), None)
            else:
                self.rows.pop((entry.term, entry.shard, entry.position), None)

    # ---- ResultIndex

    def put(self, entries: Collection[IndexEntry]) -> None:
        self._may_fail("put")
        for entry in entries:
            self.rows[_key_of(entry)] = (entry.uri, entry.confidence)

    def learn(self, values: Collection[KnownValue]) -> None:
        self._may_fail("learn")
        for value in values:
            self.names[value.term].add(value.name)

    # ---- what IndexResults does

    def index(self, result: Document, *, least: Decimal = Decimal(0)) -> None:
        """Write the entries of a result."""
        self.learn(known_values(result))
        self.put(entries_in(result, least=least))

    def forget(self, result: Document) -> None:
        """Remove the entries of a result."""
        self.remove(entries_in(result))


class FakeResultsByUri(CanFail):
    """`AllResults` in memory: the newest result of each key."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, Document] = {}
        self.reads = 0

    def store(self, result: Document) -> None:
        self.documents[result["image"]["uri"]] = result

    def results(self, uris: Iterable[str]) -> Iterator[Document]:
        self._may_fail("results")
        self.reads += 1
        found = (self.documents.get(uri) for uri in uris)
        yield from (deepcopy(one) for one in found if one is not None)

    def all_results(self) -> Iterator[Document]:
        for document in list(self.documents.values()):
            self._may_fail("all_results")
            yield deepcopy(document)


def entries_in(result: Document, *, least: Decimal = Decimal(0)) -> list[IndexEntry]:
    """The entries of a result."""
    return [
        IndexEntry(term, position_of(result), result["image"]["uri"], confidence)
        for term, confidence in entries_of(result, min_confidence=least).items()
    ]


def _key_of(entry: IndexEntry) -> _Key:
    return entry.term, str(shard_of(entry.uri)), entry.position


def _is_sure(confidence: Decimal | None, least: Decimal | None) -> bool:
    return least is None or confidence is None or confidence >= least
