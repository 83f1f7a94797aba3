from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hangtag.batch import Invocation, Pipeline
from hangtag.breaker import Breaker
from hangtag.events import Delivery
from hangtag.metering import JournalTelemetry, MeteringJournal
from hangtag.ports import ObjectFacts
from hangtag.tagger_api import Detection, Language
from hangtag.tagging import ImageTransport, Policy, Ports
from hangtag.time_budget import Timing
from tests.builders import BUCKET, KEY, PNG, a_delivery, notification, record
from tests.fakes.failing import Killer
from tests.fakes.journal import FakeJournal, FakeMeter
from tests.fakes.keys import FakeApiKeys
from tests.fakes.objects import FakeObjectStore
from tests.fakes.queues import FakeAnnouncer, FakeDeadLetterQueue, FakeUploadQueue
from tests.fakes.results import FakeResultStore
from tests.fakes.state import FakeBreakerStore, FakeMapping, FakeSlots
from tests.fakes.tagger import FakeTagger
from tests.fakes.time import FakeClock, FakeDeadline, FakePatience

LEASE_SECONDS = 60.0
WIDTH = 10
TIMING = Timing.of(LEASE_SECONDS)


class World:
    """The pipeline with a fake in every port; no jitter, unless it is asked for."""

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
        versioned: bool = True,
        slots: FakeSlots | None = None,
        random_fraction: Callable[[], float] = lambda: 0.5,
    ) -> None:
        """*slots* may be another world's: then both are instances that share a rate."""
        self.clock = FakeClock()
        self.deadline = FakeDeadline(LEASE_SECONDS, self.clock)
        self.objects = FakeObjectStore(
            max_image_bytes=max_image_bytes, versioned=versioned
        )
        self.api_keys = FakeApiKeys()
        self.tagger = FakeTagger()
        self.results = FakeResultStore(self.clock)
        self.announcer = FakeAnnouncer()
        self.dead_letters = FakeDeadLetterQueue()
        self.upload_queue = FakeUploadQueue()
        self.journal = FakeJournal()
        self.slots = slots or FakeSlots()
        self.breaker_store = FakeBreakerStore()
        self.mapping = FakeMapping()
        self.meter = FakeMeter()
        metered = MeteringJournal(self.journal, self.meter, self.clock)
        self._killer = Killer("", 0, after=False, hard=True)
        mortal = self._killer.watching
        self.breaker = Breaker(
            mortal(self.breaker_store, "breaker_store"),
            mortal(self.mapping, "mapping"),
            JournalTelemetry(metered),
            self.clock,
        )
        self.patience = FakePatience()
        self._policy = Policy(
            language=language,
            detection=detection,
            max_attempts=max_attempts,
            retry_base_seconds=retry_base_seconds,
            lease_seconds=LEASE_SECONDS,
            timing=TIMING,
            width=width,
            image_transport=image_transport,
            requests_per_second=requests_per_second,
        )
        self._random_fraction = random_fraction
        self._metered = metered
        self.pipeline = self.instance(mortal)
        self._arrivals = 0

    def instance(self, seen: Callable[[Any, str], Any]) -> Pipeline:
        """Another instance of the function; how it has the ports *seen*, by their names."""
        return Pipeline(
            Ports(
                objects=seen(self.objects, "objects"),
                api_keys=seen(self.api_keys, "api_keys"),
                tagger=seen(self.tagger, "tagger"),
                results=seen(self.results, "results"),
                announcer=seen(self.announcer, "announcer"),
                dead_letters=seen(self.dead_letters, "dead_letters"),
                upload_queue=seen(self.upload_queue, "upload_queue"),
                slots=seen(self.slots, "slots"),
                breaker_store=seen(self.breaker_store, "breaker_store"),
                breaker=self.breaker,
                journal=self._metered,
                clock=self.clock,
                patience=self.patience,
            ),
            self._policy,
            random_fraction=self._random_fraction,
        )

    def put(
        self,
        key: str = KEY,
        content: bytes = PNG,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectFacts:
        """Put an object into the bucket, unnoticed."""
        return self.objects.put(f"s3://{BUCKET}/{key}", content, metadata)

    def upload(
        self,
        key: str = KEY,
        content: bytes = PNG,
        metadata: Mapping[str, str] | None = None,
    ) -> Delivery:
        """Put an object into the bucket; the delivery that tells of it."""
        facts = self.put(key, content, metadata)
        self._arrivals += 1
        told = record(
            key,
            version_id=facts.version_id,
            etag=facts.etag,
            size=facts.size,
            sequencer=f"{self._arrivals:018X}",
        )
        return a_delivery(notification(told), message_id=f"message-{self._arrivals}")

    def kills(self, step: str, *, call: int = 0, after: bool) -> None:
        """
        Kill the function before or *after* the so manieth call of a port's method from now on.

        The *step* is `port.method`. What was killed raises `Killed`, and does nothing any more.
        """
        self._killer.method, self._killer.call = step, call
        self._killer.after, self._killer.has_killed = after, False

    def dies(self) -> None:
        """The function is killed, here and now: nothing that any of its threads asks is done."""
        self._killer.has_killed = True

    def revives(self) -> None:
        """Another process takes over, and nobody kills it."""
        self._killer.method, self._killer.has_killed = "", False

    def tag(self, *deliveries: Delivery) -> tuple[str, ...]:
        """One invocation; the ids of the messages that are handed back."""
        return self.pipeline.tag(deliveries, self.invocation())

    def invocation(self) -> Invocation:
        """One that begins now."""
        self.deadline.begin()
        return Invocation("request-1", self.deadline)
