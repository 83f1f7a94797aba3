from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from hangtag.dead_letters import DeadLetter, read_letter
from hangtag.errors import QueueUnavailable
from hangtag.events import read_body
from hangtag.operators.letters import LetterFilter, find, walk
from hangtag.operators.ports import Letter
from hangtag.operators.replay import MOST_CHOSEN, Limits, Progress, Report, discard
from hangtag.operators.replay import replay as replay_failures
from hangtag.operators.restore import restore
from hangtag.ports import Claim
from hangtag.text import to_timestamp
from hangtag.uploads import Upload
from tests.builders import (
    BUCKET,
    NOON,
    a_dead_letter,
    a_failed_result,
    a_letter,
    a_result,
    an_upload,
    notification,
    record,
)
from tests.fakes import (
    FakeClock,
    FakeDeadLetterBox,
    FakeDeadLetterQueue,
    FakeDeadline,
    FakeResultStore,
    Killed,
    Killer,
)

ALL = LetterFilter()


def replay(
    box: FakeDeadLetterBox,
    meant: LetterFilter = ALL,
    *,
    book: FakeResultStore | None = None,
    clock: FakeClock | None = None,
    dry_run: bool = False,
    limits: Limits | None = None,
    deadline: FakeDeadline | None = None,
    progress: Progress | None = None,
) -> Report:
    """Replay with a table that knows nothing, unless one is given."""
    clock = clock or FakeClock()
    return replay_failures(
        box,
        book or FakeResultStore(clock),
        meant,
        clock=clock,
        dry_run=dry_run,
        limits=limits,
        deadline=deadline,
        progress=progress,
    )


def letters(count: int) -> list[Letter]:
    """As many dead letters of different uploads; every third has code 803, the others 807."""
    return [
        a_letter(
            f"letter-{number}",
            a_dead_letter(
                an_upload(f"{number}.png"), code="807" if number % 3 else "803"
            ),
        )
        for number in range(count)
    ]


def ids(found: list[Letter]) -> list[str]:
    """The ids of letters, sorted."""
    return sorted(letter.id for letter in found)


# ---- walking


@pytest.mark.parametrize("count", [0, 1, 10, 11, 57])
def test_a_walk_shows_every_letter_once_and_leaves_it(count: int) -> None:
    """SQS cannot peek; what was received is made visible again."""
    all_letters = letters(count)
    box = FakeDeadLetterBox(*all_letters)

    found = list(walk(box, FakeClock()))

    assert ids(all_letters) == ids(found)
    assert ids(all_letters) == ids(box.visible)


def test_a_long_walk_that_meets_letters_again_still_sees_the_rest() -> None:
    """Letters stay hidden for 30 s only; meeting them again is not the queue's end."""
    all_letters = letters(45)
    box = FakeDeadLetterBox(*all_letters)
    walking = walk(box, FakeClock())

    found = [next(walking) for _ in range(20)]
    box.visible = [*box.hidden, *box.visible]  # 30 s have passed
    box.hidden = []
    found += walking

    assert ids(all_letters) == ids(found)


def test_letters_in_somebody_elses_hands_are_told() -> None:
    """Two who read at the same moment each see a part, and must not take it for all."""
    box = FakeDeadLetterBox(*letters(25))
    box.receive()  # by the other one
    unseen: list[int] = []

    found = find(
        box, FakeResultStore(FakeClock()), ALL, clock=FakeClock(), unseen=unseen.append
    )
    report = replay(box)

    assert (len(found), unseen) == (15, [10])
    assert (report.done, report.unseen) == (15, 10)


def test_a_queue_that_cannot_be_counted_is_read_all_the_same() -> None:
    """It is a hint, nothing else."""
    box = FakeDeadLetterBox(*letters(3))
    box.fails_with(QueueUnavailable("away"), at="count")

    assert replay(box).done == 3


def test_a_dry_run_counts_letters_about_the_same_as_the_run_does() -> None:
    """Put there by hand, with another count of replays each."""
    upload = an_upload()
    twins = [
        a_letter(f"letter-{number}", a_dead_letter(upload, replays=replays))
        for number, replays in enumerate((0, 1, 1))
    ]

    would, did = (
        replay(FakeDeadLetterBox(*twins), dry_run=True),
        replay(box := FakeDeadLetterBox(*twins)),
    )

    assert (would.would, would.came_back) == (did.done, did.came_back)
    assert did.done + did.came_back == 3
    assert len(box.visible) == did.came_back


@pytest.mark.parametrize(
    "meant", [LetterFilter(prefix="b."), LetterFilter(images=[an_upload("b.png").uri])]
)
def test_a_letter_about_several_images_is_found_by_each(meant: LetterFilter) -> None:
    """Nobody but a hand writes such letters."""
    body = notification(record("a.png"), record("b.png"))
    letter = replace(a_dead_letter(an_upload("a.png")), body=body)

    assert replay(FakeDeadLetterBox(a_letter("letter-1", letter)), meant).done == 1


def test_a_walk_of_letters_that_never_stay_hidden_ends() -> None:
    """Even if the walk is slower than the queue."""

    class NeverHiding(FakeDeadLetterBox):
        """Hands every letter out again and again, in turn."""

        def receive(self, most: int = 10) -> Sequence[Letter]:
            received = super().receive(most)
            self.put_back(received)
            return received

    found = list(walk(NeverHiding(*letters(25)), FakeClock()))

    assert len(found) == 25


def test_a_walk_that_is_left_puts_its_letters_back() -> None:
    """Whoever looks at the first letter only hides no other."""
    box = FakeDeadLetterBox(*letters(15))
    walking = walk(box, FakeClock())

    next(walking)
    walking.close()

    assert len(box.visible) == 15


def test_an_error_on_the_way_puts_the_letters_back() -> None:
    """The queue fails in the middle; the letters in hand are not hidden for long."""
    box = FakeDeadLetterBox(*letters(15))
    walking = walk(box, FakeClock())
    next(walking)
    box.fails_with(QueueUnavailable("away"), at="receive")

    with pytest.raises(QueueUnavailable):
        list(walking)

    assert len(box.visible) == 15


# ---- replaying


def test_a_replay_sends_each_letter_and_deletes_it() -> None:
    """What is sent is the letter's body, with one replay more."""
    letter = a_dead_letter(replays=2)
    box = FakeDeadLetterBox(a_letter("letter-1", letter))

    report = replay(box, ALL, dry_run=False)

    assert box.resent == [(letter.body, 3)]
    assert (box.visible, box.hidden) == ([], [])
    assert report.document() == {
        "matched": 1,
        "done": 1,
        "skipped": 0,
        "left": 0,
        "dryRun": False,
        "byCode": {"807": 1},
    }


def test_a_dry_run_says_what_would_be_done_and_leaves_everything() -> None:
    """It is the same walk, without the act."""
    all_letters = letters(12)
    box = FakeDeadLetterBox(*all_letters)

    report = replay(box, ALL, dry_run=True)

    assert box.resent == []
    assert ids(all_letters) == ids(box.visible)
    assert report.document() == {
        "matched": 12,
        "done": 0,
        "skipped": 0,
        "left": 12,
        "dryRun": True,
        "byCode": {"803": 4, "807": 8},
    }


def test_only_letters_with_a_code_that_is_meant_are_replayed() -> None:
    """The cause of one code was removed, not that of another."""
    box = FakeDeadLetterBox(*letters(9))

    report = replay(box, LetterFilter(codes={"803"}), dry_run=False)

    assert (report.matched, report.done) == (3, 3)
    assert {letter.letter.failure.code for letter in box.visible} == {"807"}
    assert len(box.visible) == 6


@pytest.mark.parametrize(
    ("meant", "expected"),
    [
        (LetterFilter(), True),
        (LetterFilter(codes=["807"]), True),
        (LetterFilter(codes=["803", "807"]), True),
        (LetterFilter(codes=["803"]), False),
        (LetterFilter(ids=["letter-1"]), True),
        (LetterFilter(ids=["letter-2"]), False),
        (LetterFilter(images=[an_upload("1.png").uri]), True),
        (LetterFilter(images=[an_upload("2.png").uri]), False),
        (LetterFilter(images=[an_upload("2.png").uri], ids=["letter-1"]), True),
        (LetterFilter(codes=["803"], ids=["letter-1"]), False),
    ],
)
def test_a_filter_means_letters_by_code_and_by_name(
    meant: LetterFilter, *, expected: bool
) -> None:
    """A name is an image or an id; a code narrows it down."""
    letter = letters(2)[1]

    assert expected == meant.matches(letter)


def test_a_letter_that_cannot_be_sent_is_kept() -> None:
    """And the others are replayed all the same."""
    box = FakeDeadLetterBox(*letters(3))
    box.fails_with(QueueUnavailable("away"), times=1, at="resend")

    report = replay(box, ALL, dry_run=False)

    assert (report.matched, report.done, report.left) == (3, 2, 1)
    assert report.troubles == ["away"]
    assert len(box.visible) == 1


def test_a_letter_that_was_sent_but_not_deleted_is_kept() -> None:
    """Send first, delete after: twice is better than never."""
    box = FakeDeadLetterBox(*letters(1))
    box.fails_with(QueueUnavailable("away"), at="delete")

    report = replay(box, ALL, dry_run=False)

    assert (len(box.resent), len(box.visible)) == (1, 1)
    assert report.left == 1


def test_an_interrupted_replay_loses_nothing() -> None:
    """Ctrl-C in the middle: what was not replayed is visible at once."""
    box = FakeDeadLetterBox(*letters(15))

    def interrupt(report: Report) -> None:
        if report.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(box, ALL, dry_run=False, progress=interrupt)

    assert (len(box.resent), len(box.visible), box.hidden) == (4, 11, [])


def test_progress_is_told_after_each_letter() -> None:
    """People see that something happens."""
    box = FakeDeadLetterBox(*letters(12))
    seen: list[int] = []

    replay(box, ALL, dry_run=False, progress=lambda report: seen.append(report.done))

    assert list(range(1, 13)) == seen


def test_what_fails_again_at_once_is_not_replayed_again() -> None:
    """It would go round without end, and be paid for without end."""
    upload = an_upload()
    box = FakeDeadLetterBox(a_letter("letter-1", a_dead_letter(upload)))
    box.after_resending = lambda _, replays: box.visible.append(
        a_letter(f"letter-{replays + 1}", a_dead_letter(upload, replays=replays))
    )

    report = replay(box, ALL, dry_run=False)

    assert (report.matched, report.done) == (1, 1)
    assert ["letter-2"] == ids(box.visible)


def test_two_letters_of_the_same_upload_are_both_replayed() -> None:
    """A repetition by SQS made two; neither may stay behind as news."""
    box = FakeDeadLetterBox(
        a_letter("letter-1", a_dead_letter()), a_letter("letter-2", a_dead_letter())
    )

    report = replay(box, ALL, dry_run=False)

    assert report.done == 2


@pytest.mark.parametrize(
    "body", ["no event", notification(record("lookbook/", size=0))]
)
def test_a_letter_that_is_no_upload_is_replayed_as_it_is(body: str) -> None:
    """Its sender may have been right all along."""
    letter = replace(a_dead_letter(), body=body)
    box = FakeDeadLetterBox(a_letter("letter-1", letter))

    replay(box, ALL, dry_run=False)

    assert box.resent == [(body, 1)]


# ---- replaying what the table knows, too


class Shop:
    """A table, a dead-letter queue and the failures in both."""

    def __init__(self, *keys: str, with_letters: bool = True) -> None:
        self.clock = FakeClock()
        self.book = FakeResultStore(self.clock)
        self.box = FakeDeadLetterBox()
        for key in keys:
            self.fail(key, with_letter=with_letters)
        self.clock.advance(60)

    def fail(self, key: str, *, with_letter: bool = True, replays: int = 0) -> None:
        """An upload fails, as the function leaves it."""
        upload = an_upload(key)
        claim = self.book.claim(upload, replays=replays, sent_at=None, lease_seconds=60)
        assert isinstance(claim, Claim)
        letter_id = f"letter of {key}, {replays}"
        failed = a_failed_result(upload)
        failed["failure"]["failedAt"] = to_timestamp(self.clock.now())
        self.book.store_failed(
            upload, claim, failed, calls={}, unstored=False, letter_id=letter_id
        )
        if with_letter:
            letter = a_dead_letter(upload, replays=replays)
            self.box.visible.append(a_letter(letter_id, letter))

    def replay(self, meant: LetterFilter = ALL, **how: Any) -> Report:  # noqa: ANN401 - see `replay`
        """Replay, with the table and the clock of the shop."""
        return replay(self.box, meant, book=self.book, clock=self.clock, **how)

    def sent(self) -> Counter[str]:
        """How often each key was put on the upload queue."""
        return Counter(upload_in(body).key for body, _ in self.box.resent)

    def come_back(self) -> None:
        """Half a minute passes: what was hidden or reserved is not any more."""
        self.clock.advance(31)
        self.box.put_back(list(self.box.hidden))


def upload_in(body: str) -> Upload:
    """The only upload of a notification."""
    [entry] = read_body(body)
    assert isinstance(entry, Upload)
    return entry


def test_a_result_and_its_letter_are_one_failure() -> None:
    """Counted once and sent once, and afterwards neither is left."""
    shop = Shop("a.png", "b.png")

    report = shop.replay()

    assert (report.matched, report.done) == (2, 2)
    assert shop.sent() == {"a.png": 1, "b.png": 1}
    assert shop.box.visible == []
    assert list(shop.book.failures()) == []


def test_a_result_whose_letter_has_expired_is_replayed_once() -> None:
    """From its notification, with one replay more; the next replay finds nothing to do."""
    shop = Shop("a.png", with_letters=False)

    first, second = shop.replay(), shop.replay()

    assert (first.done, second.matched) == (1, 0)
    assert shop.box.resent == [(an_upload("a.png").notification(), 1)]


def test_a_letter_that_turns_up_after_its_result_was_replayed_is_not_sent() -> None:
    """SQS hid it from the first walk; it is the same failure, so it only goes."""
    shop = Shop("a.png")
    shop.box.hidden, shop.box.visible = shop.box.visible, []

    first = shop.replay()
    shop.come_back()
    rehearsed, another = shop.replay(dry_run=True), shop.replay(LetterFilter(["803"]))
    assert len(shop.box.visible) == 1
    second = shop.replay()

    assert (first.done, second.matched, second.tidied) == (1, 0, 1)
    assert (rehearsed.tidied, another.tidied) == (1, 0)
    assert shop.sent() == {"a.png": 1}
    assert shop.box.visible == []


def redriven(shop: Shop, key: str, *, replays: int) -> DeadLetter:
    """The message of a replay, as SQS's own redrive moves it: nobody began with it."""
    attributes = {"Replays": {"StringValue": str(replays)}} if replays else {}
    body = an_upload(key).notification()
    sent_at = to_timestamp(shop.clock.now())
    letter = read_letter(body, attributes, sent_at=sent_at)
    shop.box.visible.append(a_letter(f"moved {key}", letter))
    return letter


@pytest.mark.parametrize("replays", [1, 0])
def test_a_replayed_message_that_sqs_moved_is_sent_again(replays: int) -> None:
    """Nothing else is left of the upload; put there by hand it may tell no replays."""
    shop = Shop("a.png")
    shop.replay()
    redriven(shop, "a.png", replays=replays)

    listed = find(shop.box, shop.book, ALL, clock=shop.clock)
    again = shop.replay()

    assert [one.letter.failure.code for one in listed] == ["UNCODED"]
    assert (again.matched, again.done, again.tidied) == (1, 1, 0)
    assert shop.box.resent[-1] == (an_upload("a.png").notification(), replays + 1)
    assert shop.box.visible == []


def test_a_replayed_message_that_was_discarded_can_be_restored() -> None:
    """Its upload stands as replayed, and nobody will begin with it."""
    shop = Shop("a.png")
    shop.replay()
    letter = redriven(shop, "a.png", replays=1)
    shop.box.visible.clear()
    grave = FakeDeadLetterQueue()

    restored = restore(
        [letter], grave, shop.box, shop.book, clock=shop.clock, dry_run=False
    )
    shop.box.visible.append(a_letter("restored", letter))
    again = restore(
        [letter], grave, shop.box, shop.book, clock=shop.clock, dry_run=False
    )
    stale = restore(
        [a_dead_letter(an_upload("a.png"))],
        grave,
        shop.box,
        shop.book,
        clock=shop.clock,
        dry_run=False,
    )

    assert (restored.done, again.skipped, stale.skipped) == (1, 1, 1)
    assert grave.letters == [letter]


def test_a_letter_that_was_left_behind_is_no_failure_to_be_listed() -> None:
    """Not beside the new one of the same upload, nor where that is tagged by now."""
    shop = Shop("a.png", "b.png")
    shop.box.hidden, shop.box.visible = shop.box.visible, []
    shop.replay()
    shop.come_back()
    shop.fail("a.png", replays=1)
    claim = shop.book.claim(
        an_upload("b.png"), replays=1, sent_at=None, lease_seconds=60
    )
    assert isinstance(claim, Claim)
    result = a_result(an_upload("b.png"))
    shop.book.store_tagged(an_upload("b.png"), claim, result, calls={})
    shop.book.finish(an_upload("b.png"), claim, announced=True)
    beside: list[Letter] = []

    found = find(shop.box, shop.book, ALL, clock=shop.clock, left_behind=beside.append)

    assert [one.letter.image for one in found] == [an_upload("a.png").uri]
    assert [one.letter.replays for one in found] == [1]
    assert len(beside) == 2
    assert len(shop.box.visible) == 3


def test_what_was_tagged_after_it_failed_is_no_failure() -> None:
    """By a backfill: there is nothing to replay, and the letter goes with the next one."""
    shop = Shop("a.png")
    upload = an_upload("a.png")
    claim = shop.book.claim(
        upload, replays=0, sent_at=shop.clock.now(), lease_seconds=60
    )
    assert isinstance(claim, Claim)
    result = a_result(upload, tagged_at=to_timestamp(shop.clock.now()))
    shop.book.store_tagged(upload, claim, result, calls={})
    shop.book.finish(upload, claim, announced=True)

    found = find(shop.box, shop.book, ALL, clock=shop.clock)
    report = shop.replay()

    assert found == []
    assert (report.matched, report.tidied, shop.box.resent) == (0, 1, [])
    assert shop.box.visible == []


@pytest.mark.parametrize(
    ("code", "failed_at"),
    [("807", "2026-11-23T12:00:00.000Z"), ("UNCODED", NOON)],
    ids=["failed after it was tagged", "moved by SQS"],
)
def test_a_letter_that_being_tagged_does_not_settle_is_replayed(
    code: str, failed_at: str
) -> None:
    """It was to be tagged again, and who knows what the other one is about."""
    shop = Shop()
    upload = an_upload("a.png")
    claim = shop.book.claim(upload, replays=0, sent_at=None, lease_seconds=60)
    assert isinstance(claim, Claim)
    result = a_result(upload, tagged_at="2026-11-22T18:00:00.000Z")
    shop.book.store_tagged(upload, claim, result, calls={})
    shop.book.finish(upload, claim, announced=True)
    letter = a_dead_letter(upload, code=code)
    letter = replace(letter, failure=replace(letter.failure, failed_at=failed_at))
    shop.box.visible.append(a_letter("letter-1", letter))

    assert (shop.replay().done, len(shop.box.resent)) == (1, 1)


def test_a_second_letter_of_a_failure_is_found_by_its_own_id() -> None:
    """Somebody has the id from the console of SQS."""
    shop = Shop("a.png")
    shop.box.visible.append(a_letter("copy", a_dead_letter(an_upload("a.png"))))

    found = find(shop.box, shop.book, LetterFilter(ids=["copy"]), clock=shop.clock)
    report = shop.replay(LetterFilter(ids=["copy"]), dry_run=True)

    assert ids(found) == ids(report.chosen) == ["copy"]


def test_a_failure_that_could_not_be_sent_is_nobodys() -> None:
    """Whoever comes next need not wait until its reservation has run out."""
    shop = Shop("a.png")
    shop.box.fails_with(QueueUnavailable("away"), at="resend", times=1)

    failed, again = shop.replay(), shop.replay()

    assert (failed.done, again.done) == (0, 1)


def test_what_has_become_visible_meanwhile_is_not_put_back() -> None:
    """Somebody else may have it in hand, and would lose it."""
    clock = FakeClock()
    box = FakeDeadLetterBox(*letters(3))
    walking = walk(box, clock)
    next(walking)

    clock.advance(31)
    walking.close()

    assert len(box.hidden) == 3


def test_all_letters_of_the_same_failure_go_with_the_first() -> None:
    """A crash between burying and storing made two; the upload is sent once."""
    shop = Shop("a.png")
    shop.box.visible.append(a_letter("the other", a_dead_letter(an_upload("a.png"))))

    report = shop.replay()

    assert (report.matched, report.done) == (1, 1)
    assert (shop.sent(), shop.box.visible) == ({"a.png": 1}, [])


def test_a_letter_that_sqs_moved_is_replayed_with_its_failure() -> None:
    """It says nothing itself; the table knows what failed."""
    shop = Shop("a.png", with_letters=False)
    body = an_upload("a.png").notification()
    shop.box.visible.append(a_letter("moved", read_letter(body, {}, sent_at=NOON)))

    report = shop.replay(LetterFilter(codes={"807"}))

    assert report.document()["byCode"] == {"807": 1}
    assert (shop.sent(), shop.box.visible) == ({"a.png": 1}, [])


def test_what_fails_again_meanwhile_waits_for_the_next_replay() -> None:
    """Its letter and its result are new ones; neither is replayed in the same round."""
    shop = Shop("a.png")
    shop.box.after_resending = lambda *_: shop.fail("a.png", replays=1)

    report = shop.replay()

    assert (report.matched, report.done) == (1, 1)
    assert [letter.letter.replays for letter in shop.box.visible] == [1]
    assert [known.replays for known in shop.book.failures()] == [1]


def test_two_operators_at_once_send_each_failure_once() -> None:
    """The second begins while the first has letters in hand."""
    shop = Shop("a.png", "b.png", "c.png")
    reports: list[Report] = []

    def look_in(report: Report) -> None:
        if report.done == 1 and not reports:
            reports.append(replay(shop.box, book=shop.book, clock=shop.clock))

    first = shop.replay(progress=look_in)

    assert first.done + reports[0].done >= 3
    assert shop.sent() == {"a.png": 1, "b.png": 1, "c.png": 1}
    assert shop.box.visible == []


@pytest.mark.parametrize("with_letters", [True, False], ids=["letters", "expired"])
@pytest.mark.parametrize("hard", [False, True], ids=["ctrl-c", "kill"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "method",
    [
        "receive",
        "resend",
        "delete",
        "put_back",
        "look_up",
        "failures",
        "reserve_replay",
        "mark_replayed",
    ],
)
@pytest.mark.parametrize("call", range(4))
def test_a_replay_that_is_killed_anywhere_loses_nothing(
    method: str, call: int, *, after: bool, hard: bool, with_letters: bool
) -> None:
    """At any call, then run again: each is sent once, the one in hand twice at most."""
    keys = [f"{number}.png" for number in range(12)]
    shop = Shop(*keys, with_letters=with_letters)
    killer = Killer(method, call, after=after, hard=hard)

    with suppress(Killed):
        replay_failures(
            killer.watching(shop.box),
            killer.watching(shop.book),
            ALL,
            clock=shop.clock,
            dry_run=False,
        )
    if killer.has_killed and not hard and method not in ("receive", "put_back"):
        assert shop.box.hidden == []
    for _ in range(2):
        shop.come_back()
        shop.replay()

    times = sorted(shop.sent()[key] for key in keys)
    assert times[:-1] == [1] * 11
    assert times[-1] in (1, 2)
    assert (shop.box.visible, shop.box.hidden) == ([], [])
    assert list(shop.book.failures()) == []


# ---- how many, and how fast


def test_what_was_replayed_too_often_is_skipped() -> None:
    """Somebody has to look at it; repeating it is paid for each time."""
    box = FakeDeadLetterBox(
        a_letter("often", a_dead_letter(an_upload("a"), replays=5)),
        a_letter("seldom", a_dead_letter(an_upload("b"), replays=4)),
    )

    report = replay(box)

    assert report.document() == {
        "matched": 2,
        "done": 1,
        "skipped": 1,
        "left": 0,
        "dryRun": False,
        "byCode": {"807": 2},
    }
    assert ["often"] == ids(box.visible)


@pytest.mark.parametrize("with_letters", [True, False])
def test_at_most_so_many_are_replayed(*, with_letters: bool) -> None:
    """The others are counted, and left."""
    shop = Shop(*(f"{number}.png" for number in range(25)), with_letters=with_letters)

    report = shop.replay(limits=Limits(most=3))

    assert (report.matched, report.done, report.left) == (25, 3, 22)
    assert len(shop.box.resent) == 3


@pytest.mark.parametrize("per_second", [0.05, 0.5, 2, 20])
@pytest.mark.parametrize("with_letters", [True, False])
def test_the_rate_is_even_and_hides_no_letter_that_has_to_wait(
    per_second: float, *, with_letters: bool
) -> None:
    """Also where the next is minutes away: others may have the letters meanwhile."""
    shop = Shop(*(f"{number}.png" for number in range(12)), with_letters=with_letters)
    moments: list[float] = []
    ages: list[float] = []
    received: dict[str, float] = {}

    class Noting(FakeDeadLetterBox):
        """Notes when letters come and go."""

        def receive(self, most: int = 10) -> Sequence[Letter]:
            found = super().receive(most)
            received.update((letter.id, shop.clock.now()) for letter in found)
            return found

        def resend(self, letter: Letter, *, replays: int) -> None:
            moments.append(shop.clock.now())
            if letter.receipt_handle:
                ages.append(shop.clock.now() - received[letter.id])
            super().resend(letter, replays=replays)

    shop.box = Noting(*shop.box.visible)

    report = shop.replay(limits=Limits(per_second=per_second))

    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert report.done == 12
    assert gaps == pytest.approx([1 / per_second] * 11)
    assert all(age <= 15 for age in ages)


def test_a_function_ends_in_time_and_says_what_is_left() -> None:
    """Nothing is begun that the deadline could cut off."""
    shop = Shop(*(f"{number}.png" for number in range(10)))
    deadline = FakeDeadline(20.0, shop.clock)

    report = shop.replay(limits=Limits(per_second=1), deadline=deadline)

    assert report.is_cut_short
    assert deadline.seconds_left() >= 14
    assert 0 < report.done < 10
    assert len(shop.box.visible) == 10 - report.done
    assert shop.box.hidden == []


def test_a_dry_run_names_what_a_real_one_would_begin_and_no_more() -> None:
    """So that somebody can look before it is done; a million names would fill the memory."""
    many = letters(MOST_CHOSEN + 5)

    some = replay(FakeDeadLetterBox(*many), dry_run=True, limits=Limits(most=3))
    every = replay(FakeDeadLetterBox(*many), dry_run=True)
    real = replay(FakeDeadLetterBox(*many), limits=Limits(most=3))

    assert len(some.chosen) == some.would == real.done == 3
    assert (len(every.chosen), every.would) == (MOST_CHOSEN, len(many))
    assert real.chosen == []


def test_a_dry_run_tells_what_a_real_one_would_begin() -> None:
    """By the same way through the same failures."""
    shop = Shop(*(f"{number}.png" for number in range(7)))
    limits = Limits(most=5)

    rehearsed = shop.replay(limits=limits, dry_run=True)
    untouched = (shop.sent(), len(shop.box.visible), len(list(shop.book.failures())))
    real = shop.replay(limits=limits)

    assert untouched == ({}, 7, 7)
    assert (rehearsed.would, real.done) == (5, 5)
    assert rehearsed.matched == real.matched == 7


@pytest.mark.parametrize(
    ("meant", "expected"),
    [
        (LetterFilter(kinds=["permanent"]), True),
        (LetterFilter(kinds=["transient"]), False),
        (LetterFilter(prefix="1."), True),
        (LetterFilter(prefix="png"), False),
        (LetterFilter(prefix=f"s3://{BUCKET}/1"), True),
        (LetterFilter(prefix="s3://other"), False),
        (LetterFilter(since=NOON, until=NOON), True),
        (LetterFilter(since="2026-11-22T12:00:01.000Z"), False),
        (LetterFilter(until="2026-11-22T11:00:00.000Z"), False),
        (LetterFilter(attempts=1), True),
        (LetterFilter(attempts=2), False),
    ],
)
def test_a_filter_means_failures_by_what_is_said_of_them(
    meant: LetterFilter, *, expected: bool
) -> None:
    """Kind, prefix of the key or the uri, time and attempts."""
    assert expected == meant.matches(letters(2)[1])


# ---- finding


def test_each_failure_is_found_once_newest_first() -> None:
    """Results first, then the letters that have none; all stay visible."""
    shop = Shop("a.png", "b.png")
    shop.fail("expired.png", with_letter=False)
    moved = replace(a_dead_letter(an_upload("moved.png")), image=None)
    shop.box.visible.append(a_letter("moved", moved))

    found = find(shop.box, shop.book, ALL, clock=shop.clock)

    assert found[0].letter.image == an_upload("expired.png").uri
    assert sorted(letter.id for letter in found) == [
        "letter of a.png, 0",
        "letter of b.png, 0",
        "letter of expired.png, 0",
        "moved",
    ]
    assert len(shop.box.visible) == 3


# ---- discarding and restoring


class Pages:
    """A backup in memory."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    def keep(self, letter: Letter) -> None:
        """Write it down."""
        self.letters.append(letter)


def throw_away(shop: Shop, pages: Pages, *, dry_run: bool = False) -> Report:
    """Discard all there is."""
    return discard(
        shop.box, shop.book, ALL, clock=shop.clock, dry_run=dry_run, keep=pages.keep
    )


@pytest.mark.parametrize("with_letters", [True, False])
def test_what_is_discarded_and_restored_is_as_it_was(*, with_letters: bool) -> None:
    """Letter and result go together and come back together; twice restored is restored once."""
    shop = Shop("a.png", "b.png", with_letters=with_letters)
    pages, grave = Pages(), FakeDeadLetterQueue()
    before = [known.letter for known in shop.book.failures()]

    discarded = throw_away(shop, pages)
    gone = (shop.box.visible, list(shop.book.failures()))
    kept = [letter.letter for letter in pages.letters]
    restored = restore(
        kept, grave, shop.box, shop.book, clock=shop.clock, dry_run=False
    )
    again = restore(kept, grave, shop.box, shop.book, clock=shop.clock, dry_run=False)

    assert (discarded.done, gone) == (2, ([], []))
    assert (restored.done, again.done, again.skipped) == (2, 0, 2)
    assert [known.letter for known in shop.book.failures()] == before
    assert len(grave.letters) == 2


def test_a_letter_of_an_upload_nobody_knows_is_restored_once() -> None:
    """SQS moved it before anybody began with it: the table tells nothing of it."""
    letter = a_dead_letter(an_upload("never.png"), code="UNCODED")
    book, grave = FakeResultStore(FakeClock()), FakeDeadLetterQueue()

    first = restore(
        [letter], grave, FakeDeadLetterBox(), book, clock=FakeClock(), dry_run=False
    )
    box = FakeDeadLetterBox(a_letter("restored", letter))
    again = restore([letter], grave, box, book, clock=FakeClock(), dry_run=False)

    assert (first.done, again.skipped) == (1, 1)
    assert grave.letters == [letter]


def test_a_letter_without_a_result_is_restored_once_however_often_it_is_tried() -> None:
    """The queue is all there is to ask; a second one that says the same is another letter."""
    one = a_dead_letter(code="UNREADABLE_EVENT")
    one = replace(one, body="no event", image=None)
    other = replace(one, body="no event either")
    clock = FakeClock()
    book, grave = FakeResultStore(clock), FakeDeadLetterQueue()
    box = FakeDeadLetterBox(a_letter("letter-1", one))

    report = restore([one, one, other], grave, box, book, clock=clock, dry_run=False)

    assert (report.matched, report.skipped, report.done) == (3, 1, 2)
    assert [letter.body for letter in grave.letters] == [one.body, other.body]
    assert len(box.visible) == 1


def test_dry_runs_discard_and_restore_nothing() -> None:
    """They tell what would be."""
    shop, pages, grave = Shop("a.png"), Pages(), FakeDeadLetterQueue()

    discarded = throw_away(shop, pages, dry_run=True)
    restored = restore(
        [a_dead_letter()], grave, shop.box, shop.book, clock=shop.clock, dry_run=True
    )

    assert (discarded.would, discarded.done, pages.letters) == (1, 0, [])
    assert (restored.would, restored.left, grave.letters) == (1, 1, [])
    assert len(shop.box.visible) == 1


def test_a_failure_whose_backup_cannot_be_written_is_not_discarded() -> None:
    """The backup comes first."""
    shop = Shop("a.png")

    def full(_: Letter) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        discard(shop.box, shop.book, ALL, clock=shop.clock, dry_run=False, keep=full)

    assert len(shop.box.visible) == 1
    assert len(list(shop.book.failures())) == 1


@pytest.mark.parametrize("hard", [False, True], ids=["ctrl-c", "kill"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["receive", "delete", "discard", "look_up"])
@pytest.mark.parametrize("call", range(3))
def test_a_discard_that_is_killed_anywhere_has_a_backup_of_all_it_took(
    method: str, call: int, *, after: bool, hard: bool
) -> None:
    """What is neither a failure any more nor in the backup would be lost."""
    keys = [f"{number}.png" for number in range(12)]
    shop, pages = Shop(*keys), Pages()
    killer = Killer(method, call, after=after, hard=hard)

    with suppress(Killed):
        discard(
            killer.watching(shop.box),
            killer.watching(shop.book),
            ALL,
            clock=shop.clock,
            dry_run=False,
            keep=pages.keep,
        )
    shop.come_back()
    left = {
        letter.letter.image
        for letter in find(shop.box, shop.book, ALL, clock=shop.clock)
    }
    kept = {letter.letter.image for letter in pages.letters}
    throw_away(shop, pages)

    assert left | kept == {an_upload(key).uri for key in keys}
    assert find(shop.box, shop.book, ALL, clock=shop.clock) == []


def test_an_upload_whose_letter_does_not_tell_its_version_is_sent_once() -> None:
    """The table knows it by what the object told; the letter's id says that they are the same."""
    shop = Shop()
    event = an_upload(version_id=None, etag=None, sequencer=None)
    upload = event.identified_as(version_id="version-9", etag="etag-9", size=9)
    claim = shop.book.claim(upload, replays=0, sent_at=None, lease_seconds=60)
    assert isinstance(claim, Claim)
    shop.book.store_failed(
        upload,
        claim,
        a_failed_result(upload),
        calls={},
        unstored=False,
        letter_id="letter-1",
    )
    shop.box.visible.append(a_letter("letter-1", a_dead_letter(event)))

    found = find(shop.box, shop.book, ALL, clock=shop.clock)
    first, second = shop.replay(), shop.replay()

    assert [letter.id for letter in found] == ["letter-1"]
    assert (first.matched, first.done, second.matched) == (1, 1, 0)
    assert len(shop.box.resent) == 1
