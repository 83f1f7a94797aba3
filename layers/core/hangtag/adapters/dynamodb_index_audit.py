"""The index table compared with the results: what is missing, all that is there, and removals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from hangtag.adapters.aws_errors import translated
from hangtag.adapters.dynamodb_index import DynamoDBIndex, item_of, tag_of
from hangtag.adapters.dynamodb_index_reader import get_all
from hangtag.adapters.dynamodb_table import Item, Table
from hangtag.errors import ResultsUnavailable
from hangtag.index import Term, shard_of
from hangtag.operators.reindex import StoredEntry
from hangtag.ports import Clock, IndexEntry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoDBIndexAudit:
    """`IndexAudit` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table)
        self._index = DynamoDBIndex(client, table, clock)
        self._clock = clock

    def missing(self, entries: Collection[IndexEntry]) -> list[IndexEntry]:
        keys = {
            (tag_of(entry.term, shard_of(entry.uri)), entry.position): entry
            for entry in entries
        }
        right = {
            key
            for item in get_all(self._table, keys, clock=self._clock, consistent=True)
            if _is_of(item, keys[key := (item["tag"]["S"], item["at"]["S"])])
        }
        return [entry for key, entry in keys.items() if key not in right]

    def entries(self) -> Iterator[Sequence[StoredEntry]]:
        with translated(ResultsUnavailable, "reading the index"):
            pages = self._table.client.get_paginator("scan").paginate(
                TableName=self._table.name,
                ProjectionExpression="#tag, #at, #uri",
                ExpressionAttributeNames={"#tag": "tag", "#at": "at", "#uri": "uri"},
                ConsistentRead=True,
            )
            for page in pages:
                yield [entry for entry in map(_stored_entry, page["Items"]) if entry]

    def remove(self, entries: Iterable[StoredEntry]) -> None:
        self._index.write({"DeleteRequest": {"Key": _key_of(one)}} for one in entries)


def _is_of(item: Item, entry: IndexEntry) -> bool:
    """Whether an item is what is written for the *entry*."""
    wanted = item_of(entry)
    return item["uri"] == wanted["uri"] and _confidence(item) == _confidence(wanted)


def _confidence(item: Item) -> Decimal | None:
    # As a number: DynamoDB writes 1.0 as 1
    return Decimal(item["confidence"]["N"]) if "confidence" in item else None


def _stored_entry(item: Item) -> StoredEntry | None:
    """An entry from its item; None if that is a known value."""
    field, _, rest = item["tag"]["S"].partition("#")
    value, hash_sign, shard = rest.rpartition("#")
    if not hash_sign or "uri" not in item:
        return None
    return StoredEntry(Term(field, value), shard, item["at"]["S"], item["uri"]["S"])


def _key_of(entry: StoredEntry) -> Item:
    return {
        "tag": {"S": tag_of(entry.term, entry.shard)},
        "at": {"S": entry.position},
    }
