"""`ObjectStore`: images by version, in memory and in S3."""

from __future__ import annotations

import hashlib
import resource
import tempfile
import tracemalloc
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from hangtag.adapters.aws_deadline import DeadlineTooClose
from hangtag.adapters.s3_objects import MAX_BYTES_IN_MEMORY, S3Objects
from hangtag.errors import (
    DiskFull,
    EmptyImage,
    HangtagError,
    ImageTooLarge,
    ObjectArchived,
    ObjectForbidden,
    ObjectKmsKeyUnusable,
    ObjectUnavailable,
    UnsupportedFormat,
)
from hangtag.ports import ObjectFacts, ObjectStore, StoredImage
from hangtag.tagger_api import PIECE_BYTES, SIGNATURE_BYTES, Base64Body, Context
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
from tests.image_files import OTHERS

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import StorageClassType

MAX_IMAGE_BYTES = 1_000


@dataclass(frozen=True)
class Bucket:
    """A store and its uploaders."""

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
        """Puts an object; returns the upload of its event."""
        facts = self.put(key, content, metadata or {})
        return an_upload(key, version_id=facts.version_id, etag=facts.etag)

    def read(
        self, upload: Upload
    ) -> tuple[bytes, str, Mapping[str, str], str | None] | None:
        """The image's bytes, its media type, metadata and etag; None if it is gone."""
        image = self.store.read(upload)
        if image is None:
            return None
        with closing(image):
            content = b"".join(image.content)
        assert image.size == len(content)
        return content, image.media_type, image.metadata, image.etag


def fake_bucket(*, versioned: bool) -> Bucket:
    """The fake of the unit tests."""
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
    """A bucket without versions."""
    if request.param == "fake":
        return fake_bucket(versioned=False)
    request.getfixturevalue("aws")
    return s3_bucket(versioned=False)


def unidentified(upload: Upload) -> Upload:
    """An upload whose event has no version."""
    return an_upload(upload.key, version_id=None, etag=None)


# ---- find


def test_the_current_version_is_found(bucket: Bucket) -> None:
    """Some events do not name the version."""
    bucket.upload(b"the old one")
    current = bucket.upload(PNG)

    found = bucket.store.find(unidentified(current))

    assert found == ObjectFacts(current.version_id, _md5(PNG), len(PNG))


def test_without_versions_the_current_etag_is_found(plain_bucket: Bucket) -> None:
    """It has no version id, not the text "null"."""
    upload = plain_bucket.upload(PNG)

    found = plain_bucket.store.find(unidentified(upload))

    assert found == ObjectFacts(None, _md5(PNG), len(PNG))


def test_an_object_that_never_existed_is_not_found(bucket: Bucket) -> None:
    """The result is None."""
    bucket.upload(key="another")

    assert bucket.store.find(an_upload()) is None


def test_a_deleted_object_is_not_found(bucket: Bucket) -> None:
    """Its versions still exist behind the delete marker."""
    upload = bucket.upload()
    bucket.delete(KEY)

    assert bucket.store.find(unidentified(upload)) is None


# ---- read


def test_an_image_is_read_with_its_metadata(bucket: Bucket) -> None:
    """Bytes and values are unchanged; the metadata keys lack their prefix."""
    metadata = {"tagger-id": "SKU 1", "tagger-brand": "=?UTF-8?B?7ISc7Jq4?="}
    upload = bucket.upload(PNG, metadata=metadata)

    assert bucket.read(upload) == (PNG, "image/png", metadata, upload.etag)


@pytest.mark.parametrize("kind", FIRST_BYTES)
def test_the_first_bytes_determine_the_media_type(bucket: Bucket, kind: str) -> None:
    """The name is often wrong."""
    upload = bucket.upload(FIRST_BYTES[kind], key="no name for.txt")

    assert bucket.read(upload) == (FIRST_BYTES[kind], kind, {}, upload.etag)


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
    """The raw key is used."""
    upload = bucket.upload(PNG, key=key)

    facts = bucket.store.find(upload)

    assert bucket.read(upload) == (PNG, "image/png", {}, upload.etag)
    assert facts is not None
    assert facts.version_id == upload.version_id


def test_the_version_of_the_event_is_read(bucket: Bucket) -> None:
    """A newer version exists."""
    contents = [PNG + bytes([number]) for number in range(3)]
    uploads = [bucket.upload(content) for content in contents]

    images = [bucket.read(upload) for upload in uploads]

    assert [image and image[0] for image in images] == contents


def test_a_version_is_read_behind_a_delete_marker(bucket: Bucket) -> None:
    """The event's version still exists, and is tagged."""
    upload = bucket.upload()
    bucket.delete(KEY)

    assert bucket.read(upload) == (PNG, "image/png", {}, upload.etag)


def test_a_missing_version_is_gone(bucket: Bucket) -> None:
    """This raises no error."""
    bucket.upload()

    assert bucket.store.read(an_upload(version_id="no-version-of-this-key")) is None


def test_a_missing_key_is_gone(bucket: Bucket) -> None:
    """It was deleted or moved."""
    bucket.upload(key="another")

    assert bucket.store.read(an_upload()) is None


def test_without_versions_the_object_is_read_by_its_etag(plain_bucket: Bucket) -> None:
    """It is read while its etag is that of the event."""
    upload = plain_bucket.upload()

    assert plain_bucket.read(upload) == (PNG, "image/png", {}, upload.etag)


def test_without_versions_an_overwritten_object_is_gone(plain_bucket: Bucket) -> None:
    """The newer object has its own event."""
    old = plain_bucket.upload(PNG)
    new = plain_bucket.upload(PNG + b"new")

    assert plain_bucket.store.read(old) is None
    assert plain_bucket.store.read(new) is not None


def test_without_versions_a_deleted_object_is_gone(plain_bucket: Bucket) -> None:
    """It has no older version."""
    upload = plain_bucket.upload()
    plain_bucket.delete(KEY)

    assert plain_bucket.store.read(upload) is None
    assert plain_bucket.store.find(upload) is None


# ---- refused objects


def test_an_object_without_bytes_is_refused(bucket: Bucket) -> None:
    """The upload was empty."""
    upload = bucket.upload(b"")

    with pytest.raises(EmptyImage, match="no bytes"):
        bucket.store.read(upload)


def test_an_image_of_the_largest_size_is_read(bucket: Bucket) -> None:
    """The limit itself is allowed."""
    content = PNG.ljust(MAX_IMAGE_BYTES, b"\0")
    upload = bucket.upload(content)

    assert bucket.read(upload) == (content, "image/png", {}, upload.etag)


def test_an_image_that_is_too_large_is_refused(bucket: Bucket) -> None:
    """Its size is checked before its bytes are read."""
    upload = bucket.upload(PNG.ljust(MAX_IMAGE_BYTES + 1, b"\0"))

    with pytest.raises(ImageTooLarge):
        bucket.store.read(upload)


@pytest.mark.parametrize("content", [b"%PDF-1.7", b"x", b"\x89PNG", b"BMX is a sport"])
def test_a_file_that_is_no_image_is_refused(bucket: Bucket, content: bytes) -> None:
    """Its name does not matter."""
    upload = bucket.upload(content, key="picture.png")

    with pytest.raises(UnsupportedFormat):
        bucket.store.read(upload)


@pytest.mark.parametrize("way", ["read", "peek"])
def test_a_refused_file_is_called_by_its_format(bucket: Bucket, way: str) -> None:
    """Its signature may be among the first bytes, or its tags some hundred bytes further on."""
    heic = bucket.upload(OTHERS["HEIC"][1], key="photo.jpg")
    svg = bucket.upload(b"<!--" + b" " * 600 + b"--><svg/>", key="drawing.png")

    with pytest.raises(UnsupportedFormat) as photo:
        getattr(bucket.store, way)(heic)
    with pytest.raises(UnsupportedFormat) as drawing:
        getattr(bucket.store, way)(svg)

    assert (photo.value.image_format, drawing.value.image_format) == ("HEIC", "SVG")
    assert str(photo.value) == (
        f"{heic.uri} is HEIC (the iPhone's default); export it as JPEG"
    )


# ---- S3 only


def test_a_refusal_names_object_and_limit(aws: None) -> None:  # noqa: ARG001
    """An operator can act on it."""
    bucket = s3_bucket(versioned=True)
    large = bucket.upload(PNG.ljust(1_234, b"\0"))
    unknown = bucket.upload(b"FLIF31\x0f\x0f\x91", key="picture.png")

    with pytest.raises(ImageTooLarge) as too_large:
        bucket.store.read(large)
    with pytest.raises(UnsupportedFormat) as unsupported:
        bucket.store.read(unknown)

    assert str(too_large.value) == (
        f"s3://{BUCKET}/{KEY} has 1,234 bytes; MaxImageBytes is 1,000"
    )
    assert str(unsupported.value) == (
        f"s3://{BUCKET}/picture.png begins with 46 4c 49 46 33 31 0f 0f; it is not "
        "a BMP, GIF, JPEG, PNG, TIFF or WEBP image"
    )


def test_a_version_that_is_a_delete_marker_is_gone(aws: None) -> None:  # noqa: ARG001
    """S3 answers with "method not allowed"."""
    bucket = s3_bucket(versioned=True)
    bucket.upload()
    marker = session().client("s3").delete_object(Bucket=BUCKET, Key=KEY)["VersionId"]

    assert bucket.store.read(an_upload(version_id=marker)) is None


def test_a_version_deleted_for_good_is_gone(aws: None) -> None:  # noqa: ARG001
    """Other versions of the key still exist."""
    bucket = s3_bucket(versioned=True)
    upload = bucket.upload()
    bucket.upload()
    assert upload.version_id is not None
    session().client("s3").delete_object(
        Bucket=BUCKET, Key=KEY, VersionId=upload.version_id
    )

    assert bucket.store.read(upload) is None


def test_an_object_in_a_missing_bucket_is_gone(aws: None) -> None:  # noqa: ARG001
    """Its events may arrive after the bucket was deleted."""
    store = S3Objects(session().client("s3"), max_image_bytes=MAX_IMAGE_BYTES)

    assert store.read(an_upload()) is None
    assert store.find(an_upload()) is None


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """An S3 with replies that a test sets."""
    with loopback_server() as server:
        yield server


@pytest.fixture
def objects(server: LoopbackServer) -> S3Objects:
    """The adapter connected to it."""
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
def test_every_s3_error_for_a_missing_object_means_gone(
    server: LoopbackServer, objects: S3Objects, status: int, error: str
) -> None:
    """S3 has several codes for deleted, delete marker and overwritten."""
    server.replies(answer(status, _error_document(error)))

    assert objects.read(an_upload()) is None


def test_the_version_id_null_is_read_as_none(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """S3 gives objects from before versioning this name; an overwrite may reuse it."""
    server.replies(answer(200, ETag='"0123"', x_amz_version_id="null"))

    assert objects.find(an_upload()) == ObjectFacts(None, "0123", 0)


def test_an_invalid_version_id_is_gone(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """S3 returns InvalidArgument for it."""
    document = _error_document(
        "InvalidArgument", "<ArgumentName>versionId</ArgumentName>"
    )
    server.replies(answer(400, document))

    assert objects.read(an_upload(version_id="x")) is None


def test_another_invalid_argument_is_an_error(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """An existing upload must not be skipped."""
    document = _error_document(
        "InvalidArgument", "<ArgumentName>x-amz-version</ArgumentName>"
    )
    server.replies(answer(400, document))

    with pytest.raises(ObjectUnavailable):
        objects.read(an_upload())


READS = pytest.mark.parametrize("read", [S3Objects.read, S3Objects.peek])
"""For both transports."""


@READS
@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
@pytest.mark.usefixtures("aws")
def test_an_archived_object_has_its_own_error(
    read: Callable[[S3Objects, Upload], object], storage_class: StorageClassType
) -> None:
    """A retry does not help: an operator must restore it."""
    s3_bucket(versioned=True)
    client = session().client("s3")
    client.put_object(Bucket=BUCKET, Key=KEY, Body=PNG, StorageClass=storage_class)
    store = S3Objects(client, max_image_bytes=MAX_IMAGE_BYTES)

    assert store.find(an_upload(version_id=None, etag=None)) is not None
    with pytest.raises(ObjectArchived, match=KEY):
        read(store, an_upload(version_id=None, etag=None))


KEY_ARN = (
    "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
)


@READS
@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (
            403,
            "AccessDenied",
            f"User: u is not authorized to perform: kms:Decrypt on resource: {KEY_ARN} because",
        ),
        (400, "KMS.DisabledException", f"{KEY_ARN} is disabled."),
        (400, "KMS.KMSInvalidStateException", f"{KEY_ARN} is pending deletion."),
        (400, "KMS.NotFoundException", f"Key '{KEY_ARN}' does not exist"),
        (400, "KMS.InvalidKeyUsageException", f"{KEY_ARN} is not for encryption."),
    ],
)
def test_the_error_of_an_unusable_kms_key_names_the_key(
    server: LoopbackServer,
    objects: S3Objects,
    read: Callable[[S3Objects, Upload], object],
    *,
    status: int,
    code: str,
    message: str,
) -> None:
    """Also if a long key of the object leaves little room in the message."""
    server.replies(answer(status, _error_document(code, message=message)))
    upload = an_upload("long " * 200)

    with pytest.raises(ObjectKmsKeyUnusable, match=f"^KMS key {KEY_ARN}, s3://"):
        read(objects, upload)


@pytest.mark.parametrize(
    ("status", "code", "leaf"),
    [
        (403, "AccessDenied", ObjectForbidden),
        (400, "KMS.DisabledException", ObjectUnavailable),
    ],
)
def test_the_current_version_of_an_object_is_found_without_errors_about_keys(
    server: LoopbackServer,
    objects: S3Objects,
    status: int,
    code: str,
    leaf: type[Exception],
) -> None:
    """S3's answer to a HEAD request has no body, and so neither code nor message."""
    message = f"not authorized to perform: kms:Decrypt on resource: {KEY_ARN}"
    server.replies(answer(status, _error_document(code, message=message)))

    with pytest.raises(leaf):
        objects.find(an_upload())


@pytest.mark.parametrize(
    "message",
    [
        (
            "User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: "
            "kms:Decrypt on the resource associated with this ciphertext"
        ),
        (
            "The ciphertext refers to a customer master key that does not exist, does not exist in "
            "this region, or you are not allowed to access."
        ),
    ],
)
def test_an_unusable_kms_key_that_s3_does_not_name_has_the_same_error(
    server: LoopbackServer, objects: S3Objects, message: str
) -> None:
    """A key that is deleted or in another account is not named."""
    server.replies(answer(403, _error_document("AccessDenied", message=message)))

    with pytest.raises(ObjectKmsKeyUnusable, match=f"^KMS key of s3://.*{message}"):
        objects.read(an_upload())


@pytest.mark.parametrize(
    ("status", "code", "message", "leaf"),
    [
        (403, "AccessDenied", "Access Denied", ObjectForbidden),
        (
            403,
            "AccessDenied",
            "User: u is not authorized to perform: s3:GetObject on resource: r",
            ObjectForbidden,
        ),
        (
            403,
            "AccessDenied",
            (
                "User: u is not authorized to perform: s3:GetObject on resource: kms:Decrypt "
                "of the customer master key.jpg"
            ),
            ObjectForbidden,
        ),
        (400, "KMS.ThrottlingException", "Rate exceeded", ObjectUnavailable),
        (503, "SlowDown", "Please reduce your request rate for KMS", ObjectUnavailable),
    ],
)
def test_other_refusals_are_no_matter_of_the_kms_key(
    server: LoopbackServer,
    objects: S3Objects,
    *,
    status: int,
    code: str,
    message: str,
    leaf: type[HangtagError],
) -> None:
    """Throttling ends by itself."""
    server.replies(answer(status, _error_document(code, message=message)))

    with pytest.raises(leaf):
        objects.read(an_upload())


def test_a_file_that_is_no_image_is_read_only_to_its_first_bytes(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """Users may upload videos; the rest is not downloaded."""
    server.replies(
        part_of_an_answer_and_silence(
            200, b"%PDF-1.7".ljust(SIGNATURE_BYTES), length=5_000_000
        )
    )

    with pytest.raises(UnsupportedFormat):
        objects.read(an_upload())


def test_an_image_that_is_too_large_is_not_read(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """The size is in the header."""
    server.replies(part_of_an_answer_and_silence(200, b"", length=50_000_000))

    with pytest.raises(ImageTooLarge):
        objects.read(an_upload())


@pytest.mark.parametrize("sent", [0, 10, SIGNATURE_BYTES - 1, 50_000])
def test_a_truncated_object_is_unavailable(
    server: LoopbackServer, objects: S3Objects, sent: int
) -> None:
    """Half an image must not be tagged; a retry may read the whole."""
    content = PNG.ljust(100_000, b"\0")
    server.replies(part_of_an_answer(200, content[:sent], length=len(content)))

    with pytest.raises(ObjectUnavailable) as caught:
        objects.read(an_upload())

    assert caught.value.__cause__ is not None


# ---- large images, on the disk

LARGE = PNG.ljust(3 * MAX_BYTES_IN_MEMORY + 1, b"\7")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may have more than 2 MiB, which takes effect like a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 1024 * 1024, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def open_files(folder: Path) -> list[str]:
    """The files in a folder that this process has open, also those without a name."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # a thread of the server has closed it
            links.append(str(descriptor.readlink()))
    return [link for link in links if link.startswith(f"{folder}/")]


def test_a_large_image_is_on_the_disk_until_it_is_closed(
    server: LoopbackServer, objects: S3Objects, disk: Path
) -> None:
    """Its file has no name, so that not even a crash leaves it there."""
    server.replies(answer(200, LARGE, ETag='"0123"'))

    image = objects.read(an_upload())

    assert image is not None
    assert (len(open_files(disk)), list(disk.iterdir())) == (1, [])
    assert [b"".join(image.content) for _ in range(2)] == [LARGE] * 2
    assert image.size == len(LARGE)
    image.close()
    assert open_files(disk) == []


@pytest.mark.parametrize("size", [100, MAX_BYTES_IN_MEMORY])
def test_a_small_image_needs_no_disk(
    server: LoopbackServer, objects: S3Objects, disk: Path, size: int
) -> None:
    """Most images are small, and a file takes time."""
    server.replies(answer(200, PNG.ljust(size, b"\7"), ETag='"0123"'))

    image = objects.read(an_upload())

    assert image is not None
    assert open_files(disk) == []


def test_the_pieces_of_an_image_can_be_encoded_one_by_one(
    server: LoopbackServer, objects: S3Objects
) -> None:
    """Base64 turns three bytes into four characters."""
    for content in (PNG, LARGE, LARGE[:500_000]):
        server.replies(answer(200, content, ETag='"0123"'))
        image = objects.read(an_upload())
        assert image is not None
        with closing(image):
            encoded = b"".join(map(b64encode, image.content))

        assert encoded == b64encode(content)


@pytest.mark.parametrize("sent", [10, SIGNATURE_BYTES, 500_000, len(LARGE) - 1])
def test_a_truncated_large_object_leaves_no_file(
    server: LoopbackServer, objects: S3Objects, disk: Path, sent: int
) -> None:
    """The error is raised in the middle."""
    server.replies(part_of_an_answer(200, LARGE[:sent], length=len(LARGE)))

    with pytest.raises(ObjectUnavailable):
        objects.read(an_upload())

    assert open_files(disk) == []


def test_a_large_object_that_takes_too_long_leaves_no_file(
    server: LoopbackServer, disk: Path
) -> None:
    """The function's time is checked before each piece."""
    checks = iter(range(5))

    def check() -> None:
        if next(checks) == 4:
            raise DeadlineTooClose

    client = session().client("s3", endpoint_url=server.url, config=ONCE)
    objects = S3Objects(client, max_image_bytes=10_000_000, check_deadline=check)
    server.replies(answer(200, LARGE, ETag='"0123"'))

    with pytest.raises(ObjectUnavailable, match="no time is left"):
        objects.read(an_upload())

    assert open_files(disk) == []


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("room", ["part of a piece", "whole pieces"])
def test_a_full_disk_has_its_own_error(
    server: LoopbackServer, objects: S3Objects, disk: Path, room: str
) -> None:
    """A retry may find more room; the operator sees which parameter to change."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    if room == "whole pieces":
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * PIECE_BYTES, limit[1]))
    server.replies(answer(200, LARGE, ETag='"0123"'))

    with pytest.raises(DiskFull, match="has no room on the disk"):
        objects.read(an_upload())

    assert open_files(disk) == []


def test_a_missing_disk_has_the_same_error(
    server: LoopbackServer, objects: S3Objects, disk: Path
) -> None:
    """The folder may be gone, or not be writable."""
    disk.rmdir()
    server.replies(answer(200, LARGE, ETag='"0123"'))

    with pytest.raises(DiskFull, match="No such file"):
        objects.read(an_upload())


def test_ten_large_images_take_little_memory(
    server: LoopbackServer, objects: S3Objects, disk: Path
) -> None:
    """Neither the images nor their requests are held whole."""
    content = PNG.ljust(9_000_000, b"\7")
    server.replies(answer(200, content, ETag='"0123"'))
    first = objects.read(an_upload())  # makes what is made once
    assert first is not None
    first.close()

    tracemalloc.start()
    try:
        images = [objects.read(an_upload()) for _ in range(10)]
        sent = sum(len(piece) for image in images for piece in _request(image))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert sent > 10 * len(content) * 4 / 3
    assert peak < len(content)
    assert len(open_files(disk)) == len(images)
    for image in images:
        assert image is not None
        image.close()


def _request(image: StoredImage | None) -> Base64Body:
    assert image is not None
    context = Context()
    return Base64Body(image.content, image.size, image.media_type, context)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _error_document(code: str, more: str = "", *, message: str = "no") -> bytes:
    """An error body of S3."""
    return (
        f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    ).encode()


@pytest.mark.parametrize("way", ["read", "peek"])
@pytest.mark.parametrize("sent", [1, 11, SIGNATURE_BYTES - 1])
def test_a_file_whose_first_bytes_are_cut_off_is_not_refused(
    server: LoopbackServer, objects: S3Objects, way: str, sent: int
) -> None:
    """A good image would be refused for good, or a RAW photo be taken for a TIFF."""
    content = OTHERS["NEF"][1].ljust(100_000, b"\0")
    server.replies(part_of_an_answer(200, content[:sent], length=len(content)))

    with pytest.raises(ObjectUnavailable):
        getattr(objects, way)(an_upload())


# ---- first bytes and link, for the transport by URL


def test_a_peek_returns_the_media_type_and_the_metadata(bucket: Bucket) -> None:
    """It reads the version that the event names."""
    upload = bucket.upload(PNG, metadata={"tagger-brand": "B"})
    bucket.upload(b"no image any more")

    head = bucket.store.peek(upload)

    assert head is not None
    assert (head.media_type, head.metadata) == ("image/png", {"tagger-brand": "B"})
    assert (head.etag, head.size) == (upload.etag, upload.size)


@pytest.mark.parametrize(
    ("content", "refusal"),
    [(b"", EmptyImage), (b"no image", UnsupportedFormat), (b"P", UnsupportedFormat)],
)
def test_a_peek_refuses_an_object_that_must_not_be_sent(
    bucket: Bucket, content: bytes, refusal: type[HangtagError]
) -> None:
    """The refusal comes before its link is created."""
    upload = bucket.upload(content)

    with pytest.raises(refusal):
        bucket.store.peek(upload)


def test_a_peek_at_a_missing_object_returns_none(bucket: Bucket) -> None:
    """Reading it does the same."""
    assert bucket.store.peek(an_upload(version_id="never-was")) is None


def test_a_link_names_the_version_and_expires(bucket: Bucket) -> None:
    """Until then anyone with the link can fetch that version."""
    upload = bucket.upload(PNG)

    link = urlsplit(bucket.store.link(upload, seconds=59.5))

    parameters = parse_qs(link.query)
    assert unquote(link.path).endswith(upload.key)
    assert parameters["versionId"] == [upload.version_id]
    assert parameters["X-Amz-Expires"] == ["60"]
    assert "X-Amz-Signature" in parameters
