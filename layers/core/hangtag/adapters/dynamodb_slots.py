"""
The next free slot of the rate limiter, one item in the results' table.

    uri, version    hangtag:slots, state
    nextSlot        epoch microseconds

No upload's uri begins like this, and the item is in no index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hangtag.adapters.dynamodb_table import Item, Refused, Table
from hangtag.rate_limit import Slot

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY: Final = ("hangtag:slots", "state")

_FARTHEST_SECONDS = 1_000.0
"""
An invocation, which lasts 900 seconds at most, reserves no slot that is farther ahead.

A next free slot beyond that (and one step more) comes from a clock that was wrong: it is ignored.
"""


class DynamoDBSlots:
    """
    `SlotStore` on DynamoDB: one update for each call, two if other instances reserved meanwhile.

    It remembers the next free slot as it was last seen: a slot in the past is not tried first.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table)
        self._next_slot = 0

    def reserve(self, *, step: float, earliest: float, latest: float) -> Slot:
        width, first, last = (round(1e6 * part) for part in (step, earliest, latest))
        farthest = first + width + round(1e6 * _FARTHEST_SECONDS)
        if first > last:
            return Slot(earliest, is_reserved=False)
        for _ in range(3):
            try:
                if first <= self._next_slot <= farthest:
                    slot = self._take(width, first, last)
                else:
                    slot = self._begin_anew(width, first, farthest)
            except Refused as refusal:
                found = self._next_slot = _next_slot(refusal.item)
                if last < found <= farthest:
                    return Slot(found / 1e6, is_reserved=False)
                continue
            self._next_slot = slot + width
            return Slot(slot / 1e6, is_reserved=True)
        # Other instances were faster each time
        return Slot(earliest, is_reserved=False)

    def _take(self, width: int, first: int, last: int) -> int:
        """Take the next free slot. Raises `Refused` where it is not from *first* to *last*."""
        item = self._update(
            "SET #nextSlot = #nextSlot + :width",
            {":width": width, ":first": first, ":last": last},
            "#nextSlot BETWEEN :first AND :last",
        )
        return _next_slot(item) - width

    def _begin_anew(self, width: int, first: int, farthest: int) -> int:
        """Take *first*. Raises `Refused` where the next free slot is from it to *farthest*."""
        self._update(
            "SET #nextSlot = :next",
            {":next": first + width, ":first": first, ":farthest": farthest},
            "attribute_not_exists(#nextSlot) "
            "OR #nextSlot < :first OR #nextSlot > :farthest",
        )
        return first

    def _update(self, expression: str, values: dict[str, int], condition: str) -> Item:
        return self._table.update(
            _KEY,
            expression,
            {name: {"N": str(value)} for name, value in values.items()},
            condition=condition,
        )


def _next_slot(item: Item) -> int:
    """In epoch microseconds; 0 where no slot was ever reserved."""
    return int(item.get("nextSlot", {"N": "0"})["N"])
