"""The FAILED records, in DynamoDB, as operators list and change them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hangtag.adapters.aws_errors import translated
from hangtag.adapters.dynamodb_records import (
    ENDED_INDEX,
    SHARDS,
    DynamoDBRecords,
    record_of,
)
from hangtag.errors import ResultsUnavailable
from hangtag.lifecycle import Record, Status, UploadKey

_PAGE = 100  # keys that are looked up at once


class DynamoDBFailures(DynamoDBRecords):
    """`FailureBook` on DynamoDB."""

    def failures(
        self, *, since: str = "", until: str = ""
    ) -> Iterator[tuple[UploadKey, Record]]:
        for shard in range(SHARDS):
            for keys in self._ended(f"{Status.FAILED}#{shard}", since, until):
                # The index has only keys, and may be behind by a moment
                for key, record in self.look_up(keys).items():
                    if record.status is Status.FAILED:
                        yield key, record

    def look_up(self, keys: Iterable[UploadKey]) -> Mapping[UploadKey, Record]:
        return {
            (item["uri"]["S"], item["version"]["S"]): record_of(item)
            for item in self._table.batch_get(keys, clock=self._clock)
        }

    def _ended(self, shard: str, since: str, until: str) -> Iterator[list[UploadKey]]:
        """Page by page, the keys in a partition of the index."""
        with translated(ResultsUnavailable, "listing failures"):
            pages = iter(
                self._table.client.get_paginator("query").paginate(
                    TableName=self._table.name,
                    IndexName=ENDED_INDEX,
                    KeyConditionExpression=(
                        "statusShard = :shard AND endedAt BETWEEN :since AND :until"
                    ),
                    ExpressionAttributeValues={
                        ":shard": {"S": shard},
                        ":since": {"S": since or "0"},
                        ":until": {"S": until or "~"},  # sorts after every date
                    },
                    PaginationConfig={"PageSize": _PAGE},
                )
            )
        while True:
            with translated(ResultsUnavailable, "listing failures"):
                page = next(pages, None)
            if page is None:
                return
            yield [(one["uri"]["S"], one["version"]["S"]) for one in page["Items"]]
