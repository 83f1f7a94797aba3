"""One DynamoDB table: reads, conditional writes, and values in DynamoDB's notation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Underflow
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import code_of, translated
from hangtag.backoff import backoff
from hangtag.errors import ResultsUnavailable
from hangtag.lifecycle import UploadKey
from hangtag.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# The library's own type is a union of twenty shapes; an item is a dict of tagged values here.
Item = dict[str, Any]

_KEYS = 100  # DynamoDB's limit for a BatchGetItem


class ItemTooLarge(Exception):
    """DynamoDB does not take the item: it is too large, nested too deeply, or lacks a name."""


class Refused(Exception):
    """The condition of an update does not hold."""

    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item
        """The item in the table; empty without one."""


class Table:
    """
    The table of records and results: partition key `uri`, sort key `version`.

    All methods raise `ResultsUnavailable` where DynamoDB refuses or fails.
    """

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self.client = client
        self.name = name

    def get(self, key: UploadKey) -> Item | None:
        """An item as it is now."""
        with translated(ResultsUnavailable, f"reading {key[0]}"):
            answer = self.client.get_item(
                TableName=self.name, Key=key_of(key), ConsistentRead=True
            )
        return answer.get("Item")

    def put(
        self,
        item: Item,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> Item | None:
        """
        Write an item if the *condition* holds.

        Returns None if it was written, else the item that is there.

        Raises:
            ItemTooLarge: DynamoDB does not take it.
        """
        request: Any = {"Item": item, **_expressions(condition, values, names)}
        with translated(ResultsUnavailable, f"writing {item['uri']['S']}"):
            try:
                self.client.put_item(TableName=self.name, **request)
            except ClientError as error:
                if code_of(error) == "ValidationException":
                    raise ItemTooLarge(str(error)) from error
                return _item_found(error)
        return None

    def update(
        self,
        key: UploadKey,
        expression: str,
        values: Mapping[str, Any],
        *,
        condition: str = "",
    ) -> Item:
        """
        Update an item; returns the new one.

        In *expression* and *condition* names of attributes begin with `#`.

        Raises:
            Refused: The *condition* does not hold.
        """
        request: Any = {
            "UpdateExpression": expression,
            "ExpressionAttributeNames": {
                f"#{name}": name
                for name in re.findall(r"#(\w+)", f"{expression} {condition}")
            },
            "ReturnValues": "ALL_NEW",
        }
        if values:
            request["ExpressionAttributeValues"] = dict(values)
        if condition:
            request["ConditionExpression"] = condition
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        with translated(ResultsUnavailable, f"updating {key[0]}"):
            try:
                answer = self.client.update_item(
                    TableName=self.name, Key=key_of(key), **request
                )
            except ClientError as error:
                raise Refused(_item_found(error)) from error
        return dict(answer.get("Attributes") or {})

    def batch_get(
        self,
        keys: Iterable[UploadKey],
        *,
        clock: Clock,
        projection: str | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Iterator[Item]:
        """The items that are there now, in no order; only the attributes of the *projection*."""
        left = iter(dict.fromkeys(keys))
        while some := list(islice(left, _KEYS)):
            asked: Any = {"Keys": list(map(key_of, some)), "ConsistentRead": True}
            if projection:
                asked["ProjectionExpression"] = projection
            if names:
                asked["ExpressionAttributeNames"] = dict(names)
            yield from self.batch_get_asked(asked, clock=clock)

    def batch_get_asked(
        self,
        asked: Any,  # noqa: ANN401 - boto3's own shape
        *,
        clock: Clock,
    ) -> Iterator[Item]:
        """The items that are there of up to 100 keys, as boto3's `KeysAndAttributes`."""
        asked, attempts = {self.name: asked}, 0
        while asked:
            with translated(ResultsUnavailable, "reading a batch of items"):
                answer = self.client.batch_get_item(RequestItems=asked)
            yield from answer["Responses"].get(self.name, [])
            # DynamoDB answers with what fits into 16 MB, or into its capacity
            asked = answer.get("UnprocessedKeys")
            if asked:
                attempts += 1
                clock.sleep(backoff(attempts, base=0.05, cap=2.0))


def _expressions(
    condition: str, values: Mapping[str, Any], names: Mapping[str, str] | None
) -> Item:
    """The parts of a conditional write; empty ones are not allowed."""
    parts: Item = {
        "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if values:
        parts["ExpressionAttributeValues"] = dict(values)
    if names:
        parts["ExpressionAttributeNames"] = dict(names)
    return parts


def key_of(key: UploadKey) -> Item:
    """A key in DynamoDB's notation."""
    uri, version = key
    return {"uri": {"S": uri}, "version": {"S": version}}


def _item_found(error: ClientError) -> Item:
    """The item that a condition refused; raises every other *error* again."""
    if code_of(error) != "ConditionalCheckFailedException":
        raise error
    item: Any = error.response.get("Item")
    return dict(item or {})


# DynamoDB's numbers: 38 significant digits, magnitudes from 1e-130 to 9.99…e125
_LARGEST_EXPONENT = 125
_SMALLEST_EXPONENT = -130
_NUMBERS = Context(prec=38, Emin=-128, Emax=_LARGEST_EXPONENT, traps=[])
_STORED_NUMBERS = Context(
    prec=38,
    Emin=-128,
    Emax=_LARGEST_EXPONENT,
    traps=[Inexact, InvalidOperation, Overflow, Underflow],
)


def to_attribute(value: object) -> Any:  # noqa: ANN401 - DynamoDB's notation
    """
    A JSON-like value in DynamoDB's notation.

    Numbers are never an error: beyond 38 digits they are rounded, too small ones are 0, too
    large ones are kept as text.

    Raises:
        ItemTooLarge: A name is empty.
        TypeError: The value is not JSON-like. Floats are not, because they are not exact.
    """
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, dict | Mapping):  # first the type that nearly all have
        if "" in value:
            raise ItemTooLarge("DynamoDB takes no empty name")
        return {"M": {name: to_attribute(part) for name, part in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [to_attribute(part) for part in value]}
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | Decimal):
        number = _storable_number(value)
        return {"S" if isinstance(number, str) else "N": str(number)}
    raise TypeError(f"DynamoDB takes no {type(value).__name__}")


def from_attribute(value: Any) -> Any:  # noqa: ANN401 - JSON-like, in two notations
    """
    The value of an attribute; whole numbers come back as `int`, others as `Decimal`.

    Raises:
        ArithmeticError: It has a number that DynamoDB cannot store.
        TypeError: The attribute is of another type than those of `to_attribute`.
    """
    match value:
        case {"S": text}:
            return text
        case {"M": parts}:
            return {name: from_attribute(part) for name, part in parts.items()}
        case {"L": several}:
            return [from_attribute(part) for part in several]
        case {"N": number}:
            return _plain_number(number)
        case {"BOOL": answer}:
            return answer
        case {"NULL": True}:
            return None
        case _:
            raise TypeError(f"not the attribute of a JSON-like value: {value!r:.100}")


def _storable_number(value: int | Decimal) -> Decimal | str:
    exact = Decimal(value)
    if exact.is_zero() or exact.adjusted() < _SMALLEST_EXPONENT:
        return Decimal(0)
    if exact.adjusted() > _LARGEST_EXPONENT:
        return str(value)
    rounded = _NUMBERS.plus(exact)
    return rounded if rounded.is_finite() else str(value)


def _plain_number(text: str) -> int | Decimal:
    # As an integer, a number like 1E+999999 would take all the memory
    number = _STORED_NUMBERS.create_decimal(text)
    return int(number) if number == number.to_integral_value() else number
