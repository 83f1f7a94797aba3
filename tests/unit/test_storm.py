"""Three concurrent instances, while every port fails and loses responses: the promises hold."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import Any

import pytest

from hangtag.batch import Pipeline
from hangtag.errors import (
    AnnouncementFailed,
    ApiKeyUnavailable,
    ApiTimeout,
    MappingUnavailable,
    ObjectUnavailable,
    QueueUnavailable,
    ResultsUnavailable,
)
from hangtag.events import Delivery, read_body
from hangtag.lifecycle import CallReason
from hangtag.uploads import Upload
from tests.builders import BUCKET, PNG
from tests.fakes import LEASE_SECONDS, World

ERRORS: dict[str, type[Exception]] = {
    "objects": ObjectUnavailable,
    "api_keys": ApiKeyUnavailable,
    "tagger": ApiTimeout,
    "snapshots": ResultsUnavailable,
    "records": ResultsUnavailable,
    "results": ResultsUnavailable,
    "announcer": AnnouncementFailed,
    "dead_letters": QueueUnavailable,
    "upload_queue": QueueUnavailable,
    "slots": ResultsUnavailable,
    "breaker_store": ResultsUnavailable,
    "mapping": MappingUnavailable,
}

INSTANCES = 3
BATCH = 5
ROUNDS = 400
CALM = 60
"""After this many rounds no port fails any more."""


class _Lossy:
    """A port that raises at a given rate, before or after the call."""

    def __init__(self, storm: Storm, port: object, name: str) -> None:
        self._storm = storm
        self._port = port
        self._name = name

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - any port's
        ask = getattr(self._port, method)

        def asked(*args: object, **kwargs: object) -> object:
            goes_wrong, is_done = self._storm.dice()
            time.sleep(0.0002)  # lets another thread run at each step
            # A lost answer of the API is paid, which the ledger does not count as a reason
            if goes_wrong and (self._name == "tagger" or not is_done):
                raise ERRORS[self._name](f"{method} failed")
            answer = ask(*args, **kwargs)
            if goes_wrong:
                raise ERRORS[self._name](f"the answer to {method} was lost")
            return answer

        return asked


class Storm:
    """Uploads, copies of their messages, and instances whose ports fail."""

    def __init__(self, seed: int, *, changes: int = 0) -> None:
        """While the instances run, objects are deleted, undeleted or uploaded *changes* times."""
        self._changes = changes
        self.removals: list[Upload] = []
        self.chance = random.Random(seed)  # noqa: S311 - a storm, no secret
        self._lock = Lock()
        self._rate = self.chance.choice([0.0, 0.05, 0.15, 0.3])
        self.is_calm = self._rate == 0.0
        self.is_versioned = self.chance.random() < 0.8 or changes > 0
        self.world = World(
            max_attempts=self.chance.choice([1, 2, 3]),
            versioned=self.is_versioned,
            width=4,
        )
        self.instances = [
            self.world.instance(lambda port, name: _Lossy(self, port, name))
            for _ in range(INSTANCES)
        ]
        self.queue: dict[str, Delivery] = {}
        self.uploads: list[Upload] = []
        self._sent = 0
        for number in range(self.chance.randint(5, 25)):
            self._upload(number)

    def dice(self) -> tuple[bool, bool]:
        """Whether a call fails, and whether it takes effect nevertheless."""
        with self._lock:
            return self.chance.random() < self._rate, self.chance.random() < 0.5

    def run(self) -> None:
        """
        Delivers, hands back and replays until no message is left; faults end after some rounds.
        """
        for number in range(ROUNDS):
            if not self.queue and not self._changes:
                return
            if number == CALM:
                self._rate = 0.0
            self.world.clock.advance(self.chance.choice([0.1, 1.0, LEASE_SECONDS + 1]))
            self._deliver()
            letters = self.world.dead_letters.letters
            if letters and self.chance.random() < 0.1:
                letter = letters.pop(self.chance.randrange(len(letters)))
                self._send(letter.body, replays=letter.replays + 1)

    def _upload(self, number: int) -> None:
        # Without versions an object may return to earlier content
        content = number if self.is_versioned else number % 4
        key = f"{self.chance.randint(0, 5)}.png"
        delivery = self.world.upload(key, PNG + f"{key} {content}".encode())
        [upload] = read_body(delivery.body)
        assert isinstance(upload, Upload)
        self.uploads.append(upload)
        self._send(delivery.body)
        if self.chance.random() < 0.4:
            self._send(delivery.body)
        if self.chance.random() < 0.3:
            document = json.loads(delivery.body)
            del document["Records"][0]["s3"]["object"]["sequencer"]
            self._send(json.dumps(document))

    def _change(self) -> None:
        """While the instances work: an object is deleted, undeleted or uploaded."""
        if not self._changes or self.chance.random() < 0.3:
            return
        self._changes -= 1
        key = self.chance.choice(self.uploads).key
        uri = f"s3://{BUCKET}/{key}"
        time.sleep(self.chance.random() * 0.005)
        if self.world.objects.has_delete_marker(uri):
            removal = self.world.undelete(key)
        elif self.chance.random() < 0.7:
            removal = self.world.delete(key)
        else:
            self._upload(1_000 + self._changes)
            return
        [entry] = read_body(removal.body)
        assert isinstance(entry, Upload)
        self.removals.append(entry)
        self._send(removal.body)

    def _send(self, body: str, *, replays: int = 0) -> None:
        self._sent += 1
        name = f"message {self._sent}"
        now = self.world.clock.now()
        self.queue[name] = Delivery(name, name, body, replays, sent_at=now)

    def _deliver(self) -> None:
        names = list(self.queue)
        self.chance.shuffle(names)
        batches = [
            [self.queue[name] for name in names[BATCH * n : BATCH * (n + 1)]]
            for n in range(INSTANCES)
        ]
        invocation = self.world.invocation()

        def invoke(instance: Pipeline, batch: list[Delivery]) -> set[str]:
            return set(instance.tag(batch, invocation))

        with ThreadPoolExecutor(INSTANCES + 1) as pool:
            change = pool.submit(self._change)
            handed_back = set().union(*pool.map(invoke, self.instances, batches))
            change.result()
        sent, self.world.upload_queue.bodies = self.world.upload_queue.bodies, []
        for body in sent:
            self._send(body)
        for delivery in (one for batch in batches for one in batch):
            name = delivery.message_id
            self.queue[name] = replace(delivery, receives=delivery.receives + 1)
            if name not in handed_back:
                del self.queue[name]


@pytest.mark.parametrize("seed", range(40))
def test_a_storm_of_faults_breaks_no_promise(seed: int) -> None:
    """A seed reproduces the faults, but not the scheduling of threads."""
    storm = Storm(seed)
    world = storm.world

    storm.run()

    assert storm.queue == {}
    assert world.bugs == []
    last = {(upload.uri, upload.version): upload for upload in storm.uploads}
    ends = {key: world.ended_as(upload) for key, upload in last.items()}
    assert set(ends.values()) <= {"TAGGED", "FAILED", "SUPERSEDED", "OBJECT_GONE"}
    letters = {letter.image for letter in world.dead_letters.letters}
    assert {uri for (uri, _), end in ends.items() if end == "FAILED"} <= letters
    for uri in {uri for uri, _ in last}:
        newest_wins(storm, uri)
    if storm.is_versioned:
        no_version_is_paid_twice_without_a_reason(storm, last)


@pytest.mark.parametrize("seed", range(40))
def test_a_storm_of_removals_leaves_each_key_as_its_object_is(seed: int) -> None:
    """A removal whose letter waits for a replay aside."""
    storm = Storm(seed, changes=15)
    world = storm.world

    storm.run()

    assert storm.queue == {}
    assert world.bugs == []
    ends = {world.ended_as(removal) for removal in storm.removals}
    assert ends <= {"REMOVED", "SUPERSEDED", "FAILED"}
    failed = {one.uri for one in storm.removals if world.ended_as(one) == "FAILED"}
    for uri in {upload.uri for upload in storm.uploads} - failed:
        current, stored = world.objects.current(uri), world.results.stored(uri)
        if current is None:
            assert stored is None or stored.removed_at is not None
            continue
        [version] = {
            (upload.uri, upload.version): upload
            for upload in storm.uploads
            if upload.uri == uri and upload.version_id == current.version_id
        }.values()
        end = world.ended_as(version)
        assert end in ("TAGGED", "FAILED")
        if end == "TAGGED":
            assert stored is not None
            assert stored.version == version.version


def newest_wins(storm: Storm, uri: str) -> None:
    """The newest version is shown and was announced; SNS does not keep the sequence."""
    world = storm.world
    ended = [
        upload
        for upload in storm.uploads
        if upload.uri == uri and world.ended_as(upload) in ("TAGGED", "FAILED")
    ]
    shown = world.newest(uri)
    if not ended:
        assert shown is None
        return
    newest = max(ended, key=lambda upload: upload.order)
    assert shown is not None
    assert shown["image"]["etag"] == newest.etag
    if shown["status"] == "TAGGED":
        announced = [
            announcement.document["data"]["image"]
            for announcement in storm.world.announcer.announced
        ]
        assert newest.etag in [
            image["etag"] for image in announced if image["uri"] == uri
        ]


def no_version_is_paid_twice_without_a_reason(
    storm: Storm, last: dict[tuple[str, str], Upload]
) -> None:
    """Each further call has its reason; without faults there is none."""
    paid = Counter(call.request.image.content for call in storm.world.tagger.answered)
    beyond_one = sum(times - 1 for times in paid.values())
    overtaken = explained = 0
    for upload in last.values():
        calls = storm.world.calls_about(upload)
        overtaken += calls.get(CallReason.OVERTAKEN, 0)
        explained += calls.get(CallReason.UNSTORED, 0) + storm.world.cut_off(upload)
    assert beyond_one <= overtaken + (0 if storm.is_calm else explained)
