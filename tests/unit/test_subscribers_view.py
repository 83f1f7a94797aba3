"""Who follows the announcements with the consumer of docs/events.md ends up with what is shown."""

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
from tests.builders import PNG, URI, a_delivery
from tests.events_page import consumer
from tests.fakes import World

Step = tuple[str, int]
"""What happens, and a number that chooses one of several."""


class Bucket:
    """A key's life: things happen in the bucket, and their events arrive in any sequence."""

    def __init__(self) -> None:
        self.world = World()
        self._waiting: list[Delivery] = []
        self._uploads: list[Delivery] = []
        self._versions: list[bool] = []
        """The key's history: whether each version is one, and not a delete marker."""
        self._sent = 0

    @property
    def is_there(self) -> bool:
        """Whether the newest version is an object."""
        return self._versions[-1:] == [True]

    def upload(self, number: int) -> None:
        """An object is put."""
        self._versions.append(True)
        self._uploads.append(self.world.upload(content=PNG + bytes([number])))
        self._waiting.append(self._uploads[-1])

    def delete(self, _: int) -> None:
        """The object gets a delete marker."""
        if self.is_there:
            self._versions.append(False)
            self._waiting.append(self.world.delete())

    def undelete(self, _: int) -> None:
        """The delete marker is deleted."""
        if self._versions and not self.is_there:
            self._versions.pop()
            self._waiting.append(self.world.undelete())

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

    def deliver_all(self) -> None:
        """Every event arrives, and those that the function sends itself."""
        while self._waiting:
            self.deliver(0)

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
    "backfill": Bucket.backfill,
    "lie": Bucket.lie,
    "retag": Bucket.retag,
    "deliver": Bucket.deliver,
}

LATE_UPLOAD = [
    *(("upload", 0), ("delete", 0), ("deliver", 2)),
    *(("undelete", 0), ("deliver", 0)),
]
LATE_DELETION = [
    *(("upload", 0), ("deliver", 0), ("delete", 0), ("upload", 1), ("deliver", 2)),
    *(("upload", 2), ("deliver", 0)),
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
@example(LIE_BEFORE_A_DELETION, 0)
def test_the_consumer_ends_up_with_what_is_shown(steps: list[Step], seed: int) -> None:
    """Whatever happens to a key, and in whatever sequence SNS delivers the announcements."""
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
    shown = bucket.world.newest(URI)
    assert list(map(_identity, seen)) == list(map(_identity, [shown] if shown else []))


def _identity(result: Document) -> tuple[str, str]:
    return result["taggedAt"], result["image"]["versionId"]
