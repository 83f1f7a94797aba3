"""`hangtag results`, `status`, `pause`, `resume` and `key set` against a stack in memory."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest

from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.system_clock import SystemClock
from hangtag.ports import BreakerState
from hangtag.text import to_json, to_timestamp
from hangtag.uploads import SkipReason
from tests.builders import (
    BUCKET,
    KEY,
    NOON,
    URI,
    a_dead_letter,
    a_failed_record,
    a_result,
    an_answer,
    an_upload,
    jacket,
)
from tests.contract.cli_stack import InMemory, fail, hangtag
from tests.environment import REGION

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


def test_a_result_that_no_item_takes_is_printed_as_any_other(stack: InMemory) -> None:
    """It is in S3."""
    result = a_result(answer=an_answer({**jacket(), "note": "x" * 450_000}))
    stack.store(result)

    shown = hangtag("--json", "results", "show", URI)

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == f"{to_json(result)}\n"


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


@pytest.mark.parametrize("version", [[], ["--version", "version-1"]])
def test_a_uri_that_may_be_wrong_has_a_hint(
    stack: InMemory, version: list[str]
) -> None:
    """The bucket is another one, or the key was copied from a URL."""
    assert stack.outputs["UploadsBucketName"] == BUCKET

    def message(uri: str) -> str:
        shown = hangtag("results", "show", uri, *version)
        assert (shown.exit_code, shown.stdout) == (1, "")
        return shown.stderr

    assert f"bucket 'other' is not the stack's, which is '{BUCKET}'" in message(
        "s3://other/x"
    )
    assert "must not be percent-encoded" in message(f"s3://{BUCKET}/a%20b.jpg")
    for uri in (URI, f"s3://{BUCKET}/50% off.jpg"):
        assert not re.search("percent|not the stack's", message(uri))


def test_results_of_other_buckets_are_shown(stack: InMemory) -> None:
    """Their uploads come through an SNS topic."""
    upload = replace(an_upload(), bucket="other")
    results = DynamoDBResults(
        boto3.client("dynamodb"),
        stack.outputs["ResultsTableName"],
        S3LargeResults(boto3.client("s3"), stack.outputs["LargeResultsBucketName"]),
    )
    assert results.store(upload, a_result(upload), retag=None, fence=1.0) is None

    assert hangtag("results", "show", upload.uri).exit_code == 0


# ---- results show --version


def store_and_replace(stack: InMemory) -> None:
    """Stores the result of version-1, then that of version-2."""
    first = an_upload()
    later: Any = {"version_id": "version-2", "sequencer": "0065A3F1C2D4E5B608"}
    stack.store(a_result(first))
    results = DynamoDBResults(
        boto3.client("dynamodb"),
        stack.outputs["ResultsTableName"],
        S3LargeResults(boto3.client("s3"), stack.outputs["LargeResultsBucketName"]),
    )
    there = results.read(URI)
    second = an_upload(**later)
    document = a_result(second)
    assert (
        results.store(second, document, retag=None, fence=2.0, replacing=there) is None
    )


def test_the_newest_version_is_shown_by_its_name(stack: InMemory) -> None:
    """A script that has just uploaded a version asks for exactly that."""
    store_and_replace(stack)

    shown = hangtag("--json", "results", "show", URI, "--version", "version-2")

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["image"]["versionId"] == "version-2"


def test_of_a_replaced_version_the_end_is_known(stack: InMemory) -> None:
    """Only the newest answer of a key is kept."""
    store_and_replace(stack)

    shown = hangtag("--json", "results", "show", URI, "--version", "version-1")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert f"Version version-1 of {URI} is TAGGED since {NOON}" in shown.stderr
    assert "replaced by that of version version-2" in shown.stderr


def test_the_failure_of_an_older_version_is_kept(stack: InMemory) -> None:
    """A newer version has a result."""
    fail(stack)
    later = an_upload(version_id="version-2", sequencer="0065A3F1C2D4E5B608")
    stack.store(a_result(later), version_id="version-2", sequencer=later.sequencer)

    shown = hangtag("--json", "results", "show", URI, "--version", "version-1")
    newest = hangtag("--json", "results", "show", URI)

    assert json.loads(shown.stdout)["failure"]["code"] == "807"
    assert json.loads(newest.stdout)["status"] == "TAGGED"


def test_a_version_without_a_result_has_its_reason(stack: InMemory) -> None:
    """It was skipped, or nothing of it has arrived."""
    stack.skip(KEY, SkipReason.OBJECT_GONE, at=NOON)

    skipped = hangtag("results", "show", URI, "--version", "version-1")
    unknown = hangtag("results", "show", URI, "--version", "version-0")

    assert (skipped.exit_code, unknown.exit_code) == (1, 1)
    assert f"is SKIPPED since {NOON} (OBJECT_GONE)" in skipped.stderr
    assert "nothing about version version-0" in unknown.stderr


def test_without_versions_an_etag_names_one(stack: InMemory) -> None:
    """S3 gives no version id in a bucket without versions."""
    upload = an_upload(version_id=None)
    stack.store(a_result(upload), version_id=None)

    shown = hangtag("--json", "results", "show", URI, "--version", upload.etag or "")

    assert json.loads(shown.stdout)["image"]["etag"] == upload.etag


@pytest.mark.parametrize("version", [[], ["--version", "version-1"]])
def test_the_result_of_a_removed_object_says_when(
    stack: InMemory, version: list[str]
) -> None:
    """An item without a result stands for the object that is gone."""
    stack.store(a_result())
    boto3.client("dynamodb").put_item(
        TableName=stack.outputs["ResultsTableName"],
        Item={
            "uri": {"S": URI},
            "version": {"S": "result"},
            "objectVersion": {"S": "removed:1"},
            "order": {"S": "1"},
            "removedAt": {"S": NOON},
        },
    )

    shown = hangtag("--json", "results", "show", URI, *version)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert f"the object was removed at {NOON}" in shown.stderr


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
        "removed": 0,
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
        ("'key-of-the-tests'\r\n", "key-of-the-tests"),
        ("x-api-key: key-of-the-tests\n", "key-of-the-tests"),
        ("key-of-the-tests\r\n".encode("utf-16"), "key-of-the-tests"),
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


@pytest.mark.parametrize(
    "typed",
    [
        "hidden key",
        "hidden\x1b[0m",
        "hidden-1\nhidden-2\n",
        '"hidden',
        "",
        b"\xff\xfehidden",
        "hidden" * 1_000,
        "hidden" * 20_000,
    ],
)
@pytest.mark.parametrize("command", [["set"], ["check", "--stdin"]], ids=" ".join)
def test_a_text_that_is_no_key_is_refused(
    stack: InMemory, command: list[str], typed: str | bytes
) -> None:
    """Nothing is stored or sent, and the message does not repeat it."""
    hangtag("key", "set", typed="the-old-key")

    shown = hangtag("key", *command, typed=typed)

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "key" in shown.stderr
    assert "hidden" not in shown.stderr
    assert stack.secret() == "the-old-key"


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
    assert shown.stderr.startswith(
        "Error: AWS denies cloudformation:DescribeStacks on hangtag: "
    )
    assert shown.stderr.count("AWS denies") == 1
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
