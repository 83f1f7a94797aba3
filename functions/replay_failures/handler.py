"""
ReplayFailures: a request in, a report out; see `hangtag.operators.replay_request`.

It does what `hangtag failures replay` does, for the schedule and for people without a shell.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from hangtag.adapters.lambda_deadline import LambdaDeadline
from hangtag.operators.replay import ReplayReport
from hangtag.operators.replay_request import ReplayRequest, read_request
from hangtag.ports import Deadline
from hangtag.settings import read_replay_settings
from hangtag.wiring import failure_replayer

logger = Logger()


@cache
def replayer() -> Callable[[ReplayRequest, Deadline], ReplayReport]:
    """Wired on first use: importing this module needs no environment."""
    return failure_replayer(read_replay_settings(os.environ))


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, object]:
    """Lambda's entry point."""
    request = read_request(event)
    deadline = LambdaDeadline(context, most_seconds=request.maxSeconds)
    report = replayer()(request, deadline)
    logger.info(
        "replayed",
        extra={
            **report.document(),
            "cameBack": report.came_back,
            "unseen": report.unseen,
            "troubles": list(dict.fromkeys(report.troubles)),
        },
    )
    return report.document()
