"""
Measures a search in 10,000 and in 100,000 results: requests, CPU and time.

    python -m benchmarks.find

The results are made by chance from the words of the sandbox. DynamoDB is `benchmarks.find_table`,
in a process of its own, without latency: CPU and requests are those of the search, the time is not
that of AWS. The search is `hangtag.operators.find` on the real adapters. The last table has the
whole command, whose start takes most of its time.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import boto3

from benchmarks.find_table import (
    FIRST_SECOND,
    INDEX_TABLE,
    RESULTS_TABLE,
    SECONDS_APART,
    serve,
)
from hangtag.adapters.dynamodb_index_reader import DynamoDBIndexReader
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.system_clock import SystemClock
from hangtag.operators.find import Finder, Query
from hangtag.text import to_timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SIZES = (10_000, 100_000)
REPETITIONS = 9
SCREEN = 50


def queries(size: int) -> dict[str, Query]:
    """The searches by a description."""
    middle = to_timestamp(FIRST_SECOND + SECONDS_APART * size // 2)
    sku = f"SKU-{size // 8:07}"
    sure = Decimal("0.9")
    return {
        "all": Query(),
        "one common tag: black": Query((("color", "black"),)),
        "two common: black top": Query((("color", "black"), ("category", "top"))),
        "common and rare: black boots": Query(
            (("color", "black"), ("category", "boots"))
        ),
        "two rare: purple boots": Query((("color", "purple"), ("category", "boots"))),
        "three: white, casual, CLOTHING": Query(
            (("color", "white"), ("look", "casual"), ("type", "CLOTHING"))
        ),
        "never together: boots, CLOTHING": Query(
            (("category", "boots"), ("type", "CLOTHING"))
        ),
        "never together: top, boots": Query(
            (("category", "top"), ("category", "boots"))
        ),
        "a product and a common tag": Query((("product", sku), ("type", "CLOTHING"))),
        "two, confidence from 0.9": Query(
            (("color", "black"), ("look", "feminine")), min_confidence=sure
        ),
        "two, until the middle": Query(
            (("color", "black"), ("category", "top")), until=middle
        ),
        "unknown value": Query((("color", "no such"), ("category", "top"))),
    }


@contextmanager
def table_of(size: int, *, indexed: bool = True) -> Iterator[str]:
    """The URL of a DynamoDB with that many results, and with their index or an empty one."""
    context = get_context("spawn")
    heard, said = context.Pipe()
    process = context.Process(target=serve, args=(size, said, indexed), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{heard.recv()}"
    finally:
        process.terminate()
        process.join()


def client_of(url: str) -> DynamoDBClient:
    """A client of that DynamoDB."""
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",  # noqa: S106 - no secret
    )


def finder_on(url: str) -> Finder:
    """The search as the command makes it."""
    client, clock = client_of(url), SystemClock()
    return Finder(
        DynamoDBIndexReader(client, INDEX_TABLE, clock),
        DynamoDBReader(client, RESULTS_TABLE, clock, lambda _: None),
    )


def requests_of(url: str) -> Mapping[str, int]:
    """The requests since the last call, by operation."""
    with urlopen(url) as answer:  # noqa: S310 - loopback
        counts: dict[str, int] = json.load(answer)
        return counts


def first_screen(finder: Finder, query: Query) -> int:
    """Read the first 50 results and whether there are more; returns their number."""
    found = sum(1 for _ in islice(finder.results(query), SCREEN + 1))
    return min(found, SCREEN)


def measure(size: int) -> None:
    """Print the figures for that many results."""
    with table_of(size) as url:
        finder = finder_on(url)
        first_screen(finder, Query())  # opens the connections
        print(f"\n### {size:,} results\n")
        row("search", "found", "requests", "CPU ms, p50", "CPU ms, worst", "ms, p50")
        row(*["---"] * 6)
        for name, query in queries(size).items():
            requests_of(url)
            found = first_screen(finder, query)
            requests = sum(requests_of(url).values())
            runs = [timed(finder, query) for _ in range(REPETITIONS)]
            cpu, wall = zip(*runs, strict=True)
            row(
                name,
                found,
                requests,
                f"{statistics.median(cpu):.0f}",
                f"{max(cpu):.0f}",
                f"{statistics.median(wall):.0f}",
            )
        command(url)


def timed(finder: Finder, query: Query) -> tuple[float, float]:
    """CPU of this process, and time, of one search; in milliseconds."""
    began, cpu = time.perf_counter(), time.process_time()
    first_screen(finder, query)
    return (
        1000 * (time.process_time() - cpu),
        1000 * (time.perf_counter() - began),
    )


def command(url: str) -> None:
    """Print CPU and requests of the whole command, and of one that only starts."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_REGION": "us-east-1",
    }
    find = ["results", "find", "--color", "black", "--category", "top"]
    print()
    row("command", "requests", "CPU ms, p50")
    row(*["---"] * 3)
    for words in (["--help"], find, ["--json", *find]):
        requests_of(url)
        used = []
        for _ in range(3):
            before = cpu_of_children()
            subprocess.run(
                [sys.executable, "-m", "hangtag_cli", "--endpoint-url", url, *words],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            used.append(cpu_of_children() - before)
        requests = sum(requests_of(url).values()) // 3
        row(" ".join(["hangtag", *words]), requests, f"{statistics.median(used):.0f}")


def cpu_of_children() -> float:
    """CPU milliseconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (used.ru_utime + used.ru_stime)


def row(*cells: Any) -> None:  # noqa: ANN401 - anything printable
    """Print a row of a Markdown table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def main() -> None:
    """Measure all sizes."""
    for size in SIZES:
        measure(size)


if __name__ == "__main__":
    main()
