"""
Measures the rebuild of the index of 10,000 and of 100,000 results: time, CPU, memory and requests.

    python -m benchmarks.reindex

The results and DynamoDB are those of `benchmarks.find`: one process here, without latency, so the
time is not that of AWS. In the first run the index is right, in the second it is empty. Each run
has a process of its own, and the largest memory is that of this process.
"""

from __future__ import annotations

import resource
import time
from decimal import Decimal
from multiprocessing import get_context
from typing import Any

from benchmarks.find import SIZES, client_of, requests_of, row, table_of
from benchmarks.find_table import INDEX_TABLE, RESULTS_TABLE
from hangtag.adapters.dynamodb_index import DynamoDBIndex
from hangtag.adapters.dynamodb_index_audit import DynamoDBIndexAudit
from hangtag.adapters.dynamodb_index_reader import DynamoDBIndexReader
from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.system_clock import SystemClock
from hangtag.operators.reindex import Reindex, ReindexReport, Tables


def rebuild(url: str, said: Any) -> None:  # noqa: ANN401 - a pipe
    """Rebuild the index; the report, CPU and time in seconds, and memory in MB go into the pipe."""
    client, clock = client_of(url), SystemClock()
    tables = Tables(
        results=DynamoDBReader(client, RESULTS_TABLE, clock, lambda _: None),
        reader=DynamoDBIndexReader(client, INDEX_TABLE, clock),
        audit=DynamoDBIndexAudit(client, INDEX_TABLE, clock),
        writer=DynamoDBIndex(client, INDEX_TABLE, clock),
    )
    report = ReindexReport(dry_run=False)
    began, cpu = time.perf_counter(), time.process_time()
    Reindex(tables, Decimal(0), report, lambda _: None).run()
    said.send(
        (
            report,
            time.process_time() - cpu,
            time.perf_counter() - began,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )
    )


def measure(size: int, *, indexed: bool) -> None:
    """Print the figures for that many results."""
    context = get_context("spawn")
    with table_of(size, indexed=indexed) as url:
        requests_of(url)
        heard, said = context.Pipe()
        process = context.Process(target=rebuild, args=(url, said))
        process.start()
        report, cpu, seconds, megabytes = heard.recv()
        process.join()
        requests = requests_of(url)
    row(
        f"{size:,}, {'index is right' if indexed else 'no index'}",
        f"{report.added:,}",
        f"{report.removed:,}",
        ", ".join(f"{count:,} {name}" for name, count in sorted(requests.items())),
        f"{seconds:.0f}",
        f"{cpu:.0f}",
        f"{megabytes:.0f}",
    )


def main() -> None:
    """Measure all sizes, with and without an index."""
    row("results", "written", "removed", "requests", "s", "CPU s", "MB")
    row(*["---"] * 7)
    for size in SIZES:
        for indexed in (True, False):
            measure(size, indexed=indexed)


if __name__ == "__main__":
    main()
