"""The ports of the main job, and its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from hangtag.announcements import EVERY_CONFIDENCE
from hangtag.breaker import Breaker
from hangtag.ports import (
    Announcer,
    ApiKeys,
    AwsDeadline,
    Clock,
    DeadLetterQueue,
    ObjectStore,
    RecordStore,
    ResultStore,
    SnapshotReader,
    Tagger,
    UploadQueue,
)
from hangtag.rate_limit import RateLimiter
from hangtag.selection import ALL_KEYS, Selection
from hangtag.tagger_api import Detection, Language
from hangtag.telemetry import Telemetry
from hangtag.time_budget import TimeBudget

ImageTransport = Literal["base64", "url"]
"""How an image reaches the API: sent along, or fetched by the API from a presigned URL."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All that the main job needs from outside."""

    objects: ObjectStore
    api_keys: ApiKeys
    tagger: Tagger
    snapshots: SnapshotReader
    records: RecordStore
    results: ResultStore
    announcer: Announcer
    dead_letters: DeadLetterQueue
    upload_queue: UploadQueue
    rate_limiter: RateLimiter
    breaker: Breaker
    telemetry: Telemetry
    clock: Clock
    aws_deadline: AwsDeadline


@dataclass(frozen=True, slots=True)
class Policy:
    """The stack's parameters, as the main job uses them."""

    language: Language
    detection: tuple[Detection, ...]
    max_attempts: int
    retry_base_seconds: float
    lease_seconds: float
    """How long a claim holds: no invocation lasts longer."""
    budget: TimeBudget
    width: int
    """How many uploads one invocation works on at the same time."""
    partition: str
    """The AWS partition that the function runs in."""
    table: str
    """The name of the results table, for announcements that point to it."""
    large_results_bucket: str
    """As `table`, the bucket of the results that the table does not take."""
    image_transport: ImageTransport = "base64"
    min_confidence: Decimal = EVERY_CONFIDENCE
    """Announcements have no attributes for values below it."""
    results_expire: bool = False
    """Whether `ResultsTtlDays` is set."""
    selection: Selection = ALL_KEYS
