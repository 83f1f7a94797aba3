"""ReplayFailures as Lambda runs it, beside the command `hangtag`, on AWS in memory."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.session import Session
from click.testing import CliRunner, Result
from moto import mock_aws

from functions.replay_failures import handler
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_run_lease import DynamoDBRunLease
from hangtag.adapters.lambda_deadline import LambdaDeadline
from hangtag.adapters.sqs_queues import SqsDeadLetterQueue
from hangtag.adapters.system_clock import SystemClock
from hangtag.operators.replay_request import (
    ReplayRunning,
    RequestError,
    read_request,
)
from hangtag.replay_wiring import failure_replayer
from hangtag.settings import ReplaySettings, SettingsError
from hangtag_cli.main import cli
from tests.builders import a_dead_letter, a_failed_record, an_upload, key_of
from tests.contract.aws_parts import create_queue, create_table
from tests.fakes import FakeClock, FakeDeadline

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@dataclass(slots=True)
class Context:
    """Lambda's context of an invocation."""

    aws_request_id: str = "request-1"
    function_name: str = "ReplayFailures"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:x"
    milliseconds_left: int = 300_000

    def get_remaining_time_in_millis(self) -> int:
        """The time until Lambda stops the function."""
        return self.milliseconds_left


@dataclass(frozen=True)
class Stack:
    """The stack's queues and table."""

    uploads: str
    dead_letters: str
    table: str

    def fail(self, key: str, *, code: str, with_letter: bool = True) -> None:
        """Fails an upload as TagUploads does."""
        upload = an_upload(key)
        letter_id = "expired"
        if with_letter:
            queue = SqsDeadLetterQueue(boto3.client("sqs"), self.dead_letters)
            letter_id = queue.send(a_dead_letter(upload, code=code))
        client = boto3.client("dynamodb")
        book = DynamoDBFailures(client, self.table, SystemClock())
        record = a_failed_record(upload, code=code, letter_id=letter_id)
        assert book.swap(key_of(upload), None, record) is None

    def waiting(self, url: str) -> int:
        """The visible messages of a queue."""
        counts = boto3.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        return int(counts["ApproximateNumberOfMessages"])


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack with the resources that the function and the command need."""
    with mock_aws():
        made = Stack(
            create_queue("UploadQueue"), create_queue("DeadLetterQueue"), create_table()
        )
        monkeypatch.setenv("HANGTAG_UPLOAD_QUEUE_URL", made.uploads)
        monkeypatch.setenv("HANGTAG_DEAD_LETTER_QUEUE_URL", made.dead_letters)
        monkeypatch.setenv("HANGTAG_RESULTS_TABLE", made.table)
        template = {
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {
                "UploadQueueUrl": {"Value": made.uploads},
                "DeadLetterQueueUrl": {"Value": made.dead_letters},
                "ResultsTableName": {"Value": made.table},
            },
        }
        boto3.client("cloudformation").create_stack(
            StackName="hangtag", TemplateBody=json.dumps(template)
        )
        importlib.reload(handler)  # a new instance of the function
        yield made


def invoke(event: Any, **context: Any) -> dict[str, object]:  # noqa: ANN401 - whatever is sent
    """The function's response."""
    return handler.lambda_handler(event, cast("LambdaContext", Context(**context)))


def hangtag(*arguments: str) -> Result:
    """Runs the command in this process."""
    return CliRunner(mix_stderr=False).invoke(cli, arguments)


def fill(stack: Stack) -> None:
    """Adds failures of all kinds: with a letter, without one, and a letter without a record."""
    stack.fail("summer/a.png", code="803")
    stack.fail("summer/b.png", code="807")
    stack.fail("winter/c.png", code="803")
    stack.fail("summer/expired.png", code="803", with_letter=False)
    boto3.client("sqs").send_message(
        QueueUrl=stack.dead_letters,
        MessageBody=an_upload("summer/moved.png").notification(),
    )


@pytest.mark.parametrize(
    ("event", "arguments", "matched"),
    [
        ({}, [], 5),
        ({"codes": ["803"]}, ["--code", "803"], 3),
        ({"kinds": ["uncoded"]}, ["--kind", "uncoded"], 1),
        (
            {"codes": ["803", "807"], "prefix": "summer/"},
            ["--code", "803", "--code", "807", "--prefix", "summer/"],
            3,
        ),
        ({"max": 2}, ["--max", "2"], 5),
        ({"codes": ["999"]}, ["--code", "999"], 0),
    ],
)
def test_the_function_returns_the_report_that_the_command_prints(
    stack: Stack, event: dict[str, Any], arguments: list[str], matched: int
) -> None:
    """Both see the same failures; a real run does what the dry run reported."""
    fill(stack)

    printed = json.loads(hangtag("--json", "failures", "replay", *arguments).stdout)
    rehearsed = invoke(event)
    untouched = (stack.waiting(stack.dead_letters), stack.waiting(stack.uploads))
    replayed = invoke({**event, "dryRun": False})

    begun = min(matched, event.get("max", matched))
    assert printed["matched"] == matched
    assert rehearsed == printed
    assert untouched == (4, 0)
    assert replayed == {
        **printed,
        "dryRun": False,
        "done": begun,
        "left": matched - begun,
    }
    assert stack.waiting(stack.uploads) == begun


def test_an_invalid_request_is_rejected_without_effect(stack: Stack) -> None:
    """Lambda returns the message to the caller."""
    fill(stack)

    with pytest.raises(RequestError, match=r"nothing was replayed.*dry_run"):
        invoke({"dry_run": False})

    assert stack.waiting(stack.uploads) == 0


def test_new_code_with_an_old_environment_replays_nothing_and_names_the_variable(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failures are still dead letters, and the alarm on failed replays is sent."""
    fill(stack)
    monkeypatch.delenv("HANGTAG_UPLOAD_QUEUE_URL")
    importlib.reload(handler)

    with pytest.raises(SettingsError, match="HANGTAG_UPLOAD_QUEUE_URL"):
        invoke({"dryRun": False})

    assert stack.waiting(stack.dead_letters) == 4
    assert stack.waiting(stack.uploads) == 0


def test_a_function_without_time_left_starts_no_replay(stack: Stack) -> None:
    """It ends before its timeout and hides no letter."""
    fill(stack)

    answered = invoke({"dryRun": False}, milliseconds_left=5_000)

    assert (answered["done"], answered["matched"]) == (0, 0)
    assert stack.waiting(stack.dead_letters) == 4


def test_slow_services_do_not_delay_the_answer_past_the_limit(stack: Stack) -> None:
    """Each request takes nearly as long as the clients wait."""
    fill(stack)
    clock = FakeClock()
    began = clock.now()

    def pass_time(**response: Any) -> None:  # noqa: ANN401 - botocore's
        if response["exception"] is None:  # else the request was not sent
            clock.advance(6.9)

    session = Session()
    session.register("response-received", pass_time)

    report = failure_replayer(
        ReplaySettings(
            results_table=stack.table,
            upload_queue_url=stack.uploads,
            dead_letter_queue_url=stack.dead_letters,
        ),
        session=session,
    )(read_request({"dryRun": False}), FakeDeadline(40.0, clock))

    assert clock.now() - began <= 40
    assert report.left >= 1
    assert report.document()["complete"] is False


def test_a_second_request_at_the_same_moment_changes_nothing(stack: Stack) -> None:
    """Its error is in the response, with the time after which it may be repeated."""
    fill(stack)
    now = SystemClock().now()
    other = DynamoDBRunLease(boto3.client("dynamodb"), stack.table)
    other.take("another run", now=now, until=now + 40)

    with pytest.raises(ReplayRunning, match=r"another run .* repeat the request after"):
        invoke({"dryRun": False})
    untouched = stack.waiting(stack.uploads)
    other.release("another run", at=now)

    assert untouched == 0
    assert invoke({"dryRun": False})["done"] == 5
    assert invoke({"dryRun": False})["matched"] == 0  # the first one released its lease


def test_a_new_instance_refuses_what_a_warm_one_may_have_carried_out(
    stack: Stack,
) -> None:
    """The same request, sent at the same moment, waits for the start of another instance."""
    fill(stack)
    invoke({"dryRun": False, "max": 1})

    importlib.reload(handler)  # another instance
    with pytest.raises(ReplayRunning, match="while this instance started"):
        invoke({"dryRun": False, "max": 1})

    assert stack.waiting(stack.uploads) == 1
    assert invoke({"dryRun": False, "max": 1})["done"] == 1


@pytest.mark.parametrize(
    ("request_seconds", "expected"), [({}, 40.0), ({"maxSeconds": 90}, 90.0)]
)
def test_the_request_limits_the_run_and_its_lease(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    request_seconds: dict[str, int],
    expected: float,
) -> None:
    """A killed run holds others up for no longer than it could have lasted."""
    leases: list[float] = []

    def take(self: object, holder: str, *, now: float, until: float) -> None:  # noqa: ARG001
        leases.append(until - SystemClock().now())

    monkeypatch.setattr(DynamoDBRunLease, "take", take)

    invoke({"dryRun": False, **request_seconds})

    assert leases == [pytest.approx(expected, abs=5)]
    assert stack.waiting(stack.uploads) == 0


@pytest.mark.parametrize(
    ("most", "expected"), [(40.0, 40.0), (300.0, 300.0), (600.0, 300.0)]
)
def test_a_run_ends_at_its_limit_or_at_the_end_of_the_invocation(
    most: float, expected: float
) -> None:
    """Whichever comes first; both by Lambda's own clock."""
    context = Context()
    deadline = LambdaDeadline(context, most_seconds=most)
    at_first = deadline.seconds_left()
    context.milliseconds_left -= 30_000

    assert at_first == expected
    assert deadline.seconds_left() == expected - 30
