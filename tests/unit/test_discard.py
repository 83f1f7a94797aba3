"""Discards and restores: the backup has each removed failure and restores it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from hangtag.dead_letters import letter_of_record
from hangtag.errors import QueueUnavailable, ResultsUnavailable
from hangtag.operators.ports import Letter
from hangtag.operators.replay import discard
from tests.builders import a_dead_letter, a_letter, an_upload
from tests.fakes import ALL, FailedUploads, FakeDeadLetterBox, Killed, Killer


@pytest.mark.parametrize("with_letters", [True, False])
def test_a_restore_undoes_a_discard(*, with_letters: bool) -> None:
    """Letter and record are removed and restored together; a second restore changes nothing."""
    failed = FailedUploads("a.png", "b.png", with_letters=with_letters)
    before = [letter_of_record(*one) for one in failed.book.failures()]

    discarded = failed.discard()
    gone = (failed.box.visible, list(failed.book.failures()))
    restored = failed.restore(*failed.backup)
    again = failed.restore(*failed.backup)

    assert (discarded.done, gone) == (2, ([], []))
    assert (restored.done, again.done, again.skipped) == (2, 0, 2)
    assert [letter_of_record(*one) for one in failed.book.failures()] == before
    assert failed.queue.letters == [letter.letter for letter in failed.backup]


def test_dry_runs_discard_and_restore_no_failure() -> None:
    """They report the failures that a real run would handle."""
    failed = FailedUploads("a.png")

    discarded = failed.discard(dry_run=True)
    restored = failed.restore(a_letter("letter-1"), dry_run=True)

    assert (discarded.planned, discarded.done, failed.backup) == (1, 0, [])
    assert (restored.planned, restored.left, failed.queue.letters) == (1, 1, [])
    assert (len(failed.box.visible), failed.status("a.png")) == (1, "FAILED")


def test_a_failure_whose_backup_cannot_be_written_is_not_discarded() -> None:
    """The backup is written first."""
    failed = FailedUploads("a.png")

    def full(_: Letter) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        discard(
            failed.box, failed.book, ALL, clock=failed.clock, dry_run=False, keep=full
        )

    assert (len(failed.box.visible), failed.status("a.png")) == (1, "FAILED")


@pytest.mark.parametrize("hard", [False, True], ids=["ctrl-c", "kill"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["receive", "delete", "swap", "look_up"])
@pytest.mark.parametrize("call", range(3))
def test_the_backup_of_a_killed_discard_has_every_removed_failure(
    method: str, call: int, *, after: bool, hard: bool
) -> None:
    """An upload that is neither FAILED nor in the backup would be lost."""
    keys = [f"{number}.png" for number in range(12)]
    failed = FailedUploads(*keys)
    killer = Killer(method, call, after=after, hard=hard)

    with suppress(Killed):
        discard(
            killer.watching(failed.box),
            killer.watching(failed.book),
            ALL,
            clock=failed.clock,
            dry_run=False,
            keep=failed.backup.append,
        )
    failed.expire_timeouts()
    left = {letter.letter.image for letter in failed.find().letters}
    kept = {letter.letter.image for letter in failed.backup}
    failed.discard()

    assert left | kept == {an_upload(key).uri for key in keys}
    assert failed.find().letters == []
    assert failed.box.visible == []
    failed.restore(*failed.backup)
    assert {failed.status(key) for key in keys} == {"FAILED"}


# ---- letters without a DISCARDED record


def test_a_letter_of_an_unknown_upload_is_restored_once() -> None:
    """SQS moved it before it was claimed, so only the queue shows whether the letter exists."""
    failed = FailedUploads()
    letter = a_letter("letter-1", a_dead_letter(an_upload("never.png"), code="UNCODED"))

    first = failed.restore(letter)
    failed.box = FakeDeadLetterBox(letter)
    again = failed.restore(letter)

    assert (first.done, again.skipped) == (1, 1)
    assert failed.queue.letters == [letter.letter]


def test_equal_letters_without_a_record_are_restored_as_often_as_they_are_missing() -> (
    None
):
    """The backup has two equal letters; a third one has another body."""
    one = replace(a_dead_letter(code="UNREADABLE_EVENT"), body="no event", image=None)
    other = replace(one, body="no event either")
    failed = FailedUploads()
    failed.box = FakeDeadLetterBox(a_letter("letter-1", one))

    report = failed.restore(*(a_letter("backup", each) for each in (one, one, other)))

    assert (report.matched, report.skipped, report.done) == (3, 1, 2)
    assert [letter.body for letter in failed.queue.letters] == [one.body, other.body]
    assert len(failed.box.visible) == 1


def test_a_replayed_message_that_was_discarded_can_be_restored() -> None:
    """Its upload is REPLAYED and has no other message; the older letter is not restored."""
    failed = FailedUploads("a.png")
    old = a_letter("old", a_dead_letter(an_upload("a.png")))
    failed.replay()
    moved = failed.moved_by_sqs("a.png", replays=1)
    failed.box.visible.clear()

    restored = failed.restore(moved)
    failed.box.visible.append(moved)
    again = failed.restore(moved)
    stale = failed.restore(old)

    assert (restored.done, again.skipped, stale.skipped) == (1, 1, 1)
    assert failed.queue.letters == [moved.letter]


@pytest.mark.parametrize("becomes", ["tagged", "failed again"])
def test_an_upload_that_was_tagged_since_it_was_discarded_is_not_restored(
    becomes: str,
) -> None:
    """A backfill tagged it, so the letter is not needed."""
    failed = FailedUploads("a.png")
    failed.discard()
    if becomes == "tagged":
        failed.tag("a.png")
    else:
        failed.fail("a.png")

    report = failed.restore(*failed.backup)

    assert (report.done, report.skipped, failed.queue.letters) == (0, 1, [])


@pytest.mark.parametrize("error", [QueueUnavailable("away"), ResultsUnavailable("no")])
def test_a_restore_continues_after_a_letter_that_fails_and_can_be_repeated(
    error: Exception,
) -> None:
    """That letter counts as left, and the report has the reason."""
    failed = FailedUploads("a.png", "b.png")
    failed.discard()
    failed.queue.fails_with(error, times=1)

    report = failed.restore(*failed.backup)
    again = failed.restore(*failed.backup)

    assert (report.done, report.left, report.troubles) == (1, 1, [str(error)])
    assert (again.done, again.skipped) == (1, 1)
    assert failed.status("a.png") == failed.status("b.png") == "FAILED"
