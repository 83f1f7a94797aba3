"""What the table says about a batch, read at once: breaker, records and results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hangtag.adapters.dynamodb_breaker import BREAKER_KEY, state_of
from hangtag.adapters.dynamodb_records import record_of
from hangtag.adapters.dynamodb_results import RESULT, stored_result_of
from hangtag.adapters.dynamodb_table import Table
from hangtag.lifecycle import Record, UploadKey
from hangtag.ports import Clock, Snapshot, StoredResult

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ATTRIBUTES = (
    # Of a record, without what a FAILED one keeps for a replay
    *("status", "rev", "sequencer", "leaseUntil", "attempts", "cutOff", "calls"),
    *("nextCall", "replays", "retag", "endedAt", "reason"),
    # Of a result, without the result itself
    *("objectVersion", "order", "fence"),
    # Of the breaker
    *("failures", "code", "message", "openedAt", "pausedAt"),
)
_NAMES = {"#uri": "uri", "#version": "version"} | {
    f"#{name}": name for name in _ATTRIBUTES
}


class DynamoDBSnapshots:
    """`SnapshotReader` on DynamoDB: one request for up to 49 uploads."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)

    def snapshot(self, keys: Iterable[UploadKey]) -> Snapshot:
        keys = list(keys)
        results = [(uri, RESULT) for uri, _ in keys]
        records: dict[UploadKey, Record] = {}
        stored: dict[str, StoredResult] = {}
        items = self._table.batch_get(
            [BREAKER_KEY, *keys, *results], projection=", ".join(_NAMES), names=_NAMES
        )
        breaker = None
        for item in items:
            key = (item["uri"]["S"], item["version"]["S"])
            if key == BREAKER_KEY:
                breaker = state_of(item)
            elif key[1] == RESULT:
                stored[key[0]] = stored_result_of(item)
            else:
                records[key] = record_of(item)
        return Snapshot(breaker, records, stored)
