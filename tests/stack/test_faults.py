"""A few cells of `make faults`: faults in the function's calls of AWS and the API."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from hangtag.announcements import announcement_of
from hangtag.wiring import queue_name_of
from local.fault_cells import (
    DENIED,
    ECHOED,
    ERROR_500,
    FAULTS,
    FORBIDDEN,
    HALF,
    KILLED_AFTER,
    KILLED_BEFORE,
    RESET,
    SLOW,
    STEPS,
    THROTTLED,
    Cell,
    Mode,
    UploadStep,
    all_cells,
)
from local.fault_outcomes import Outcome
from local.fault_runner import CellRunner, cell_runner
from local.pictures import small_picture
from tests.builders import a_result, an_answer, an_upload
from tests.stack.conftest import steps_in_the_report
from tests.stack.requests_by_hand import ask


def step(name: str) -> UploadStep:
    """Return the step of this name."""
    [found] = [one for one in STEPS if one.name == name]
    return found


def cell(name: str, fault: str, mode: Mode = "once") -> Cell:
    """Return a cell of the matrix."""
    return Cell(step(name), fault, mode)


FEW = [
    cell("S3 HeadObject", THROTTLED),
    cell("DynamoDB BatchGetItem", ERROR_500),
    cell("DynamoDB PutItem (release)", HALF),
    cell("DynamoDB PutItem (claim)", THROTTLED),
    cell("DynamoDB PutItem (claim)", KILLED_AFTER),
    cell("DynamoDB GetItem (result)", ERROR_500),
    cell("S3 GetObject", HALF),
    cell("S3 GetObject", DENIED, "for ever"),
    cell("S3 GetObject", KILLED_BEFORE),
    cell("Secrets Manager GetSecretValue", RESET),
    cell("Tagger API", HALF),
    cell("Tagger API", ERROR_500, "for ever"),
    cell("Tagger API", ECHOED),
    cell("Tagger API", ECHOED, "for ever"),
    cell("Tagger API", KILLED_BEFORE),
    cell("S3 PutObject (large result)", THROTTLED),
    cell("S3 PutObject (large result)", DENIED),
    cell("S3 PutObject (large result)", KILLED_BEFORE),
    cell("DynamoDB PutItem (store)", RESET),
    cell("DynamoDB PutItem (store)", KILLED_AFTER),
    cell("SNS Publish", THROTTLED),
    cell("SNS Publish", SLOW),
    cell("SNS Publish", KILLED_BEFORE),
    cell("DynamoDB PutItem (finish)", HALF),
    cell("SQS SendMessage (dead letter)", ERROR_500),
    cell("SQS SendMessage (dead letter)", DENIED),
    cell("SQS SendMessage (dead letter)", FORBIDDEN, "for ever"),
    cell("DynamoDB PutItem (store failure)", THROTTLED),
    cell("SQS ChangeMessageVisibilityBatch", RESET),
    cell("S3 HeadObject (removal)", ERROR_500),
    cell("DynamoDB PutItem (tombstone)", HALF),
    cell("DynamoDB PutItem (tombstone)", KILLED_AFTER),
    cell("SNS Publish (removal)", THROTTLED),
    cell("SNS Publish (removal)", KILLED_AFTER),
    cell("DynamoDB PutItem (finish removal)", RESET),
    cell("S3 GetObject (large result)", HALF),
    cell("DynamoDB BatchWriteItem (index)", KILLED_BEFORE),
    cell("SNS Publish (failure)", THROTTLED),
]


BY_URL = [
    cell("S3 GetObject", DENIED),
    cell("Tagger API", HALF),
    cell("Tagger API", ECHOED, "for ever"),
    cell("SNS Publish", THROTTLED),
    cell("SQS SendMessage (dead letter)", ERROR_500),
]
"""The cells that run with ImageTransport=url."""


@pytest.fixture(scope="module")
def runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CellRunner]:
    """A new stack to run cells in."""
    directory = tmp_path_factory.mktemp("faults")
    with cell_runner(directory, step=steps_in_the_report(request.config)) as started:
        yield started


@pytest.fixture(scope="module")
def outcomes(runner: CellRunner) -> dict[str, Outcome]:
    """The outcomes of the cells by transport and name; most run at the same time."""
    named = {}
    for transport, cells in (("base64", FEW), ("url", BY_URL)):
        runner.transport = transport
        for outcome in runner.run(cells):
            named[f"{transport}: {outcome.cell}"] = outcome
    return named


@pytest.mark.parametrize(
    "name", [f"base64: {one}" for one in FEW] + [f"url: {one}" for one in BY_URL]
)
def test_an_upload_that_meets_a_fault_is_finished_and_paid_once(
    outcomes: dict[str, Outcome], name: str
) -> None:
    """It is tagged, or it failed and has a dead letter; every extra call has a reason."""
    assert outcomes[name].troubles == ()


def test_no_secret_is_in_what_the_stack_has_produced(
    runner: CellRunner, outcomes: dict[str, Outcome]
) -> None:
    """The key, image bytes and presigned URLs are in no log, record, message, metric or error."""
    assert len(outcomes) == len(FEW) + len(BY_URL)
    assert runner.leaks() == []


def test_a_secret_is_found_wherever_the_stack_could_put_it(
    runner: CellRunner,
    outcomes: dict[str, Outcome],  # noqa: ARG001  # the leaks must not be in its search
) -> None:
    """The search looks at all places; each of these leaks is made on purpose."""
    stack = runner.stack
    key = stack.key()
    image = b64encode(small_picture("leak", runner.marks.image)).decode()
    url = "https://bucket/leak.png?X-Amz-Credential=ASIA&X-Amz-Signature=0123"
    group, table = "/leaks", stack.outputs["ResultsTableName"]
    logs = stack.client("logs")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="stream")
    logs.put_log_events(
        logGroupName=group,
        logStreamName="stream",
        logEvents=[{"timestamp": int(time.time() * 1000), "message": image}],
    )
    stack.client("dynamodb").put_item(
        TableName=table,
        Item={
            "uri": {"S": "leak"},
            "version": {"S": "leak"},
            "result": {"M": {"unknown": {"S": quote(key, safe="")}}},
        },
    )
    stack.client("s3").put_object(
        Bucket=stack.outputs["LargeResultsBucketName"],
        Key="leak",
        Body=json.dumps({"note": url}),
    )
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"],
        MessageBody=json.dumps({"echo": b64encode(b"key: " + key.encode()).decode()}),
    )
    stack.client("sns").publish(
        TopicArn=stack.outputs["ResultsTopicArn"],
        Message=announcement_of(
            a_result(an_upload("leak.png"), answer=an_answer({"note": url})),
            bucket_arn="arn:aws:s3:::leaks",
        ).message,
        MessageAttributes={"type": {"DataType": "String", "StringValue": "leak"}},
    )
    stack.client("cloudwatch").put_metric_data(
        Namespace="Leaks",
        MetricData=[
            {
                "MetricName": "Leak",
                "Value": 1,
                "Dimensions": [{"Name": "ErrorCode", "Value": key[:24]}],
            }
        ],
    )

    assert {leak.partition(":")[0] for leak in runner.leaks()} >= {
        f"image bytes in {group}, stream",
        f"the API key in the table {table}",
        f"the API key in the queue {queue_name_of(stack.outputs['DeadLetterQueueUrl'])}",
        "a presigned URL in an announcement",
        "a presigned URL in the large result leak",
        "the API key in a metric",
    }


def test_the_fault_proxy_takes_rules_only_with_its_token(runner: CellRunner) -> None:
    """Other users of the machine inject no faults, and web pages get no answer."""
    proxy = replace(runner.stack.access, endpoint_url=runner.faults.url)
    for path in ("health", "rules", "fired", "stats", ""):
        for method in ("GET", "POST"):
            for prefix in ("/_microburst/", "/%5fmicroburst/", "//_microburst/"):
                assert ask(proxy, method, prefix + path).status in (403, 404)
    token = {"X-Hangtag-Token": "a guess"}
    assert ask(proxy, "GET", "/_microburst/rules", token).status == 403
    assert ask(proxy, "GET", "/", host="rebound.example").status == 403
    assert ask(proxy, "GET", "/", {"Origin": runner.faults.url}).status == 403
    assert runner.faults.set([]) == []


def test_no_secret_is_in_an_argument_of_a_program(runner: CellRunner) -> None:
    """Every user of the machine can read the arguments: `ps` shows them."""
    access = runner.stack.access
    arguments = b"".join(map(arguments_of, Path("/proc").glob("[0-9]*"))).decode(
        errors="replace"
    )

    assert "sandbox" in arguments
    for secret in (runner.stack.key(), access.secret_access_key):
        assert secret not in arguments


def arguments_of(process: Path) -> bytes:
    """The command line of a process; nothing if it has ended."""
    with suppress(OSError):
        return (process / "cmdline").read_bytes()
    return b""


def test_the_few_cells_cover_every_step_and_every_fault() -> None:
    """A new step or fault must be added to these tests, too."""
    assert {one.step for one in FEW} == {one.step for one in all_cells()}
    assert {one.fault for one in FEW} == set(FAULTS)
