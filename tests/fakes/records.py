from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from hangtag.lifecycle import Record, Status, UploadKey
from tests.fakes.failing import CanFail


class FakeRecords(CanFail):
    """`RecordStore` in memory: a dict with compare-and-swap."""

    def __init__(self) -> None:
        super().__init__()
        self._records: dict[UploadKey, Record] = {}
        self._lock = Lock()

    def swap(self, key: UploadKey, seen: str | None, new: Record) -> Record | None:
        step = step_of(new)
        self._may_fail(step)
        with self._lock:
            found = self._records.get(key)
            if (found.rev if found else None) != seen:
                return found or Record()
            self._records[key] = new
        self._may_fail(f"the response to {step}")
        return None

    @property
    def records(self) -> Mapping[UploadKey, Record]:
        """All of them as they are now."""
        return dict(self._records)


def step_of(new: Record) -> str:
    """What a write does: `claim`, `release`, or the status it brings, as in `TAGGED`."""
    if new.status is not Status.OPEN:
        return str(new.status)
    return "claim" if new.lease_until else "release"
