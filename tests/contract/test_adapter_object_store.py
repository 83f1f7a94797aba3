"""`ObjectStore`: images by version, in memory and in S3."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from hangtag.adapters.s3_objects import S3Objects
from hangtag.errors import (
    EmptyImage,
    HangtagError,
    ImageTooLarge,
    ObjectUnavailable,
    UnsupportedFormat,
)
from hangtag.ports import ImageHead, ObjectFacts, ObjectStore, StoredImage
from hangtag.uploads import Upload
from tests.builders import BUCKET, FIRST_BYTES, KEY, PNG, an_upload
from tests.contract.aws_parts import ONCE, session
from tests.contract.loopback import (
    LoopbackServer,
    answer,
    loopback_server,
    part_of_an_answer,
    part_of_an_answer_and_silence,
)
from tests.environment import REGION
from tests.fakes import FakeObjectStore

MAX_IMAGE_BYTES = 1_000


@dataclass(frozen=True)
class Bucket:
    """A store, and what uploaders do."""

    store: ObjectStore
    put: Callable[[str, bytes, Mapping[str, str]], ObjectFacts]
    delete: Callable[[str], None]

    def upload(
        self,
        content: bytes = PNG,
        *,
        key: str = KEY,
        metadata: Mapping[str, str] | None = None,
    ) -> Upload:
        """Put an object there; the upload that its event tells of."""
        facts = self.put(key, content, metadata or {})
        return an_upload(key, version_id=facts.version_id, etag=facts.etag)


def fake_bucket(*, versioned: bool) -> Bucket:
    """The fake that the pipeline's tests use."""
    fake = FakeObjectStore(max_image_bytes=MAX_IMAGE_BYTES, versioned=versioned)

    def put(key: str, content: bytes, metadata: Mapping[str, str]) -> ObjectFacts:
        return fake.put(f"s3://{BUCKET}/{key}", content, metadata)

    return Bucket(fake, put, lambda key: fake.delete(f"s3://{BUCKET}/{key}"))


def s3_bucket(*, versioned: bool) -> Bucket:
    """The adapter, and a bucket in moto."""
    client = session().client("s3")
    client.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    if versioned:
        client.put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
        )

    def put(key: str, content: bytes, metadata: Mapping[str, str]) -> ObjectFacts:
        answered = client.put_object(
            Bucket=BUCKET, Key=key, Body=content, Metadata=metadata
        )
        return ObjectFacts(
            version_id=answered.get("VersionId"),
            etag=answered["ETag"].strip('"'),
            size=len(content),
        )

    def delete(key: str) -> None:
        client.delete_object(Bucket=BUCKET, Key=key)

    return Bucket(S3Objects(client, max_image_bytes=MAX_IMAGE_BYTES), put, delete)


@pytest.fixture(params=["fake", "moto"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """A versioned bucket, as the template makes it."""
    if request.param == "fake":
        return fake_bucket(versioned=True)
    request.getfixturevalue("aws")
    return s3_bucket(versioned=True)


@pytest.fixture(params=["fake", "moto"])
def plain_bucket(request: pytest.FixtureRequest) -> Bucket:
    """A bucket without versions, as others may have it."""
    if request.param == "fake":
        return fake_bucket(versioned=False)
    request.getfixturevalue("aws")
    return s3_bucket(versioned=False)


def unidentified(upload: Upload) -> Upload:
    """An upload whose event told no version."""
    return an_upload(upload.key, version_id=None, etag=None)


# ---- find


def test_the_current_version_is_found(bucket: Bucket) -> None:
    """For events that do not tell which one they mean."""
    bucket.upload(b"the old one")
    current = bucket.upload(PNG)

    found = bucket.store.find(unidentified(current))

    assert found == ObjectFacts(current.version_id, _md5(PNG), len(PNG))


def test_without_versions_the_etag_is_found(plain_bucket: Bucket) -> None:
    """No version id, not the text "null"."""
    upload = plain_bucket.upload(PNG)

    found = plain_bucket.store.find(unidentified(upload))

    assert found == ObjectFacts(None, _md5(PNG), len(PNG))


def test_what_never_was_is_not_found(bucket: Bucket) -> None:
    """It is gone before its turn came."""
    bucket.upload(key="another")

    assert bucket.store.find(an_upload()) is None


def test_what_was_deleted_is_not_found(bucket: Bucket) -> None:
    """Though its versions are there behind the marker."""
    upload = bucket.upload()
    bucket.delete(KEY)

    assert bucket.store.find(unidentified(upload)) is None


# ---- read


def test_an_image_is_read_with_its_metadata(bucket: Bucket) -> None:
    """Byte for byte; the metadata's keys without their prefix, its values as S3 has them."""
    metadata = {"tagger-id": "SKU 1", "tagger-brand": "=?UTF-8?B?7ISc7Jq4?="}
    upload = bucket.upload(PNG, metadata=metadata)

    assert bucket.store.read(upload) == StoredImage(PNG, "image/png", metadata)


@pytest.mark.parametrize("kind", FIRST_BYTES)
def test_the_first_bytes_tell_the_media_type(bucket: Bucket, kind: str) -> None:
    """Not the name, which is often wrong."""
    upload = bucket.upload(FIRST_BYTES[kind], key="no name for.txt")

    assert bucket.store.read(upload) == StoredImage(FIRST_BYTES[kind], kind, {})


@pytest.mark.parametrize(
    "key",
    [
        "a b+c%20d%.png",
        "드레스/봄.png",
        "#1?.png",
        "a//b//",
        "=&;:@,!$'()*~[]{}|\\^`<>\"",
        "k" * 1_024,
    ],
)
def test_any_key_is_read(bucket: Bucket, key: str) -> None:
    """The raw key, as it was put."""
    upload = bucket.upload(PNG, key=key)

    image = bucket.store.read(upload)
    facts = bucket.store.find(upload)

    assert image is not None
    assert facts is not None
    assert (image.content, facts.version_id) == (PNG, upload.version_id)


def test_exactly_the_version_of_the_event_is_read(bucket: Bucket) -> None:
    """Each upload is tagged from its own picture, though a newer one is there."""
    contents = [PNG + bytes([number]) for number in range(3)]
    uploads = [bucket.upload(content) for content in contents]

    images = [bucket.store.read(upload) for upload in uploads]

    assert [image.content if image else None for image in images] == contents


def test_a_version_is_read_behind_a_delete_marker(bucket: Bucket) -> None:
    """The version that arrived is there, and was meant to be tagged."""
    upload = bucket.upload()
    bucket.delete(KEY)

    assert bucket.store.read(upload) == StoredImage(PNG, "image/png", {})


def test_a_version_that_never_was_is_gone(bucket: Bucket) -> None:
    """No error: there is nothing to be done about it."""
    bucket.upload()

    assert bucket.store.read(an_upload(version_id="no-version-of-this-key")) is None


def test_a_key_that_is_not_there_is_gone(bucket: Bucket) -> None:
    """Deleted, or moved to another place."""
    bucket.upload(key="another")

    assert bucket.store.read(an_upload()) is None


def test_without_versions_the_etag_tells_the_picture(plain_bucket: Bucket) -> None:
    """The object is read while it is the one that the event told of."""
    upload = plain_bucket.upload()

    assert plain_bucket.store.read(upload) == StoredImage(PNG, "image/png", {})


def test_without_versions_what_was_overwritten_is_gone(plain_bucket: Bucket) -> None:
    """The newer picture has an event of its own."""
    old = plain_bucket.upload(PNG)
    new = plain_bucket.upload(PNG + b"new")

    assert plain_bucket.store.read(old) is None
    assert plain_bucket.store.read(new) is not None


def test_without_versions_what_was_deleted_is_gone(plain_bucket: Bucket) -> None:
    """For good."""
    upload = plain_bucket.upload()
    plain_bucket.delete(KEY)

    assert plain_bucket.store.read(upload) is None
    assert plain_bucket.store.find(upload) is None


# ---- what is not to be sent


def test_an_object_without_bytes_is_refused(bucket: Bucket) -> None:
    """An upload that left nothing."""
    upload = bucket.upload(b"")

    with pytest.raises(EmptyImage, match="no bytes"):
        bucket.store.read(upload)


def test_an_image_of_the_largest_size_is_read(bucket: Bucket) -> None:
    """The bound itself is allowed."""
    content = PNG.ljust(MAX_IMAGE_BYTES, b"\0")
    upload = bucket.upload(content)

    assert bucket.store.read(upload) == StoredImage(content, "image/png", {})


def test_an_image_that_is_too_large_is_refused(bucket: Bucket) -> None:
    """By its size alone."""
    upload = bucket.upload(PNG.ljust(MAX_IMAGE_BYTES + 1, b"\0"))

    with pytest.raises(ImageTooLarge):
        bucket.store.read(upload)


@pytest.mark.parametrize("content", [b"%PDF-1.7", b"x", b"\x89PNG", b"BMX is a sport"])
def test_what_is_no_image_is_refused(bucket: Bucket, content: bytes) -> None:
    """Whatever it is called."""
    upload = bucket.upload(content, key="picture.png")

    with pytest.raises(UnsupportedFormat):
        bucket.store.read(upload)


# ---- S3 alone


def test_the_message_of_a_refusal_helps(aws: None) -> None:  # noqa: ARG001
    """It names the object, what is there and what is allowed."""
    bucket = s3_bucket(versioned=True)
    large = bucket.upload(PNG.ljust(1_234, b"\0"))
    text = bucket.upload(b"%PDF-1.7", key="picture.png")

    with pytest.raises(ImageTooLarge) as too_large:
        bucket.store.read(large)
    with pytest.raises(UnsupportedFormat) as unsupported:
        bucket.store.read(text)

    assert str(too_large.value) == (
        f"s3://{BUCKET}/{KEY} has 1,234 bytes; MaxImageBytes is 1,000"
    )
    assert str(unsupported.value) == (
        f"s3://{BUCKET}/picture.png begins with 25 50 44 46 2d 31 2e 37; it is not "
        "a BMP, GIF, JPEG, PNG, TIFF or WEBP image"
    )


def test_a_version_that_is_a_delete_marker_is_gone(aws: None) -> None:  # noqa: ARG001
    """S3 says then that the method is not allowed."""
    bucket = s3_bucket(versioned=True)
    bucket.upload()
    marker = session().client("s3").delete_object(Bucket=BUCKET, Key=KEY)["VersionId"]

    assert bucket.store.read(an_upload(version_id=marker)) is None


def test_a_version_deleted_for_good_is_gone(aws: None) -> None:  # noqa: ARG001
    """Also if others of the key are left."""
    bucket = s3_bucket(versioned=True)
    upload = bucket.upload()
    bucket.upload()
    assert upload.version_id is not None
    session().client("s3").delete_object(
        Bucket=BUCKET, Key=KEY, VersionId=upload.version_id
    )

    assert bucket.store.read(upload) is None


def test_a_bucket_that_is_not_there_is_gone(aws: None) -> None:  # noqa: ARG001
    """Its events may outlive it."""
    store = S3Objects(session().client("s3"), max_image_bytes=MAX_IMAGE_BYTES)

    assert store.read(an_upload()) is None
    assert store.find(an_upload()) is None


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """An S3 that answers as it is told."""
    with loopback_server() as server:
        yield server


@pytest.fixture
def objects(server: LoopbackServer) -> S3Objects:
    """The adapter that talks to it."""
    client = session().client("s3", endpoint_url=server.url, config=ONCE)
    return S3Objects(client, max_image_bytes=10_000_000)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, "NoSuchVersion"),
        (404, "NoSuchKey"),
        (404, "NoSuchBucket"),
        (405, "MethodNotAllowed"),
        (412, "PreconditionFailed"),
    ],
)
def test_what_s3_does_not_have_any_more_is_gone(
    server: LoopbackServer, objects: S3Objects, status: int, error: str
) -> None:
    """Deleted, a delete marker, or overwritten: whichever of the names it has."""
    server.replies(answer(status, _error_document(error)))

    assert objects.read(an_upload()) is None


def test_a_version_called_null_is_none(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """So S3 calls objects from before a bucket was versioned; many may have that name."""
    server.replies(answer(200, ETag='"0123"', x_amz_version_id="null"))

    assert objects.find(an_upload()) == ObjectFacts(None, "0123", 0)


def test_a_version_id_that_s3_never_gave_out_is_gone(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """S3 calls it a wrong argument."""
    document = _error_document(
        "InvalidArgument", "<ArgumentName>versionId</ArgumentName>"
    )
    server.replies(answer(400, document))

    assert objects.read(an_upload(version_id="x")) is None


def test_another_wrong_argument_is_no_gone_object(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """An upload that is there must not be skipped."""
    document = _error_document(
        "InvalidArgument", "<ArgumentName>x-amz-version</ArgumentName>"
    )
    server.replies(answer(400, document))

    with pytest.raises(ObjectUnavailable):
        objects.read(an_upload())


def test_of_what_is_no_image_only_the_first_bytes_are_read(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """Somebody may drop films into the bucket: what is not waited for is not read."""
    server.replies(
        part_of_an_answer_and_silence(200, b"%PDF-1.7 or so on", length=5_000_000)
    )

    with pytest.raises(UnsupportedFormat):
        objects.read(an_upload())


def test_of_what_is_too_large_nothing_is_read(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """Its size stands in front."""
    server.replies(part_of_an_answer_and_silence(200, b"", length=50_000_000))

    with pytest.raises(ImageTooLarge):
        objects.read(an_upload())


@pytest.mark.parametrize("sent", [0, 10, 50_000])
def test_half_an_object_is_unavailable(
    server: LoopbackServer, objects: S3Objects, sent: int
) -> None:
    """Half a picture must not be tagged; S3 will have the other half later."""
    content = PNG.ljust(100_000, b"\0")
    server.replies(part_of_an_answer(200, content[:sent], length=len(content)))

    with pytest.raises(ObjectUnavailable) as caught:
        objects.read(an_upload())

    assert caught.value.__cause__ is not None


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _error_document(code: str, more: str = "") -> bytes:
    """S3's XML."""
    return f"<Error><Code>{code}</Code><Message>no</Message>{more}</Error>".encode()


# ---- the first bytes and the link, for the transport by URL


def test_a_peek_tells_the_media_type_and_the_metadata(bucket: Bucket) -> None:
    """As reading does, of exactly the version that the event names."""
    upload = bucket.upload(PNG, metadata={"tagger-brand": "B"})
    bucket.upload(b"no image any more")

    assert bucket.store.peek(upload) == ImageHead("image/png", {"tagger-brand": "B"})


@pytest.mark.parametrize(
    ("content", "refusal"),
    [(b"", EmptyImage), (b"no image", UnsupportedFormat), (b"P", UnsupportedFormat)],
)
def test_a_peek_refuses_what_is_not_to_be_sent(
    bucket: Bucket, content: bytes, refusal: type[HangtagError]
) -> None:
    """Before its link is handed out."""
    upload = bucket.upload(content)

    with pytest.raises(refusal):
        bucket.store.peek(upload)


def test_a_peek_at_what_is_gone_sees_nothing(bucket: Bucket) -> None:
    """As reading does."""
    assert bucket.store.peek(an_upload(version_id="never-was")) is None


def test_a_link_names_exactly_the_version_and_ends(bucket: Bucket) -> None:
    """Whoever has it can fetch that version, for so long."""
    upload = bucket.upload(PNG)

    link = urlsplit(bucket.store.link(upload, seconds=59.5))

    asked = parse_qs(link.query)
    assert unquote(link.path).endswith(upload.key)
    assert asked["versionId"] == [upload.version_id]
    assert asked["X-Amz-Expires"] == ["60"]
    assert "X-Amz-Signature" in asked
