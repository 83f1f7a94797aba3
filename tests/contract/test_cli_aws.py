"""The command `hangtag` against a stack in memory."""

from __future__ import annotations

import io
import json
import socket
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.sqs_queues import SqsDeadLetterQueue
from hangtag.adapters.system_clock import SystemClock
from hangtag.dead_letters import DeadLetter
from hangtag.failures import Failure
from hangtag.ports import Claim
from hangtag.results import Document, to_timestamp
from hangtag_cli.main import cli
from tests.builders import (
    NOON,
    URI,
    a_dead_letter,
    a_failed_result,
    a_failure,
    a_result,
    an_upload,
)
from tests.environment import REGION

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
                    for name in ("uri", "version", "order", "statusShard", "endedAt")
                ],
                "KeySchema": [
                    {"AttributeName": "uri", "KeyType": "HASH"},
                    {"AttributeName": "version", "KeyType": "RANGE"},
                ],
                "LocalSecondaryIndexes": [
                    {
                        "IndexName": "newest",
                        "KeySchema": [
                            {"AttributeName": "uri", "KeyType": "HASH"},
                            {"AttributeName": "order", "KeyType": "RANGE"},
                        ],
                        "Projection": {"ProjectionType": "KEYS_ONLY"},
                    }
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
"""What the command needs of the real template; moto's CloudFormation makes no secrets."""


@dataclass(frozen=True)
class InMemory:
    """The stack's parts."""

    outputs: dict[str, str]

    def results(self) -> DynamoDBResults:
        """Its results, to be written."""
        return DynamoDBResults(
            boto3.client("dynamodb"), self.outputs["ResultsTableName"], SystemClock()
        )

    def store(self, result: Document, **upload: Any) -> None:  # noqa: ANN401 - builder's
        """Keep a result as the function does."""
        arrived = an_upload(**upload)
        results = self.results()
        claim = results.claim(arrived, replays=0, sent_at=None, lease_seconds=60)
        assert isinstance(claim, Claim)
        if result["status"] == "TAGGED":
            results.store_tagged(arrived, claim, result, calls={})
            results.finish(arrived, claim)
        else:
            results.store_failed(arrived, claim, result, calls={}, unstored=False)

    def bury(self, *letters: DeadLetter) -> None:
        """Put letters into the dead-letter queue."""
        queue = SqsDeadLetterQueue(
            boto3.client("sqs"), self.outputs["DeadLetterQueueUrl"]
        )
        for letter in letters:
            queue.bury(letter)

    def messages(self, output: str) -> list[dict[str, Any]]:
        """What can be received from a queue now."""
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
        """Make the function and its event source mapping."""
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
    """Run the command in this process."""
    return CliRunner(mix_stderr=False).invoke(cli, arguments, input=typed)


def unreadable_letter() -> DeadLetter:
    """A letter that no image belongs to."""
    failure = Failure("UNREADABLE_EVENT", "permanent", "no", "event", 1, NOON)
    return DeadLetter("not json", failure, None, 0, "request-2")


# ---- results show


@pytest.mark.parametrize(
    "arguments",
    [["--json", "results", "show", URI], ["results", "show", "--json", URI]],
)
def test_a_result_is_printed_digit_for_digit_on_one_line(
    stack: InMemory, arguments: list[str]
) -> None:
    """What programs read is what the API said."""
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
def test_a_uri_carries_the_raw_key(stack: InMemory, key: str) -> None:
    """Nothing in it is decoded or cut off."""
    upload = an_upload(key)
    stack.store(a_result(upload), key=key)

    shown = hangtag("results", "show", upload.uri)

    assert shown.exit_code == 0
    assert upload.uri in shown.stdout


def test_the_result_of_a_failed_upload_is_shown_too(stack: InMemory) -> None:
    """Whether it was tagged or not: this is where people look first."""
    stack.store(a_failed_result(code="807"))

    for_programs = hangtag("--json", "results", "show", URI)
    for_people = hangtag("results", "show", URI)

    assert for_programs.exit_code == 0
    assert json.loads(for_programs.stdout)["failure"]["code"] == "807"
    assert "Upload a larger picture." in for_people.stdout


def test_where_there_is_no_result_nothing_is_printed(stack: InMemory) -> None:
    """A script can go by the exit status; a person is told where to look."""
    assert stack.outputs

    shown = hangtag("--json", "results", "show", URI)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "hangtag status" in shown.stderr
    assert "hangtag failures list" in shown.stderr


# ---- failures


def test_letters_are_listed_newest_first_and_stay_visible(stack: InMemory) -> None:
    """One line of JSON each, with an id to name it by."""
    older = DeadLetter(
        "{}",
        Failure("807", "permanent", "Too small.", "api", 2, "2026-11-21T00:00:00.000Z"),
        URI,
        3,
        "request-1",
    )
    stack.bury(older, unreadable_letter())

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


def test_letters_can_be_listed_by_code(stack: InMemory) -> None:
    """One cause at a time."""
    stack.bury(a_dead_letter(code="807"), a_dead_letter(code="823"))

    shown = hangtag("failures", "list", "--code", "823", "--json")

    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [line["code"] for line in lines] == ["823"]


def test_a_letter_is_shown_by_its_image_and_by_its_id(stack: InMemory) -> None:
    """With all that is known of it: advice, versions and the body."""
    stack.bury(a_dead_letter(code="807"), unreadable_letter())

    by_image = json.loads(hangtag("--json", "failures", "show", URI).stdout)
    by_id = json.loads(hangtag("--json", "failures", "show", by_image["id"]).stdout)

    assert by_id == by_image
    assert by_image["who"] == "uploader"
    assert by_image["advice"] == "Upload a larger picture."
    assert by_image["requestId"] == "request-1"
    assert by_image["uploads"][0]["versionId"] == "version-1"
    assert json.loads(by_image["body"])["Records"]


def test_a_replay_goes_through_the_real_queues(stack: InMemory) -> None:
    """Dry first, then for real: the notification is back, with its count of replays."""
    letter = a_dead_letter(code="807", replays=1)
    stack.bury(letter, a_dead_letter(code="823"))

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


# ---- status


def test_status_tells_how_things_stand(stack: InMemory) -> None:
    """What waits, what failed with which code, what ended lately."""
    stack.bury(a_dead_letter(code="803"), a_dead_letter(code="803"))
    stack.store(a_result(tagged_at=now()))
    stack.store(
        a_result(tagged_at="2020-01-01T00:00:00.000Z"), key="old.jpg", sequencer=None
    )
    stack.store(failed_now(), key="failed.jpg")
    boto3.client("sqs").send_message(
        QueueUrl=stack.outputs["UploadQueueUrl"], MessageBody="{}"
    )
    stack.map_queue_to_function(enabled=False)

    shown = hangtag("--json", "status")

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert json.loads(shown.stdout) == {
        "queue": {"waiting": 1, "inFlight": 0},
        "deadLetters": {"803": 2},
        "results": {"TAGGED": 1, "FAILED": 1},
        "paused": True,
        "breaker": {"open": False, "code": None},
    }


def test_status_for_people_fits_on_a_screen(stack: InMemory) -> None:
    """The numbers, and below what to do about each code."""
    stack.bury(a_dead_letter(code="803"))
    stack.store(a_result(tagged_at="2020-01-01T00:00:00.000Z"))
    stack.map_queue_to_function(enabled=True)

    shown = hangtag("status", "--since", "2019-12-31")

    assert shown.exit_code == 0
    assert f"hangtag in {REGION}" in shown.stdout
    assert "running" in shown.stdout
    assert "1 tagged, 0 failed since 2019-12-31T00:00:00.000Z" in shown.stdout
    assert "803" in shown.stdout
    assert len(shown.stdout.splitlines()) < 24


def now() -> str:
    """The time, as results carry it."""
    return to_timestamp(SystemClock().now())


def failed_now() -> Document:
    """A FAILED result of this moment."""
    result = a_failed_result(an_upload("failed.jpg"))
    result["failure"] = {**a_failure().document(), "failedAt": now()}
    return result


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
    """From a pipe, whatever put its line end there."""
    shown = hangtag("key", "set", typed=typed)

    assert (shown.exit_code, shown.stdout) == (0, "")
    assert stack.secret() == stored
    assert shown.stderr.count("\n") == 1
    assert "key-of-the-tests" not in shown.stderr


def test_a_new_key_takes_the_place_of_the_old_one(stack: InMemory) -> None:
    """Keys are rotated."""
    hangtag("key", "set", typed="the-old-key")

    hangtag("key", "set", typed="the-new-key")

    assert stack.secret() == "the-new-key"


# ---- what goes wrong

QUESTIONS = [
    ["results", "show", URI],
    ["status"],
    ["failures", "list"],
    ["failures", "show", "id"],
    ["failures", "replay", "--yes"],
    ["key", "set"],
]


@pytest.mark.parametrize("arguments", QUESTIONS, ids=" ".join)
def test_a_stack_that_is_not_there_is_named_with_its_region(
    cloud: None,  # noqa: ARG001 - an empty account
    arguments: list[str],
) -> None:
    """The usual causes are a wrong name and a wrong region."""
    shown = hangtag("--stack", "shop", *arguments, typed="key-of-the-tests")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "'shop'" in shown.stderr
    assert REGION in shown.stderr
    assert "--stack" in shown.stderr


def test_the_stack_is_named_by_the_environment_too(
    cloud: None,  # noqa: ARG001 - an empty account
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who works on one stack all day types its name once."""
    monkeypatch.setenv("HANGTAG_STACK", "shop")
    monkeypatch.setenv("AWS_REGION", "ap-northeast-2")

    shown = hangtag("status")

    assert "'shop' in ap-northeast-2" in shown.stderr


def test_a_stack_that_is_not_hangtags_is_told_apart(
    cloud: None,  # noqa: ARG001 - the account
) -> None:
    """--stack may name anything."""
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
def test_without_region_or_credentials_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    missing: list[str],
    words: str,
) -> None:
    """The first thing that a new user meets."""
    for name in missing:
        monkeypatch.delenv(name)

    shown = hangtag(*arguments, typed="key-of-the-tests")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert words in shown.stderr
    assert "aws configure" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_an_unknown_profile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo in AWS_PROFILE."""
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")

    shown = hangtag("status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "no-such-profile" in shown.stderr


def test_an_unreachable_endpoint_is_named() -> None:
    """The emulator is not up."""
    url = f"http://127.0.0.1:{free_port()}"

    shown = hangtag("--endpoint-url", url, "status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert url in shown.stderr
    assert "--endpoint-url" in shown.stderr


def test_an_endpoint_of_the_environment_that_is_no_url_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """boto3 raises ValueError for it, which is no error of AWS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:4566")

    shown = hangtag("status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "AWS_ENDPOINT_URL" in shown.stderr


def test_what_is_not_allowed_is_named() -> None:
    """Whoever may not do it knows what to ask for."""
    with aws_that_refuses("AccessDenied", "User: me is not authorized") as url:
        shown = hangtag("--endpoint-url", url, "status")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "DescribeStacks" in shown.stderr
    assert "AWS_PROFILE" in shown.stderr


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@contextmanager
def aws_that_refuses(code: str, message: str) -> Iterator[str]:
    """The URL of an AWS that answers everything with an error."""
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
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
