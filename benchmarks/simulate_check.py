"""
Compares the simulation with runs on the local cloud.

    python -m benchmarks.simulate_check

It runs the real template, functions, queue and sandbox, in minutes. The local cloud serves all
requests in one process, so its time is measured first: without a delay of the API it alone limits
the throughput. The API's delay, the concurrency and the rate are known. Then each setting runs in
the local cloud and in the simulation, and the table shows both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks.simulate import Setup, simulate
from local.indexed import wait_for_stream
from local.ledger import scan
from local.pictures import small_picture
from local.processes import LocalError
from local.progress import steps_on
from local.stack import PARAMETERS, bring_up, take_down
from local.watch import WatchedStack, watch

CONCURRENCY = 4
WAIT_SECONDS = 300.0
TOLERANCE = 0.15

FREE = Setup(images=400, api=0.0)
"""A backlog without a delay of the API: the local cloud's own time for an image."""
ALONE = Setup(images=20, api=0.0, arrivals=2.0)
"""Images that meet no other one."""
SETTINGS = {
    "bound by the API": Setup(images=400, api=4.0),
    "bound by the rate": Setup(images=300, api=1.0, rate=6.0),
    "arrivals below capacity": Setup(images=400, api=2.0, arrivals=4.0),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run on the local cloud took."""

    images_per_second: float
    p50: float
    p95: float


def run(stack: WatchedStack, name: str, setup: Setup) -> Measured:
    """Tag the images of a setting in the local cloud."""
    configure(stack, setup.rate)
    warm_up(stack, name)
    stack.sandbox.heal()
    if setup.api:
        stack.sandbox.fail({"delaySeconds": setup.api})
    keys = [f"{name}/{number}.png" for number in range(setup.images)]
    pictures = [small_picture(key) for key in keys]
    sent: dict[str, float] = {}
    if setup.arrivals:
        gaps = Random(setup.seed)  # noqa: S311 - repeatable, not secret
        at = began = time.time()
        for key, picture in zip(keys, pictures, strict=True):
            at += gaps.expovariate(setup.arrivals)
            time.sleep(max(0.0, at - time.time()))
            sent[key] = time.time()
            stack.upload(key, picture)
    else:
        switch(stack, on=False)
        for key, picture in zip(keys, pictures, strict=True):
            stack.upload(key, picture)
        began = time.time()
        sent = dict.fromkeys(keys, began)
        switch(stack, on=True)
    tagged = wait_for_tagged(stack, f"{name}/", setup.images)
    waits = sorted(tagged[key] - sent[key] for key in keys)
    if troubles := wait_for_stream(stack):
        raise LocalError("\n".join(troubles))
    return Measured(
        setup.images / (max(tagged.values()) - began),
        waits[int(0.5 * len(waits))],
        waits[int(0.95 * len(waits))],
    )


def configure(stack: WatchedStack, rate: float) -> None:
    """Give the function this rate limit, as `MaxRequestsPerSecond` does."""
    functions = stack.client("lambda")
    name = stack.outputs["TagUploadsFunctionName"]
    found = functions.get_function_configuration(FunctionName=name)["Environment"]
    functions.update_function_configuration(
        FunctionName=name,
        Environment={
            "Variables": {
                **found["Variables"],
                "HANGTAG_MAX_REQUESTS_PER_SECOND": str(rate),
            }
        },
    )


def warm_up(stack: WatchedStack, name: str) -> None:
    """Start all instances: their starts are no part of the runs."""
    stack.sandbox.heal()
    stack.sandbox.fail({"delaySeconds": 1.0})
    images = 10 * CONCURRENCY
    switch(stack, on=False)
    for number in range(images):
        key = f"warm {name}/{number}.png"
        stack.upload(key, small_picture(key))
    switch(stack, on=True)
    wait_for_tagged(stack, f"warm {name}/", images)


def switch(stack: WatchedStack, *, on: bool) -> None:
    """Let the function receive messages, or not."""
    functions = stack.client("lambda")
    [mapping] = functions.list_event_source_mappings(
        FunctionName=stack.outputs["TagUploadsFunctionName"]
    )["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)


def wait_for_tagged(stack: WatchedStack, prefix: str, images: int) -> dict[str, float]:
    """Wait until that many images are tagged; returns when each was, by its key."""
    queue = {
        "QueueUrl": stack.outputs["UploadQueueUrl"],
        "AttributeNames": [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ],
    }
    sqs = stack.client("sqs")
    until = time.monotonic() + WAIT_SECONDS
    while any(map(int, sqs.get_queue_attributes(**queue)["Attributes"].values())):
        if time.monotonic() > until:
            raise LocalError(stack.with_log(f"images of {prefix} are not tagged"))
        time.sleep(1.0)
    start = stack.uri("")
    found = {
        item["uri"].removeprefix(start): datetime.fromisoformat(item["endedAt"])
        for item in scan(stack)
        if item["uri"].startswith(start + prefix) and item.get("status") == "TAGGED"
    }
    if len(found) != images:
        raise LocalError(stack.with_log(f"{len(found)} of {images} are tagged"))
    return {key: at.timestamp() for key, at in found.items()}


def compared(stack: WatchedStack) -> Iterator[tuple[str, float]]:
    """Run everything; yields the rows of the table, each with the difference that it shows."""
    free = run(stack, "free", FREE)
    shared = 1 / free.images_per_second
    alone = run(stack, "alone", ALONE)
    own = max(0.0, alone.p50 - shared)
    yield f"| measured first | seconds an image, in a backlog | {shared:.4f} | | |", 0.0
    yield f"| measured first | seconds of an image alone | {alone.p50:.4f} | | |", 0.0
    for name, setup in SETTINGS.items():
        found = run(stack, name, setup)
        simulated = simulate(
            replace(
                setup,
                concurrency=CONCURRENCY,
                warm=CONCURRENCY,
                shared=shared,
                own=own,
            )
        )
        for figure in ("images_per_second", "p50", "p95"):
            real, ideal = getattr(found, figure), getattr(simulated, figure)
            difference = ideal / real - 1
            yield (
                (
                    f"| {name} | {figure.replace('_', ' ')} | {real:.2f} | {ideal:.2f} "
                    f"| {difference:+.1%} |"
                ),
                difference,
            )


def main() -> None:
    """Print the figures of each setting; exits with 1 if one differs by more than `TOLERANCE`."""
    with TemporaryDirectory(prefix="hangtag-simulate-") as directory:
        path = Path(directory)
        parameters = {
            **PARAMETERS,
            "FunctionTimeout": "60",
            "VisibilityTimeout": "390",
            "MaxConcurrency": str(CONCURRENCY),
        }
        stack = watch(
            bring_up(path, step=steps_on(Console(stderr=True)), parameters=parameters),
            "simulate-subscriber",
        )
        try:
            rows = list(compared(stack))
        finally:
            take_down(path)
    print("| setting | figure | local cloud | simulation | difference |")
    print("|---|---|---|---|---|")
    for row, _ in rows:
        print(row)
    if any(abs(difference) > TOLERANCE for _, difference in rows):
        sys.exit(f"a difference is larger than {TOLERANCE:.0%}")


if __name__ == "__main__":
    main()
