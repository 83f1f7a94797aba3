"""
Writes the computed tables and the plots of docs/scale.md.

    python -m benchmarks.scale_page --simulate
    python -m benchmarks.scale_page

With --simulate it runs the simulations, in minutes, and writes their figures to
benchmarks/scale.json; without it, it only writes the page from them. Prices and counts are those of
docs/cost.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from math import ceil, exp
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

from benchmarks import cost_model as model
from benchmarks.cost_model import FULL, MILLION, SINGLE
from benchmarks.plot import draw
from benchmarks.simulate import Setup, simulate
from hangtag.adapters.dynamodb_records import SHARDS as SHARDS_OF_ENDED
from hangtag.index import SHARDS as SHARDS_OF_A_TERM

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scale.md"
FIGURES = Path(__file__).with_name("scale.json")

BURST: Final = MILLION
CONCURRENCIES: Final = (5, 10, 20, 50, 100, 200, 500, 1_000)
OF_THE_BURST: Final = 100
"""The concurrency of the burst in the table of loads."""
ENOUGH: Final = 100
"""With a rate limit, more invocations only wait for slots."""
ARRIVALS: Final = (0.1, 0.3, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 13.0, 13.5)
SPREAD: Final = 0.3
DAY: Final = 86_400

BURSTS: Final = {
    "answers in 0.5 s": Setup(images=BURST, api=0.5),
    "answers in 2 s": Setup(images=BURST),
    "2 s, 100 calls a second": Setup(images=BURST, rate=100.0),
}
RATES: Final = {
    5: Setup(images=50_000, rate=20.0, concurrency=5),
    10: Setup(images=50_000, rate=20.0, concurrency=10),
    50: Setup(images=50_000, rate=20.0, concurrency=50),
    100: Setup(images=50_000, rate=20.0, concurrency=100),
}

LOADS: Final = {
    "1,000 a day": 1_000,
    "100,000 a day": 100_000,
    "10 million a day": 10 * MILLION,
}


def figures() -> dict[str, Any]:
    """Run all simulations."""
    bursts = {
        name: [
            (concurrency, _run(setup, concurrency=concurrency)["seconds"])
            for concurrency in CONCURRENCIES
            if not setup.rate or concurrency <= ENOUGH
        ]
        for name, setup in BURSTS.items()
    }
    waits = []
    for arrivals in ARRIVALS:
        found = _run(Setup(images=20_000, arrivals=arrivals, spread=SPREAD, warm=5))
        waits.append((arrivals, found["p50"], found["p95"]))
    rates = {
        str(concurrency): _run(setup, concurrency=concurrency)
        for concurrency, setup in RATES.items()
    }
    spreads = [
        (sigma, _run(Setup(images=20_000, spread=sigma))["images_per_second"])
        for sigma in (0.0, 0.3, 0.5)
    ]
    refusing = {
        str(rate): _run(
            Setup(images=10_000, concurrency=20, api_rate=20, rate=float(rate))
        )
        for rate in (0, 20)
    }
    return {
        "bursts": bursts,
        "waits": waits,
        "rates": rates,
        "spreads": spreads,
        "refusing": refusing,
    }


def _run(setup: Setup, **changes: Any) -> dict[str, float]:  # noqa: ANN401 - of any field
    report = asdict(simulate(replace(setup, **changes)))
    return {name: round(value, 2) for name, value in report.items()}


# ---- tables

UNITS_OF_A_PARTITION: Final = 1_000
"""Write units that a partition of DynamoDB takes in a second."""
UNITS_OF_A_NEW_TABLE: Final = 4_000
UNITS_OF_A_TABLE: Final = 40_000
"""By the default quota."""
READS_OF_A_PARTITION: Final = 3_000
SECONDS_OF_A_BATCH: Final = model.ANSWER_SECONDS + model.INVOCATION_SECONDS
BATCH: Final = 10


def result_units() -> float:
    """Return the write units of an image in the results table, its entry in `ended` included."""
    return model.count("PutItem", FULL) + model.RESULT_KB


def loads() -> str:
    """What a day's images need, if they arrive evenly, and what a burst needs."""
    lines = [
        (
            "| images | a second | invocations at a time | SQS in flight "
            "| write units a second: results, index | log | AWS, US dollars |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    bursts = json.loads(FIGURES.read_text("utf-8"))["bursts"]
    seconds = dict(map(tuple, bursts["answers in 2 s"]))[OF_THE_BURST]
    rows = [
        *((name, images, DAY) for name, images in LOADS.items()),
        (f"a burst of a million, `MaxConcurrency` {OF_THE_BURST}", BURST, seconds),
    ]
    for name, images, duration in rows:
        each = images / duration
        run = FULL if each > BATCH else SINGLE
        invocations = each * SECONDS_OF_A_BATCH / (BATCH if run == FULL else 1)
        log = (
            model.count(model.LOG_BYTES, run)
            + model.count(model.INDEX_LOG_BYTES, run)
            + model.LAMBDA_LOG_BYTES
            * (
                model.count(model.INVOCATIONS, run)
                + model.count(model.INDEX_INVOCATIONS, run)
            )
        )
        lines.append(
            f"| {name} | {_rounded(each)} | {max(1, ceil(invocations))} "
            f"| {_rounded(each * SECONDS_OF_A_BATCH)} "
            f"| {_rounded(each * result_units())}, {_rounded(each * model.ENTRIES)} "
            f"| {log * images / MILLION:,.0f} MB | {model.total(run) * images:,.2f} |"
        )
    return "\n".join(lines)


def _rounded(value: float) -> str:
    """Two digits, or all before the decimal point."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _duration(seconds: float) -> str:
    return f"{seconds / 3_600:.2g} h" if seconds >= 3_600 else f"{seconds / 60:.0f} min"


def limits() -> str:
    """What stops a stack, from the lowest limit to the highest."""
    full = BATCH / SECONDS_OF_A_BATCH
    known = json.loads(FIGURES.read_text("utf-8"))
    varying = dict(map(tuple, known["spreads"]))[SPREAD]
    slow = model.ANSWER_SECONDS * exp(SPREAD * NormalDist().inv_cdf(0.95))
    rows = [
        (
            5 * full,
            "`MaxConcurrency` at its default, 5, if all take 2 s",
            "raise `MaxConcurrency`",
        ),
        (
            varying,
            f"`MaxConcurrency` at its default, 5, if an answer in twenty takes {slow:.1f} s",
            "raise `MaxConcurrency`: a batch takes as long as its slowest answer",
        ),
        (
            UNITS_OF_A_NEW_TABLE / model.ENTRIES,
            "a new index table: 4,000 write units a second",
            "nothing: DynamoDB grows it, and meanwhile searches lag behind",
        ),
        (
            300,
            "SNS in the smallest regions: 300 messages a second (9,000 in us-west-2)",
            "quota *Messages Published per Second*, `L-F8E2BA85`",
        ),
        (
            UNITS_OF_A_NEW_TABLE / result_units(),
            "a new results table: 4,000 write units a second",
            "raise `MaxConcurrency` in steps; or pre-warm the table",
        ),
        (
            UNITS_OF_A_TABLE / model.ENTRIES,
            "the index table: 40,000 write units a second",
            "quota *Table-level write throughput limit*, `L-AB614373`",
        ),
        (
            SHARDS_OF_A_TERM * UNITS_OF_A_PARTITION,
            f"a value that all images have: {SHARDS_OF_A_TERM} partitions of the index",
            "nothing: searches lag behind",
        ),
        (
            1_000 * full,
            "Lambda: 1,000 concurrent executions of the account",
            "quota *Concurrent executions*, `L-B99A9384`, and `MaxConcurrency` (1,000 at most)",
        ),
        (
            5_500,
            "S3: 5,500 GETs a second and prefix",
            "nothing: S3 splits a busy prefix; different prefixes help",
        ),
        (
            UNITS_OF_A_TABLE / result_units(),
            "the results table: 40,000 write units a second",
            "quota *Table-level write throughput limit*, `L-AB614373`",
        ),
        (
            SHARDS_OF_ENDED * UNITS_OF_A_PARTITION,
            f"the index `ended`: {SHARDS_OF_ENDED} partitions of each status",
            "a second stack",
        ),
        (
            READS_OF_A_PARTITION * BATCH,
            "the breaker's item: 3,000 consistent reads a second, one for each batch",
            "a second stack",
        ),
        (
            30_000,
            "SNS in us-east-1: 30,000 messages a second",
            "quota *Messages Published per Second*, `L-F8E2BA85`",
        ),
    ]
    return "\n".join(
        [
            "| images a second | limit | what to do |",
            "|---|---|---|",
            *(f"| {rate:,.0f} | {what} | {do} |" for rate, what, do in sorted(rows)),
        ]
    )


def burst() -> str:
    """How long a million images take."""
    known = json.loads(FIGURES.read_text("utf-8"))["bursts"]
    names = list(known)
    lines = ["| `MaxConcurrency` | " + " | ".join(names) + " |", "|---" * 4 + "|"]
    for number, concurrency in enumerate(CONCURRENCIES):
        hours = [
            _duration(known[name][number][1]) if number < len(known[name]) else ""
            for name in names
        ]
        lines.append(f"| {concurrency:,} | {' | '.join(hours)} |")
    return "\n".join(lines)


def rate() -> str:
    """What too many invocations cost, if the rate is limited."""
    known = json.loads(FIGURES.read_text("utf-8"))["rates"]
    lines = [
        (
            "| `MaxConcurrency` | images a second | deliveries handed back | billed for an image "
            "| most in flight |"
        ),
        "|---|---|---|---|---|",
    ]
    for concurrency, found in known.items():
        lines.append(
            f"| {concurrency} | {found['images_per_second']:.1f} "
            f"| {found['hand_backs'] / found['tagged']:.1f} an image "
            f"| {found['billed_ms_per_image']:,.0f} ms | {found['most_in_flight']:,} |"
        )
    return "\n".join(lines)


def refused() -> str:
    """What an API that refuses calls does to a backlog."""
    known = json.loads(FIGURES.read_text("utf-8"))["refusing"]
    lines = [
        "| `MaxRequestsPerSecond` | calls | refused with 429 | tagged | dead-lettered |",
        "|---|---|---|---|---|",
    ]
    for limit, found in known.items():
        lines.append(
            f"| {limit} | {found['calls']:,} | {found['refused_calls']:,} "
            f"| {found['tagged']:,} | {found['dead_lettered']:,} |"
        )
    return "\n".join(lines)


PARTS: Final[dict[str, Callable[[], str]]] = {
    "loads": loads,
    "limits": limits,
    "burst": burst,
    "rate": rate,
    "refused": refused,
}


def page(text: str) -> str:
    """Return the page with its tables made anew."""
    for name, make in PARTS.items():
        begin = f"<!-- {name}: made by benchmarks/scale_page.py; do not edit. -->"
        end = f"<!-- The end of {name}. -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"the page has no part {name}")
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


def plots() -> dict[str, str]:
    """Return the plots, by the names of their files."""
    known = json.loads(FIGURES.read_text("utf-8"))
    return {
        "scale-burst.svg": draw(
            "Time to tag a burst of a million images",
            "MaxConcurrency",
            "hours",
            {
                name: [(concurrency, seconds / 3_600) for concurrency, seconds in line]
                for name, line in known["bursts"].items()
            },
        ),
        "scale-latency.svg": draw(
            f"From upload to tagged, default parameters, answers of 2 s (sigma {SPREAD})",
            "uploads a second",
            "seconds",
            {
                "95 of 100 images": [(one[0], one[2]) for one in known["waits"]],
                "half of the images": [(one[0], one[1]) for one in known["waits"]],
            },
        ),
    }


def main() -> None:
    """Write the page and the plots."""
    if "--simulate" in sys.argv[1:]:
        FIGURES.write_text(json.dumps(figures(), indent=1) + "\n", "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    for name, document in plots().items():
        PAGE.with_name(name).write_text(document, "utf-8")


if __name__ == "__main__":
    main()
