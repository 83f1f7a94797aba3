"""The breaker, the pause and the rate limit, and how tagging resumes after them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from local.watch import WatchedStack
from tests.stack.conftest import PARAMETERS
from tests.stack.helpers import (
    calls_about,
    configured,
    picture,
    records_of,
    sha256,
    wait_until_idle,
)

FAILURES_TO_OPEN = 5


@pytest.fixture
def resumed_afterwards(stack: WatchedStack) -> Iterator[None]:
    """Resume tagging after the test."""
    yield
    stack.sandbox.set_quota(None)
    assert stack.hangtag("resume").returncode == 0


def mapping_state(stack: WatchedStack) -> str:
    """Return the state of the function's event source mapping."""
    [mapping] = stack.client("lambda").list_event_source_mappings(
        FunctionName=stack.outputs["TagUploadsFunctionName"]
    )["EventSourceMappings"]
    state: str = mapping["State"]
    return state


def status(stack: WatchedStack) -> dict[str, Any]:
    """Return the output of `hangtag status`."""
    done = stack.hangtag("--json", "status")
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def reconcile(stack: WatchedStack) -> dict[str, Any]:
    """Invoke the function as the schedule does every 15 minutes, and return its response."""
    answer = stack.client("lambda").invoke(
        FunctionName=stack.outputs["TagUploadsFunctionName"],
        Payload=json.dumps({"hangtag": "try again"}).encode(),
    )
    response: dict[str, Any] = json.loads(answer["Payload"].read())
    return response


def upload_all(stack: WatchedStack, folder: str, number: int) -> list[str]:
    """Upload this many different images in parallel, and return their keys."""
    keys = [f"{folder}/{n}.png" for n in range(number)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: stack.upload(key, picture(key)), keys))
    return keys


def letters_about(stack: WatchedStack, keys: list[str]) -> list[str]:
    """Return the codes of the dead letters of these keys."""
    uris = {stack.uri(key) for key in keys}
    return [
        str(letter.code)
        for letter in stack.dead_letters()
        if letter.attributes.get("Image") in uris
    ]


@pytest.mark.usefixtures("resumed_afterwards")
def test_a_systemic_fault_dead_letters_five_and_disables_the_mapping(
    stack: WatchedStack,
) -> None:
    """The rest of the backlog waits; in the end all uploads are tagged."""
    stack.sandbox.set_quota(0)

    keys = upload_all(stack, "quota", 24)

    stack.wait_for(
        lambda: True if mapping_state(stack) == "Disabled" else None,
        "the mapping to be disabled",
    )
    stack.wait_for(
        lambda: True if len(letters_about(stack, keys)) == FAILURES_TO_OPEN else None,
        "five letters",
    )
    shown = status(stack)
    assert shown["breaker"] == {"open": True, "code": "823"}
    assert shown["paused"] is False

    # The half-open breaker meets the same fault: it opens again and dead-letters no upload.
    breaker = reconcile(stack)["breaker"]
    assert (breaker["open"], breaker["code"]) == (True, "823")
    assert breaker["failures"] >= FAILURES_TO_OPEN
    stack.wait_for(
        lambda: True if mapping_state(stack) == "Disabled" else None,
        "the mapping to be disabled again",
    )
    assert letters_about(stack, keys) == ["823"] * FAILURES_TO_OPEN

    # The fault is fixed: after the next run of the schedule, a success closes the breaker.
    stack.sandbox.set_quota(None)
    reconcile(stack)
    stack.wait_for(
        lambda: (
            True if len(tagged(stack, keys)) == len(keys) - FAILURES_TO_OPEN else None
        ),
        "the backlog to be tagged",
        seconds=90,
    )
    assert status(stack)["breaker"] == {"open": False, "code": None}
    replayed = stack.hangtag("--json", "failures", "replay", "--code", "823", "--yes")
    assert json.loads(replayed.stdout)["done"] == FAILURES_TO_OPEN
    stack.wait_for(
        lambda: True if len(tagged(stack, keys)) == len(keys) else None,
        "all to be tagged",
    )
    paid = [
        sum(call["status"] == 201 for call in calls_about(stack, picture(key)))
        for key in keys
    ]
    assert paid == [1] * len(keys)
    assert letters_about(stack, keys) == []


def tagged(stack: WatchedStack, keys: list[str]) -> list[str]:
    """Return the keys with a tagged version."""
    return [
        key
        for key in keys
        if any(item["status"]["S"] == "TAGGED" for item in records_of(stack, key))
    ]


@pytest.mark.usefixtures("resumed_afterwards")
def test_only_an_operator_ends_a_pause(stack: WatchedStack) -> None:
    """Uploads wait, and the schedule does not end the pause."""
    paused = stack.hangtag("pause")
    assert paused.returncode == 0, paused.stderr
    stack.wait_for(
        lambda: True if mapping_state(stack) == "Disabled" else None, "a pause"
    )

    stack.upload("pause/1.png", picture("pause/1.png"))
    reconcile(stack)

    shown = status(stack)
    assert (shown["paused"], shown["breaker"]["open"]) == (True, False)
    assert mapping_state(stack) == "Disabled"
    assert shown["queue"]["waiting"] >= 1
    assert calls_about(stack, picture("pause/1.png")) == []

    assert stack.hangtag("resume").returncode == 0

    assert stack.wait_for_result(stack.uri("pause/1.png"))["status"] == "TAGGED"
    assert status(stack)["paused"] is False


@pytest.fixture
def without_the_switch_policy(stack: WatchedStack) -> Iterator[Callable[[], None]]:
    """Take away the policy to switch the mapping; calling the fixture gives it back."""
    iam = stack.client("iam")
    function = stack.client("lambda").get_function_configuration(
        FunctionName=stack.outputs["TagUploadsFunctionName"]
    )
    named = {
        "RoleName": function["Role"].rpartition("/")[2],
        "PolicyName": "switch-the-event-source-mapping",
    }
    document = iam.get_role_policy(**named)["PolicyDocument"]
    iam.delete_role_policy(**named)

    def give_back() -> None:
        text = document if isinstance(document, str) else json.dumps(document)
        iam.put_role_policy(**named, PolicyDocument=text)

    yield give_back
    give_back()


@pytest.mark.usefixtures("resumed_afterwards")
def test_the_schedule_switches_the_mapping_once_the_policy_exists(
    stack: WatchedStack, without_the_switch_policy: Callable[[], None]
) -> None:
    """CloudFormation creates the policy after the mapping, and a deployment may replace it."""
    functions = stack.client("lambda")
    [mapping] = functions.list_event_source_mappings(
        FunctionName=stack.outputs["TagUploadsFunctionName"]
    )["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    stack.wait_for(
        lambda: True if mapping_state(stack) == "Disabled" else None,
        "the mapping to be disabled",
    )

    assert reconcile(stack)["breaker"] == {"trouble": "MAPPING_UNAVAILABLE"}
    assert mapping_state(stack) == "Disabled"

    without_the_switch_policy()
    assert reconcile(stack)["breaker"]["open"] is False
    stack.wait_for(
        lambda: True if mapping_state(stack) == "Enabled" else None,
        "the mapping to be enabled",
    )


@pytest.mark.parametrize("rate", [4])
def test_the_api_gets_no_more_calls_per_second_than_the_rate_limit(
    stack: WatchedStack, rate: int
) -> None:
    """Retries count. Clock skew and latency allow one more call for each instance."""
    for number in range(0, 24, 4):
        content = picture(f"rate/{number}.png")
        stack.fail_image(sha256(content), code=500, times=1)
    with configured(stack, HANGTAG_MAX_REQUESTS_PER_SECOND=str(rate)):
        keys = upload_all(stack, "rate", 24)
        stack.wait_for(
            lambda: True if len(tagged(stack, keys)) == len(keys) else None,
            "all to be tagged",
            seconds=120,
        )
        wait_until_idle(stack)

    calls = sorted(
        call["at"] for key in keys for call in calls_about(stack, picture(key))
    )
    assert len(calls) == 24 + 6
    most = max(sum(at <= other < at + 1 for other in calls) for at in calls)
    assert most <= rate + int(PARAMETERS["MaxConcurrency"])
    # The limiter does not waste time: slots are 5 % further apart than the rate needs
    median = sorted(after - before for before, after in pairwise(calls))[
        len(calls) // 2
    ]
    assert median < 2 / rate
