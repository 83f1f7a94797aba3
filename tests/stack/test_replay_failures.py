"""ReplayFailures, invoked with the runbook's commands and by clients with AWS's defaults."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.config import Config

from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.system_clock import SystemClock
from hangtag.events import read_body
from hangtag.uploads import Upload
from local.cloud import ROOT
from local.watch import WatchedStack
from tests.builders import a_failed_record, an_upload, key_of
from tests.stack.helpers import (
    picture,
    request_replay,
    wait_until_idle,
    without_notifications,
)

RUNBOOK = (ROOT / "docs/operations.md").read_text("utf-8")
SAM_SECONDS = 120.0


@pytest.fixture(scope="module")
def paused(stack: WatchedStack) -> Iterator[WatchedStack]:
    """The stack with tagging paused: replayed messages stay on the upload queue."""
    wait_until_idle(stack)
    assert stack.hangtag("pause").returncode == 0

    def is_disabled() -> bool | None:
        [mapping] = stack.client("lambda").list_event_source_mappings(
            FunctionName=stack.outputs["TagUploadsFunctionName"]
        )["EventSourceMappings"]
        return True if mapping["State"] == "Disabled" else None

    stack.wait_for(is_disabled, "the mapping to be disabled")
    yield stack
    # The objects of the replayed uploads do not exist: they are skipped
    assert stack.hangtag("resume").returncode == 0
    wait_until_idle(stack)


def commands_without_a_shell() -> list[str]:
    """The runbook's commands that invoke ReplayFailures."""
    section = RUNBOOK.split("**Without a shell.**")[1].split("**On a schedule.**")[0]
    blocks = re.findall(r"```\n(.+?)```", section, re.DOTALL)
    found = re.findall(
        r"^sam remote invoke (?:.*\\\n)*.*$", "\n".join(blocks), re.MULTILINE
    )
    return [str(command) for command in found]


def sam(stack: WatchedStack, command: str, folder: Path) -> str:
    """Runs a command of the runbook in a shell; returns what it prints to stdout."""
    done = subprocess.run(
        ["sh", "-c", command],  # noqa: S607 - any shell
        env={
            **stack.access.environment(),
            "SAM_CLI_TELEMETRY": "0",
            "__SAM_CLI_APP_DIR": str(folder),
        },
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=SAM_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fail(stack: WatchedStack, prefix: str, count: int) -> list[str]:
    """Writes FAILED records with code 803 about objects that do not exist; returns their keys."""
    book = DynamoDBFailures(
        stack.client("dynamodb"), stack.outputs["ResultsTableName"], SystemClock()
    )
    keys = [f"{prefix}{number}.png" for number in range(count)]
    for key in keys:
        upload = replace(an_upload(key), bucket=stack.outputs["UploadsBucketName"])
        record = a_failed_record(upload, code="803", letter_id="expired")
        assert book.swap(key_of(upload), None, record) is None
    return keys


def queued(stack: WatchedStack, prefix: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The messages on the upload queue under a prefix, without receiving them, and their keys."""
    path = "/_ministack/sqs/messages?QueueUrl=" + quote(
        stack.outputs["UploadQueueUrl"], safe=""
    )
    by_account = json.loads(stack.access.get(path))["messages"]
    return (
        (message, entry.key)
        for regions in by_account.values()
        for queues in regions.values()
        for messages in queues.values()
        for message in messages
        for entry in read_body(message["Body"])
        if isinstance(entry, Upload) and entry.key.startswith(prefix)
    )


def sent(stack: WatchedStack, prefix: str) -> list[tuple[float, str]]:
    """The messages on the upload queue under a prefix: time and key."""
    return sorted(
        (int(message["Attributes"]["SentTimestamp"]) / 1000, key)
        for message, key in queued(stack, prefix)
    )


def keys_of(messages: list[tuple[float, str]]) -> Counter[str]:
    """How often each key was sent."""
    return Counter(key for _, key in messages)


def highest_rate(messages: list[tuple[float, str]], *, of: int = 4) -> float:
    """Messages a second, of some in a row: a single one may be late on a busy machine."""
    moments = [moment for moment, _ in messages]
    return max(
        (of - 1) / (last - first)
        for first, last in zip(moments, moments[of - 1 :], strict=False)
    )


def invoke(stack: WatchedStack, client: Any, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - as `request_replay`
    """Sends a request that is no dry run; returns the report, or the error."""
    return request_replay(stack, {"dryRun": False, **request}, client)


def invoke_at_once(
    stack: WatchedStack, times: int, request: dict[str, Any]
) -> list[dict[str, Any]]:
    """Sends a request several times at the same moment, with boto3's own timeouts and retries."""
    client = stack.client("lambda")
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(lambda _: invoke(stack, client, request), range(times)))


def test_the_runbook_commands_replay_failures(
    paused: WatchedStack, tmp_path: Path
) -> None:
    """They are run as they are written there; the second one is asynchronous."""
    stack = paused
    by_request, in_background = commands_without_a_shell()
    assert '"ratePerSecond": 5' in by_request
    assert "InvocationType=Event" in in_background

    summer = fail(stack, "summer/", 8)
    report = json.loads(sam(stack, by_request, tmp_path))
    messages = sent(stack, "summer/")
    assert (report["done"], report["left"]) == (8, 0)
    assert keys_of(messages) == Counter(summer)
    assert highest_rate(messages, of=8) < 7.5

    winter = fail(stack, "winter/", 3)
    sam(stack, in_background, tmp_path)
    stack.wait_for(
        lambda: True if len(sent(stack, "winter/")) == len(winter) else None,
        "the asynchronous replay",
    )
    assert keys_of(sent(stack, "winter/")) == Counter(winter)
    assert highest_rate(sent(stack, "winter/"), of=3) < 0.75


def test_a_request_that_is_repeated_while_something_is_left_replays_all_once(
    paused: WatchedStack, tmp_path: Path
) -> None:
    """Each run answers in time, and the rate holds across the runs."""
    stack = paused
    keys = fail(stack, "repeated/", 12)
    request = (
        '{"prefix": "repeated/", "ratePerSecond": 1, "maxSeconds": 20, "dryRun": false}'
    )
    command = (
        f"sam remote invoke ReplayFailures --stack-name hangtag --event '{request}'"
    )
    reports: list[dict[str, Any]] = []
    seconds: list[float] = []

    while not reports or reports[-1]["left"]:
        began = time.monotonic()
        reports.append(json.loads(sam(stack, command, tmp_path)))
        seconds.append(time.monotonic() - began)
        assert "left" in reports[-1], reports
        assert len(reports) < 30

    messages = sent(stack, "repeated/")
    assert keys_of(messages) == Counter(keys)
    assert highest_rate(messages) < 1.5
    assert sum(report["done"] for report in reports) == len(keys)
    assert len(reports) >= 3
    assert all(report["complete"] is False for report in reports[:-1])
    assert max(seconds) < 60


def test_the_same_request_twice_at_once_replays_the_maximum_once(
    paused: WatchedStack,
) -> None:
    """The second one fails; with its error it says when to repeat it."""
    stack = paused
    fail(stack, "twice/", 10)
    request = {"prefix": "twice/", "max": 4, "ratePerSecond": 1}

    answers = invoke_at_once(stack, 2, request)

    messages = sent(stack, "twice/")
    assert sorted(answer.get("done", 0) for answer in answers) == [0, 4]
    [refusal] = [one["errorMessage"] for one in answers if "errorMessage" in one]
    assert "another run of this function works until" in refusal
    assert len(messages) == 4
    assert highest_rate(messages) < 1.5


def test_the_maximum_is_kept_also_by_requests_that_are_carried_out_at_once(
    paused: WatchedStack,
) -> None:
    """Each takes less time than another instance needs to start."""
    stack = paused
    fail(stack, "quick/", 10)

    answers = invoke_at_once(stack, 3, {"prefix": "quick/", "max": 2})

    done = sum(answer.get("done", 0) for answer in answers)
    assert (done, len(sent(stack, "quick/"))) == (2, 2)


def test_backfills_and_replays_are_message_groups_and_uploads_have_none(
    paused: WatchedStack, tmp_path: Path
) -> None:
    """SQS can deliver fresh uploads before a backlog of old ones."""
    stack = paused
    stack.upload("groups/fresh.png", picture("groups/fresh.png"))
    with without_notifications(stack):
        stack.upload("groups/old.png", picture("groups/old.png"))
    by_command, by_function = fail(stack, "groups/failed/", 2)

    backfill = ("backfill", "--yes", "--checkpoint", str(tmp_path / "checkpoint.json"))
    done = stack.hangtag(*backfill, stack.uri("groups/old"))
    assert done.returncode == 0, done.stderr
    done = stack.hangtag("failures", "replay", "--yes", "--prefix", by_command)
    assert done.returncode == 0, done.stderr
    assert invoke(stack, stack.client("lambda"), {"prefix": by_function})["done"] == 1

    groups = stack.wait_for(
        lambda: found if len(found := dict(groups_of(stack, "groups/"))) == 4 else None,
        "all messages",
    )
    assert groups == {
        "groups/fresh.png": None,
        "groups/old.png": "backfill",
        by_command: "replay",
        by_function: "replay",
    }


def groups_of(stack: WatchedStack, prefix: str) -> Iterator[tuple[str, str | None]]:
    """The keys of the messages under a prefix, with their message groups."""
    for message, key in queued(stack, prefix):
        yield key, message["MessageGroupId"]


def test_a_client_that_repeats_an_invocation_does_not_multiply_the_replay(
    paused: WatchedStack,
) -> None:
    """It waits for less time than the run takes, as clients wait 60 seconds for a run of 300."""
    stack = paused
    fail(stack, "impatient/", 20)
    impatient = boto3.Session().client(
        "lambda",
        endpoint_url=stack.access.endpoint_url,
        verify=stack.access.certificate,
        aws_access_key_id=stack.access.access_key_id,
        aws_secret_access_key=stack.access.secret_access_key,
        region_name=stack.access.region,
        config=Config(
            proxies={}, read_timeout=5, retries={"mode": "legacy", "max_attempts": 1}
        ),
    )
    # The run lasts until a busy machine has started a function for the repeated invocation
    request = {"prefix": "impatient/", "max": 16, "ratePerSecond": 1}

    answer = invoke(stack, impatient, request)

    stack.wait_for(
        lambda: True if len(sent(stack, "impatient/")) >= 16 else None, "the first run"
    )
    time.sleep(2)  # a further run would send meanwhile
    messages = sent(stack, "impatient/")
    assert "another run" in answer["errorMessage"]
    assert len(messages) == 16
    assert highest_rate(messages) < 1.5
