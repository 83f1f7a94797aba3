"""AWS in moto: clients, and resources with the properties of template.yaml."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import boto3
from botocore.config import Config

from tests.environment import REGION
from tests.template.cloudformation import Deployment, read_template

ONCE = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "standard", "total_max_attempts": 1},
)
"""Clients make no retries, so that each error is visible."""

# Properties that moto's table does not support
_NOT_OF_A_NEW_TABLE = ("PointInTimeRecoverySpecification", "SSESpecification")


@cache
def session() -> boto3.Session:
    """
    The session of all clients: a new one would read botocore's descriptions of AWS again.

    Its credentials are made up.
    """
    return boto3.Session(
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name=REGION,
    )


def create_table(resource: str = "ResultsTable") -> str:
    """Creates the table of the template; returns its name."""
    properties = {
        name: value
        for name, value in _properties(resource).items()
        if name not in _NOT_OF_A_NEW_TABLE
    }
    if "StreamSpecification" in properties:  # in CloudFormation always enabled
        properties["StreamSpecification"] |= {"StreamEnabled": True}
    session().client("dynamodb").create_table(
        TableName=resource, **cast("Any", properties)
    )
    return resource


def create_queue(resource: str) -> str:
    """Creates a queue of the template without its redrive; returns its URL."""
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
    found = _template()["Resources"][resource]["Properties"]
    properties: dict[str, Any] = Deployment(_template()).resolved(found)
    return properties


def _text(value: object) -> str:
    """A property as a string: a parameter is replaced by its default."""
    match value:
        case {"Ref": str(parameter)}:
            return str(_template()["Parameters"][parameter]["Default"])
        case bool():
            return str(value).lower()
        case _:
            return str(value)
