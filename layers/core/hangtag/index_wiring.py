"""IndexResults on AWS: its clients, apart from those of the other functions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import boto3

from hangtag.adapters.aws_deadline import BotoDeadline
from hangtag.adapters.dynamodb_index import WIDTH, DynamoDBIndex
from hangtag.adapters.dynamodb_stream import oldest_change, read_changes
from hangtag.adapters.idle_connections import MAX_IDLE_SECONDS, limit_idle_time
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.sns_announcer import SnsAnnouncer
from hangtag.adapters.system_clock import SystemClock
from hangtag.adapters.tls_contexts import share_tls_context
from hangtag.indexing import Indexer
from hangtag.ports import Deadline
from hangtag.settings import IndexSettings
from hangtag.time_budget import TimeBudget
from hangtag.wiring import C, client_config, s3_config

TIMEOUT_SECONDS: Final = 60
"""The timeout of the function."""

StreamIndexer = Callable[[dict[str, Any], Deadline], dict[str, Any]]
"""Indexes the changes in an event; returns what the log says about them."""


def stream_indexer(
    settings: IndexSettings,
    *,
    session: boto3.Session | None = None,
    max_idle_seconds: float = MAX_IDLE_SECONDS,
) -> StreamIndexer:
    """The work of IndexResults, on AWS."""
    session = session or boto3.Session()
    budget = TimeBudget.of(TIMEOUT_SECONDS)
    aws_deadline = BotoDeadline(seconds=budget.request)
    config = client_config(
        connections=WIDTH,
        connect_seconds=budget.aws_connect,
        read_seconds=budget.aws_read,
    )

    def prepared(client: C) -> C:
        client = aws_deadline.watch_over(share_tls_context(client))
        return limit_idle_time(client, max_idle_seconds=max_idle_seconds)

    clock = SystemClock()
    sns = prepared(session.client("sns", config=config))
    dynamodb = prepared(session.client("dynamodb", config=config))
    s3 = prepared(session.client("s3", config=s3_config(config)))
    indexer = Indexer(
        DynamoDBIndex(dynamodb, settings.index_table, clock),
        S3LargeResults(s3, settings.large_results_bucket),
        SnsAnnouncer(sns, settings.results_topic_arn),
        clock,
        min_confidence=settings.min_confidence,
        partition=sns.meta.partition,
    )

    def index(event: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        aws_deadline.begin(deadline)
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
