"""
TagUploads: takes the SQS messages of uploads, and returns those that are to be delivered again.

An event that did not come through the queue, of S3 or of EventBridge, is put on the queue. The
stack's schedule sends `{"hangtag": "try again"}`, for the breaker.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from hangtag.adapters.lambda_deadline import LambdaDeadline
from hangtag.batch import Invocation, Pipeline
from hangtag.events import RECONCILE, read_deliveries
from hangtag.settings import read_tagging_settings
from hangtag.wiring import tagging_pipeline

logger = Logger()


@cache
def pipeline() -> Pipeline:
    """The pipeline of this instance of the function."""
    return tagging_pipeline(
        read_tagging_settings(os.environ),
        logger,
        function_name=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
    )


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entry point."""
    invocation = Invocation(context.aws_request_id, LambdaDeadline(context))
    if event == RECONCILE:
        return {"breaker": pipeline().reconcile(invocation)}
    deliveries = read_deliveries(event)
    if deliveries is None:
        return {"queued": pipeline().enqueue(event, json.dumps(event), invocation)}
    handed_back = pipeline().tag(deliveries, invocation)
    return {
        "batchItemFailures": [
            {"itemIdentifier": message_id} for message_id in handed_back
        ]
    }


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    pipeline()  # in Lambda's init phase; elsewhere an import needs no environment
