"""Reads, filters and lists dead letters and FAILED records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from hangtag.errors import QueueUnavailable
from hangtag.operators.letters import LetterFilter, walk
from hangtag.operators.ports import Letter
from tests.builders import (
    BUCKET,
    NOON,
    a_dead_letter,
    a_letter,
    an_upload,
    notification,
    record,
)
from tests.fakes import FailedUploads, FakeClock, FakeDeadLetterBox


def letters(count: int) -> list[Letter]:
    """That many dead letters of different uploads; every third has code 803, the others 807."""
    return [
        a_letter(
            f"letter-{number}",
            a_dead_letter(
                an_upload(f"{number}.png"), code="807" if number % 3 else "803"
            ),
        )
        for number in range(count)
    ]


def ids(found: Iterable[Letter]) -> list[str]:
    """The ids of letters, sorted."""
    return sorted(letter.id for letter in found)


# ---- walks over the queue


@pytest.mark.parametrize("count", [0, 1, 10, 11, 57])
def test_a_walk_shows_every_letter_once_and_keeps_it(count: int) -> None:
    """SQS cannot peek; received letters are made visible again."""
    all_letters = letters(count)
    box = FakeDeadLetterBox(*all_letters)

    found = list(walk(box, FakeClock()))

    assert ids(all_letters) == ids(found)
    assert ids(all_letters) == ids(box.visible)


def test_a_long_walk_that_receives_letters_again_still_sees_the_rest() -> None:
    """Letters stay hidden for 30 s only; receiving them again is not the queue's end."""
    all_letters = letters(45)
    box = FakeDeadLetterBox(*all_letters)
    walking = iter(walk(box, FakeClock()))

    found = [next(walking) for _ in range(20)]
    box.visible = [
        *box.hidden,
        *box.visible,
    ]  # the letters are visible again after 30 s
    box.hidden = []
    found += walking

    assert ids(all_letters) == ids(found)


def test_a_walk_of_letters_that_never_stay_hidden_ends() -> None:
    """Even if the walk is slower than the queue."""

    class NeverHiding(FakeDeadLetterBox):
        """Returns every letter again and again."""

        def receive(self, most: int = 10) -> Sequence[Letter]:
            received = super().receive(most)
            self.put_back(received)
            return received

    found = list(walk(NeverHiding(*letters(25)), FakeClock()))

    assert len(found) == 25


def test_an_error_on_the_way_puts_the_letters_back() -> None:
    """The queue fails during the walk; the received letters must not stay hidden."""
    box = FakeDeadLetterBox(*letters(15))
    walking = iter(walk(box, FakeClock()))
    next(walking)
    box.fails_with(QueueUnavailable("away"), at="receive")

    with pytest.raises(QueueUnavailable):
        list(walking)

    assert len(box.visible) == 15


def test_a_letter_that_is_visible_again_is_not_put_back() -> None:
    """Another reader may have received it, and its receipt must stay valid."""
    clock = FakeClock()

    class SlowEnd(FakeDeadLetterBox):
        """The empty receives at the end take half a minute."""

        def receive(self, most: int = 10) -> Sequence[Letter]:
            received = super().receive(most)
            if not received:
                clock.advance(16)
            return received

    box = SlowEnd(*letters(3))

    assert len(list(walk(box, clock))) == 3
    assert len(box.hidden) == 3


# ---- filters


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
def test_a_filter_selects_letters_that_match_all_its_conditions(
    meant: LetterFilter, *, expected: bool
) -> None:
    """A name is an image or an id; further conditions narrow the selection."""
    assert expected == meant.matches(letters(2)[1])


@pytest.mark.parametrize(
    "meant", [LetterFilter(prefix="b."), LetterFilter(images=[an_upload("b.png").uri])]
)
def test_a_letter_about_several_images_is_found_by_each(meant: LetterFilter) -> None:
    """Only hand-made letters have several images."""
    body = notification(record("a.png"), record("b.png"))
    letter = replace(a_dead_letter(an_upload("a.png")), body=body)

    assert meant.matches(a_letter("letter-1", letter))


# ---- finding


def test_each_failure_is_found_once_newest_first() -> None:
    """It lists records, and letters without a record; all letters stay visible."""
    failed = FailedUploads("a.png", "b.png")
    failed.fail("expired.png", with_letter=False)
    failed.moved_by_sqs("moved.png", replays=0)

    found = failed.find()

    assert found.letters[0].letter.failure.failed_at > NOON
    assert ids(found.letters) == [
        "letter of a.png, 0",
        "letter of b.png, 0",
        "letter of expired.png, 0",
        "moved moved.png",
    ]
    assert (found.leftovers, found.unseen) == (0, 0)
    assert len(failed.box.visible) == 3


def test_letters_hidden_by_another_reader_are_counted() -> None:
    """Two readers at the same time each see a part; the count shows that letters are missing."""
    failed = FailedUploads()
    failed.box = FakeDeadLetterBox(*letters(25))
    failed.box.receive()  # by the other reader

    found = failed.find()

    assert (len(found.letters), found.unseen) == (15, 10)


def test_letters_are_read_if_the_queue_cannot_be_counted() -> None:
    """The count is only a hint."""
    failed = FailedUploads("a.png")
    failed.box.fails_with(QueueUnavailable("away"), at="count")

    found = failed.find()

    assert (len(found.letters), found.unseen) == (1, 0)


def test_a_second_letter_of_a_failure_is_found_by_its_own_id() -> None:
    """Operators copy ids from the console of SQS."""
    failed = FailedUploads("a.png")
    copy = a_letter("copy", a_dead_letter(an_upload("a.png")))
    failed.box.visible.append(copy)

    found = failed.find(LetterFilter(ids=["copy"]))
    report = failed.replay(LetterFilter(ids=["copy"]), dry_run=True)

    assert ids(found.letters) == ids(report.chosen) == ["copy"]
    assert len(failed.find().letters) == 1


@pytest.mark.parametrize("becomes", ["tagged", "replayed", "discarded"])
def test_a_letter_of_a_handled_failure_is_not_listed(becomes: str) -> None:
    """It was hidden, or the command was interrupted before it deleted the letter."""
    failed = FailedUploads("a.png")
    hidden, failed.box.visible = failed.box.visible, []
    match becomes:
        case "tagged":
            failed.tag("a.png")
        case "replayed":
            failed.replay()
        case _:
            failed.discard()
    failed.box.visible = hidden

    found = failed.find()

    assert (found.letters, found.leftovers) == ([], 1)
    assert len(failed.box.visible) == 1


def test_an_upload_that_failed_again_is_listed_once() -> None:
    """The list shows the new failure, even while the first letter exists."""
    failed = FailedUploads("a.png")
    failed.replay(LetterFilter(ids=["none"]))
    failed.fail("a.png", replays=1)

    found = failed.find()

    assert [letter.letter.replays for letter in found.letters] == [1]
    assert len(failed.box.visible) == 2
