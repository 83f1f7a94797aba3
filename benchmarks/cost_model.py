"""
Computes what an image and a month cost on AWS: the counted usage times AWS's prices.

`benchmarks.cost` counts the usage, `benchmarks.cost_page` writes the tables of docs/cost.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from benchmarks.cpu_share import MEGABYTES_OF_A_CORE
from hangtag.adapters.dynamodb_records import SHARDS
from hangtag.metrics import Metric

MEASURED = Path(__file__).with_name("cost.json")
"""What `python -m benchmarks.cost` printed last."""
FUNCTION = Path(__file__).with_name("function.json")
"""What `python -m benchmarks.function --save` measured last."""
API_SECONDS = 0.5
"""The API's answer there."""
LOAD_MILLISECONDS = 160
"""The CPU of a cold start as built, as `benchmarks.function` printed it on 2026-11-30."""

REGION = "us-east-1"
SEEN = "November 2025"
"""The month in which the prices were seen that name no other."""

MILLION = 1_000_000
GB = 1_000_000_000
"""Bytes. AWS counts some of its gigabytes as 2^30 bytes, which costs up to 7 % less."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price in `REGION` for use beyond any free tier, in US dollars."""

    dollars: float
    units: float
    """How many units that price is for."""
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
"""GB of an account and month, by aws.amazon.com/s3/pricing in September 2026."""

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

POLLS = POLLERS * MONTH_SECONDS / POLL_SECONDS
"""Receives of an idle queue in a month."""

CUSTOM_METRICS = len(set(Metric) - {Metric.FORMATS_REFUSED})
"""Metrics that have values while uploads are tagged, whatever becomes of them."""
IDLE_METRICS = len((Metric.BREAKER_OPEN, Metric.OLDEST_FAILURE))
"""The metrics among them that have values while nothing is uploaded."""
RECONCILE_READS = 1 + SHARDS
"""Read units of a run that reconciles the breaker, at most."""

# Assumptions, which no count can give
ANSWER_SECONDS = 2.0
AWS_SECONDS = 0.15
"""For the requests of an image, one after the other; an emulator does not show them."""
INVOCATION_SECONDS = 0.3
"""Of a full batch, beside the API's answer: `AWS_SECONDS`, and those measured at `MEMORY`."""
SINGLE_SECONDS = 0.2
"""Of a batch of one."""
MEMORY = 512
MEMORY_GB = 0.5
RESULT_KB = 4
COLD_START_SECONDS = 0.4
"""
Billed like the invocation since August 2025: the measured CPU of loading (with a whole processor)
and of the first requests (with the share of `MEMORY`), and 0.2 s for Python and Lambda's runtime.
"""

ENTRIES = 20
"""Entries in the index of a result of `RESULT_KB`: its distinct values."""
INDEX_INVOCATION_SECONDS = 0.1
"""Seconds of an invocation of IndexResults."""
ENTRY_BYTES = 250
"""About the size of an entry in the index of the results: tag, time, uri and confidence."""

INDEX_BYTES = 200
"""About the size of a finished record's entry in the index `ended`: four keys."""
ITEM_BYTES = 100
"""DynamoDB bills them for each stored item or entry, besides its content."""

EVENT_BYTES = 26
"""CloudWatch Logs bills them for each line, besides its text."""
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
INDEX_WRITES = "BatchWriteItem"
INDEX_UPDATES = "UpdateItem of known values"
INDEX_ENTRIES = "entries in the index"
INDEX_INVOCATIONS = "invocations of IndexResults"
INDEX_LOG_BYTES = "bytes of the log of IndexResults"
INDEX_SECONDS = "seconds of IndexResults"

OF_THE_INDEX = (
    *(INDEX_WRITES, INDEX_UPDATES, INDEX_ENTRIES),
    *(INDEX_INVOCATIONS, INDEX_LOG_BYTES, INDEX_SECONDS),
)
"""The counts of IndexResults; all others are those of TagUploads."""

Run = Literal["ten", "one", "rate", "url"]
"""Full batches; batches of one; full batches with a rate limit, and with `ImageTransport=url`."""

Transport = Literal["base64", "url"]
FULL: Run = "ten"
SINGLE: Run = "one"

PRICED = {
    "BatchGetItem",
    "PutItem",
    "UpdateItem",
    "GetObject",
    "Publish",
    "GetSecretValue",
}
"""The requests of TagUploads that `per_image` has a price for."""


@cache
def measured() -> dict[str, Any]:
    """Return what `benchmarks.cost` counted: `date`, and `rows` by request or size, then run."""
    document: dict[str, Any] = json.loads(MEASURED.read_text("utf-8"))
    return document


def count(row: str, run: Run = FULL) -> float:
    """Return one number for an image; 0 for a request that this run did not send."""
    return float(measured()["rows"].get(row, {}).get(run, 0))


def per_batch(row: str) -> tuple[float, float]:
    """Split a number that depends on the batch: for an image, and for a batch."""
    more_batches = count(INVOCATIONS, SINGLE) - count(INVOCATIONS)
    of_batch = (count(row, SINGLE) - count(row)) / more_batches
    return count(row) - of_batch * count(INVOCATIONS), of_batch


def compute(seconds: float, memory_gb: float = MEMORY_GB) -> float:
    """Return the dollars for that many seconds of the function."""
    return LAMBDA_GB_SECOND.of(seconds * memory_gb)


def own_seconds(memory: int, batch: int) -> float:
    """Return the measured seconds of an invocation beside the answer, for images of 300 KB."""
    found = _measured_row(memory, batch)["billed ms"]
    return found * batch / 1_000 - API_SECONDS


@cache
def _measured_row(memory: int, batch: int) -> dict[str, float]:
    """What was measured for images of 300 KB."""
    (found,) = (
        one["hangtag"]
        for one in json.loads(FUNCTION.read_text("utf-8"))
        if (one["kilobytes"], one["batch"]) == (300, batch)
        and (one["memory"], one["processes"]) == (memory, 2)
    )
    row: dict[str, float] = found
    return row


def cold_cpu_seconds() -> float:
    """
    Return how long the measured CPU time of a cold start takes.

    Loading has a whole processor, the first requests have the share of `MEMORY`.
    """
    row = _measured_row(MEMORY, 1)
    first = row["first batch, CPU ms"] - row["CPU ms"] - LOAD_MILLISECONDS
    share = MEMORY / MEGABYTES_OF_A_CORE
    return (LOAD_MILLISECONDS + first / share) / 1_000


def of_lambda(memory: int, batch: float, seconds: float) -> float:
    """Return the dollars for an image with *memory* MB, if an invocation takes *seconds*."""
    return (LAMBDA_REQUEST.of(1) + compute(seconds, memory / 1_024)) / batch


def with_window(per_minute: float, window: float) -> tuple[float, float]:
    """
    Return the images of a batch, and the seconds that one waits, with that `BatchingWindow`.

    Lambda invokes the function when the window of the batch's first image is over, or ten are
    there. Images come evenly; all are received by the same poller, which is the best case.
    """
    others = min(per_minute / 60 * window, 9.0)
    # The first one waits for the whole window, the others for half of it
    wait = others / (per_minute / 60) if others == 9.0 else window
    return 1 + others, wait * (1 + others / 2) / (1 + others)


def per_image(run: Run) -> dict[str, float]:
    """Return the dollars of an image by service, without transfer and the Tagger API."""
    batches = count(INVOCATIONS, run)
    # The result is one of the requests, with units for each KB; its entry in the index is one more
    write_units = count("PutItem", run) + count("UpdateItem", run) + RESULT_KB
    own = SINGLE_SECONDS if run == SINGLE else INVOCATION_SECONDS
    return {
        "Lambda": LAMBDA_REQUEST.of(batches)
        + compute(batches * (ANSWER_SECONDS + own)),
        "SQS": SQS_REQUEST.of(1 + 2 * batches),
        "DynamoDB": WRITE_UNIT.of(write_units)
        + READ_UNIT.of(2 + count("BatchGetItem", run)),
        "SNS": PUBLISH.of(count("Publish", run)),
        "S3": S3_GET.of(count("GetObject", run)),
        "Secrets Manager": SECRET_READ.of(count("GetSecretValue", run)),
        "logs": LOG.of(count(LOG_BYTES, run) + LAMBDA_LOG_BYTES * batches),
        "the index": index_of_image(run),
    }


def index_of_image(run: Run) -> float:
    """Return the dollars of IndexResults for an image; the stream costs a function nothing."""
    batches = count(INDEX_INVOCATIONS, run)
    return (
        WRITE_UNIT.of(ENTRIES)
        + LAMBDA_REQUEST.of(batches)
        + compute(batches * INDEX_INVOCATION_SECONDS)
        + LOG.of(count(INDEX_LOG_BYTES, run) + LAMBDA_LOG_BYTES * batches)
    )


def total(run: Run) -> float:
    """Return the dollars of an image for all services, before transfer."""
    return sum(per_image(run).values())


def per_rare_image() -> float:
    """Return the dollars of an image that comes after minutes without any, before transfer."""
    key_reads = SECRET_READ.of(1 - count("GetSecretValue", SINGLE))
    return total(SINGLE) + compute(COLD_START_SECONDS) + key_reads


def base64_bytes(size: int) -> int:
    """Return the length of the base64 of *size* bytes."""
    return (size + 2) // 3 * 4


def request_bytes(transport: Transport) -> float:
    """Return the bytes of a request to the API beside the image: HTTP's headers and JSON."""
    if transport == "url":
        return count(API_BYTES, "url")
    return count(API_BYTES) - base64_bytes(round(count(IMAGE_BYTES)))


def transfer_bytes(megabytes: float, transport: Transport = "base64") -> float:
    """Return the bytes that leave AWS for an image of this size, without TLS and TCP."""
    image = megabytes * MILLION * (4 / 3 if transport == "base64" else 1)
    return image + request_bytes(transport)


def transfer(megabytes: float, transport: Transport = "base64") -> float:
    """Return the dollars for the bytes that leave AWS for an image of this size."""
    return TRANSFER.of(transfer_bytes(megabytes, transport))


def with_transfer(run: Run, megabytes: float, transport: Transport = "base64") -> float:
    """Return the dollars of an image of this size for all of AWS."""
    dollars = total(run) + transfer(megabytes, transport)
    if transport == "url":  # the API fetches the image with a request of its own
        dollars += S3_GET.of(count("GetObject", "url") - count("GetObject"))
    return dollars


def largest_item_from(run: Run) -> float:
    """Return the MB of an image above which its transfer costs more than any other service."""
    most = max(per_image(run).values()) / TRANSFER.of(1)
    return (most - request_bytes("base64")) * 3 / 4 / MILLION


@dataclass(frozen=True, slots=True)
class Month:
    """What a stack has in a month, whether or not it tags; from its template."""

    alarms: int
    alarm_metrics: int
    """Metrics that the alarms watch: CloudWatch bills each of them."""
    reconciles_per_day: int
    """Runs of the schedule that reconciles the breaker."""

    @property
    def alarm_cost(self) -> float:
        """The dollars for the alarms."""
        return ALARM_METRIC.of(self.alarm_metrics)

    @property
    def reconciles(self) -> float:
        """The runs of the schedule in a month."""
        return self.reconciles_per_day * MONTH_SECONDS / 86_400

    @property
    def reconcile_cost(self) -> float:
        """The dollars for the scheduled runs, each cold, with the log of a batch."""
        return self.reconciles * (
            SCHEDULED_RUN.of(1)
            + LAMBDA_REQUEST.of(1)
            + compute(COLD_START_SECONDS + SINGLE_SECONDS)
            + READ_UNIT.of(RECONCILE_READS)
            + LOG.of(per_batch(LOG_BYTES)[1] + LAMBDA_LOG_BYTES)
        )

    @property
    def idle_cost(self) -> float:
        """The dollars of a stack without uploads, without storage and dashboard."""
        return (
            SECRET.of(1)
            + self.alarm_cost
            + CUSTOM_METRIC.of(IDLE_METRICS)
            + SQS_REQUEST.of(POLLS)
            + self.reconcile_cost
        )


def table_bytes() -> float:
    """Return the bytes in the table for an image: result, record and its entry in `ended`."""
    return RESULT_KB * 1_000 + count(RECORD_BYTES) + INDEX_BYTES + 3 * ITEM_BYTES


def index_bytes() -> float:
    """Return the bytes in the index of the results for an image."""
    return ENTRIES * (ENTRY_BYTES + ITEM_BYTES)
