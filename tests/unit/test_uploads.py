from __future__ import annotations

import json
from bisect import bisect_left
from hashlib import md5
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.events import (
    RECONCILE,
    Delivery,
    ParsedRecord,
    Unreadable,
    read_body,
    read_deliveries,
    read_document,
    read_replays,
    record_of_object,
)
from hangtag.uploads import Skip, SkipReason, Upload
from tests.builders import (
    BUCKET,
    EVENTS,
    KEY,
    URI,
    an_upload,
    eventbridge_event,
    notification,
    record,
    sample_event,
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
    """The one entry of a body."""
    (entry,) = read_body(body)
    return entry


def only_upload(body: str) -> Upload:
    """The one entry of a body, which is an upload."""
    entry = only(body)
    assert isinstance(entry, Upload)
    return entry


def outcomes(event: dict[str, Any]) -> list[str]:
    """What each record of an event is: a key, a reason to skip, or UNREADABLE."""
    deliveries = read_deliveries(event)
    bodies = [json.dumps(event)] if deliveries is None else [d.body for d in deliveries]
    found: list[str] = []
    for body in bodies:
        for entry in read_body(body):
            match entry:
                case Upload():
                    found.append(entry.key)
                case Skip():
                    found.append(entry.reason)
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
    "sqs-s3-test-event": ["TEST_EVENT"],
    "sqs-folder-marker": ["FOLDER_MARKER"],
    "sqs-deletion": ["NOT_AN_UPLOAD"],
    "sqs-half-an-event": ["lookbook/spring jacket.jpg", "UNREADABLE"],
    "sqs-unreadable": ["UNREADABLE"],
}


@pytest.mark.parametrize(("name", "expected"), SAMPLE_EVENTS.items())
def test_each_sample_event_is_read_as_what_it_is(
    name: str, expected: list[str]
) -> None:
    """The events that people send by hand are the ones that the tests know."""
    event = sample_event(name)

    found = outcomes(event)

    assert expected == found


def test_every_sample_event_is_tested_and_described() -> None:
    """A sample without a test, or without a line in the README, is no sample."""
    names = {path.stem for path in EVENTS.glob("*.json")}
    readme = (EVENTS / "README.md").read_text(encoding="utf-8")

    undescribed = {name for name in names if f"`{name}.json`" not in readme}

    assert {*SAMPLE_EVENTS, "try-again"} == names
    assert set() == undescribed


@pytest.mark.parametrize("name", [name for name in SAMPLE_EVENTS if "sqs-" in name])
def test_a_sample_has_the_digest_that_sqs_gives_it(name: str) -> None:
    """Whoever changes a body by hand changes its digest, too."""
    for message in sample_event(name)["Records"]:
        digest = md5(message["body"].encode(), usedforsecurity=False)
        assert message["md5OfBody"] == digest.hexdigest()


def test_a_replayed_delivery_says_how_often() -> None:
    """The count of replays travels with the notification that was buried, and nothing else."""
    event = sample_event("sqs-replayed")
    deliveries = read_deliveries(event)

    assert deliveries is not None
    [delivery] = deliveries
    assert delivery.replays == 1
    assert delivery.body == only_upload(delivery.body).notification()
    assert set(event["Records"][0]["messageAttributes"]) == {"Replays"}


def test_an_order_to_tag_again_is_what_a_backfill_sends() -> None:
    """Its token, and the upload as `record_of_object` makes it."""
    event = sample_event("sqs-backfill-again")
    deliveries = read_deliveries(event)

    assert deliveries is not None
    [delivery] = deliveries
    upload = only_upload(delivery.body)
    assert delivery.retag == UUID(delivery.retag).hex
    assert set(event["Records"][0]["messageAttributes"]) == {"Again"}
    assert upload.notification() == delivery.body
    assert upload == record_of_object(
        bucket=upload.bucket,
        key=upload.key,
        version_id=upload.version_id,
        etag=upload.etag,
        size=upload.size,
        at=upload.record["eventTime"],
    )


def test_the_schedules_event_is_the_sample() -> None:
    """The template's is compared with it, too."""
    assert sample_event("try-again") == RECONCILE


# ---- deliveries


def test_a_delivery_is_what_sqs_handed_out() -> None:
    """Id, handle and body reach the core as they came."""
    event = sqs_event("first", "second")

    deliveries = read_deliveries(event)

    assert deliveries == (
        Delivery("message-1", "handle of message-1", "first", 0),
        Delivery("message-2", "handle of message-2", "second", 0),
    )


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
def test_what_did_not_come_through_sqs_has_no_deliveries(event: object) -> None:
    """A bare event must not be taken for an empty batch: it would be lost."""
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
    """Anybody may put attributes on a message; a bad one counts as none."""
    replays = read_replays(attributes)

    assert expected == replays


# ---- keys


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_a_notifications_key_is_decoded(key: str) -> None:
    """S3 notifications have URL-encoded keys; an upload's key is the raw one."""
    upload = only_upload(notification(record(key, size=1)))

    assert (key, f"s3://{BUCKET}/{key}") == (upload.key, upload.uri)


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_an_eventbridge_events_key_is_taken_as_it_is(key: str) -> None:
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
    """The 1,024 bytes that the tests try are really 1,024."""
    assert len(LONGEST_KEY.encode()) == 1_024


def test_a_key_longer_than_s3_allows_is_unreadable() -> None:
    """It cannot be S3's, and it would not fit into the table's key."""
    entry = only(notification(record(LONGEST_KEY + "x")))

    assert isinstance(entry, Unreadable)


def test_a_bucket_name_too_long_for_the_tables_key_is_unreadable() -> None:
    """DynamoDB's partition key takes 2,048 bytes: counted in bytes, not in letters."""
    entry = only(notification(record(bucket="가" * 255)))

    assert isinstance(entry, Unreadable)


@pytest.mark.parametrize("encoded", ["%FF.png", "%ED%A0%80.png"])
def test_a_key_that_is_not_utf_8_is_unreadable(encoded: str) -> None:
    """S3's keys are UTF-8; guessing at another encoding would find another object."""
    told = record()
    told["s3"]["object"]["key"] = encoded

    entry = only(notification(told))

    assert isinstance(entry, Unreadable)


@pytest.mark.parametrize("name", ["key", "bucket"])
def test_half_a_character_is_unreadable(name: str) -> None:
    r"""JSON can spell "\ud800", which no other encoding can carry."""
    told = record()
    if name == "key":
        told["s3"]["object"]["key"] = "half \ud800.png"
    else:
        told["s3"]["bucket"]["name"] = "half-\ud800"

    entry = only(notification(told))

    assert isinstance(entry, Unreadable)


# ---- what else an event tells


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


def test_both_kinds_of_event_tell_the_same_upload() -> None:
    """Which way S3 told of an upload makes no difference to what is kept."""
    by_notification = only_upload(notification(record()))

    by_eventbridge = only_upload(json.dumps(eventbridge_event()))

    assert by_notification.image() == by_eventbridge.image()
    assert by_notification.version == by_eventbridge.version
    assert by_notification.order == by_eventbridge.order
    assert by_notification.bucket_arn == by_eventbridge.bucket_arn


def test_the_version_null_is_none() -> None:
    """S3 says "null" where an object has no version; the etag tells it apart then."""
    upload = an_upload(version_id="null")

    assert (upload.version_id, upload.version) == (None, "etag:0123456789abcdef")


def test_an_etag_is_kept_without_quotes() -> None:
    """Events have it without, other services with them: it is one identity."""
    assert an_upload(etag='"abc"').etag == "abc"


@pytest.mark.parametrize("etag", [None, '""'])
def test_an_upload_without_version_and_etag_is_not_identified(
    etag: str | None,
) -> None:
    """It is looked up in the bucket first; an empty etag identifies nothing."""
    upload = an_upload(version_id=None, etag=etag)

    assert not upload.is_identified
    assert upload.version == f"event:{upload.order}"


def test_an_upload_takes_from_the_object_what_its_event_did_not_tell() -> None:
    """Facts of the event win: they are about this event's version."""
    upload = an_upload(version_id=None, etag=None, size=None, sequencer=None)

    identified = upload.identified_as(version_id="version-9", etag="abc", size=5)

    assert (
        identified.version_id,
        identified.etag,
        identified.size,
        identified.sequencer,
    ) == ("version-9", "abc", 5, None)
    # Its letter is replayed when the object may be another one
    assert only_upload(identified.notification()) == identified


def test_a_very_long_version_is_kept_as_its_digest() -> None:
    """A sort key takes 1,024 bytes; different versions stay different."""
    one = an_upload(version_id="x" * 1_000)
    other = an_upload(version_id="x" * 999 + "y")

    assert len(one.version.encode()) <= 1_000
    assert one.version != other.version


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
    """Left-padded, whatever the case; an event without one is older than all others."""
    assert an_upload(sequencer=older).order < an_upload(sequencer=newer).order


def test_sequencers_that_differ_only_in_padding_and_case_are_the_same() -> None:
    """They are numbers."""
    assert an_upload(sequencer="00ab").order == an_upload(sequencer="AB").order


@pytest.mark.parametrize("sequencer", ["", "xyz", "12 34", "0" * 65, 12, None, ["1"]])
def test_what_is_no_sequencer_counts_as_none(sequencer: object) -> None:
    """Nothing else is trusted to sort."""
    told = record()
    told["s3"]["object"]["sequencer"] = sequencer

    upload = only_upload(notification(told))

    assert upload.sequencer is None


@pytest.mark.parametrize("size", [True, "72", 7.5, None])
def test_what_is_no_size_counts_as_unknown(size: object) -> None:
    """It is for information only; the object itself is asked before the API is."""
    told = record()
    told["s3"]["object"]["size"] = size

    upload = only_upload(notification(told))

    assert upload.size is None


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
    """A letter made of such an event is one that S3 could have sent."""
    upload = only_upload(json.dumps(eventbridge_event(reason=reason)))

    assert expected == upload.record["eventName"]


def test_a_bucket_of_another_partition_keeps_its_arn() -> None:
    """Announcements name the bucket as AWS does there."""
    told = record()
    told["s3"]["bucket"]["arn"] = f"arn:aws-cn:s3:::{BUCKET}"

    assert f"arn:aws-cn:s3:::{BUCKET}" == only_upload(notification(told)).bucket_arn


def test_a_bucket_without_arn_gets_one() -> None:
    """Whoever builds events by hand leaves it out."""
    told = record()
    del told["s3"]["bucket"]["arn"]

    assert f"arn:aws:s3:::{BUCKET}" == only_upload(notification(told)).bucket_arn


# ---- what is no work


def test_a_folder_marker_is_skipped() -> None:
    """Consoles make empty objects whose keys end in a slash."""
    entry = only(notification(record("lookbook/", size=0)))

    assert isinstance(entry, Skip)
    assert (entry.reason, entry.uri) == (
        SkipReason.FOLDER_MARKER,
        f"s3://{BUCKET}/lookbook/",
    )
    assert entry.upload is not None


@pytest.mark.parametrize("size", [1, None])
def test_a_key_that_ends_in_a_slash_may_be_a_picture(size: int | None) -> None:
    """S3 allows it: only what is known to be empty is a marker."""
    entry = only(notification(record("lookbook/", size=size)))

    assert isinstance(entry, Upload)


@pytest.mark.parametrize(
    "name",
    [
        "ObjectCreated:Put",
        "ObjectCreated:Copy",
        "s3:ObjectCreated:Put",
        "ObjectCreated:CompleteMultipartUpload",
    ],
)
def test_everything_that_creates_an_object_is_an_upload(name: str) -> None:
    """Also with the prefix that some senders keep."""
    assert isinstance(only(notification(record(event_name=name))), Upload)


@pytest.mark.parametrize(
    "name",
    [
        "ObjectRemoved:Delete",
        "s3:ObjectRemoved:DeleteMarkerCreated",
        "ObjectRestore:Completed",
        "ObjectTagging:Put",
        "ReducedRedundancyLostObject",
    ],
)
def test_what_creates_nothing_is_skipped(name: str) -> None:
    """A bucket may tell of more than it should."""
    entry = only(notification(record(event_name=name)))

    assert entry == Skip(SkipReason.NOT_AN_UPLOAD, URI)


def test_another_event_of_eventbridge_is_skipped() -> None:
    """A rule may match more than it should."""
    event = eventbridge_event() | {"detail-type": "Object Deleted"}

    assert only(json.dumps(event)) == Skip(SkipReason.NOT_AN_UPLOAD, URI)


# ---- what cannot be read


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
        "[" * 100_000,
        "1" * 10_000,
    ],
)
def test_what_is_no_event_stays_byte_for_byte(body: str) -> None:
    """Somebody has to look at it, at exactly what was sent."""
    entry = only(body)

    assert isinstance(entry, Unreadable)
    assert body == entry.body
    assert entry.error.code == "UNREADABLE_EVENT"


@pytest.mark.parametrize("missing", ["eventSource", "eventName", "s3"])
def test_a_record_that_lacks_something_is_named(missing: str) -> None:
    """The message says what is missing, so that its sender can be corrected."""
    told = record()
    del told[missing]

    entry = only(notification(told))

    assert isinstance(entry, Unreadable)
    assert missing in str(entry.error)


def test_half_a_record_does_not_hide_its_neighbours() -> None:
    """Good records of a message are worked on; the letter has only the bad one."""
    bad: dict[str, Any] = {"eventSource": "aws:s3"}

    *good, rest = read_body(notification(record("a"), bad, record("c")))

    assert [entry.key for entry in good if isinstance(entry, Upload)] == ["a", "c"]
    assert isinstance(rest, Unreadable)
    assert json.loads(rest.body) == {"Records": [bad]}
    assert "1 of 3 records" in str(rest.error)


def test_all_unreadable_records_beside_good_ones_are_one_letter() -> None:
    """Thousands of letters of one message would cost, and begin again with each retry."""
    bad = [{"number": number} for number in range(2_000)]

    good, rest = read_body(notification(*bad[:1_000], record("a"), *bad[1_000:]))

    assert isinstance(good, Upload)
    assert isinstance(rest, Unreadable)
    assert json.loads(rest.body) == {"Records": bad}


def test_a_letter_is_no_longer_than_its_message() -> None:
    """What is written anew may be longer than it came: 1e15 becomes 1000000000000000.0."""
    numbers = "[" + ",".join(["1e15"] * 50_000) + "]"
    body = notification(record("a"))[:-2] + ',{"numbers":' + numbers + "}]}"

    _, rest = read_body(body)

    assert isinstance(rest, Unreadable)
    assert len(rest.body) <= len(body)


@pytest.mark.parametrize("size", [0, 100_000, 260_000])
def test_a_notification_always_fits_into_a_message_and_into_the_table(
    size: int,
) -> None:
    """S3 never writes such records, but others may; they are replayed all the same."""
    told = record("가/자켓.png") | {"more": "가" * (size // 3)}

    upload = only_upload(notification(told))

    again = only_upload(upload.notification())
    assert len(upload.notification().encode()) < 250_000
    assert (upload.key, upload.version, upload.order, upload.size) == (
        again.key,
        again.version,
        again.order,
        again.size,
    )
    assert upload.happened_at == again.happened_at
    assert ("more" in again.record) is (size < 250_000)


def test_a_turn_of_the_schedule_that_failed_is_nothing_to_replay() -> None:
    """Lambda buries it like any event; the next turn has come since."""
    failed = {"requestContext": {}, "requestPayload": RECONCILE}

    assert only(json.dumps(failed)) == Skip(SkipReason.NOT_AN_UPLOAD, None)


@pytest.mark.parametrize("letter", ["\ud800", "\uffff", "\ufffe", "\x00", "\x1b"])
def test_what_sqs_takes_in_no_message_is_escaped(letter: str) -> None:
    """It came escaped, too: JSON can spell what a message may not hold."""
    told = record("a.png") | {"more": f"before{letter}after"}

    body = only_upload(notification(told)).notification()

    assert letter not in body
    assert json.loads(body) == {"Records": [told]}


def test_each_record_of_a_message_is_its_own_letter() -> None:
    """A replay must not tag the neighbours again."""
    first, second = read_body(notification(record("a"), record("b")))

    assert isinstance(first, Upload)
    assert isinstance(second, Upload)
    assert [first] == list(read_body(first.notification()))
    assert [second] == list(read_body(second.notification()))


def test_a_record_nested_almost_too_deeply_harms_nobody() -> None:
    """What can just be read may be too deep to be written: it must not stop a batch."""

    def body_of(levels: int) -> str:
        nested = "[" * levels + "]" * levels
        told = json.dumps(record())[:-1] + f', "extra": {nested}}}'
        return f'{{"Records": [{told}, {json.dumps(record("neighbour"))}]}}'

    def can_be_parsed(levels: int) -> bool:
        try:
            json.loads(body_of(levels))
        except RecursionError:
            return False
        return True

    deepest = bisect_left(
        range(100_000), x=True, key=lambda levels: not can_be_parsed(levels)
    )

    for levels in [*range(1, 40), *range(deepest - 40, deepest + 40), 100_000]:
        *entries, last = read_body(body_of(levels))
        for entry in [*entries, last]:
            if isinstance(entry, Upload):
                assert only_upload(entry.notification()) == entry
        assert "neighbour" in [e.key for e in [*entries, last] if isinstance(e, Upload)]
        if isinstance(last, Unreadable):
            assert last.body == body_of(levels)
            assert "nested too deeply" in str(last.error)


@pytest.mark.parametrize(
    "tail",
    [
        '"' + '\\"' * 100_000,
        '", "' * 50_000,
        "]" * 120_000,
        "}" * 50_000 + "[" * 50_000,
        "",
    ],
)
def test_what_is_nested_for_ever_is_read_in_no_time(tail: str) -> None:
    """It takes as long as its text, however it is made."""
    body = '{"Records": [' + "[" * 120_000 + tail

    assert only(body) == Unreadable(ANY, body)


def test_a_number_without_end_hides_no_neighbour() -> None:
    """Python makes no number of more than 4,300 digits."""
    body = notification(record("a"))[:-2] + ',{"number":' + "1" * 5_000 + "}]}"

    good, rest = read_body(body)

    assert isinstance(good, Upload)
    assert isinstance(rest, Unreadable)
    assert "1" * 5_000 in rest.body


@pytest.mark.parametrize("name", ["eTag", "versionId"])
def test_what_is_longer_than_s3_allows_is_no_upload(name: str) -> None:
    """Nobody could write it down: an item of the table, a message of the queue has its limit."""
    told = record("a.png")
    told["s3"]["object"][name] = "x" * 200_000

    entry = only(notification(told))

    assert isinstance(entry, Unreadable)
    assert name in str(entry.error)


# ---- whatever comes

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=15,
)

_names = st.sampled_from(
    ["key", "size", "eTag", "etag", "versionId", "version-id", "sequencer", "name"]
)
_objects = st.dictionaries(_names, json_values | st.text(), max_size=6)
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
    },
)


@given(st.text())
def test_no_text_is_an_error(body: str) -> None:
    """Anything may be sent to a queue; reading it ends with entries."""
    assert len(read_body(body)) > 0


@given(events | json_values)
def test_no_json_is_an_error(document: object) -> None:
    """Nor does JSON that looks almost like an event stop a batch."""
    body = json.dumps(document)

    for entry in read_body(body):
        if isinstance(entry, Upload):
            assert only_upload(entry.notification()).uri == entry.uri
            assert len(entry.order) <= 64


@given(
    st.text(min_size=1).filter(lambda key: len(key.encode("utf-8", "replace")) <= 1024)
)
def test_every_key_survives_both_ways(key: str) -> None:
    """What S3 can store under a name is found under that name."""
    (entry,) = read_document(json.loads(notification(record(key, size=1))), "")

    assert isinstance(entry, Upload)
    assert key == entry.key


def test_a_body_without_any_readable_record_is_one_unreadable_thing() -> None:
    """One message, one letter, byte for byte: not thousands of them."""
    body = '{ "Records": [' + ", ".join(['{"eventSource":  "who knows"}'] * 500) + "] }"

    entry = only(body)

    assert isinstance(entry, Unreadable)
    assert entry.body == body
    assert "500 of 500 records" in str(entry.error)
