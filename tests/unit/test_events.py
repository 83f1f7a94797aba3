from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.adapters.sqs_backfill_queue import BACKFILL_GROUP
from hangtag.adapters.sqs_queues import REPLAY_GROUP
from hangtag.events import (
    MOST_RECORDS,
    RECONCILE,
    RECORD_BYTES,
    Delivery,
    ParsedRecord,
    Unreadable,
    read_body,
    read_deliveries,
    read_replays,
    record_of_object,
    retag_token,
    to_bare,
)
from hangtag.uploads import Skip, SkipReason, Upload, order_of
from tests.builders import (
    BUCKET,
    EVENTS,
    KEY,
    TOPIC,
    URI,
    an_upload,
    eventbridge_event,
    in_sns,
    notification,
    record,
    sample_event,
    sns_envelope,
    sns_event,
    sqs_event,
)

LONGEST_KEY = "가" * 341 + "x"
"""1,024 bytes of UTF-8."""

HOSTILE_KEYS = [
    "plain.png",
    "a b/c  d.png",
    "1+1=2.png",
    "100%.png",
    "100%25.png",
    "%2F.png",
    "봄/자켓 🧥.png",
    "?#&;=@:,!$'()*[]{}|^~`\"<>\\.png",
    "../../etc/passwd",
    "//double//slash//",
    "tab\there\nnewline\r\x7f.png",
    " leading and trailing ",
    LONGEST_KEY,
]


def only(body: str) -> ParsedRecord:
    """The only record of a body."""
    (parsed,) = read_body(body)
    return parsed


def only_upload(body: str) -> Upload:
    """The upload that is the only record of a body."""
    upload = only(body)
    assert isinstance(upload, Upload)
    return upload


def only_unreadable(body: str) -> Unreadable:
    """A body without a readable record."""
    unreadable = only(body)
    assert isinstance(unreadable, Unreadable)
    assert unreadable.body == body
    assert unreadable.error.code == "UNREADABLE_EVENT"
    return unreadable


def outcomes(event: dict[str, Any]) -> list[str]:
    """For each record of an event its key, its reason to skip, or UNREADABLE."""
    deliveries = read_deliveries(event)
    bodies = [json.dumps(event)] if deliveries is None else [d.body for d in deliveries]
    found: list[str] = []
    for body in bodies:
        for parsed in read_body(body):
            match parsed:
                case Upload():
                    found.append(parsed.key)
                case Skip():
                    found.append(parsed.reason)
                case Unreadable():
                    found.append("UNREADABLE")
    return found


SAMPLE_EVENTS = {
    "sqs-s3-put": ["lookbook/spring jacket.jpg"],
    "sqs-two-records": ["lookbook/spring jacket.jpg", "lookbook/wide-jeans.png"],
    "sqs-batch": [
        "lookbook/spring jacket.jpg",
        "lookbook/wide-jeans.png",
        "lookbook/봄 자켓.webp",
    ],
    "sqs-eventbridge": ["lookbook/봄 자켓 100%+cotton.webp"],
    "s3-put": ["lookbook/spring jacket.jpg"],
    "eventbridge-object-created": ["lookbook/봄 자켓 100%+cotton.webp"],
    "sqs-hostile-key": ['lookbook/100% cotton + "silk"/봄 #1?&v=2 \\ ..//자켓.png'],
    "sqs-replayed": ["lookbook/spring jacket.jpg"],
    "sqs-backfill-again": ["lookbook/spring jacket.jpg"],
    "sqs-undelivered-event": ["lookbook/spring jacket.jpg"],
    "sqs-sns-s3-put": ["lookbook/spring jacket.jpg"],
    "sns-s3-put": ["lookbook/spring jacket.jpg"],
    "sqs-sns-confirmation": ["UNREADABLE"],
    "sqs-s3-test-event": ["TEST_EVENT"],
    "sqs-folder-marker": ["FOLDER_MARKER"],
    "sqs-deletion": ["lookbook/spring jacket.jpg"],
    "sqs-version-deletion": ["lookbook/spring jacket.jpg"],
    "sqs-expiry": ["lookbook/spring jacket.jpg"],
    "eventbridge-object-deleted": ["lookbook/봄 자켓 100%+cotton.webp"],
    "sqs-half-an-event": ["lookbook/spring jacket.jpg", "UNREADABLE"],
    "sqs-unreadable": ["UNREADABLE"],
}


@pytest.mark.parametrize(("name", "expected"), SAMPLE_EVENTS.items())
def test_each_sample_event_reads_as_its_readme_says(
    name: str, expected: list[str]
) -> None:
    """Users send the samples by hand."""
    event = sample_event(name)

    found = outcomes(event)

    assert expected == found


def test_every_sample_event_is_tested_and_described() -> None:
    """Each file has a test here and a line in the README."""
    names = {path.stem for path in EVENTS.glob("*.json")}
    readme = (EVENTS / "README.md").read_text(encoding="utf-8")

    undescribed = {name for name in names if f"`{name}.json`" not in readme}

    assert {*SAMPLE_EVENTS, "try-again"} == names
    assert set() == undescribed


@pytest.mark.parametrize("name", [name for name in SAMPLE_EVENTS if "sqs-" in name])
def test_a_sample_has_the_digest_that_sqs_gives_it(name: str) -> None:
    """A change of a body by hand must change its digest, too."""
    for message in sample_event(name)["Records"]:
        digest = md5(message["body"].encode(), usedforsecurity=False)
        assert message["md5OfBody"] == digest.hexdigest()


def test_a_replayed_message_is_the_dead_letter_and_its_count_of_replays() -> None:
    """Other attributes are not copied."""
    event = sample_event("sqs-replayed")
    deliveries = read_deliveries(event)

    assert deliveries is not None
    [delivery] = deliveries
    assert delivery.replays == 1
    assert delivery.body == only_upload(delivery.body).notification()
    assert set(event["Records"][0]["messageAttributes"]) == {"Replays"}


@pytest.mark.parametrize("group", [None, "backfill", "a group of another sender", 7])
def test_a_message_is_read_alike_in_any_message_group(group: object) -> None:
    """Groups matter to SQS only."""
    event = sample_event("sqs-replayed")
    del event["Records"][0]["attributes"]["MessageGroupId"]
    without = read_deliveries(event)
    event["Records"][0]["attributes"]["MessageGroupId"] = group

    assert read_deliveries(event) == without


def test_the_samples_of_a_replay_and_a_backfill_have_their_message_groups() -> None:
    """The adapters set these."""
    groups = [
        sample_event(name)["Records"][0]["attributes"]["MessageGroupId"]
        for name in ("sqs-replayed", "sqs-backfill-again")
    ]

    assert groups == [REPLAY_GROUP, BACKFILL_GROUP]


def test_a_backfills_message_has_a_retag_token() -> None:
    """A message with a token, and the record that `record_of_object` makes."""
    event = sample_event("sqs-backfill-again")
    deliveries = read_deliveries(event)

    assert deliveries is not None
    [delivery] = deliveries
    upload = only_upload(delivery.body)
    assert delivery.retag == retag_token(1_795_339_801, "0f8fad5b")
    assert set(event["Records"][0]["messageAttributes"]) == {"Again"}
    assert upload.notification() == delivery.body
    assert upload == record_of_object(
        bucket=upload.bucket,
        key=upload.key,
        version_id=upload.version_id,
        etag=upload.etag,
        size=upload.size,
        at=upload.record["eventTime"],
        partition="aws",
    )


def test_the_payload_of_the_schedule_is_the_sample() -> None:
    """A test of the template compares the sample with the schedule."""
    assert sample_event("try-again") == RECONCILE


# ---- deliveries


def test_a_delivery_has_id_handle_and_body_of_its_message() -> None:
    """As SQS sent them."""
    event = sqs_event("first", "second")

    deliveries = read_deliveries(event)

    assert deliveries == (
        Delivery("message-1", "handle of message-1", "first", 0),
        Delivery("message-2", "handle of message-2", "second", 0),
    )


def test_a_delivery_has_the_receive_count_and_the_attributes_of_operators() -> None:
    """A dead letter that SQS's own redrive sent counts as one more replay."""
    event = sqs_event("body")
    event["Records"][0]["attributes"] = {
        "ApproximateReceiveCount": "7",
        "SentTimestamp": "1795339801250",
    }
    event["Records"][0]["messageAttributes"] = {
        "Replays": {"stringValue": "2"},
        "ErrorCode": {"stringValue": "803"},
        "Again": {"stringValue": retag_token(0.0, "0123abcd")},
    }

    assert read_deliveries(event) == (
        Delivery(
            "message-1",
            "handle of message-1",
            "body",
            replays=3,
            receives=7,
            sent_at=1_795_339_801.25,
            retag=retag_token(0.0, "0123abcd"),
        ),
    )


@pytest.mark.parametrize(
    "attribute",
    [
        {},
        {"stringValue": ""},
        {"stringValue": "zzzz"},
        {"stringValue": "2026-11-22T09:30:01.000Z 0123abcdz"},
        {"binaryValue": "eA=="},
    ],
)
def test_an_invalid_retag_token_is_ignored(attribute: dict[str, str]) -> None:
    """A sender's token that sorts above all others would stop later requests to tag again."""
    event = sqs_event("body")
    event["Records"][0]["messageAttributes"] = {"Again": attribute}

    deliveries = read_deliveries(event)

    assert deliveries is not None
    assert deliveries[0].retag is None


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": []},
        {"Records": "text"},
        {"Records": [{"eventSource": "aws:s3"}]},
        {"Records": [{"eventSource": "aws:sqs"}, {"eventSource": "aws:s3"}]},
        {"Records": [1]},
        [],
        None,
        "text",
    ],
)
def test_an_event_that_did_not_come_through_sqs_has_no_deliveries(
    event: object,
) -> None:
    """A bare event must not look like an empty batch: it would be lost."""
    deliveries = read_deliveries(event)

    assert deliveries is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, 0),
        ({"Replays": {"stringValue": "2", "dataType": "String"}}, 2),
        ({"Replays": {"StringValue": "2"}}, 2),
        ({"Replays": {"stringValue": "-1"}}, 0),
        ({"Replays": {"stringValue": "two"}}, 0),
        ({"Replays": {"stringValue": "²"}}, 0),
        ({"Replays": {"stringValue": "9" * 5_000}}, 0),
        ({"Replays": {"binaryValue": "Mg==", "dataType": "Binary"}}, 0),
    ],
)
def test_the_count_of_replays_is_never_an_error(
    attributes: dict[str, Any], expected: int
) -> None:
    """A message may come from any sender; an invalid count counts as 0."""
    replays = read_replays(attributes)

    assert expected == replays


# ---- keys


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_a_notifications_key_is_decoded(key: str) -> None:
    """S3 notifications have URL-encoded keys; an upload has the raw key."""
    upload = only_upload(notification(record(key, size=1)))

    assert (key, f"s3://{BUCKET}/{key}") == (upload.key, upload.uri)


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_the_key_of_an_eventbridge_event_is_not_decoded(key: str) -> None:
    """EventBridge's keys are raw: decoding one would turn "100%25" into "100%"."""
    upload = only_upload(json.dumps(eventbridge_event(key)))

    assert key == upload.key


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_an_eventbridge_event_replays_as_the_same_upload(key: str) -> None:
    """Its dead letter is an S3 notification, so its key is encoded there."""
    upload = only_upload(json.dumps(eventbridge_event(key)))

    replayed = only_upload(upload.notification())

    assert upload == replayed


def test_the_longest_key_is_as_long_as_s3_allows() -> None:
    """It has 1,024 bytes."""
    assert len(LONGEST_KEY.encode()) == 1_024


def test_a_key_longer_than_s3_allows_is_unreadable() -> None:
    """S3 cannot have sent it, and it does not fit into the table's key."""
    only_unreadable(notification(record(LONGEST_KEY + "x")))
    only_unreadable(json.dumps(eventbridge_event(LONGEST_KEY + "x")))


@pytest.mark.parametrize(
    "name",
    ["uploads/dress.jpg", "a b", "a\x9bb", "a\u202eb", "up\nloads", "..", "봄자켓"],
)
def test_a_name_that_no_bucket_can_have_is_unreadable(name: str) -> None:
    """With a slash in it, an upload would have the uri of another bucket's upload."""
    only_unreadable(notification(record(bucket=name)))


def test_a_bucket_name_too_long_for_the_tables_key_is_unreadable() -> None:
    """DynamoDB's partition key takes 2,048 bytes, not characters."""
    only_unreadable(notification(record(bucket="가" * 255)))


@pytest.mark.parametrize("name", ["eTag", "versionId"])
def test_a_version_longer_than_s3_allows_is_unreadable(name: str) -> None:
    """It does not fit into an item of the table."""
    changed = record("a.png")
    changed["s3"]["object"][name] = "가" * 342

    unreadable = only_unreadable(notification(changed))

    assert name in str(unreadable.error)


@pytest.mark.parametrize("encoded", ["%FF.png", "%ED%A0%80.png"])
def test_a_key_that_is_not_utf_8_is_unreadable(encoded: str) -> None:
    """S3's keys are UTF-8; another encoding would find another object."""
    changed = record()
    changed["s3"]["object"]["key"] = encoded

    only_unreadable(notification(changed))


# ---- the facts of an event


def test_an_upload_is_the_version_that_the_event_names() -> None:
    """Version, etag, size and sequencer come with the event."""
    upload = only_upload(notification(record()))

    assert (
        upload.bucket,
        upload.key,
        upload.version_id,
        upload.etag,
        upload.size,
        upload.sequencer,
    ) == (
        BUCKET,
        KEY,
        "version-1",
        "0123456789abcdef",
        72,
        "0065A3F1C2D4E5B607",
    )


def test_both_kinds_of_event_give_the_same_upload() -> None:
    """S3 notifications and EventBridge describe the same upload."""
    by_notification = only_upload(notification(record()))

    by_eventbridge = only_upload(json.dumps(eventbridge_event()))

    assert by_notification.image() == by_eventbridge.image()
    assert by_notification.version == by_eventbridge.version
    assert by_notification.order == by_eventbridge.order
    assert by_notification.happened_at == by_eventbridge.happened_at


def test_an_eventbridge_event_without_resources_names_no_partition() -> None:
    """A replay names none either."""
    event = eventbridge_event()
    del event["resources"]

    upload = only_upload(json.dumps(event))

    assert "arn:" not in upload.notification()


@pytest.mark.parametrize(
    "name",
    [
        "arn:aws:s3:us-east-1:123456789012:accesspoint/theirs",
        "other.example/",
        "a#b",
        "bücket",
        " ",
    ],
)
def test_a_bucket_without_a_name_that_s3_allows_is_unreadable(name: str) -> None:
    """boto3 takes some other texts for access points, to which it would send the request."""
    changed = record()
    changed["s3"]["bucket"]["name"] = name

    assert "bucket" in str(only_unreadable(notification(changed)).error)


# ---- many records


def test_a_message_has_at_most_a_hundred_records() -> None:
    """S3 sends one, and each may be a paid call."""
    records = [record(f"{number}") for number in range(MOST_RECORDS)]

    assert len(read_body(notification(*records))) == MOST_RECORDS
    error = only_unreadable(notification(*records, record("more"))).error
    assert "more than 100 records" in str(error)


TEST_EVENT = json.dumps({"Event": "s3:TestEvent"})


def test_records_in_all_envelopes_of_a_message_are_counted_together() -> None:
    """Each envelope alone has few enough."""
    some = notification(*[record("a")] * 40)

    assert len(read_body(json.dumps(sns_event(some, some)))) == 80
    for most in (sns_event(some, some, some), sns_event(*[TEST_EVENT] * 101)):
        body = json.dumps(most)
        assert only_unreadable(body).body == body


def test_unreadable_records_count_too() -> None:
    """They are parsed like the others."""
    only_unreadable(notification(record("a"), *[{}] * MOST_RECORDS))


# ---- fields


def test_an_etag_is_kept_without_quotes() -> None:
    """With or without them it is the same version."""
    assert only_upload(notification(record(etag='"abc"'))).etag == "abc"


@pytest.mark.parametrize("sequencer", ["", "xyz", "12 34", "0" * 65, 12, None, ["1"]])
def test_an_invalid_sequencer_is_ignored(sequencer: object) -> None:
    """Only hexadecimal numbers of at most 64 digits sort."""
    changed = record()
    changed["s3"]["object"]["sequencer"] = sequencer

    assert only_upload(notification(changed)).sequencer is None


@pytest.mark.parametrize("size", [True, "72", 7.5, None])
def test_an_invalid_size_counts_as_unknown(size: object) -> None:
    """The function takes the size from the object before it calls the API."""
    changed = record()
    changed["s3"]["object"]["size"] = size

    assert only_upload(notification(changed)).size is None


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("PutObject", "ObjectCreated:Put"),
        ("POST Object", "ObjectCreated:Post"),
        ("CopyObject", "ObjectCreated:Copy"),
        ("CompleteMultipartUpload", "ObjectCreated:CompleteMultipartUpload"),
        ("something new", "ObjectCreated:Put"),
        (None, "ObjectCreated:Put"),
        (["PutObject"], "ObjectCreated:Put"),
    ],
)
def test_an_eventbridge_reason_becomes_an_event_name(
    reason: object, expected: str
) -> None:
    """The dead letter of such an event is a notification that S3 could have sent."""
    upload = only_upload(json.dumps(eventbridge_event(reason=reason)))

    assert expected == upload.record["eventName"]


# ---- skipped records


def test_a_folder_marker_is_skipped() -> None:
    """Consoles create empty objects whose keys end in a slash."""
    skip = only(notification(record("lookbook/", size=0)))

    assert isinstance(skip, Skip)
    assert (skip.reason, skip.uri) == (
        SkipReason.FOLDER_MARKER,
        f"s3://{BUCKET}/lookbook/",
    )
    assert skip.upload is not None
    assert skip.upload.key == "lookbook/"


@pytest.mark.parametrize("size", [1, None, False])
def test_a_key_that_ends_in_a_slash_may_be_a_picture(size: int | None) -> None:
    """S3 allows it: only an object that is known to be empty is a marker."""
    upload = only_upload(notification(record("lookbook/", size=size)))

    assert upload.key == "lookbook/"


@pytest.mark.parametrize(
    "name",
    [
        "ObjectCreated:Put",
        "ObjectCreated:Copy",
        "s3:ObjectCreated:Put",
        "ObjectCreated:CompleteMultipartUpload",
    ],
)
def test_every_event_that_creates_an_object_is_an_upload(name: str) -> None:
    """With the prefix `s3:`, too."""
    assert isinstance(only(notification(record(event_name=name))), Upload)


@pytest.mark.parametrize(
    "name",
    [
        "ObjectRestore:Completed",
        "ObjectRestore:Delete",
        "ObjectTagging:Put",
        "ObjectAcl:Put",
        "LifecycleTransition",
        "Replication:OperationFailedReplication",
        "ObjectRemovedLater:Delete",
        "ReducedRedundancyLostObject",
    ],
)
def test_every_other_event_is_skipped(name: str) -> None:
    """A bucket may be set to report more than uploads."""
    skip = only(notification(record(event_name=name)))

    assert skip == Skip(SkipReason.NOT_AN_UPLOAD, URI)


def test_another_event_of_eventbridge_is_skipped() -> None:
    """A rule may match more than uploads and removals."""
    event = eventbridge_event() | {"detail-type": "Object Tags Added"}

    assert only(json.dumps(event)) == Skip(SkipReason.NOT_AN_UPLOAD, URI)


def test_a_failed_invocation_of_the_schedule_is_skipped() -> None:
    """Lambda sends it to the dead-letter queue; the schedule has sent the next one since."""
    failed = {"requestContext": {}, "requestPayload": RECONCILE}

    assert only(json.dumps(failed)) == Skip(SkipReason.NOT_AN_UPLOAD, None)


# ---- removals


def removal(name: str = "ObjectRemoved:Delete", **changes: Any) -> Upload:  # noqa: ANN401 - see `record`
    """The removal of a record with these fields."""
    found = only(notification(record(event_name=name, **changes)))
    assert isinstance(found, Upload)
    return found


@pytest.mark.parametrize(
    "name",
    [
        "ObjectRemoved:Delete",
        "ObjectRemoved:DeleteMarkerCreated",
        "s3:ObjectRemoved:DeleteMarkerCreated",
        "LifecycleExpiration:Delete",
        "LifecycleExpiration:DeleteMarkerCreated",
    ],
)
def test_a_deletion_and_an_expiry_are_removals(name: str) -> None:
    """With the key, the version and the sequencer of the event."""
    found = removal(name)

    assert found.is_removal
    assert found == replace(an_upload(), is_removal=True, record=found.record)
    assert found.image() == an_upload().image()


def test_an_upload_is_no_removal() -> None:
    """Nor does its object become one when it is found."""
    found = an_upload()

    assert not found.is_removal
    assert not found.identified_as(version_id="2", etag="e", size=1).is_removal


@pytest.mark.parametrize(
    ("reason", "deletion_type", "name"),
    [
        ("DeleteObject", "Permanently Deleted", "ObjectRemoved:Delete"),
        (
            "DeleteObject",
            "Delete Marker Created",
            "ObjectRemoved:DeleteMarkerCreated",
        ),
        (
            "Lifecycle Expiration",
            "Permanently Deleted",
            "LifecycleExpiration:Delete",
        ),
        (
            "Lifecycle Expiration",
            "Delete Marker Created",
            "LifecycleExpiration:DeleteMarkerCreated",
        ),
        (None, None, "ObjectRemoved:Delete"),
        ([], {}, "ObjectRemoved:Delete"),
    ],
)
def test_eventbridge_reports_removals_too(
    reason: object, deletion_type: object, name: str
) -> None:
    """Its dead letter and its replay are the S3 notification of the same removal."""
    event = eventbridge_event(reason=reason) | {"detail-type": "Object Deleted"}
    event["detail"]["deletion-type"] = deletion_type

    found = only(json.dumps(event))

    assert isinstance(found, Upload)
    assert found.is_removal
    assert found.record["eventName"] == name
    assert found.version == removal(name).version
    assert only(found.notification()) == found


def test_a_removal_has_a_version_of_its_own() -> None:
    """It is never that of an object version, which may come back."""
    found = removal(sequencer="0A")

    assert found.version == f"removed:{order_of('a')}"
    assert found.version == removal(version_id="other", sequencer="A").version
    assert found.version != removal(sequencer="0B").version
    assert found.is_identified


def test_copies_of_a_removal_without_a_sequencer_share_their_version() -> None:
    """Two removals do not: a delete marker is created and later deleted under one version id."""
    versions = [
        removal(name, version_id=version_id, etag=None, sequencer=None).version
        for name in ("ObjectRemoved:DeleteMarkerCreated", "ObjectRemoved:Delete")
        for version_id in ("marker", "other", None, "x" * 1_000)
    ]
    repeated = removal(
        "ObjectRemoved:Delete", version_id=None, etag=None, sequencer=None
    )

    assert len(set(versions)) == len(versions)
    assert versions.count(repeated.version) == 1
    assert all(len(version.encode()) <= 1_000 for version in versions)
    assert all(version.startswith("removed:") for version in versions)
    assert removal(sequencer=None, version_id=None).is_identified


# ---- unreadable records


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "{",
        "null",
        "[]",
        "17",
        '"text"',
        "{}",
        '{"Records": []}',
        '{"Records": {}}',
        '{"source": "aws.s3"}',
        '{"source": "aws.s3", "detail": {}}',
        '{"source": "aws.ec2", "detail": {}}',
        '{"Records": [{"eventSource": "aws:sns"}]}',
        '{"requestContext": {}, "requestPayload": {"requestPayload": {}}}',
        '"\ud800"',
        "[" * 100_000,
        '{"Records": [' + "[" * 100_000,
        "1" * 10_000,
    ],
)
def test_a_body_that_is_no_event_is_unreadable_and_stays_byte_for_byte(
    body: str,
) -> None:
    """An operator has to see exactly what was sent."""
    only_unreadable(body)


@pytest.mark.parametrize("missing", ["eventSource", "eventName", "s3"])
def test_the_error_names_the_missing_field(missing: str) -> None:
    """The sender can correct it."""
    changed = record()
    del changed[missing]

    unreadable = only_unreadable(notification(changed))

    assert missing in str(unreadable.error)


def test_an_unreadable_record_does_not_hide_the_others() -> None:
    """The function works on the good records; the dead letter is the whole body."""
    bad = {"eventSource": "aws:s3"}
    body = notification(record("a"), bad, record("c"), "bad, too")

    *good, last = read_body(body)

    assert [one.key for one in good if isinstance(one, Upload)] == ["a", "c"]
    assert isinstance(last, Unreadable)
    assert last.body == body
    assert "2 of 4 records" in str(last.error)
    assert "record 2: eventName is missing" in str(last.error)


@pytest.mark.parametrize("good", [0, 1])
def test_all_unreadable_records_of_a_message_are_one(good: int) -> None:
    """A message becomes at most one dead letter."""
    bad = [{"number": number} for number in range(90)]
    body = notification(*[record("a")] * good, *bad)

    *others, last = read_body(body)

    assert len(others) == good
    assert isinstance(last, Unreadable)
    assert last.body == body
    assert f"90 of {90 + good} records" in str(last.error)


def test_a_record_larger_than_16_kb_is_unreadable() -> None:
    """It would not fit into messages and items; a record of S3 has about 1 KB."""
    room = RECORD_BYTES - len(only_upload(notification(record("a"))).notification())
    largest = record("a") | {"more": "x" * (room - len(',"more":""'))}
    larger = record("b") | {"more": "x" * (room + 1 - len(',"more":""'))}

    upload, last = read_body(notification(largest, larger))

    assert isinstance(upload, Upload)
    assert upload.record == largest
    assert isinstance(last, Unreadable)
    assert "record 2: larger than 16 KB" in str(last.error)
    only_unreadable(json.dumps(eventbridge_event() | {"more": "x" * 16_384}))


def test_a_record_that_is_larger_when_written_again_is_unreadable() -> None:
    """We escape an emoji as twelve characters: 1,400 of them exceed 16 KB."""
    document = {"Records": [record("a") | {"more": "😀" * 1_400}]}

    only_unreadable(json.dumps(document, ensure_ascii=False))


@pytest.mark.parametrize(
    "hostile",
    ["1" * 5_000, "[" * 5_000 + "]" * 5_000, '"half a character: \\ud800"'],
    ids=["digits", "nesting", "lone surrogate"],
)
def test_json_that_the_parser_refuses_is_unreadable_as_a_whole(hostile: str) -> None:
    """S3 and EventBridge send no such JSON."""
    body = notification(record("a"))[:-2] + ',{"hostile":' + hostile + "}]}"

    only_unreadable(body)


# ---- envelopes


def in_destination_record(document: object) -> str:
    """An asynchronous event that failed, as Lambda sends it to the dead-letter queue."""
    return json.dumps(
        {
            "requestContext": {"condition": "RetriesExhausted"},
            "requestPayload": document,
            "responsePayload": {"errorType": "QueueUnavailable"},
        }
    )


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_a_notification_in_an_sns_envelope_reads_like_the_bare_one(key: str) -> None:
    """Teams fan out by SNS, because S3 allows one target for an event and a prefix."""
    body = notification(record(key), record("b"))

    assert read_body(in_sns(body)) == read_body(body)
    assert json.loads(
        only_upload(in_sns(notification(record(key)))).notification()
    ) == {"Records": [record(key)]}


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_an_eventbridge_event_in_an_sns_envelope_reads_like_the_bare_one(
    key: str,
) -> None:
    """A rule of EventBridge may have a topic as its target."""
    body = json.dumps(eventbridge_event(key))

    assert only_upload(in_sns(body)) == only_upload(body)


def test_a_test_event_in_an_sns_envelope_is_skipped() -> None:
    """S3 sends one when the bucket gets a topic as its target."""
    body = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})

    assert only(in_sns(body)) == Skip(SkipReason.TEST_EVENT, None)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("hello", "the message in the SNS envelope is not JSON"),
        ("[1]", "the message in the SNS envelope is a JSON list"),
        (
            '{"order": 7}',
            "the message in the SNS envelope is neither an S3 notification",
        ),
        (
            notification(record("a") | {"s3": None}),
            "the message in the SNS envelope has 1 of 1 records unreadable; record 1: s3",
        ),
        (None, "the body is an SNS envelope without a Message"),
        ({"Records": [record()]}, "the body is an SNS envelope without a Message"),
    ],
)
def test_what_is_unreadable_in_an_sns_envelope_is_kept_with_the_envelope(
    message: object, expected: str
) -> None:
    """The error says where it was; the envelope names the topic."""
    body = json.dumps(sns_envelope("") | {"Message": message})

    unreadable = only_unreadable(body)

    assert str(unreadable.error).startswith(expected)


def test_an_unreadable_record_in_an_sns_envelope_does_not_hide_the_others() -> None:
    """The dead letter is the whole body."""
    body = in_sns(notification(record("a"), {"eventSource": "aws:s3"}))

    upload, last = read_body(body)

    assert isinstance(upload, Upload)
    assert isinstance(last, Unreadable)
    assert (upload.key, last.body) == ("a", body)


def test_an_event_of_an_sns_subscription_of_the_function_reads_like_its_messages() -> (
    None
):
    """It comes without a queue, so the function puts its uploads on the queue."""
    event = sns_event(
        notification(record("a"), record("b")),
        "hello",
        json.dumps(eventbridge_event("c")),
        "[]",
    )

    assert read_deliveries(event) is None
    *uploads, last = read_body(json.dumps(event))
    assert ["a", "b", "c"] == [one.key for one in uploads if isinstance(one, Upload)]
    assert isinstance(last, Unreadable)
    assert (last.body, "SNS envelope is not JSON" in str(last.error)) == (
        json.dumps(event),
        True,
    )


def test_lambdas_destination_record_of_an_event_of_sns_reads_like_its_message() -> None:
    """Lambda sends it to the dead-letter queue if the upload queue did not take the event."""
    body = in_destination_record(sns_event(notification(record("a"))))

    assert only_upload(body) == only_upload(notification(record("a")))


@pytest.mark.parametrize(("envelopes", "is_read"), [(2, True), (5, True), (6, False)])
def test_envelopes_in_envelopes_are_opened_to_a_limit(
    envelopes: int, *, is_read: bool
) -> None:
    """A topic may forward another one; no message keeps the function busy without end."""
    body = notification(record("a"))
    for _ in range(envelopes):
        body = in_sns(body)

    if is_read:
        assert only_upload(body) == only_upload(notification(record("a")))
    else:
        assert "more than 5 envelopes" in str(only_unreadable(body).error)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("SubscriptionConfirmation", "aws sns confirm-subscription"),
        ("UnsubscribeConfirmation", "subscribe it again"),
    ],
)
def test_a_message_of_sns_about_the_subscription_says_what_to_do(
    kind: str, expected: str
) -> None:
    """The owner of the queue confirms the subscription of another account's topic."""
    changes = {
        "Type": kind,
        "Token": "SECRET-TOKEN",
        "SubscribeURL": f"https://sns/?Action=Confirm&TopicArn={TOPIC}&Token=SECRET-TOKEN",
    }
    envelope = sns_envelope("You have chosen to subscribe to the topic ...", **changes)
    event = {"Records": [{"EventSource": "aws:sns", "Sns": envelope}]}

    for body in (json.dumps(envelope), json.dumps(event)):
        message = str(only_unreadable(body).error)

        assert kind in message
        assert TOPIC in message
        assert expected in message
        assert "SECRET-TOKEN" not in message
        assert "https" not in message


def test_the_attributes_of_a_message_in_an_sns_envelope_are_not_attributes_of_sqs() -> (
    None
):
    """A publisher's attributes are neither replays nor re-tag tokens."""
    attributes = {"Replays": {"Type": "String", "Value": "3"}}
    body = json.dumps(
        sns_envelope(notification(record()), MessageAttributes=attributes)
    )

    deliveries = read_deliveries(sqs_event(body))

    assert deliveries is not None
    assert (deliveries[0].replays, deliveries[0].retag) == (0, None)


def test_a_large_record_is_as_unreadable_in_an_sns_envelope_as_bare() -> None:
    """The limit is of the record, not of the message."""
    for characters in (3_000, 8_000):  # 6 bytes each in the notification
        body = json.dumps(
            {"Records": [record("a") | {"more": "봄" * characters}]}, ensure_ascii=False
        )

        bare, wrapped = read_body(body), read_body(in_sns(body))

        assert [type(one) for one in bare] == [Unreadable]
        assert [type(one) for one in wrapped] == [Unreadable]


def test_the_bare_notification_of_an_envelope_has_its_uploads() -> None:
    """A replay of a letter that SQS's own redrive moved sends it."""
    whole = notification(record("a"), record("folder/", size=0), record("b"))

    assert to_bare(in_sns(whole)) == whole
    assert to_bare(in_destination_record(sns_event(whole))) == whole
    assert to_bare(whole) == whole
    assert read_body(to_bare(in_sns(json.dumps(eventbridge_event())))) == read_body(
        json.dumps(eventbridge_event())
    )


@pytest.mark.parametrize(
    "body",
    [
        "no event",
        in_sns("no event"),
        in_sns(notification(record("a"), {"eventSource": "aws:s3"})),
        in_sns('{"Event": "s3:TestEvent"}'),
    ],
)
def test_a_body_with_more_or_less_than_uploads_stays_as_it_is(body: str) -> None:
    """An operator sees exactly what was sent."""
    assert to_bare(body) == body


# ---- any input

_texts = st.text(st.characters())
"""Lone surrogates included."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=15,
)

_names = st.sampled_from(
    ["key", "size", "eTag", "etag", "versionId", "version-id", "sequencer", "name"]
)
_objects = st.dictionaries(_names, json_values | _texts, max_size=6)
records = st.fixed_dictionaries(
    {},
    optional={
        "eventSource": st.just("aws:s3") | json_values,
        "eventName": st.sampled_from(["ObjectCreated:Put", "x"]) | json_values,
        "s3": st.fixed_dictionaries(
            {}, optional={"bucket": _objects | json_values, "object": _objects}
        )
        | json_values,
    },
)
events = st.fixed_dictionaries(
    {},
    optional={
        "Records": st.lists(records | json_values, max_size=3) | json_values,
        "Event": st.just("s3:TestEvent") | json_values,
        "source": st.just("aws.s3") | json_values,
        "detail-type": st.just("Object Created") | json_values,
        "detail": st.fixed_dictionaries(
            {},
            optional={
                "bucket": _objects | json_values,
                "object": _objects | json_values,
                "reason": json_values,
            },
        )
        | json_values,
        "resources": json_values,
        "requestContext": json_values,
        "requestPayload": json_values,
        "Type": st.sampled_from(["Notification", "SubscriptionConfirmation"]),
        "Message": _texts | st.builds(json.dumps, records) | json_values,
    },
)


_keys = st.text(min_size=1).filter(lambda key: len(key.encode()) <= 1024)


@pytest.mark.fuzz("hangtag.events.read_body")
@given(_texts)
def test_any_text_can_be_read(body: str) -> None:
    """An exception would stop the other messages of the batch."""
    assert len(read_body(body)) > 0


@pytest.mark.fuzz("hangtag.events.read_body")
@given(events | json_values)
def test_any_json_can_be_read(document: object) -> None:
    """Every upload in it can be replayed; every unreadable record keeps the body."""
    body = json.dumps(document)

    parsed = read_body(body)

    assert len(parsed) > 0
    assert not any(isinstance(one, Unreadable) for one in parsed[:-1])
    for one in parsed:
        if isinstance(one, Upload):
            assert only_upload(one.notification()).image() == one.image()
            assert len(one.order) <= 64
        if isinstance(one, Unreadable):
            assert one.body == body


@pytest.mark.fuzz("hangtag.events.read_body")
@given(
    st.lists(_keys.map(record) | records, min_size=1).map(
        lambda some: notification(*some)
    )
    | _keys.map(eventbridge_event).map(json.dumps)
    | st.builds(json.dumps, events | json_values)
    | _texts,
    st.sampled_from(
        [
            in_sns,
            lambda body: json.dumps(sns_event(body)),
            lambda body: in_destination_record(sns_event(body)),
            lambda body: in_sns(in_sns(body)),
        ]
    ),
)
def test_any_body_reads_in_an_envelope_like_bare(
    body: str, wrapped_in: Callable[[str], str]
) -> None:
    """Only what is unreadable has another body: the whole message, with its envelope."""
    wrapped = wrapped_in(body)

    *bare, last = read_body(body)
    *found, found_last = read_body(wrapped)

    assert bare == found
    if isinstance(last, Unreadable):
        assert isinstance(found_last, Unreadable)
        assert found_last.body == wrapped
    else:
        assert last == found_last


@given(_keys)
def test_every_key_of_s3_can_be_read(key: str) -> None:
    """The function finds each object under its name."""
    (upload,) = read_body(notification(record(key, size=1)))

    assert isinstance(upload, Upload)
    assert key == upload.key
