from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hangtag.lifecycle import Record, Status, UploadKey
from tests.fakes.records import FakeRecords


class FakeFailureBook(FakeRecords):
    """`FailureBook` in memory."""

    def failures(
        self, *, since: str = "", until: str = ""
    ) -> Iterator[tuple[UploadKey, Record]]:
        self._may_fail("failures")
        for key in self.records:
            # read late, like a page of DynamoDB
            record = self.records[key]
            is_in_time = (since or "0") <= record.ended_at <= (until or "~")
            if record.status is Status.FAILED and is_in_time:
                yield key, record

    def look_up(self, keys: Iterable[UploadKey]) -> Mapping[UploadKey, Record]:
        self._may_fail("look_up")
        records = self.records
        return {key: records[key] for key in keys if key in records}
