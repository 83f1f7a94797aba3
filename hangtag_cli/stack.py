"""The deployed stack: what the commands need of AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.operators.backfill import Order, Sources
from hangtag.operators.ports import DeadLetterBox, FailureBook
from hangtag.operators.switch import Switch
from hangtag.ports import DeadLetterQueue
from hangtag.results import Document
from hangtag.text import to_timestamp
from hangtag.uploads import Upload
from hangtag.wiring import OperatorAws

from .app import NotDone
from .troubles import aws_told, sentence
from .vitals import Vitals, read_vitals

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_s3.type_defs import HeadObjectRequestTypeDef

_Arguments = ParamSpec("_Arguments")
_Client = TypeVar("_Client")


def open_stack(name: str, *, region: str | None, endpoint_url: str | None) -> Stack:
    """
    The stack of this *name*; AWS is asked for it when something of it is needed.

    Raises:
        NotDone: There is no such AWS profile, or no region is known.
    """
    with aws_told():
        return Stack(name, OperatorAws(region=region, endpoint_url=endpoint_url))


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Messages in the upload queue, as SQS estimates them."""

    waiting: int
    in_flight: int
    """Being worked on, or hidden until their next attempt."""


class Stack:
    """
    A deployed stack.

    Every method raises `NotDone` when AWS has no such stack, refuses or fails.
    """

    def __init__(self, name: str, aws: OperatorAws) -> None:
        self.name = name
        self._aws = aws

    @property
    def region(self) -> str:
        """Where it is."""
        return self._aws.region

    def results(self) -> DynamoDBResults:
        """Its results."""
        return _made(self._aws.results, self._output("ResultsTableName"))

    def failure_book(self) -> FailureBook:
        """The records of its failures."""
        return _made(self._aws.failures, self._output("ResultsTableName"))

    def dead_letters(self, *, to: str | None = None) -> DeadLetterBox:
        """Its dead letters; they are replayed to its upload queue, or this (URL, ARN or name)."""
        return _made(
            self._aws.dead_letter_box,
            dead_letter_queue_url=self._output("DeadLetterQueueUrl"),
            upload_queue_url=self._queue(to) if to else self._output("UploadQueueUrl"),
        )

    def _queue(self, named: str) -> str:
        """The URL of a queue that is there, and is no dead end."""
        client = _made(self._aws.queues)
        *arn, name = named.split(":") if named.startswith("arn:") else (named,)
        if arn and arn[3] != self.region:
            raise NotDone(
                f"The queue {named} is in {arn[3]}, and the stack in {self.region}: name one there"
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
                f"The queue {named} cannot be used: {sentence(error).rstrip('.')}. "
                "`aws sqs list-queues` tells which there are"
            ) from error
        if url.endswith(".fifo"):
            raise NotDone(
                f"The queue {named} keeps an order, which letters have not: name a standard queue"
            )
        if urlsplit(url).path == urlsplit(self._output("DeadLetterQueueUrl")).path:
            raise NotDone(
                f"The queue {named} is the stack's dead-letter queue: what is replayed to it would "
                "be back at once, without its code"
            )
        return url

    def dead_letter_queue(self) -> DeadLetterQueue:
        """Where letters are put back."""
        return _made(self._aws.dead_letter_queue, self._output("DeadLetterQueueUrl"))

    def object_of(self, upload: Upload) -> Document | None:
        """What S3 says of an upload's object version now; None where it is gone."""
        order: HeadObjectRequestTypeDef = {"Bucket": upload.bucket, "Key": upload.key}
        if upload.version_id is not None:
            order["VersionId"] = upload.version_id
        client = _made(self._aws.objects)
        with aws_told():
            try:
                found = client.head_object(**order)
            except ClientError as error:
                # 405: the version is a delete marker
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 405):
                    return None
                raise
        return {
            "versionId": found.get("VersionId"),
            "etag": found["ETag"].strip('"'),
            "size": found["ContentLength"],
            "lastModified": to_timestamp(found["LastModified"].timestamp()),
            "metadata": dict(found["Metadata"]),
        }

    def log_of(self, request_id: str, *, around: datetime) -> list[str]:
        """What the tagging function has logged in one invocation, about that time."""
        name = self._output("TagUploadsFunctionName")
        functions, logs = _made(self._aws.functions), _made(self._aws.logs)
        with aws_told():
            function = functions.get_function_configuration(FunctionName=name)
            group = function.get("LoggingConfig", {}).get("LogGroup")
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group or f"/aws/lambda/{name}",
                filterPattern=json.dumps(request_id),
                startTime=_milliseconds(around - _LONGEST_INVOCATION),
                endTime=_milliseconds(around + _LONGEST_INVOCATION),
            )
            lines = [event["message"] for page in pages for event in page["events"]]
        return [line.rstrip() for line in lines if request_id in line]

    def count_uploads(self) -> QueueCounts:
        """What is in the upload queue."""
        url = self._output("UploadQueueUrl")
        client = _made(self._aws.queues)
        with aws_told():
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

    def switch(self) -> Switch:
        """What pauses and resumes its tagging."""
        return _made(
            self._aws.switch,
            table=self._output("ResultsTableName"),
            function_name=self._output("TagUploadsFunctionName"),
            upload_queue_url=self._output("UploadQueueUrl"),
        )

    def bucket(self) -> str:
        """The name of the bucket whose uploads it tags."""
        return self._output("UploadsBucketName")

    def parameter(self, name: str) -> str | None:
        """What it was deployed with, or None where that is not told."""
        return self._parameters.get(name)

    def backfill_sources(self, order: Order, *, checkpoint: Path) -> Sources:
        """What a backfill of it reads and writes."""
        return _made(
            self._aws.backfill_sources,
            order,
            table=self._output("ResultsTableName"),
            upload_queue_url=self._output("UploadQueueUrl"),
            checkpoint=checkpoint,
        )

    def store_api_key(self, secret: str) -> str:
        """Make *secret* the value of the API key's secret; the secret's ARN."""
        arn = self._output("ApiKeySecretArn")
        client = _made(self._aws.secrets)
        with aws_told():
            client.put_secret_value(SecretId=arn, SecretString=secret)
        return arn

    def vitals(self) -> Vitals:
        """What CloudWatch and Secrets Manager tell of it now; what is not told is unknown."""
        return read_vitals(
            _made(self._aws.metrics),
            _made(self._aws.secrets),
            stack_name=self.name,
            upload_queue=self._output("UploadQueueUrl").rpartition("/")[2],
            dead_letter_queue=self._output("DeadLetterQueueUrl").rpartition("/")[2],
            secret_arn=self._output("ApiKeySecretArn"),
            now=datetime.now(UTC),
        )

    def api_key(self) -> str:
        """The value of the API key's secret: a secret, never to be shown."""
        arn = self._output("ApiKeySecretArn")
        client = _made(self._aws.secrets)
        with aws_told():
            try:
                found = client.get_secret_value(SecretId=arn)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                raise NotDone(
                    "The secret has no value yet: set it with `hangtag key set`"
                ) from error
        return found.get("SecretString", "")

    def tagger_api_url(self) -> str:
        """Where its Tagger API answers."""
        url = self.parameter("TaggerApiUrl")
        if url is None:
            raise NotDone(
                f"The stack {self.name!r} in {self.region} does not tell its TaggerApiUrl: "
                "deploy it again"
            )
        return url

    def _output(self, name: str) -> str:
        status, outputs = self._description
        if name not in outputs:
            raise NotDone(
                f"The stack {self.name!r} in {self.region} ({status}) has no output {name}: "
                "is it deployed completely, and is it Hangtag's? Name another with --stack "
                "or HANGTAG_STACK"
            )
        return outputs[name]

    @property
    def _description(self) -> tuple[str, dict[str, str]]:
        """The stack's status and its outputs."""
        found = self._found
        outputs = {
            output["OutputKey"]: output["OutputValue"]
            for output in found.get("Outputs", [])
        }
        return found["StackStatus"], outputs

    @property
    def _parameters(self) -> dict[str, str]:
        return {
            parameter["ParameterKey"]: parameter.get("ParameterValue", "")
            for parameter in self._found.get("Parameters", [])
        }

    @cached_property
    def _found(self) -> StackTypeDef:
        """The stack as CloudFormation describes it; asked for once."""
        client = _made(self._aws.cloudformation)
        with aws_told():
            try:
                return client.describe_stacks(StackName=self.name)["Stacks"][0]
            except ClientError as error:
                # Also for a name that no stack could have
                if error.response["Error"]["Code"] != "ValidationError":
                    raise
                raise NotDone(
                    f"There is no stack {self.name!r} in {self.region}: deploy it with "
                    "`sam deploy`, or name another with --stack or HANGTAG_STACK, or "
                    "another region with --region"
                ) from error


_LONGEST_INVOCATION = timedelta(minutes=15)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _made(
    make: Callable[_Arguments, _Client],
    *args: _Arguments.args,
    **kwargs: _Arguments.kwargs,
) -> _Client:
    """A client, or something on one."""
    try:
        with aws_told():
            return make(*args, **kwargs)
    except ValueError as error:  # what botocore says of an endpoint that is no URL
        raise NotDone(
            f"{error}: correct AWS_ENDPOINT_URL, or endpoint_url in your AWS configuration"
        ) from error
