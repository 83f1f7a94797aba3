"""Operators list, show, discard, restore and replay failures on the real template."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from hangtag.events import read_body
from hangtag.uploads import Upload
from local.stack import Letter, hangtag_command
from local.watch import WatchedStack
from tests.stack.helpers import (
    calls_about,
    notification,
    picture,
    records_of,
    request_replay,
    sha256,
    wait_until_idle,
    without_notifications,
)

KEYS = [f"operators/{number}.png" for number in range(4)]
PREFIX = ("--prefix", "operators/")


@pytest.fixture(scope="module")
def refused(stack: WatchedStack) -> WatchedStack:
    """Four dead-lettered images that the API refused, and would accept now."""
    for key in KEYS:
        stack.fail_image(sha256(picture(key)), code=806)
        stack.upload(key, picture(key))
    for key in KEYS:
        stack.wait_for_dead_letter(stack.uri(key))
        stack.wait_for_result(stack.uri(key), status="FAILED")
    for key in KEYS:
        stack.heal_image(sha256(picture(key)))
    return stack


def listed(stack: WatchedStack) -> list[dict[str, Any]]:
    """Return the output of `failures list` for these images."""
    done = stack.hangtag("--json", "failures", "list", *PREFIX)
    return [json.loads(line) for line in done.stdout.splitlines()]


def report_of(stack: WatchedStack, *arguments: str) -> dict[str, Any]:
    """Run a command under `failures`, and return its report."""
    report: dict[str, Any] = json.loads(
        stack.hangtag("--json", "failures", *arguments).stdout
    )
    return report


def test_operators_list_show_discard_restore_and_replay_failures(
    refused: WatchedStack, tmp_path: Path
) -> None:
    """No failure is lost between the commands, and each image is paid once."""
    stack = refused
    backup = tmp_path / "backup.jsonl"
    uris = {stack.uri(key) for key in KEYS}

    # Each failure is listed once, although it has a result and a dead letter
    assert sorted(line["image"] for line in listed(stack)) == sorted(uris)
    assert len(stack.dead_letters()) >= 4

    # One failure is shown with the log of its attempt
    shown = report_of(stack, "show", stack.uri(KEYS[0]))
    assert shown["objects"][0]["size"] == len(picture(KEYS[0]))
    assert any('"dead-lettered"' in line for line in shown["log"])

    # Two failures are discarded and restored
    discarded = report_of(
        stack, "discard", *PREFIX, "--max", "2", "--backup", str(backup), "--yes"
    )
    assert (discarded["done"], discarded["left"]) == (2, 2)
    assert len(backup.read_text("utf-8").splitlines()) == 2
    assert len(listed(stack)) == 2
    status = json.loads(stack.hangtag("--json", "status").stdout)
    assert status["skipped"]["DISCARDED"] == 2
    assert report_of(stack, "restore", str(backup), "--yes")["done"] == 2
    assert {line["image"] for line in listed(stack)} == uris

    # The command and the function report the same dry run
    by_command = report_of(stack, "replay", "--code", "806", *PREFIX)
    by_function = request_replay(stack, {"codes": ["806"], "prefix": "operators/"})
    assert by_function == by_command
    assert by_function["matched"] == 4
    assert "dryrun" in request_replay(stack, {"dryrun": False})["errorMessage"]

    # A failure whose dead letter has expired is replayed from its result
    remove_letter(stack, stack.uri(KEYS[3]))
    assert {line["image"] for line in listed(stack)} == uris

    # The command replays two failures, the function the others
    halves = [
        report_of(stack, "replay", *PREFIX, "--max", "2", "--rate", "5", "--yes"),
        request_replay(stack, {"prefix": "operators/", "dryRun": False}),
    ]
    assert [half["done"] for half in halves] == [2, 2]
    for key in KEYS:
        stack.wait_for_result(stack.uri(key), status="TAGGED")
    wait_until_idle(stack)
    assert listed(stack) == []
    assert [stack.dead_letters(stack.uri(key)) for key in KEYS] == [[]] * 4
    for key in KEYS:
        codes = [call["code"] for call in calls_about(stack, picture(key))]
        assert codes == [806, None]


KILLED = ("--prefix", "killed/")
REFUSED = [f"killed/{number:02}.png" for number in range(20)]
STILL_REFUSED = REFUSED[::5]
SENT_BY_HAND = [f"killed/by hand {number:02}.png" for number in range(60)]
UNREADABLE = "sent by hand, not an event"
HIDDEN_SECONDS = 30.0
"""The visibility timeout of a letter during a replay."""
LAST_RECEIVE_SECONDS = 3.0
"""The queue may still answer the last request of a killed replay: a long poll of one second."""


def test_replays_that_are_interrupted_and_killed_lose_nothing(
    stack: WatchedStack,
) -> None:
    """The test stops the real process in the middle, and accounts for every letter."""
    fixed = [key for key in REFUSED if key not in STILL_REFUSED]
    all_keys = [*REFUSED, *SENT_BY_HAND]
    fill_the_dead_letter_queue(stack, fixed)

    # An interrupted replay makes its letters visible at once
    interrupted = cut_off_replay(stack, signal.SIGINT, "--rate", "4")
    assert interrupted == 130
    assert [key for key, letter in letters_of_killed(stack) if not letter.visible] == []

    # The letters of a killed replay are not lost, and visible again after half a minute
    killed = [cut_off_replay(stack, signal.SIGKILL) for _ in range(5)]
    killed_at = time.monotonic()
    wait_until_idle(stack)
    left = {key for key, _ in letters_of_killed(stack)}
    assert killed == [-signal.SIGKILL] * 5
    assert left | tagged(stack, all_keys) == set(all_keys)
    assert len(STILL_REFUSED) < len(left) < len(all_keys)
    visible_at = killed_at + LAST_RECEIVE_SECONDS + HIDDEN_SECONDS
    time.sleep(max(0.0, visible_at - time.monotonic()))
    assert [key for key, letter in letters_of_killed(stack) if not letter.visible] == []

    # The last replay finishes
    last = report_of(stack, "replay", *KILLED, "--yes")
    wait_until_idle(stack)
    assert (last["left"], last["skipped"]) == (0, 0)
    assert tagged(stack, all_keys) == {*fixed, *SENT_BY_HAND}
    # Each kill may have left a letter that the next replay removes
    letters = [key for key, _ in letters_of_killed(stack)]
    assert set(letters) == set(STILL_REFUSED)
    assert len(letters) <= len(STILL_REFUSED) + len(killed)
    for key, letter in letters_of_killed(stack):
        assert letter.code == "806", key
        assert int(letter.attributes["Replays"]) >= 1, key
    calls = stack.sandbox_calls()
    for key in (*fixed, *SENT_BY_HAND):
        of_key = [call for call in calls if call["sha256"] == sha256(picture(key))]
        expected = [None] if key in SENT_BY_HAND else [806, None]
        assert [call["code"] for call in of_key] == expected, key


def test_an_unreadable_letter_is_dead_lettered_again_with_its_code(
    stack: WatchedStack,
) -> None:
    """A message that an operator sent without a code gets one by a replay."""
    send_dead_letter(stack, UNREADABLE)

    report = report_of(stack, "replay", "--code", "UNCODED", "--yes")

    def dead_lettered_again() -> Letter | None:
        letters = [one for one in stack.dead_letters() if one.body == UNREADABLE]
        return next((one for one in letters if one.code), None)

    letter = stack.wait_for(dead_lettered_again, "the unreadable letter with a code")
    assert report["done"] >= 1
    assert letter.code == "UNREADABLE_EVENT"
    assert letter.attributes["Replays"] == "1"


def fill_the_dead_letter_queue(stack: WatchedStack, fixed: list[str]) -> None:
    """Fill it with letters of the function and some sent by hand; then heal the *fixed* images."""
    with without_notifications(stack):
        versions = {key: stack.upload(key, picture(key)) for key in SENT_BY_HAND}
    for key in REFUSED:
        stack.fail_image(sha256(picture(key)), code=806)
    for number, refused_key in enumerate(REFUSED):
        stack.upload(refused_key, picture(refused_key))
        for key in SENT_BY_HAND[number :: len(REFUSED)]:  # mixes both kinds
            send_dead_letter(stack, notification(stack, key, versions[key]))

    def have_failed() -> bool | None:
        states = [
            item["status"]["S"] for key in REFUSED for item in records_of(stack, key)
        ]
        return True if states == ["FAILED"] * len(REFUSED) else None

    stack.wait_for(have_failed, "all to be refused")
    wait_until_idle(stack)
    for key in fixed:
        stack.heal_image(sha256(picture(key)))
    assert sorted(key for key, _ in letters_of_killed(stack)) == [
        *REFUSED,
        *SENT_BY_HAND,
    ]


def tagged(stack: WatchedStack, keys: list[str]) -> set[str]:
    """Return the keys whose only version is tagged."""
    return {
        key
        for key in keys
        if [item["status"]["S"] for item in records_of(stack, key)] == ["TAGGED"]
    }


def letters_of_killed(stack: WatchedStack) -> list[tuple[str, Letter]]:
    """Return the letters of the keys in `killed/`, each with its key."""
    return [
        (entry.key, letter)
        for letter in stack.dead_letters()
        for entry in read_body(letter.body)
        if isinstance(entry, Upload) and entry.key.startswith("killed/")
    ]


def send_dead_letter(stack: WatchedStack, body: str) -> None:
    """Send a dead letter without attributes, as an operator can in the console."""
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody=body
    )


def cut_off_replay(
    stack: WatchedStack, cut: signal.Signals, *arguments: str
) -> int | None:
    """
    Start a replay, and send it a signal at a random moment after its first letter is replayed.

    Returns its exit status.
    """

    def present() -> set[tuple[str, str | None]]:
        letters = letters_of_killed(stack)
        return {(key, letter.attributes.get("FailedAt")) for key, letter in letters}

    before = present()
    process = subprocess.Popen(
        hangtag_command(["failures", "replay", *KILLED, *arguments, "--yes"]),
        env=stack.access.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    began = time.monotonic()
    try:
        while before <= present():
            assert time.monotonic() < began + 60, "no letter was replayed"
            time.sleep(0.02)
        time.sleep(random.uniform(0.0, 0.1))  # noqa: S311 - nothing secret
        process.send_signal(cut)
        return process.wait(timeout=60)
    finally:
        process.kill()


def test_the_replay_schedule_is_deployed_and_its_request_is_valid(
    stack: WatchedStack,
) -> None:
    """The function accepts the schedule's input."""
    schedules = stack.client("scheduler")
    [found] = [
        one
        for one in schedules.list_schedules()["Schedules"]
        if "AutoReplay" in one["Name"]
    ]
    target = schedules.get_schedule(Name=found["Name"])["Target"]

    report = request_replay(stack, {**json.loads(target["Input"]), "dryRun": True})

    assert stack.outputs["ReplayFailuresFunctionName"] in target["Arn"]
    assert report["dryRun"] is True


def remove_letter(stack: WatchedStack, uri: str) -> None:
    """Delete a letter, as if it had expired, and make the others visible again."""
    sqs, url = stack.client("sqs"), stack.outputs["DeadLetterQueueUrl"]
    received = []
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        received += messages
    for message in received:
        if message["MessageAttributes"].get("Image", {}).get("StringValue") == uri:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        else:
            sqs.change_message_visibility(
                QueueUrl=url,
                ReceiptHandle=message["ReceiptHandle"],
                VisibilityTimeout=0,
            )
