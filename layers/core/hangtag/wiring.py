"""TagUploads and ReplayFailures on AWS; `index_wiring` makes the clients of IndexResults."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.client import BaseClient
from botocore.config import Config

from hangtag.adapters.aws_deadline import BotoDeadline
from hangtag.adapters.dynamodb_breaker import DynamoDBBreaker
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_records import DynamoDBRecords
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.dynamodb_run_lease import DynamoDBRunLease
from hangtag.adapters.dynamodb_slots import DynamoDBSlots
from hangtag.adapters.emf_metrics import EmfMetrics
from hangtag.adapters.http_tagger import HttpTagger
from hangtag.adapters.idle_connections import MAX_IDLE_SECONDS, limit_idle_time
from hangtag.adapters.lambda_mapping import LambdaEventSourceMapping
from hangtag.adapters.log_telemetry import LogTelemetry
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.s3_objects import S3Objects
from hangtag.adapters.secrets_manager_key import SecretsManagerKey
from hangtag.adapters.sns_announcer import SnsAnnouncer
from hangtag.adapters.sqs_queues import (
    SqsDeadLetterBox,
    SqsDeadLetterQueue,
    SqsUploadQueue,
)
from hangtag.adapters.system_clock import SystemClock
from hangtag.adapters.tls_contexts import share_tls_context
from hangtag.batch import Pipeline
from hangtag.breaker import Breaker
from hangtag.operators.replay import ReplayReport
from hangtag.operators.replay_request import (
    COLD_START_SECONDS,
    LONGEST_SECONDS,
    ReplayRequest,
    carry_out,
)
from hangtag.policy import Policy, Ports
from hangtag.ports import Deadline
from hangtag.rate_limit import RateLimiter
from hangtag.settings import ReplaySettings, TaggingSettings
from hangtag.telemetry import Fanout
from hangtag.time_budget import TimeBudget

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

C = TypeVar("C", bound=BaseClient)


def tagging_pipeline(
    settings: TaggingSettings,
    logger: Logger,
    *,
    function_name: str,
    session: boto3.Session | None = None,
    max_idle_seconds: float = MAX_IDLE_SECONDS,
) -> Pipeline:
    """The pipeline of TagUploads, which Lambda knows as *function_name*, on AWS."""
    session = session or boto3.Session()
    budget = TimeBudget.of(settings.function_timeout)
    aws_deadline = BotoDeadline(seconds=budget.request)
    config = client_config(
        connections=settings.batch_size,
        connect_seconds=budget.aws_connect,
        read_seconds=budget.aws_read,
    )

    def prepared(client: C) -> C:
        client = aws_deadline.watch_over(share_tls_context(client))
        return limit_idle_time(client, max_idle_seconds=max_idle_seconds)

    clock = SystemClock()
    telemetry = Fanout(LogTelemetry(logger), EmfMetrics(str(logger.service), clock))
    table = settings.results_table
    sqs = prepared(session.client("sqs", config=config))
    sns = prepared(session.client("sns", config=config))
    dynamodb = prepared(session.client("dynamodb", config=config))
    secrets = prepared(session.client("secretsmanager", config=config))
    s3 = prepared(session.client("s3", config=s3_config(config)))
    large_results = S3LargeResults(s3, settings.large_results_bucket)
    mapping = LambdaEventSourceMapping(
        lambda: prepared(session.client("lambda", config=config)),
        function_name=function_name,
        queue_name=queue_name_of(settings.upload_queue_url),
    )
    return Pipeline(
        Ports(
            objects=S3Objects(
                s3,
                max_image_bytes=settings.max_image_bytes,
                check_deadline=aws_deadline.check,
            ),
            api_keys=SecretsManagerKey(secrets, settings.api_key_secret_arn, clock),
            tagger=HttpTagger(
                settings.tagger_api_url,
                connections=settings.batch_size,
                max_idle_seconds=max_idle_seconds,
            ),
            snapshots=DynamoDBReader(dynamodb, table, clock, large_results.read),
            records=DynamoDBRecords(dynamodb, table, clock),
            results=DynamoDBResults(
                dynamodb, table, large_results, ttl_days=settings.results_ttl_days
            ),
            announcer=SnsAnnouncer(sns, settings.results_topic_arn),
            dead_letters=SqsDeadLetterQueue(sqs, settings.dead_letter_queue_url),
            upload_queue=SqsUploadQueue(sqs, settings.upload_queue_url),
            rate_limiter=RateLimiter(
                DynamoDBSlots(dynamodb, table),
                clock,
                requests_per_second=settings.max_requests_per_second,
            ),
            breaker=Breaker(
                DynamoDBBreaker(dynamodb, table), mapping, telemetry, clock
            ),
            telemetry=telemetry,
            clock=clock,
            aws_deadline=aws_deadline,
        ),
        Policy(
            language=settings.language,
            detection=settings.detection,
            max_attempts=settings.max_attempts,
            retry_base_seconds=settings.retry_base_seconds,
            lease_seconds=settings.function_timeout,
            budget=budget,
            width=settings.batch_size,
            partition=sns.meta.partition,
            table=table,
            large_results_bucket=settings.large_results_bucket,
            image_transport=settings.image_transport,
            min_confidence=settings.min_confidence,
            results_expire=settings.results_ttl_days > 0,
            selection=settings.selection,
        ),
    )


def failure_replayer(
    settings: ReplaySettings,
    *,
    session: boto3.Session | None = None,
    max_idle_seconds: float = MAX_IDLE_SECONDS,
) -> Callable[[ReplayRequest, Deadline], ReplayReport]:
    """A replay for ReplayFailures, the same as `hangtag failures replay`."""
    session = session or boto3.Session()
    budget = TimeBudget.of(LONGEST_SECONDS)
    aws_deadline = BotoDeadline(seconds=budget.request)
    config = client_config(
        connect_seconds=budget.aws_connect, read_seconds=budget.aws_read
    )

    def prepared(client: C) -> C:
        client = aws_deadline.watch_over(share_tls_context(client))
        return limit_idle_time(client, max_idle_seconds=max_idle_seconds)

    clock = SystemClock()
    box = SqsDeadLetterBox(
        prepared(session.client("sqs", config=config)),
        dead_letter_queue_url=settings.dead_letter_queue_url,
        upload_queue_url=settings.upload_queue_url,
    )
    dynamodb = prepared(session.client("dynamodb", config=config))
    book = DynamoDBFailures(dynamodb, settings.results_table, clock)
    lease = DynamoDBRunLease(dynamodb, settings.results_table)
    waits = iter([COLD_START_SECONDS])  # only the first invocation may have waited

    def replay_failures(request: ReplayRequest, deadline: Deadline) -> ReplayReport:
        aws_deadline.begin(deadline)
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


def client_config(
    *,
    connections: int = 10,
    connect_seconds: float = 2.0,
    read_seconds: float = 10.0,
) -> Config:
    """
    Timeouts, retries and connections of the AWS clients.

    Each thread has a connection. The timeouts fit several times into an invocation (botocore's
    own are a minute each), and botocore retries once. Callers who know how much time is left retry
    further.
    """
    return Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        max_pool_connections=max(10, connections),
        retries={"mode": "standard", "total_max_attempts": 2},
    )


def s3_config(config: Config) -> Config:
    """
    *config* for an S3 client whose presigned URLs name the bucket's region.

    botocore's default is the global endpoint: newer regions refuse it, and for new buckets in other
    regions it redirects, which invalidates the signature. KMS requires signature version 4.
    """
    return config.merge(
        Config(
            signature_version="s3v4",
            s3={
                "addressing_style": "virtual",
                "us_east_1_regional_endpoint": "regional",
            },
        )
    )


def queue_name_of(url: str) -> str:
    """The name of a queue, as it stands in its URL and in its ARN."""
    return url.rpartition("/")[2]
