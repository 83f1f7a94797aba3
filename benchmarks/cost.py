"""
Counts the AWS usage of an image in the local cloud.

    python -m benchmarks.cost > benchmarks/cost.json
    python -m benchmarks.cost_page

It runs the real template, functions, queue and sandbox, in minutes. A proxy records the functions'
AWS calls, another one counts the bytes that TagUploads sends to the API. Calls of the index are
those of IndexResults, all others those of TagUploads. The invocations and the log sizes come from
the functions' logs, the item sizes from the tables. SQS receives and deletes follow from the number
of invocations: see docs/cost.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from benchmarks.cost_model import (
    ANNOUNCEMENT_BYTES,
    API_BYTES,
    EVENT_BYTES,
    IMAGE_BYTES,
    INDEX_ENTRIES,
    INDEX_INVOCATIONS,
    INDEX_LOG_BYTES,
    INDEX_SECONDS,
    INDEX_UPDATES,
    INVOCATIONS,
    LOG_BYTES,
    OWN_SECONDS,
    RECORD_BYTES,
    RESULT_BYTES,
    Run,
)
from benchmarks.counting_proxy import CountingProxy
from local.cloud import free_port
from local.faults import Faults
from local.indexed import indexed, wait_for_stream
from local.ledger import RESULT, scan
from local.processes import LocalError
from local.progress import steps_on
from local.stack import bring_up, take_down
from local.watch import WatchedStack, watch

IMAGES = 100
PICTURE_BYTES = 100_000
WAIT_SECONDS = 180.0
RUNS: dict[Run, dict[str, str]] = {
    "ten": {"BatchSize": "10"},
    "one": {"BatchSize": "1"},
    "rate": {"BatchSize": "10", "MaxRequestsPerSecond": "100"},
    "url": {"BatchSize": "10", "ImageTransport": "url"},
}
"""The parameters of each measured stack."""

SERVICES = ("dynamodb", "s3", "secretsmanager", "sns", "sqs", "lambda")


def picture(number: int) -> bytes:
    """Draw an image of `PICTURE_BYTES` with one garment; each number gives a different image."""
    image = Image.new("RGB", (120, 160), "white")
    image.paste((number * 2 % 256, 80, 160), (30, 40, 90, 130))

    def encoded(padding: int) -> bytes:
        chunks = PngInfo()
        chunks.add(b"paDd", bytes(padding))
        file = BytesIO()
        image.save(file, "PNG", pnginfo=chunks)
        return file.getvalue()

    return encoded(PICTURE_BYTES - len(encoded(0)))


def count(parameters: Mapping[str, str], directory: Path) -> dict[str, float]:
    """Tag a backlog of images in a stack with these parameters; returns the usage per image."""
    sandbox_port = free_port()
    with CountingProxy(sandbox_port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/tagger/v2.12/tags"
        faults = Faults(directory, port=free_port())
        stack = watch(
            bring_up(
                directory,
                step=steps_on(Console(stderr=True)),
                parameters={**parameters, "TaggerApiUrl": url},
                sandbox_port=sandbox_port,
                sandbox_hosts=[f"127.0.0.1:{proxy.port}"],
                faults=faults,
            ),
            "cost-subscriber",
        )
        try:
            return tag(stack, faults, proxy)
        finally:
            take_down(directory)


def tag(stack: WatchedStack, faults: Faults, proxy: CountingProxy) -> dict[str, float]:
    """Tag a backlog of images in this stack; returns the usage per image."""
    stack.hangtag("pause")
    for number in range(IMAGES):
        stack.upload(f"{number}.png", picture(number))
    index = f"TableName == '{stack.outputs['IndexTableName']}'"
    rules = faults.set(
        [
            {"service": "dynamodb", "latency": 1, "body": index},
            *({"service": service, "latency": 1} for service in SERVICES),
        ]
    )
    sent_before = proxy.bytes_sent
    stack.hangtag("resume")
    stack.wait_for(
        lambda: len(stack.announcements()) >= IMAGES or None,
        "the announcements",
        seconds=WAIT_SECONDS,
    )
    sent = (proxy.bytes_sent - sent_before) / IMAGES
    if troubles := wait_for_stream(stack):
        raise LocalError("\n".join(troubles))
    calls = Counter(
        INDEX_UPDATES if one.rule == rules[0] else one.operation
        for one in faults.fired()
    )
    return {**dict(counted(stack, calls)), IMAGE_BYTES: PICTURE_BYTES, API_BYTES: sent}


def counted(
    stack: WatchedStack, calls: Mapping[str, int]
) -> Iterator[tuple[str, float]]:
    """Yield the name and the number of each count, per image."""
    yield from ((name, number / IMAGES) for name, number in sorted(calls.items()))
    events = [(text, line) for text in stack.log_events() if (line := parsed(text))]
    lines = [line for _, line in events]
    ids = {line["function_request_id"] for line in lines if line.get("uri")}
    yield INVOCATIONS, len(ids) / IMAGES
    size = sum(len(text.encode()) + EVENT_BYTES for text, _ in events)
    yield LOG_BYTES, size / IMAGES
    items = [item for item in scan(stack) if item["uri"].startswith("s3://")]
    results = [item for item in items if item["version"] == RESULT]
    records = [item for item in items if item["version"] != RESULT]
    # DynamoDB counts names and values; their JSON is about as long.
    for name, some in ((RESULT_BYTES, results), (RECORD_BYTES, records)):
        sizes = [len(json.dumps(item, default=str)) for item in some]
        yield name, sum(sizes) / len(sizes)
    lengths = [len(json.dumps(one.document)) for one in stack.announcements()]
    yield ANNOUNCEMENT_BYTES, sum(lengths) / len(lengths)
    laps = [line["milliseconds"] for line in lines if line.get("message") == "tagged"]
    yield OWN_SECONDS, median(lap["all"] - lap["call"] for lap in laps) / 1000
    yield INDEX_ENTRIES, len(indexed(stack)) / IMAGES
    texts = [
        (text, line)
        for text in stack.log_events("IndexResultsFunctionName")
        if (line := parsed(text))
    ]
    batches = [line for _, line in texts if line.get("message") == "indexed"]
    yield INDEX_INVOCATIONS, len(batches) / IMAGES
    yield INDEX_SECONDS, median(line["milliseconds"] for line in batches) / 1000
    size = sum(len(text.encode()) + EVENT_BYTES for text, _ in texts)
    yield INDEX_LOG_BYTES, size / IMAGES


def parsed(text: str) -> dict[str, Any]:
    """Parse a JSON line of the function's log; empty for a line of Lambda's own."""
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def main() -> None:
    """Print the usage per image of each run as JSON, a row on each line."""
    columns = {}
    for name, parameters in RUNS.items():
        with TemporaryDirectory(prefix="hangtag-cost-") as directory:
            columns[name] = count(parameters, Path(directory))
    names = list(dict.fromkeys(row for column in columns.values() for row in column))
    rows = (
        {name: round(column.get(row, 0), 2) for name, column in columns.items()}
        for row in names
    )
    lines = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(row)}"
        for name, row in zip(names, rows, strict=True)
    )
    date = datetime.now(UTC).date().isoformat()
    print(f'{{"date": "{date}", "rows": {{\n{lines}\n}}}}')


if __name__ == "__main__":
    main()
