from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.dead_letters import (
    DeadLetter,
    letter_of_unreadable,
    letter_of_upload,
    read_letter,
)
from hangtag.errors import MESSAGE_LIMIT, InternalError
from hangtag.events import Unreadable, read_body
from hangtag.failure import Failure
from hangtag.text import to_attribute
from hangtag.uploads import Upload
from tests.builders import (
    BUCKET,
    NOON,
    URI,
    a_dead_letter,
    a_failure,
    an_upload,
    notification,
    record,
    sample_event,
)


def read_back(letter: DeadLetter) -> DeadLetter:
    """The letter as SQS returns it."""
    attributes = {
        name: {"StringValue": value} for name, value in letter.attributes().items()
    }
    return read_letter(letter.body, attributes, sent_at="later")


def test_the_letter_of_an_upload_has_its_notification_and_its_failure() -> None:
    """The body can be sent again as it is; the attributes say why it failed."""
    upload = an_upload()

    letter = letter_of_upload(upload, a_failure(), replays=2, request_id="request-1")

    assert (upload,) == read_body(letter.body)
    assert letter.attributes() == {
        "ErrorCode": "807",
        "ErrorKind": "permanent",
        "ErrorMessage": "Too small.",
        "ErrorSource": "api",
        "Attempts": "1",
        "Replays": "2",
        "FailedAt": NOON,
        "Image": URI,
        "RequestId": "request-1",
    }


def test_a_letter_names_the_format_of_a_file_that_is_refused() -> None:
    """Most letters have no format; SQS accepts ten attributes, and an empty one not at all."""
    named = a_dead_letter(code="UNSUPPORTED_FORMAT", image_format="HEIC")

    assert named.attributes()["Format"] == "HEIC"
    assert read_back(named) == named
    assert len(named.attributes()) == 10
    assert "Format" not in a_dead_letter().attributes()


def test_the_letter_of_an_unreadable_body_is_that_body() -> None:
    """It is the same byte for byte, and names no image."""
    (entry,) = read_body("no event\n")
    assert isinstance(entry, Unreadable)

    letter = letter_of_unreadable(entry, a_failure(), replays=0, request_id="r")

    assert letter.body == "no event\n"
    assert "Image" not in letter.attributes()


def test_the_letter_of_an_unreadable_record_does_not_name_the_upload_beside_it() -> (
    None
):
    """Its body has both records, but only one of them has failed."""
    body = notification(record(), {"eventSource": "who knows"})

    letter = read_letter(body, {}, sent_at=NOON)

    assert letter.image is None


def test_a_letter_reads_back_as_it_was_written() -> None:
    """Operators see all that the function recorded."""
    letter = a_dead_letter(code="803", message="Fail to prove image.", replays=3)

    assert letter == read_back(letter)


@pytest.mark.parametrize(
    "key", ["trailing blank ", "line\nbreak", "\x1b[31mred", "봄 %20+.png", "~\x7f"]
)
def test_a_letter_reads_back_with_its_exact_image(key: str) -> None:
    """`hangtag failures replay URI` must find it, whatever the key looks like."""
    upload = an_upload(key)

    read = read_back(a_dead_letter(upload))

    assert upload.uri == read.image


def test_a_trailing_blank_stays_on_the_attribute() -> None:
    """It belongs to the key, and SQS accepts it."""
    letter = a_dead_letter(an_upload("trailing blank "))

    assert f"s3://{BUCKET}/trailing blank " == letter.attributes()["Image"]


@given(st.text(max_size=1_000), st.text(), st.text(min_size=1, max_size=300))
def test_attributes_are_never_empty_and_have_no_control_characters(
    message: str, request_id: str, key: str
) -> None:
    """SQS refuses such a letter, and the failure could not be dead-lettered."""
    upload = an_upload(key.encode("utf-8", "replace").decode(), size=1)
    failure = Failure.of(InternalError(message), attempts=1, failed_at=NOON)

    letter = letter_of_upload(upload, failure, replays=0, request_id=request_id)

    for value in letter.attributes().values():
        assert value.strip()
        assert to_attribute(value) == value


def test_the_largest_letter_fits_into_the_dead_letter_queue() -> None:
    """256 KiB of body, the longest key and the longest message are under 1 MiB."""
    upload = an_upload("가" * 341)
    failure = replace(a_failure(), message="가" * MESSAGE_LIMIT)
    letter = letter_of_upload(upload, failure, replays=0, request_id="r")

    size = sum(
        len(name) + len("String") + len(value.encode())
        for name, value in letter.attributes().items()
    )

    assert size + 262_144 < 1_048_576


@pytest.mark.parametrize("code", ["807; exit 3", "8\x9b07", "8" * 65, "코드", " "])
def test_a_letter_with_a_text_that_is_no_code_is_uncoded(code: str) -> None:
    """Reports count letters by code, and commands to copy contain it."""
    attributes = {"ErrorCode": {"DataType": "String", "StringValue": code}}

    letter = read_letter(notification(record()), attributes, sent_at=NOON)

    assert letter.failure.code == "UNCODED"


def test_a_letter_without_a_code_is_uncoded() -> None:
    """SQS's redrive moved it, or another sender wrote it."""
    letter = read_letter(notification(record()), {}, sent_at=NOON)

    assert (letter.failure.code, letter.failure.kind) == ("UNCODED", "uncoded")
    assert (letter.image, letter.failure.failed_at) == (URI, NOON)
    assert (letter.failure.attempts, letter.replays) == (0, 0)
    assert letter.failure.message


def test_an_event_that_eventbridge_could_not_deliver_is_uncoded() -> None:
    """Its letter is the event itself, which can be replayed."""
    event = sample_event("eventbridge-object-created")
    attributes = {
        "ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"},
        "RULE_ARN": {"DataType": "String", "StringValue": "arn:aws:events:x:1:rule/r"},
    }

    letter = read_letter(json.dumps(event), attributes, sent_at=NOON)

    detail = event["detail"]
    uri = f"s3://{detail['bucket']['name']}/{detail['object']['key']}"
    assert (letter.failure.code, letter.image) == ("UNCODED", uri)
    assert isinstance(read_body(letter.body)[0], Upload)


@pytest.mark.parametrize("body", ["", "no event", "{}", '{"Records": [{}]}'])
def test_a_letter_with_any_body_can_be_read(body: str) -> None:
    """Operators list every message in the queue."""
    letter = read_letter(body, {}, sent_at=NOON)

    assert letter.image is None


@pytest.mark.parametrize("attempts", ["", "-1", "two", "²", "9" * 5_000])
def test_invalid_attempts_of_a_letter_count_as_0(attempts: str) -> None:
    """A hand-made letter must not make the list fail."""
    attributes = {"Attempts": {"StringValue": attempts}}

    letter = read_letter(notification(record()), attributes, sent_at=NOON)

    assert letter.failure.attempts == 0


@pytest.mark.parametrize("failed_at", ["", "yesterday", "~", "2026", "\x1b[2J"])
def test_a_letter_without_a_valid_time_of_failure_has_the_time_it_was_sent(
    failed_at: str,
) -> None:
    """Otherwise it would be the newest of all, and no `--until` would select it."""
    attributes = {"FailedAt": {"StringValue": failed_at}}

    letter = read_letter(notification(record()), attributes, sent_at=NOON)

    assert letter.failure.failed_at == NOON


@pytest.mark.fuzz("hangtag.dead_letters.read_letter")
@given(
    st.dictionaries(
        st.sampled_from(["ErrorCode", "Attempts", "Replays", "Image", "FailedAt"]),
        st.fixed_dictionaries({}, optional={"StringValue": st.text()}),
    )
)
def test_any_attributes_can_be_read(attributes: dict[str, dict[str, str]]) -> None:
    """A letter may come from any sender."""
    letter = read_letter(notification(record()), attributes, sent_at=NOON)

    assert letter.failure.code
    assert letter.failure.attempts >= 0
