"""
Who follows the announcements with the consumer of docs/events.md ends up with what is stored.

That is about tagged and removed images; failures are announced by another function.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from hangtag.announcements import REMOVED
from hangtag.events import Delivery, retag_token
from hangtag.results import Document
from hangtag.tagger_api.errors import SidesTooSmall
from hangtag.uploads import Upload
from tests.builders import PNG, URI, a_delivery
from tests.events_page import consumer
from tests.fakes import World, upload_of

Step = tuple[str, int]
"""What happens, and a number that chooses one of several."""


class Bucket:
    """A key's life: things happen in the bucket, and their events arrive in any sequence."""

    def __init__(self) -> None:
        self.world = World()
        self._waiting: list[Delivery] = []
        self._uploads: list[Delivery] = []
        self._versions: list[Upload | None] = []
        """The key's history; None is a delete marker."""
        self._sent = 0

    @property
    def is_there(self) -> bool:
        """Whether the newest version is an object."""
        return self._versions[-1:] not in ([], [None])

    @property
    def versions(self) -> set[str]:
        """The `Upload.version` of each version that exists."""
        return {one.version for one in self._versions if one is not None}

    def upload(self, number: int) -> None:
        """An object is put."""
        delivery = self.world.upload(content=PNG + bytes([number]))
        self._versions.append(upload_of(delivery))
        self._uploads.append(delivery)
        self._waiting.append(delivery)

    def delete(self, _: int) -> None:
        """The object gets a delete marker."""
        if self.is_there:
            self._versions.append(None)
            self._waiting.append(self.world.delete())

    def undelete(self, _: int) -> None:
        """The delete marker is deleted."""
        if self._versions and not self.is_there:
            self._versions.pop()
            self._waiting.append(self.world.undelete())

    def purge(self, number: int) -> None:
        """A version is deleted for good, also one below others or below a delete marker."""
        there = [one for one in self._versions if one is not None]
        if there:
            version = there[number % len(there)]
            self._versions.remove(version)
            self._waiting.append(self.world.purge(version))

    def backfill(self, number: int) -> None:
        """A version is put on the queue without a sequencer."""
        self._send_changed(number, None)

    def lie(self, number: int) -> None:
        """Somebody sends an event with a sequencer of their own."""
        self._send_changed(number, "F" * 64 if number % 2 else "0")

    def retag(self, number: int) -> None:
        """A version is put on the queue to be tagged again."""
        self._send_changed(number, None)
        if self._uploads:
            token = retag_token(self.world.clock.now(), f"{self._sent:08x}")
            self._waiting[-1] = replace(self._waiting[-1], retag=token)

    def deliver(self, number: int) -> None:
        """One of the events arrives, and stays for a repetition if the number is odd."""
        if not self._waiting:
            return
        self.world.clock.advance(1)
        place = number // 2 % len(self._waiting)
        delivery = self._waiting[place] if number % 2 else self._waiting.pop(place)
        assert self.world.tag(delivery) == ()
        bodies, self.world.upload_queue.bodies = self.world.upload_queue.bodies, []
        for body in bodies:
            self._send(body)

    def fail(self, number: int) -> None:
        """One of the events arrives while the API refuses every image."""
        self.world.tagger.fails_with(SidesTooSmall("small"), at="ask")
        self.deliver(number)
        self.world.tagger.recovers()

    def deliver_all(self) -> None:
        """
        Every event arrives, and those that the function sends itself.

        A removal may send an upload; an upload sends nothing.
        """
        for _ in range(2 * len(self._waiting)):
            self.deliver(0)
        assert self._waiting == []

    def _send(self, body: str) -> None:
        self._sent += 1
        self._waiting.append(a_delivery(body, message_id=f"sent {self._sent}"))

    def _send_changed(self, number: int, sequencer: str | None) -> None:
        if self._uploads:
            document = json.loads(self._uploads[number % len(self._uploads)].body)
            document["Records"][0]["s3"]["object"]["sequencer"] = sequencer
            self._send(json.dumps(document))


STEPS: dict[str, Callable[[Bucket, int], None]] = {
    "upload": Bucket.upload,
    "delete": Bucket.delete,
    "undelete": Bucket.undelete,
    "purge": Bucket.purge,
    "backfill": Bucket.backfill,
    "lie": Bucket.lie,
    "retag": Bucket.retag,
    "deliver": Bucket.deliver,
    "fail": Bucket.fail,
}

LATE_UPLOAD = [
    *(("upload", 0), ("delete", 0), ("deliver", 2)),
    *(("undelete", 0), ("deliver", 0)),
]
LATE_DELETION = [
    *(("upload", 0), ("deliver", 0), ("delete", 0), ("upload", 1), ("deliver", 2)),
    *(("upload", 2), ("deliver", 0)),
]
DELETION_FOR_GOOD = [
    *(("upload", 0), ("upload", 1), ("deliver", 0), ("fail", 0), ("purge", 0)),
]
LIE_BEFORE_A_DELETION = [
    *(("upload", 0), ("deliver", 0), ("lie", 1), ("deliver", 0), ("delete", 0)),
]


@given(
    st.lists(st.tuples(st.sampled_from([*STEPS]), st.integers(0, 9)), max_size=14),
    st.integers(0, 9),
)
@example(LATE_UPLOAD, 0)
@example(LATE_DELETION, 0)
@example(DELETION_FOR_GOOD, 0)
@example(LIE_BEFORE_A_DELETION, 0)
def test_the_consumer_ends_up_with_what_is_stored(steps: list[Step], seed: int) -> None:
    """
    Whatever happens to a key, and in whatever sequence SNS delivers the announcements.

    What is stored is never about a version that does not exist.
    """
    bucket = Bucket()
    for name, number in steps:
        STEPS[name](bucket, number)
    bucket.deliver_all()
    events = [one.document for one in bucket.world.announcer.announced] * 2
    random.Random(seed).shuffle(events)  # noqa: S311 - no secret

    kept: list[Document] = []
    newest: dict[str, Any] = {}
    for event in events:
        consumer()(event, newest, kept.append)

    seen = [one["data"] for one in kept[-1:] if one["type"] != REMOVED]
    stored = bucket.world.results.stored(URI)
    results = [stored.document] if stored and stored.document else []
    assert list(map(_identity, seen)) == list(map(_identity, results))
    assert not stored or stored.removed_at or stored.version in bucket.versions


def _identity(result: Document) -> tuple[str, str]:
    return result["taggedAt"], result["image"]["versionId"]
