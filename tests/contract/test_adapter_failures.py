"""`FailureBook`: the fake and DynamoDB keep the same promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hangtag import lifecycle
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.dead_letters import letter_of_record
from hangtag.lifecycle import Record, Status
from hangtag.operators.ports import FailureBook
from hangtag.operators.replay import RecordChanged, move
from hangtag.uploads import SkipReason, Upload
from tests.builders import (
    BUCKET,
    NOON,
    a_dead_letter,
    a_failed_record,
    an_upload,
    key_of,
)
from tests.contract.aws_parts import create_table, session
from tests.fakes import FakeClock, FakeFailureBook

LATER = "2026-11-22T13:00:00.000Z"


@pytest.fixture(params=["fake", "moto"])
def book(request: pytest.FixtureRequest) -> FailureBook:
    """The fake, then the adapter."""
    if request.param == "fake":
        return FakeFailureBook()
    request.getfixturevalue("aws")
    return DynamoDBFailures(session().client("dynamodb"), create_table(), FakeClock())


def fail(book: FailureBook, upload: Upload | None = None) -> Record:
    """The record of an upload that has failed, as it is in the table now."""
    upload = upload or an_upload()
    record = replace(a_failed_record(upload), rev=f"rev of {upload.key}")
    assert book.swap(key_of(upload), None, record) is None
    return record


def test_a_failure_reads_as_its_dead_letter_does(book: FailureBook) -> None:
    """Should the letter expire, the record has everything that it had."""
    record = fail(book)

    [(key, found)] = book.failures()

    assert (key, found) == (key_of(an_upload()), record)
    assert letter_of_record(key, found) == a_dead_letter()


def test_many_failures_are_listed_and_looked_up_each_once(book: FailureBook) -> None:
    """More than fit into a page or a call."""
    uploads = [an_upload(f"{number}.png") for number in range(130)]
    for upload in uploads:
        fail(book, upload)
    keys = [key_of(upload) for upload in uploads]

    listed = [key for key, _ in book.failures()]

    assert sorted(listed) == sorted(keys)
    assert book.look_up([*keys, *keys]).keys() == set(keys)


@pytest.mark.parametrize(
    ("since", "until", "count"),
    [
        ("", "", 1),
        (NOON, NOON, 1),
        ("2026-11-22T12:00:00.001Z", "", 0),
        ("", "2026-11-22T11:59:59.999Z", 0),
    ],
)
def test_failures_are_listed_by_the_time_they_failed(
    book: FailureBook, since: str, until: str, count: int
) -> None:
    """Both ends included."""
    fail(book)

    assert len(list(book.failures(since=since, until=until))) == count


def finished(record: Record) -> Record:
    """Claimed again and tagged."""
    return lifecycle.finish(opened(record), calls={}, at=LATER)


def opened(record: Record) -> Record:
    """Claimed again."""
    return replace(record, status=Status.OPEN, ended_at="", failed=None)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (opened, "OPEN"),
        (finished, "TAGGED"),
        (lifecycle.replay, "REPLAYED"),
        (lambda record: lifecycle.discard(record, at=LATER), "DISCARDED"),
        (
            lambda record: lifecycle.skip(
                opened(record), SkipReason.OBJECT_GONE, calls={}, at=LATER
            ),
            "SKIPPED",
        ),
    ],
)
def test_only_what_is_failed_now_is_listed(
    book: FailureBook, change: Callable[[Record], Record], status: str
) -> None:
    """Whatever else became of it is found by its key, whole."""
    key = key_of(an_upload())
    written = move(book, key, fail(book), change(a_failed_record()))

    assert list(book.failures()) == []
    assert book.look_up([key]) == {key: written}
    assert written.status == status


def test_uploads_without_a_record_are_left_out(book: FailureBook) -> None:
    """Nothing is known of a message that SQS moved before anybody received it."""
    fail(book)

    assert book.look_up([(f"s3://{BUCKET}/unknown", "version:1")]) == {}
    assert book.look_up([]) == {}


def test_a_reservation_keeps_the_failure_listed(book: FailureBook) -> None:
    """Another operator sees it, and until when it is reserved."""
    key, record = key_of(an_upload()), fail(book)

    reserved = move(book, key, record, lifecycle.reserve(record, until=1_000_000.5))

    assert list(book.failures()) == [(key, reserved)]
    assert reserved.lease_until == 1_000_000.5


def test_of_two_operators_one_moves_the_failure(book: FailureBook) -> None:
    """The other learns what it is now."""
    key, record = key_of(an_upload()), fail(book)
    discarded = move(book, key, record, lifecycle.discard(record, at=LATER))

    with pytest.raises(RecordChanged) as raised:
        move(book, key, record, lifecycle.replay(record))

    assert raised.value.found == discarded
    assert book.look_up([key]) == {key: discarded}


def test_a_move_whose_response_is_lost_finds_that_it_arrived(
    book: FailureBook,
) -> None:
    """The client repeats the write, which finds its own `rev`."""
    key, record = key_of(an_upload()), fail(book)

    class Repeating(FakeFailureBook):
        """Every write arrives twice; the second response counts."""

        def swap(
            self, key: tuple[str, str], seen: str | None, new: Record
        ) -> Record | None:
            book.swap(key, seen, new)
            return book.swap(key, seen, new)

    replayed = move(Repeating(), key, record, lifecycle.replay(record))

    assert book.look_up([key]) == {key: replayed}


def test_what_is_discarded_and_restored_is_as_it_was(book: FailureBook) -> None:
    """But for its letter, which is a new one."""
    key, record = key_of(an_upload()), fail(book)
    discarded = move(book, key, record, lifecycle.discard(record, at=LATER))

    restored = lifecycle.restore(discarded, letter_id="letter-2")
    restored = move(book, key, discarded, restored)

    [(_, found)] = book.failures()
    assert found == restored
    assert found.failed is not None
    assert found.failed.letter_id == "letter-2"
    assert letter_of_record(key, found) == letter_of_record(key, record)
