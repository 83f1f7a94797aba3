from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

from hangtag.breaker import BreakerStore
from hangtag.lifecycle import Status, UploadKey
from hangtag.operators.show import History
from hangtag.ports import Snapshot, StoredResult
from hangtag.results import Document
from hangtag.uploads import Upload
from tests.fakes.failing import CanFail
from tests.fakes.records import FakeRecords


@dataclass(frozen=True, slots=True)
class _Item:
    stored: StoredResult
    fence: float


class FakeResults(CanFail):
    """`ResultStore` in memory."""

    def __init__(self, *, ttl_days: int = 0) -> None:
        super().__init__()
        self._ttl = timedelta(days=ttl_days)
        self._items: dict[str, _Item] = {}
        self._lock = Lock()

    def read(self, uri: str) -> StoredResult | None:
        self._may_fail("read")
        return self.stored(uri)

    def stored(self, uri: str) -> StoredResult | None:
        """The result, even while `read` fails."""
        item = self._items.get(uri)
        return None if item is None else deepcopy(item.stored)

    def unexpired(self, uri: str, *, now: float) -> StoredResult | None:
        """The result, if its time is not over."""
        found = self.stored(uri)
        if not self._ttl or found is None or found.document is None:
            return found
        expires = datetime.fromisoformat(found.document["taggedAt"]) + self._ttl
        return found if expires.timestamp() > now else None

    def store(
        self,
        upload: Upload,
        document: Document,
        *,
        retag: str | None,
        fence: float,
        replacing: StoredResult | None = None,
    ) -> StoredResult | None:
        self._may_fail("store")
        with self._lock:
            found = self._items.get(upload.uri)
            if found is not None and not _gives_way(found, upload, fence, replacing):
                return deepcopy(found.stored)
            stored = StoredResult(
                upload.version, upload.order, retag, deepcopy(document)
            )
            self._items[upload.uri] = _Item(stored, fence)
        self._may_fail("the response to store")
        return None

    def move_up(self, upload: Upload) -> StoredResult | None:
        self._may_fail("move_up")
        with self._lock:
            found = self._items.get(upload.uri)
            if found is None:
                return None
            stored = found.stored
            if stored.version == upload.version and stored.order < upload.order:
                document = deepcopy(stored.document)
                if document is not None:
                    document["image"]["sequencer"] = upload.sequencer
                stored = replace(stored, order=upload.order, document=document)
                self._items[upload.uri] = replace(found, stored=stored)
            return deepcopy(stored)

    def remove(
        self,
        removal: Upload,
        *,
        order: str,
        removed_at: str,
        expires_at: float,  # noqa: ARG002 - nothing expires in the fake
        replacing: StoredResult | None,
    ) -> StoredResult | None:
        self._may_fail("remove")
        with self._lock:
            found = self._items.get(removal.uri)
            there = None if found is None else found.stored
            if there is not None and _place_of(there) != _place_of(replacing):
                return deepcopy(there)
            tombstone = StoredResult(
                removal.version, order, None, removed_at=removed_at
            )
            self._items[removal.uri] = _Item(tombstone, 0.0)
        self._may_fail("the response to remove")
        return None

    def expire(self, uri: str) -> None:
        """DynamoDB deletes an item whose time is over."""
        del self._items[uri]

    def lose(self, uri: str) -> None:
        """Somebody deletes the object of a large result."""
        item = self._items[uri]
        self._items[uri] = replace(item, stored=replace(item.stored, document=None))


def _place_of(stored: StoredResult | None) -> tuple[str, str] | None:
    return None if stored is None else (stored.version, stored.order)


def _gives_way(
    found: _Item, upload: Upload, fence: float, replacing: StoredResult | None
) -> bool:
    """Whether a result may take the place of the one that is there."""
    there = found.stored
    if there.version == upload.version:
        return (there.order, found.fence) <= (upload.order, fence)
    return replacing is not None and (there.version, there.order) == (
        replacing.version,
        replacing.order,
    )


class FakeSnapshots(CanFail):
    """`SnapshotReader` on the other fakes."""

    def __init__(
        self, breaker: BreakerStore, records: FakeRecords, results: FakeResults
    ) -> None:
        super().__init__()
        self._breaker = breaker
        self._records = records
        self._results = results

    def snapshot(self, keys: Iterable[UploadKey]) -> Snapshot:
        self._may_fail("snapshot")
        records, results = {}, {}
        for key in keys:
            record = self._records.records.get(key)
            if record is not None:
                records[key] = replace(record, failed=None)
            stored = self._results.stored(key[0])
            if stored is not None:
                results[key[0]] = replace(stored, document=None)
        return Snapshot(self._breaker.read(), records, results)

    def tagged(self, uploads: Sequence[Upload]) -> set[UploadKey]:
        """The versions that are TAGGED."""
        self._may_fail("tagged")
        keys = {(upload.uri, upload.version) for upload in uploads}
        records = self._records.records
        return {
            key for key in keys & records.keys() if records[key].status is Status.TAGGED
        }


def history(
    records: FakeRecords, results: FakeResults, uri: str, *, now: float
) -> History:
    """All that is stored of a key."""
    return History(
        stored=results.unexpired(uri, now=now),
        records={
            version: record
            for (one, version), record in records.records.items()
            if one == uri
        },
    )
