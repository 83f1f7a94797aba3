"""Operators at work on the real template: list, show, discard, restore and replay failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.watch import WatchedStack
from tests.stack.hands import calls_about, picture, sha256, wait_until_idle

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
