"""
Measures how far the index is behind the results, in the local cloud.

    python -m benchmarks.index_lag

A backlog of images is tagged as fast as the local cloud can, while this program looks for new
entries in the index. The lag of a result is the time from its `taggedAt`, before it is stored, to
its first sight in the index; it includes the pause between two looks.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from rich.console import Console

from hangtag.adapters.dynamodb_index import tag_of
from hangtag.index import ALL, SHARDS, Term
from local.pictures import small_picture
from local.processes import LocalError
from local.progress import steps_on
from local.stack import bring_up, take_down
from local.watch import WatchedStack, watch

IMAGES = 300
PAUSE_SECONDS = 0.1
LONGEST_SECONDS = 300.0


def lags(stack: WatchedStack) -> list[float]:
    """Tag a backlog; returns the lag of each result in seconds, in the sequence of its arrival."""
    stack.hangtag("pause")
    for number in range(IMAGES):
        stack.upload(f"{number}.png", small_picture(str(number)))
    stack.hangtag("resume")
    until = time.monotonic() + LONGEST_SECONDS
    found: dict[str, float] = {}
    while len(found) < IMAGES:
        if time.monotonic() > until:
            raise LocalError(f"only {len(found)} results are in the index")
        for shard in range(SHARDS):
            for position in positions_in(stack, shard):
                at = datetime.fromisoformat(position.partition("#")[0]).timestamp()
                found.setdefault(position, time.time() - at)
        time.sleep(PAUSE_SECONDS)
    return list(found.values())


def positions_in(stack: WatchedStack, shard: int) -> list[str]:
    """List the positions of all results in a shard."""
    pages = (
        stack.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=stack.outputs["IndexTableName"],
            KeyConditionExpression="tag = :tag",
            ExpressionAttributeValues={":tag": {"S": tag_of(Term(ALL, ""), shard)}},
            ConsistentRead=True,
        )
    )
    return [item["at"]["S"] for page in pages for item in page["Items"]]


def main() -> None:
    """Print the median, the 95th percentile and the longest lag."""
    with TemporaryDirectory(prefix="hangtag-lag-") as directory:
        path = Path(directory)
        stack = watch(
            bring_up(path, step=steps_on(Console(stderr=True))), "lag-subscriber"
        )
        try:
            began = time.monotonic()
            measured = lags(stack)
            seconds = time.monotonic() - began
        finally:
            take_down(path)
    p95 = quantiles(measured, n=20)[-1]
    print(
        f"{len(measured)} results in {seconds:.0f} s with their uploads; lag of the index: "
        f"median {median(measured):.2f} s, p95 {p95:.2f} s, longest {max(measured):.2f} s"
    )


if __name__ == "__main__":
    main()
