"""
Measures how long an upload to an idle, warm stack takes to be TAGGED.

    python -m benchmarks.warm_upload

One image after the other, with pauses, through the local cloud's own S3 event, queue and poller,
with an API that answers after 500 ms (`benchmarks.stub_api`). The time is that from the end of the
upload until a consistent read finds the record TAGGED. The function's own part is its log's `all`
without `call`. In a second round nothing is tagged: the messages are received by this program,
which shows how long the local cloud takes until a message is there.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.function import refusals
from benchmarks.function_bench import API_MILLISECONDS, stack_with_stub, switch
from local.pictures import small_picture
from local.processes import LocalError
from local.stack import Stack

UPLOADS = 30
WARM_UPLOADS = 3
KILOBYTES = 300
PAUSE_SECONDS = 0.7
LOOK_SECONDS = 0.003
WAIT_SECONDS = 30.0


def picture() -> bytes:
    """An image of `KILOBYTES`, unlike any other."""
    start = small_picture("warm")
    return start + os.urandom(1_000 * KILOBYTES - len(start))


def tagged_after(stack: Stack, key: str) -> float:
    """Upload an image, and return the milliseconds until its record is TAGGED."""
    version = stack.upload(key, picture())
    began = time.perf_counter()
    client = stack.client("dynamodb")
    read = {
        "TableName": stack.outputs["ResultsTableName"],
        "Key": {"uri": {"S": stack.uri(key)}, "version": {"S": f"version:{version}"}},
        "ConsistentRead": True,
    }
    # It cannot be there earlier, and each read takes time of the local cloud
    time.sleep(API_MILLISECONDS / 1_000)
    while time.perf_counter() < began + WAIT_SECONDS:
        item = client.get_item(**read).get("Item", {})
        if item.get("status") == {"S": "TAGGED"}:
            return 1_000 * (time.perf_counter() - began)
        time.sleep(LOOK_SECONDS)
    raise LocalError(
        f"{key} was not tagged; the end of the log:\n{stack.function_log()}"
    )


def arrived_after(stack: Stack, key: str) -> float:
    """Upload an image, and return the milliseconds until its message can be received."""
    queue, url = stack.client("sqs"), stack.outputs["UploadQueueUrl"]
    stack.upload(key, picture())
    began = time.perf_counter()
    while time.perf_counter() < began + WAIT_SECONDS:
        found = queue.receive_message(QueueUrl=url, WaitTimeSeconds=5)
        for message in found.get("Messages", []):
            took = 1_000 * (time.perf_counter() - began)
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if f'"{key}"' in message["Body"]:
                return took
    raise LocalError(f"the message of {key} did not arrive")


def own_milliseconds(stack: Stack) -> dict[str, list[float]]:
    """The function's own parts of the measured uploads, from its log."""
    lines = [json.loads(text) for text in stack.log_events() if '"tagged"' in text]
    laps = [
        line["milliseconds"]
        for line in lines
        if line.get("message") == "tagged" and "/warm/" not in line["uri"]
    ]
    parts: dict[str, list[float]] = {
        f"of it, {name}": [lap[name] for lap in laps]
        for name in laps[0]
        if name not in ("all", "call")
    }
    return {
        "the call": [lap["call"] for lap in laps],
        "the function's own work": [lap["all"] - lap["call"] for lap in laps],
        **parts,
    }


def measured(stack: Stack) -> dict[str, list[float]]:
    """Milliseconds of every upload, by part."""
    switch(stack, on=True)
    seen = []
    for number in range(WARM_UPLOADS + UPLOADS):
        folder = "warm" if number < WARM_UPLOADS else "images"
        seen.append(tagged_after(stack, f"{folder}/{number}.png"))
        time.sleep(PAUSE_SECONDS)
    own = own_milliseconds(stack)
    switch(stack, on=False)
    time.sleep(2 * PAUSE_SECONDS)  # its poller's last receive
    arrivals = [arrived_after(stack, f"seen/{number}.png") for number in range(10)]
    total = seen[WARM_UPLOADS:]
    return {
        "until TAGGED": total,
        "until TAGGED, beyond the API's 500 ms": [
            one - API_MILLISECONDS for one in total
        ],
        **own,
        "until its message can be received": arrivals,
    }


def table_of(rows: dict[str, list[float]]) -> str:
    """A line for each part."""
    lines = ["| milliseconds | median | most |", "|---|---|---|"]
    for name, some in rows.items():
        lines.append(f"| {name} | {median(some):.0f} | {max(some):.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    with (
        refusals(),
        TemporaryDirectory(prefix="hangtag-warm-") as folder,
        stack_with_stub(Path(folder)) as (stack, _),
    ):
        print(table_of(measured(stack)))


if __name__ == "__main__":
    main()
