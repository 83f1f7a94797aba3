"""Where real things are chosen; the only maker of clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.http_tagger import HttpTagger
from hangtag.adapters.log_journal import LogJournal
from hangtag.adapters.s3_objects import S3Objects
from hangtag.adapters.secrets_manager_key import SecretsManagerKey
from hangtag.adapters.sns_announcer import SnsAnnouncer
from hangtag.adapters.sqs_queues import SqsDeadLetterQueue, SqsUploadQueue
from hangtag.adapters.system_clock import SystemClock
from hangtag.pipeline import Pipeline, Policy, Ports
from hangtag.settings import TaggingSettings

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


def tagging_pipeline(settings: TaggingSettings, logger: Logger) -> Pipeline:
    """The pipeline of TagUploads, on AWS."""
    session = boto3.Session()
    config = client_config(connections=settings.batch_size)
    clock = SystemClock()
    sqs = session.client("sqs", config=config)
    return Pipeline(
        Ports(
            objects=S3Objects(
                session.client("s3", config=config),
                max_image_bytes=settings.max_image_bytes,
            ),
            api_keys=SecretsManagerKey(
                session.client("secretsmanager", config=config),
                settings.api_key_secret_arn,
                clock,
            ),
            tagger=HttpTagger(settings.tagger_api_url, connections=settings.batch_size),
            results=DynamoDBResults(
                session.client("dynamodb", config=config),
                settings.results_table,
                clock,
            ),
            announcer=SnsAnnouncer(
                session.client("sns", config=config), settings.results_topic_arn
            ),
            dead_letters=SqsDeadLetterQueue(sqs, settings.dead_letter_queue_url),
            upload_queue=SqsUploadQueue(sqs, settings.upload_queue_url),
            journal=LogJournal(logger),
            clock=clock,
        ),
        Policy(
            language=settings.language,
            detection=settings.detection,
            max_attempts=settings.max_attempts,
            retry_base_seconds=settings.retry_base_seconds,
            lease_seconds=settings.function_timeout,
        ),
    )


def client_config(*, connections: int = 10) -> Config:
    """
    Patience and connections of the AWS clients.

    A connection for each thread; timeouts that fit several times into an invocation (botocore's
    own are a minute each).
    """
    return Config(
        connect_timeout=2,
        read_timeout=10,
        max_pool_connections=max(10, connections),
        retries={"mode": "standard", "total_max_attempts": 3},
    )
