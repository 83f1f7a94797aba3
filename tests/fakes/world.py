from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from hangtag.announcements import EVERY_CONFIDENCE
from hangtag.batch import Invocation, Pipeline
from hangtag.breaker import Breaker
from hangtag.events import Delivery, read_body
from hangtag.lifecycle import Calls, Record, Status
from hangtag.policy import ImageTransport, Policy, Ports
from hangtag.ports import ObjectFacts
from hangtag.rate_limit import RateLimiter
from hangtag.results import Document
from hangtag.selection import ALL_KEYS, Selection
from hangtag.tagger_api import Detection, Language
from hangtag.telemetry import DeadLettered, HandedBack, Skipped, Tagged, Unforeseen
from hangtag.time_budget import TimeBudget
from hangtag.uploads import SkipReason, Upload
from tests.builders import BUCKET, KEY, PNG, a_delivery, notification, record
from tests.fakes.failing import Killer
from tests.fakes.keys import FakeApiKeys
from tests.fakes.objects import FakeObjectStore
from tests.fakes.queues import FakeAnnouncer, FakeDeadLetterQueue, FakeUploadQueue
from tests.fakes.records import FakeRecords
from tests.fakes.results import FakeResults, FakeSnapshots, history
from tests.fakes.state import FakeBreakerStore, FakeMapping, FakeSlots
from tests.fakes.tagger import FakeTagger
from tests.fakes.telemetry import FakeTelemetry
from tests.fakes.time import FakeAwsDeadline, FakeClock, FakeDeadline

LEASE_SECONDS = 60.0
WIDTH = 10
TABLE = "hangtag-results"
BUDGET = TimeBudget.of(LEASE_SECONDS)


class World:
    """The pipeline with a fake behind each port; without jitter, unless requested."""

    def __init__(
        self,
        *,
        max_attempts: int = 3,
        retry_base_seconds: float = 10.0,
        language: Language = "en",
        detection: tuple[Detection, ...] = (),
        max_image_bytes: int = 20 * 1024 * 1024,
        image_transport: ImageTransport = "base64",
        requests_per_second: float = 0.0,
        width: int = WIDTH,
        min_confidence: Decimal = EVERY_CONFIDENCE,
        versioned: bool = True,
        results_expire: bool = False,
        selection: Selection = ALL_KEYS,
        slots: FakeSlots | None = None,
        random_fraction: Callable[[], float] = lambda: 0.5,
    ) -> None:
        """With the *slots* of another world, both are instances that share a rate."""
        self.max_attempts = max_attempts
        self.clock = FakeClock()
        self.deadline = FakeDeadline(LEASE_SECONDS, self.clock)
        self.objects = FakeObjectStore(
            max_image_bytes=max_image_bytes, versioned=versioned
        )
        self.api_keys = FakeApiKeys()
        self.tagger = FakeTagger()
        self.records = FakeRecords()
        self.results = FakeResults()
        self.announcer = FakeAnnouncer()
        self.dead_letters = FakeDeadLetterQueue()
        self.upload_queue = FakeUploadQueue()
        self.telemetry = FakeTelemetry()
        self.slots = slots or FakeSlots()
        self.breaker_store = FakeBreakerStore()
        self.mapping = FakeMapping()
        self.aws_deadline = FakeAwsDeadline()
        self.snapshots = FakeSnapshots(self.breaker_store, self.records, self.results)
        self._killer = Killer("", 0, after=False, hard=True)
        self._policy = Policy(
            language=language,
            detection=detection,
            max_attempts=max_attempts,
            retry_base_seconds=retry_base_seconds,
            lease_seconds=LEASE_SECONDS,
            budget=BUDGET,
            width=width,
            partition="aws",
            table=TABLE,
            large_results_bucket="hangtag-large-results",
            min_confidence=min_confidence,
            image_transport=image_transport,
            results_expire=results_expire,
            selection=selection,
        )
        self._requests_per_second = requests_per_second
        self._random_fraction = random_fraction
        self.pipeline = self.instance(self._killer.watching)
        self._arrivals = 0

    def instance(self, seen: Callable[[Any, str], Any]) -> Pipeline:
        """Another instance of the function; *seen* are the ports it uses, by name."""
        return Pipeline(
            Ports(
                objects=seen(self.objects, "objects"),
                api_keys=seen(self.api_keys, "api_keys"),
                tagger=seen(self.tagger, "tagger"),
                snapshots=seen(self.snapshots, "snapshots"),
                records=seen(self.records, "records"),
                results=seen(self.results, "results"),
                announcer=seen(self.announcer, "announcer"),
                dead_letters=seen(self.dead_letters, "dead_letters"),
                upload_queue=seen(self.upload_queue, "upload_queue"),
                rate_limiter=RateLimiter(
                    seen(self.slots, "slots"),
                    self.clock,
                    requests_per_second=self._requests_per_second,
                    random_fraction=self._random_fraction,
                ),
                breaker=Breaker(
                    seen(self.breaker_store, "breaker_store"),
                    seen(self.mapping, "mapping"),
                    self.telemetry,
                    self.clock,
                ),
                telemetry=self.telemetry,
                clock=self.clock,
                aws_deadline=self.aws_deadline,
            ),
            self._policy,
            random_fraction=self._random_fraction,
        )

    # ---- actions

    def put(
        self,
        key: str = KEY,
        content: bytes = PNG,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectFacts:
        """Puts an object into the bucket, without an event."""
        return self.objects.put(f"s3://{BUCKET}/{key}", content, metadata)

    def upload(
        self,
        key: str = KEY,
        content: bytes = PNG,
        metadata: Mapping[str, str] | None = None,
    ) -> Delivery:
        """Puts an object into the bucket; returns the delivery of its event."""
        facts = self.put(key, content, metadata)
        self._arrivals += 1
        of_the_object = record(
            key,
            version_id=facts.version_id,
            etag=facts.etag,
            size=facts.size,
            sequencer=f"{self._arrivals:018X}",
        )
        return a_delivery(
            notification(of_the_object), message_id=f"message-{self._arrivals}"
        )

    def removal(
        self,
        key: str = KEY,
        *,
        version_id: str | None = None,
        event_name: str = "ObjectRemoved:DeleteMarkerCreated",
    ) -> Delivery:
        """The delivery of the event of a removal; the bucket stays as it is."""
        self._arrivals += 1
        of_the_object = record(
            key,
            version_id=version_id or f"marker-{self._arrivals}",
            etag=None,
            size=None,
            sequencer=f"{self._arrivals:018X}",
            event_name=event_name,
        )
        return a_delivery(
            notification(of_the_object), message_id=f"message-{self._arrivals}"
        )

    def delete(self, key: str = KEY) -> Delivery:
        """Deletes an object; returns the delivery of its event."""
        self.objects.delete(f"s3://{BUCKET}/{key}")
        return self.removal(key)

    def undelete(self, key: str = KEY) -> Delivery:
        """Removes the delete marker of an object; returns the delivery of its event."""
        self.objects.undelete(f"s3://{BUCKET}/{key}")
        return self.removal(key, event_name="ObjectRemoved:Delete")

    def purge(self, upload: Upload) -> Delivery:
        """Deletes an object version for good; returns the delivery of its event."""
        self.objects.purge(upload.uri, upload.version_id)
        return self.removal(
            upload.key, version_id=upload.version_id, event_name="ObjectRemoved:Delete"
        )

    def kills(self, step: str, *, call: int = 0, after: bool) -> None:
        """
        Kills the function before or *after* a call of a port's method, *call* calls from now.

        The *step* is `port.method`. The killed function raises `Killed`, and its requests have no
        effect.
        """
        self._killer.method, self._killer.call = step, call
        self._killer.after, self._killer.has_killed = after, False

    def dies(self) -> None:
        """Kills the function now: no later request of its threads arrives."""
        self._killer.has_killed = True

    def revives(self) -> None:
        """Starts another process."""
        self._killer.method, self._killer.has_killed = "", False

    def tag(self, *deliveries: Delivery) -> tuple[str, ...]:
        """Runs one invocation; returns the message ids that are handed back."""
        return self.pipeline.tag(deliveries, self.invocation())

    def invocation(self) -> Invocation:
        """An invocation that begins now."""
        self.deadline.begin()
        return Invocation("request-1", self.deadline)

    # ---- state

    def record_of(self, upload: Upload) -> Record | None:
        """The record of a version."""
        return self.records.records.get((upload.uri, upload.version))

    def ended_as(self, upload: Upload) -> str | None:
        """TAGGED, REMOVED, FAILED, or the reason of a skip; None for an open upload."""
        found = self.record_of(upload)
        if found is None or found.status not in (
            Status.TAGGED,
            Status.REMOVED,
            Status.FAILED,
            Status.SKIPPED,
        ):
            return None
        return str(found.reason or found.status)

    def calls_about(self, upload: Upload) -> Calls:
        """The counted calls about a version."""
        found = self.record_of(upload)
        return found.calls if found else {}

    def cut_off(self, upload: Upload) -> int:
        """The number of attempts about a version that were cut off, including the current one."""
        found = self.record_of(upload)
        if found is None:
            return 0
        return found.cut_off + found.is_cut_off(self.clock.now())

    def newest(self, uri: str) -> Document | None:
        """The result that is shown for a key."""
        now = self.clock.now()
        return history(self.records, self.results, uri, now=now).newest()

    @property
    def skips(self) -> list[SkipReason]:
        """The reasons of skipped records."""
        return [skipped.reason for skipped in self.telemetry.of(Skipped)]

    @property
    def tags(self) -> list[Tagged]:
        """The reported tagged uploads."""
        return self.telemetry.of(Tagged)

    @property
    def hand_backs(self) -> list[HandedBack]:
        """The reported hand-backs."""
        return self.telemetry.of(HandedBack)

    @property
    def dead_lettered(self) -> list[DeadLettered]:
        """The reported dead letters."""
        return self.telemetry.of(DeadLettered)

    @property
    def bugs(self) -> list[Unforeseen]:
        """The reported bugs."""
        return self.telemetry.of(Unforeseen)

    @property
    def codes(self) -> list[str]:
        """The error codes of the dead letters."""
        return [letter.failure.code for letter in self.dead_letters.letters]


def upload_of(delivery: Delivery) -> Upload:
    """The upload of a delivery that has exactly one."""
    [upload] = read_body(delivery.body)
    assert isinstance(upload, Upload)
    return upload
