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
from hangtag.adapters.sqs_queues import (
    SqsDeadLetterBox,
    SqsDeadLetterQueue,
    SqsUploadQueue,
)
from hangtag.adapters.system_clock import SystemClock
from hangtag.pipeline import Pipeline, Policy, Ports
from hangtag.settings import TaggingSettings

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient


def tagging_pipeline(settings: TaggingSettings, logger: Logger) -> Pipeline:
    """The pipeline of TagUploads, on AWS."""
    session = boto3.Session()
    config = client_config(connections=settings.batch_size)
    clock = SystemClock()
    sqs = session.client("sqs", config=config)
    return Pipeline(
        Ports(
            objects=S3Objects(
                # Presigned URLs are signed the old way else, which KMS does not take
                session.client(
                    "s3", config=config.merge(Config(signature_version="s3v4"))
                ),
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
            image_transport=settings.image_transport,
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


class OperatorAws:
    """
    AWS for the operator's command; each client is made when it is asked for.

    *region* and *endpoint_url* are boto3's own where they are None.

    Raises:
        BotoCoreError: From each method: no such profile, no region.
    """

    def __init__(self, *, region: str | None, endpoint_url: str | None) -> None:
        self._session = boto3.Session(region_name=region)
        self._endpoint_url = endpoint_url

    @property
    def region(self) -> str | None:
        """The region the clients talk to, None where none is set."""
        return self._session.region_name

    def cloudformation(self) -> CloudFormationClient:
        """For the stack's outputs."""
        return self._session.client(
            "cloudformation", endpoint_url=self._endpoint_url, config=client_config()
        )

    def functions(self) -> LambdaClient:
        """For the event source mapping."""
        return self._session.client(
            "lambda", endpoint_url=self._endpoint_url, config=client_config()
        )

    def secrets(self) -> SecretsManagerClient:
        """For setting the API key."""
        return self._session.client(
            "secretsmanager", endpoint_url=self._endpoint_url, config=client_config()
        )

    def queues(self) -> SQSClient:
        """For counting what waits."""
        return self._session.client(
            "sqs", endpoint_url=self._endpoint_url, config=client_config()
        )

    def results(self, table: str) -> DynamoDBResults:
        """The results, to be read."""
        client = self._session.client(
            "dynamodb", endpoint_url=self._endpoint_url, config=client_config()
        )
        return DynamoDBResults(client, table, SystemClock())

    def dead_letter_box(
        self, *, dead_letter_queue_url: str, upload_queue_url: str
    ) -> SqsDeadLetterBox:
        """The dead letters."""
        return SqsDeadLetterBox(
            self.queues(),
            dead_letter_queue_url=dead_letter_queue_url,
            upload_queue_url=upload_queue_url,
        )


def single_tagger(tagger_api_url: str) -> HttpTagger:
    """The Tagger API for one question at a time, without AWS."""
    return HttpTagger(tagger_api_url, connections=1)
