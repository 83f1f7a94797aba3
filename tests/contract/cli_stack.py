"""A stack in memory for tests of the command `hangtag`."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import boto3
from click.testing import CliRunner, Result

from hangtag.adapters.dynamodb_breaker import DynamoDBBreaker
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_index import DynamoDBIndex
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_records import DynamoDBRecords
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.sqs_queues import SqsDeadLetterQueue
from hangtag.adapters.system_clock import SystemClock
from hangtag.breaker import FAILURES_TO_OPEN
from hangtag.dead_letters import DeadLetter
from hangtag.failure import Failure
from hangtag.index import known_values
from hangtag.lifecycle import Record, Status
from hangtag.results import Document
from hangtag.uploads import SkipReason, Upload
from hangtag_cli.main import cli
from tests.builders import (
    BUCKET,
    KEY,
    NOON,
    a_dead_letter,
    a_failed_record,
    an_upload,
    key_of,
)
from tests.fakes.find import entries_in

TEMPLATE: dict[str, dict[str, Any]] = {
    "Resources": {
        "UploadQueue": {"Type": "AWS::SQS::Queue"},
        "DeadLetterQueue": {"Type": "AWS::SQS::Queue"},
        "LargeResultsBucket": {"Type": "AWS::S3::Bucket"},
        "ResultsTable": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": name, "AttributeType": "S"}
                    for name in ("uri", "version", "statusShard", "endedAt")
                ],
                "KeySchema": [
                    {"AttributeName": "uri", "KeyType": "HASH"},
                    {"AttributeName": "version", "KeyType": "RANGE"},
                ],
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": "ended",
                        "KeySchema": [
                            {"AttributeName": "statusShard", "KeyType": "HASH"},
                            {"AttributeName": "endedAt", "KeyType": "RANGE"},
                        ],
                        "Projection": {"ProjectionType": "KEYS_ONLY"},
                    }
                ],
            },
        },
        "IndexTable": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": name, "AttributeType": "S"}
                    for name in ("tag", "at")
                ],
                "KeySchema": [
                    {"AttributeName": "tag", "KeyType": "HASH"},
                    {"AttributeName": "at", "KeyType": "RANGE"},
                ],
            },
        },
    },
    "Outputs": {
        "UploadQueueUrl": {"Value": {"Ref": "UploadQueue"}},
        "DeadLetterQueueUrl": {"Value": {"Ref": "DeadLetterQueue"}},
        "ResultsTableName": {"Value": {"Ref": "ResultsTable"}},
        "LargeResultsBucketName": {"Value": {"Ref": "LargeResultsBucket"}},
        "IndexTableName": {"Value": {"Ref": "IndexTable"}},
        "TagUploadsFunctionName": {"Value": "TagUploads"},
        "UploadsBucketName": {"Value": BUCKET},
    },
}
"""The parts of the template that the command needs; moto's CloudFormation makes no secrets."""


@dataclass(frozen=True)
class InMemory:
    """The resources of a deployed stack."""

    outputs: dict[str, str]

    def results(self) -> DynamoDBReader:
        """The reader of its results."""
        return DynamoDBReader(
            boto3.client("dynamodb"),
            self.outputs["ResultsTableName"],
            SystemClock(),
            self._large_results().read,
        )

    def _large_results(self) -> S3LargeResults:
        return S3LargeResults(
            boto3.client("s3"), self.outputs["LargeResultsBucketName"]
        )

    def store(self, document: Document, **upload: Any) -> None:  # noqa: ANN401 - builder's
        """Stores the result of an upload as the function does."""
        arrived, ended_at = an_upload(**upload), document["taggedAt"]
        results = DynamoDBResults(
            boto3.client("dynamodb"),
            self.outputs["ResultsTableName"],
            self._large_results(),
        )
        assert results.store(arrived, document, retag=None, fence=1.0) is None
        self._put(arrived, Record(Status.TAGGED, "rev-1", ended_at=ended_at))

    def index(self, document: Document) -> None:
        """Writes the entries of a result as IndexResults does."""
        index = DynamoDBIndex(
            boto3.client("dynamodb"), self.outputs["IndexTableName"], SystemClock()
        )
        index.learn(known_values(document))
        index.put(entries_in(document))

    def fail(self, record: Record, *, key: str) -> None:
        """Writes the record of a failed upload."""
        self._put(an_upload(key), record)

    def skip(self, key: str, reason: SkipReason, *, at: str) -> None:
        """Writes the record of a skipped upload."""
        self._put(
            an_upload(key), Record(Status.SKIPPED, "1", ended_at=at, reason=reason)
        )

    def _put(self, upload: Upload, record: Record) -> None:
        records = DynamoDBRecords(
            boto3.client("dynamodb"), self.outputs["ResultsTableName"], SystemClock()
        )
        assert records.swap((upload.uri, upload.version), None, record) is None

    def breaker(self) -> DynamoDBBreaker:
        """The store of its breaker."""
        return DynamoDBBreaker(
            boto3.client("dynamodb"), self.outputs["ResultsTableName"]
        )

    def open_breaker(self, code: str, message: str) -> None:
        """Opens the breaker as the function does after consecutive systemic failures."""
        for _ in range(FAILURES_TO_OPEN):
            self.breaker().count_failure(code, message)
        self.breaker().open(at=NOON, failures=1)

    def mapping_state(self) -> str:
        """The state of the event source mapping."""
        [mapping] = boto3.client("lambda").list_event_source_mappings()[
            "EventSourceMappings"
        ]
        return mapping["State"]

    def send(self, *letters: DeadLetter) -> None:
        """Sends letters to the dead-letter queue."""
        queue = SqsDeadLetterQueue(
            boto3.client("sqs"), self.outputs["DeadLetterQueueUrl"]
        )
        for letter in letters:
            queue.send(letter)

    def messages(self, output: str) -> list[dict[str, Any]]:
        """The visible messages of a queue."""
        answer = boto3.client("sqs").receive_message(
            QueueUrl=self.outputs[output],
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            VisibilityTimeout=0,
        )
        return [dict(message) for message in answer.get("Messages", [])]

    def secret(self) -> str:
        """The value of the API key's secret."""
        answer = boto3.client("secretsmanager").get_secret_value(
            SecretId=self.outputs["ApiKeySecretArn"]
        )
        return answer["SecretString"]

    def map_queue_to_function(self, *, enabled: bool) -> None:
        """Creates the function and its event source mapping."""
        role = boto3.client("iam").create_role(
            RoleName="tag-uploads", AssumeRolePolicyDocument="{}"
        )
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("handler.py", "")
        functions = boto3.client("lambda")
        functions.create_function(
            FunctionName="TagUploads",
            Runtime="python3.13",
            Role=role["Role"]["Arn"],
            Handler="handler.lambda_handler",
            Code={"ZipFile": code.getvalue()},
        )
        attributes = boto3.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["UploadQueueUrl"], AttributeNames=["QueueArn"]
        )["Attributes"]
        functions.create_event_source_mapping(
            FunctionName="TagUploads",
            EventSourceArn=attributes["QueueArn"],
            Enabled=enabled,
        )


def deploy() -> InMemory:
    """Deploys the stack; needs AWS in memory."""
    arn = boto3.client("secretsmanager").create_secret(Name="api-key")["ARN"]
    outputs = {**TEMPLATE["Outputs"], "ApiKeySecretArn": {"Value": arn}}
    client = boto3.client("cloudformation")
    client.create_stack(
        StackName="hangtag", TemplateBody=json.dumps({**TEMPLATE, "Outputs": outputs})
    )
    (found,) = client.describe_stacks(StackName="hangtag")["Stacks"]
    return InMemory(
        {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
    )


def hangtag(*arguments: str, typed: str | bytes | None = None) -> Result:
    """Runs the command in this process."""
    return CliRunner(mix_stderr=False).invoke(cli, arguments, input=typed)


def fail(stack: InMemory, key: str = KEY, code: str = "807") -> str:
    """Fails an upload as the function does, with a letter and a record; returns the letter's id."""
    upload = an_upload(key)
    queue = SqsDeadLetterQueue(boto3.client("sqs"), stack.outputs["DeadLetterQueueUrl"])
    letter_id = queue.send(a_dead_letter(upload, code=code))
    book = DynamoDBFailures(
        boto3.client("dynamodb"), stack.outputs["ResultsTableName"], SystemClock()
    )
    record = a_failed_record(upload, code=code, letter_id=letter_id)
    assert book.swap(key_of(upload), None, record) is None
    return letter_id


def unreadable_letter() -> DeadLetter:
    """A letter without an image."""
    failure = Failure("UNREADABLE_EVENT", "permanent", "no", "event", 1, NOON)
    return DeadLetter("not json", failure, None, 0, "request-2")
