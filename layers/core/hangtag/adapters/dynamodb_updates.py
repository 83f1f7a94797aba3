"""Conditional updates of single items."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import code_of, translated
from hangtag.errors import ResultsUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# The library's own type is a union of twenty shapes; an item is a dict of tagged values here.
Item = dict[str, Any]


class Refused(Exception):
    """The condition of an update does not hold."""

    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item
        """As it is; empty where it is not there."""


def update(
    client: DynamoDBClient,
    table: str,
    key: Item,
    expression: str,
    values: Mapping[str, Any],
    *,
    condition: str = "",
) -> Item:
    """
    Update an item; the item as it is then.

    In *expression* and *condition* names of attributes begin with `#`.

    Raises:
        Refused: The *condition* does not hold.
        ResultsUnavailable: DynamoDB refused or failed; the update may have been made.
    """
    request: Any = {
        "TableName": table,
        "Key": key,
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
    with translated(ResultsUnavailable, f"updating {key['uri']['S']}"):
        try:
            return dict(client.update_item(**request).get("Attributes") or {})
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            found: Any = error.response.get("Item")
            raise Refused(found or {}) from error
