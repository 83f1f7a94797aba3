"""Reads of the table: a batch, a key, and the records that have ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from hangtag.adapters.aws_errors import translated
from hangtag.adapters.dynamodb_breaker import BREAKER_KEY, state_of
from hangtag.adapters.dynamodb_records import SHARDS, ended_since, record_of
from hangtag.adapters.dynamodb_results import (
    RESULT,
    ReadLarge,
    has_expired,
    stored_result_of,
)
from hangtag.adapters.dynamodb_table import Item, Table, from_attribute
from hangtag.errors import ResultsUnavailable
from hangtag.lifecycle import Record, Status, UploadKey
from hangtag.ports import Clock, Snapshot, StoredResult
from hangtag.results import Document
from hangtag.uploads import Upload

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from hangtag.operators.show import History

_ATTRIBUTES = (
    # Of a record, without what a FAILED one keeps for a replay
    *("status", "rev", "sequencer", "leaseUntil", "attempts", "cutOff", "calls"),
    *("nextCall", "replays", "retag", "endedAt", "reason"),
    # Of a result, without the result itself
    *("objectVersion", "order", "removedAt"),
    # Of the breaker
    *("failures", "code", "message", "openedAt", "pausedAt"),
)
_NAMES = {"#uri": "uri", "#version": "version"} | {
    f"#{name}": name for name in _ATTRIBUTES
}


class DynamoDBReader:
    """`SnapshotReader`, `TaggedVersions` and the operators' reads, on DynamoDB."""

    def __init__(
        self, client: DynamoDBClient, table: str, clock: Clock, read_large: ReadLarge
    ) -> None:
        self._table = Table(client, table)
        self._clock = clock
        self._read_large = read_large

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

    def history(self, uri: str) -> History:
        """All that is stored of a key."""
        # Imported here, so that TagUploads does not load it
        from hangtag.operators.show import History  # noqa: PLC0415

        result: Item | None = None
        records: dict[str, Record] = {}
        with translated(ResultsUnavailable, f"reading {uri}"):
            pages = self._table.client.get_paginator("query").paginate(
                TableName=self._table.name,
                KeyConditionExpression="uri = :uri",
                ExpressionAttributeValues={":uri": {"S": uri}},
                ConsistentRead=True,
            )
            for item in (item for page in pages for item in page["Items"]):
                if item["version"]["S"] != RESULT:
                    records[item["version"]["S"]] = record_of(item)
                elif not has_expired(item, now=self._clock.now()):
                    result = item
        stored = stored_result_of(result, self._read_large) if result else None
        return History(stored, records)

    def results(self, uris: Iterable[str]) -> Iterator[Document]:
        """The TAGGED results of these keys as they are now, in no order."""
        for item in self._table.batch_get(
            ((uri, RESULT) for uri in uris), clock=self._clock
        ):
            yield from self._document_in(item)

    def all_results(self) -> Iterator[Document]:
        """All TAGGED results; they are read by a scan."""
        with translated(ResultsUnavailable, "reading all results"):
            pages = self._table.client.get_paginator("scan").paginate(
                TableName=self._table.name,
                FilterExpression="#version = :result",
                ExpressionAttributeNames={"#version": "version"},
                ExpressionAttributeValues={":result": {"S": RESULT}},
            )
            for page in pages:
                for item in page["Items"]:
                    yield from self._document_in(item)

    def _document_in(self, item: Item) -> Iterator[Document]:
        """The result in an item; none if the object was removed, or the result has expired."""
        if "result" not in item or has_expired(item, now=self._clock.now()):
            return
        own: Document = from_attribute(item["result"])
        if "largeResult" not in item:
            yield own
        # A large result that is gone has just been replaced or removed
        elif whole := self._read_large(item["largeResult"]["S"]):
            yield whole | own

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
