"""
The lease of ReplayFailures, one item in the results' table.

    uri, version    hangtag:replay, state
    holder          the token of the run that took the lease last
    leaseUntil      epoch milliseconds: the deadline of that run, or its end

No upload's uri begins with `hangtag:`, and the item is in no index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hangtag.adapters.dynamodb_table import Item, Table, key_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY: Final = ("hangtag:replay", "state")

_LONGEST_SECONDS = 900.0  # Lambda's longest timeout


class DynamoDBRunLease:
    """`RunLease` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table)

    def take(self, holder: str, *, now: float, until: float) -> float | None:
        found = self._table.put(
            _item(holder, until),
            "attribute_not_exists(leaseUntil) OR leaseUntil <= :now "
            "OR leaseUntil > :farthest OR holder = :holder",
            {
                ":now": _milliseconds(now),
                ":farthest": _milliseconds(now + _LONGEST_SECONDS),
                # botocore repeats a write whose response was lost
                ":holder": {"S": holder},
            },
        )
        return None if found is None else int(found["leaseUntil"]["N"]) / 1000

    def release(self, holder: str, *, at: float) -> None:
        self._table.put(
            _item(holder, until=at), "holder = :holder", {":holder": {"S": holder}}
        )


def _item(holder: str, until: float) -> Item:
    return {
        **key_of(_KEY),
        "holder": {"S": holder},
        "leaseUntil": _milliseconds(until),
    }


def _milliseconds(seconds: float) -> Item:
    return {"N": str(round(seconds * 1000))}
