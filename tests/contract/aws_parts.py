"""AWS in moto: clients, and resources with the properties of template.yaml."""

from __future__ import annotations

import json
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, cast

import boto3
from botocore.config import Config

from hangtag.adapters.s3_large_results import S3LargeResults
from tests.environment import REGION
from tests.template.cloudformation import Deployment, read_template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ONCE = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "standard", "total_max_attempts": 1},
)
"""Clients make no retries, so that each error is visible."""

# Properties that moto's table does not support
_NOT_OF_A_NEW_TABLE = (
    "PointInTimeRecoverySpecification",
    "SSESpecification",
    "TimeToLiveSpecification",
)


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


def refuse_deep_items(client: DynamoDBClient) -> DynamoDBClient:
    """Let a client refuse items with more than 32 levels, as DynamoDB does and moto does not."""

    def refuse(params: dict[str, Any], **_: object) -> object:
        if _levels(json.loads(params["body"])["Item"]) <= 32:
            return None
        message = "Nesting Levels have exceeded supported limits"
        error = {"Code": "ValidationException", "Message": message}
        return SimpleNamespace(status_code=400), {"Error": error}

    handler: Any = refuse  # botocore takes what it returns for the response
    client.meta.events.register("before-call.dynamodb.PutItem", handler)
    return client


def _levels(value: Any) -> int:  # noqa: ANN401 - DynamoDB's notation
    match value:
        case {"M": dict(parts)}:
            return 1 + max(map(_levels, parts.values()), default=0)
        case {"L": list(several)}:
            return 1 + max(map(_levels, several), default=0)
        case dict() if not {"S", "N", "BOOL", "NULL"} & value.keys():
            return max(map(_levels, value.values()), default=0)
        case _:
            return 0


def create_large_results() -> S3LargeResults:
    """Creates the bucket of large results."""
    client = session().client("s3")
    client.create_bucket(
        Bucket="large-results",
        CreateBucketConfiguration=cast("Any", {"LocationConstraint": REGION}),
    )
    return S3LargeResults(client, "large-results")


def no_large_result(key: str) -> NoReturn:
    """Fails: the test has no large results."""
    raise AssertionError(key)


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
