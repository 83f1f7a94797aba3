from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hangtag.failures import QueueUnavailable
from hangtag.ports import Letter
from hangtag.replay import LetterFilter, Limits, Progress, Report, walk
from hangtag.replay import replay as replay_failures
from tests.builders import a_dead_letter, a_letter, an_upload, notification, record
from tests.fakes import FakeClock, FakeDeadLetterBox, FakeDeadline, FakeResultStore

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

    found = list(walk(box))

    assert ids(all_letters) == ids(found)
    assert ids(all_letters) == ids(box.visible)


def test_a_long_walk_that_meets_letters_again_still_sees_the_rest() -> None:
    """Letters stay hidden for 30 s only; meeting them again is not the queue's end."""
    all_letters = letters(45)
    box = FakeDeadLetterBox(*all_letters)
    walking = walk(box)

    found = [next(walking) for _ in range(20)]
    box.visible = [*box.hidden, *box.visible]  # 30 s have passed
    box.hidden = []
    found += walking

    assert ids(all_letters) == ids(found)


def test_a_walk_of_letters_that_never_stay_hidden_ends() -> None:
    """Even if the walk is slower than the queue."""

    class NeverHiding(FakeDeadLetterBox):
        """Hands every letter out again and again, in turn."""

        def receive(self, most: int = 10) -> Sequence[Letter]:
            received = super().receive(most)
            self.put_back(received)
            return received

    found = list(walk(NeverHiding(*letters(25))))

    assert len(found) == 25


def test_a_walk_that_is_left_puts_its_letters_back() -> None:
    """Whoever looks at the first letter only hides no other."""
    box = FakeDeadLetterBox(*letters(15))
    walking = walk(box)

    next(walking)
    walking.close()

    assert len(box.visible) == 15


def test_an_error_on_the_way_puts_the_letters_back() -> None:
    """The queue fails in the middle; the letters in hand are not hidden for long."""
    box = FakeDeadLetterBox(*letters(15))
    walking = walk(box)
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
