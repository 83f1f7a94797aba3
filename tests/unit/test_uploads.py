from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.events import read_body
from hangtag.uploads import Upload
from tests.builders import NOON_SECONDS, an_upload, notification, record


def replayed(upload: Upload) -> Upload:
    """The upload in the notification of a replay."""
    (found,) = read_body(upload.notification())
    assert isinstance(found, Upload)
    return found


# ---- identity


def test_without_a_version_id_the_etag_is_the_version() -> None:
    """S3 writes "null" where a bucket has no versions."""
    upload = an_upload(version_id="null")

    assert (upload.version_id, upload.version) == (None, "etag:0123456789abcdef")


@pytest.mark.parametrize("etag", [None, '""'])
def test_without_version_id_and_etag_the_place_in_the_sequence_is_the_version(
    etag: str | None,
) -> None:
    """The function asks S3 for the version first; an empty etag identifies nothing."""
    upload = an_upload(version_id=None, etag=etag)

    assert not upload.is_identified
    assert upload.version == f"event:{upload.order}"


def test_a_very_long_version_is_shortened_to_its_digest() -> None:
    """A sort key takes 1,024 bytes; different versions stay different."""
    one = an_upload(version_id="x" * 1_000)
    other = an_upload(version_id="x" * 999 + "y")

    assert len(one.version.encode()) <= 1_000
    assert one.version != other.version


def test_an_object_completes_an_upload_without_version_etag_and_size() -> None:
    """A replay of the completed upload is about the same version."""
    upload = an_upload(version_id=None, etag=None, size=None, sequencer=None)

    identified = upload.identified_as(version_id="version-9", etag="abc", size=5)

    assert (
        identified.version_id,
        identified.etag,
        identified.size,
        identified.sequencer,
    ) == ("version-9", "abc", 5, None)
    assert replayed(identified) == identified


def test_an_object_of_a_bucket_without_versions_completes_an_upload() -> None:
    """Its version id is "null", in S3's words."""
    upload = an_upload(version_id=None, etag=None, size=None)

    identified = upload.identified_as(version_id=None, etag="abc", size=5)

    assert (identified.version_id, identified.version) == (None, "etag:abc")
    assert replayed(identified) == identified


def test_an_object_with_another_etag_completes_nothing() -> None:
    """The upload was overwritten: the object is another version."""
    upload = an_upload(version_id=None, etag="abc")

    assert upload.identified_as(version_id="v", etag="other", size=5) == upload


# ---- the sequence


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("0A", "0B"),
        ("F", "10"),
        ("0055AED6DCD90281E5", "0055AED6DCD90281E6"),
        ("0055AED6DCD90281E5", "55AED6DCD90281E6"),
        ("a", "B"),
        (None, "0"),
    ],
)
def test_sequencers_are_compared_as_numbers(older: str | None, newer: str) -> None:
    """They are left-padded in either case; an event without one is older than all others."""
    assert an_upload(sequencer=older).order < an_upload(sequencer=newer).order


def test_sequencers_that_differ_only_in_padding_and_case_are_the_same() -> None:
    """They are numbers."""
    assert an_upload(sequencer="00ab").order == an_upload(sequencer="AB").order


# ---- the record


def test_an_upload_knows_when_it_happened() -> None:
    """In seconds since 1970."""
    assert an_upload().happened_at == NOON_SECONDS


@pytest.mark.parametrize("time", [None, "", "yesterday", 12, "0001-01-01T00:00+23:59"])
def test_an_invalid_time_of_an_event_is_no_error(time: object) -> None:
    """The time is for metrics only."""
    (upload,) = read_body(notification(record() | {"eventTime": time}))

    assert isinstance(upload, Upload)
    assert upload.happened_at is None or upload.happened_at < 0


@given(st.text())
def test_a_notification_is_ascii_and_has_exactly_the_record(text: str) -> None:
    """SQS refuses a message with some of the other characters."""
    whole = record("a.png") | {"more": text}
    (upload,) = read_body(notification(whole))
    assert isinstance(upload, Upload)

    body = upload.notification()

    assert body.isascii()
    assert body.isprintable()
    assert json.loads(body) == {"Records": [whole]}


def test_each_record_of_a_message_replays_alone() -> None:
    """A replay must not tag the other records again."""
    first, second = read_body(notification(record("a"), record("b")))

    assert isinstance(first, Upload)
    assert isinstance(second, Upload)
    assert replayed(first) == first
    assert replayed(second) == second
