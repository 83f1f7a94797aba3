"""Operators at work on the real template: list, show, discard, restore and replay failures."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.processes import wait_for
from local.stack import hangtag_command
from local.watch import WatchedStack
from tests.stack.hands import (
    calls_about,
    notification,
    picture,
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
    assert any('"buried"' in line for line in shown["log"])

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


CUT_OFF = [f"killed/{number:02}.png" for number in range(14)]
BY_HAND = [f"killed/by hand {number}.png" for number in range(3)]
NONSENSE = "put there by hand, and no event"


def test_replays_that_are_interrupted_and_killed_lose_nothing(
    stack: WatchedStack,
) -> None:
    """The real process, by Ctrl-C and by SIGKILL, with letters that were put there by hand."""
    everyone = [*CUT_OFF, *BY_HAND]
    for key in CUT_OFF:
        stack.fail_image(sha256(picture(key)), code=806)
        stack.upload(key, picture(key))
    bury_by_hand(stack, NONSENSE)
    with unheard(stack):
        for key in BY_HAND:
            version = stack.upload(key, picture(key))
            bury_by_hand(stack, notification(stack, key, version))
    for key in CUT_OFF:
        stack.wait_for_result(stack.uri(key), status="FAILED")
        stack.heal_image(sha256(picture(key)))

    def come_out() -> int:
        return sum(call["code"] is None for call in calls_of(stack, everyone))

    statuses = [
        cut_off_replay(stack, cut, come_out)
        for cut in (signal.SIGINT, signal.SIGKILL, signal.SIGKILL)
    ]
    done_before = come_out()
    stack.wait_for(
        lambda: all(letter.visible for letter in stack.dead_letters()) or None,
        "what the killed replays had in hand to be visible again",
        seconds=35,
    )
    last = report_of(stack, "replay", "--prefix", "killed/", "--yes")
    nonsense = report_of(stack, "replay", "--code", "UNCODED", "--yes")
    wait_until_idle(stack)

    assert statuses == [130, -signal.SIGKILL, -signal.SIGKILL]
    assert 3 <= done_before < len(everyone)
    assert (last["left"], last["skipped"]) == (0, 0)
    for key in everyone:
        stack.wait_for_result(stack.uri(key), status="TAGGED")
        assert [*stack.dead_letters(stack.uri(key))] == []
        codes = [call["code"] for call in calls_about(stack, picture(key))]
        assert codes == ([806, None] if key in CUT_OFF else [None])
    assert nonsense["done"] >= 1
    letter = stack.wait_for(
        lambda: next(
            (one for one in stack.dead_letters() if one.body == NONSENSE), None
        ),
        "what nobody can read to be buried again, with its code",
    )
    assert letter.attributes["ErrorCode"] == "UNREADABLE_EVENT"
    assert letter.attributes["Replays"] == "1"


def calls_of(stack: WatchedStack, keys: list[str]) -> list[dict[str, Any]]:
    """The calls the API got about these pictures."""
    digests = {sha256(picture(key)) for key in keys}
    return [call for call in stack.sandbox_calls() if call["sha256"] in digests]


def bury_by_hand(stack: WatchedStack, body: str) -> None:
    """As somebody with the console would: no code, no attributes."""
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody=body
    )


def cut_off_replay(
    stack: WatchedStack, cut: signal.Signals, come_out: Callable[[], int]
) -> int:
    """Begin a replay and end it when something has come out; its exit status."""
    before = come_out()
    process = subprocess.Popen(
        hangtag_command(
            ["failures", "replay", "--prefix", "killed/", "--rate", "4", "--yes"]
        ),
        env=stack.access.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(
        lambda: come_out() > before or None,
        seconds=60,
        otherwise=lambda: "nothing was replayed",
    )
    process.send_signal(cut)
    return process.wait(timeout=60)


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
