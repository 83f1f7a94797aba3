"""
Measures the memory and time of a backfill by the number of keys.

    python -m benchmarks.backfill

Each size runs in a process of its own, with the real backfill and checkpoint. The listing generates
its keys, the table is empty and the queue accepts all messages.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from hangtag.adapters.file_checkpoint import FileCheckpoint
from hangtag.adapters.system_clock import SystemClock
from hangtag.operators.backfill import BackfillLimits, BackfillSources, backfill
from hangtag.operators.backfill_ports import ListedObject
from hangtag.operators.backfill_start import BackfillRequest, start_of
from hangtag.uploads import Upload

SIZES = (10_000, 100_000, 1_000_000)
PAGE = 1_000
BYTES_PER_MEGABYTE = 1_000_000
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1_024


class Keys:
    """A `Listing` of *number* generated keys."""

    def __init__(self, number: int) -> None:
        self._number = number

    def pages(self, *, after: str | None) -> Iterator[Sequence[ListedObject]]:
        """Yield pages of a thousand keys, as S3 does."""
        del after  # the benchmark never resumes
        for first in range(0, self._number, PAGE):
            keys = [f"photos/{number:09}.jpg" for number in range(first, first + PAGE)]
            yield [
                ListedObject(key, "v" * 32, "0" * 32, 200_000, place=key)
                for key in keys
            ]


class NoneTagged:
    """An empty results table."""

    def tagged(self, uploads: Sequence[Upload]) -> frozenset[tuple[str, str]]:
        """Return an empty set."""
        del uploads
        return frozenset()


class Drain:
    """A queue that accepts all messages and is always empty."""

    def send(self, bodies: Sequence[str], *, again: str | None) -> Sequence[int]:
        """Accept all messages."""
        del bodies, again
        return ()

    def depth(self) -> int:
        """Return 0."""
        return 0


def run(number: int) -> Mapping[str, float]:
    """Run a backfill of *number* keys; returns its peak memory in MB and its seconds."""
    request = BackfillRequest("hangtag", "uploads", "photos/", None, again=False)
    with TemporaryDirectory() as directory:
        checkpoint = FileCheckpoint(Path(directory) / "checkpoint.json")
        sources = BackfillSources(
            Keys(number), NoneTagged(), Drain(), checkpoint, SystemClock(), "aws"
        )
        began = time.monotonic()
        report = backfill(
            request,
            sources,
            BackfillLimits(None, 10_000, None),
            start_of(request, checkpoint, token="benchmark"),  # noqa: S106 - no secret
            dry_run=False,
            progress=lambda _: None,
        )
        seconds = time.monotonic() - began
    assert report.enqueued == number  # noqa: S101 - fewer keys would make the figures wrong
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
    return {"MB": peak / BYTES_PER_MEGABYTE, "seconds": seconds}


def main() -> None:
    """Run all sizes and print the table."""
    print(f"{'keys':>12} {'peak MB':>10} {'seconds':>10}")
    for size in SIZES:
        with get_context("spawn").Pool(1) as pool:
            found = pool.apply(run, (size,))
        print(f"{size:>12,} {found['MB']:>10.1f} {found['seconds']:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
