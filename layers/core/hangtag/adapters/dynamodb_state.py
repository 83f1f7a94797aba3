"""
What all instances of the function share, in the results' table: the breaker, and who may call when.

    uri, version    hangtag:breaker, state
    row             failures in a row that were everybody's
    code, message   of the last of them
    openedAt        ISO 8601; while the breaker is open
    pausedAt        ISO 8601; while an operator has paused tagging

    uri, version    hangtag:turns, the line's name
    nextTurn        epoch microseconds; the first turn that is free

No upload's uri begins like these. Neither item is in an index of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import code_of, translated
from hangtag.failures import MESSAGE_LIMIT, ResultsUnavailable
from hangtag.ports import BreakerState, Clock, NoTurn, Turns

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    Item = dict[str, Any]

_BREAKER = {"uri": {"S": "hangtag:breaker"}, "version": {"S": "state"}}


class _Refused(Exception):
    """An update's condition does not hold."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        super().__init__()
        self.item = item


class _Table:
    """Conditional updates of single items; every attribute is named by a placeholder."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, key: Item) -> Item:
        """An item as it is now, {} where there is none."""
        with translated(ResultsUnavailable, f"reading {key['uri']['S']}"):
            found = self._client.get_item(
                TableName=self._table, Key=key, ConsistentRead=True
            )
        return dict(found.get("Item") or {})

    def update(
        self,
        key: Item,
        expression: str,
        values: Mapping[str, Any],
        *,
        condition: str = "",
    ) -> Item:
        """
        What the update changed, as it was before.

        Raises:
            _Refused: The *condition* does not hold.
        """
        words = f"{expression} {condition}".replace("(", " ").replace(")", " ")
        order: Any = {
            "TableName": self._table,
            "Key": key,
            "UpdateExpression": expression,
            "ExpressionAttributeNames": {
                word: word[1:]
                for word in words.replace(",", " ").split()
                if word.startswith("#")
            },
            "ReturnValues": "UPDATED_OLD",
        }
        if values:
            order["ExpressionAttributeValues"] = dict(values)
        if condition:
            order["ConditionExpression"] = condition
            order["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        with translated(ResultsUnavailable, f"updating {key['uri']['S']}"):
            try:
                return dict(self._client.update_item(**order).get("Attributes") or {})
            except ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise
                found: Any = error.response.get("Item")
                raise _Refused(found or {}) from error


class DynamoDBBreaker:
    """`BreakerStore` in the results' table."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = _Table(client, table)

    def read(self) -> BreakerState:
        item = self._table.read(_BREAKER)

        def text(name: str) -> str | None:
            return item[name]["S"] if name in item else None

        return BreakerState(
            row=int(item["row"]["N"]) if "row" in item else 0,
            code=text("code"),
            message=text("message"),
            opened_at=text("openedAt"),
            paused_at=text("pausedAt"),
        )

    def count_failure(self, code: str, message: str) -> int:
        before = self._table.update(
            _BREAKER,
            "SET #code = :code, #message = :message ADD #row :one",
            {
                ":code": {"S": code},
                ":message": {"S": message[:MESSAGE_LIMIT]},
                ":one": {"N": "1"},
            },
        )
        return int(before["row"]["N"]) + 1 if "row" in before else 1

    def open(self, *, at: str) -> bool:
        try:
            self._table.update(
                _BREAKER,
                "SET #openedAt = :at",
                {":at": {"S": at}},
                condition="attribute_not_exists( #openedAt )",
            )
        except _Refused:
            return False
        return True

    def end_row(self) -> None:
        try:
            self._table.update(
                _BREAKER,
                "REMOVE #row, #code, #message",
                {},
                condition="attribute_not_exists( #openedAt )",
            )
        except _Refused:
            return

    def try_again(self) -> None:
        self._table.update(_BREAKER, "REMOVE #openedAt", {})

    def pause(self, *, at: str) -> None:
        self._table.update(
            _BREAKER,
            "SET #pausedAt = if_not_exists( #pausedAt , :at )",
            {":at": {"S": at}},
        )

    def reset(self) -> None:
        self._table.update(
            _BREAKER, "REMOVE #row, #code, #message, #openedAt, #pausedAt", {}
        )


_TRIES = 8
"""Of a reservation that other instances get ahead of; then it counts as taken."""

_BEYOND_SENSE_SECONDS = 3_600.0
"""
A turn so far ahead was not reserved by anybody: an invocation lasts at most 900 s, and a line of
those who wait no longer than SQS can hide them. A clock was wrong; the line begins anew.
"""


class DynamoDBTurns:
    """`TurnBook` in the results' table: one update for a whole batch, two after a pause."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = _Table(client, table)
        self._clock = clock

    def reserve(
        self, line: str, count: int, *, every: float, earliest: float, latest: float
    ) -> Turns | NoTurn:
        key = {"uri": {"S": "hangtag:turns"}, "version": {"S": line}}
        step, first, last = (round(1e6 * part) for part in (every, earliest, latest))
        sane = round(1e6 * (self._clock.now() + _BEYOND_SENSE_SECONDS))
        free = first
        for _ in range(_TRIES):
            fitting = min(count, (last - free) // step + 1)
            if fitting < 1:
                return NoTurn(free / 1e6)
            try:
                before = self._table.update(
                    key,
                    "SET #nextTurn = #nextTurn + :taken",
                    {
                        ":taken": {"N": str(fitting * step)},
                        ":first": {"N": str(first)},
                        ":last": {"N": str(last - (fitting - 1) * step)},
                    },
                    condition="#nextTurn BETWEEN :first AND :last",
                )
                return Turns(int(before["nextTurn"]["N"]) / 1e6, fitting)
            except _Refused as refusal:
                found = int(refusal.item.get("nextTurn", {}).get("N", "0"))
            if first <= found <= sane:
                free = found
                continue
            try:
                fitting = min(count, (last - first) // step + 1)
                self._table.update(
                    key,
                    "SET #nextTurn = :next",
                    {
                        ":next": {"N": str(first + fitting * step)},
                        ":first": {"N": str(first)},
                        ":sane": {"N": str(sane)},
                    },
                    condition="attribute_not_exists( #nextTurn ) "
                    "OR #nextTurn < :first OR #nextTurn > :sane",
                )
                return Turns(first / 1e6, fitting)
            except _Refused as refusal:
                free = int(refusal.item["nextTurn"]["N"])
        return NoTurn(free / 1e6)
