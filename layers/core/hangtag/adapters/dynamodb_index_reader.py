"""The reads of the index table: pages of a list, single entries, known values, counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from hangtag.adapters.aws_errors import translated
from hangtag.adapters.dynamodb_index import tag_of, values_tag
from hangtag.adapters.dynamodb_table import Item, Table
from hangtag.errors import ResultsUnavailable
from hangtag.index import Term
from hangtag.operators.find import Candidate, Known, Page, Span
from hangtag.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEYS: Final = 100  # DynamoDB's limit for a BatchGetItem
_NAMES: Final = {"#tag": "tag", "#at": "at"}
_IS_SURE: Final = "attribute_not_exists(confidence) OR confidence >= :least"
_DOING: Final = "reading the index"


def get_all(
    table: Table,
    keys: Iterable[tuple[str, str]],
    *,
    clock: Clock,
    consistent: bool = False,
) -> Iterator[Item]:
    """The entries with these tags and positions that are there, in no order."""
    left = iter(keys)
    while some := list(islice(left, _KEYS)):
        asked = {
            "Keys": [{"tag": {"S": tag}, "at": {"S": at}} for tag, at in some],
            "ConsistentRead": consistent,
        }
        yield from table.batch_get_asked(asked, clock=clock)


class DynamoDBIndexReader:
    """`IndexReader` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table)
        self._clock = clock

    def page(
        self,
        term: Term,
        shard: int,
        span: Span,
        *,
        limit: int,
        min_confidence: Decimal | None,
        with_uris: bool,
    ) -> Page:
        values = {
            ":tag": {"S": tag_of(term, shard)},
            ":low": {"S": span.low},
            ":high": {"S": span.high},
        }
        request: Any = {
            "TableName": self._table.name,
            "KeyConditionExpression": "#tag = :tag AND #at BETWEEN :low AND :high",
            "ExpressionAttributeNames": _NAMES,
            "ExpressionAttributeValues": values,
            "ProjectionExpression": "#at, uri" if with_uris else "#at",
            "ScanIndexForward": span.oldest_first,
            "Limit": limit,
        }
        if min_confidence is not None:
            request["FilterExpression"] = _IS_SURE
            values[":least"] = {"N": str(min_confidence)}
        with translated(ResultsUnavailable, _DOING):
            answer: Any = self._table.client.query(**request)
        entries = [
            Candidate(item["at"]["S"], item["uri"]["S"] if with_uris else "")
            for item in answer["Items"]
        ]
        last = answer.get("LastEvaluatedKey")
        return Page(entries, last["at"]["S"] if last else None)

    def look_up(
        self,
        terms: Collection[Term],
        shard: int,
        positions: Sequence[str],
        *,
        min_confidence: Decimal | None,
    ) -> set[str]:
        found = get_all(
            self._table,
            ((tag_of(term, shard), at) for term in terms for at in positions),
            clock=self._clock,
        )
        return {
            item["at"]["S"] for item in found if _is_sure(item, least=min_confidence)
        }

    def known(self, field: str) -> Sequence[Known]:
        with translated(ResultsUnavailable, "reading the known values"):
            pages = self._table.client.get_paginator("query").paginate(
                TableName=self._table.name,
                KeyConditionExpression="#tag = :tag",
                ExpressionAttributeNames={"#tag": "tag"},
                ExpressionAttributeValues={":tag": {"S": values_tag(field)}},
            )
            return [
                Known(
                    Term(field, item["at"]["S"]),
                    tuple(sorted(item.get("names", {}).get("SS", ()))),
                )
                for page in pages
                for item in page["Items"]
            ]

    def count(self, term: Term, shard: int) -> int:
        with translated(ResultsUnavailable, "counting entries of the index"):
            pages = self._table.client.get_paginator("query").paginate(
                TableName=self._table.name,
                KeyConditionExpression="#tag = :tag",
                ExpressionAttributeNames={"#tag": "tag"},
                ExpressionAttributeValues={":tag": {"S": tag_of(term, shard)}},
                Select="COUNT",
            )
            return sum(page["Count"] for page in pages)


def _is_sure(item: Item, *, least: Decimal | None) -> bool:
    """Whether the confidence of an entry is high enough; one without a confidence is."""
    if least is None or "confidence" not in item:
        return True
    return Decimal(item["confidence"]["N"]) >= least
