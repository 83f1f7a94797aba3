from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from threading import Lock

from hangtag.failures import ResultTooLarge
from hangtag.ports import Busy, Claim, Clock, Done
from hangtag.results import Document, to_json
from hangtag.uploads import Upload
from tests.fakes.failing import CanFail

_ITEM_BYTES = 400 * 1024


@dataclass(slots=True)
class _Item:
    replays: int
    state: str = "NEW"
    claimed_until: float = 0.0
    attempts: int = 0
    sequencer: str | None = None
    result: Document | None = None
    failed: Document | None = None
    order: str | None = None


class FakeResultStore(CanFail):
    """`ResultStore` in memory, and what operators read of it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._items: dict[tuple[str, str], _Item] = {}
        self._lock = Lock()

    def claim(
        self, upload: Upload, *, replays: int, lease_seconds: float
    ) -> Claim | Done | Busy:
        self._may_fail("claim")
        now = self._clock.now()
        with self._lock:
            item = self._items.setdefault((upload.uri, upload.version), _Item(replays))
            if item.state == "DONE":
                return Done()
            if item.state == "CLAIMED" and item.claimed_until >= now:
                return Busy(item.claimed_until - now)
            begins_anew = item.state == "FAILED" or replays > item.replays
            ran_out = item.state == "CLAIMED" and not begins_anew
            item.attempts = 1 if begins_anew else item.attempts + 1
            item.replays = max(replays, item.replays)
            item.sequencer = upload.sequencer or item.sequencer
            item.state = "CLAIMED"
            item.claimed_until = now + lease_seconds
            return Claim(item.attempts, deepcopy(item.result), item.sequencer, ran_out)

    def release(self, upload: Upload) -> None:
        self._may_fail("release")
        self._item(upload).state = "WAITING"

    def withdraw(self, upload: Upload) -> None:
        self._may_fail("withdraw")
        self._item(upload).state = "WAITING"
        self._item(upload).attempts -= 1

    def store_tagged(self, upload: Upload, result: Document) -> None:
        self._may_fail("store_tagged")
        if len(to_json(result).encode()) > _ITEM_BYTES:
            raise ResultTooLarge(f"the result of {upload.uri} does not fit")
        item = self._item(upload)
        item.result = deepcopy(result)
        item.failed = None
        item.order = upload.order

    def finish(self, upload: Upload) -> None:
        self._may_fail("finish")
        self._item(upload).state = "DONE"

    def store_failed(self, upload: Upload, result: Document) -> None:
        self._may_fail("store_failed")
        item = self._item(upload)
        item.failed = deepcopy(result)
        item.state = "FAILED"
        item.order = upload.order

    def is_superseded(self, upload: Upload) -> bool:
        self._may_fail("is_superseded")
        with self._lock:
            return any(
                uri == upload.uri
                and item.order is not None
                and item.order > upload.order
                for (uri, _), item in self._items.items()
            )

    def newest(self, uri: str) -> Document | None:
        """The result of the newest version of a key that has ended, or None."""
        ended = [
            (item.order, item)
            for (other, _), item in self._items.items()
            if other == uri and item.order is not None
        ]
        if not ended:
            return None
        _, item = max(ended, key=lambda pair: pair[0])
        return deepcopy(item.failed or item.result)

    def _item(self, upload: Upload) -> _Item:
        return self._items[(upload.uri, upload.version)]
