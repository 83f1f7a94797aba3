"""The images, in S3."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.adapters.aws_errors import status_of, translated
from hangtag.adapters.s3_errors import object_error
from hangtag.errors import DiskFull, EmptyImage, ImageTooLarge, ObjectUnavailable
from hangtag.ports import ImageHead, ObjectFacts, StoredImage
from hangtag.tagger_api import PIECE_BYTES, SIGNATURE_BYTES, require_media_type
from hangtag.uploads import Upload

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        GetObjectOutputTypeDef,
        GetObjectRequestTypeDef,
    )

MAX_BYTES_IN_MEMORY = 1024 * 1024
"""A larger image is kept on the disk while an attempt needs it."""

# 404: no such bucket, key or version. 405: the version is a delete marker. 412: without a
# version id the etag tells the version, and another one is there now.
_GONE_STATUSES = (404, 405, 412)
_NO_SUCH_RANGE = 416


class S3Objects:
    """`ObjectStore` on S3."""

    def __init__(
        self,
        client: S3Client,
        *,
        max_image_bytes: int,
        check_deadline: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._max_image_bytes = max_image_bytes
        self._check_deadline = check_deadline

    def find(self, upload: Upload) -> ObjectFacts | None:
        try:
            found = self._client.head_object(Bucket=upload.bucket, Key=upload.key)
        except ClientError as error:
            if _is_gone(error):
                return None
            raise object_error(upload.uri, error) from error
        except BotoCoreError as error:
            raise ObjectUnavailable(f"{upload.uri}: {error}") from error
        version_id = found.get("VersionId")
        return ObjectFacts(
            version_id=version_id if version_id != "null" else None,
            etag=found["ETag"].strip('"'),
            size=found["ContentLength"],
        )

    def read(self, upload: Upload) -> StoredImage | None:
        found = self._get(upload)
        if found is None:
            return None
        size = found["ContentLength"]
        with translated(ObjectUnavailable, upload.uri), closing(found["Body"]) as body:
            self._check_size(upload, size)
            first_bytes = _read(upload, body, 0, min(SIGNATURE_BYTES, size), size=size)
            kind = require_media_type(first_bytes, upload.uri)
            pieces = self._pieces(upload, body, first_bytes, size=size)
            if size <= MAX_BYTES_IN_MEMORY:
                return _image(found, kind, tuple(pieces))
            file = _file_of(pieces, upload.uri)
            return _image(found, kind, file, file.close)

    def peek(self, upload: Upload) -> ImageHead | None:
        found = self._get(upload, first_bytes_only=True)
        if found is None:
            return None
        with translated(ObjectUnavailable, upload.uri), closing(found["Body"]) as body:
            # "bytes 0-4095/251134"
            whole = found.get("ContentRange", "").rpartition("/")[2]
            size = int(whole) if whole.isdigit() else found["ContentLength"]
            self._check_size(upload, size)
            first_bytes = _read(upload, body, 0, min(SIGNATURE_BYTES, size), size=size)
            kind = require_media_type(first_bytes, upload.uri)
        return ImageHead(kind, found["Metadata"], _etag_of(found), size)

    def link(self, upload: Upload, *, seconds: float) -> str:
        named = {"Bucket": upload.bucket, "Key": upload.key}
        if upload.version_id is not None:
            named["VersionId"] = upload.version_id
        with translated(ObjectUnavailable, f"presigning {upload.uri}"):
            return self._client.generate_presigned_url(
                "get_object", Params=named, ExpiresIn=math.ceil(seconds)
            )

    def _get(
        self, upload: Upload, *, first_bytes_only: bool = False
    ) -> GetObjectOutputTypeDef | None:
        """Exactly the upload's version, or None if it is gone."""
        order: GetObjectRequestTypeDef = {"Bucket": upload.bucket, "Key": upload.key}
        if upload.version_id is not None:
            order["VersionId"] = upload.version_id
        elif upload.etag is not None:
            order["IfMatch"] = f'"{upload.etag}"'
        if first_bytes_only:
            order["Range"] = f"bytes=0-{SIGNATURE_BYTES - 1}"
        try:
            return self._client.get_object(**order)
        except ClientError as error:
            if _is_gone(error):
                return None
            if status_of(error) == _NO_SUCH_RANGE:  # not even a first byte
                self._check_size(upload, 0)
            raise object_error(upload.uri, error) from error
        except BotoCoreError as error:
            raise ObjectUnavailable(f"{upload.uri}: {error}") from error

    def _pieces(
        self, upload: Upload, body: StreamingBody, first_bytes: bytes, *, size: int
    ) -> Iterator[bytes]:
        """The whole image, which begins with the *first_bytes*."""
        read = first_bytes
        for start in range(0, size, PIECE_BYTES):
            self._check_deadline()  # a trickle keeps every timeout
            end = min(start + PIECE_BYTES, size)
            yield read + _read(upload, body, start + len(read), end, size=size)
            read = b""
        body.read(1)  # at the end, botocore compares the checksum

    def _check_size(self, upload: Upload, size: int) -> None:
        if size == 0:
            raise EmptyImage(f"{upload.uri} has no bytes")
        if size > self._max_image_bytes:
            raise ImageTooLarge(
                f"{upload.uri} has {size:,} bytes; MaxImageBytes is {self._max_image_bytes:,}"
            )


class _ImageFile:
    """
    The pieces of a large image, on the disk.

    The file has no name, so that it is gone when it is closed, and after a crash.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        try:
            # Without a buffer: an error of the disk comes from the write that it belongs to
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `close` does it
        except OSError as error:
            raise DiskFull(f"{name} has no room on the disk: {error}") from error
        self.close = self._file.close

    def append(self, piece: bytes) -> None:
        try:
            written = self._file.write(piece)
        except OSError as error:
            raise DiskFull(f"{self._name} has no room on the disk: {error}") from error
        if written < len(piece):
            raise DiskFull(f"{self._name} has no room on the disk")

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        return iter(partial(self._file.read, PIECE_BYTES), b"")


def _file_of(pieces: Iterable[bytes], name: str) -> _ImageFile:
    file = _ImageFile(name)
    with ExitStack() as unless_filled:
        unless_filled.callback(file.close)
        for piece in pieces:
            file.append(piece)
        unless_filled.pop_all()
    return file


def _image(
    found: GetObjectOutputTypeDef,
    kind: str,
    content: Iterable[bytes],
    close: Callable[[], object] = lambda: None,
) -> StoredImage:
    size, metadata = found["ContentLength"], found["Metadata"]
    return StoredImage(content, size, kind, metadata, _etag_of(found), close)


def _etag_of(found: GetObjectOutputTypeDef) -> str:
    return found["ETag"].strip('"')


def _read(
    upload: Upload, body: StreamingBody, start: int, end: int, *, size: int
) -> bytes:
    """
    The bytes from *start*, where *body* is, to *end*.

    A connection that breaks off may return fewer bytes than requested. Judged by a single byte, a
    good image would be refused for good.
    """
    read = b""
    while len(read) < end - start:
        more = body.read(end - start - len(read))
        if not more:
            raise ObjectUnavailable(
                f"{upload.uri} ended after {start + len(read):,} of {size:,} bytes"
            )
        read += more
    return read


def _is_gone(error: ClientError) -> bool:
    # A version id that S3 never gave out is a wrong argument to it
    argument: Any = error.response.get("Error", {})
    return (
        status_of(error) in _GONE_STATUSES
        or argument.get("ArgumentName") == "versionId"
    )
