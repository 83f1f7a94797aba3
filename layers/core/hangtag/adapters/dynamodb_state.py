"""
What all instances of the function share, in the results' table: the breaker, and who may call when.

    uri, version    hangtag:breaker, state
    row             failures in a row that were everybody's
    code, message   of the last of them
    openedAt        ISO 8601; while the breaker is open
    pausedAt        ISO 8601; while an operator has paused tagging
    callDue         epoch microseconds; until then nobody is called about the row
    switchedOffAt   ISO 8601; when the function last switched the mapping off, until it is seen on

    uri, version    hangtag:turns, the line's name
    nextTurn        epoch microseconds; the first turn that is free

No upload's uri begins like these. Neither item is in an index of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import code_of, translated
from hangtag.errors import MESSAGE_LIMIT, ResultsUnavailable
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
        returns: Literal["UPDATED_OLD", "ALL_NEW"] = "UPDATED_OLD",
    ) -> Item:
        """
        What the update changed, as it was before; or all as it is now.

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
            "ReturnValues": returns,
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
        return _state_of(self._table.read(_BREAKER))

    def count_failure(self, code: str, message: str) -> BreakerState:
        return _state_of(
            self._table.update(
                _BREAKER,
                "SET #code = :code, #message = :message ADD #row :one",
                {
                    ":code": {"S": code},
                    ":message": {"S": message[:MESSAGE_LIMIT]},
                    ":one": {"N": "1"},
                },
                returns="ALL_NEW",
            )
        )

    def open(self, *, at: str, row: int) -> bool:
        return self._change(
            "SET #openedAt = :at",
            {":at": {"S": at}, ":row": {"N": str(row)}},
            "attribute_not_exists( #openedAt ) AND #row >= :row",
        )

    def end_row(self) -> bool:
        return self._change(
            "REMOVE #row, #code, #message, #callDue",
            {},
            "attribute_not_exists( #openedAt )",
        )

    def take_call(self, *, now: float, until: float, row: int) -> bool:
        return self._change(
            "SET #callDue = :until",
            {
                ":now": _microseconds(now),
                ":until": _microseconds(until),
                ":row": {"N": str(row)},
            },
            "#row >= :row AND ( attribute_not_exists( #callDue ) OR #callDue <= :now )",
        )

    def put_off_call(self, *, taken: float, until: float) -> None:
        self._change(
            "SET #callDue = :until",
            {":taken": _microseconds(taken), ":until": _microseconds(until)},
            "#callDue = :taken",
        )

    def note_switch_off(self, *, at: str) -> None:
        self._table.update(_BREAKER, "SET #switchedOffAt = :at", {":at": {"S": at}})

    def forget_switch_off(self, *, at: str) -> None:
        self._change(
            "REMOVE #switchedOffAt", {":at": {"S": at}}, "#switchedOffAt = :at"
        )

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
            _BREAKER,
            "REMOVE #row, #code, #message, #callDue, #openedAt, #pausedAt",
            {},
        )

    def _change(
        self, expression: str, values: Mapping[str, Any], condition: str
    ) -> bool:
        """Whether the *condition* held, and it is changed."""
        try:
            self._table.update(_BREAKER, expression, values, condition=condition)
        except _Refused:
            return False
        return True


def _state_of(item: Item) -> BreakerState:
    def text(name: str) -> str | None:
        return item[name]["S"] if name in item else None

    return BreakerState(
        row=int(item["row"]["N"]) if "row" in item else 0,
        code=text("code"),
        message=text("message"),
        opened_at=text("openedAt"),
        paused_at=text("pausedAt"),
        call_due=int(item["callDue"]["N"]) / 1e6 if "callDue" in item else None,
        switched_off_at=text("switchedOffAt"),
    )


def _microseconds(seconds: float) -> Item:
    return {"N": str(round(1e6 * seconds))}


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
