"""
Counts the AWS usage of an image in the local cloud.

    python -m benchmarks.cost

It runs the real template, function, queue and sandbox. A proxy records the function's AWS calls.
The invocations and the log size come from the function's log, the item sizes from the table. SQS
receives and deletes follow from the number of invocations: see docs/cost.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from rich.console import Console

from local.cloud import free_port
from local.faults import Faults
from local.ledger import RESULT, scan
from local.progress import steps_on
from local.stack import bring_up, take_down
from local.watch import WatchedStack, watch

IMAGES = 100
RUNS = {
    "10 a batch": {"BatchSize": "10"},
    "1 a batch": {"BatchSize": "1"},
    "10, rate": {"BatchSize": "10", "MaxRequestsPerSecond": "100"},
}
"""The parameters of each measured stack, by column title."""

SERVICES = ("dynamodb", "s3", "secretsmanager", "sns", "sqs", "lambda")
AWS_EVENT_BYTES = 26
"""CloudWatch Logs bills this many bytes per event in addition to its text."""

INVOCATIONS = "Lambda, invocations"
LOG_BYTES = "log of the function, bytes"
RESULT_BYTES = "DynamoDB, bytes of a result"
RECORD_BYTES = "DynamoDB, bytes of a record"
ANNOUNCED_BYTES = "SNS, bytes of an announcement"
OWN_SECONDS = "seconds beside the API, median"


def picture(number: int) -> bytes:
    """Draw an image with one garment; each number gives a different image."""
    image = Image.new("RGB", (120, 160), "white")
    image.paste((number * 2 % 256, 80, 160), (30, 40, 90, 130))
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def count(parameters: dict[str, str], directory: Path) -> dict[str, float]:
    """Tag a backlog of images in a stack with these parameters; returns the usage per image."""
    console = Console(stderr=True)
    faults = Faults(directory, port=free_port())
    stack = watch(
        bring_up(
            directory, step=steps_on(console), parameters=parameters, faults=faults
        ),
        "cost-subscriber",
    )
    try:
        stack.hangtag("pause")
        for number in range(IMAGES):
            stack.upload(f"{number}.png", picture(number))
        faults.set([{"service": service, "latency": 1} for service in SERVICES])
        stack.hangtag("resume")
        stack.wait_for(
            lambda: len(stack.announcements()) >= IMAGES or None, "the announcements"
        )
        return dict(counted(stack, faults))
    finally:
        take_down(directory)


def counted(stack: WatchedStack, faults: Faults) -> Iterator[tuple[str, float]]:
    """Yield the name and the number of each count, per image."""
    calls = Counter(one.operation for one in faults.fired())
    yield from ((name, number / IMAGES) for name, number in sorted(calls.items()))
    events = [(text, line) for text in stack.log_events() if (line := parsed(text))]
    lines = [line for _, line in events]
    ids = {line["function_request_id"] for line in lines if line.get("uri")}
    yield INVOCATIONS, len(ids) / IMAGES
    size = sum(len(text.encode()) + AWS_EVENT_BYTES for text, _ in events)
    yield LOG_BYTES, size / IMAGES
    items = [item for item in scan(stack) if item["uri"].startswith("s3://")]
    results = [item for item in items if item["version"] == RESULT]
    records = [item for item in items if item["version"] != RESULT]
    # DynamoDB counts names and values; their JSON is about as long.
    for name, some in ((RESULT_BYTES, results), (RECORD_BYTES, records)):
        sizes = [len(json.dumps(item, default=str)) for item in some]
        yield name, sum(sizes) / len(sizes)
    lengths = [len(json.dumps(one.document)) for one in stack.announcements()]
    yield ANNOUNCED_BYTES, sum(lengths) / len(lengths)
    laps = [line["milliseconds"] for line in lines if line.get("message") == "tagged"]
    yield OWN_SECONDS, median(lap["all"] - lap["call"] for lap in laps) / 1000


def parsed(text: str) -> dict[str, Any]:
    """Parse a JSON line of the function's log; empty for a line of Lambda's own."""
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def main() -> None:
    """Print the usage per image for batches of ten and of one, and with a rate limit."""
    columns = {}
    for name, parameters in RUNS.items():
        with TemporaryDirectory(prefix="hangtag-cost-") as directory:
            columns[name] = count(parameters, Path(directory))
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    print(f"{'per image':40}" + "".join(f"{name:>14}" for name in columns))
    for row in rows:
        numbers = "".join(f"{column.get(row, 0):14.2f}" for column in columns.values())
        print(f"{row:40}{numbers}")


if __name__ == "__main__":
    main()
