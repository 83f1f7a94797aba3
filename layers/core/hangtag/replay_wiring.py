"""ReplayFailures on AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hangtag.adapters.aws_clients import AwsClients
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_run_lease import DynamoDBRunLease
from hangtag.adapters.idle_connections import MAX_IDLE_SECONDS
from hangtag.adapters.sqs_queues import SqsDeadLetterBox
from hangtag.adapters.system_clock import SystemClock
from hangtag.operators.replay import ReplayReport
from hangtag.operators.replay_request import (
    COLD_START_SECONDS,
    LONGEST_SECONDS,
    ReplayRequest,
    carry_out,
)
from hangtag.ports import Deadline
from hangtag.settings import ReplaySettings
from hangtag.time_budget import TimeBudget

if TYPE_CHECKING:
    from botocore.session import Session


def failure_replayer(
    settings: ReplaySettings,
    *,
    session: Session | None = None,
    max_idle_seconds: float = MAX_IDLE_SECONDS,
) -> Callable[[ReplayRequest, Deadline], ReplayReport]:
    """A replay for ReplayFailures, the same as `hangtag failures replay`."""
    clients = AwsClients(
        TimeBudget.of(LONGEST_SECONDS),
        session=session,
        max_idle_seconds=max_idle_seconds,
    )
    clock = SystemClock()
    box = SqsDeadLetterBox(
        clients.client("sqs"),
        dead_letter_queue_url=settings.dead_letter_queue_url,
        upload_queue_url=settings.upload_queue_url,
    )
    dynamodb = clients.client("dynamodb")
    book = DynamoDBFailures(dynamodb, settings.results_table, clock)
    lease = DynamoDBRunLease(dynamodb, settings.results_table)
    waits = iter([COLD_START_SECONDS])  # only the first invocation may have waited

    def replay_failures(request: ReplayRequest, deadline: Deadline) -> ReplayReport:
        clients.deadline.begin(deadline)
        return carry_out(
            request,
            box,
            book,
            lease,
            clock=clock,
            deadline=deadline,
            waited_seconds=next(waits, 0.0),
        )

    return replay_failures
