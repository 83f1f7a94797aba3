"""`hangtag failures` against a stack in memory."""

from __future__ import annotations

import json
import re
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from hangtag.dead_letters import DeadLetter
from hangtag.failure import Failure
from hangtag.text import to_timestamp
from tests.builders import (
    BUCKET,
    KEY,
    NOON,
    URI,
    a_dead_letter,
    an_upload,
)
from tests.contract.cli_stack import InMemory, fail, hangtag, unreadable_letter
from tests.environment import REGION

UUID_LENGTH = 36


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


def test_a_filter_without_a_match_does_not_read_like_an_empty_queue(
    stack: InMemory,
) -> None:
    """A mistyped code at night is not the all-clear."""
    stack.send(a_dead_letter(code="807"))

    shown = hangtag("failures", "list", "--code", "8O7")

    assert shown.stdout == ""
    assert "No dead letter matches the filters." in shown.stderr


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
    assert shown["objects"][0]["deleted"] is False
    assert shown["objects"][0]["metadata"] == {"tagger-id": "A-1"}
    assert gone["objects"] == [None]
    assert shown["log"] is None
    assert "The log cannot be read" in for_people.stderr
    assert "x-amz-meta-tagger-id" in for_people.stdout


def test_a_version_below_a_delete_marker_is_shown_as_deleted(stack: InMemory) -> None:
    """It can still be read, but a replay would be skipped."""
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )
    put = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"12345")
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    gone = an_upload("gone.jpg")
    stack.send(
        a_dead_letter(an_upload(version_id=put["VersionId"])), a_dead_letter(gone)
    )

    shown = json.loads(hangtag("--json", "failures", "show", URI).stdout)
    deleted = hangtag("failures", "show", URI).stdout
    without_version = hangtag("failures", "show", gone.uri).stdout

    assert shown["objects"][0]["size"] == 5
    assert shown["objects"][0]["deleted"] is True
    assert "deleted; below the delete marker: 5 bytes" in deleted
    assert "SUPERSEDED: discard the letter" in deleted
    assert "a replay would be skipped: discard the letter" in without_version


def test_the_failure_of_a_removal_is_not_to_be_discarded(stack: InMemory) -> None:
    """Its object is gone, as it should be; a replay removes the result."""
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"12345")
    marker = s3.delete_object(Bucket=BUCKET, Key=KEY)["VersionId"]
    removal = an_upload(
        version_id=marker, event_name="ObjectRemoved:DeleteMarkerCreated"
    )
    stack.send(a_dead_letter(removal))

    shown = hangtag("failures", "show", URI).stdout

    assert re.search("object now +gone", shown)
    assert "discard" not in shown


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


def test_a_failure_with_a_code_of_an_older_version_is_listed_and_replayed(
    stack: InMemory,
) -> None:
    """RESULT_TOO_LARGE was one: nothing raises it any more."""
    fail(stack, code="RESULT_TOO_LARGE")

    listed = hangtag("failures", "list", "--json")
    replayed = hangtag(
        "failures", "replay", "--code", "RESULT_TOO_LARGE", "--yes", "--json"
    )

    assert json.loads(listed.stdout)["code"] == "RESULT_TOO_LARGE"
    assert json.loads(replayed.stdout)["done"] == 1
    assert len(stack.messages("UploadQueueUrl")) == 1


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


def test_a_second_replay_finds_no_failure_while_the_first_waits(
    stack: InMemory,
) -> None:
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
