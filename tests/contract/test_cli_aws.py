"""The command `hangtag` against a stack in memory."""

from __future__ import annotations

import io
import json
import re
import socket
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from hangtag.adapters.dynamodb_breaker import DynamoDBBreaker
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_records import DynamoDBRecords
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.sqs_queues import SqsDeadLetterQueue
from hangtag.adapters.system_clock import SystemClock
from hangtag.breaker import FAILURES_TO_OPEN
from hangtag.dead_letters import DeadLetter
from hangtag.failure import Failure
from hangtag.lifecycle import Record, Status
from hangtag.ports import BreakerState
from hangtag.results import Document
from hangtag.text import to_timestamp
from hangtag.uploads import SkipReason, Upload
from hangtag_cli.main import cli
from tests.builders import (
    BUCKET,
    KEY,
    NOON,
    URI,
    a_dead_letter,
    a_failed_record,
    a_result,
    an_upload,
    key_of,
)
from tests.environment import REGION

_Adapter = TypeVar("_Adapter")

UUID_LENGTH = 36

TEMPLATE: dict[str, dict[str, Any]] = {
    "Resources": {
        "UploadQueue": {"Type": "AWS::SQS::Queue"},
        "DeadLetterQueue": {"Type": "AWS::SQS::Queue"},
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
    },
    "Outputs": {
        "UploadQueueUrl": {"Value": {"Ref": "UploadQueue"}},
        "DeadLetterQueueUrl": {"Value": {"Ref": "DeadLetterQueue"}},
        "ResultsTableName": {"Value": {"Ref": "ResultsTable"}},
        "TagUploadsFunctionName": {"Value": "TagUploads"},
    },
}
"""The parts of the template that the command needs; moto's CloudFormation makes no secrets."""


@dataclass(frozen=True)
class InMemory:
    """The resources of a deployed stack."""

    outputs: dict[str, str]

    def results(self) -> DynamoDBReader:
        """The reader of its results."""
        return self._of_the_table(DynamoDBReader)

    def store(self, document: Document, **upload: Any) -> None:  # noqa: ANN401 - builder's
        """Stores the result of an upload as the function does."""
        arrived, ended_at = an_upload(**upload), document["taggedAt"]
        results = self._of_the_table(DynamoDBResults)
        assert results.store(arrived, document, retag=None, fence=1.0)
        self._put(arrived, Record(Status.TAGGED, "rev-1", ended_at=ended_at))

    def fail(self, record: Record, *, key: str) -> None:
        """Writes the record of a failed upload."""
        self._put(an_upload(key), record)

    def skip(self, key: str, reason: SkipReason, *, at: str) -> None:
        """Writes the record of a skipped upload."""
        self._put(
            an_upload(key), Record(Status.SKIPPED, "1", ended_at=at, reason=reason)
        )

    def _put(self, upload: Upload, record: Record) -> None:
        records = self._of_the_table(DynamoDBRecords)
        assert records.swap((upload.uri, upload.version), None, record) is None

    def _of_the_table(self, adapter: Callable[..., _Adapter]) -> _Adapter:
        name = self.outputs["ResultsTableName"]
        return adapter(boto3.client("dynamodb"), name, SystemClock())

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


@pytest.fixture
def cloud() -> Iterator[None]:
    """AWS in memory, with functions that need no Docker."""
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield


@pytest.fixture
def stack(cloud: None) -> InMemory:  # noqa: ARG001 - the stack is in it
    """A deployed stack."""
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


def unreadable_letter() -> DeadLetter:
    """A letter without an image."""
    failure = Failure("UNREADABLE_EVENT", "permanent", "no", "event", 1, NOON)
    return DeadLetter("not json", failure, None, 0, "request-2")


# ---- results show


@pytest.mark.parametrize(
    "arguments",
    [["--json", "results", "show", URI], ["results", "show", "--json", URI]],
)
def test_a_result_is_printed_on_one_line_with_all_digits(
    stack: InMemory, arguments: list[str]
) -> None:
    """Programs read the API's values."""
    stack.store(a_result())

    shown = hangtag(*arguments)

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.count("\n") == 1
    assert '"confidence": 0.7787289023' in shown.stdout
    result = json.loads(shown.stdout)
    assert (result["status"], result["image"]["uri"]) == ("TAGGED", URI)


@pytest.mark.parametrize(
    "key", ["summer sale/50%25+off?.jpg", "드레스 #1.jpg", "a//b/", "[red]x[/red]"]
)
def test_a_uri_has_the_raw_key(stack: InMemory, key: str) -> None:
    """It is neither decoded nor cut off."""
    upload = an_upload(key)
    stack.store(a_result(upload), key=key)

    shown = hangtag("results", "show", upload.uri)

    assert shown.exit_code == 0
    assert upload.uri in shown.stdout


def test_the_result_of_a_failed_upload_is_shown(stack: InMemory) -> None:
    """It has status FAILED and the failure."""
    fail(stack)

    for_programs = hangtag("--json", "results", "show", URI)
    for_people = hangtag("results", "show", URI)

    assert for_programs.exit_code == 0
    assert json.loads(for_programs.stdout)["failure"]["code"] == "807"
    assert "uploader" in for_people.stdout


def test_without_a_result_stdout_is_empty(stack: InMemory) -> None:
    """A script reads the exit status; stderr says where to look."""
    assert stack.outputs

    shown = hangtag("--json", "results", "show", URI)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "hangtag status" in shown.stderr
    assert "hangtag failures list" in shown.stderr


# ---- failures


def test_letters_are_listed_newest_first_and_stay_visible(stack: InMemory) -> None:
    """The list has one line of JSON per letter, with its id."""
    older = DeadLetter(
        "{}",
        Failure("807", "permanent", "Too small.", "api", 2, "2026-11-21T00:00:00.000Z"),
        URI,
        3,
        "request-1",
    )
    stack.send(older, unreadable_letter())

    shown = hangtag("--json", "failures", "list")

    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [len(line.pop("id")) for line in lines] == [UUID_LENGTH, UUID_LENGTH]
    assert lines == [
        {
            "image": None,
            "code": "UNREADABLE_EVENT",
            "kind": "permanent",
            "source": "event",
            "message": "no",
            "attempts": 1,
            "replays": 0,
            "failedAt": NOON,
        },
        {
            "image": URI,
            "code": "807",
            "kind": "permanent",
            "source": "api",
            "message": "Too small.",
            "attempts": 2,
            "replays": 3,
            "failedAt": "2026-11-21T00:00:00.000Z",
        },
    ]
    assert len(stack.messages("DeadLetterQueueUrl")) == 2


def test_letters_hidden_by_another_reader_are_counted(stack: InMemory) -> None:
    """They are hidden for half a minute; the message says that they exist."""
    stack.send(a_dead_letter(), a_dead_letter(), a_dead_letter())
    boto3.client("sqs").receive_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], MaxNumberOfMessages=2
    )

    stack.map_queue_to_function(enabled=True)

    shown = hangtag("failures", "list")
    status = hangtag("status")

    assert "2 letters more in the queue could not be seen" in shown.stderr
    assert "1, and 2 that another reader has received" in status.stdout


def test_letters_can_be_listed_by_code(stack: InMemory) -> None:
    """Other causes are left out."""
    stack.send(a_dead_letter(code="807"), a_dead_letter(code="823"))

    shown = hangtag("failures", "list", "--code", "823", "--json")

    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [line["code"] for line in lines] == ["823"]


def test_a_letter_is_shown_by_its_image_and_by_its_id(stack: InMemory) -> None:
    """The output has advice, versions and the body."""
    stack.send(a_dead_letter(code="807"), unreadable_letter())

    by_image = json.loads(hangtag("--json", "failures", "show", URI).stdout)
    by_id = json.loads(hangtag("--json", "failures", "show", by_image["id"]).stdout)

    assert by_id == by_image
    assert by_image["who"] == "uploader"
    assert by_image["advice"] == "Upload a larger picture."
    assert by_image["requestId"] == "request-1"
    assert by_image["uploads"][0]["versionId"] == "version-1"
    assert json.loads(by_image["body"])["Records"]


def test_a_replay_sends_the_notification_to_the_upload_queue(stack: InMemory) -> None:
    """A dry run comes first; the sent message has the count of replays."""
    letter = a_dead_letter(code="807", replays=1)
    stack.send(letter, a_dead_letter(code="823"))

    rehearsed = hangtag("--json", "failures", "replay", "--code", "807")
    untouched = len(stack.messages("DeadLetterQueueUrl"))
    replayed = hangtag("--json", "failures", "replay", "--code", "807", "--yes")

    assert (rehearsed.exit_code, untouched, replayed.exit_code) == (0, 2, 0)
    assert json.loads(replayed.stdout) == {
        "matched": 1,
        "done": 1,
        "skipped": 0,
        "left": 0,
        "dryRun": False,
        "byCode": {"807": 1},
    }
    (message,) = stack.messages("UploadQueueUrl")
    assert message["Body"] == letter.body
    assert message["MessageAttributes"]["Replays"]["StringValue"] == "2"
    (left,) = stack.messages("DeadLetterQueueUrl")
    assert left["MessageAttributes"]["ErrorCode"]["StringValue"] == "823"


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


def listed(*arguments: str) -> list[dict[str, Any]]:
    """The output of `failures list`."""
    shown = hangtag("--json", "failures", "list", *arguments)
    assert shown.exit_code == 0
    return [json.loads(line) for line in shown.stdout.splitlines()]


def test_a_failure_with_record_and_letter_is_listed_once(stack: InMemory) -> None:
    """It has its letter's id and the documented shape."""
    letter_id = fail(stack)

    assert listed() == [
        {
            "id": letter_id,
            "image": URI,
            "code": "807",
            "kind": "permanent",
            "source": "api",
            "message": "Too small.",
            "attempts": 1,
            "replays": 0,
            "failedAt": NOON,
        }
    ]


def test_failures_are_listed_by_filters_and_up_to_a_limit(stack: InMemory) -> None:
    """The summary for people counts all matches."""
    fail(stack, "summer/a.png")
    fail(stack, "summer/b.png", "823")
    fail(stack, "winter/c.png")

    by_key = listed("--prefix", "summer/")
    by_uri = listed("--prefix", f"s3://{BUCKET}/winter")
    for_people = hangtag("failures", "list", "--limit", "1")

    assert {line["code"] for line in by_key} == {"807", "823"}
    assert len(by_uri) == 1
    assert listed("--kind", "transient") == []
    assert listed("--since", "2026-11-23") == listed("--attempts", "2") == []
    assert len(listed("--until", "2026-11-23", "--limit", "2")) == 2
    assert "... and 2 older ones" in for_people.stdout
    assert "uploader" in for_people.stdout


def test_a_shown_letter_has_its_object_and_its_log(stack: InMemory) -> None:
    """
    It shows the object's current state. A log that cannot be read is reported, but is no error.
    """
    stack.map_queue_to_function(enabled=True)
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )
    put = s3.put_object(
        Bucket=BUCKET, Key=KEY, Body=b"12345", Metadata={"tagger-id": "A-1"}
    )
    upload = an_upload(version_id=put["VersionId"])
    stack.send(a_dead_letter(upload), a_dead_letter(an_upload("gone.jpg")))

    shown = json.loads(hangtag("--json", "failures", "show", URI).stdout)
    for_people = hangtag("failures", "show", URI)
    gone = json.loads(
        hangtag("--json", "failures", "show", f"s3://{BUCKET}/gone.jpg").stdout
    )

    assert shown["objects"][0]["size"] == 5
    assert shown["objects"][0]["metadata"] == {"tagger-id": "A-1"}
    assert gone["objects"] == [None]
    assert shown["log"] is None
    assert "The log cannot be read" in for_people.stderr
    assert "x-amz-meta-tagger-id" in for_people.stdout


def test_the_log_of_an_attempt_has_no_lines_of_other_uploads(stack: InMemory) -> None:
    """They ran in the same invocation; Lambda's own lines are about all uploads."""
    stack.map_queue_to_function(enabled=True)
    logs, group, stream = boto3.client("logs"), "/aws/lambda/TagUploads", "one"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    letter = a_dead_letter()
    now = time.time()
    failure = replace(letter.failure, failed_at=to_timestamp(now))
    about = {"function_request_id": letter.request_id}
    lines = [
        f"REPORT RequestId: {letter.request_id}",
        json.dumps({**about, "message": "dead-lettered", "uri": URI}),
        json.dumps({**about, "message": "tagged", "uri": "s3://bucket/neighbour.png"}),
        json.dumps({"message": "tagged", "uri": URI}),
    ]
    logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": int(now * 1000), "message": line} for line in lines],
    )
    stack.send(replace(letter, failure=failure))

    shown = hangtag("--json", "failures", "show", URI)

    assert json.loads(shown.stdout)["log"] == lines[:2]


@pytest.mark.parametrize(
    ("body", "failed_at"),
    [
        ("[" * 100_000, "0001-01-01T00:00:00+14:00"),
        ('"\\ud800"', "9999-12-31T23:59:59-14:00"),
    ],
    ids=["deep", "half a character"],
)
def test_a_hand_made_letter_can_be_shown(
    stack: InMemory, body: str, failed_at: str
) -> None:
    """Any body and attributes are accepted, so that it can be inspected and discarded."""
    failure = replace(a_dead_letter().failure, failed_at=failed_at)
    stack.send(DeadLetter(body, failure, None, 0, "a request"))
    [line] = listed()

    shown = hangtag("failures", "show", line["id"])

    assert shown.exit_code == 0
    assert failed_at in shown.stdout


def test_a_discard_is_backed_up_and_can_be_restored(
    stack: InMemory, tmp_path: Path
) -> None:
    """Letter and record are removed together, counted as skipped, and restored together."""
    fail(stack)
    stack.send(unreadable_letter())
    before = listed()
    backup = tmp_path / "backup.jsonl"
    named = ["--backup", str(backup)]

    rehearsed = hangtag("--json", "failures", "discard", *named)
    untouched = (backup.exists(), len(listed()))
    discarded = hangtag("--json", "failures", "discard", *named, "--yes")
    gone = (listed(), stack.results().count_ended("DISCARDED", since="2026"))
    looked_at = json.loads(hangtag("--json", "failures", "restore", str(backup)).stdout)
    restored = hangtag("--json", "failures", "restore", str(backup), "--yes")

    assert (rehearsed.exit_code, untouched) == (0, (False, 2))
    assert json.loads(rehearsed.stdout)["left"] == 2
    assert (discarded.exit_code, json.loads(discarded.stdout)["done"]) == (0, 2)
    assert "failures restore" in discarded.stderr
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert len(backup.read_text("utf-8").splitlines()) == 2
    assert gone == ([], 1)
    assert (looked_at["matched"], looked_at["done"], looked_at["dryRun"]) == (
        2,
        0,
        True,
    )
    assert (restored.exit_code, json.loads(restored.stdout)["done"]) == (0, 2)
    assert without_ids(listed()) == without_ids(before)
    assert len(stack.messages("DeadLetterQueueUrl")) == 2


def without_ids(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A copy without ids: a restored letter has a new id."""
    return sorted(
        ({**line, "id": None} for line in lines), key=lambda line: str(line["code"])
    )


def test_a_backup_is_never_overwritten(stack: InMemory, tmp_path: Path) -> None:
    """It may be the only copy of an earlier discard."""
    fail(stack)
    backup = tmp_path / "backup.jsonl"
    backup.write_text("precious", "utf-8")

    shown = hangtag("failures", "discard", "--backup", str(backup), "--yes")

    assert shown.exit_code == 1
    assert "not overwritten" in shown.stderr
    assert backup.read_text("utf-8") == "precious"
    assert len(listed()) == 1


def test_the_backup_of_a_discard_has_a_default_name(
    stack: InMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the current directory and has the time; a discard without matches writes no file."""
    monkeypatch.chdir(tmp_path)
    fail(stack)

    nothing = hangtag("failures", "discard", "--code", "999", "--yes")
    none = list(tmp_path.iterdir())
    hangtag("failures", "discard", "--yes")

    assert (nothing.exit_code, none) == (1, [])
    [backup] = tmp_path.iterdir()
    assert re.fullmatch(r"hangtag-discarded-\d{8}T[\d.]+Z\.jsonl", backup.name)


@pytest.mark.parametrize(
    "line", ["no json", "[]", '{"code": "807"}', "[" * 100_000, '"\\ud800"']
)
def test_a_file_that_is_no_backup_restores_no_failure(
    stack: InMemory, tmp_path: Path, line: str
) -> None:
    """All lines are checked before the first letter is restored."""
    fail(stack)
    backup = tmp_path / "backup.jsonl"
    hangtag("failures", "discard", "--backup", str(backup), "--yes")
    with backup.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")

    shown = hangtag("failures", "restore", str(backup), "--yes")

    assert shown.exit_code == 1
    assert "line 2" in shown.stderr
    assert listed() == []


def test_the_complete_lines_of_a_truncated_backup_are_restored(
    stack: InMemory, tmp_path: Path
) -> None:
    """The discard was killed during a write, so that letter is still in the queue."""
    fail(stack)
    backup = tmp_path / "backup.jsonl"
    hangtag("failures", "discard", "--backup", str(backup), "--yes")
    with backup.open("a", encoding="utf-8") as file:
        file.write('{"id": "half a l')

    shown = hangtag("--json", "failures", "restore", str(backup), "--yes")

    assert (shown.exit_code, json.loads(shown.stdout)["done"]) == (0, 1)
    assert "cut off" in shown.stderr


@pytest.mark.parametrize(
    "naming", ["{url}", "other", "arn:aws:sqs:{region}:123456789012:other"]
)
def test_a_replay_may_send_to_another_queue(stack: InMemory, naming: str) -> None:
    """The queue may have any name, for example that of a test."""
    fail(stack)
    url = boto3.client("sqs").create_queue(QueueName="other")["QueueUrl"]
    stack.outputs["Other"] = url

    to = naming.format(url=url, region=REGION)
    shown = hangtag("failures", "replay", "--to", to, "--yes")

    assert shown.exit_code == 0
    assert stack.messages("UploadQueueUrl") == []
    assert len(stack.messages("Other")) == 1
    stack.map_queue_to_function(enabled=True)
    status = hangtag("--json", "status", "--since", "2026-01-01").stdout
    assert json.loads(status)["replayed"] == 1


@pytest.mark.parametrize("yes", [(), ("--yes",)], ids=["dry", "yes"])
@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("othr", "list-queues"),
        ("{url}r", "list-queues"),
        ("arn:aws:sqs:{elsewhere}:123456789012:other", "the stack is in {region}"),
        ("{dead_letters}", "dead-letter queue"),
    ],
)
def test_an_invalid_queue_is_reported_before_the_replay(
    stack: InMemory, to: str, said: str, yes: tuple[str, ...]
) -> None:
    """Its name was mistyped; a dry run reports it, too."""
    fail(stack)
    names = {
        "url": boto3.client("sqs").create_queue(QueueName="other")["QueueUrl"],
        "dead_letters": stack.outputs["DeadLetterQueueUrl"],
        "region": REGION,
        "elsewhere": "eu-north-1",
    }
    to = to.format(**names)

    shown = hangtag("failures", "replay", "--to", to, *yes)

    assert shown.exit_code == 1
    assert to in shown.stderr
    assert said.format(**names) in shown.stderr
    assert len(stack.messages("DeadLetterQueueUrl")) == 1


def test_a_letter_of_a_replayed_failure_is_reported_and_removed(
    stack: InMemory,
) -> None:
    """Another reader had received it while its failure was replayed from the record."""
    fail(stack)
    sqs, url = boto3.client("sqs"), stack.outputs["DeadLetterQueueUrl"]
    [held] = sqs.receive_message(QueueUrl=url, VisibilityTimeout=60)["Messages"]
    replayed = hangtag("--json", "failures", "replay", "--yes")
    sqs.change_message_visibility(
        QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0
    )

    listed = hangtag("--json", "failures", "list")
    again = hangtag("--json", "failures", "replay", "--yes")

    assert json.loads(replayed.stdout)["done"] == 1
    assert listed.stdout == ""
    assert "1 letter more in the queue" in listed.stderr
    assert (again.exit_code, json.loads(again.stdout)["matched"]) == (0, 0)
    assert "1 letter of failures that were dealt with before removed" in again.stderr
    assert stack.messages("DeadLetterQueueUrl") == []
    assert len(stack.messages("UploadQueueUrl")) == 1


def test_a_second_replay_finds_nothing_while_the_first_waits(stack: InMemory) -> None:
    """The function has not received the message of the first replay yet."""
    fail(stack)

    first = hangtag("--json", "failures", "replay", "--yes")
    second = hangtag("--json", "failures", "replay", "--yes")

    assert json.loads(first.stdout)["done"] == 1
    assert (second.exit_code, json.loads(second.stdout)["matched"]) == (1, 0)
    assert len(stack.messages("UploadQueueUrl")) == 1


def test_a_replay_keeps_its_rate(stack: InMemory) -> None:
    """By the real clock, four letters take at least three intervals."""
    for number in range(4):
        fail(stack, f"{number}.png")
    began = time.monotonic()

    shown = hangtag("--json", "failures", "replay", "--rate", "4", "--yes")

    assert json.loads(shown.stdout)["done"] == 4
    assert time.monotonic() - began >= 0.75


# ---- status


def test_status_shows_counts_codes_and_the_latest_endings(stack: InMemory) -> None:
    """The output has the queue depth, failures by code, and recently ended uploads."""
    stack.send(a_dead_letter(code="803"), a_dead_letter(code="803"))
    stack.store(a_result(tagged_at=now()))
    stack.store(
        a_result(tagged_at="2020-01-01T00:00:00.000Z"), key="old.jpg", sequencer=None
    )
    stack.fail(a_failed_record(failed_at=now()), key="failed.jpg")
    stack.skip("gone.jpg", SkipReason.OBJECT_GONE, at=now())
    stack.skip("long gone.jpg", SkipReason.OBJECT_GONE, at="2020-01-01T00:00:00.000Z")
    stack.skip("old version.jpg", SkipReason.SUPERSEDED, at=now())
    boto3.client("sqs").send_message(
        QueueUrl=stack.outputs["UploadQueueUrl"], MessageBody="{}"
    )
    stack.map_queue_to_function(enabled=False)

    shown = hangtag("--json", "status")

    assert (shown.exit_code, shown.stderr) == (0, "")
    status = json.loads(shown.stdout)
    assert status.pop("keyChangedAt")
    assert status.pop("oldestLetterSeconds") > 0  # the time of the letters is noon
    assert status == {
        "oldestSeconds": None,
        "lastHour": {"tagged": None, "failed": None, "latencyMilliseconds": None},
        "alarms": [],
        "queue": {"waiting": 1, "inFlight": 0},
        "deadLetters": {"803": 2},
        "results": {"TAGGED": 1, "FAILED": 1},
        "skipped": {"OBJECT_GONE": 1, "SUPERSEDED": 1},
        "replayed": 0,
        "paused": True,
        "breaker": {"open": False, "code": None},
    }


def test_the_status_for_people_fits_on_a_screen(stack: InMemory) -> None:
    """It has the counts, then advice for each code."""
    stack.send(a_dead_letter(code="803"))
    stack.store(a_result(tagged_at="2020-01-01T00:00:00.000Z"))
    stack.map_queue_to_function(enabled=True)

    shown = hangtag("status", "--since", "2019-12-31")

    assert shown.exit_code == 0
    assert f"hangtag in {REGION}" in shown.stdout
    assert "running" in shown.stdout
    assert (
        "1 tagged, 0 failed, 0 skipped since 2019-12-31T00:00:00.000Z" in shown.stdout
    )
    assert "803" in shown.stdout
    assert len(shown.stdout.splitlines()) < 24


def test_status_shows_an_open_breaker(stack: InMemory) -> None:
    """It is no pause, although the mapping is disabled."""
    stack.map_queue_to_function(enabled=False)
    stack.open_breaker("823", "Quota exceeded.")

    for_programs = json.loads(hangtag("--json", "status").stdout)
    for_people = hangtag("status")

    assert for_programs["breaker"] == {"open": True, "code": "823"}
    assert for_programs["paused"] is False
    assert for_people.exit_code == 0
    assert for_people.stdout.startswith("TAGGING HAS STOPPED: 823")
    assert len(for_people.stdout.splitlines()) < 24


def test_status_without_a_mapping_shows_the_remedy(stack: InMemory) -> None:
    """The mapping was deleted by hand; tagging is neither running nor paused."""
    assert stack.outputs

    shown = hangtag("status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "deploy the stack again" in shown.stderr


# ---- pause, resume


def test_a_pause_lasts_until_an_operator_resumes(stack: InMemory) -> None:
    """The output of both commands says so and counts the waiting messages."""
    stack.map_queue_to_function(enabled=True)

    hangtag("pause")
    boto3.client("sqs").send_message(
        QueueUrl=stack.outputs["UploadQueueUrl"], MessageBody="{}"
    )
    paused = hangtag("--json", "pause")
    while_paused = (
        stack.mapping_state(),
        json.loads(hangtag("status", "--json").stdout),
    )
    resumed = hangtag("resume", "--json")

    closed = {"open": False, "code": None}
    assert (paused.exit_code, resumed.exit_code) == (0, 0)
    assert json.loads(paused.stdout) == {"paused": True, "breaker": closed}
    assert "1 waits" in paused.stderr
    assert "14 days" in paused.stderr
    assert "`hangtag resume`" in paused.stderr
    assert while_paused[0] == "Disabled"
    assert while_paused[1]["paused"] is True
    assert json.loads(resumed.stdout) == {"paused": False, "breaker": closed}
    assert "1 waits" in resumed.stderr
    assert "breaker" not in resumed.stderr
    assert stack.mapping_state() == "Enabled"
    assert stack.breaker().read() == BreakerState()


def test_a_second_pause_keeps_the_first_time(stack: InMemory) -> None:
    """For people, stdout is empty, because the message is no data."""
    stack.map_queue_to_function(enabled=True)
    hangtag("pause")
    since = stack.breaker().read().paused_at

    again = hangtag("pause")

    assert since
    assert (again.exit_code, again.stdout) == (0, "")
    assert f"paused since {since}" in again.stderr
    assert stack.breaker().read().paused_at == since


def test_resume_closes_the_breaker_and_counts_its_dead_letters(stack: InMemory) -> None:
    """The operator has to replay these few letters."""
    stack.map_queue_to_function(enabled=False)
    stack.open_breaker("609", "Key refused.")

    shown = hangtag("--json", "resume")

    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == {
        "paused": False,
        "breaker": {"open": False, "code": None},
    }
    assert f"open since {NOON} for 609 (Key refused.)" in shown.stderr
    assert "hangtag failures replay --code 609" in shown.stderr
    assert stack.mapping_state() == "Enabled"
    assert not stack.breaker().read().is_open


def test_a_pause_and_an_open_breaker_are_kept_together(stack: InMemory) -> None:
    """An operator may want to check the fix before tagging continues."""
    stack.map_queue_to_function(enabled=False)
    stack.open_breaker("609", "Key refused.")

    paused = json.loads(hangtag("--json", "pause").stdout)

    assert paused == {"paused": True, "breaker": {"open": True, "code": "609"}}
    assert "an operator has paused tagging, too" in hangtag("status").stdout


def now() -> str:
    """The current time in the format of results."""
    return to_timestamp(SystemClock().now())


# ---- key set


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("key-of-the-tests\n", "key-of-the-tests"),
        (b"\xef\xbb\xbfkey-of-the-tests\r\n", "key-of-the-tests"),
        ('{"apiKey": "key-of-the-tests"}\n', '{"apiKey": "key-of-the-tests"}'),
    ],
)
def test_a_key_is_stored_and_never_shown(
    stack: InMemory, typed: str | bytes, stored: str
) -> None:
    """It comes from a pipe, with any line ending."""
    shown = hangtag("key", "set", typed=typed)

    assert (shown.exit_code, shown.stdout) == (0, "")
    assert stack.secret() == stored
    assert shown.stderr.count("\n") == 1
    assert "key-of-the-tests" not in shown.stderr


def test_a_new_key_replaces_the_old_one(stack: InMemory) -> None:
    """Keys are rotated."""
    hangtag("key", "set", typed="the-old-key")

    hangtag("key", "set", typed="the-new-key")

    assert stack.secret() == "the-new-key"


def test_after_a_new_key_the_message_says_how_to_resume_at_once(
    stack: InMemory,
) -> None:
    """Otherwise an operator would wait a quarter of an hour after fixing the key."""
    stack.open_breaker("609", "Key refused.")

    shown = hangtag("key", "set", typed="the-new-key")

    assert shown.exit_code == 0
    assert "`hangtag resume`" in shown.stderr
    assert "hangtag failures replay --code 609" in shown.stderr
    assert "the-new-key" not in shown.stderr


def test_a_key_is_stored_without_access_to_the_breaker(stack: InMemory) -> None:
    """Permission to set the key does not include permission to read the table."""
    boto3.client("dynamodb").delete_table(TableName=stack.outputs["ResultsTableName"])

    shown = hangtag("key", "set", typed="the-new-key")

    assert shown.exit_code == 0
    assert stack.secret() == "the-new-key"


# ---- AWS errors

QUESTIONS = [
    ["results", "show", URI],
    ["status"],
    ["failures", "list"],
    ["failures", "show", "id"],
    ["failures", "replay", "--yes"],
    ["pause"],
    ["resume"],
    ["key", "set"],
]


@pytest.mark.parametrize("arguments", QUESTIONS, ids=" ".join)
def test_a_missing_stack_is_named_with_its_region(
    cloud: None,  # noqa: ARG001 - an empty account
    arguments: list[str],
) -> None:
    """The usual causes are a wrong name and a wrong region."""
    shown = hangtag("--stack", "shop", *arguments, typed="key-of-the-tests")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "'shop'" in shown.stderr
    assert REGION in shown.stderr
    assert "--stack" in shown.stderr


def test_the_environment_may_name_the_stack(
    cloud: None,  # noqa: ARG001 - an empty account
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An operator of one stack sets its name once."""
    monkeypatch.setenv("HANGTAG_STACK", "shop")
    monkeypatch.setenv("AWS_REGION", "ap-northeast-2")

    shown = hangtag("status")

    assert "'shop' in ap-northeast-2" in shown.stderr


def test_a_stack_that_is_not_hangtags_is_reported(
    cloud: None,  # noqa: ARG001 - the account
) -> None:
    """`--stack` may name any stack."""
    other = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    boto3.client("cloudformation").create_stack(
        StackName="other", TemplateBody=json.dumps(other)
    )

    shown = hangtag("--stack", "other", "status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "'other'" in shown.stderr
    assert "UploadQueueUrl" in shown.stderr


@pytest.mark.parametrize("arguments", [["status"], ["key", "set"]], ids=" ".join)
@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (["AWS_DEFAULT_REGION"], "No AWS region"),
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "No AWS credentials"),
    ],
)
def test_without_region_or_credentials_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    missing: list[str],
    words: str,
) -> None:
    """A new user meets this error first."""
    for name in missing:
        monkeypatch.delenv(name)

    shown = hangtag(*arguments, typed="key-of-the-tests")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert words in shown.stderr
    assert "aws configure" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_an_unknown_profile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_PROFILE has a typo."""
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")

    shown = hangtag("status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "no-such-profile" in shown.stderr


def test_an_unreachable_endpoint_is_named() -> None:
    """The emulator is not running."""
    url = f"http://127.0.0.1:{free_port()}"

    shown = hangtag("--endpoint-url", url, "status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert url in shown.stderr
    assert "--endpoint-url" in shown.stderr


def test_an_invalid_endpoint_of_the_environment_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """boto3 raises ValueError for it, not an AWS error."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:4566")

    shown = hangtag("status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "AWS_ENDPOINT_URL" in shown.stderr


def test_a_denied_action_is_named() -> None:
    """The user can then ask for that permission."""
    with aws_that_refuses("AccessDenied", "User: me is not authorized") as url:
        shown = hangtag("--endpoint-url", url, "status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "DescribeStacks" in shown.stderr
    assert "AWS_PROFILE" in shown.stderr


def free_port() -> int:
    """A port of this machine without a server."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@contextmanager
def aws_that_refuses(code: str, message: str) -> Iterator[str]:
    """The URL of an AWS that answers every request with an error."""
    body = (
        "<ErrorResponse><Error><Type>Sender</Type>"
        f"<Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    ).encode()

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(403)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as named there
            """Logs no line."""

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
