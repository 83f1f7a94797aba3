"""Parts of the real template.yaml, made in moto."""

from __future__ import annotations

from typing import Any, cast

import boto3
from botocore.config import Config

from tests.environment import REGION
from tests.template.cloudformation import read_template

ONCE = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "standard", "total_max_attempts": 1},
)
"""A client that does not try again: what goes wrong is seen as it is."""

# What moto's table has no use for
_NOT_OF_A_NEW_TABLE = ("PointInTimeRecoverySpecification", "SSESpecification")


def create_table(resource: str = "ResultsTable") -> str:
    """The table as the template has it; its name."""
    properties = {
        name: value
        for name, value in _properties(resource).items()
        if name not in _NOT_OF_A_NEW_TABLE
    }
    boto3.client("dynamodb", region_name=REGION).create_table(
        TableName=resource, **cast("Any", properties)
    )
    return resource


def create_queue(resource: str) -> str:
    """A queue as the template has it, without its redrive; its URL."""
    attributes = {
        name: _text(value)
        for name, value in _properties(resource).items()
        if name != "RedrivePolicy"
    }
    return boto3.client("sqs", region_name=REGION).create_queue(
        QueueName=resource, Attributes=cast("Any", attributes)
    )["QueueUrl"]


def _properties(resource: str) -> dict[str, Any]:
    properties: dict[str, Any] = read_template()["Resources"][resource]["Properties"]
    return properties


def _text(value: object) -> str:
    """A property as an attribute: a parameter as its default."""
    match value:
        case {"Ref": str(parameter)}:
            return str(read_template()["Parameters"][parameter]["Default"])
        case bool():
            return str(value).lower()
        case _:
            return str(value)
