"""
Writes the computed parts of docs/cost.md, docs/performance.md and README.md.

    python -m benchmarks.cost_page

The usage comes from benchmarks/cost.json, what `benchmarks.function` measured from
benchmarks/function.json, the prices from `benchmarks.cost_model`, the numbers of alarms and metrics
from template.yaml and `hangtag.metrics`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import yaml

from benchmarks import cost_model as model
from benchmarks.cost_model import FULL, MILLION, SINGLE, Month, Run, Transport
from benchmarks.function import saved, table_of
from benchmarks.function_bench import NAMES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "cost.md"
README = ROOT / "README.md"
PERFORMANCE = ROOT / "docs" / "performance.md"
PAGES = (PAGE, README, PERFORMANCE)
TEMPLATE = ROOT / "template.yaml"

IMAGE_SIZES = (0.1, 0.5, 2.0)
"""Of the examples, in MB."""
USUAL_SIZE = 0.5
TRANSPORTS: tuple[Transport, ...] = ("base64", "url")
RUNS: dict[Run, str] = {
    "ten": "ten messages a batch",
    "one": "one",
    "rate": "ten, `MaxRequestsPerSecond` 100",
    "url": "ten, `ImageTransport=url`",
}

ROWS = {
    "BatchGetItem": "DynamoDB BatchGetItem (consistent)",
    "PutItem": "DynamoDB PutItem",
    "UpdateItem": "DynamoDB UpdateItem (slots)",
    "GetObject": "S3 GetObject",
    "Publish": "SNS Publish",
    "GetSecretValue": "Secrets Manager GetSecretValue",
    model.INVOCATIONS: "Lambda, invocations",
    model.IMAGE_BYTES: "the image, bytes",
    model.API_BYTES: "sent to the API, bytes",
    model.LOG_BYTES: "the function's lines in the log, bytes",
    model.RESULT_BYTES: "a result in the table, bytes",
    model.RECORD_BYTES: "a record in the table, bytes",
    model.ANNOUNCEMENT_BYTES: "an announcement, bytes",
    model.OWN_SECONDS: "seconds beside the API's answer, median",
    model.INDEX_ENTRIES: "IndexResults: entries in the index, a write unit each",
    model.INDEX_WRITES: "DynamoDB BatchWriteItem (up to 25 entries)",
    model.INDEX_UPDATES: "DynamoDB UpdateItem (names of values, once an hour and instance)",
    model.INDEX_INVOCATIONS: "Lambda, invocations of IndexResults",
    model.INDEX_SECONDS: "seconds of a batch of IndexResults, median",
    model.INDEX_LOG_BYTES: "IndexResults' lines in the log, bytes",
}
"""The label of each row."""

PRICES = {
    "Lambda": (model.LAMBDA_GB_SECOND, model.LAMBDA_REQUEST),
    "SQS": (model.SQS_REQUEST,),
    "DynamoDB": (model.WRITE_UNIT, model.READ_UNIT),
    "SNS": (model.PUBLISH,),
    "S3": (model.S3_GET,),
    "Secrets Manager": (model.SECRET_READ,),
    "logs": (model.LOG,),
    "the index": (model.WRITE_UNIT, model.LAMBDA_REQUEST),
}


class _Loader(yaml.SafeLoader):
    """A YAML loader that reads CloudFormation's short forms (`!Ref x`) as None."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)  # noqa: ARG005


def read_month(template: str) -> Month:
    """Read from a template what a month of its stack has."""
    resources: dict[str, Any] = _Loader(template).get_single_data()["Resources"]
    schedule = resources["Reconcile"]["Properties"]["ScheduleExpression"]
    rate = re.fullmatch(r"rate\((\d+) minutes\)", schedule)
    if rate is None:
        raise ValueError("the schedule Reconcile is not rate(… minutes): adapt Month")
    alarms = [one for one in resources.values() if one["Type"].endswith("::Alarm")]
    return Month(
        alarms=len(alarms),
        alarm_metrics=sum(metrics_of(one["Properties"]) for one in alarms),
        reconciles_per_day=24 * 60 // int(rate[1]),
    )


def metrics_of(alarm: dict[str, Any]) -> int:
    """Count the metrics that an alarm watches: one, or those of its expression."""
    return sum("MetricStat" in one for one in alarm.get("Metrics", [])) or 1


def updated(text: str) -> str:
    """Return a page with fresh parts between its markers."""
    for name, part in PARTS.items():
        begin, end = markers(name)
        before, found, rest = text.partition(begin)
        if found:
            after = rest.partition(end)[2]
            text = f"{before}{begin}\n{part()}\n{end}{after}"
    return text


def markers(name: str) -> tuple[str, str]:
    """Return the lines before and after a part."""
    return (
        f"<!-- {name}: made by benchmarks/cost_page.py; do not edit. -->",
        f"<!-- The end of {name}. -->",
    )


def _table(*rows: tuple[str, ...]) -> str:
    """A table; the first row is its head."""
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *others])


def _prose(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120, break_on_hyphens=False)


def _dollars(of_an_image: float) -> tuple[str, str]:
    """The cells for 1,000 and for 1,000,000 images."""
    return f"{of_an_image * 1_000:.4f}", f"{of_an_image * MILLION:,.2f}"


def _plain(dollars: float) -> str:
    """Write a price without an exponent."""
    text = f"{dollars:.10f}".rstrip("0")
    return f"{dollars:.2f}" if len(text.partition(".")[2]) < 2 else text


def _counts() -> str:
    rows = []
    for name, label in ROWS.items():
        form = ",.0f" if name.startswith("bytes") else ".2f"
        rows.append((label, *(format(model.count(name, run), form) for run in RUNS)))
    full, single = (
        sum(model.count(name, run) for name in model.PRICED) for run in (FULL, SINGLE)
    )
    table = _table(("per image", *RUNS.values()), *rows)
    # Claim, finish, its entry in `ended`, and the result
    units = 3 + ceil(model.count(model.RESULT_BYTES) / 1024)
    entries = model.count(model.INDEX_ENTRIES)
    summary = _prose(f"""
        Measured on {model.measured()["date"]}: {full:.2f} AWS requests of TagUploads per image
        with ten messages a batch, {single:.2f} with one. Write units per image, with the sandbox's
        results of {model.count(model.RESULT_BYTES) / 1000:.0f} KB:
        {units:.0f} without the index, {units + entries:.0f} with it.
    """)
    return f"{table}\n\n{summary}"


def _formula() -> str:
    of_image, of_batch, of_lambda = (
        size / 1000
        for size in (*model.per_batch(model.LOG_BYTES), model.LAMBDA_LOG_BYTES)
    )
    sent, sent_by_url = (model.request_bytes(one) / MILLION for one in TRANSPORTS)
    slots = model.count("UpdateItem", "rate")
    return f"""\
|  | per image |
|---|---|
| Lambda | `1/b` requests, `(t + o) * m / b` GB-seconds: \
the images of a batch run at the same time |
| SQS | `1 + 2/b` requests: S3 sends, Lambda receives and deletes |
| DynamoDB | `s + 3` write units: claim 1, result `s`, finish 1 and its entry in the index 1; \
with a rate limit {slots:.2f} more |
|  | `2 + 1/b` read units: record and result of each upload, and the breaker; \
`s/4` where a result is there already |
| the index | `e` write units, one for each distinct value of the result; \
{model.count(model.INDEX_INVOCATIONS):.2f} to \
{model.count(model.INDEX_INVOCATIONS, SINGLE):.2f} short invocations |
| SNS | 1 publish (deliveries to queues and functions are free, others are not) |
| S3 | 1 GET; with `ImageTransport=url` 2, one of them by the API |
| Secrets Manager | `1/k` reads of the key: an instance tags `k` images in five minutes |
| logs | `{of_image:.2f} + {of_batch:.2f}/b` KB of our own, \
and `{of_lambda:.2f}/b` of Lambda's two lines |
| data transfer | `4/3 n + {sent:.4f}` MB from Lambda; \
with `ImageTransport=url` `n` MB from S3 and {sent_by_url:.4f} MB from Lambda |
| Tagger API | `P` |"""


def _example() -> str:
    full, single = model.per_image(FULL), model.per_image(SINGLE)
    all_full, all_single = model.total(FULL), model.total(SINGLE)
    owns = (
        f"{model.INVOCATION_SECONDS:g} for `b` = 10 and {model.SINGLE_SECONDS:g} for 1"
    )
    assumptions = _prose(f"""
        In US dollars, rounded, without free tiers. `t` = {model.ANSWER_SECONDS:g}, `o` =
        {owns}, `m` = {model.MEMORY_GB:g}, `s` = {model.RESULT_KB},
        `e` = {model.ENTRIES}, `k` =
        {1 / model.count("GetSecretValue"):.0f} as measured. The prices are those for
        {model.REGION} in {model.SEEN} (data transfer: {model.TRANSFER.seen}, EventBridge
        Scheduler: {model.SCHEDULED_RUN.seen}). `benchmarks/cost_model.py` lists them with their
        pages. Check them before you rely on them.
    """)
    table = _table(
        (
            *("before data transfer", "price"),
            *("`b` = 10: 1,000 images", "1,000,000", "`b` = 1: 1,000 images"),
            "1,000,000",
        ),
        *(
            (
                service,
                ", ".join(f"{_plain(price.dollars)} {price.unit}" for price in prices),
                *_dollars(full[service]),
                *_dollars(single[service]),
            )
            for service, prices in PRICES.items()
        ),
        (
            *("**AWS**", ""),
            *(f"**{x}**" for x in (*_dollars(all_full), *_dollars(all_single))),
        ),
        ("Tagger API", "`P`", *("1,000 `P`", "1,000,000 `P`") * 2),
    )
    comparison = _prose(f"""
        Batches of one cost {all_single / all_full:.1f} times as much: Lambda waits for each
        answer alone, and is {single["Lambda"] / all_single:.0%} of it. With less than one image
        in five minutes, each pays for a cold start and a read of the key, too:
        {model.per_rare_image() * 1_000:.4f} for 1,000 images, if a cold start takes
        {model.COLD_START_SECONDS:g} s: {model.cold_cpu_seconds():.1f} s are measured CPU, the
        rest, of Python and Lambda's runtime, is assumed. Of `o`, {model.AWS_SECONDS:g} s are an
        assumption for AWS's requests. The rest was measured with the share of a processor that
        {model.MEMORY} MB have: {model.own_seconds(model.MEMORY, 10):.2f} s for ten images,
        {model.own_seconds(model.MEMORY, 1):.2f} s for one ([below](#memory-and-batches)).
    """)
    return f"{assumptions}\n\n{table}\n\n{comparison}"


def _transfer() -> str:
    table = _table(
        (
            *("with data transfer", "transport", "transfer: 1,000 images", "1,000,000"),
            *("AWS, `b` = 10: 1,000 images", "1,000,000"),
            *("AWS, `b` = 1: 1,000 images", "1,000,000"),
        ),
        *(
            (
                *(f"{size:g} MB", transport),
                *_dollars(model.transfer(size, transport)),
                *_dollars(model.with_transfer(FULL, size, transport)),
                *_dollars(model.with_transfer(SINGLE, size, transport)),
            )
            for size in IMAGE_SIZES
            for transport in TRANSPORTS
        ),
    )
    full, single = (model.largest_item_from(run) for run in (FULL, SINGLE))
    ratio = model.with_transfer(SINGLE, USUAL_SIZE) / model.with_transfer(
        FULL, USUAL_SIZE
    )
    comparison = _prose(f"""
        As base64, transfer is AWS's largest item for images above {full:.2f} MB in full batches,
        above {single:.2f} MB in batches of one. For images of {USUAL_SIZE:g} MB, batches of one
        then cost {ratio:.1f} times as much as full ones.
    """)
    free = model.FREE_TRANSFER_GB
    price = _prose(f"""
        The price is {model.TRANSFER.dollars} a GB up to 10 TB a month, from Lambda as from S3. The
        first {free} GB of an account and month are free: {free * 3 / 4:.0f} GB of images as
        base64, {free} by URL.
    """)
    return f"{table}\n\n{comparison}\n\n{price}"


MEMORIES = (256, 512, 1024, 1769)
BATCHES = (1, 5, 10)
ANSWERS = (0.5, 2.0)
"""Seconds of the API's answer."""


def _memory() -> str:
    def cells(memory: int, batch: int) -> tuple[str, ...]:
        own = model.own_seconds(memory, batch)
        dollars = (model.of_lambda(memory, batch, one + own) for one in ANSWERS)
        return f"{own:.2f}", *(f"{MILLION * one:.2f}" for one in dollars)

    titles = (
        (
            f"`b` = {batch}: beside the answer",
            *(f"answers in {one:g} s" for one in ANSWERS),
        )
        for batch in BATCHES
    )
    table = _table(
        ("`MemorySize`", *(title for some in titles for title in some)),
        *(
            (
                f"{memory:,} MB",
                *(cell for batch in BATCHES for cell in cells(memory, batch)),
            )
            for memory in MEMORIES
        ),
    )
    less, usual = (
        MILLION * model.of_lambda(memory, 10, 2.0 + model.own_seconds(memory, 10))
        for memory in (256, 512)
    )
    comparison = _prose(f"""
        With 256 MB instead of 512, a million images in full batches, with answers in 2 s, cost
        {usual - less:.2f} less: {(usual - less) / (MILLION * model.total(FULL)):.0%} of what AWS
        charges for them before transfer. A batch then takes
        {model.own_seconds(256, 10) - model.own_seconds(512, 10):.2f} s longer.
    """)
    return f"{table}\n\n{comparison}"


def _grid() -> str:
    rows = [
        (one["setting"], {name: one[name] for name in NAMES})
        for one in saved()
        if "peer" in one
    ]
    return "\n".join(table_of(rows))


def _window() -> str:
    own = [model.own_seconds(512, batch) for batch in (1, 10)]

    def cells(per_minute: int, window: int) -> tuple[str, ...]:
        batch, wait = model.with_window(per_minute, window)
        seconds = model.ANSWER_SECONDS + own[0] + (own[1] - own[0]) * (batch - 1) / 9
        dollars = MILLION * model.of_lambda(512, batch, seconds)
        return f"{batch:.2g}", f"{dollars:.2f}", f"{wait:.1f} s"

    return _table(
        ("uploads a minute", "`BatchingWindow`", "images a batch", "Lambda", "waits"),
        *(
            (str(per_minute), f"{window} s", *cells(per_minute, window))
            for per_minute in (1, 10, 60)
            for window in (0, 1, 5)
        ),
    )


def _month() -> str:
    month = read_month(TEMPLATE.read_text("utf-8"))
    stored = model.table_bytes() * MILLION
    indexed = model.index_bytes() * MILLION
    images = USUAL_SIZE * MILLION * MILLION
    metric = model.CUSTOM_METRIC
    return f"""\
| per month, whatever is tagged | how many | US dollars |
|---|---|---|
| the secret | 1 | {model.SECRET.dollars:.2f} |
| alarms | {month.alarms}, which watch {month.alarm_metrics} metrics | {month.alarm_cost:.2f} |
| custom metrics, each hour that has values | {model.IDLE_METRICS} while nothing is uploaded \
| {metric.of(model.IDLE_METRICS):.2f} |
|  | {model.CUSTOM_METRICS} while uploads are tagged, and one for each listed error code, \
HTTP status, reason and refused format that occurs \
| {metric.of(model.CUSTOM_METRICS):.2f}, and {metric.dollars:.2f} each |
| receives of an idle queue | {model.POLLS:,.0f}: {model.POLLERS} every {model.POLL_SECONDS} \
seconds | {model.SQS_REQUEST.of(model.POLLS):.2f} |
| reconciling the breaker | {month.reconciles:,.0f} runs, {month.reconciles_per_day} a day, \
with {model.RECONCILE_READS} reads each | {month.reconcile_cost:.2f} |
| the dashboard, beyond the account's third | 1 | {model.DASHBOARD.dollars:.2f} |
| a million results in the table, with its point-in-time recovery | {stored / model.GB:.1f} GB \
| {model.TABLE_GB.of(stored) + model.BACKUP_GB.of(stored):.2f} |
| their index | {indexed / model.GB:.1f} GB | {model.TABLE_GB.of(indexed):.2f} |
| a million images of {USUAL_SIZE:g} MB in the bucket; old versions, too \
| {images / model.GB:,.0f} GB | {model.BUCKET_GB.of(images):.2f} |"""


def _readme() -> str:
    month = read_month(TEMPLATE.read_text("utf-8"))
    full, single = (1_000 * model.total(run) for run in (FULL, SINGLE))
    images = _prose(f"""
        The Tagger API's price, by your contract: one successful call per object version. AWS adds
        about {full:.3f} US dollars for 1,000 images in full batches, and {single:.3f} in batches
        of one, as at low traffic. The transfer of the images to the API comes on top:
        {1_000 * model.transfer(USUAL_SIZE):.2f} for 1,000 images of {USUAL_SIZE:g} MB, and above
        about {model.largest_item_from(SINGLE):.1f} MB the largest item.
        [docs/cost.md](docs/cost.md) has the counts and the formula.
    """)
    idle = _prose(f"""
        An idle stack costs about {month.idle_cost:.2f} a month: the secret, the alarms,
        {model.IDLE_METRICS} custom metrics, Lambda's polling of the queue, and
        {month.reconciles_per_day} short runs of the function a day, which reconcile the breaker.
        The storage, the metrics of uploads, and the dashboard beyond the account's third are
        [extra](docs/cost.md#per-month).
    """)
    return f"{images}\n\n{idle}"


PARTS: dict[str, Callable[[], str]] = {
    "counts": _counts,
    "formula": _formula,
    "example": _example,
    "transfer": _transfer,
    "memory": _memory,
    "window": _window,
    "grid": _grid,
    "month": _month,
    "cost": _readme,
}
"""Each part, by the name in its markers."""


def main() -> None:
    """Write the pages."""
    for page in PAGES:
        page.write_text(updated(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
