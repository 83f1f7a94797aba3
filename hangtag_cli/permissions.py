"""
The AWS permissions that each command needs.

docs/operator-policy.json is generated from this module. The tests compare it with the calls that
the commands make.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final

Permissions = Mapping[str, tuple[str, ...]]
"""IAM actions by resource. `${...}` in a resource is a placeholder; see `values_of`."""

ALL: Final = "*"
"""The resource of actions that IAM cannot narrow down; see `REASONS_FOR_ALL`."""

REASONS_FOR_ALL: Final = {
    "cloudwatch:DescribeAlarms": "alarms are searched by the prefix of their names",
    "cloudwatch:GetMetricData": "metrics have no ARN",
    "lambda:ListEventSourceMappings": "IAM has no narrower resource for it",
}
"""Why an action is allowed on all resources."""

_ITEMS_OF_UPLOADS: Final = ("StringNotLike", "hangtag:*")
_THE_BREAKER: Final = ("StringEquals", "hangtag:breaker")
LEADING_KEYS: Final = {
    "dynamodb:BatchGetItem": _ITEMS_OF_UPLOADS,
    "dynamodb:GetItem": _THE_BREAKER,
    "dynamodb:PutItem": _ITEMS_OF_UPLOADS,
    "dynamodb:UpdateItem": _THE_BREAKER,
}
"""The condition on the partition keys of the items of the results table that are allowed."""

STACK: Final = (
    "arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}"
    ":stack/${AWS::StackName}/*"
)
TABLE: Final = "${ResultsTable.Arn}"
ENDED: Final = "${ResultsTable.Arn}/index/ended"
INDEX: Final = "${IndexTable.Arn}"
UPLOAD_QUEUE: Final = "${UploadQueue.Arn}"
DEAD_LETTER_QUEUE: Final = "${DeadLetterQueue.Arn}"
KEY: Final = "${ApiKeySecret.Id}"
OTHER_QUEUE: Final = "${OtherQueue.Arn}"
LARGE_RESULTS: Final = "${LargeResultsBucket.Arn}"
INVENTORY: Final = "${InventoryBucket.Arn}"

_DESCRIBE: Final[Permissions] = {STACK: ("cloudformation:DescribeStacks",)}


def _objects_of(bucket: str, *actions: str) -> Permissions:
    """Reading objects of a bucket; one that is gone is missing, not forbidden."""
    return {
        bucket: ("s3:ListBucket",),
        f"{bucket}/*": actions or ("s3:GetObject",),
    }


_RECEIVE: Final[Permissions] = {
    DEAD_LETTER_QUEUE: ("sqs:ChangeMessageVisibility", "sqs:ReceiveMessage")
}

_READ_FAILURES: Final[Permissions] = {
    **_DESCRIBE,
    DEAD_LETTER_QUEUE: (*_RECEIVE[DEAD_LETTER_QUEUE], "sqs:GetQueueAttributes"),
    ENDED: ("dynamodb:Query",),
    TABLE: ("dynamodb:BatchGetItem",),
}

_SWITCH: Final[Permissions] = {
    **_DESCRIBE,
    ALL: ("lambda:ListEventSourceMappings",),
    "${TagUploadsUploads.EventSourceMappingArn}": ("lambda:UpdateEventSourceMapping",),
    TABLE: ("dynamodb:GetItem", "dynamodb:UpdateItem"),
    UPLOAD_QUEUE: ("sqs:GetQueueAttributes",),
}


def _together(*parts: Permissions) -> Permissions:
    """The permissions of all *parts*, sorted, `ALL` last."""
    actions: defaultdict[str, set[str]] = defaultdict(set)
    for part in parts:
        for resource, some in part.items():
            actions[resource].update(some)
    return {
        resource: tuple(sorted(actions[resource]))
        for resource in sorted(actions, key=lambda name: (name == ALL, name))
    }


_REMOVE_FAILURES: Final = _together(
    _READ_FAILURES,
    {DEAD_LETTER_QUEUE: ("sqs:DeleteMessage",), TABLE: ("dynamodb:PutItem",)},
)

_BACKFILL: Final = _together(
    _DESCRIBE,
    {
        TABLE: ("dynamodb:BatchGetItem",),
        UPLOAD_QUEUE: ("sqs:GetQueueAttributes", "sqs:SendMessage"),
    },
)
_SEARCH: Final = _together(
    _DESCRIBE,
    {
        INDEX: ("dynamodb:BatchGetItem", "dynamodb:Query"),
        TABLE: ("dynamodb:BatchGetItem",),
    },
    _objects_of(LARGE_RESULTS),
)

PERMISSIONS: Final[Mapping[str, Permissions]] = {
    "results show": _together(
        _DESCRIBE, {TABLE: ("dynamodb:Query",)}, _objects_of(LARGE_RESULTS)
    ),
    "results find": _SEARCH,
    "results export": _SEARCH,
    "results values": _together(_DESCRIBE, {INDEX: ("dynamodb:Query",)}),
    "results reindex": _together(
        _DESCRIBE,
        {
            INDEX: (
                "dynamodb:BatchGetItem",
                "dynamodb:BatchWriteItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:UpdateItem",
            ),
            TABLE: ("dynamodb:BatchGetItem", "dynamodb:Scan"),
        },
        _objects_of(LARGE_RESULTS),
    ),
    "failures list": _READ_FAILURES,
    "failures show": _together(
        _READ_FAILURES,
        {
            "${TagUploads.Arn}": ("lambda:GetFunctionConfiguration",),
            "${TagUploadsLog.Arn}": ("logs:FilterLogEvents",),
        },
        _objects_of("${UploadsBucket.Arn}", "s3:GetObject", "s3:GetObjectVersion"),
    ),
    "failures replay": _together(
        _REMOVE_FAILURES, {UPLOAD_QUEUE: ("sqs:SendMessage",)}
    ),
    "failures replay --to": _together(
        _REMOVE_FAILURES,
        {OTHER_QUEUE: ("sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage")},
    ),
    "failures discard": _REMOVE_FAILURES,
    "failures restore": _together(
        _DESCRIBE,
        _RECEIVE,
        {
            DEAD_LETTER_QUEUE: ("sqs:SendMessage",),
            TABLE: ("dynamodb:BatchGetItem", "dynamodb:PutItem"),
        },
    ),
    "backfill": _together(
        _BACKFILL, {"${UploadsBucket.Arn}": ("s3:ListBucketVersions",)}
    ),
    "backfill --from-inventory": _together(_BACKFILL, _objects_of(INVENTORY)),
    "status": _together(
        _DESCRIBE,
        _RECEIVE,
        {
            DEAD_LETTER_QUEUE: ("sqs:GetQueueAttributes",),
            ENDED: ("dynamodb:Query",),
            TABLE: ("dynamodb:GetItem",),
            UPLOAD_QUEUE: ("sqs:GetQueueAttributes",),
            KEY: ("secretsmanager:DescribeSecret",),
            ALL: tuple(REASONS_FOR_ALL),
        },
    ),
    "pause": _together(_SWITCH, {ALL: ("cloudwatch:GetMetricData",)}),
    "resume": _SWITCH,
    "key set": _together(
        _DESCRIBE,
        {TABLE: ("dynamodb:GetItem",), KEY: ("secretsmanager:PutSecretValue",)},
    ),
    "key check": _together(_DESCRIBE, {KEY: ("secretsmanager:GetSecretValue",)}),
    "sam remote invoke ReplayFailures": {
        STACK: ("cloudformation:ListStackResources",),
        "${ReplayFailures.Arn}": (
            "lambda:GetFunctionConfiguration",
            "lambda:InvokeFunction",
        ),
    },
}
"""The permissions of each command. `tag` and `sandbox` use no AWS."""


# ---- calls

_OTHER_ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    # Without the second action, S3 denies access to a missing object instead of saying so
    "s3:GetObject": ("s3:GetObject", "s3:ListBucket"),
    "s3:HeadObject": ("s3:GetObject", "s3:ListBucket"),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "sqs:ChangeMessageVisibilityBatch": ("sqs:ChangeMessageVisibility",),
    "sqs:SendMessageBatch": ("sqs:SendMessage",),
}
"""The actions of operations for which IAM has no action of the same name."""

_PREFIXES: Final = {"monitoring": "cloudwatch"}


def actions_of(
    service: str, operation: str, params: Mapping[str, Any]
) -> tuple[str, ...]:
    """
    The IAM actions that a call needs, the main one first.

    *service* is the name in its signature, *operation* the API's name.
    """
    named = f"{_PREFIXES.get(service, service)}:{operation}"
    first, *others = _OTHER_ACTIONS.get(named, (named,))
    if first == "s3:GetObject" and "VersionId" in params:
        first = "s3:GetObjectVersion"
    return (first, *others)


# ---- policies


def policy(*commands: str, values: Mapping[str, str] | None = None) -> dict[str, Any]:
    """
    The IAM policy that allows these *commands*, with one statement for a resource and its items.

    *values* replace placeholders in resources; see `values_of`. Other placeholders stay.
    """
    permissions = _together(*(PERMISSIONS[command] for command in commands))
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": list(some),
                "Resource": _filled(resource, values or {}),
                **_condition(*keys),
            }
            for resource, actions in permissions.items()
            for keys, some in _by_leading_keys(resource, actions)
        ],
    }


def _by_leading_keys(
    resource: str, actions: Iterable[str]
) -> Iterator[tuple[tuple[str, str], Iterable[str]]]:
    """The actions by their condition; that of an action without one is empty."""
    known = LEADING_KEYS if resource == TABLE else {}

    def condition(action: str) -> tuple[str, str]:
        return known.get(action, ("", ""))

    return groupby(sorted(actions, key=condition), key=condition)


def _condition(operator: str, keys: str) -> dict[str, Any]:
    if not operator:
        return {}
    condition = {f"ForAllValues:{operator}": {"dynamodb:LeadingKeys": [keys]}}
    return {"Condition": condition}


_ARNS: Final = {
    "ResultsTable.Arn": ("dynamodb", "table/{}"),
    "IndexTable.Arn": ("dynamodb", "table/{}"),
    "UploadQueue.Arn": ("sqs", "{}"),
    "DeadLetterQueue.Arn": ("sqs", "{}"),
    "TagUploads.Arn": ("lambda", "function:{}"),
    "ReplayFailures.Arn": ("lambda", "function:{}"),
    "TagUploadsUploads.EventSourceMappingArn": ("lambda", "event-source-mapping:{}"),
    "TagUploadsLog.Arn": ("logs", "log-group:{}:*"),
}


def values_of(stack_id: str, resources: Mapping[str, str]) -> dict[str, str]:
    """
    The values of the placeholders for a deployed stack.

    *stack_id* is its ARN, *resources* are physical ids by logical id, as CloudFormation lists them;
    with an existing bucket, its name is that of `UploadsBucket`.
    """
    _, partition, _, region, account, name = stack_id.split(":")
    values = {
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::AccountId": account,
        "AWS::StackName": name.split("/")[1],
        "ApiKeySecret.Id": resources["ApiKeySecret"],
    }
    for bucket in ("UploadsBucket", "LargeResultsBucket"):
        values[f"{bucket}.Arn"] = f"arn:{partition}:s3:::{resources[bucket]}"
    for placeholder, (service, form) in _ARNS.items():
        physical = resources[placeholder.partition(".")[0]]
        if service == "sqs":
            physical = physical.rpartition("/")[2]  # of a queue, it is the URL
        own = form.format(physical)
        values[placeholder] = f"arn:{partition}:{service}:{region}:{account}:{own}"
    return values


def _filled(resource: str, values: Mapping[str, str]) -> str:
    return re.sub(
        r"\$\{([^}]+)\}", lambda found: values.get(found[1], found[0]), resource
    )
