"""The images, in S3."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.adapters.aws_errors import status_of
from hangtag.contract import SIGNATURE_BYTES, media_type
from hangtag.failures import (
    EmptyImage,
    ImageTooLarge,
    ObjectForbidden,
    ObjectUnavailable,
    UnsupportedFormat,
)
from hangtag.ports import ObjectFacts, StoredImage
from hangtag.uploads import Upload

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef

_CHUNK_BYTES = 256 * 1024

# 404: no such bucket, key or version. 405: the version is a delete marker. 412: without a
# version id the etag tells the version, and another one is there now.
_GONE_STATUSES = (404, 405, 412)


class S3Objects:
    """`ObjectStore` on S3."""

    def __init__(self, client: S3Client, *, max_image_bytes: int) -> None:
        self._client = client
        self._max_image_bytes = max_image_bytes

    def find(self, upload: Upload) -> ObjectFacts | None:
        try:
            found = self._client.head_object(Bucket=upload.bucket, Key=upload.key)
        except ClientError as error:
            if _is_gone(error):
                return None
            _refuse(upload, error)
        except BotoCoreError as error:
            raise ObjectUnavailable(f"{upload.uri}: {error}") from error
        version_id = found.get("VersionId")
        return ObjectFacts(
            version_id=version_id if version_id != "null" else None,
            etag=found["ETag"].strip('"'),
            size=found["ContentLength"],
        )

    def read(self, upload: Upload) -> StoredImage | None:
        order: GetObjectRequestTypeDef = {"Bucket": upload.bucket, "Key": upload.key}
        if upload.version_id is not None:
            order["VersionId"] = upload.version_id
        elif upload.etag is not None:
            order["IfMatch"] = f'"{upload.etag}"'
        try:
            found = self._client.get_object(**order)
            with closing(found["Body"]) as body:
                content, kind = self._read_image(
                    upload, body, size=found["ContentLength"]
                )
        except ClientError as error:
            if _is_gone(error):
                return None
            _refuse(upload, error)
        except BotoCoreError as error:
            raise ObjectUnavailable(f"{upload.uri}: {error}") from error
        return StoredImage(content, kind, found["Metadata"])

    def _read_image(
        self, upload: Upload, body: StreamingBody, *, size: int
    ) -> tuple[bytearray, str]:
        if size == 0:
            raise EmptyImage(f"{upload.uri} has no bytes")
        if size > self._max_image_bytes:
            raise ImageTooLarge(
                f"{upload.uri} has {size:,} bytes; MaxImageBytes is {self._max_image_bytes:,}"
            )
        first_bytes = body.read(SIGNATURE_BYTES)
        kind = media_type(first_bytes)
        if kind is None:
            raise UnsupportedFormat(
                f"{upload.uri} begins with {first_bytes[:8].hex(' ')}, like no BMP, GIF, "
                "JPEG, PNG, TIFF or WEBP"
            )
        # Filled in place: joining the pieces would hold the image twice.
        content = bytearray(size)
        content[: len(first_bytes)] = first_bytes
        filled = len(first_bytes)
        while filled < size:
            chunk = body.read(_CHUNK_BYTES)
            if not chunk:
                raise ObjectUnavailable(
                    f"{upload.uri} ended after {filled:,} of {size:,} bytes"
                )
            content[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return content, kind


def _is_gone(error: ClientError) -> bool:
    # A version id that S3 never gave out is a wrong argument to it
    argument: Any = error.response.get("Error", {})
    return (
        status_of(error) in _GONE_STATUSES
        or argument.get("ArgumentName") == "versionId"
    )


def _refuse(upload: Upload, error: ClientError) -> NoReturn:
    leaf = ObjectForbidden if status_of(error) == 403 else ObjectUnavailable
    raise leaf(f"{upload.uri}: {error}") from error
