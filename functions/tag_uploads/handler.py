"""
TagUploads: the SQS messages of uploads in, those to be delivered again out.

A bare S3 or EventBridge event, one that reaches the function without the queue, is put on it. The
stack's schedule sends `{"hangtag": "try again"}`, for the breaker.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from hangtag.batch import Invocation, Pipeline
from hangtag.events import RECONCILE, read_deliveries
from hangtag.settings import read_tagging_settings
from hangtag.wiring import tagging_pipeline

logger = Logger()


@cache
def pipeline() -> Pipeline:
    """Wired on first use: importing this module needs no environment."""
    return tagging_pipeline(
        read_tagging_settings(os.environ),
        logger,
        function_name=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
    )


class LambdaDeadline:
    """`Deadline` of a Lambda invocation."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    def seconds_left(self) -> float:
        """Seconds until Lambda stops the function."""
        return self._context.get_remaining_time_in_millis() / 1000


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    invocation = Invocation(context.aws_request_id, LambdaDeadline(context))
    if event == RECONCILE:
        return {"breaker": pipeline().try_again(invocation)}
    deliveries = read_deliveries(event)
    if deliveries is None:
        return {"queued": pipeline().enqueue(event, json.dumps(event), invocation)}
    handed_back = pipeline().tag(deliveries, invocation)
    return {
        "batchItemFailures": [
            {"itemIdentifier": message_id} for message_id in handed_back
        ]
    }
