"""`Reindex`: whatever the index was, it becomes that of the results, while uploads go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.errors import ResultsUnavailable
from hangtag.index import Term, position_of, shard_of
from hangtag.operators.reindex import Reindex, ReindexReport, Tables
from hangtag.ports import IndexEntry
from hangtag.results import Document
from tests.fakes import Killed, Killer
from tests.fakes.find import FakeIndexTable, FakeResultsByUri, entries_in
from tests.unit.test_find import ANY_RESULT, ANY_RESULTS, COATS, RED, WINE, at, tagged


class Stack:
    """Results, their index, and the changes that are not indexed yet."""

    def __init__(self) -> None:
        self.index = FakeIndexTable()
        self.results = FakeResultsByUri()
        self.stream: list[tuple[Document | None, Document]] = []

    def tag(self, result: Document) -> None:
        """Store a result; IndexResults has not run yet."""
        old = self.results.documents.get(result["image"]["uri"])
        self.results.store(result)
        self.stream.append((old, result))

    def run_index_results(self) -> None:
        """Index the first change that waits."""
        for old, new in self.stream[:1]:
            if old is not None:
                gone = set(entries_in(old)) - set(entries_in(new))
                self.index.remove(gone)
            self.index.index(new)
        del self.stream[:1]

    def reindex(self, *, dry_run: bool = False, least: str = "0") -> dict[str, Any]:
        """Rebuild the index."""
        return self.run(self.index, self.results, dry_run=dry_run, least=least)

    def run(
        self,
        index: Any,  # noqa: ANN401 - or a watched one
        results: Any,  # noqa: ANN401 - or a watched one
        *,
        dry_run: bool = False,
        least: str = "0",
    ) -> dict[str, Any]:
        """Rebuild the index with these ports."""
        report = ReindexReport(dry_run)
        tables = Tables(results, index, index, index)
        Reindex(tables, Decimal(least), report, lambda _: None).run()
        return report.document()

    def rows_of_results(self, least: str = "0") -> dict[Any, Any]:
        """What the index should be."""
        right = FakeIndexTable()
        for result in self.results.documents.values():
            right.index(result, least=Decimal(least))
        return right.rows


def test_an_empty_index_is_filled() -> None:
    """As after the first deployment of the index; names can be searched, too."""
    stack = Stack()
    for number in range(250):
        stack.tag(tagged(f"{number}.png", RED, tagged_at=at(number)))

    report = stack.reindex()

    assert report == {"results": 250, "added": 1250, "removed": 0, "dryRun": False}
    assert stack.index.rows == stack.rows_of_results()
    assert stack.index.names[Term("color", "EXAMPLE-RED")] == {"red"}


def test_a_dry_run_counts_the_same_and_writes_nothing() -> None:
    """Before --yes, an operator sees how much is wrong."""
    stack = Stack()
    stack.tag(tagged("a.png", RED))
    stack.index.index(tagged("a.png", WINE, tagged_at=at(-1)))
    before = dict(stack.index.rows)

    dry = stack.reindex(dry_run=True)

    assert stack.index.rows == before
    assert dry == {**stack.reindex(), "dryRun": True}
    assert (dry["added"], dry["removed"]) == (5, 5)


def test_a_right_index_is_left_alone() -> None:
    """Comparing is ten times cheaper than writing."""
    stack = Stack()
    stack.tag(tagged("a.png", RED))
    stack.reindex()

    again = stack.reindex()

    assert (again["added"], again["removed"]) == (0, 0)


def test_a_new_minimum_of_confidence_takes_effect() -> None:
    """In both directions."""
    stack = Stack()
    stack.tag(tagged("a.png", RED, WINE))
    stack.reindex()

    assert stack.reindex(least="0.5")["removed"] == 1
    assert stack.index.rows == stack.rows_of_results("0.5")
    assert stack.reindex()["added"] == 1


def test_an_entry_with_another_confidence_or_in_another_shard_is_corrected() -> None:
    """A later version may have another number of shards."""
    stack = Stack()
    stack.tag(tagged("a.png", RED))
    result = tagged("a.png", RED)
    uri, position = result["image"]["uri"], position_of(result)
    stack.index.put([IndexEntry(Term("color", "EXAMPLE-RED"), position, uri, None)])
    other = str(shard_of(uri) + 1)
    stack.index.rows[Term("all", ""), other, position] = (uri, None)

    stack.reindex()

    assert stack.index.rows == stack.rows_of_results()


def test_more_results_than_are_remembered_are_read_again() -> None:
    """Memory is flat."""
    stack = Stack()
    for number in range(5):
        stack.tag(tagged(f"{number}.png", RED, tagged_at=at(number)))
    stack.reindex()
    stack.index.index(tagged("4.png", WINE, category=COATS, tagged_at=at(4)))

    with patch("hangtag.operators.reindex._REMEMBERED", 2):
        assert stack.reindex()["removed"] == 2

    assert stack.index.rows == stack.rows_of_results()


# ---- at any moment

STEPS = ("missing", "learn", "put", "results", "remove")


class Between:
    """Runs the next of some events before or after each call of a port."""

    def __init__(self, port: object, events: Iterator[Callable[[], None]]) -> None:
        self._port = port
        self._events = events

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of any method
            self._next()
            done = method(*args, **kwargs)
            if name == "results":
                done = list(done)  # what was read before the event
            elif name in ("entries", "all_results"):
                return self._between(done)
            self._next()
            return done

        return call

    def _between(self, pages: Iterator[Any]) -> Iterator[Any]:
        for page in pages:
            self._next()
            yield page

    def _next(self) -> None:
        for event in self._events:
            event()
            break


ANY_EVENTS = st.lists(ANY_RESULT | st.none(), max_size=60)
"""An upload, or a run of IndexResults."""


@given(ANY_RESULTS, ANY_RESULTS, ANY_EVENTS)
def test_uploads_may_go_on_meanwhile(
    results: list[Document], wrong: list[Document], events: list[Document | None]
) -> None:
    """
    When IndexResults has caught up, all results are found.

    Wrong entries may be left of results that were replaced during the run. They are not shown,
    and the next run removes them.
    """
    stack = Stack()
    for number, result in enumerate(results):
        result["taggedAt"] = at(-1000 + number)  # each upload has its time
        stack.tag(result)
    stack.stream.clear()
    for other in wrong:
        other["taggedAt"] = at(-5000)
        stack.index.index(other)

    def tag(number: int, result: Document) -> Callable[[], None]:
        return lambda: stack.tag({**result, "taggedAt": at(1000 + number)})

    left = iter(
        [
            stack.run_index_results if one is None else tag(number, one)
            for number, one in enumerate(events)
        ]
    )
    with patch("hangtag.operators.reindex._GROUP", 3):
        stack.run(Between(stack.index, left), Between(stack.results, left))
    for event in left:
        event()
    while stack.stream:
        stack.run_index_results()

    right = stack.rows_of_results()
    assert right.items() <= stack.index.rows.items()
    stack.reindex()
    assert stack.index.rows == right


@pytest.mark.parametrize("method", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_that_was_killed_can_be_repeated(method: str, after: bool) -> None:  # noqa: FBT001 - given by pytest
    """No state is kept between runs."""
    stack = Stack()
    for number in range(5):
        stack.tag(tagged(f"{number}.png", RED, tagged_at=at(number)))
    stack.index.index(tagged("4.png", WINE, tagged_at=at(-1)))
    killer = Killer(method, 0, after, hard=True)

    with pytest.raises(Killed):
        stack.run(killer.watching(stack.index), killer.watching(stack.results))
    stack.reindex()

    assert stack.index.rows == stack.rows_of_results()


def test_an_error_of_the_table_ends_the_run() -> None:
    """It is not reported as done."""
    stack = Stack()
    stack.tag(tagged("a.png", RED))
    stack.index.fails_with(ResultsUnavailable("no"), at="put")

    with pytest.raises(ResultsUnavailable):
        stack.reindex()
