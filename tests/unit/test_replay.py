"""Replays: which failures are sent, deleted and left."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest

from hangtag import lifecycle
from hangtag.dead_letters import DeadLetter
from hangtag.errors import QueueUnavailable, ResultsUnavailable
from hangtag.lifecycle import Record
from hangtag.operators.letters import LetterFilter
from hangtag.operators.ports import Letter
from hangtag.operators.replay import (
    MOST_CHOSEN,
    ReplayLimits,
    ReplayReport,
    move,
)
from hangtag.operators.replay import replay as replay_failures
from tests.builders import (
    a_dead_letter,
    a_letter,
    an_upload,
    in_sns,
    key_of,
    notification,
    record,
    sns_event,
)
from tests.fakes import (
    ALL,
    FailedUploads,
    FakeDeadLetterBox,
    FakeDeadline,
    Killed,
    Killer,
    upload_in,
)


def unknown(*letters: DeadLetter | Letter) -> FailedUploads:
    """Letters of uploads that have no record."""
    failed = FailedUploads()
    failed.box = FakeDeadLetterBox(
        *(
            letter if isinstance(letter, Letter) else a_letter(f"letter-{n}", letter)
            for n, letter in enumerate(letters, start=1)
        )
    )
    return failed


def many(count: int) -> list[DeadLetter]:
    """Letters of different uploads; every third has code 803, the others 807."""
    return [
        a_dead_letter(an_upload(f"{number}.png"), code="807" if number % 3 else "803")
        for number in range(count)
    ]


# ---- letters without a record


def test_a_replay_sends_each_letter_and_deletes_it() -> None:
    """The message has the letter's body and one more replay."""
    letter = a_dead_letter(replays=2)
    failed = unknown(letter)

    report = failed.replay()

    assert failed.box.resent == [(letter.body, 3)]
    assert (failed.box.visible, failed.box.hidden) == ([], [])
    assert report.document() == {
        "matched": 1,
        "done": 1,
        "skipped": 0,
        "left": 0,
        "dryRun": False,
        "byCode": {"807": 1},
    }


@pytest.mark.parametrize("envelope", [in_sns, lambda body: json.dumps(sns_event(body))])
def test_a_replay_sends_the_bare_notification_of_a_letter_with_an_envelope(
    envelope: Callable[[str], str],
) -> None:
    """SQS's own redrive moves messages as they came."""
    bare = notification(record("a"), record("b"))
    failed = unknown(replace(a_dead_letter(), body=envelope(bare)))

    failed.replay()

    assert failed.box.resent == [(bare, 1)]


@pytest.mark.parametrize("body", ["no event", in_sns("no event")])
def test_a_replay_sends_an_unreadable_body_as_it_is(body: str) -> None:
    """The function dead-letters it again, with what was sent."""
    failed = unknown(replace(a_dead_letter(), body=body))

    failed.replay()

    assert failed.box.resent == [(body, 1)]


def test_a_letter_with_an_envelope_is_found_by_its_upload() -> None:
    """Its record decides, as for a bare letter."""
    failed = FailedUploads("a.png")
    moved = failed.moved_by_sqs("a.png", replays=0)
    wrapped = replace(moved.letter, body=in_sns(moved.letter.body))
    failed.box.visible = [replace(moved, letter=wrapped)]

    [found] = failed.find(LetterFilter(prefix="a.")).letters
    failed.replay()

    assert found.letter.image == an_upload("a.png").uri
    assert failed.box.resent == [(an_upload("a.png").notification(), 1)]
    assert failed.status("a.png") == "REPLAYED"


def test_a_dry_run_reports_without_sending() -> None:
    """It runs the same pass without the sends."""
    failed = unknown(*many(12))

    report = failed.replay(dry_run=True)

    assert failed.box.resent == []
    assert len(failed.box.visible) == 12
    assert report.document() == {
        "matched": 12,
        "done": 0,
        "skipped": 0,
        "left": 12,
        "dryRun": True,
        "byCode": {"803": 4, "807": 8},
    }


def test_only_letters_with_a_selected_code_are_replayed() -> None:
    """An operator has fixed the cause of one code."""
    failed = unknown(*many(9))

    report = failed.replay(LetterFilter(codes={"803"}))

    assert (report.matched, report.done) == (3, 3)
    assert {one.letter.failure.code for one in failed.box.visible} == {"807"}
    assert len(failed.box.visible) == 6


def test_a_letter_that_cannot_be_sent_is_kept() -> None:
    """The other letters are replayed."""
    failed = unknown(*many(3))
    failed.box.fails_with(QueueUnavailable("away"), times=1, at="resend")

    report = failed.replay()

    assert (report.matched, report.done, report.left) == (3, 2, 1)
    assert report.troubles == ["away"]
    assert len(failed.box.visible) == 1


def test_a_letter_that_was_sent_but_not_deleted_is_kept() -> None:
    """Send first, delete after: it may be sent twice, but is not lost."""
    failed = unknown(*many(1))
    failed.box.fails_with(QueueUnavailable("away"), at="delete")

    report = failed.replay()

    assert (len(failed.box.resent), len(failed.box.visible)) == (1, 1)
    assert report.left == 1


def test_an_interrupted_replay_loses_no_letter() -> None:
    """After Ctrl-C the letters that were not replayed are visible at once."""
    failed = unknown(*many(15))

    def interrupt(report: ReplayReport) -> None:
        if report.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failed.replay(progress=interrupt)

    box = failed.box
    assert (len(box.resent), len(box.visible), box.hidden) == (4, 11, [])


def test_progress_is_reported_after_each_letter() -> None:
    """Users see that the replay is running."""
    seen: list[int] = []

    unknown(*many(12)).replay(progress=lambda report: seen.append(report.done))

    assert list(range(1, 13)) == seen


@pytest.mark.parametrize("with_record", [False, True])
def test_an_upload_that_fails_again_at_once_is_not_replayed_again(
    *, with_record: bool
) -> None:
    """Otherwise the replay would repeat and pay without end."""
    failed = FailedUploads("a.png") if with_record else unknown(a_dead_letter())

    def fail_again(letter: Letter, replays: int) -> None:
        again = replace(letter.letter, replays=replays)
        if with_record:
            failed.fail("a.png", replays=replays)
        else:
            failed.box.visible.append(a_letter(f"letter-{replays + 1}", again))

    failed.box.after_resending = fail_again

    report = failed.replay()

    assert (report.matched, report.done, report.came_back) == (1, 1, 1)
    assert [letter.letter.replays for letter in failed.box.visible] == [1]


def test_a_second_letter_of_an_unknown_upload_waits_for_the_next_replay() -> None:
    """Without a record it may be a new failure. A dry run counts the same."""
    failed = unknown(a_dead_letter(), a_dead_letter())

    rehearsed, first, second = (
        failed.replay(dry_run=True),
        failed.replay(),
        failed.replay(),
    )

    assert (rehearsed.planned, first.done, second.done) == (1, 1, 1)
    assert (rehearsed.came_back, first.came_back) == (1, 1)
    assert failed.box.visible == []


@pytest.mark.parametrize(
    "body",
    [
        "no event",
        notification(record("lookbook/", size=0)),
        notification(record("a.png"), record("b.png")),
    ],
)
def test_a_letter_without_a_single_upload_is_replayed_unchanged(body: str) -> None:
    """Its body may be valid although Hangtag could not read it."""
    failed = unknown(replace(a_dead_letter(), body=body))

    failed.replay()

    assert failed.box.resent == [(body, 1)]


# ---- records and their letters


def test_a_record_and_its_letter_are_one_failure() -> None:
    """It is counted and sent once, and both are removed."""
    failed = FailedUploads("a.png", "b.png")

    report = failed.replay()

    assert (report.matched, report.done) == (2, 2)
    assert failed.sent() == {"a.png": 1, "b.png": 1}
    assert failed.box.visible == []
    assert failed.status("a.png") == failed.status("b.png") == "REPLAYED"


def test_a_failure_whose_letter_has_expired_is_replayed_once() -> None:
    """The message is built from the record, with one more replay; a second replay finds none."""
    failed = FailedUploads("a.png", with_letters=False)

    first, second = failed.replay(), failed.replay()

    assert (first.done, second.matched) == (1, 0)
    assert failed.box.resent == [(an_upload("a.png").notification(), 1)]


def test_a_letter_that_was_hidden_while_its_failure_was_replayed_is_not_sent() -> None:
    """A later replay that selects it only deletes it."""
    failed = FailedUploads("a.png")
    failed.box.hidden, failed.box.visible = failed.box.visible, []

    first = failed.replay()
    failed.expire_timeouts()
    rehearsed, another = (
        failed.replay(dry_run=True),
        failed.replay(LetterFilter(["803"])),
    )
    assert len(failed.box.visible) == 1
    second = failed.replay()

    assert (first.done, second.matched, second.leftovers) == (1, 0, 1)
    assert (rehearsed.leftovers, another.leftovers) == (1, 0)
    assert failed.sent() == {"a.png": 1}
    assert failed.box.visible == []


@pytest.mark.parametrize("replays", [1, 0])
def test_a_replayed_message_that_sqs_moved_is_sent_again(replays: int) -> None:
    """It is the upload's only message. A message that was moved by hand may lack the count."""
    failed = FailedUploads("a.png")
    failed.replay()
    failed.moved_by_sqs("a.png", replays=replays)

    listed = failed.find()
    again = failed.replay()

    assert [one.letter.failure.code for one in listed.letters] == ["UNCODED"]
    assert (again.matched, again.done, again.leftovers) == (1, 1, 0)
    assert failed.box.resent[-1] == (an_upload("a.png").notification(), replays + 1)
    assert failed.box.visible == []


def test_a_letter_of_an_upload_that_was_tagged_since_is_only_deleted() -> None:
    """A backfill tagged it."""
    failed = FailedUploads("a.png")
    failed.tag("a.png")

    report = failed.replay()

    assert (report.matched, report.leftovers, failed.box.resent) == (0, 1, [])
    assert failed.box.visible == []


def test_a_letter_newer_than_its_tagged_record_is_sent() -> None:
    """It failed later or SQS moved it; one message too many costs no call."""
    failed = FailedUploads()
    failed.tag("a.png")
    failed.tag("b.png")
    failed.moved_by_sqs("a.png", replays=0)
    later = a_dead_letter(an_upload("b.png"))
    later = replace(
        later, failure=replace(later.failure, failed_at="2026-11-23T12:00:00.000Z")
    )
    failed.box.visible.append(a_letter("later", later))

    assert (failed.replay().done, len(failed.box.resent)) == (2, 2)


def test_a_letter_of_an_upload_in_progress_is_sent() -> None:
    """It may be the upload's only message if the worker crashes and SQS moves the other one."""
    failed = FailedUploads("a.png")
    failed.claim("a.png")

    assert failed.replay().done == 1


@pytest.mark.parametrize("uncoded", [False, True])
def test_all_letters_of_a_failure_are_deleted_with_the_first(*, uncoded: bool) -> None:
    """A crash wrote two, or SQS moved one; the upload is sent once."""
    failed = FailedUploads("a.png")
    if uncoded:
        failed.moved_by_sqs("a.png", replays=0)
    else:
        copy = a_letter("the other", a_dead_letter(an_upload("a.png")))
        failed.box.visible.append(copy)

    rehearsed, report = failed.replay(dry_run=True), failed.replay()

    assert (report.matched, report.done, report.leftovers) == (1, 1, 1)
    assert (rehearsed.planned, rehearsed.leftovers) == (1, 1)
    assert (failed.sent(), failed.box.visible) == ({"a.png": 1}, [])


def test_a_letter_that_sqs_moved_is_replayed_with_its_failure() -> None:
    """The letter has no code, but the record has."""
    failed = FailedUploads("a.png", with_letters=False)
    failed.moved_by_sqs("a.png", replays=0)

    report = failed.replay(LetterFilter(codes={"807"}))

    assert report.document()["byCode"] == {"807": 1}
    assert (failed.sent(), failed.box.visible) == ({"a.png": 1}, [])


def test_a_second_letter_is_kept_if_its_failure_could_not_be_sent() -> None:
    """No letter is deleted before its message is sent."""
    failed = FailedUploads("a.png")
    failed.box.visible.append(a_letter("copy", a_dead_letter(an_upload("a.png"))))
    failed.box.fails_with(QueueUnavailable("away"), at="resend")

    report = failed.replay()

    assert (report.matched, report.left) == (1, 1)
    assert len(failed.box.visible) == 2


def test_an_upload_that_fails_again_during_a_replay_waits_for_the_next() -> None:
    """Its letter and record are new, and are not replayed in the same run."""
    failed = FailedUploads("a.png")
    failed.box.after_resending = lambda *_: failed.fail("a.png", replays=1)

    report = failed.replay()

    assert (report.matched, report.done) == (1, 1)
    assert [letter.letter.replays for letter in failed.box.visible] == [1]
    assert [one.replays for _, one in failed.book.failures()] == [1]


# ---- concurrent operators and crashes


def test_two_operators_at_once_send_each_failure_once() -> None:
    """The second replay begins while the first has received letters."""
    failed = FailedUploads("a.png", "b.png", "c.png")
    reports: list[ReplayReport] = []

    def look_in(report: ReplayReport) -> None:
        if report.done == 1 and not reports:
            reports.append(failed.replay())

    first = failed.replay(progress=look_in)

    assert first.done + reports[0].done >= 3
    assert failed.sent() == {"a.png": 1, "b.png": 1, "c.png": 1}
    assert failed.box.visible == []


@pytest.mark.parametrize("act", ["replay", "discard"])
def test_a_failure_reserved_by_another_operator_is_left(act: str) -> None:
    """That operator sends it; after a crash the reservation expires."""
    failed = FailedUploads("a.png")
    [(key, seen)] = failed.book.failures()
    until = failed.clock.now() + 30
    move(failed.book, key, seen, lifecycle.reserve(seen, until=until))
    run = failed.replay if act == "replay" else failed.discard

    during = run()
    failed.clock.advance(31)
    after = run()

    assert (during.done, during.left, after.done) == (0, 1, 1)
    assert "try again in half a minute" in during.troubles[0]


def test_a_failure_that_could_not_be_sent_is_released() -> None:
    """The next replay need not wait for the reservation to expire."""
    failed = FailedUploads("a.png")
    failed.box.fails_with(QueueUnavailable("away"), at="resend", times=1)

    first, second = failed.replay(), failed.replay()

    assert (first.done, second.done) == (0, 1)


def test_a_failure_that_was_claimed_since_it_was_read_is_left() -> None:
    """A backfill retries it; if that fails, it has a new letter."""
    failed = FailedUploads("a.png", "b.png")

    def claim(_: ReplayReport) -> None:
        if failed.status("b.png") == "FAILED":
            failed.claim("b.png")

    report = failed.replay(progress=claim)

    assert (report.done, report.left) == (1, 1)
    assert failed.sent() == {"a.png": 1}
    assert len(failed.box.visible) == 1


def test_a_replay_that_is_claimed_before_it_is_marked_succeeds() -> None:
    """The function is faster than the operator."""
    failed = FailedUploads("a.png")
    failed.box.after_resending = lambda *_: failed.claim("a.png", replays=1)

    report = failed.replay()

    assert (report.done, failed.status("a.png")) == (1, "OPEN")
    assert failed.box.visible == []


@pytest.mark.parametrize("after", ["FAILED", "the response to FAILED", "REPLAYED"])
def test_a_failure_is_left_during_an_outage_of_the_table(after: str) -> None:
    """Reserving or marking fails, or its response is lost; the next replay sends the failure."""
    failed = FailedUploads("a.png")
    failed.book.fails_with(ResultsUnavailable("away"), at=after, times=1)

    first = failed.replay()
    failed.expire_timeouts()
    second = failed.replay()

    assert (first.done, first.left, second.done) == (0, 1, 1)
    assert failed.sent()["a.png"] == (2 if after == "REPLAYED" else 1)


@pytest.mark.parametrize("with_letters", [True, False], ids=["letters", "expired"])
@pytest.mark.parametrize("hard", [False, True], ids=["ctrl-c", "kill"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "method",
    ["receive", "resend", "delete", "put_back", "look_up", "failures", "swap"],
)
@pytest.mark.parametrize("call", range(4))
def test_a_replay_killed_at_any_call_loses_no_failure(
    method: str, call: int, *, after: bool, hard: bool, with_letters: bool
) -> None:
    """After a second run each failure is sent once; the one in progress may be sent twice."""
    keys = [f"{number}.png" for number in range(12)]
    failed = FailedUploads(*keys, with_letters=with_letters)
    killer = Killer(method, call, after=after, hard=hard)

    with suppress(Killed):
        replay_failures(
            killer.watching(failed.box),
            killer.watching(failed.book),
            ALL,
            clock=failed.clock,
            dry_run=False,
        )
    if killer.has_killed and not hard and method not in ("receive", "put_back"):
        assert failed.box.hidden == []
    for _ in range(2):
        failed.expire_timeouts()
        failed.replay()

    times = sorted(failed.sent()[key] for key in keys)
    assert times[:-1] == [1] * 11
    assert times[-1] in (1, 2)
    assert (failed.box.visible, failed.box.hidden) == ([], [])
    assert list(failed.book.failures()) == []


class Worker:
    """Tags all messages of the upload queue; each attempt is paid."""

    def __init__(self, failed: FailedUploads) -> None:
        self.failed = failed
        self.paid: Counter[str] = Counter()
        self._done = 0

    def work(self) -> None:
        """Receives the messages that were sent since the last call."""
        for body, replays in self.failed.box.resent[self._done :]:
            key = upload_in(body).key
            request = lifecycle.ClaimRequest(
                now=self.failed.clock.now(), lease_seconds=60, replays=replays
            )
            if isinstance(lifecycle.claim(self.failed.record(key), request), Record):
                self.failed.tag(key, replays=replays)
                self.paid[key] += 1
        self._done = len(self.failed.box.resent)


@pytest.mark.parametrize("seed", range(30))
def test_failures_whose_replays_are_killed_are_all_tagged_and_paid_once(
    seed: int,
) -> None:
    """Operators are killed at any call, the function runs in between, and some letters expire."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    keys = [f"{number}.png" for number in range(12)]
    failed = FailedUploads(*keys[:6])
    for key in keys[6:]:
        failed.fail(key, with_letter=dice.random() < 0.5)
    failed.clock.advance(60)
    worker = Worker(failed)

    methods = ["receive", "resend", "delete", "look_up", "failures", "swap"]
    for _ in range(6):
        killer = Killer(
            dice.choice(methods),
            dice.randrange(4),
            after=dice.random() < 0.5,
            hard=dice.random() < 0.5,
        )
        with suppress(Killed):
            replay_failures(
                killer.watching(failed.box),
                killer.watching(failed.book),
                ALL,
                clock=failed.clock,
                dry_run=False,
                progress=lambda _: worker.work() if dice.random() < 0.3 else None,
            )
        if dice.random() < 0.7:
            worker.work()
        if dice.random() < 0.7:
            failed.expire_timeouts()
    for _ in range(2):
        failed.expire_timeouts()
        failed.replay()
        worker.work()

    assert {failed.status(key) for key in keys} == {"TAGGED"}
    assert worker.paid == dict.fromkeys(keys, 1)
    assert (failed.box.visible, failed.box.hidden) == ([], [])


# ---- limits and rate


def test_an_upload_that_was_replayed_too_often_is_skipped() -> None:
    """An operator has to look at it, because each replay is paid."""
    failed = unknown(
        a_dead_letter(an_upload("a"), replays=5),
        a_dead_letter(an_upload("b"), replays=4),
    )

    report = failed.replay()

    assert report.document() == {
        "matched": 2,
        "done": 1,
        "skipped": 1,
        "left": 0,
        "dryRun": False,
        "byCode": {"807": 2},
    }
    assert [letter.id for letter in failed.box.visible] == ["letter-1"]


@pytest.mark.parametrize("with_letters", [True, False])
def test_a_replay_stops_at_the_maximum(*, with_letters: bool) -> None:
    """The other failures are counted as left."""
    keys = [f"{number}.png" for number in range(25)]
    failed = FailedUploads(*keys, with_letters=with_letters)

    report = failed.replay(limits=ReplayLimits(most=3))

    assert (report.matched, report.done, report.left) == (25, 3, 22)
    assert len(failed.box.resent) == 3


@pytest.mark.parametrize("per_second", [0.05, 0.5, 2, 20])
@pytest.mark.parametrize("with_letters", [True, False])
def test_a_replay_keeps_its_rate_and_hides_no_waiting_letter(
    per_second: float, *, with_letters: bool
) -> None:
    """Even if the next slot is minutes away, other readers can receive the letters."""
    keys = [f"{number}.png" for number in range(12)]
    failed = FailedUploads(*keys, with_letters=with_letters)
    moments: list[float] = []
    ages: list[float] = []
    received: dict[str, float] = {}

    class Noting(FakeDeadLetterBox):
        """Records when letters are received and sent."""

        def receive(self, most: int = 10) -> Sequence[Letter]:
            found = super().receive(most)
            received.update((letter.id, failed.clock.now()) for letter in found)
            return found

        def resend(self, letter: Letter, *, replays: int) -> None:
            moments.append(failed.clock.now())
            if letter.receipt_handle:
                ages.append(failed.clock.now() - received[letter.id])
            super().resend(letter, replays=replays)

    failed.box = Noting(*failed.box.visible)

    report = failed.replay(limits=ReplayLimits(per_second=per_second))

    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert report.done == 12
    assert gaps == pytest.approx([1 / per_second] * 11)
    assert all(age <= 15 for age in ages)


@pytest.mark.parametrize("with_letters", [True, False])
def test_the_function_ends_before_its_deadline_and_reports_the_rest(
    *, with_letters: bool
) -> None:
    """It starts no replay that the deadline could cut off."""
    keys = [f"{number}.png" for number in range(10)]
    failed = FailedUploads(*keys, with_letters=with_letters)
    deadline = FakeDeadline(20.0, failed.clock)

    report = failed.replay(limits=ReplayLimits(per_second=0.5), deadline=deadline)

    assert report.is_cut_short
    assert deadline.seconds_left() >= 15
    assert 0 < report.done < 10
    assert len(list(failed.book.failures())) == 10 - report.done
    assert failed.box.hidden == []


def test_a_function_without_time_starts_no_replay() -> None:
    """Its counts are 0, because it has read no failure."""
    failed = FailedUploads("a.png", "b.png")

    report = failed.replay(deadline=FakeDeadline(5.0, failed.clock))

    assert (report.is_cut_short, report.matched, report.done) == (True, 0, 0)
    assert len(failed.box.visible) == 2


def test_a_run_that_is_cut_short_reports_that_something_is_left() -> None:
    """Callers repeat it while something is left, also where all failures seen were replayed."""
    failed = FailedUploads(*(f"{number}.png" for number in range(30)))
    failed.box.after_resending = lambda *_: failed.clock.advance(2.6)

    report = failed.replay(deadline=FakeDeadline(40.0, failed.clock))

    assert report.document() == {
        "matched": 10,
        "done": 10,
        "skipped": 0,
        "left": 1,
        "dryRun": False,
        "byCode": {"807": 10},
        "complete": False,
    }


@pytest.mark.parametrize("with_letters", [True, False])
def test_failures_that_are_not_selected_do_not_outlast_the_deadline(
    *, with_letters: bool
) -> None:
    """A narrow filter may pass over many thousands."""
    keys = [f"{number}.png" for number in range(100)]
    failed = FailedUploads(*keys, with_letters=with_letters)

    class Counting(LetterFilter):
        """Takes a second for each failure."""

        def matches(self, letter: Letter) -> bool:
            failed.clock.advance(1.0)
            return super().matches(letter)

    deadline = FakeDeadline(40.0, failed.clock)
    report = failed.replay(Counting(codes={"999"}), deadline=deadline)

    assert (report.matched, report.left) == (0, 1)
    assert deadline.seconds_left() >= 14


def test_a_request_without_time_cuts_the_run_short() -> None:
    """AWS was slow until the deadline: a report of what was done is better than an error."""
    failed = FailedUploads(*(f"{number}.png" for number in range(15)))

    class Slow(FakeDeadLetterBox):
        """A queue that answers only once."""

        def receive(self, most: int = 10) -> Sequence[Letter]:
            if self.resent:
                failed.clock.advance(30.0)
                raise QueueUnavailable("no time is left")
            return super().receive(most)

    failed.box = Slow(*failed.box.visible)

    report = failed.replay(deadline=FakeDeadline(40.0, failed.clock))

    assert (report.done, report.left) == (10, 1)
    assert report.document()["complete"] is False
    assert report.troubles == ["no time is left"]


@pytest.mark.parametrize("per_second", [0.05, 0.5, 3])
def test_runs_that_continue_each_other_keep_the_rate(per_second: float) -> None:
    """An operator repeats the request at once, while something is left."""
    failed = FailedUploads(*(f"{number}.png" for number in range(8)))
    moments: list[float] = []
    failed.box.after_resending = lambda *_: moments.append(failed.clock.now())
    runs = 0
    left = True

    while left:
        deadline = FakeDeadline(40.0, failed.clock)
        limits = ReplayLimits(per_second=per_second)
        left = bool(failed.replay(limits=limits, deadline=deadline).left)
        runs += 1

    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert len(moments) == 8
    assert min(gaps) >= 1 / per_second - 1e-6
    assert runs == {0.05: 9, 0.5: 1, 3: 1}[per_second]


def test_a_dry_run_lists_the_failures_of_a_real_run_up_to_a_maximum() -> None:
    """A list of a million failures would exhaust the memory."""
    some = unknown(*many(10)).replay(dry_run=True, limits=ReplayLimits(most=3))
    every = unknown(*many(MOST_CHOSEN + 5)).replay(dry_run=True)
    real = unknown(*many(10)).replay(limits=ReplayLimits(most=3))

    assert len(some.chosen) == some.planned == real.done == 3
    assert (len(every.chosen), every.planned) == (MOST_CHOSEN, MOST_CHOSEN + 5)
    assert real.chosen == []


def test_a_dry_run_counts_the_failures_that_a_real_run_replays() -> None:
    """Both take the same path through the same failures."""
    failed = FailedUploads(*(f"{number}.png" for number in range(7)))
    limits = ReplayLimits(most=5)

    rehearsed = failed.replay(limits=limits, dry_run=True)
    untouched = (
        failed.sent(),
        len(failed.box.visible),
        len(list(failed.book.failures())),
    )
    real = failed.replay(limits=limits)

    assert untouched == ({}, 7, 7)
    assert (rehearsed.planned, real.done) == (5, 5)
    assert rehearsed.matched == real.matched == 7


def test_letters_hidden_by_another_reader_are_reported() -> None:
    """The next replay takes them."""
    failed = unknown(*many(25))
    failed.box.receive()  # by the other reader

    report = failed.replay()

    assert (report.done, report.unseen) == (15, 10)
    assert report.document()["complete"] is False


def test_a_replay_marks_the_record_of_exactly_its_upload() -> None:
    """Another version of the key is another upload."""
    failed = FailedUploads("a.png")
    other = (an_upload("a.png").uri, "version:another")
    [(_, seen)] = failed.book.failures()
    failed.book.swap(other, None, replace(seen, rev="another"))

    failed.replay(LetterFilter(ids=["letter of a.png, 0"]), limits=ReplayLimits(most=1))

    statuses = {key: str(one.status) for key, one in failed.book.records.items()}
    assert statuses == {key_of(an_upload("a.png")): "REPLAYED", other: "FAILED"}
