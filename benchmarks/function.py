"""
Compares the function TagUploads with a plain one that has the same job (benchmarks/peer).

    python -m benchmarks.function            some sizes and memories, about seven minutes
    python -m benchmarks.function --all      all of them, about forty minutes
    python -m benchmarks.function --size 300 --batch 10 --memory 512 --runs 1
    python -m benchmarks.function --growth   Hangtag alone, with 100 and 2,000 images
    python -m benchmarks.function --parts    Hangtag alone: where its CPU time goes

How it measures: `benchmarks.function_bench` and docs/performance.md. The functions run in turn, and
every number is the median of the runs. If a record failed, or a call or a result is missing, there
is no table. `--memory` gives each process the share of a processor that Lambda gives for so many MB
(`benchmarks.cpu_share`); 0 is no limit. With `--save`, the figures go to benchmarks/function.json,
from which `benchmarks.cost_page` makes tables of docs/cost.md and docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.function_bench import (
    NAMES,
    Bench,
    Invalid,
    Measured,
    Name,
    Setting,
    bench,
)
from local.processes import LocalError
from local.progress import Step, steps_on

SIZES = (100, 300, 1_000, 10_000)
"""KB of an image."""
BATCHES = (10, 1)
MEMORIES = (0, 256, 512, 1024, 1769)
"""MB; 0 is a process without a limit."""
SHORT = (
    *(Setting(300, batch, memory) for memory in (0, 512) for batch in BATCHES),
    *(Setting(size, 10, 0) for size in SIZES if size != 300),
)
"""What is measured without an option."""
ALL = (
    *(Setting(*one) for one in product(SIZES, BATCHES, MEMORIES)),
    *(Setting(300, 5, memory) for memory in MEMORIES if memory),
    Setting(300, 10, 0, processes=1),
)
"""With `--all`: also what docs/cost.md and docs/performance.md need besides."""
GROWTH = (100, 2_000)
"""Images."""

SAVED = Path(__file__).with_name("function.json")

Row = dict[str, float]


def compared(
    found: Bench, names: Sequence[Name], setting: Setting, runs: int, *, step: Step
) -> dict[Name, Row]:
    """The medians of the functions, which run in turn."""
    rows: dict[Name, list[Row]] = {name: [] for name in names}
    for run in range(1, runs + 1):
        for name in names:
            with step(f"{setting}: {name}, run {run} of {runs}"):
                rows[name].append(found.run(name, setting).row(found.api))
    return {name: medians(some) for name, some in rows.items()}


def medians(rows: Sequence[Row]) -> Row:
    """The median of each column."""
    return {column: median(row[column] for row in rows) for column in rows[0]}


def plain(value: float) -> str:
    """Three digits, or all before the decimal point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def beside(own: float, other: float) -> str:
    """Both numbers with their ratio, as the pages write it: `60.0 / 510 (1/8.5)`."""
    numbers = f"{plain(own)} / {plain(other)}"
    if not own or not other:
        return numbers
    ratio = f"1/{other / own:.1f}" if own < other else f"{own / other:.1f}"
    return f"{numbers} ({ratio})"


def table_of(rows: Sequence[tuple[str, dict[Name, Row]]]) -> Iterator[str]:
    """The lines of a table: a line for each setting, Hangtag's numbers before the peer's."""
    columns = list(rows[0][1]["hangtag"])
    yield f"| Hangtag / peer | {' | '.join(columns)} |"
    yield f"|---{'|---' * len(columns)}|"
    for title, row in rows:
        cells = [
            beside(row["hangtag"][one], row["peer"][one])
            if "peer" in row
            else plain(row["hangtag"][one])
            for one in columns
        ]
        yield f"| {title} | {' | '.join(cells)} |"


def compare(
    found: Bench,
    names: Sequence[Name],
    settings: Sequence[Setting],
    runs: int,
    *,
    step: Step,
    saves: bool,
) -> None:
    """Print a line for each setting as soon as it is measured."""
    for number, setting in enumerate(settings):
        row = compared(found, names, setting, runs, step=step)
        if saves:
            save(setting, row)
        for line in list(table_of([(str(setting), row)]))[2 if number else 0 :]:
            print(line, flush=True)


def start_cold(found: Bench, *, step: Step) -> None:
    """Print the cold starts of both, and the round trip that is in all numbers."""
    with step("Cold starts"):
        cold = list(found.cold_starts().items())
    print()
    for line in table_of(cold):
        print(line)
    print(f"\nA PutItem's round trip: {found.round_trip():.1f} ms")


def save(setting: Setting, row: dict[Name, Row]) -> None:
    """Keep the figures of a setting, in place of older ones."""
    known = [one for one in saved() if one["setting"] != str(setting)]
    known.append(
        {
            "setting": str(setting),
            "kilobytes": setting.kilobytes,
            "batch": setting.batch,
            "memory": setting.memory,
            "processes": setting.processes,
            "date": datetime.now(UTC).date().isoformat(),
            **{
                name: {column: round(value, 2) for column, value in numbers.items()}
                for name, numbers in row.items()
            },
        }
    )
    known.sort(
        key=lambda one: (
            one["kilobytes"],
            -one["batch"],
            one["memory"],
            -one["processes"],
        )
    )
    lines = ",\n".join(json.dumps(one) for one in known)
    SAVED.write_text(f"[\n{lines}\n]\n", "utf-8")


def saved() -> list[dict[str, Any]]:
    """The settings with their figures, the smallest images first."""
    found: list[dict[str, Any]] = json.loads(SAVED.read_text("utf-8"))
    return found


def grow(found: Bench, setting: Setting, runs: int, *, step: Step) -> None:
    """Print what an image costs in runs with few and many of them, which alternate."""
    rows: dict[int, list[Row]] = {images: [] for images in GROWTH}
    for run in range(1, runs + 1):
        for images in GROWTH:
            each = replace(setting, measured=images)
            with step(f"{each}, {images:,} images: run {run} of {runs}"):
                rows[images].append(found.run("hangtag", each).row(found.api))
    table = [
        (f"{images:,} images", {NAMES[0]: medians(some)})
        for images, some in rows.items()
    ]
    for line in table_of(table):
        print(line)


def divide(found: Bench, setting: Setting, runs: int, *, step: Step) -> None:
    """Print the CPU time of each part of the function."""
    seen: list[Measured] = []
    for run in range(1, runs + 1):
        with step(f"{setting}, by part: run {run} of {runs}"):
            seen.append(found.run("hangtag", setting, parts=True))
    for line in parts_table(seen):
        print(line)


def parts_table(seen: Sequence[Measured]) -> Iterator[str]:
    """The lines of a table: CPU time of an image by part, the largest first, and what is left."""
    images = sum(one.images for one in seen)
    cpu = sum(one.cpu for one in seen)
    names = {name for one in seen for name in one.parts}
    parts = {name: sum(one.parts[name] for one in seen) for name in names}
    rest = cpu - sum(parts.values())
    yield "| part | CPU ms an image | share |\n|---|---|---|"
    for name, milliseconds in sorted(parts.items(), key=lambda part: -part[1]):
        yield f"| {name} | {milliseconds / images:.2f} | {milliseconds / cpu:.0%} |"
    yield f"| the rest | {rest / images:.2f} | {rest / cpu:.0%} |"
    yield f"| all | {cpu / images:.2f} | 100% |"


@contextmanager
def refusals() -> Iterator[None]:
    """End the program with one line if there can be no numbers."""
    try:
        yield
    except Invalid as error:
        sys.exit(f"No comparison: {error}")
    except LocalError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")


def settings_of(options: argparse.Namespace) -> list[Setting]:
    """What is to be measured."""
    if options.all:
        return list(ALL)
    if not (options.size or options.batch or options.memory or options.processes):
        return list(SHORT)
    chosen = product(
        options.size or [300], options.batch or [10], options.memory or [0]
    )
    return [Setting(*one, processes=options.processes or 2) for one in chosen]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.function")
    parser.add_argument("--runs", type=int, default=3, help="of each function (3)")
    parser.add_argument("--size", type=int, nargs="+", help="KB of an image")
    parser.add_argument(
        "--batch", type=int, nargs="+", choices=range(1, 11), help="images of an event"
    )
    parser.add_argument(
        "--memory", type=int, nargs="+", help="MB of the function; 0: no limit"
    )
    parser.add_argument("--all", action="store_true", help="all settings")
    parser.add_argument("--processes", type=int, help="invocations at a time (2)")
    parser.add_argument("--own", action="store_true", help="Hangtag alone")
    parser.add_argument("--save", action="store_true", help="keep the figures")
    parser.add_argument("--growth", action="store_true", help="Hangtag, more images")
    parser.add_argument("--parts", action="store_true", help="Hangtag, CPU by part")
    options = parser.parse_args()
    if options.own and options.save:
        parser.error("--save keeps figures of both")
    step = steps_on(Console(stderr=True))
    settings = settings_of(options)
    with refusals(), bench() as found:
        if options.growth:
            grow(found, settings[0], options.runs, step=step)
        elif options.parts:
            divide(found, settings[0], options.runs, step=step)
        else:
            names = NAMES[:1] if options.own else NAMES
            compare(found, names, settings, options.runs, step=step, saves=options.save)
            if not options.own:
                start_cold(found, step=step)


if __name__ == "__main__":
    main()
