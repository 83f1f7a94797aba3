"""IndexResults on AWS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hangtag.adapters.aws_clients import AwsClients
from hangtag.adapters.dynamodb_index import WIDTH, DynamoDBIndex
from hangtag.adapters.dynamodb_stream import oldest_change, read_changes
from hangtag.adapters.idle_connections import MAX_IDLE_SECONDS
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.sns_announcer import SnsAnnouncer
from hangtag.adapters.system_clock import SystemClock
from hangtag.indexing import Indexer
from hangtag.ports import Deadline
from hangtag.settings import IndexSettings
from hangtag.time_budget import TimeBudget

if TYPE_CHECKING:
    from botocore.session import Session

TIMEOUT_SECONDS: Final = 60
"""The timeout of the function."""

StreamIndexer = Callable[[dict[str, Any], Deadline], dict[str, Any]]
"""Indexes the changes in an event; returns what the log says about them."""


def stream_indexer(
    settings: IndexSettings,
    *,
    session: Session | None = None,
    max_idle_seconds: float = MAX_IDLE_SECONDS,
) -> StreamIndexer:
    """The work of IndexResults, on AWS."""
    clients = AwsClients(
        TimeBudget.of(TIMEOUT_SECONDS),
        connections=WIDTH,
        session=session,
        max_idle_seconds=max_idle_seconds,
    )
    clock = SystemClock()
    sns = clients.client("sns")
    dynamodb = clients.client("dynamodb")
    s3 = clients.client("s3")
    indexer = Indexer(
        DynamoDBIndex(dynamodb, settings.index_table, clock),
        S3LargeResults(s3, settings.large_results_bucket),
        SnsAnnouncer(sns, settings.results_topic_arn),
        clock,
        min_confidence=settings.min_confidence,
        partition=sns.meta.partition,
    )

    def index(event: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        clients.deadline.begin(deadline)
        begun = time.monotonic()
        done = indexer.apply(read_changes(event))
        oldest = oldest_change(event)
        return {
            "results": done.results,
            "entriesPut": done.put,
            "entriesRemoved": done.removed,
            "failuresAnnounced": done.announced,
            "milliseconds": round((time.monotonic() - begun) * 1000),
            "lagSeconds": 0 if oldest is None else round(clock.now() - oldest),
        }

    return index
