"""
Writes the computed parts of docs/cost.md and README.md.

    python -m benchmarks.cost_page

The usage comes from benchmarks/cost.json, the prices from `benchmarks.cost_model`, the numbers of
alarms and metrics from template.yaml and `hangtag.metrics`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks import cost_model as model
from benchmarks.cost_model import FULL, MILLION, SINGLE, Month, Run, Transport
from hangtag.adapters.dynamodb_records import SHARDS
from hangtag.metrics import Metric

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "cost.md"
README = ROOT / "README.md"
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

ROWS: dict[str, tuple[str, str]] = {
    "BatchGetItem": ("DynamoDB BatchGetItem (consistent)", ".2f"),
    "PutItem": ("DynamoDB PutItem", ".2f"),
    "UpdateItem": ("DynamoDB UpdateItem (slots)", ".2f"),
    "GetObject": ("S3 GetObject", ".2f"),
    "Publish": ("SNS Publish", ".2f"),
    "GetSecretValue": ("Secrets Manager GetSecretValue", ".2f"),
    model.INVOCATIONS: ("Lambda, invocations", ".2f"),
    model.IMAGE_BYTES: ("the image, bytes", ",.0f"),
    model.API_BYTES: ("sent to the API, bytes", ",.0f"),
    model.LOG_BYTES: ("the function's lines in the log, bytes", ",.0f"),
    model.RESULT_BYTES: ("a result in the table, bytes", ",.0f"),
    model.RECORD_BYTES: ("a record in the table, bytes", ",.0f"),
    model.ANNOUNCEMENT_BYTES: ("an announcement, bytes", ",.0f"),
    model.OWN_SECONDS: ("seconds beside the API's answer, median", ".2f"),
}
"""The label and the format of each row."""

PRICES = {
    "Lambda": (model.LAMBDA_GB_SECOND, model.LAMBDA_REQUEST),
    "SQS": (model.SQS_REQUEST,),
    "DynamoDB": (model.WRITE_UNIT, model.READ_UNIT),
    "SNS": (model.PUBLISH,),
    "S3": (model.S3_GET,),
    "Secrets Manager": (model.SECRET_READ,),
    "logs": (model.LOG,),
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
        custom_metrics=len(set(Metric) - {Metric.FORMATS_REFUSED}),
        idle_metrics=len((Metric.BREAKER_OPEN, Metric.OLDEST_FAILURE)),
        reconciles_per_day=24 * 60 // int(rate[1]),
        reads_per_reconcile=1 + SHARDS,
    )


def metrics_of(alarm: dict[str, Any]) -> int:
    """Count the metrics that an alarm watches: one, or those of its expression."""
    return sum("MetricStat" in one for one in alarm.get("Metrics", [])) or 1


def updated(text: str) -> str:
    """Return a page with fresh parts between its markers."""
    for name, lines in PARTS.items():
        begin, end = markers(name)
        before, found, rest = text.partition(begin)
        if found:
            _, _, after = rest.partition(end)
            text = "\n".join([before + begin, *lines(), end + after])
    return text


def markers(name: str) -> tuple[str, str]:
    """Return the lines before and after a part."""
    return (
        f"<!-- {name}: made by benchmarks/cost_page.py; do not edit. -->",
        f"<!-- The end of {name}. -->",
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield "|---" * len(cells) + "|"


def _prose(*sentences: str) -> str:
    return textwrap.fill(" ".join(sentences), 120, break_on_hyphens=False)


def _dollars(of_an_image: float) -> tuple[str, str]:
    """The cells for 1,000 and for 1,000,000 images."""
    return f"{of_an_image * 1_000:.4f}", f"{of_an_image * MILLION:,.2f}"


def _counts() -> Iterator[str]:
    measured = model.read_measured()
    yield from _head("per image", *RUNS.values())
    for name in sorted(measured.rows, key=list(ROWS).index):
        label, form = ROWS[name]
        yield _row(label, *(format(measured.of(name, run), form) for run in RUNS))
    yield ""
    full, single = (
        sum(measured.of(name, run) for name in model.PRICED) for run in (FULL, SINGLE)
    )
    yield _prose(
        f"Measured on {measured.date}: {full:.2f} AWS requests of the function per image "
        f"with ten messages a batch, {single:.2f} with one."
    )


def _formula() -> Iterator[str]:
    measured = model.read_measured()
    of_image, of_batch = measured.per_batch(model.LOG_BYTES)
    sent, sent_by_url = (
        model.request_bytes(measured, transport) / MILLION for transport in TRANSPORTS
    )
    slots = measured.of("UpdateItem", "rate")
    yield from _head("", "per image")
    yield _row(
        "Lambda",
        "`1/b` requests, `(t + o) * m / b` GB-seconds: the images of a batch run at the "
        "same time",
    )
    yield _row("SQS", "`1 + 2/b` requests: S3 sends, Lambda receives and deletes")
    yield _row(
        "DynamoDB",
        "`s + 3` write units: claim 1, result `s`, finish 1 and its entry in the index 1; "
        f"with a rate limit {slots:.2f} more",
    )
    yield _row(
        "",
        "`2 + 1/b` read units: record and result of each upload, and the breaker; `s/4` "
        "where a result is there already",
    )
    yield _row(
        "SNS", "1 publish (deliveries to queues and functions are free, others are not)"
    )
    yield _row("S3", "1 GET; with `ImageTransport=url` 2, one of them by the API")
    yield _row(
        "Secrets Manager",
        "`1/k` reads of the key: an instance tags `k` images in five minutes",
    )
    yield _row(
        "logs",
        f"`{of_image / 1000:.2f} + {of_batch / 1000:.2f}/b` KB of our own, and "
        f"`{model.LAMBDA_LOG_BYTES / 1000:.2f}/b` of Lambda's two lines",
    )
    yield _row(
        "data transfer",
        f"`4/3 n + {sent:.4f}` MB from Lambda; with `ImageTransport=url` `n` MB from S3 and "
        f"{sent_by_url:.4f} MB from Lambda",
    )
    yield _row("Tagger API", "`P`")


def _example() -> Iterator[str]:
    measured = model.read_measured()
    example = model.EXAMPLE
    images = 1 / measured.of("GetSecretValue", FULL)
    yield _prose(
        f"In US dollars, rounded, without free tiers. `t` = {example.answer_seconds:g}, `o` "
        f"= {example.own_seconds:g}, `m` = {example.memory_gb:g}, `s` = "
        f"{example.result_kb}, `k` = {images:.0f} as measured. The prices are those for "
        f"{model.REGION} in {model.SEEN} (data transfer: {model.TRANSFER.seen}, EventBridge "
        f"Scheduler: {model.SCHEDULED_RUN.seen}). `benchmarks/cost_model.py` lists them with "
        "their pages. Check them before you rely on them."
    )
    yield ""
    full, single = (model.per_image(measured, run) for run in (FULL, SINGLE))
    yield from _head(
        "before data transfer",
        "price",
        "`b` = 10: 1,000 images",
        "1,000,000",
        "`b` = 1: 1,000 images",
        "1,000,000",
    )
    for service in model.SERVICES:
        prices = ", ".join(
            f"{_plain(price.dollars)} {price.unit}" for price in PRICES[service]
        )
        yield _row(
            service, prices, *_dollars(full[service]), *_dollars(single[service])
        )
    totals = (*_dollars(sum(full.values())), *_dollars(sum(single.values())))
    yield _row("**AWS**", "", *(f"**{cell}**" for cell in totals))
    yield _row("Tagger API", "`P`", *("1,000 `P`", "1,000,000 `P`") * 2)
    yield ""
    rare = model.per_rare_image(measured) * 1_000
    yield _prose(
        f"Batches of one cost {sum(single.values()) / sum(full.values()):.1f} times as "
        "much: Lambda waits for each answer alone, and is "
        f"{single['Lambda'] / sum(single.values()):.0%} of it. With less than one image in "
        "five minutes, each pays for a cold start and a read of the key, too: "
        f"{rare:.4f} for 1,000 images, if a cold start takes "
        f"{model.COLD_START_SECONDS:g} s, which is assumed."
    )


def _plain(dollars: float) -> str:
    """Write a price without an exponent."""
    text = f"{dollars:.10f}".rstrip("0")
    return f"{dollars:.2f}" if len(text.partition(".")[2]) < 2 else text


def _transfer() -> Iterator[str]:
    measured = model.read_measured()
    yield from _head(
        "with data transfer",
        "transport",
        "transfer: 1,000 images",
        "1,000,000",
        "AWS, `b` = 10: 1,000 images",
        "1,000,000",
        "AWS, `b` = 1: 1,000 images",
        "1,000,000",
    )
    for size in IMAGE_SIZES:
        for transport in TRANSPORTS:
            sent = model.transfer(measured, size, transport)
            totals = (
                _dollars(model.with_transfer(measured, run, size, transport))
                for run in (FULL, SINGLE)
            )
            cells = (cell for total in totals for cell in total)
            yield _row(f"{size:g} MB", transport, *_dollars(sent), *cells)
    yield ""
    full, single = (model.largest_item_from(measured, run) for run in (FULL, SINGLE))
    ratio = model.with_transfer(measured, SINGLE, USUAL_SIZE) / model.with_transfer(
        measured, FULL, USUAL_SIZE
    )
    free = model.FREE_TRANSFER_GB
    yield _prose(
        f"As base64, transfer is AWS's largest item for images above {full:.2f} MB in full "
        f"batches, above {single:.2f} MB in batches of one. For images of {USUAL_SIZE:g} "
        f"MB, batches of one then cost {ratio:.1f} times as much as full ones."
    )
    yield ""
    yield _prose(
        f"The price is {model.TRANSFER.dollars} a GB up to 10 TB a month, from Lambda as "
        f"from S3. The first {free} GB of an account and month are free: "
        f"{free * 3 / 4:.0f} GB of images as base64, {free} by URL."
    )


def _month() -> Iterator[str]:
    measured = model.read_measured()
    month = read_month(TEMPLATE.read_text("utf-8"))
    runs = month.reconciles_per_day * model.MONTH_SECONDS / 86_400
    in_table, in_bucket = (
        of_an_image * MILLION for of_an_image in model.storing(measured, USUAL_SIZE)
    )
    gigabytes = model.table_bytes(measured) * MILLION / model.GB
    yield from _head("per month, whatever is tagged", "how many", "US dollars")
    yield _row("the secret", "1", f"{model.SECRET.of(1):.2f}")
    yield _row(
        "alarms",
        f"{month.alarms}, which watch {month.alarm_metrics} metrics",
        f"{month.alarm_cost:.2f}",
    )
    yield _row(
        "custom metrics, each hour that has values",
        f"{month.idle_metrics} while nothing is uploaded",
        f"{month.metric_cost(month.idle_metrics):.2f}",
    )
    yield _row(
        "",
        f"{month.custom_metrics} while uploads are tagged, and one for each error code, "
        "reason and refused format that occurs",
        f"{month.metric_cost(month.custom_metrics):.2f}, and "
        f"{model.CUSTOM_METRIC.of(1):.2f} each",
    )
    yield _row(
        "receives of an idle queue",
        f"{month.polls:,.0f}: {model.POLLERS} every {model.POLL_SECONDS} seconds",
        f"{model.SQS_REQUEST.of(month.polls):.2f}",
    )
    yield _row(
        "reconciling the breaker",
        f"{runs:,.0f} runs, {month.reconciles_per_day} a day, with "
        f"{month.reads_per_reconcile} reads each",
        f"{month.reconcile_cost(measured):.2f}",
    )
    yield _row(
        "the dashboard, beyond the account's third",
        "1",
        f"{model.DASHBOARD.of(1):.2f}",
    )
    yield _row(
        "a million results in the table, with its point-in-time recovery",
        f"{gigabytes:.1f} GB",
        f"{in_table:.2f}",
    )
    yield _row(
        f"a million images of {USUAL_SIZE:g} MB in the bucket; old versions, too",
        f"{USUAL_SIZE * 1000:,.0f} GB",
        f"{in_bucket:.2f}",
    )


def _readme() -> Iterator[str]:
    measured = model.read_measured()
    month = read_month(TEMPLATE.read_text("utf-8"))
    full, single = (
        sum(model.per_image(measured, run).values()) * 1_000 for run in (FULL, SINGLE)
    )
    sent = model.transfer(measured, USUAL_SIZE) * 1_000
    largest_from = model.largest_item_from(measured, SINGLE)
    yield _prose(
        "The Tagger API's price, by your contract: one successful call per object version. "
        f"AWS adds about {full:.3f} US dollars for 1,000 images in full batches, and "
        f"{single:.3f} in batches of one, as at low traffic. The transfer of the images to "
        f"the API comes on top: {sent:.2f} for 1,000 images of {USUAL_SIZE:g} MB, and above "
        f"about {largest_from:.1f} MB the largest item. [docs/cost.md](docs/cost.md) has the "
        "counts and the formula."
    )
    yield ""
    yield _prose(
        f"An idle stack costs about {month.idle_cost(measured):.2f} a month: the secret, "
        f"the alarms, {month.idle_metrics} custom metrics, Lambda's polling of the queue, "
        f"and {month.reconciles_per_day} short runs of the function a day, which reconcile "
        "the breaker. The storage, the metrics of uploads, and the dashboard beyond the "
        "account's third are [extra](docs/cost.md#per-month)."
    )


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "counts": _counts,
    "formula": _formula,
    "example": _example,
    "transfer": _transfer,
    "month": _month,
    "cost": _readme,
}
"""Each part, by the name in its markers."""


def main() -> None:
    """Write both pages."""
    for page in (PAGE, README):
        page.write_text(updated(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
