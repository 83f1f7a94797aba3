"""The index table compared with the results: what is missing, all that is there, and removals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from hangtag.adapters.aws_errors import translated
from hangtag.adapters.dynamodb_index import DynamoDBIndex, tag_of
from hangtag.adapters.dynamodb_index_reader import get_all
from hangtag.adapters.dynamodb_table import Item, Table, to_attribute
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
    stored = item.get("confidence")
    wanted = None if entry.confidence is None else to_attribute(entry.confidence)
    if wanted is not None and "N" not in wanted:
        wanted = None  # too large for a number: it is left out
    return item["uri"]["S"] == entry.uri and _number(stored) == _number(wanted)


def _number(attribute: Item | None) -> Decimal | None:
    return None if attribute is None else Decimal(attribute["N"])


def _stored_entry(item: Item) -> StoredEntry | None:
    """An entry from its item; None if that is a known value."""
    field, _, rest = item["tag"]["S"].partition("#")
    value, hash_sign, shard = rest.rpartition("#")
    if not hash_sign or "uri" not in item:
        return None
    return StoredEntry(Term(field, value), shard, item["at"]["S"], item["uri"]["S"])


def _key_of(entry: StoredEntry) -> Item:
    tag = f"{entry.term.field}#{entry.term.value}#{entry.shard}"
    return {"tag": {"S": tag}, "at": {"S": entry.position}}
