"""
Measures the memory and time of an export by format and number of results.

    python -m benchmarks.export

Each size runs in a process of its own, with the real command and file. The search for the results
is not part of it: they are generated, each with two garments.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from click.testing import CliRunner

from hangtag.operators.find import Found, Query
from hangtag.results import Document
from hangtag_cli.main import cli
from hangtag_cli.stack import Stack

FORMATS = ("jsonl", "csv", "parquet")
SIZES = (10_000, 100_000)
BYTES_PER_MEGABYTE = 1_000_000
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1_024


def generated(number: int) -> Document:
    """Return a result of about 3 KB of JSON."""

    def value(name: str) -> dict[str, Any]:
        return {
            "id": f"EXAMPLE-{name}",
            "name": name,
            "confidence": Decimal(number % 9_999_999_999) / 10_000_000_000,
        }

    garment = {
        "category": {"id": "T0360", "name": "jacket"},
        "position": {"x": Decimal("0.5033992828"), "y": Decimal("0.5039257706")},
        "item": value("balmacaan-jacket"),
        "colors": [value("beige"), value("khaki"), value("navy")],
        "colorDetails": [
            {"code": "#e5ccaf", "name": "sand", "pixelFraction": Decimal("0.6")},
            {"code": "#101820", "name": "onyx", "pixelFraction": Decimal("0.3")},
        ],
        "prints": [value("solid")],
        "textures": [value("wool/cashmere")],
        "looks": [value("casual"), value("office look")],
        "details": [value("buttoned")],
        "sleeveLength": value("long-sleeve"),
        "neckLine": value("hood"),
        "fit": value("normal-fit"),
    }
    key = f"photos/{number:09}.jpg"
    return {
        "status": "TAGGED",
        "image": {
            "uri": f"s3://uploads/{key}",
            "bucket": "uploads",
            "key": key,
            "versionId": "v" * 32,
            "etag": "0" * 32,
            "size": 200_000,
            "sequencer": f"{number:018X}",
        },
        "language": "en",
        "context": {"id": f"product-{number // 4}"},
        "taggedAt": f"2026-11-{1 + number % 30:02}T12:00:00.000Z",
        "objects": [{"type": "CLOTHING", "tags": [garment, garment]}],
        "notMatchedObject": [],
        "genderInfo": {"id": "T0418", "name": "male"},
        "imageInfo": [],
    }


class Generated:
    """A `Finder` of *number* generated results."""

    def __init__(self, number: int) -> None:
        self._number = number

    def results(
        self, query: Query, *, oldest_first: bool = False, after: str | None = None
    ) -> Iterator[Found]:
        """Yield all of them."""
        del query, oldest_first, after
        for number in range(self._number):
            yield Found(generated(number), position="", confidences={})


def run(file_format: str, number: int) -> Mapping[str, float]:
    """Export *number* results; returns the peak memory and the size in MB, and the seconds."""
    Stack.finder = lambda _: Generated(number)  # type: ignore[method-assign, assignment, return-value]
    with TemporaryDirectory() as directory:
        path = Path(directory) / "export"
        words = ["results", "export", "--format", file_format, "--output", str(path)]
        began = time.monotonic()
        done = CliRunner().invoke(cli, ["--region", "eu-central-1", *words])
        seconds = time.monotonic() - began
        size = path.stat().st_size
    assert f"{number:,} results" in done.output  # noqa: S101 - else the figures are wrong
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
    return {
        "MB": peak / BYTES_PER_MEGABYTE,
        "size": size / BYTES_PER_MEGABYTE,
        "seconds": seconds,
    }


def main() -> None:
    """Run all formats and sizes, and print the table."""
    print(f"{'format':>8} {'results':>10} {'peak MB':>10} {'file MB':>10} {'s':>8}")
    for file_format in FORMATS:
        for size in SIZES:
            with get_context("spawn").Pool(1) as pool:
                found = pool.apply(run, (file_format, size))
            print(
                f"{file_format:>8} {size:>10,} {found['MB']:>10.1f} "
                f"{found['size']:>10.1f} {found['seconds']:>8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
