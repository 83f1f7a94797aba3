from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from events.validation import require_valid
from hangtag.announcements import Announcement
from hangtag.dead_letters import DeadLetter
from hangtag.operators.ports import Letter
from tests.fakes.failing import CanFail


class FakeAnnouncer(CanFail):
    """`Announcer` that records the announcements."""

    def __init__(self) -> None:
        super().__init__()
        self.announced: list[Announcement] = []

    def announce(self, announcement: Announcement) -> None:
        self._may_fail("announce")
        require_valid(announcement.message)
        _require_publishable(announcement)
        self.announced.append(announcement)


def size_of(announcement: Announcement) -> int:
    """The bytes of body and attributes, as SNS counts them."""
    return len(announcement.message.encode()) + sum(
        len(part.encode())
        for name, (kind, value) in announcement.attributes().items()
        for part in (name, kind, value)
    )


def _require_publishable(announcement: Announcement) -> None:
    """Fail where SNS refuses an announcement, or drops it for some subscribers."""
    attributes = announcement.attributes()
    assert len(attributes) <= 10
    assert size_of(announcement) <= 256 * 1024
    for name, (kind, value) in attributes.items():
        values = json.loads(value) if kind == "String.Array" else [value]
        assert values, name
        for one in values:
            assert isinstance(one, str), name
            assert one.strip(), name
            assert not _CONTROLS.search(one), name


_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class FakeUploadQueue(CanFail):
    """`UploadQueue` that records the sent messages."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[str] = []
        self.hidden_for: dict[str, int] = {}
        """Delays in whole seconds, by receipt handle."""

    def send(self, body: str) -> None:
        self._may_fail("send")
        self.bodies.append(body)

    def delay(self, delays: Mapping[str, float]) -> None:
        self._may_fail("delay")
        self.hidden_for.update(
            (handle, math.ceil(seconds)) for handle, seconds in delays.items()
        )


class FakeDeadLetterQueue(CanFail):
    """`DeadLetterQueue` that records the sent letters."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: list[DeadLetter] = []

    def send(self, letter: DeadLetter) -> str:
        self._may_fail("send")
        self.letters.append(letter)
        return f"letter-{len(self.letters)}"


class FakeDeadLetterBox(CanFail):
    """`DeadLetterBox` on a list of letters."""

    def __init__(self, *letters: Letter) -> None:
        super().__init__()
        self.visible: list[Letter] = list(letters)
        self.hidden: list[Letter] = []
        self.resent: list[tuple[str, int]] = []
        """Bodies on the upload queue, and their counts of replays."""
        self.after_resending: Callable[[Letter, int], None] = lambda *_: None
        """Called with a letter and its new count of replays."""

    def receive(self, most: int = 10) -> Sequence[Letter]:
        self._may_fail("receive")
        received, self.visible = self.visible[:most], self.visible[most:]
        self.hidden += received
        return received

    def count(self) -> int:
        self._may_fail("count")
        return len(self.visible) + len(self.hidden)

    def put_back(self, letters: Iterable[Letter]) -> None:
        for letter in letters:
            if letter in self.hidden:
                self.hidden.remove(letter)
                self.visible.append(letter)

    def delete(self, letter: Letter) -> None:
        self._may_fail("delete")
        # Like SQS, it compares the handle only
        handle = letter.receipt_handle
        self.hidden = [one for one in self.hidden if one.receipt_handle != handle]

    def resend(self, letter: Letter, *, replays: int) -> None:
        self._may_fail("resend")
        self.resent.append((letter.letter.body, replays))
        self.after_resending(letter, replays)
