"""A search that finds the same for every query."""

from __future__ import annotations

from collections.abc import Iterator

from hangtag.index import position_of
from hangtag.operators.find import Found, Query
from hangtag.results import Document


class FakeFinder:
    """Finds these results for every query; fails after them with *error*."""

    def __init__(self, *results: Document, error: BaseException | None = None) -> None:
        self._results = results
        self._error = error
        self.queries: list[Query] = []

    def results(
        self, query: Query, *, oldest_first: bool = False, after: str | None = None
    ) -> Iterator[Found]:
        """Yield them."""
        assert (oldest_first, after) == (True, None)
        self.queries.append(query)
        for result in self._results:
            yield Found(result, position_of(result), confidences={})
        if self._error is not None:
            raise self._error
