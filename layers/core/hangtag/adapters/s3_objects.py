"""The images, in S3."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.adapters.aws_errors import status_of, translated
from hangtag.adapters.s3_errors import object_error
from hangtag.errors import EmptyImage, ImageTooLarge, ObjectUnavailable
from hangtag.ports import ImageHead, ObjectFacts, StoredImage
from hangtag.tagger_api import SIGNATURE_BYTES, require_media_type
from hangtag.uploads import Upload

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        GetObjectOutputTypeDef,
        GetObjectRequestTypeDef,
    )

_CHUNK_BYTES = 256 * 1024

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
            first_bytes = _first_bytes(upload, body, size=size)
            kind = require_media_type(first_bytes, upload.uri)
            content = self._filled(upload, body, first_bytes, size=size)
        return StoredImage(content, kind, found["Metadata"], _etag_of(found))

    def peek(self, upload: Upload) -> ImageHead | None:
        found = self._get(upload, first_bytes_only=True)
        if found is None:
            return None
        with translated(ObjectUnavailable, upload.uri), closing(found["Body"]) as body:
            # "bytes 0-4095/251134"
            whole = found.get("ContentRange", "").rpartition("/")[2]
            size = int(whole) if whole.isdigit() else found["ContentLength"]
            self._check_size(upload, size)
            first_bytes = _first_bytes(upload, body, size=size)
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

    def _filled(
        self, upload: Upload, body: StreamingBody, first_bytes: bytes, *, size: int
    ) -> bytearray:
        """The whole image, filled in place: joining pieces would hold it twice."""
        content = bytearray(size)
        content[: len(first_bytes)] = first_bytes
        filled = len(first_bytes)
        while filled < size:
            self._check_deadline()  # a trickle keeps every timeout
            chunk = body.read(_CHUNK_BYTES)
            if not chunk:
                raise ObjectUnavailable(
                    f"{upload.uri} ended after {filled:,} of {size:,} bytes"
                )
            content[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return content

    def _check_size(self, upload: Upload, size: int) -> None:
        if size == 0:
            raise EmptyImage(f"{upload.uri} has no bytes")
        if size > self._max_image_bytes:
            raise ImageTooLarge(
                f"{upload.uri} has {size:,} bytes; MaxImageBytes is {self._max_image_bytes:,}"
            )


def _etag_of(found: GetObjectOutputTypeDef) -> str:
    return found["ETag"].strip('"')


def _first_bytes(upload: Upload, body: StreamingBody, *, size: int) -> bytes:
    """
    Enough bytes for the media type.

    A connection that breaks off may return fewer bytes than requested. Judged by a single byte, a
    good image would be refused for good.
    """
    wanted = min(SIGNATURE_BYTES, size)
    first = b""
    while len(first) < wanted:
        piece = body.read(wanted - len(first))
        if not piece:
            raise ObjectUnavailable(
                f"{upload.uri} ended after {len(first)} of {size:,} bytes"
            )
        first += piece
    return first


def _is_gone(error: ClientError) -> bool:
    # A version id that S3 never gave out is a wrong argument to it
    argument: Any = error.response.get("Error", {})
    return (
        status_of(error) in _GONE_STATUSES
        or argument.get("ArgumentName") == "versionId"
    )
