"""Where real things are chosen; the only maker of clients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import NoRegionError

from hangtag.adapters.aws_deadline import AwsPatience
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.dynamodb_state import DynamoDBBreaker, DynamoDBTurns
from hangtag.adapters.file_checkpoint import FileCheckpoint
from hangtag.adapters.http_tagger import HttpTagger
from hangtag.adapters.lambda_mapping import LambdaIntake
from hangtag.adapters.log_journal import LogJournal
from hangtag.adapters.s3_listings import S3Inventory, S3Listing
from hangtag.adapters.s3_objects import S3Objects
from hangtag.adapters.secrets_manager_key import SecretsManagerKey
from hangtag.adapters.sns_announcer import SnsAlarm, SnsAnnouncer
from hangtag.adapters.sqs_backfill_queue import SqsUploadFeed
from hangtag.adapters.sqs_queues import (
    SqsDeadLetterBox,
    SqsDeadLetterQueue,
    SqsUploadQueue,
)
from hangtag.adapters.system_clock import SystemClock
from hangtag.batch import Pipeline
from hangtag.breaker import Breaker
from hangtag.metering import MeteringJournal
from hangtag.operators.backfill import Order, Sources
from hangtag.operators.replay import ReplayReport, replay
from hangtag.operators.replay_request import ReplayRequest
from hangtag.operators.switch import Switch
from hangtag.ports import Deadline
from hangtag.settings import ReplaySettings, TaggingSettings
from hangtag.tagging import Policy, Ports
from hangtag.time_budget import Timing

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient


def tagging_pipeline(
    settings: TaggingSettings,
    logger: Logger,
    *,
    function_name: str,
    session: boto3.Session | None = None,
) -> Pipeline:
    """The pipeline of TagUploads, which Lambda knows as *function_name*, on AWS."""
    # Powertools is the function's: the command `hangtag` is installed without it.
    from hangtag.adapters.emf_meter import EmfMeter  # noqa: PLC0415 - as said

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


def failure_replayer(
    settings: ReplaySettings,
) -> Callable[[ReplayRequest, Deadline], ReplayReport]:
    """What ReplayFailures does with a request: the same as `hangtag failures replay`."""
    session = boto3.Session()
    config = client_config(read_seconds=5.0)
    clock = SystemClock()
    box = SqsDeadLetterBox(
        session.client("sqs", config=config),
        dead_letter_queue_url=settings.dead_letter_queue_url,
        upload_queue_url=settings.upload_queue_url,
    )
    dynamodb = session.client("dynamodb", config=config)
    book = DynamoDBFailures(dynamodb, settings.results_table, clock)

    def replay_failures(request: ReplayRequest, deadline: Deadline) -> ReplayReport:
        return replay(
            box,
            book,
            request.meant(),
            clock=clock,
            dry_run=request.dryRun,
            limits=request.limits(),
            deadline=deadline,
        )

    return replay_failures


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


class OperatorAws:
    """
    AWS for the operator's command; each client is made when it is asked for.

    *region* and *endpoint_url* are boto3's own where they are None, or empty.

    Raises:
        BotoCoreError: No such profile, no region; from each method, too.
    """

    def __init__(self, *, region: str | None, endpoint_url: str | None) -> None:
        self._session = boto3.Session(region_name=region or None)
        if not self._session.region_name:
            raise NoRegionError  # an empty one, too, which boto3 takes for the name of one
        self._endpoint_url = endpoint_url

    @property
    def region(self) -> str:
        """The region the clients talk to."""
        return str(self._session.region_name)

    def cloudformation(self) -> CloudFormationClient:
        """For the stack's outputs."""
        return self._session.client(
            "cloudformation", endpoint_url=self._endpoint_url, config=client_config()
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
        return DynamoDBResults(self._tables(), table, SystemClock())

    def failures(self, table: str) -> DynamoDBFailures:
        """The records of failures."""
        return DynamoDBFailures(self._tables(), table, SystemClock())

    def switch(
        self, *, table: str, function_name: str, upload_queue_url: str
    ) -> Switch:
        """What pauses and resumes tagging."""
        return Switch(
            DynamoDBBreaker(self._tables(), table),
            LambdaIntake(
                self._functions,
                function_name=function_name,
                queue_name=queue_name_of(upload_queue_url),
            ),
            SystemClock(),
        )

    def objects(self) -> S3Client:
        """For looking at what an upload's object is now."""
        return self._session.client(
            "s3", endpoint_url=self._endpoint_url, config=client_config()
        )

    def functions(self) -> LambdaClient:
        """For finding a function's log."""
        return self._functions()

    def metrics(self) -> Any:  # noqa: ANN401 - its types are not installed
        """For reading metrics and alarms."""
        return self._session.client(
            "cloudwatch", endpoint_url=self._endpoint_url, config=client_config()
        )

    def logs(self) -> Any:  # noqa: ANN401 - its types are not installed
        """For reading a function's log."""
        return self._session.client(
            "logs", endpoint_url=self._endpoint_url, config=client_config()
        )

    def dead_letter_queue(self, url: str) -> SqsDeadLetterQueue:
        """Where letters are put back."""
        return SqsDeadLetterQueue(self.queues(), url)

    def dead_letter_box(
        self, *, dead_letter_queue_url: str, upload_queue_url: str
    ) -> SqsDeadLetterBox:
        """The dead letters."""
        return SqsDeadLetterBox(
            self.queues(),
            dead_letter_queue_url=dead_letter_queue_url,
            upload_queue_url=upload_queue_url,
        )

    def backfill_sources(
        self, order: Order, *, table: str, upload_queue_url: str, checkpoint: Path
    ) -> Sources:
        """What a backfill reads and writes."""
        listing: S3Listing | S3Inventory
        if order.inventory is None:
            listing = S3Listing(
                self._buckets(), bucket=order.bucket, prefix=order.prefix
            )
        else:
            bucket, _, key = order.inventory.removeprefix("s3://").partition("/")
            listing = S3Inventory(
                self._buckets(),
                manifest_bucket=bucket,
                manifest_key=key,
                bucket=order.bucket,
                prefix=order.prefix,
            )
        return Sources(
            listing=listing,
            results=self.results(table),
            feed=SqsUploadFeed(self.queues(), upload_queue_url),
            checkpoint=FileCheckpoint(checkpoint),
            clock=SystemClock(),
        )

    def _buckets(self) -> S3Client:
        return self._session.client(
            "s3", endpoint_url=self._endpoint_url, config=client_config()
        )

    def _functions(self) -> LambdaClient:
        return self._session.client(
            "lambda", endpoint_url=self._endpoint_url, config=client_config()
        )

    def _tables(self) -> DynamoDBClient:
        return self._session.client(
            "dynamodb", endpoint_url=self._endpoint_url, config=client_config()
        )


def queue_name_of(url: str) -> str:
    """The name of a queue, as it stands in its URL and in its ARN."""
    return url.rpartition("/")[2]


def single_tagger(tagger_api_url: str) -> HttpTagger:
    """The Tagger API for one question at a time, without AWS."""
    return HttpTagger(tagger_api_url, connections=1)
