"""Operators at work on the real template: list, show, discard, restore and replay failures."""

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
from tests.stack.hands import (
    calls_about,
    notification,
    picture,
    records_of,
    sha256,
    unheard,
    wait_until_idle,
)

KEYS = [f"operators/{number}.png" for number in range(4)]
PREFIX = ("--prefix", "operators/")


@pytest.fixture(scope="module")
def refused(stack: WatchedStack) -> WatchedStack:
    """Four pictures that the API refused; it would take them now."""
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
    """What `failures list` tells of these pictures."""
    shown = stack.hangtag("--json", "failures", "list", *PREFIX)
    return [json.loads(line) for line in shown.stdout.splitlines()]


def report_of(stack: WatchedStack, *arguments: str) -> dict[str, Any]:
    """What a command under `failures` prints."""
    report: dict[str, Any] = json.loads(
        stack.hangtag("--json", "failures", *arguments).stdout
    )
    return report


def ordered(stack: WatchedStack, order: dict[str, Any]) -> dict[str, Any]:
    """What the function answers."""
    answer = stack.client("lambda").invoke(
        FunctionName=stack.outputs["ReplayFailuresFunctionName"],
        Payload=json.dumps(order).encode(),
    )
    told: dict[str, Any] = json.loads(answer["Payload"].read())
    return told


def test_operators_see_give_up_bring_back_and_replay_failures(
    refused: WatchedStack, tmp_path: Path
) -> None:
    """One story: nothing is lost on the way, and each picture is paid for once."""
    stack = refused
    backup = tmp_path / "backup.jsonl"
    uris = {stack.uri(key) for key in KEYS}

    # Each failure once, although there are a result and a letter of it
    assert sorted(line["image"] for line in listed(stack)) == sorted(uris)
    assert len(stack.dead_letters()) >= 4

    # All that is known of one, with the log of its attempt
    shown = report_of(stack, "show", stack.uri(KEYS[0]))
    assert shown["objects"][0]["size"] == len(picture(KEYS[0]))
    assert any('"dead-lettered"' in line for line in shown["log"])

    # Given up and brought back
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

    # By hand and by order, the same would be done
    by_hand = report_of(stack, "replay", "--code", "806", *PREFIX)
    by_order = ordered(stack, {"codes": ["806"], "prefix": "operators/"})
    assert by_order == by_hand
    assert by_order["matched"] == 4
    assert "dryrun" in ordered(stack, {"dryrun": False})["errorMessage"]

    # A letter that expired: its failure is replayed from the result, with the others
    remove_letter(stack, stack.uri(KEYS[3]))
    assert {line["image"] for line in listed(stack)} == uris

    # Half by hand, half by order
    halves = [
        report_of(stack, "replay", *PREFIX, "--max", "2", "--rate", "5", "--yes"),
        ordered(stack, {"prefix": "operators/", "dryRun": False}),
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
REFUSED_FOR_EVER = REFUSED[::5]
BY_HAND = [f"killed/by hand {number:02}.png" for number in range(60)]
NONSENSE = "put there by hand, and no event"
HIDDEN_SECONDS = 30.0
"""The longest that a replay, also one that was killed, hides a letter."""


def test_replays_that_are_interrupted_and_killed_lose_nothing(
    stack: WatchedStack,
) -> None:
    """The real process, cut off in the middle; what comes of each letter is counted up."""
    mended = [key for key in REFUSED if key not in REFUSED_FOR_EVER]
    everyone = [*REFUSED, *BY_HAND]
    fill_the_dead_letter_queue(stack, mended)

    # An interrupt lets go of what is in hand, at once
    interrupted = cut_off_replay(stack, signal.SIGINT, "--rate", "4")
    assert interrupted == 130
    assert [key for key, letter in letters_of_killed(stack) if not letter.visible] == []

    # A kill cannot; but nothing is lost, and half a minute later everything is free again
    killed = [cut_off_replay(stack, signal.SIGKILL) for _ in range(5)]
    killed_at = time.monotonic()
    wait_until_idle(stack)
    left = {key for key, _ in letters_of_killed(stack)}
    assert killed == [-signal.SIGKILL] * 5
    assert left | tagged(stack, everyone) == set(everyone)
    assert len(REFUSED_FOR_EVER) < len(left) < len(everyone)
    time.sleep(max(0.0, killed_at + HIDDEN_SECONDS - time.monotonic()))
    assert [key for key, letter in letters_of_killed(stack) if not letter.visible] == []

    # The last one comes to its end
    last = report_of(stack, "replay", *KILLED, "--yes")
    wait_until_idle(stack)
    assert (last["left"], last["skipped"]) == (0, 0)
    assert tagged(stack, everyone) == {*mended, *BY_HAND}
    assert sorted(key for key, _ in letters_of_killed(stack)) == REFUSED_FOR_EVER
    for key, letter in letters_of_killed(stack):
        assert letter.code == "806", key
        assert int(letter.attributes["Replays"]) >= 1, key
    calls = stack.sandbox_calls()
    for key in (*mended, *BY_HAND):
        of_key = [call for call in calls if call["sha256"] == sha256(picture(key))]
        expected = [None] if key in BY_HAND else [806, None]
        assert [call["code"] for call in of_key] == expected, key


def test_what_nobody_can_read_is_buried_again_with_its_code(
    stack: WatchedStack,
) -> None:
    """Put there by hand, it is replayed like any letter, and told apart from then on."""
    bury_by_hand(stack, NONSENSE)

    report = report_of(stack, "replay", "--code", "UNCODED", "--yes")

    def buried_again() -> Letter | None:
        letters = [one for one in stack.dead_letters() if one.body == NONSENSE]
        return next((one for one in letters if one.code), None)

    letter = stack.wait_for(buried_again, "the letter that nobody can read")
    assert report["done"] >= 1
    assert letter.code == "UNREADABLE_EVENT"
    assert letter.attributes["Replays"] == "1"


def fill_the_dead_letter_queue(stack: WatchedStack, mended: list[str]) -> None:
    """Letters of the function's own, most of whose pictures are *mended*, and some by hand."""
    with unheard(stack):
        versions = {key: stack.upload(key, picture(key)) for key in BY_HAND}
    for key in REFUSED:
        stack.fail_image(sha256(picture(key)), code=806)
    for number, refused_key in enumerate(REFUSED):
        stack.upload(refused_key, picture(refused_key))
        for key in BY_HAND[number :: len(REFUSED)]:  # so that they lie mixed
            bury_by_hand(stack, notification(stack, key, versions[key]))

    def have_failed() -> bool | None:
        states = [
            item["status"]["S"] for key in REFUSED for item in records_of(stack, key)
        ]
        return True if states == ["FAILED"] * len(REFUSED) else None

    stack.wait_for(have_failed, "all to be refused")
    wait_until_idle(stack)
    for key in mended:
        stack.heal_image(sha256(picture(key)))
    assert sorted(key for key, _ in letters_of_killed(stack)) == [*REFUSED, *BY_HAND]


def tagged(stack: WatchedStack, keys: list[str]) -> set[str]:
    """Those that are."""
    return {
        key
        for key in keys
        if [item["status"]["S"] for item in records_of(stack, key)] == ["TAGGED"]
    }


def letters_of_killed(stack: WatchedStack) -> list[tuple[str, Letter]]:
    """The letters that the replays to be killed are about, each with its key."""
    return [
        (entry.key, letter)
        for letter in stack.dead_letters()
        for entry in read_body(letter.body)
        if isinstance(entry, Upload) and entry.key.startswith("killed/")
    ]


def bury_by_hand(stack: WatchedStack, body: str) -> None:
    """As somebody with the console would: no code, no attributes."""
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody=body
    )


def cut_off_replay(
    stack: WatchedStack, cut: signal.Signals, *arguments: str
) -> int | None:
    """
    Begin a replay, and end it at any moment after its first letter has gone.

    Returns its exit status.
    """

    def here() -> set[tuple[str, str | None]]:
        letters = letters_of_killed(stack)
        return {(key, letter.attributes.get("FailedAt")) for key, letter in letters}

    before = here()
    process = subprocess.Popen(
        hangtag_command(["failures", "replay", *KILLED, *arguments, "--yes"]),
        env=stack.access.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    began = time.monotonic()
    try:
        while before <= here():
            assert time.monotonic() < began + 60, "nothing was replayed"
            time.sleep(0.02)
        time.sleep(random.uniform(0.0, 0.1))  # noqa: S311 - nothing secret
        process.send_signal(cut)
        return process.wait(timeout=60)
    finally:
        process.kill()


def test_a_schedule_that_is_asked_for_orders_replays(stack: WatchedStack) -> None:
    """It is deployed with its role, and its order is one that the function takes."""
    schedules = stack.client("scheduler")
    [found] = [
        one
        for one in schedules.list_schedules()["Schedules"]
        if "AutoReplay" in one["Name"]
    ]
    target = schedules.get_schedule(Name=found["Name"])["Target"]

    answer = ordered(stack, {**json.loads(target["Input"]), "dryRun": True})

    assert stack.outputs["ReplayFailuresFunctionName"] in target["Arn"]
    assert answer["dryRun"] is True


def remove_letter(stack: WatchedStack, uri: str) -> None:
    """As if it had expired: received and deleted, while all others become visible again."""
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
