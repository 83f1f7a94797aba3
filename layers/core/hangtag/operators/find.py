"""
Finds results by their terms, without a scan of the results.

Each shard of the index is searched on its own. The search reads the entries of the rarest filter in
order, and keeps those that are also in the lists of the other filters. It reads these lists page by
page if they are about as long, and asks for single entries if they are much longer. Only then it
reads the results, and leaves out those that no longer have the terms. docs/data-model.md has the
costs, docs/decisions/0043-find-by-intersection.md the reasons.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Final, Protocol

from hangtag.index import (
    ALL,
    SHARDS,
    VALUE_FIELDS,
    Entries,
    Term,
    entries_of,
    normalized,
    position_of,
)
from hangtag.results import Document

FIRST_PAGE: Final = 512
"""Entries of the first page of a list: four shards have 50 results if one in 40 matches."""
LARGEST_PAGE: Final = 8_192
"""Entries of the largest page; DynamoDB ends it at 1 MB."""
_PAGES_IF_SURE: Final = 4
"""First pages that are read in one if only some of their entries are confident enough."""
_SLICE: Final = 100
"""Entries that are looked up at a time: DynamoDB's limit for a BatchGetItem."""
_LONGER: Final = 20
"""
A list this many times longer than the candidates is not read; each candidate is looked up.

A lookup costs half a read unit, as much as a page of 40 entries of 100 bytes. It is half of that,
because a page is also read for later candidates, which nobody may want.
"""
_GROWTH: Final = 4
"""How much larger the next page of a list is."""
_FIRST_GROUP: Final = 52
"""Results that are read first: a screen of 50, one that says there are more, and a stale one."""
_GROUP: Final = 100
_FIRST, _LAST = " ", "~"
"""Less and more than every position."""
THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class Query:
    """What to find. All parts must hold."""

    filters: tuple[tuple[str, str], ...] = ()
    """Fields of `hangtag.index.FIELDS`, each with a value as people write it: a name or an id."""
    min_confidence: Decimal | None = None
    """Values with a lower confidence do not count; values without a confidence do."""
    since: str | None = None
    """The earliest `taggedAt`, in its form."""
    until: str | None = None
    """The latest `taggedAt`, in its form."""


@dataclass(frozen=True, slots=True)
class Found:
    """A result that was found."""

    result: Document
    position: str
    """The cursor: a search after it continues with the next result."""
    confidences: Mapping[Term, Decimal | None]
    """The terms that were searched for and that the result has."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry of the index."""

    position: str
    uri: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list."""

    entries: Sequence[Candidate]
    """In the direction of the search."""
    end: str | None
    """The position up to which the list was read; None if that is its end."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a list: the positions from *low* to *high*, both included."""

    low: str
    high: str
    oldest_first: bool
    """The direction in which it is read."""

    def start(self) -> str:
        """The first position in the direction of the search."""
        return self.low if self.oldest_first else self.high

    def from_(self, position: str) -> Span:
        """The part that begins at *position*."""
        if self.oldest_first:
            return Span(position, self.high, oldest_first=True)
        return Span(self.low, position, oldest_first=False)

    def comes_before(self, one: str, other: str) -> bool:
        """Whether *one* is before the *other* in the direction of the search."""
        return one < other if self.oldest_first else one > other

    def is_empty(self) -> bool:
        """Whether no position is in it."""
        return self.low > self.high


@dataclass(frozen=True, slots=True)
class Known:
    """A value that occurs or has occurred in results."""

    term: Term
    names: tuple[str, ...]
    """In all languages that it was seen in."""


@dataclass(frozen=True, slots=True)
class ValueCount:
    """A known value and the number of results that have it."""

    known: Known
    count: int


class IndexReader(Protocol):
    """
    The index as searches read it. It may be behind the results by a moment.

    All methods raise `ResultsUnavailable`, and may be called by several threads.
    """

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
        """
        Up to *limit* entries; fewer if some have a lower confidence, which are left out.

        The uris are empty without *with_uris*, which takes half the time.
        """
        ...

    def look_up(
        self,
        terms: Collection[Term],
        shard: int,
        positions: Sequence[str],
        *,
        min_confidence: Decimal | None,
    ) -> set[str]:
        """Those of the *positions* that have an entry of one of the *terms*."""
        ...

    def known(self, field: str) -> Sequence[Known]:
        """The known values of a field."""
        ...

    def count(self, term: Term, shard: int) -> int:
        """The number of entries of a term in a shard."""
        ...


class ResultsByUri(Protocol):
    """The stored results. All methods raise `ResultsUnavailable`."""

    def results(self, uris: Iterable[str]) -> Iterator[Document]:
        """The TAGGED results of these keys as they are now, in no order."""
        ...


class Finder:
    """Finds results, and lists the values that they have."""

    def __init__(self, index: IndexReader, results: ResultsByUri) -> None:
        self._index = index
        self._results = results

    def results(
        self, query: Query, *, oldest_first: bool = False, after: str | None = None
    ) -> Iterator[Found]:
        """
        The results that match, newest first, each once.

        It continues after the position *after*. Results that are tagged meanwhile do not shift
        the ones that follow, so that a search page by page shows each result once.

        Raises:
            ResultsUnavailable: DynamoDB refuses or fails.
        """
        span = _span_of(query, oldest_first=oldest_first, after=after)
        if span.is_empty():
            return
        with ThreadPoolExecutor(THREADS) as pool:
            filters = self._resolved(query.filters, pool)
            candidates = _Search(self._index, query, filters, span, pool).candidates()
            left = (one for one in candidates if one.position != after)
            size = _FIRST_GROUP
            while group := list(islice(left, size)):
                yield from self._verified(group, filters, query.min_confidence)
                size = _GROUP

    def known(self, field: str) -> Sequence[Known]:
        """The known values of a field, those without results included."""
        return self._index.known(field)

    def size(self) -> int:
        """The number of results in the index."""
        return sum(self._index.count(Term(ALL, ""), shard) for shard in range(SHARDS))

    def counts(
        self, field: str, progress: Callable[[int, int], None]
    ) -> list[ValueCount]:
        """
        The known values of a field that results have, most frequent first.

        *progress* gets the number of values that are counted, and of all.
        """
        known = self._index.known(field)
        counted: list[ValueCount] = []
        with ThreadPoolExecutor(THREADS) as pool:
            numbers = pool.map(
                lambda job: self._index.count(*job),
                [(one.term, shard) for one in known for shard in range(SHARDS)],
            )
            for number, one in enumerate(known, start=1):
                counted.append(ValueCount(one, sum(islice(numbers, SHARDS))))
                progress(number, len(known))
        return sorted(
            (one for one in counted if one.count),
            key=lambda one: (-one.count, one.known.term),
        )

    def _resolved(
        self, filters: Sequence[tuple[str, str]], pool: ThreadPoolExecutor
    ) -> list[frozenset[Term]]:
        """The terms of each filter, one of which a result must have."""
        fields = sorted({field for field, _ in filters if field in VALUE_FIELDS})
        known = dict(zip(fields, pool.map(self._index.known, fields), strict=True))
        found = {
            terms_of(field, value, known.get(field, ())) for field, value in filters
        }
        return sorted(found, key=sorted) or [frozenset({Term(ALL, "")})]

    def _verified(
        self,
        group: Sequence[Candidate],
        filters: Sequence[frozenset[Term]],
        min_confidence: Decimal | None,
    ) -> Iterator[Found]:
        """The results of the candidates that still have the terms, in the same order."""
        results = {
            str(result["image"]["uri"]): result
            for result in self._results.results(one.uri for one in group)
        }
        for one in group:
            result = results.get(one.uri)
            if result is None or position_of(result) != one.position:
                continue
            entries = entries_of(result, min_confidence=min_confidence or Decimal(0))
            if all(terms & entries.keys() for terms in filters):
                yield Found(result, one.position, _of_terms(filters, entries))


def terms_of(field: str, value: str, known: Iterable[Known]) -> frozenset[Term]:
    """
    The terms that people mean by a *value* of a field: those with this id or this name.

    A value that is not known is taken as an id.
    """
    wanted = normalized(value)
    meant = {
        one.term
        for one in known
        if wanted in map(normalized, (one.term.value, *one.names))
    }
    return frozenset(meant or {Term(field, wanted)})


def _of_terms(
    filters: Iterable[frozenset[Term]], entries: Entries
) -> dict[Term, Decimal | None]:
    wanted = frozenset().union(*filters)
    return {term: confidence for term, confidence in entries.items() if term in wanted}


def _span_of(query: Query, *, oldest_first: bool, after: str | None) -> Span:
    low = query.since or _FIRST
    high = _LAST if query.until is None else f"{query.until}#{_LAST}"
    if after is not None and oldest_first:
        low = max(low, after)
    elif after is not None:
        high = min(high, after)
    return Span(low, high, oldest_first)


class _Search:
    """The candidates of one query."""

    def __init__(
        self,
        index: IndexReader,
        query: Query,
        filters: Sequence[frozenset[Term]],
        span: Span,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._pool = pool
        self._span = span
        self._shards = [
            _Shard(
                [
                    _List(index, terms, shard, span, query.min_confidence)
                    for terms in filters
                ]
            )
            for shard in range(SHARDS)
        ]

    def candidates(self) -> Iterator[Candidate]:
        """The candidates of all shards, in the direction of the search."""
        lists = [one for shard in self._shards for one in shard.lists]
        list(self._pool.map(_List.begin, lists))
        for shard in self._shards:
            shard.begin()
        while True:
            while some := [one for one in self._shards if one.must_advance()]:
                list(self._pool.map(_Shard.advance, some))
            heads = [one for one in self._shards if one.found]
            if not heads:
                return
            first = min if self._span.oldest_first else max
            yield first(heads, key=lambda one: one.found[0].position).found.popleft()


class _Shard:
    """The search in one shard."""

    def __init__(self, lists: Sequence[_List]) -> None:
        self.lists = lists
        self.found: deque[Candidate] = deque()
        """The candidates that were not yielded yet."""
        self._left: deque[Candidate] = deque()
        self._size = FIRST_PAGE
        self._is_done = False

    def begin(self) -> None:
        """Begin with the rarest filter, as the first pages say."""
        self.lists = sorted(self.lists, key=_List.rarity)
        self._left.extend(self.lists[0].entries)

    def must_advance(self) -> bool:
        """Whether there is no candidate, but more to read."""
        return not self.found and not self._is_done

    def advance(self) -> None:
        """Look up some more entries of the rarest filter in the other lists."""
        if not self._left and not self._read_on():
            self._is_done = True
            return
        kept = [self._left.popleft() for _ in range(min(_SLICE, len(self._left)))]
        if kept:
            last = self._left[-1] if self._left else kept[-1]
            for other in self.lists[1:]:
                kept = other.keep(kept, last.position)
        self.found.extend(kept)

    def _read_on(self) -> bool:
        """Read the next page of the rarest filter; False if no result can follow."""
        rarest, *others = self.lists
        done = start = rarest.end
        for other in others:
            start = None if start is None else other.next_from(start)
        if start is None:
            return False
        self._size = min(LARGEST_PAGE, _GROWTH * self._size)
        rarest.read(start, self._size)
        self._left.extend(one for one in rarest.entries if one.position != done)
        return True


class _List:
    """The entries of one filter in one shard: the part that was read last."""

    def __init__(
        self,
        index: IndexReader,
        terms: frozenset[Term],
        shard: int,
        span: Span,
        min_confidence: Decimal | None,
    ) -> None:
        self._index = index
        self._terms = sorted(terms)
        self._shard = shard
        self._span = span
        self._min_confidence = min_confidence
        self._positions: frozenset[str] = frozenset()
        self._start = span.start()
        self._size = 0
        self.entries: Sequence[Candidate] = ()
        self.end: str | None = None
        """As `Page.end`."""

    def begin(self) -> None:
        """Read the first page; a longer one if DynamoDB leaves entries out."""
        pages = _PAGES_IF_SURE if self._min_confidence else 1
        self.read(self._span.start(), pages * FIRST_PAGE)

    def read(self, start: str, size: int, *, with_uris: bool = True) -> None:
        """Read a page of up to *size* entries of each term, from *start* on."""
        span = self._span.from_(start)
        pages = [
            self._index.page(
                term,
                self._shard,
                span,
                limit=size,
                min_confidence=self._min_confidence,
                with_uris=with_uris,
            )
            for term in self._terms
        ]
        ends = [page.end for page in pages if page.end is not None]
        nearest = min if span.oldest_first else max
        self._start, self._size = start, size
        self.end = nearest(ends) if ends else None
        found = {
            one.position: one
            for page in pages
            for one in page.entries
            if self._covers(one.position)
        }
        self.entries = [
            found[position] for position in sorted(found, reverse=not span.oldest_first)
        ]
        self._positions = frozenset(found)

    def rarity(self) -> tuple[bool, float]:
        """Lower for a list with fewer entries, after its first page."""
        if self.end is None:
            return False, len(self.entries)
        return True, -abs(_seconds(self.end) - self._first_seconds())

    def keep(self, candidates: Sequence[Candidate], last: str) -> list[Candidate]:
        """
        Those of the candidates that are in this list, too.

        If it has to read on, it reads up to *last*, the last candidate that may be asked for next.
        """
        kept: list[Candidate] = []
        while candidates:
            covered = sum(self._covers(one.position) for one in candidates)
            kept += [
                one for one in candidates[:covered] if one.position in self._positions
            ]
            candidates = candidates[covered:]
            if not candidates:
                break
            first = candidates[0].position
            expected = self._expected(first, candidates[-1].position)
            if candidates[-1].position == last:
                expected = max(expected, FIRST_PAGE)  # a page would be for these alone
            if expected > _LONGER * len(candidates):
                there = self._index.look_up(
                    self._terms,
                    self._shard,
                    [one.position for one in candidates],
                    min_confidence=self._min_confidence,
                )
                return kept + [one for one in candidates if one.position in there]
            size = max(2 * self._size, round(1.25 * self._expected(first, last)))
            self.read(first, min(LARGEST_PAGE, size), with_uris=False)
        return kept

    def next_from(self, position: str) -> str | None:
        """
        A position at or after *position*, with no entry between the two.

        None if the list has no entry from *position* on.
        """
        if not self._covers(position):
            return position
        comes_before = self._span.comes_before
        following = (
            one.position
            for one in self.entries
            if not comes_before(one.position, position)
        )
        return next(following, self.end)

    def _covers(self, position: str) -> bool:
        """Whether the part that was read goes up to *position*."""
        return self.end is None or not self._span.comes_before(self.end, position)

    def _expected(self, first: str, last: str) -> float:
        """About how many entries are between two positions, judged by the part that was read."""
        if self.end is None:
            return 0
        seconds = abs(_seconds(self.end) - self._first_seconds())
        asked = abs(_seconds(last) - _seconds(first))
        return self._size * asked / max(seconds, 0.001)

    def _first_seconds(self) -> float:
        """When the part that was read begins."""
        return _seconds(self.entries[0].position if self.entries else self._start)


def _seconds(position: str) -> float:
    """The time in a position, in seconds; 0 if it has none."""
    try:
        return datetime.fromisoformat(position.partition("#")[0]).timestamp()
    except (ValueError, OverflowError, OSError):  # the year 1, say
        return 0.0
