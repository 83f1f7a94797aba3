"""
The index of the results, in a DynamoDB table of its own.

An entry:

    tag             FIELD#VALUE#SHARD of the term, e.g. `color#T0326#2`
    at              `hangtag.index.position_of` the result
    uri             s3://bucket/key
    confidence      the highest; left out if the API gives the value once without one

A known value of a field:

    tag             values#FIELD
    at              the term's value
    names           a set of names, at most `MOST_NAMES`
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import code_of, translated
from hangtag.adapters.dynamodb_table import Item, to_attribute
from hangtag.backoff import backoff
from hangtag.errors import ResultsUnavailable
from hangtag.index import KnownValue, Term, shard_of
from hangtag.ports import Clock, IndexEntry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_T = TypeVar("_T")

MOST_NAMES: Final = 20
"""Names that are kept of a value, which has one in each language."""

WIDTH: Final = 4
"""Requests at a time."""

_LONGEST_NAME = 256  # characters
_WRITES = 25  # DynamoDB's limit for a BatchWriteItem


def tag_of(term: Term, shard: int | str) -> str:
    """The partition of a term's entries in a shard."""
    return f"{term.field}#{term.value}#{shard}"


def values_tag(field: str) -> str:
    """The partition of the known values of a field."""
    return f"values#{field}"


class DynamoDBIndex:
    """`ResultIndex` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def put(self, entries: Collection[IndexEntry]) -> None:
        self.write({"PutRequest": {"Item": item_of(entry)}} for entry in entries)

    def remove(self, entries: Collection[IndexEntry]) -> None:
        self.write({"DeleteRequest": {"Key": _key_of(entry)}} for entry in entries)

    def learn(self, values: Collection[KnownValue]) -> None:
        _at_once(self._learn, sorted(values))

    def write(self, writes: Iterable[Any]) -> None:
        """Write items and remove them, as boto3's `WriteRequest`; no two of one key."""
        _at_once(self._write_batch, _batches(writes))

    def _write_batch(self, writes: list[Any]) -> None:
        attempts = 0
        while writes:
            with translated(ResultsUnavailable, "writing the index"):
                answer = self._client.batch_write_item(
                    RequestItems={self._table: writes}
                )
            # DynamoDB leaves out what is above its capacity
            writes = list(answer.get("UnprocessedItems", {}).get(self._table, []))
            if writes:
                attempts += 1
                self._clock.sleep(backoff(attempts, base=0.05, cap=2.0))

    def _learn(self, value: KnownValue) -> None:
        name = value.name[:_LONGEST_NAME]
        with translated(ResultsUnavailable, "writing the known values"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key={
                        "tag": {"S": values_tag(value.term.field)},
                        "at": {"S": value.term.value},
                    },
                    UpdateExpression="ADD #names :names",
                    ConditionExpression=(
                        "attribute_not_exists(#names) OR size(#names) < :most"
                    ),
                    ExpressionAttributeNames={"#names": "names"},
                    ExpressionAttributeValues={
                        ":names": {"SS": [name]},
                        ":most": {"N": str(MOST_NAMES)},
                    },
                )
            except ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise


def _key_of(entry: IndexEntry) -> Item:
    return {
        "tag": {"S": tag_of(entry.term, shard_of(entry.uri))},
        "at": {"S": entry.position},
    }


def item_of(entry: IndexEntry) -> Item:
    """An entry as an item."""
    item = {**_key_of(entry), "uri": {"S": entry.uri}}
    if entry.confidence is not None:
        confidence = to_attribute(entry.confidence)
        if "N" in confidence:  # as text, too large for a number
            item["confidence"] = confidence
    return item


def _batches(writes: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(writes)
    while some := list(islice(left, _WRITES)):
        yield some


def _at_once(do: Callable[[_T], None], several: Iterable[_T]) -> None:
    """Do something with each of several, in threads; raises the first error."""
    with ThreadPoolExecutor(WIDTH) as pool:
        for _ in pool.map(do, several):
            pass
