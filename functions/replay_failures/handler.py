"""
ReplayFailures: an order in, a report out; see `hangtag.operators.replay_request`.

It does what `hangtag failures replay` does, for those without a shell and for the schedule.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from hangtag.operators.replay_request import read_order
from hangtag.settings import read_replay_settings
from hangtag.wiring import Replayer, failure_replayer

logger = Logger()


@cache
def replayer() -> Replayer:
    """Wired on first use: importing this module needs no environment."""
    return failure_replayer(read_replay_settings(os.environ))


class LambdaDeadline:
    """`Deadline` of a Lambda invocation."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    def seconds_left(self) -> float:
        """Seconds until Lambda stops the function."""
        return self._context.get_remaining_time_in_millis() / 1000


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, object]:
    """Lambda's entry point."""
    order = read_order(event)
    report = replayer().replay(order, LambdaDeadline(context))
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
