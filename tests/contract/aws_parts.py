"""AWS in moto: clients, and parts of the real template.yaml."""

from __future__ import annotations

from functools import cache
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


@cache
def session() -> boto3.Session:
    """
    For all clients: each new session would read botocore's descriptions of AWS again.

    What it is logged in as is made up.
    """
    return boto3.Session(
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name=REGION,
    )


def create_table(resource: str = "ResultsTable") -> str:
    """The table as the template has it; its name."""
    properties = {
        name: value
        for name, value in _properties(resource).items()
        if name not in _NOT_OF_A_NEW_TABLE
    }
    session().client("dynamodb").create_table(
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
    made = (
        session()
        .client("sqs")
        .create_queue(QueueName=resource, Attributes=cast("Any", attributes))
    )
    return made["QueueUrl"]


_template = cache(read_template)


def _properties(resource: str) -> dict[str, Any]:
    properties: dict[str, Any] = _template()["Resources"][resource]["Properties"]
    return properties


def _text(value: object) -> str:
    """A property as an attribute: a parameter as its default."""
    match value:
        case {"Ref": str(parameter)}:
            return str(_template()["Parameters"][parameter]["Default"])
        case bool():
            return str(value).lower()
        case _:
            return str(value)
