from __future__ import annotations

from collections.abc import Collection

from hangtag.index import KnownValue, Term
from hangtag.ports import IndexEntry
from hangtag.results import Document
from tests.fakes.failing import CanFail, Killed


class FakeIndex(CanFail):
    """`ResultIndex` in memory. A write that fails may have written a part."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[Term, str], IndexEntry] = {}
        self.values: dict[Term, set[str]] = {}
        self._kill: tuple[str, int] | None = None

    def kills_after(self, writes: int, *, at: str) -> None:
        """Kill the process when it has made some writes of a method, `put` or `remove`."""
        self._kill = (at, writes)

    def recovers(self) -> None:
        super().recovers()
        self._kill = None

    def _may_fail(self, method: str) -> None:
        super()._may_fail(method)
        if self._kill and self._kill[0] == method:
            if self._kill[1] == 0:
                raise Killed
            self._kill = (method, self._kill[1] - 1)

    def put(self, entries: Collection[IndexEntry]) -> None:
        for entry in entries:
            self._may_fail("put")
            self.entries[entry.term, entry.position] = entry

    def remove(self, entries: Collection[IndexEntry]) -> None:
        for entry in entries:
            self._may_fail("remove")
            self.entries.pop((entry.term, entry.position), None)

    def learn(self, values: Collection[KnownValue]) -> None:
        for value in values:
            self._may_fail("learn")
            names = self.values.setdefault(value.term, set())
            if len(names) < 20:
                names.add(value.name)


class FakeLargeResults(CanFail):
    """`LargeResults` in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, Document] = {}

    def read(self, key: str) -> Document | None:
        self._may_fail("read")
        return self.documents.get(key)

    def delete(self, key: str) -> None:
        self._may_fail("delete")
        self.documents.pop(key, None)
