"""The lifecycle of one upload under random histories, and mutants that break it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from hangtag import lifecycle
from hangtag.claims import Claim, ClaimLost, Claims, new_rev
from hangtag.errors import ResultsUnavailable
from hangtag.lifecycle import (
    TRANSITIONS,
    Busy,
    CallReason,
    ClaimRequest,
    Done,
    FailedUpload,
    Record,
    Status,
)
from hangtag.ports import StoredResult
from hangtag.results import Document
from hangtag.uploads import SkipReason, Upload
from tests.builders import NOON, a_failure, a_result, an_upload
from tests.fakes import FakeClock, FakeRecords
from tests.fakes.results import FakeResults

KEY = ("s3://bucket/key", "version:1")
LEASE = 10.0
FAILED = FailedUpload(a_failure(), "notification")

EVENTS: dict[str, Callable[[Record | None], Record | Done | Busy]] = {
    "claim": lambda old: lifecycle.claim(old, ClaimRequest(100.0, LEASE, replays=9)),
    "release": lambda old: lifecycle.release(have(old), calls={}, is_attempt=True),
    "finish": lambda old: lifecycle.finish(have(old), calls={}, at=NOON),
    "remove": lambda old: lifecycle.remove(have(old), at=NOON),
    "fail": lambda old: lifecycle.fail(have(old), FAILED, calls={}, at=NOON),
    "skip": lambda old: lifecycle.skip(old, SkipReason.OBJECT_GONE, at=NOON),
    "reserve": lambda old: lifecycle.reserve(have(old), until=130.0),
    "replay": lambda old: lifecycle.replay(have(old)),
    "discard": lambda old: lifecycle.discard(have(old), at=NOON),
    "restore": lambda old: lifecycle.restore(have(old), letter_id="letter-2"),
}


def have(record: Record | None) -> Record:
    """The record, for an event that is refused without one."""
    if record is None:
        raise ValueError("there is no record")
    return record


def a_record(status: Status | None) -> Record | None:
    """A record with that status."""
    if status is None:
        return None
    has_failed = status in (Status.FAILED, Status.REPLAYED, Status.DISCARDED)
    return Record(status, rev="1", failed=FAILED if has_failed else None)


# ---- transition table


def test_every_event_is_in_the_table() -> None:
    """The documentation shows this table."""
    assert set(EVENTS) == set(TRANSITIONS)


@pytest.mark.parametrize("event", TRANSITIONS)
@pytest.mark.parametrize("status", [None, *Status])
def test_an_event_changes_a_status_as_the_table_says(
    event: str, status: Status | None
) -> None:
    """The event is refused where the table has no entry; a claim may also be `Done`."""
    expected = TRANSITIONS[event].get(status)

    try:
        outcome = EVENTS[event](a_record(status))
    except ValueError:
        assert expected is None
        return

    if isinstance(outcome, Done):
        assert event == "claim"
        assert status in (Status.TAGGED, Status.REMOVED)
        return
    assert isinstance(outcome, Record)
    assert expected is outcome.status


@pytest.mark.parametrize(
    "changes", [{"replays": 1}, {"retag": "token"}, {"sequencer": "F"}]
)
def test_a_removal_ends_once(changes: dict[str, Any]) -> None:
    """No replay, no request to tag again and no sequencer opens it again."""
    removed = Record(Status.REMOVED, rev="1", sequencer="0A", ended_at=NOON)

    outcome = lifecycle.claim(removed, ClaimRequest(100.0, LEASE, **changes))

    assert outcome == Done(SkipReason.ALREADY_REMOVED, removed)


def test_an_attempt_counts_when_it_ends() -> None:
    """If it counted at the start, a claim whose response is lost would count."""
    claimed = lifecycle.claim(None, ClaimRequest(100.0, LEASE))
    assert isinstance(claimed, Record)

    released = lifecycle.release(claimed, calls={}, is_attempt=True)

    assert (claimed.attempts, released.attempts) == (0, 1)


def test_the_next_claim_counts_an_attempt_that_was_cut_off() -> None:
    """Its call may have been paid, so the reason of the next call says so."""
    claimed = lifecycle.claim(None, ClaimRequest(100.0, LEASE))
    assert isinstance(claimed, Record)

    busy = lifecycle.claim(claimed, ClaimRequest(100.0 + LEASE / 2, LEASE))
    again = lifecycle.claim(claimed, ClaimRequest(100.0 + LEASE, LEASE))

    assert busy == Busy(LEASE / 2)
    assert isinstance(again, Record)
    assert (again.attempts, again.cut_off) == (1, 1)
    assert lifecycle.first_call(again) is CallReason.UNFINISHED


def test_a_message_sent_before_the_failure_is_no_replay() -> None:
    """It is a copy."""
    old = replace(Record(Status.FAILED, rev="1"), ended_at="2026-01-01T00:00:10.000Z")

    copy = lifecycle.claim(
        old, ClaimRequest(100.0, LEASE, sent_at="2026-01-01T00:00:09.000Z")
    )
    later = lifecycle.claim(
        old, ClaimRequest(100.0, LEASE, sent_at="2026-01-01T00:00:11.000Z")
    )

    assert copy == Done(SkipReason.ALREADY_FAILED, old)
    assert isinstance(later, Record)
    assert later.attempts == 0


def test_a_request_to_tag_again_is_accepted_once() -> None:
    """Its message may be repeated."""
    old = replace(Record(Status.TAGGED, rev="1"), calls={CallReason.FIRST: 1})

    first = lifecycle.claim(old, ClaimRequest(100.0, LEASE, retag="one"))
    assert isinstance(first, Record)
    tagged = lifecycle.finish(first, calls={CallReason.AGAIN: 1}, at=NOON)
    second = lifecycle.claim(tagged, ClaimRequest(200.0, LEASE, retag="one"))

    assert lifecycle.first_call(first) is CallReason.AGAIN
    assert second == Done(SkipReason.ALREADY_TAGGED, tagged)


def test_an_event_without_a_sequencer_keeps_the_known_one() -> None:
    """The position of a version in the sequence only increases."""
    old = Record(Status.SKIPPED, rev="1", sequencer="0A")

    without = lifecycle.claim(old, ClaimRequest(100.0, LEASE))
    older = lifecycle.claim(old, ClaimRequest(100.0, LEASE, sequencer="9"))
    newer = lifecycle.claim(old, ClaimRequest(100.0, LEASE, sequencer="0B"))

    found = [
        one.sequencer for one in (without, older, newer) if isinstance(one, Record)
    ]
    assert found == ["0A", "0A", "0B"]


# ---- random histories


class _Lossy(FakeRecords):
    """A store that loses requests and responses; a lost request may arrive late."""

    def __init__(self, dice: random.Random, rate: float) -> None:
        super().__init__()
        self._dice = dice
        self.rate = rate
        self._held_up: list[tuple[tuple[str, str], str | None, Record]] = []

    def swap(
        self, key: tuple[str, str], seen: str | None, new: Record
    ) -> Record | None:
        if self._dice.random() < self.rate:
            if self._dice.random() < 0.5:
                super().swap(key, seen, new)
            self._held_up.append((key, seen, new))
            raise ResultsUnavailable("no response")
        return super().swap(key, seen, new)

    def late_writes_arrive(self) -> None:
        """Sends each late write once more and ignores its response."""
        self._dice.shuffle(self._held_up)
        for held_up in self._held_up:
            super().swap(*held_up)
        self._held_up.clear()


@dataclass
class _Message:
    sent_at: str
    replays: int = 0


@dataclass
class History:
    """
    One upload, its messages, several workers, an operator, and an unreliable store.

    A worker claims, calls the API, stores, announces and finishes in steps, so that others run in
    between. It may be killed at each step.
    """

    seed: int
    max_attempts: int = 3
    messages: list[_Message] = field(default_factory=list)
    letters: list[_Message] = field(default_factory=list)
    paid: int = 0
    explained: int = 0
    announced: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - no secret
        self.clock = FakeClock()
        self.records = _Lossy(self.dice, self.dice.choice([0.0, 0.1, 0.3]))
        self.results = FakeResults()
        self.claims = Claims(self.records, self.clock)
        self.workers: list[Iterator[None]] = []
        self.upload = self.newest = an_upload(sequencer="0A")
        self.has_rival = self.dice.random() < 0.3
        self.key = (self.upload.uri, self.upload.version)

    # ---- workers

    def _work(self, message: _Message) -> Iterator[None]:
        """One attempt; other workers run at each `yield`, and a kill may end it there."""
        until = self.clock.now() + 2.0
        arrival = ClaimRequest(
            self.clock.now(),
            LEASE,
            replays=message.replays,
            sent_at=message.sent_at,
            sequencer=self.upload.sequencer,
        )
        claim = self.claims.claim(self.key, None, arrival, until=until)
        if isinstance(claim, Done):
            self._acknowledge(message)
        if not isinstance(claim, Claim):
            return
        yield
        stored = self.results.stored(self.upload.uri)
        if stored is not None and stored.version == self.upload.version:
            yield from self._announce(message, claim, {})
        elif stored is not None:
            self._supersede(message, claim, {})
        elif claim.record.attempts >= self.max_attempts:
            yield from self._give_up(message, claim, {})
        else:
            yield from self._call(message, claim)

    def _call(self, message: _Message, claim: Claim) -> Iterator[None]:
        calls = {lifecycle.first_call(claim.record): 1}
        if self.dice.random() < 0.3:
            yield
            if claim.record.attempts + 1 >= self.max_attempts:
                yield from self._give_up(message, claim, calls)
            else:
                self._write(
                    claim,
                    lambda r: lifecycle.release(r, calls=calls, is_attempt=True),
                )
            return
        self.paid += 1
        yield
        document = a_result(self.upload)
        fence = claim.record.lease_until
        found = self.results.store(self.upload, document, retag=None, fence=fence)
        if found is None:
            yield from self._announce(message, claim, calls)
        else:
            self._supersede(message, claim, calls)

    def _announce(
        self, message: _Message, claim: Claim, calls: dict[CallReason, int]
    ) -> Iterator[None]:
        yield
        self.announced += 1
        yield
        at = _timestamp(self.clock)
        if self._write(claim, lambda r: lifecycle.finish(r, calls=calls, at=at)):
            self._acknowledge(message)

    def _supersede(
        self, message: _Message, claim: Claim, calls: dict[CallReason, int]
    ) -> None:
        reason = SkipReason.SUPERSEDED
        at = _timestamp(self.clock)
        if self._write(claim, lambda r: lifecycle.skip(r, reason, calls=calls, at=at)):
            self._acknowledge(message)

    def _give_up(
        self, message: _Message, claim: Claim, calls: dict[CallReason, int]
    ) -> Iterator[None]:
        self.letters.append(_Message("", message.replays))
        yield
        at = _timestamp(self.clock)
        if self._write(claim, lambda r: lifecycle.fail(r, FAILED, calls=calls, at=at)):
            self._acknowledge(message)

    def _write(self, claim: Claim, change: Callable[[Record], Record]) -> bool:
        try:
            self.claims.write(claim, change, until=self.clock.now() + 2.0)
        except (ClaimLost, ResultsUnavailable):
            return False
        return True

    def _acknowledge(self, message: _Message) -> None:
        if message in self.messages:
            self.messages.remove(message)

    # ---- steps of a history

    def runs(self) -> None:
        """Some hundred random steps, then no faults until no message is left."""
        self.messages.append(_Message(_timestamp(self.clock)))
        for _ in range(self.dice.randrange(20, 150)):
            self._step()
        self.records.rate = 0.0
        self.records.late_writes_arrive()
        for _ in range(60):
            self.clock.advance(LEASE + 1)
            self.workers.clear()
            for message in list(self.messages):
                for _ in self._quietly(self._work(message)):
                    pass
            if not self.messages:
                return

    def _step(self) -> None:
        event = self.dice.random()
        self.clock.advance(self.dice.choice([0.0, 0.01, 1.0]))
        if event < 0.25 and self.messages:
            message = self.dice.choice(self.messages)
            self.workers.append(self._quietly(self._work(message)))
        elif event < 0.75 and self.workers:
            worker = self.dice.choice(self.workers)
            if next(worker, "ended") == "ended":
                self.workers.remove(worker)
        elif event < 0.82 and self.workers:
            self.workers.remove(self.dice.choice(self.workers))  # killed
        elif event < 0.88:
            self.clock.advance(LEASE + 1)
        elif event < 0.92 and len(self.messages) < 4:
            self.messages.append(_Message(_timestamp(self.clock)))  # a copy
        elif event < 0.95:
            self.records.late_writes_arrive()
        elif event < 0.97 and self.has_rival:
            self._store_a_newer_version()
        elif self.letters:
            self._replay()

    def _store_a_newer_version(self) -> None:
        """Another worker tags another version of the key."""
        self.newest = an_upload(version_id="version-2", sequencer="FF")
        self.results.store(
            self.newest,
            a_result(self.newest),
            retag=None,
            fence=self.clock.now(),
            replacing=self.results.stored(self.newest.uri),
        )

    def _quietly(self, worker: Iterator[None]) -> Iterator[None]:
        """A worker ends when the table fails, and its message is delivered again."""
        try:
            yield from worker
        except ResultsUnavailable:
            return

    def _replay(self) -> None:
        """Send, mark, delete: the operator may be killed after each step."""
        letter = self.letters[0]
        record = self.records.records.get(self.key)
        if record is None or record.status is not Status.FAILED:
            return
        self.messages.append(
            _Message(_timestamp(self.clock), max(record.replays, letter.replays) + 1)
        )
        if self.dice.random() < 0.8:
            marked = replace(lifecycle.replay(record), rev=new_rev())
            try:
                self.records.swap(self.key, record.rev, marked)
            except ResultsUnavailable:
                return
            self.letters.remove(letter)

    # ---- promises

    def trouble(self) -> str:
        """The promise that is broken, or an empty string."""
        record = self.records.records.get(self.key)
        stored = self.results.stored(self.upload.uri)
        if self.messages:
            return "a message comes back for ever"
        if record is None or record.status in (Status.OPEN, Status.REPLAYED):
            return f"it has not ended: {record and record.status}"
        if stored is not None and stored.order < self.newest.order:
            return "an older version's answer is in the place of a newer one's"
        if record.status is Status.SKIPPED and self.newest == self.upload:
            return "SUPERSEDED by nothing"
        if record.status is Status.FAILED and not self.letters:
            return "FAILED without its dead letter"
        if record.status is Status.TAGGED and not self.announced:
            return "TAGGED, and never announced"
        # Of an attempt that lasted longer than its lease the store refuses the answer
        if self.paid - 1 > record.cut_off:
            return f"paid {self.paid} times, {record.cut_off} attempts were cut off"
        return ""


def _timestamp(clock: FakeClock) -> str:
    return f"{clock.now():020.3f}"


def broken_promises(histories: int) -> list[str]:
    """The promises that random histories break."""
    troubles = []
    for seed in range(histories):
        history = History(seed)
        history.runs()
        if history.trouble():
            troubles.append(f"history {seed}: {history.trouble()}")
    return troubles


def test_random_histories_keep_every_promise() -> None:
    """Histories have lost requests and responses, late duplicates, kills, copies and replays."""
    assert broken_promises(1_500) == []


# ---- mutants: each removes one part of the lifecycle


@contextmanager
def instead_of(owner: Any, name: str, mutant: object) -> Iterator[None]:  # noqa: ANN401 - a module or a class
    """Replace a function while the block runs."""
    original = getattr(owner, name)
    setattr(owner, name, mutant)
    try:
        yield
    finally:
        setattr(owner, name, original)


def test_the_model_detects_writes_without_compare_and_swap() -> None:
    """A late duplicate would undo later writes."""

    def swap(
        self: FakeRecords, key: tuple[str, str], _: str | None, new: Record
    ) -> Record | None:
        self._records[key] = new
        return None

    with instead_of(FakeRecords, "swap", swap):
        assert broken_promises(300) != []


def test_the_model_detects_cut_off_attempts_that_are_not_counted() -> None:
    """They may have been paid, and one that kills the function would repeat without end."""

    def claim(old: Record | None, arrival: ClaimRequest) -> Record | Done | Busy:
        found = original(old, arrival)
        if isinstance(found, Record) and old is not None:
            return replace(found, cut_off=old.cut_off)
        return found

    original = lifecycle.claim
    with instead_of(lifecycle, "claim", claim):
        assert broken_promises(300) != []


def test_the_model_detects_a_second_claim_of_a_tagged_upload() -> None:
    """Each copy would be paid."""

    def claim(old: Record | None, arrival: ClaimRequest) -> Record | Done | Busy:
        if old is not None and old.status is Status.TAGGED:
            old = replace(old, status=Status.OPEN)
        return original(old, arrival)

    original = lifecycle.claim
    with (
        instead_of(lifecycle, "claim", claim),
        instead_of(FakeResults, "stored", lambda *_: None),
    ):
        assert broken_promises(300) != []


def test_the_model_detects_claims_that_ignore_a_lease() -> None:
    """Two workers would call at the same time."""

    def claim(old: Record | None, arrival: ClaimRequest) -> Record | Done | Busy:
        if old is not None:
            old = replace(old, lease_until=0.0)
        return original(old, arrival)

    original = lifecycle.claim
    with instead_of(lifecycle, "claim", claim):
        assert broken_promises(300) != []


def test_the_model_detects_results_stored_out_of_sequence() -> None:
    """An older version's late answer would replace a newer one's."""

    def store(
        self: FakeResults,
        upload: Upload,
        document: Document,
        *,
        retag: str | None,
        fence: float,
        replacing: StoredResult | None = None,
    ) -> StoredResult | None:
        self._items.clear()
        return original(
            self, upload, document, retag=retag, fence=fence, replacing=replacing
        )

    original = FakeResults.store
    with instead_of(FakeResults, "store", store):
        assert broken_promises(300) != []
