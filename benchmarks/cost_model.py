"""
Computes what an image and a month cost on AWS: the counted usage times AWS's prices.

`benchmarks.cost` counts the usage, `benchmarks.cost_page` writes the tables of docs/cost.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

MEASURED = Path(__file__).with_name("cost.json")
"""What `python -m benchmarks.cost` printed last."""

REGION = "us-east-1"
SEEN = "November 2025"
"""When the prices were seen, except those that name another month."""

MILLION = 1_000_000
GB = 1_000_000_000
"""Bytes. AWS counts some of its gigabytes as 2^30 bytes, which costs up to 7 % less."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price in `REGION` for use beyond any free tier, in US dollars."""

    dollars: float
    units: float
    """The number of units that cost so much."""
    unit: str
    page: str
    """The page of aws.amazon.com that states it."""
    seen: str = SEEN

    def of(self, quantity: float) -> float:
        """Return the dollars for this many units."""
        return self.dollars * quantity / self.units


LAMBDA_REQUEST = Price(0.20, MILLION, "a million requests", "lambda/pricing")
LAMBDA_GB_SECOND = Price(0.0000133334, 1, "a GB-second", "lambda/pricing")
"""Of the architecture arm64; x86_64 costs a quarter more."""
SQS_REQUEST = Price(0.40, MILLION, "a million requests", "sqs/pricing")
WRITE_UNIT = Price(
    0.625, MILLION, "a million write units", "dynamodb/pricing/on-demand"
)
READ_UNIT = Price(0.125, MILLION, "a million read units", "dynamodb/pricing/on-demand")
PUBLISH = Price(0.50, MILLION, "a million publishes", "sns/pricing")
S3_GET = Price(0.40, MILLION, "a million GETs", "s3/pricing")
SECRET_READ = Price(0.05, 10_000, "for 10,000 reads", "secrets-manager/pricing")
LOG = Price(0.50, GB, "a GB", "cloudwatch/pricing")
TRANSFER = Price(0.09, GB, "a GB", "ec2/pricing/on-demand", seen="June 2026")
"""
To the internet, up to 10 TB a month; from S3 the same price. AWS's page shows its prices only to a
browser: this one was seen in three other listings.
"""
FREE_TRANSFER_GB = 100
"""Of each account and month, by aws.amazon.com/s3/pricing in September 2026."""

SECRET = Price(0.40, 1, "a secret", "secrets-manager/pricing")
ALARM_METRIC = Price(0.10, 1, "a metric of an alarm", "cloudwatch/pricing")
CUSTOM_METRIC = Price(0.30, 1, "a metric", "cloudwatch/pricing")
DASHBOARD = Price(3.00, 1, "a dashboard", "cloudwatch/pricing")
SCHEDULED_RUN = Price(
    1.00, MILLION, "a million runs", "eventbridge/pricing", seen="March 2026"
)
TABLE_GB = Price(0.25, GB, "a GB", "dynamodb/pricing/on-demand")
BACKUP_GB = Price(0.20, GB, "a GB", "dynamodb/pricing/on-demand")
BUCKET_GB = Price(0.023, GB, "a GB", "s3/pricing")

MONTH_SECONDS = 365 * 86_400 / 12

POLLERS = 5
"""How many receives Lambda keeps open while a queue is idle; AWS may change it."""
POLL_SECONDS = 20

COLD_START_SECONDS = 1.0
"""Assumed; billed like the invocation since August 2025."""

INDEX_BYTES = 200
"""Of a finished record's entry in the index `ended`: its four keys, about."""
ITEM_BYTES = 100
"""That DynamoDB bills for each stored item or entry, besides its content."""

EVENT_BYTES = 26
"""That CloudWatch Logs bills for each line, besides its text."""
LAMBDA_LINES = (
    (
        '{"time":"2026-11-29T11:51:23.456Z","type":"platform.start","record":'
        '{"requestId":"79b4f56e-95b1-4643-9700-2807f4e68189","version":"$LATEST"}}'
    ),
    (
        '{"time":"2026-11-29T11:51:23.456Z","type":"platform.report","record":'
        '{"requestId":"79b4f56e-95b1-4643-9700-2807f4e68189","metrics":'
        '{"durationMs":2300.682,"billedDurationMs":2301,"memorySizeMB":512,'
        '"maxMemoryUsedMB":180},"status":"success"}}'
    ),
)
"""The lines that Lambda itself logs for an invocation; the local cloud logs others."""
LAMBDA_LOG_BYTES = sum(len(line) + EVENT_BYTES for line in LAMBDA_LINES)

IMAGE_BYTES = "bytes of the image"
API_BYTES = "bytes sent to the API"
INVOCATIONS = "invocations"
LOG_BYTES = "bytes of the log"
RESULT_BYTES = "bytes of a result"
RECORD_BYTES = "bytes of a record"
ANNOUNCEMENT_BYTES = "bytes of an announcement"
OWN_SECONDS = "seconds beside the answer"

Run = Literal["ten", "one", "rate", "url"]
"""Full batches; batches of one; full batches with a rate limit, and with `ImageTransport=url`."""

Transport = Literal["base64", "url"]
FULL: Run = "ten"
SINGLE: Run = "one"


@dataclass(frozen=True, slots=True)
class Measured:
    """What `benchmarks.cost` counted for an image."""

    date: str
    rows: Mapping[str, Mapping[Run, float]]
    """By request or size, then by run."""

    def of(self, row: str, run: Run) -> float:
        """Return one number; 0 for a request that this run did not send."""
        return self.rows.get(row, {}).get(run, 0.0)

    def per_batch(self, row: str) -> tuple[float, float]:
        """Split a number that depends on the batch: for an image, and for a batch."""
        full, single = self.of(row, FULL), self.of(row, SINGLE)
        batches, one = self.of(INVOCATIONS, FULL), self.of(INVOCATIONS, SINGLE)
        of_batch = (single - full) / (one - batches)
        return full - of_batch * batches, of_batch


def read_measured(path: Path = MEASURED) -> Measured:
    """Read the counts of the last run of `benchmarks.cost`."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return Measured(document["date"], document["rows"])


@dataclass(frozen=True, slots=True)
class Example:
    """The assumptions that no count can give."""

    answer_seconds: float = 2.0
    own_seconds: float = 0.3
    """Of an invocation, beside the API's answer."""
    memory_gb: float = 0.5
    result_kb: int = 4


EXAMPLE = Example()

SERVICES = (
    "Lambda",
    "SQS",
    "DynamoDB",
    "SNS",
    "S3",
    "Secrets Manager",
    "logs",
)

PRICED = {
    "BatchGetItem",
    "PutItem",
    "UpdateItem",
    "GetObject",
    "Publish",
    "GetSecretValue",
}
"""The requests of the function that `per_image` has a price for."""


def per_image(
    measured: Measured, run: Run, example: Example = EXAMPLE
) -> dict[str, float]:
    """Return the dollars of an image by service, without transfer and the Tagger API."""
    batches = measured.of(INVOCATIONS, run)
    seconds = example.answer_seconds + example.own_seconds
    log_bytes = measured.of(LOG_BYTES, run) + LAMBDA_LOG_BYTES * batches
    dollars = (
        LAMBDA_REQUEST.of(batches)
        + LAMBDA_GB_SECOND.of(batches * seconds * example.memory_gb),
        SQS_REQUEST.of(1 + 2 * batches),
        WRITE_UNIT.of(write_units(measured, run, example))
        + READ_UNIT.of(2 + measured.of("BatchGetItem", run)),
        PUBLISH.of(measured.of("Publish", run)),
        S3_GET.of(measured.of("GetObject", run)),
        SECRET_READ.of(measured.of("GetSecretValue", run)),
        LOG.of(log_bytes),
    )
    return dict(zip(SERVICES, dollars, strict=True))


def write_units(measured: Measured, run: Run, example: Example = EXAMPLE) -> float:
    """Return DynamoDB's write units: of the requests one each, but the result's, and the index."""
    requests = measured.of("PutItem", run) + measured.of("UpdateItem", run)
    return requests - 1 + example.result_kb + 1


def per_rare_image(measured: Measured, example: Example = EXAMPLE) -> float:
    """Return the dollars of an image that comes after minutes without any, before transfer."""
    return (
        sum(per_image(measured, SINGLE, example).values())
        + LAMBDA_GB_SECOND.of(COLD_START_SECONDS * example.memory_gb)
        + SECRET_READ.of(1 - measured.of("GetSecretValue", SINGLE))
    )


def transfer_bytes(
    measured: Measured, megabytes: float, transport: Transport = "base64"
) -> float:
    """Return the bytes that leave AWS for an image of this size, without TLS and TCP."""
    image = megabytes * MILLION
    content = image * 4 / 3 if transport == "base64" else image
    return content + request_bytes(measured, transport)


def request_bytes(measured: Measured, transport: Transport) -> float:
    """Return the bytes of a request to the API beside the image: HTTP's headers and JSON."""
    run: Run = FULL if transport == "base64" else "url"
    sent = measured.of(API_BYTES, run)
    if transport == "url":
        return sent
    return sent - base64_bytes(round(measured.of(IMAGE_BYTES, run)))


def base64_bytes(size: int) -> int:
    """Return the length of the base64 of *size* bytes."""
    return (size + 2) // 3 * 4


def transfer(
    measured: Measured, megabytes: float, transport: Transport = "base64"
) -> float:
    """Return the dollars for the bytes that leave AWS for an image of this size."""
    return TRANSFER.of(transfer_bytes(measured, megabytes, transport))


def largest_item_from(measured: Measured, run: Run) -> float:
    """Return the MB of an image above which its transfer costs more than any other service."""
    most = max(per_image(measured, run).values())
    overhead = request_bytes(measured, "base64")
    return (most / TRANSFER.of(1) - overhead) * 3 / 4 / MILLION


def with_transfer(
    measured: Measured, run: Run, megabytes: float, transport: Transport = "base64"
) -> float:
    """Return the dollars of an image of this size for all of AWS."""
    dollars = sum(per_image(measured, run).values())
    if transport == "url":  # a request of the API's
        dollars += S3_GET.of(
            measured.of("GetObject", "url") - measured.of("GetObject", FULL)
        )
    return dollars + transfer(measured, megabytes, transport)


@dataclass(frozen=True, slots=True)
class Month:
    """What a stack has in a month, whether or not it tags."""

    alarms: int
    alarm_metrics: int
    """Metrics that the alarms watch: CloudWatch bills each of them."""
    custom_metrics: int
    """Metrics that have values while uploads are tagged, whatever becomes of them."""
    idle_metrics: int
    """Those of them that have values while nothing is uploaded."""
    reconciles_per_day: int
    """Runs of the schedule that reconciles the breaker."""
    reads_per_reconcile: int
    """Read units of such a run, at most."""

    @property
    def alarm_cost(self) -> float:
        """Return the dollars for the alarms."""
        return ALARM_METRIC.of(self.alarm_metrics)

    def metric_cost(self, metrics: int) -> float:
        """Return the dollars for custom metrics that have a value in each hour."""
        return CUSTOM_METRIC.of(metrics)

    @property
    def polls(self) -> float:
        """Receives of an idle queue."""
        return POLLERS * MONTH_SECONDS / POLL_SECONDS

    def reconcile_cost(self, measured: Measured, example: Example = EXAMPLE) -> float:
        """Return the dollars for the scheduled runs, each cold, with the log of a batch."""
        runs = self.reconciles_per_day * MONTH_SECONDS / 86_400
        seconds = COLD_START_SECONDS + example.own_seconds
        log_bytes = measured.per_batch(LOG_BYTES)[1] + LAMBDA_LOG_BYTES
        return runs * (
            SCHEDULED_RUN.of(1)
            + LAMBDA_REQUEST.of(1)
            + LAMBDA_GB_SECOND.of(seconds * example.memory_gb)
            + READ_UNIT.of(self.reads_per_reconcile)
            + LOG.of(log_bytes)
        )

    def idle_cost(self, measured: Measured) -> float:
        """Return the dollars of a stack without uploads, without storage and dashboard."""
        return (
            SECRET.of(1)
            + self.alarm_cost
            + self.metric_cost(self.idle_metrics)
            + SQS_REQUEST.of(self.polls)
            + self.reconcile_cost(measured)
        )


def table_bytes(measured: Measured, example: Example = EXAMPLE) -> float:
    """Return the bytes in the table for an image: result, record and entry in the index."""
    record = measured.of(RECORD_BYTES, FULL)
    return example.result_kb * 1_000 + record + INDEX_BYTES + 3 * ITEM_BYTES


def storing(measured: Measured, megabytes: float) -> tuple[float, float]:
    """Return the dollars a month for an image of this size: in the table, and in the bucket."""
    size = table_bytes(measured)
    return (
        TABLE_GB.of(size) + BACKUP_GB.of(size),
        BUCKET_GB.of(megabytes * MILLION),
    )
