from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from threading import Lock

from hangtag.lifecycle import Record, Status, UploadKey
from tests.fakes.failing import CanFail


class FakeRecords(CanFail):
    """`RecordStore` in memory: a dict with compare-and-swap."""

    def __init__(self) -> None:
        super().__init__()
        self._records: dict[UploadKey, Record] = {}
        self._lock = Lock()
        self._last: tuple[UploadKey, str | None, Record] | None = None

    def swap(self, key: UploadKey, seen: str | None, new: Record) -> Record | None:
        step = step_of(new)
        self._last = (key, seen, new)
        self._may_fail(step)
        with self._lock:
            found = self._records.get(key)
            if (found.rev if found else None) != seen:
                return found or Record()
            self._records[key] = new
        self._may_fail(f"the response to {step}")
        return None

    def last_write_arrives_late(self) -> None:
        """Applies the last write once more, late; its sender gets no response."""
        if self._last is None:
            return
        key, seen, new = self._last
        with self._lock:
            found = self._records.get(key)
            if (found.rev if found else None) == seen:
                self._records[key] = new

    def oldest_failure(self, *, since: float) -> float | None:
        self._may_fail("oldest_failure")
        failed_at = [
            datetime.fromisoformat(record.ended_at).timestamp()
            for record in self._records.values()
            if record.status is Status.FAILED
        ]
        return min((at for at in failed_at if at >= since), default=None)

    @property
    def records(self) -> Mapping[UploadKey, Record]:
        """All current records."""
        return dict(self._records)


def step_of(new: Record) -> str:
    """The step of a write: `claim`, `release`, or the new status, as in `TAGGED`."""
    if new.status is not Status.OPEN:
        return str(new.status)
    return "claim" if new.lease_until else "release"
