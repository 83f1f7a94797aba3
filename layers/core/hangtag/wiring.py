"""The two functions on AWS: the only place in the core where clients are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from hangtag.adapters.aws_deadline import AwsPatience
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.dynamodb_state import DynamoDBBreaker, DynamoDBTurns
from hangtag.adapters.emf_meter import EmfMeter
from hangtag.adapters.http_tagger import HttpTagger
from hangtag.adapters.lambda_mapping import LambdaIntake
from hangtag.adapters.log_journal import LogJournal
from hangtag.adapters.s3_objects import S3Objects
from hangtag.adapters.secrets_manager_key import SecretsManagerKey
from hangtag.adapters.sns_announcer import SnsAlarm, SnsAnnouncer
from hangtag.adapters.sqs_queues import (
    SqsDeadLetterBox,
    SqsDeadLetterQueue,
    SqsUploadQueue,
)
from hangtag.adapters.system_clock import SystemClock
from hangtag.batch import Pipeline
from hangtag.breaker import Breaker
from hangtag.metering import MeteringJournal
from hangtag.operators.ports import DeadLetterBox, FailureBook
from hangtag.operators.replay import Report, replay
from hangtag.operators.replay_request import ReplayOrder
from hangtag.ports import Clock, Deadline
from hangtag.settings import ReplaySettings, TaggingSettings
from hangtag.tagging import Policy, Ports
from hangtag.time_budget import Timing

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


def tagging_pipeline(
    settings: TaggingSettings,
    logger: Logger,
    *,
    function_name: str,
    session: boto3.Session | None = None,
) -> Pipeline:
    """The pipeline of TagUploads, which Lambda knows as *function_name*, on AWS."""
    session = session or boto3.Session()
    timing = Timing.of(settings.function_timeout)
    patience = AwsPatience(seconds=timing.last_aws)
    config = client_config(
        connections=settings.batch_size,
        connect_seconds=timing.aws_connect,
        read_seconds=timing.aws_read,
    )
    clock = SystemClock()
    journal = MeteringJournal(LogJournal(logger), EmfMeter(str(logger.service)), clock)
    sqs = patience.watch_over(session.client("sqs", config=config))
    sns = patience.watch_over(session.client("sns", config=config))
    dynamodb = patience.watch_over(session.client("dynamodb", config=config))
    secrets = patience.watch_over(session.client("secretsmanager", config=config))
    # Presigned URLs are signed the old way else, which KMS does not take
    s3 = patience.watch_over(
        session.client("s3", config=config.merge(Config(signature_version="s3v4")))
    )
    return Pipeline(
        Ports(
            objects=S3Objects(
                s3,
                max_image_bytes=settings.max_image_bytes,
                check_patience=patience.check,
            ),
            api_keys=SecretsManagerKey(secrets, settings.api_key_secret_arn, clock),
            tagger=HttpTagger(settings.tagger_api_url, connections=settings.batch_size),
            results=DynamoDBResults(dynamodb, settings.results_table, clock),
            announcer=SnsAnnouncer(sns, settings.results_topic_arn),
            dead_letters=SqsDeadLetterQueue(sqs, settings.dead_letter_queue_url),
            upload_queue=SqsUploadQueue(sqs, settings.upload_queue_url),
            turns=DynamoDBTurns(dynamodb, settings.results_table, clock),
            breaker=Breaker(
                DynamoDBBreaker(dynamodb, settings.results_table),
                LambdaIntake(
                    lambda: patience.watch_over(
                        session.client("lambda", config=config)
                    ),
                    function_name=function_name,
                    queue_name=queue_name_of(settings.upload_queue_url),
                ),
                SnsAlarm(sns, settings.alarms_topic_arn),
                journal,
                clock,
                invocation_seconds=settings.function_timeout,
                stack_name=settings.stack_name,
            ),
            journal=journal,
            clock=clock,
            patience=patience,
        ),
        Policy(
            language=settings.language,
            detection=settings.detection,
            max_attempts=settings.max_attempts,
            retry_base_seconds=settings.retry_base_seconds,
            lease_seconds=settings.function_timeout,
            timing=timing,
            width=settings.batch_size,
            image_transport=settings.image_transport,
            requests_per_second=settings.max_requests_per_second,
        ),
    )


class Replayer:
    """What carries out orders of ReplayFailures."""

    def __init__(self, box: DeadLetterBox, book: FailureBook, clock: Clock) -> None:
        self._box = box
        self._book = book
        self._clock = clock

    def replay(self, order: ReplayOrder, deadline: Deadline) -> Report:
        """See `hangtag.operators.replay`: the same that the operators' command does."""
        return replay(
            self._box,
            self._book,
            order.meant(),
            clock=self._clock,
            dry_run=order.dryRun,
            limits=order.limits(),
            deadline=deadline,
        )


def failure_replayer(settings: ReplaySettings) -> Replayer:
    """The replayer of ReplayFailures, on AWS."""
    session = boto3.Session()
    config = client_config(read_seconds=5.0)
    clock = SystemClock()
    return Replayer(
        SqsDeadLetterBox(
            session.client("sqs", config=config),
            dead_letter_queue_url=settings.dead_letter_queue_url,
            upload_queue_url=settings.upload_queue_url,
        ),
        DynamoDBResults(
            session.client("dynamodb", config=config), settings.results_table, clock
        ),
        clock,
    )


def client_config(
    *,
    connections: int = 10,
    connect_seconds: float = 2.0,
    read_seconds: float = 10.0,
) -> Config:
    """
    Patience and connections of the AWS clients.

    A connection for each thread; timeouts that fit several times into an invocation (botocore's
    own are a minute each), and one second try. What lasts longer is tried again by those who
    know how much time there is.
    """
    return Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        max_pool_connections=max(10, connections),
        retries={"mode": "standard", "total_max_attempts": 2},
    )


def queue_name_of(url: str) -> str:
    """The name of a queue, as it stands in its URL and in its ARN."""
    return url.rpartition("/")[2]
