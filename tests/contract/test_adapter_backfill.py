"""The ports of a backfill: listings, the queue, tagged versions and the checkpoint."""

from __future__ import annotations

import gzip
import json
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pytest
from botocore.stub import Stubber

from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_records import DynamoDBRecords
from hangtag.adapters.file_checkpoint import FileCheckpoint
from hangtag.adapters.s3_listings import S3Inventory, S3Listing
from hangtag.adapters.sqs_backfill_queue import BACKFILL_GROUP, SqsUploadFeed
from hangtag.adapters.sqs_queues import REPLAY_GROUP
from hangtag.errors import (
    HangtagError,
    ObjectUnavailable,
    QueueUnavailable,
    ResultsUnavailable,
)
from hangtag.lifecycle import Record, Status
from hangtag.operators.backfill_ports import (
    Checkpoint,
    ListedObject,
    Listing,
    TaggedVersions,
    UnusableCheckpoint,
    UnusableListing,
    UploadFeed,
)
from hangtag.ports import RecordStore
from hangtag.uploads import Upload
from tests.builders import BUCKET, PNG, an_upload
from tests.contract.aws_parts import (
    ONCE,
    create_queue,
    create_table,
    no_large_result,
    session,
)
from tests.contract.loopback import answer, loopback_server
from tests.environment import REGION
from tests.fakes import (
    FakeBreakerStore,
    FakeCheckpoint,
    FakeClock,
    FakeListing,
    FakeRecords,
    FakeResults,
    FakeSnapshots,
    FakeUploadFeed,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INVENTORIES = "hangtag-inventories-example"
MANIFEST = "all/2026-11-22T01-00Z/manifest.json"
HOSTILE = [
    "a b+c%20d.jpg",
    'quo"te,comma.jpg',
    "드레스 #1?.jpg",
    "tab\tend\x7f",
    "a//b/",
]


def listed(listing: Listing, *, after: str | None = None) -> list[ListedObject]:
    """All objects of a listing."""
    return list(chain.from_iterable(listing.pages(after=after)))


def keys(found: Sequence[ListedObject]) -> list[str]:
    """The keys of listed objects."""
    return [one.key for one in found]


# ---- listings


@dataclass(frozen=True)
class Bucket:
    """A listing and its bucket."""

    listing: Listing
    put: Callable[[str], object]
    delete: Callable[[str], object]


def make_bucket(*, versioned: bool = True, name: str = BUCKET) -> S3Client:
    """Creates a bucket in moto; returns a client."""
    client = session().client("s3", config=ONCE)
    client.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    if versioned:
        client.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": "Enabled"}
        )
    return client


def s3_bucket(prefix: str = "", *, versioned: bool = True) -> Bucket:
    """The adapter, and a bucket in moto."""
    client = make_bucket(versioned=versioned)
    return Bucket(
        S3Listing(client, bucket=BUCKET, prefix=prefix),
        lambda key: client.put_object(Bucket=BUCKET, Key=key, Body=PNG),
        lambda key: client.delete_object(Bucket=BUCKET, Key=key),
    )


@pytest.fixture(params=["fake", "moto"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """A versioned bucket, as the template makes it."""
    if request.param == "fake":
        fake = FakeListing()
        return Bucket(fake, fake.put, fake.delete)
    request.getfixturevalue("aws")
    return s3_bucket()


def test_the_newest_version_of_each_key_is_listed(bucket: Bucket) -> None:
    """Older versions and deleted objects are not."""
    for key in ("b.jpg", "a.jpg", "gone.jpg", "a.jpg"):
        bucket.put(key)
    bucket.delete("gone.jpg")

    found = listed(bucket.listing)

    assert keys(found) == ["a.jpg", "b.jpg"]
    assert all(one.version_id and one.etag and one.size == len(PNG) for one in found)


def test_keys_are_listed_raw(bucket: Bucket) -> None:
    """Keys have every kind of character."""
    for key in HOSTILE:
        bucket.put(key)

    assert sorted(keys(listed(bucket.listing))) == sorted(HOSTILE)


def test_a_listing_continues_after_a_key(bucket: Bucket) -> None:
    """The object of that key may have been deleted."""
    for number in range(5):
        bucket.put(f"{number}.jpg")
    place = listed(bucket.listing)[2].place
    bucket.delete("2.jpg")

    assert keys(listed(bucket.listing, after=place)) == ["3.jpg", "4.jpg"]


def test_an_empty_bucket_has_no_objects(bucket: Bucket) -> None:
    """It raises no error."""
    assert listed(bucket.listing) == []


@pytest.mark.usefixtures("aws")
def test_only_keys_with_the_prefix_are_listed() -> None:
    """The prefix is raw, too."""
    prefixed = s3_bucket("a b/")
    for key in ("a b/1.jpg", "a b/2.jpg", "a+b/3.jpg", "a"):
        prefixed.put(key)

    assert keys(listed(prefixed.listing)) == ["a b/1.jpg", "a b/2.jpg"]


@pytest.mark.usefixtures("aws")
def test_the_version_that_s3_calls_null_is_none() -> None:
    """The etag identifies it, as in S3's events."""
    plain = s3_bucket(versioned=False)
    plain.put("a.jpg")

    [found] = listed(plain.listing)

    assert found.version_id is None
    assert found.etag


@pytest.mark.usefixtures("aws")
def test_more_than_a_page_is_listed_page_by_page() -> None:
    """Many versions of few keys need pages, too."""
    pages = s3_bucket()
    for number in range(1_003):
        pages.put(f"{number % 600:03}.jpg")

    found = list(pages.listing.pages(after=None))

    assert len(found) == 2
    assert keys([one for page in found for one in page]) == [
        f"{number:03}.jpg" for number in range(600)
    ]


@pytest.mark.usefixtures("aws")
def test_a_missing_bucket_is_named() -> None:
    """The bucket was deleted."""
    client = session().client("s3", config=ONCE)

    with pytest.raises(UnusableListing, match=BUCKET):
        listed(S3Listing(client, bucket=BUCKET, prefix=""))


def test_an_error_of_s3_is_an_error_of_the_tree() -> None:
    """The command explains it in a sentence."""
    with loopback_server() as server:
        server.replies(answer(500, b""))
        client = session().client("s3", config=ONCE, endpoint_url=server.url)

        with pytest.raises(ObjectUnavailable):
            listed(S3Listing(client, bucket=BUCKET, prefix=""))


def version_xml(key: str, storage_class: str, more: str = "") -> str:
    """A version in S3's list."""
    return (
        f"<Version><Key>{key}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest>"
        f"<ETag>&quot;0&quot;</ETag><Size>9</Size><StorageClass>{storage_class}</StorageClass>"
        f"{more}</Version>"
    )


def restore_xml(*, in_progress: bool) -> str:
    """The restore status of a version; once restored, it has an expiry date."""
    flag = str(in_progress).lower()
    until = "" if in_progress else "2026-12-24T00:00:00.000Z"
    expiry = f"<RestoreExpiryDate>{until}</RestoreExpiryDate>" if until else ""
    return (
        f"<RestoreStatus><IsRestoreInProgress>{flag}</IsRestoreInProgress>{expiry}"
        "</RestoreStatus>"
    )


def test_objects_that_must_be_restored_first_are_archived() -> None:
    """S3 does not list the tiers of INTELLIGENT_TIERING: reading their objects fails later."""
    versions = [
        version_xml("STANDARD", "STANDARD"),
        version_xml("GLACIER_IR", "GLACIER_IR"),
        version_xml("INTELLIGENT_TIERING", "INTELLIGENT_TIERING"),
        version_xml("GLACIER", "GLACIER"),
        version_xml("DEEP_ARCHIVE", "DEEP_ARCHIVE"),
        version_xml("restoring", "GLACIER", restore_xml(in_progress=True)),
        version_xml("restored", "GLACIER", restore_xml(in_progress=False)),
    ]
    document = (
        "<ListVersionsResult><IsTruncated>false</IsTruncated>"
        f"{''.join(versions)}</ListVersionsResult>"
    )
    with loopback_server() as server:
        server.replies(answer(200, document.encode()))
        client = session().client("s3", config=ONCE, endpoint_url=server.url)

        found = listed(S3Listing(client, bucket=BUCKET, prefix=""))

    archived = [one.key for one in found if one.is_archived]
    [request] = server.received
    assert len(found) == len(versions)
    assert archived == ["GLACIER", "DEEP_ARCHIVE", "restoring"]
    assert request.headers["x-amz-optional-object-attributes"] == "RestoreStatus"


@pytest.mark.usefixtures("aws")
def test_an_object_put_into_an_archive_class_is_listed_as_archived() -> None:
    """Lifecycle rules move older objects there."""
    client = make_bucket()
    client.put_object(Bucket=BUCKET, Key="a.jpg", Body=PNG, StorageClass="GLACIER")

    [found] = listed(S3Listing(client, bucket=BUCKET, prefix=""))

    assert found.is_archived


# ---- inventories

SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag"


@dataclass(frozen=True)
class Inventory:
    """An inventory in moto."""

    client: S3Client

    def write(
        self,
        *files: Sequence[Sequence[object]],
        schema: str = SCHEMA,
        **changes: object,
    ) -> None:
        """Writes the files with these rows, and their manifest."""
        names = []
        for number, rows in enumerate(files):
            name = f"data/{number}.csv.gz"
            lines = [
                ",".join(f'"{cell}"' for cell in (BUCKET, *row)) + "\n" for row in rows
            ]
            self.put(name, gzip.compress("".join(lines).encode()))
            names.append({"key": name, "size": 1, "MD5checksum": ""})
        manifest = {
            "sourceBucket": BUCKET,
            "destinationBucket": f"arn:aws:s3:::{INVENTORIES}",
            "version": "2016-11-30",
            "fileFormat": "CSV",
            "fileSchema": schema,
            "files": names,
            **changes,
        }
        self.put(MANIFEST, json.dumps(manifest).encode())

    def put(self, key: str, body: bytes) -> None:
        """Puts another object into the inventory's bucket."""
        self.client.put_object(Bucket=INVENTORIES, Key=key, Body=body)

    def listing(self, prefix: str = "", *, key: str = MANIFEST) -> S3Inventory:
        """The adapter."""
        return S3Inventory(
            self.client,
            manifest_bucket=INVENTORIES,
            manifest_key=key,
            bucket=BUCKET,
            prefix=prefix,
        )


@pytest.fixture
def inventory(aws: None) -> Inventory:  # noqa: ARG001 - the bucket is in it
    """A bucket for inventories."""
    return Inventory(make_bucket(versioned=False, name=INVENTORIES))


def row(
    key: str, version: str = "v1", *, latest: bool = True, marker: bool = False
) -> Any:  # noqa: ANN401 - of texts and numbers
    """A row of an inventory, as S3 writes it."""
    return (
        quote_plus(key, safe="/"),
        version,
        str(latest).lower(),
        str(marker).lower(),
        "" if marker else len(PNG),
        "" if marker else "0123456789abcdef",
    )


def test_an_inventory_is_read_file_by_file(inventory: Inventory) -> None:
    """Its keys are URL-encoded; old versions and delete markers are left out."""
    inventory.write(
        [
            *(row(key) for key in HOSTILE),
            row("old.jpg", "v2"),
            row("old.jpg", "v1", latest=False),
            row("gone.jpg", "v2", marker=True),
            row("gone.jpg", "v1", latest=False),
        ],
        [],
        [row("last.jpg", "null")],
    )

    found = listed(inventory.listing())

    assert keys(found) == [*HOSTILE, "old.jpg", "last.jpg"]
    assert [one.version_id for one in found[-2:]] == ["v2", None]
    assert found[0] == ListedObject(
        HOSTILE[0], "v1", "0123456789abcdef", len(PNG), "0:0"
    )


@pytest.mark.parametrize("arn", ["arn:aws-cn:s3:::", "arn:aws-us-gov:s3:::", ""])
def test_an_inventory_of_any_partition_is_read(inventory: Inventory, arn: str) -> None:
    """The manifest has the ARN of the bucket with the files."""
    inventory.write([row("a.jpg")], destinationBucket=f"{arn}{INVENTORIES}")

    [page] = inventory.listing().pages(after=None)

    assert [found.key for found in page] == ["a.jpg"]


def test_an_inventory_continues_after_any_position(inventory: Inventory) -> None:
    """Each row is read once."""
    rows = [row(f"{number}.jpg") for number in range(7)]
    inventory.write(rows[:3], rows[3:4], rows[4:])
    found = listed(inventory.listing())

    for number, one in enumerate(found):
        rest = listed(inventory.listing(), after=one.place)
        assert keys(rest) == keys(found[number + 1 :])


def test_an_inventory_can_be_read_by_prefix(inventory: Inventory) -> None:
    """The prefix is that of the raw key."""
    inventory.write([row("a b/1.jpg"), row("a+b/2.jpg"), row("c.jpg")])

    assert keys(listed(inventory.listing("a b/"))) == ["a b/1.jpg"]


def test_an_inventory_of_current_versions_has_no_version_ids(
    inventory: Inventory,
) -> None:
    """The function reads them from the objects."""
    inventory.write([("a%20b.jpg", 5)], schema="Bucket, Key, Size")

    assert listed(inventory.listing()) == [
        ListedObject("a b.jpg", None, None, 5, "0:0")
    ]


def test_an_inventory_with_storage_classes_says_what_is_archived(
    inventory: Inventory,
) -> None:
    """Both columns are optional."""
    inventory.write(
        [
            ("standard", "STANDARD", ""),
            ("glacier", "GLACIER", ""),
            ("deep", "DEEP_ARCHIVE", ""),
            ("instant", "GLACIER_IR", ""),
            ("frequent", "INTELLIGENT_TIERING", "FREQUENT"),
            ("tier", "INTELLIGENT_TIERING", "ARCHIVE"),
            ("deep tier", "INTELLIGENT_TIERING", "DEEP_ARCHIVE"),
            ("access tier", "INTELLIGENT_TIERING", "ARCHIVE_ACCESS"),
            ("deep access tier", "INTELLIGENT_TIERING", "DEEP_ARCHIVE_ACCESS"),
        ],
        schema="Bucket, Key, StorageClass, IntelligentTieringAccessTier",
    )

    found = listed(inventory.listing())

    archived = [one.key for one in found if one.is_archived]
    assert archived == [
        *("glacier", "deep", "tier", "deep tier"),
        *("access tier", "deep access tier"),
    ]


def test_a_large_inventory_comes_in_pages(inventory: Inventory) -> None:
    """A thousand at a time."""
    inventory.write([row(f"{number}.jpg") for number in range(2_500)])

    pages = list(inventory.listing().pages(after=None))

    assert [len(page) for page in pages] == [1_000, 1_000, 500]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fileFormat": "ORC"}, "inventory in ORC; only CSV"),
        ({"fileFormat": "Parquet"}, "inventory in Parquet; only CSV"),
        ({"sourceBucket": "other"}, "of the bucket other, not of"),
        ({"files": None}, "no manifest"),
        ({"files": [{"key": "data/none.csv.gz"}]}, "there is no"),
        ({"schema": "Bucket, Size"}, "no columns Bucket and Key"),
        ({"files": [{"key": "data/\ud800.csv.gz"}]}, "no manifest"),
        ({"destinationBucket": "arn:aws:s3:::\ud800"}, "no manifest"),
    ],
)
def test_an_inventory_that_cannot_be_read_is_refused(
    inventory: Inventory, changes: Mapping[str, Any], said: str
) -> None:
    """The message has the remedy."""
    inventory.write([row("a.jpg")], **changes)

    with pytest.raises(UnusableListing, match=said):
        listed(inventory.listing())


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b'"x","a.jpg"\n' * 10)[:-12],
        gzip.compress(b'"x","a.jpg"\n'),
        gzip.compress(b'"' + BUCKET.encode() + b'","%ff","v","true","false","1","e"\n'),
    ],
    ids=["no gzip", "cut off", "too few columns", "a key that is not UTF-8"],
)
def test_an_invalid_file_of_an_inventory_is_named(
    inventory: Inventory, content: bytes
) -> None:
    """The reader does not guess values."""
    inventory.write([row("a.jpg")])
    inventory.put("data/0.csv.gz", content)

    with pytest.raises(UnusableListing, match=r"data/0\.csv\.gz"):
        listed(inventory.listing())


def test_a_missing_manifest_is_named(inventory: Inventory) -> None:
    """The URI was mistyped."""
    with pytest.raises(UnusableListing, match="nowhere"):
        listed(inventory.listing(key="nowhere.json"))


# ---- the queue


@dataclass(frozen=True)
class Queue:
    """A feed and the messages that it sent, with bodies and tokens."""

    feed: UploadFeed
    sent: Callable[[], list[tuple[str, str | None]]]


def token_of(attributes: Mapping[str, Any]) -> str | None:
    """The re-tag token, if there is one."""
    token: str | None = attributes.get("Again", {}).get("StringValue")
    return token


@pytest.fixture(params=["fake", "moto"])
def queue(request: pytest.FixtureRequest) -> Queue:
    """An empty queue."""
    if request.param == "fake":
        fake = FakeUploadFeed()
        return Queue(fake, lambda: fake.sent)
    request.getfixturevalue("aws")
    client = session().client("sqs", config=ONCE)
    url = create_queue("UploadQueue")

    def sent() -> list[tuple[str, str | None]]:
        messages = client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            WaitTimeSeconds=0,
        ).get("Messages", [])
        return [
            (message["Body"], token_of(dict(message.get("MessageAttributes", {}))))
            for message in messages
        ]

    return Queue(SqsUploadFeed(client, url), sent)


@pytest.mark.parametrize("again", [None, "token-1"])
def test_ten_messages_are_sent_at_once(queue: Queue, again: str | None) -> None:
    """With the re-tag token, if there is one."""
    bodies = [an_upload(f"{number}.jpg").notification() for number in range(10)]

    refused = queue.feed.send(bodies, again=again)

    assert list(refused) == []
    assert queue.feed.depth() == 10
    assert queue.sent() == [(body, again) for body in bodies]


@pytest.mark.usefixtures("aws")
def test_the_messages_of_all_backfills_are_one_group() -> None:
    """SQS then delivers fresh uploads before them; replays are a group of their own."""
    client = session().client("sqs", config=ONCE)
    url = create_queue("UploadQueue")
    for again in (None, "token-1"):
        SqsUploadFeed(client, url).send(["{}", "{}"], again=again)

    messages = client.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["MessageGroupId"],
    )["Messages"]

    groups = [message["Attributes"]["MessageGroupId"] for message in messages]
    assert groups == [BACKFILL_GROUP] * 4
    assert BACKFILL_GROUP != REPLAY_GROUP


def test_an_empty_queue_has_depth_0(queue: Queue) -> None:
    """The backfill may send."""
    assert queue.feed.depth() == 0


def test_the_messages_that_sqs_refuses_are_returned() -> None:
    """They are named by their indexes; the others are accepted."""
    body = json.dumps(
        {
            "Successful": [
                {"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"},
            ],
            "Failed": [
                {"Id": "2", "SenderFault": False, "Code": "InternalError"},
                {"Id": "1", "SenderFault": False, "Code": "ServiceUnavailable"},
            ],
        }
    ).encode()
    with loopback_server() as server:
        server.replies(answer(200, body))
        client = session().client("sqs", config=ONCE, endpoint_url=server.url)
        feed = SqsUploadFeed(client, f"{server.url}/123456789012/q")

        assert list(feed.send(["a", "b", "c"], again=None)) == [1, 2]


@pytest.mark.parametrize(
    ("code", "is_denied"), [("AccessDenied", True), ("ServiceUnavailable", False)]
)
def test_a_denied_message_is_told_from_an_outage(code: str, *, is_denied: bool) -> None:
    """A retry helps against an outage only."""
    client = session().client("sqs", config=ONCE)
    with Stubber(client) as sqs:
        sqs.add_client_error("send_message_batch", code, "no", 403)
        with pytest.raises(QueueUnavailable) as caught:
            SqsUploadFeed(client, "https://q").send(["{}"], again=None)

    assert caught.value.is_denied is is_denied


@pytest.mark.parametrize(
    "doing",
    [lambda feed: feed.send(["{}"], again=None), lambda feed: feed.depth()],
    ids=["send", "depth"],
)
def test_an_error_of_sqs_is_an_error_of_the_tree(
    doing: Callable[[UploadFeed], object],
) -> None:
    """The backfill retries, or says how to continue."""
    with loopback_server() as server:
        server.replies(answer(500, b""))
        client = session().client("sqs", config=ONCE, endpoint_url=server.url)

        with pytest.raises(QueueUnavailable):
            doing(SqsUploadFeed(client, f"{server.url}/123456789012/q"))


# ---- tagged versions


@dataclass(frozen=True)
class Results:
    """The table as a backfill reads it, and its records as the function writes them."""

    reader: TaggedVersions
    records: RecordStore

    def put(self, upload: Upload, status: Status) -> None:
        """Writes the record of an upload."""
        key = (upload.uri, upload.version)
        assert self.records.swap(key, None, Record(status, "rev-1")) is None


@pytest.fixture(params=["fake", "moto"])
def results(request: pytest.FixtureRequest) -> Results:
    """An empty table."""
    if request.param == "fake":
        records = FakeRecords()
        reader = FakeSnapshots(FakeBreakerStore(), records, FakeResults())
        return Results(reader, records)
    request.getfixturevalue("aws")
    name, client, clock = create_table(), session().client("dynamodb"), FakeClock()
    return Results(
        DynamoDBReader(client, name, clock, no_large_result),
        DynamoDBRecords(client, name, clock),
    )


def test_tagged_versions_are_known(results: Results) -> None:
    """Versions that failed, wait for an attempt or have no record are not."""
    tagged, failed, waiting, new = (an_upload(f"{number}.jpg") for number in range(4))
    other_version = an_upload("0.jpg", version_id="version-2")
    plain = an_upload("plain.jpg", version_id=None)
    for upload, status in (
        (tagged, Status.TAGGED),
        (plain, Status.TAGGED),
        (failed, Status.FAILED),
        (waiting, Status.OPEN),
    ):
        results.put(upload, status)

    known = results.reader.tagged(
        [tagged, tagged, failed, waiting, new, other_version, plain]
    )

    assert known == {(one.uri, one.version) for one in (tagged, plain)}


@pytest.mark.usefixtures("aws")
def test_keys_that_dynamodb_left_out_are_requested_again() -> None:
    """Its capacity may not suffice for one response."""
    name, client, clock = create_table(), session().client("dynamodb"), FakeClock()
    reader = DynamoDBReader(client, name, clock, no_large_result)
    results = Results(reader, DynamoDBRecords(client, name, clock))
    uploads = [an_upload(f"{number}.jpg") for number in range(100)]
    for upload in uploads:
        results.put(upload, Status.TAGGED)
    requested: list[int] = []

    def leave_some_out(parsed: dict[str, Any], **_: Any) -> None:  # noqa: ANN401 - botocore's
        found = parsed["Responses"][name]
        requested.append(len(found))
        rest = found[30:]
        parsed["Responses"][name] = found[:30]
        if rest:
            keys = [{part: item[part] for part in ("uri", "version")} for item in rest]
            names = {"#uri": "uri", "#version": "version", "#status": "status"}
            parsed["UnprocessedKeys"] = {
                name: {
                    "Keys": keys,
                    "ProjectionExpression": ", ".join(names),
                    "ExpressionAttributeNames": names,
                }
            }

    client.meta.events.register("after-call.dynamodb.BatchGetItem", leave_some_out)

    assert len(reader.tagged(uploads)) == 100
    assert requested == [100, 70, 40, 10]


def test_an_error_of_dynamodb_is_an_error_of_the_tree() -> None:
    """The backfill does not send objects that may be tagged."""
    with loopback_server() as server:
        server.replies(answer(500, b""))
        client = session().client("dynamodb", config=ONCE, endpoint_url=server.url)

        with pytest.raises(ResultsUnavailable):
            DynamoDBReader(client, "ResultsTable", FakeClock(), no_large_result).tagged(
                [an_upload()]
            )


# ---- checkpoint


@pytest.fixture(params=["fake", "file"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Checkpoint]:
    """A checkpoint that was not saved yet."""
    if request.param == "fake":
        yield FakeCheckpoint()
    else:
        yield FileCheckpoint(tmp_path / "checkpoint.json")


def test_a_checkpoint_loads_the_last_saved_state(checkpoint: Checkpoint) -> None:
    """It lasts until it is removed; a second removal has no effect."""
    states = [checkpoint.load()]
    for place in ("a", "드레스 \t.jpg"):
        checkpoint.save({"place": place})
        states.append(checkpoint.load())
    checkpoint.remove()
    checkpoint.remove()
    states.append(checkpoint.load())

    assert states == [None, {"place": "a"}, {"place": "드레스 \t.jpg"}, None]


def test_an_incomplete_file_is_not_read_as_the_checkpoint(
    tmp_path: Path,
) -> None:
    """It has another name until it is complete."""
    path = tmp_path / "checkpoint.json"
    checkpoint = FileCheckpoint(path)
    checkpoint.save({"place": "a"})

    with pytest.raises(TypeError):
        checkpoint.save({"place": object()})

    assert checkpoint.load() == {"place": "a"}


def test_a_checkpoint_follows_no_link(tmp_path: Path) -> None:
    """In a shared folder, another user may have put links where the file will be."""
    path, precious = tmp_path / "checkpoint.json", tmp_path / "precious"
    precious.write_text("precious")
    for name in (path.name, f"{path.name}.new"):
        (tmp_path / name).symlink_to(precious)

    FileCheckpoint(path).save({"place": "a"})

    assert precious.read_text() == "precious"
    assert not path.is_symlink()
    assert FileCheckpoint(path).load() == {"place": "a"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_save_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """The next save makes a new one."""
    with pytest.raises(TypeError):
        FileCheckpoint(tmp_path / "checkpoint.json").save({"place": object()})

    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    """It is not overwritten, because it may be another program's."""
    path = tmp_path / "mine.json"
    path.write_bytes(content)

    with pytest.raises(UnusableCheckpoint, match=r"mine\.json"):
        FileCheckpoint(path).load()


def test_a_missing_folder_is_reported_with_the_first_batch(tmp_path: Path) -> None:
    """The checkpoint cannot be written there."""
    with pytest.raises(UnusableCheckpoint, match="cannot be written"):
        FileCheckpoint(tmp_path / "none" / "checkpoint.json").save({})


def test_errors_of_the_ports_are_not_failures_of_uploads() -> None:
    """They have no error code; the command handles them."""
    assert not issubclass(UnusableListing, HangtagError)
    assert not issubclass(UnusableCheckpoint, HangtagError)
