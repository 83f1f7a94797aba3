from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import replace
from typing import Any

from hangtag import lifecycle
from hangtag.dead_letters import letter_of_record, read_letter
from hangtag.events import read_body
from hangtag.lifecycle import CallReason, ClaimRequest, FailedUpload, Record
from hangtag.operators.letters import FailureList, LetterFilter, find
from hangtag.operators.ports import Letter
from hangtag.operators.replay import ReplayReport, discard
from hangtag.operators.replay import replay as replay_failures
from hangtag.operators.restore import restore
from hangtag.text import to_timestamp
from hangtag.uploads import Upload
from tests.builders import a_failure, a_letter, an_upload, key_of
from tests.fakes.failures import FakeFailureBook
from tests.fakes.queues import FakeDeadLetterBox, FakeDeadLetterQueue
from tests.fakes.time import FakeClock

ALL = LetterFilter()
ONE_CALL = {CallReason.FIRST: 1}


class FailedUploads:
    """Failed uploads: records, letters, and the operators' use cases on them."""

    def __init__(self, *keys: str, with_letters: bool = True) -> None:
        self.clock = FakeClock()
        self.book = FakeFailureBook()
        self.box = FakeDeadLetterBox()
        self.queue = FakeDeadLetterQueue()
        """The dead-letter queue that receives restored letters."""
        self.backup: list[Letter] = []
        for key in keys:
            self.fail(key, with_letter=with_letters)
        self.clock.advance(60)

    # ---- the function

    def begin(self, key: str, *, replays: int = 0) -> Record:
        """Claims an upload, without writing the claim."""
        arrival = ClaimRequest(
            now=self.clock.now(),
            lease_seconds=60,
            replays=replays,
            sent_at=to_timestamp(self.clock.now()),
        )
        claimed = lifecycle.claim(self.record(key), arrival)
        assert isinstance(claimed, Record)
        return claimed

    def claim(self, key: str, *, replays: int = 0) -> None:
        """Claims an upload."""
        self._write(key, self.begin(key, replays=replays))

    def fail(self, key: str, *, with_letter: bool = True, replays: int = 0) -> None:
        """Fails an upload."""
        upload, at = an_upload(key), to_timestamp(self.clock.now())
        failed = FailedUpload(
            replace(a_failure(), failed_at=at),
            upload.notification(),
            letter_id=f"letter of {key}, {replays}",
            request_id="request-1",
        )
        mine = self.begin(key, replays=replays)
        record = lifecycle.fail(mine, failed, calls=ONE_CALL, at=at)
        self._write(key, record)
        if with_letter:
            letter = letter_of_record(key_of(upload), record)
            self.box.visible.append(a_letter(failed.letter_id, letter))

    def tag(self, key: str, *, replays: int = 0) -> None:
        """Tags an upload."""
        at = to_timestamp(self.clock.now())
        mine = self.begin(key, replays=replays)
        self._write(key, lifecycle.finish(mine, calls=ONE_CALL, at=at))

    def _write(self, key: str, new: Record) -> None:
        old = self.record(key)
        new = replace(new, rev=uuid.uuid4().hex)
        seen = old.rev if old else None
        assert self.book.swap(key_of(an_upload(key)), seen, new) is None

    def moved_by_sqs(self, key: str, *, replays: int) -> Letter:
        """SQS moves the message of a replay, which was received and never claimed."""
        attributes = {"Replays": {"StringValue": str(replays)}} if replays else {}
        body = an_upload(key).notification()
        sent_at = to_timestamp(self.clock.now())
        letter = a_letter(
            f"moved {key}", read_letter(body, attributes, sent_at=sent_at)
        )
        self.box.visible.append(letter)
        return letter

    # ---- operators

    def find(self, meant: LetterFilter = ALL) -> FailureList:
        """Lists failures."""
        return find(self.box, self.book, meant, clock=self.clock)

    def replay(
        self,
        meant: LetterFilter = ALL,
        *,
        dry_run: bool = False,
        **how: Any,  # noqa: ANN401 - see `replay`
    ) -> ReplayReport:
        """Replays failures."""
        return replay_failures(
            self.box, self.book, meant, clock=self.clock, dry_run=dry_run, **how
        )

    def discard(self, *, dry_run: bool = False) -> ReplayReport:
        """Discards all failures."""
        return discard(
            self.box,
            self.book,
            ALL,
            clock=self.clock,
            dry_run=dry_run,
            keep=self.backup.append,
        )

    def restore(self, *letters: Letter, dry_run: bool = False) -> ReplayReport:
        """Restores the letters of a backup."""
        return restore(
            [letter.letter for letter in letters],
            self.queue,
            self.box,
            self.book,
            clock=self.clock,
            dry_run=dry_run,
        )

    # ---- state

    def record(self, key: str) -> Record | None:
        """The record of the upload with this key."""
        return self.book.records.get(key_of(an_upload(key)))

    def status(self, key: str) -> str | None:
        """The status of the upload with this key."""
        record = self.record(key)
        return str(record.status) if record else None

    def sent(self) -> Counter[str]:
        """How often each key was sent to the upload queue."""
        return Counter(upload_in(body).key for body, _ in self.box.resent)

    def expire_timeouts(self) -> None:
        """Half a minute passes: letters are visible, reservations have expired."""
        self.clock.advance(31)
        self.box.put_back(list(self.box.hidden))


def upload_in(body: str) -> Upload:
    """The only upload of a notification."""
    [entry] = read_body(body)
    assert isinstance(entry, Upload)
    return entry
