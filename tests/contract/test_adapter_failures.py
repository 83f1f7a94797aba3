"""`FailureBook`: the fake and DynamoDB behave alike."""

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
    """The record of a failed upload, as it is in the table."""
    upload = upload or an_upload()
    record = replace(a_failed_record(upload), rev=f"rev of {upload.key}")
    assert book.swap(key_of(upload), None, record) is None
    return record


def test_a_record_has_the_same_failure_as_its_dead_letter(book: FailureBook) -> None:
    """If the letter expires, the record has all its information."""
    record = fail(book)

    [(key, found)] = book.failures()

    assert (key, found) == (key_of(an_upload()), record)
    assert letter_of_record(key, found) == a_dead_letter()


def test_many_failures_are_listed_and_looked_up_once_each(book: FailureBook) -> None:
    """They need several pages and calls."""
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
    """The filter includes both ends."""
    fail(book)

    assert len(list(book.failures(since=since, until=until))) == count


def finished(record: Record) -> Record:
    """The upload is claimed again and tagged."""
    return lifecycle.finish(opened(record), calls={}, at=LATER)


def opened(record: Record) -> Record:
    """The upload is claimed again."""
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
def test_only_uploads_that_are_failed_now_are_listed(
    book: FailureBook, change: Callable[[Record], Record], status: str
) -> None:
    """Other records are found by their key, complete."""
    key = key_of(an_upload())
    written = move(book, key, fail(book), change(a_failed_record()))

    assert list(book.failures()) == []
    assert book.look_up([key]) == {key: written}
    assert written.status == status


def test_a_lookup_leaves_out_uploads_without_a_record(book: FailureBook) -> None:
    """SQS may move a message before the function receives it."""
    fail(book)

    assert book.look_up([(f"s3://{BUCKET}/unknown", "version:1")]) == {}
    assert book.look_up([]) == {}


def test_a_reservation_keeps_the_failure_listed(book: FailureBook) -> None:
    """Another operator sees it and when the reservation expires."""
    key, record = key_of(an_upload()), fail(book)

    reserved = move(book, key, record, lifecycle.reserve(record, until=1_000_000.5))

    assert list(book.failures()) == [(key, reserved)]
    assert reserved.lease_until == 1_000_000.5


def test_one_of_two_operators_moves_the_failure(book: FailureBook) -> None:
    """The other one gets the new record."""
    key, record = key_of(an_upload()), fail(book)
    discarded = move(book, key, record, lifecycle.discard(record, at=LATER))

    with pytest.raises(RecordChanged) as raised:
        move(book, key, record, lifecycle.replay(record))

    assert raised.value.found == discarded
    assert book.look_up([key]) == {key: discarded}


def test_a_move_whose_response_is_lost_succeeds(
    book: FailureBook,
) -> None:
    """The client repeats the write, and finds its own `rev`."""
    key, record = key_of(an_upload()), fail(book)

    class Repeating(FakeFailureBook):
        """Sends every write twice and returns the second response."""

        def swap(
            self, key: tuple[str, str], seen: str | None, new: Record
        ) -> Record | None:
            book.swap(key, seen, new)
            return book.swap(key, seen, new)

    replayed = move(Repeating(), key, record, lifecycle.replay(record))

    assert book.look_up([key]) == {key: replayed}


def test_a_restore_undoes_a_discard(book: FailureBook) -> None:
    """Only the letter's id is new."""
    key, record = key_of(an_upload()), fail(book)
    discarded = move(book, key, record, lifecycle.discard(record, at=LATER))

    restored = lifecycle.restore(discarded, letter_id="letter-2")
    restored = move(book, key, discarded, restored)

    [(_, found)] = book.failures()
    assert found == restored
    assert found.failed is not None
    assert found.failed.letter_id == "letter-2"
    assert letter_of_record(key, found) == letter_of_record(key, record)
