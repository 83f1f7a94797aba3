"""
Starts MiniStack instead of the `ministack` command, in the local cloud's own Python.

It patches four functions of MiniStack, which have no settings.
"""

import json
from typing import Any

# MiniStack is installed only in the environment in .local/cloud.
from ministack import app  # type: ignore[import-not-found]
from ministack.core import iam_actions  # type: ignore[import-not-found]
from ministack.services import lambda_svc  # type: ignore[import-not-found]

concurrency_of_mapping = lambda_svc._sqs_esm_concurrency  # noqa: SLF001
action_of_lambda = iam_actions._lambda_action  # noqa: SLF001
context_of_dynamodb = iam_actions.dynamodb_service_context

PARTITION_KEY = "uri"  # of the stack's table


def no_port_443(*_: object) -> bool:
    """
    Return False, so that MiniStack does not also listen on port 443, as it does with TLS.

    The stack does not need that port, and a second cloud or a web server may use it.
    """
    return False


def concurrency_as_a_number(mapping: dict[str, Any], *others: object) -> int:
    """
    Return how many batches of an event source mapping may be in flight.

    MiniStack compares this with numbers, but the value of a CloudFormation parameter is a text.
    """
    scaling = mapping.get("ScalingConfig") or {}
    if "MaximumConcurrency" in scaling:
        scaling["MaximumConcurrency"] = int(scaling["MaximumConcurrency"])
    concurrency: int = concurrency_of_mapping(mapping, *others)
    return concurrency


def action_with_updates_of_mappings(method: str, path: str) -> str | None:
    """
    Return the IAM action of a request to Lambda.

    MiniStack has none for an update of an event source mapping, and so allows it to everyone.
    """
    if method == "PUT" and "event-source-mappings" in path.split("/"):
        return "UpdateEventSourceMapping"
    action: str | None = action_of_lambda(method, path)
    return action


def context_with_partition_keys(body: bytes) -> dict[str, Any]:
    """
    Return the condition keys of a request to DynamoDB.

    MiniStack lacks `dynamodb:LeadingKeys`, and so allows each request that a policy limits to some
    items. Queries still have none.
    """
    context: dict[str, Any] = context_of_dynamodb(body)
    request = json.loads(body or b"{}")
    items = [request.get("Key"), request.get("Item")]
    for table in (request.get("RequestItems") or {}).values():
        items += table.get("Keys", []) if isinstance(table, dict) else []
    keys = [item[PARTITION_KEY]["S"] for item in items if PARTITION_KEY in (item or {})]
    return {**context, "dynamodb:LeadingKeys": keys} if keys else context


app._port_is_bindable = no_port_443  # noqa: SLF001
lambda_svc._sqs_esm_concurrency = concurrency_as_a_number  # noqa: SLF001
iam_actions._lambda_action = action_with_updates_of_mappings  # noqa: SLF001
iam_actions.dynamodb_service_context = context_with_partition_keys

app.main()
