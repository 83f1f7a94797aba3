"""
The breaker's state, one item in the results' table.

    uri, version    hangtag:breaker, state
    failures        consecutive systemic failures
    code, message   of the last of them
    openedAt        ISO 8601; while the breaker is open
    pausedAt        ISO 8601; while an operator has paused tagging

No upload's uri begins like this, and the item is in no index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hangtag.adapters.dynamodb_table import Item, Refused, Table
from hangtag.errors import MESSAGE_LIMIT
from hangtag.ports import BreakerState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BREAKER_KEY: Final = ("hangtag:breaker", "state")
"""`uri` and `version` of the item."""


class DynamoDBBreaker:
    """`BreakerStore` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table)

    def read(self) -> BreakerState:
        return state_of(self._table.get(BREAKER_KEY) or {})

    def count_failure(self, code: str, message: str) -> BreakerState:
        item = self._update(
            "SET #code = :code, #message = :message ADD #failures :one",
            {
                ":code": {"S": code},
                ":message": {"S": message[:MESSAGE_LIMIT]},
                ":one": {"N": "1"},
            },
        )
        return state_of(item)

    def open(self, *, at: str, failures: int) -> bool:
        return self._change(
            "SET #openedAt = :at",
            {":at": {"S": at}, ":failures": {"N": str(failures)}},
            "attribute_not_exists(#openedAt) AND #failures >= :failures",
        )

    def close(self) -> bool:
        return self._change(
            "REMOVE #failures, #code, #message",
            {},
            "attribute_not_exists(#openedAt)",
        )

    def let_through(self) -> None:
        self._update("REMOVE #openedAt", {})

    def pause(self, *, at: str) -> None:
        self._update(
            "SET #pausedAt = if_not_exists(#pausedAt, :at)", {":at": {"S": at}}
        )

    def reset(self) -> None:
        self._update("REMOVE #failures, #code, #message, #openedAt, #pausedAt", {})

    def _change(
        self, expression: str, values: Mapping[str, Any], condition: str
    ) -> bool:
        """Whether the *condition* held, and so the item is changed."""
        try:
            self._update(expression, values, condition)
        except Refused:
            return False
        return True

    def _update(
        self, expression: str, values: Mapping[str, Any], condition: str = ""
    ) -> Item:
        return self._table.update(BREAKER_KEY, expression, values, condition=condition)


def state_of(item: Mapping[str, Any]) -> BreakerState:
    """The state that an item holds; an empty item is a closed breaker."""

    def text(name: str) -> str | None:
        return item[name]["S"] if name in item else None

    return BreakerState(
        failures=int(item["failures"]["N"]) if "failures" in item else 0,
        code=text("code"),
        message=text("message"),
        opened_at=text("openedAt"),
        paused_at=text("pausedAt"),
    )
