"""Reads of the table: a batch, a key, and the records that have ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hangtag.adapters.aws_errors import translated
from hangtag.adapters.dynamodb_breaker import BREAKER_KEY, state_of
from hangtag.adapters.dynamodb_records import SHARDS, ended_since, record_of
from hangtag.adapters.dynamodb_results import RESULT, stored_result_of
from hangtag.adapters.dynamodb_table import Table
from hangtag.errors import ResultsUnavailable
from hangtag.lifecycle import Record, Status, UploadKey
from hangtag.operators.show import History
from hangtag.ports import Clock, Snapshot, StoredResult
from hangtag.results import Document
from hangtag.uploads import Upload

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ATTRIBUTES = (
    # Of a record, without what a FAILED one keeps for a replay
    *("status", "rev", "sequencer", "leaseUntil", "attempts", "cutOff", "calls"),
    *("nextCall", "replays", "retag", "endedAt", "reason"),
    # Of a result, without the result itself
    *("objectVersion", "order"),
    # Of the breaker
    *("failures", "code", "message", "openedAt", "pausedAt"),
)
_NAMES = {"#uri": "uri", "#version": "version"} | {
    f"#{name}": name for name in _ATTRIBUTES
}


class DynamoDBReader:
    """`SnapshotReader`, `TaggedVersions` and the operators' reads, on DynamoDB."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table)
        self._clock = clock

    def snapshot(self, keys: Iterable[UploadKey]) -> Snapshot:
        keys = list(keys)
        results = [(uri, RESULT) for uri, _ in keys]
        records: dict[UploadKey, Record] = {}
        stored: dict[str, StoredResult] = {}
        breaker = None
        for item in self._table.batch_get(
            [BREAKER_KEY, *keys, *results],
            clock=self._clock,
            projection=", ".join(_NAMES),
            names=_NAMES,
        ):
            key = (item["uri"]["S"], item["version"]["S"])
            if key == BREAKER_KEY:
                breaker = state_of(item)
            elif key[1] == RESULT:
                stored[key[0]] = stored_result_of(item)
            else:
                records[key] = record_of(item)
        return Snapshot(breaker, records, stored)

    def newest(self, uri: str) -> Document | None:
        """The result of the newest version of a key that has ended, or None."""
        return self.history(uri).newest()

    def history(self, uri: str) -> History:
        """All that is stored of a key."""
        stored: StoredResult | None = None
        records: dict[str, Record] = {}
        with translated(ResultsUnavailable, f"reading {uri}"):
            pages = self._table.client.get_paginator("query").paginate(
                TableName=self._table.name,
                KeyConditionExpression="uri = :uri",
                ExpressionAttributeValues={":uri": {"S": uri}},
                ConsistentRead=True,
            )
            for item in (item for page in pages for item in page["Items"]):
                if item["version"]["S"] == RESULT:
                    stored = stored_result_of(item)
                else:
                    records[item["version"]["S"]] = record_of(item)
        return History(stored, records)

    def tagged(self, uploads: Sequence[Upload]) -> set[UploadKey]:
        """Uri and version of the TAGGED ones."""
        found = self._table.batch_get(
            ((upload.uri, upload.version) for upload in uploads),
            clock=self._clock,
            projection="#uri, #version, #status",
            names={"#uri": "uri", "#version": "version", "#status": "status"},
        )
        return {
            (item["uri"]["S"], item["version"]["S"])
            for item in found
            if item["status"]["S"] == Status.TAGGED
        }

    def count_ended(self, status: str, *, since: str) -> int:
        """
        How many uploads ended as *status* at or after *since* (ISO 8601).

        The status is one of `Status`, or a reason to skip.
        """
        count = 0
        with translated(ResultsUnavailable, f"counting {status}"):
            for shard in range(SHARDS):
                pages = self._table.client.get_paginator("query").paginate(
                    **ended_since(self._table.name, f"{status}#{shard}", since),
                    Select="COUNT",
                )
                count += sum(page["Count"] for page in pages)
        return count
