"""The deployed stack, as the commands read and change it on AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.adapters.dynamodb_breaker import DynamoDBBreaker
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_index import DynamoDBIndex
from hangtag.adapters.dynamodb_index_audit import DynamoDBIndexAudit
from hangtag.adapters.dynamodb_index_reader import DynamoDBIndexReader
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.file_checkpoint import FileCheckpoint
from hangtag.adapters.lambda_mapping import LambdaEventSourceMapping
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.s3_listings import S3Inventory, S3Listing
from hangtag.adapters.sqs_backfill_queue import SqsUploadFeed
from hangtag.adapters.sqs_queues import SqsDeadLetterBox, SqsDeadLetterQueue
from hangtag.adapters.system_clock import SystemClock
from hangtag.operators.backfill import BackfillSources
from hangtag.operators.backfill_start import BackfillRequest
from hangtag.operators.find import Finder
from hangtag.operators.ports import DeadLetterBox, FailureBook
from hangtag.operators.reindex import Tables
from hangtag.operators.switch import Switch
from hangtag.ports import DeadLetterQueue
from hangtag.results import Document
from hangtag.text import to_timestamp
from hangtag.uploads import Upload

from .aws import Aws
from .aws_errors import explain_aws, explained
from .exits import NotDone
from .vitals import Vitals, oldest_seconds, read_vitals

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_s3.type_defs import (
        HeadObjectOutputTypeDef,
        HeadObjectRequestTypeDef,
    )

_LONGEST_INVOCATION = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Messages in the upload queue, as SQS estimates them."""

    waiting: int
    in_flight: int
    """Being worked on, or hidden until their next attempt."""


class Stack:
    """
    A deployed stack. CloudFormation is asked for it when something of it is first needed.

    Every method raises `NotDone` if AWS has no such stack, refuses or fails.
    """

    def __init__(self, name: str, aws: Aws) -> None:
        self.name = name
        self._aws = aws

    @property
    def region(self) -> str:
        """The AWS region of the stack."""
        return self._aws.region

    def bucket(self) -> str:
        """The name of the uploads bucket."""
        return self._output("UploadsBucketName")

    def parameter(self, name: str) -> str | None:
        """The value of a parameter; None if the stack has no such parameter."""
        return self._parameters.get(name)

    def tagger_api_url(self) -> str:
        """
        The URL of the Tagger API that the stack calls, if the API key may be sent there.

        It raises NotDone for other URLs, too, as the function refuses them.
        """
        from hangtag.settings import read_tagger_api_url

        url = self.parameter("TaggerApiUrl")
        if url is None:
            raise NotDone(
                f"The stack {self.name!r} in {self.region} has no parameter TaggerApiUrl: "
                "deploy it again"
            )
        try:
            return read_tagger_api_url(url)
        except ValueError as error:
            raise NotDone(
                f"The stack's TaggerApiUrl cannot be used: {error}. Correct the parameter, and "
                "deploy the stack again"
            ) from error

    # ---- what the operators' use cases of the core work on

    def results(self) -> DynamoDBReader:
        """The results table."""
        return DynamoDBReader(
            self._aws.dynamodb,
            self._output("ResultsTableName"),
            SystemClock(),
            lambda key: self.large_results().read(key),
        )

    def large_results(self) -> S3LargeResults:
        """The results that no item of the table takes."""
        return S3LargeResults(self._aws.s3, self._output("LargeResultsBucketName"))

    def finder(self) -> Finder:
        """The search for results."""
        reader = DynamoDBIndexReader(
            self._aws.dynamodb, self._index_table(), SystemClock()
        )
        return Finder(reader, self.results())

    def index_tables(self) -> Tables:
        """The results and their index, to rebuild it."""
        client, name, clock = self._aws.dynamodb, self._index_table(), SystemClock()
        return Tables(
            results=self.results(),
            reader=DynamoDBIndexReader(client, name, clock),
            audit=DynamoDBIndexAudit(client, name, clock),
            writer=DynamoDBIndex(client, name, clock),
        )

    def failure_book(self) -> FailureBook:
        """The records of its failures."""
        return DynamoDBFailures(
            self._aws.dynamodb, self._output("ResultsTableName"), SystemClock()
        )

    def dead_letters(self, *, to: str | None = None) -> DeadLetterBox:
        """The dead letters; replays go to the upload queue, or to the queue *to*."""
        return SqsDeadLetterBox(
            self._aws.sqs,
            dead_letter_queue_url=self._output("DeadLetterQueueUrl"),
            upload_queue_url=self._queue(to) if to else self._output("UploadQueueUrl"),
        )

    def dead_letter_queue(self) -> DeadLetterQueue:
        """The dead-letter queue, for letters that are restored."""
        return SqsDeadLetterQueue(self._aws.sqs, self._output("DeadLetterQueueUrl"))

    def switch(self) -> Switch:
        """The switch that pauses and resumes tagging."""
        return Switch(
            DynamoDBBreaker(self._aws.dynamodb, self._output("ResultsTableName")),
            LambdaEventSourceMapping(
                lambda: self._aws.functions,
                function_name=self._output("TagUploadsFunctionName"),
                queue_name=_name_of(self._output("UploadQueueUrl")),
            ),
            SystemClock(),
        )

    def backfill_sources(
        self, request: BackfillRequest, *, checkpoint: Path
    ) -> BackfillSources:
        """The ports of a backfill."""
        client, bucket, prefix = self._aws.s3, request.bucket, request.prefix
        listing: S3Listing | S3Inventory
        if request.inventory is None:
            listing = S3Listing(client, bucket=bucket, prefix=prefix)
        else:
            manifest = request.inventory.removeprefix("s3://").partition("/")
            listing = S3Inventory(
                client,
                manifest_bucket=manifest[0],
                manifest_key=manifest[2],
                bucket=bucket,
                prefix=prefix,
            )
        return BackfillSources(
            listing=listing,
            results=self.results(),
            feed=SqsUploadFeed(self._aws.sqs, self._output("UploadQueueUrl")),
            checkpoint=FileCheckpoint(checkpoint),
            clock=SystemClock(),
            partition=client.meta.partition,
        )

    # ---- what the commands ask AWS for themselves

    def object_of(self, upload: Upload) -> Document | None:
        """
        An upload's object version, as S3 describes it now; None if it is gone.

        It is `deleted` if it is there, but below a delete marker.
        """
        current: HeadObjectRequestTypeDef = {"Bucket": upload.bucket, "Key": upload.key}
        if upload.version_id is None:
            found = self._head(current)
            is_deleted = False
        else:
            found = self._head({**current, "VersionId": upload.version_id})
            is_deleted = found is not None and self._head(current) is None
        if found is None:
            return None
        return {
            "deleted": is_deleted,
            "versionId": found.get("VersionId"),
            "etag": found["ETag"].strip('"'),
            "size": found["ContentLength"],
            "lastModified": to_timestamp(found["LastModified"].timestamp()),
            "metadata": dict(found["Metadata"]),
        }

    def _head(self, wanted: HeadObjectRequestTypeDef) -> HeadObjectOutputTypeDef | None:
        """An object or a version of it; None if it is gone."""
        client = self._aws.s3
        with explained():
            try:
                return client.head_object(**wanted)
            except ClientError as error:
                # 405: the version is a delete marker
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 405):
                    return None
                raise

    def log_of(self, request_id: str, *, around: datetime) -> list[str]:
        """The log lines of one invocation of the tagging function, *around* that time."""
        name = self._output("TagUploadsFunctionName")
        functions, logs = self._aws.functions, self._aws.logs
        with explained():
            function = functions.get_function_configuration(FunctionName=name)
            group = function.get("LoggingConfig", {}).get("LogGroup")
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group or f"/aws/lambda/{name}",
                filterPattern=json.dumps(request_id),
                **_times(around),
            )
            lines = [event["message"] for page in pages for event in page["events"]]
        return [line.rstrip() for line in lines if request_id in line]

    def count_uploads(self) -> QueueCounts:
        """The messages in the upload queue."""
        url = self._output("UploadQueueUrl")
        client = self._aws.sqs
        with explained():
            attributes = client.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesDelayed",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
        return QueueCounts(
            waiting=int(attributes["ApproximateNumberOfMessages"])
            + int(attributes["ApproximateNumberOfMessagesDelayed"]),
            in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )

    def vitals(self) -> Vitals:
        """The state of the stack now, from CloudWatch and Secrets Manager."""
        return read_vitals(
            self._aws.cloudwatch,
            self._aws.secrets,
            stack_name=self.name,
            upload_queue=_name_of(self._output("UploadQueueUrl")),
            dead_letter_queue=_name_of(self._output("DeadLetterQueueUrl")),
            secret_arn=self._output("ApiKeySecretArn"),
            now=datetime.now(UTC),
        )

    def oldest_upload_seconds(self) -> float | None:
        """The age of the oldest message on the upload queue; None if it is unknown."""
        return oldest_seconds(
            self._aws.cloudwatch,
            queue=_name_of(self._output("UploadQueueUrl")),
            now=datetime.now(UTC),
        )

    def api_key(self) -> str:
        """The value of the API key's secret. It must not be shown."""
        arn = self._output("ApiKeySecretArn")
        client = self._aws.secrets
        with explained():
            try:
                found = client.get_secret_value(SecretId=arn)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                raise NotDone(
                    "The secret has no value yet: set it with `hangtag key set`"
                ) from error
        return found.get("SecretString", "")

    def store_api_key(self, secret: str) -> str:
        """Store *secret* as the value of the API key's secret; returns the secret's ARN."""
        arn = self._output("ApiKeySecretArn")
        client = self._aws.secrets
        with explained():
            client.put_secret_value(SecretId=arn, SecretString=secret)
        return arn

    def _queue(self, named: str) -> str:
        """The URL of the queue that --to names, if dead letters can be replayed to it."""
        url = self._queue_url(named)
        if url.endswith(".fifo"):
            raise NotDone(
                f"The queue {named} is a FIFO queue, which dead letters cannot go to: name a "
                "standard queue"
            )
        if urlsplit(url).path == urlsplit(self._output("DeadLetterQueueUrl")).path:
            raise NotDone(
                f"The queue {named} is the stack's dead-letter queue: dead letters replayed to it "
                "would return to it, without their error codes"
            )
        return url

    def _queue_url(self, named: str) -> str:
        client = self._aws.sqs
        *arn, name = named.split(":") if named.startswith("arn:") else (named,)
        if arn and arn[3] != self.region:
            raise NotDone(
                f"The queue {named} is in {arn[3]}, but the stack is in {self.region}: name a "
                "queue in the stack's region"
            )
        try:
            if "://" in named:
                url = named
            elif arn:
                url = client.get_queue_url(
                    QueueName=name, QueueOwnerAWSAccountId=arn[4]
                )["QueueUrl"]
            else:
                url = client.get_queue_url(QueueName=name)["QueueUrl"]
            client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        except (BotoCoreError, ClientError) as error:
            raise NotDone(
                f"The queue {named} cannot be used: {explain_aws(error).rstrip('.')}. "
                "`aws sqs list-queues` lists the queues"
            ) from error
        return url

    def _index_table(self) -> str:
        """The name of the index table."""
        self._output("ResultsTableName")  # else, it is another stack
        try:
            return self._output("IndexTableName")
        except NotDone as error:
            raise NotDone(
                f"The stack {self.name!r} in {self.region} has no output IndexTableName, so its "
                "results cannot be searched: deploy this version of the template, then run "
                "`hangtag results reindex --yes` once"
            ) from error

    def _output(self, name: str) -> str:
        outputs = {
            output["OutputKey"]: output["OutputValue"]
            for output in self._description.get("Outputs", [])
        }
        if name not in outputs:
            raise NotDone(
                f"The stack {self.name!r} in {self.region} "
                f"({self._description['StackStatus']}) has no output {name}: is it a Hangtag "
                "stack, and completely deployed? Name another one with --stack or HANGTAG_STACK"
            )
        return outputs[name]

    @property
    def _parameters(self) -> dict[str, str]:
        return {
            parameter["ParameterKey"]: parameter.get("ParameterValue", "")
            for parameter in self._description.get("Parameters", [])
        }

    @cached_property
    def _description(self) -> StackTypeDef:
        """The stack as CloudFormation describes it."""
        client = self._aws.cloudformation
        with explained():
            try:
                return client.describe_stacks(StackName=self.name)["Stacks"][0]
            except ClientError as error:
                # The code for a stack that is not there, and for an impossible name
                if error.response["Error"]["Code"] != "ValidationError":
                    raise
                raise NotDone(
                    f"There is no stack {self.name!r} in {self.region}: deploy it with "
                    "`sam deploy`, or name another one with --stack or HANGTAG_STACK, or "
                    "another region with --region"
                ) from error


def _name_of(queue_url: str) -> str:
    return queue_url.rpartition("/")[2]


def _times(around: datetime) -> dict[str, int]:
    """When an invocation may have logged; a handmade letter may name any time, such as year 1."""
    milliseconds = int(around.timestamp() * 1000)
    longest = int(_LONGEST_INVOCATION.total_seconds() * 1000)
    return {
        "startTime": max(0, milliseconds - longest),
        "endTime": max(0, milliseconds + longest),
    }
