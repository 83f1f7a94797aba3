from __future__ import annotations

from random import Random
from typing import Any

from botocore.exceptions import ClientError

from hangtag.ports import Clock


class HotItem:
    """
    A DynamoDB client for the item of the next free slot, in a partition with its limit.

    Each update takes a write unit, also one whose condition does not hold. Without a unit it is
    throttled, and tried again once, as botocore does. A request takes *seconds*.
    """

    def __init__(
        self, clock: Clock, *, units_per_second: float = 1_000.0, seconds: float = 0.004
    ) -> None:
        self._clock = clock
        self._rate = units_per_second
        self._seconds = seconds
        self._units = units_per_second
        self._refilled_at = clock.now()
        self._random = Random(1)  # noqa: S311 - repeatable, not secret
        self.next_slot: int | None = None
        self.written = 0
        """Updates that took a unit."""
        self.throttled = 0
        """Requests without a unit, each of the two tries counted."""

    def update_item(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - boto3's shape
        """Update the item; raises `ClientError` as boto3 does."""
        for pause in (self._random.random(), None):
            self._clock.sleep(self._seconds)
            if self._takes_unit():
                return self._update(request)
            self.throttled += 1
            if pause is not None:
                self._clock.sleep(pause)
        raise _error("ProvisionedThroughputExceededException")

    def _takes_unit(self) -> bool:
        now = self._clock.now()
        gained = (now - self._refilled_at) * self._rate
        self._units = min(self._rate, self._units + gained)
        self._refilled_at = now
        if self._units < 1:
            return False
        self._units -= 1
        self.written += 1
        return True

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        values = {
            name: int(value["N"])
            for name, value in request["ExpressionAttributeValues"].items()
        }
        slot, first = self.next_slot, values[":first"]
        if ":width" in values:
            if slot is None or not first <= slot <= values[":last"]:
                raise _error("ConditionalCheckFailedException", slot)
            self.next_slot = slot + values[":width"]
        else:
            if slot is not None and first <= slot <= values[":farthest"]:
                raise _error("ConditionalCheckFailedException", slot)
            self.next_slot = values[":next"]
        return {"Attributes": _item(self.next_slot)}


def _item(slot: int) -> dict[str, Any]:
    return {"nextSlot": {"N": str(slot)}}


def _error(code: str, slot: int | None = None) -> ClientError:
    item = {} if slot is None else {"Item": _item(slot)}
    response: Any = {"Error": {"Code": code, "Message": code}, **item}
    return ClientError(response, "UpdateItem")
