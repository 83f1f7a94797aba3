from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hangtag.operators.backfill_ports import ListedObject
from tests.builders import PNG
from tests.fakes.failing import CanFail


class FakeListing(CanFail):
    """`Listing` in memory, sorted as S3 sorts keys."""

    def __init__(self, *keys: str, page: int = 1_000) -> None:
        super().__init__()
        self._page = page
        self._objects: dict[str, ListedObject] = {}
        for key in keys:
            self.put(key)

    def put(
        self,
        key: str,
        *,
        version_id: str | None = "version-1",
        etag: str | None = "0123456789abcdef",
        size: int | None = len(PNG),
        is_archived: bool = False,
    ) -> None:
        """Puts an object."""
        self._objects[key] = ListedObject(
            key, version_id, etag, size, place=key, is_archived=is_archived
        )

    def delete(self, key: str) -> None:
        """Deletes an object."""
        del self._objects[key]

    def pages(self, *, after: str | None) -> Iterator[Sequence[ListedObject]]:
        found = [
            self._objects[key]
            for key in sorted(self._objects, key=str.encode)
            if after is None or key.encode() > after.encode()
        ]
        for first in range(0, len(found), self._page):
            self._may_fail("pages")
            yield found[first : first + self._page]


class FakeUploadFeed(CanFail):
    """`UploadFeed` that records the messages."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str | None]] = []
        """Bodies and re-tag tokens."""
        self.batches: list[int] = []
        """The sizes of the batches."""
        self.waiting = 0
        """The number of messages that other senders have sent."""
        self.taken = 0
        """The number of messages that the function has deleted."""
        self.refuses: Callable[[str], bool] = lambda _: False
        """Whether the queue refuses a body."""
        self.after_sending: Callable[[], object] = lambda: None

    def send(self, bodies: Sequence[str], *, again: str | None) -> Sequence[int]:
        self._may_fail("send")
        self.batches.append(len(bodies))
        refused = [place for place, body in enumerate(bodies) if self.refuses(body)]
        self.sent += [
            (body, again) for place, body in enumerate(bodies) if place not in refused
        ]
        self._may_fail("sent")
        self.after_sending()
        return refused

    def depth(self) -> int:
        self._may_fail("depth")
        return len(self.sent) + self.waiting - self.taken


class FakeCheckpoint(CanFail):
    """`Checkpoint` in memory, as JSON like in a file."""

    def __init__(self) -> None:
        super().__init__()
        self.text: str | None = None

    def load(self) -> Mapping[str, Any] | None:
        self._may_fail("load")
        if self.text is None:
            return None
        loaded: Mapping[str, Any] = json.loads(self.text)
        return loaded

    def save(self, document: Mapping[str, Any]) -> None:
        self._may_fail("save")
        self.text = json.dumps(document)
        self._may_fail("saved")

    def remove(self) -> None:
        self._may_fail("remove")
        self.text = None
