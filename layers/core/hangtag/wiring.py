"""TagUploads on AWS; the other functions have modules of their own, which it does not load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hangtag.adapters.aws_clients import AwsClients
from hangtag.adapters.dynamodb_breaker import DynamoDBBreaker
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_records import DynamoDBRecords
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.dynamodb_slots import DynamoDBSlots
from hangtag.adapters.emf_metrics import EmfMetrics
from hangtag.adapters.http_tagger import HttpTagger
from hangtag.adapters.idle_connections import MAX_IDLE_SECONDS
from hangtag.adapters.lambda_mapping import LambdaEventSourceMapping
from hangtag.adapters.log_telemetry import LogTelemetry
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.s3_objects import S3Objects
from hangtag.adapters.secrets_manager_key import SecretsManagerKey
from hangtag.adapters.sns_announcer import SnsAnnouncer
from hangtag.adapters.sqs_queues import SqsDeadLetterQueue, SqsUploadQueue
from hangtag.adapters.system_clock import SystemClock
from hangtag.batch import Pipeline
from hangtag.breaker import Breaker
from hangtag.policy import Policy, Ports
from hangtag.rate_limit import RateLimiter
from hangtag.settings import TaggingSettings
from hangtag.telemetry import Fanout
from hangtag.time_budget import TimeBudget

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from botocore.session import Session


def tagging_pipeline(
    settings: TaggingSettings,
    logger: Logger,
    *,
    function_name: str,
    session: Session | None = None,
    max_idle_seconds: float = MAX_IDLE_SECONDS,
) -> Pipeline:
    """The pipeline of TagUploads, which Lambda knows as *function_name*, on AWS."""
    budget = TimeBudget.of(settings.function_timeout)
    clients = AwsClients(
        budget,
        connections=settings.batch_size,
        session=session,
        max_idle_seconds=max_idle_seconds,
    )
    clock = SystemClock()
    telemetry = Fanout(LogTelemetry(logger), EmfMetrics(str(logger.service), clock))
    table = settings.results_table
    dynamodb = clients.direct("dynamodb")
    sns = clients.direct("sns")
    s3 = clients.direct("s3")
    secrets = clients.client("secretsmanager")
    sqs = clients.lazy("sqs")
    large_results = S3LargeResults(s3, settings.large_results_bucket)
    mapping = LambdaEventSourceMapping(
        lambda: clients.client("lambda"),
        function_name=function_name,
        queue_name=queue_name_of(settings.upload_queue_url),
    )
    return Pipeline(
        Ports(
            objects=S3Objects(
                s3,
                max_image_bytes=settings.max_image_bytes,
                check_deadline=clients.deadline.check,
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
            aws_deadline=clients.deadline,
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


def queue_name_of(url: str) -> str:
    """The name of a queue, as it stands in its URL and in its ARN."""
    return url.rpartition("/")[2]
