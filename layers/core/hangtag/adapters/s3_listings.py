"""The objects of a bucket, listed by S3 or read from an S3 Inventory."""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from hangtag.adapters.aws_errors import code_of, status_of
from hangtag.adapters.s3_errors import object_error
from hangtag.errors import ObjectUnavailable
from hangtag.operators.backfill_ports import ListedObject, UnusableListing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectVersionTypeDef

_PAGE = 1_000
_CHUNK_BYTES = 1024 * 1024
_ROW_CHARACTERS = 64 * 1024  # a percent-encoded key has 3 KB, the other cells are short

# Storage classes, and access tiers of INTELLIGENT_TIERING, whose objects S3 must restore first.
# S3 reads objects of GLACIER_IR without that.
_ARCHIVES = {
    "ARCHIVE",
    "ARCHIVE_ACCESS",
    "DEEP_ARCHIVE",
    "DEEP_ARCHIVE_ACCESS",
    "GLACIER",
}


class S3Listing:
    """`Listing` of a bucket by S3. A place is a key."""

    def __init__(self, client: S3Client, *, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def pages(self, *, after: str | None) -> Iterator[Sequence[ListedObject]]:
        # Works for a bucket without versions too: its objects have the version "null"
        marker: dict[str, str] = {} if after is None else {"KeyMarker": after}
        while True:
            try:
                answer = self._client.list_object_versions(
                    Bucket=self._bucket,
                    Prefix=self._prefix,
                    MaxKeys=_PAGE,
                    OptionalObjectAttributes=["RestoreStatus"],
                    **marker,  # type: ignore[arg-type]  # all are strings
                )
            except (ClientError, BotoCoreError) as error:
                _refuse(f"listing s3://{self._bucket}/{self._prefix}", error)
            yield [
                _of_version(version)
                for version in answer.get("Versions", [])
                if version["IsLatest"] and version["Key"] != after
            ]
            if not answer["IsTruncated"]:
                return
            marker = {"KeyMarker": answer["NextKeyMarker"]}
            if answer.get("NextVersionIdMarker"):
                marker["VersionIdMarker"] = answer["NextVersionIdMarker"]


def _of_version(version: ObjectVersionTypeDef) -> ListedObject:
    # True while S3 restores the object, False while the restored copy lasts, missing otherwise
    is_restoring = version.get("RestoreStatus", {}).get("IsRestoreInProgress")
    return ListedObject(
        key=version["Key"],
        version_id=version["VersionId"] if version["VersionId"] != "null" else None,
        etag=version["ETag"].strip('"'),
        size=version["Size"],
        place=version["Key"],
        is_archived=version.get("StorageClass") in _ARCHIVES
        and is_restoring is not False,
    )


class S3Inventory:
    """
    `Listing` of an S3 Inventory in CSV, given by its manifest.

    A place is `file:row`, both numbers from 0. Each file is downloaded completely first, because a
    backfill may read it for hours, longer than a connection lasts.
    """

    def __init__(
        self,
        client: S3Client,
        *,
        manifest_bucket: str,
        manifest_key: str,
        bucket: str,
        prefix: str,
    ) -> None:
        self._client = client
        self._manifest = (manifest_bucket, manifest_key)
        self._bucket = bucket
        self._prefix = prefix

    def pages(self, *, after: str | None) -> Iterator[Sequence[ListedObject]]:
        first_file, first_row = _place_after(after)
        bucket, columns, keys = self._read_manifest()
        for number, key in enumerate(keys):
            if number < first_file:
                continue
            seen = first_row if number == first_file else 0
            with self._fetched(bucket, key) as file:
                yield from self._pages_of(
                    file, f"s3://{bucket}/{key}", columns, number=number, seen=seen
                )

    def _pages_of(
        self,
        file: IO[bytes],
        name: str,
        columns: Sequence[str],
        *,
        number: int,
        seen: int,
    ) -> Iterator[Sequence[ListedObject]]:
        page: list[ListedObject] = []
        try:
            with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
                for row, values in enumerate(_rows(lines)):
                    if row < seen or not values:
                        continue
                    if len(values) != len(columns):
                        raise ValueError(  # noqa: TRY301 - handled like the others
                            f"row {row + 1} has {len(values)} columns, the manifest "
                            f"{len(columns)}"
                        )
                    cells = dict(zip(columns, values, strict=True))
                    found = self._of_row(cells, place=f"{number}:{row}")
                    if found is not None:
                        page.append(found)
                    if len(page) == _PAGE:
                        yield page
                        page = []
        except (OSError, EOFError, zlib.error, csv.Error, ValueError) as error:
            raise UnusableListing(
                f"{name} is not a file of an S3 Inventory in CSV: {error}"
            ) from error
        yield page

    def _of_row(self, cells: dict[str, str], *, place: str) -> ListedObject | None:
        """The object of a row; None if it is an old version, or has another prefix."""
        if (
            cells.get("IsDeleteMarker", "").lower() == "true"
            or cells.get("IsLatest", "").lower() == "false"
            or cells["Bucket"] != self._bucket
        ):
            return None
        key = unquote_plus(cells["Key"], errors="strict")
        if not key.startswith(self._prefix):
            return None
        version = cells.get("VersionId", "")
        size = cells.get("Size", "")
        return ListedObject(
            key=key,
            version_id=version if version not in ("", "null") else None,
            etag=cells.get("ETag", "").strip('"') or None,
            size=_size(size) if size else None,
            place=place,
            is_archived=not _ARCHIVES.isdisjoint(
                (cells.get("StorageClass"), cells.get("IntelligentTieringAccessTier"))
            ),
        )

    def _read_manifest(self) -> tuple[str, Sequence[str], Sequence[str]]:
        """The bucket of the inventory's files, their columns, and their keys."""
        bucket, key = self._manifest
        name = f"s3://{bucket}/{key}"
        with self._fetched(bucket, key) as file:
            try:
                manifest: Any = json.load(file)
                form = manifest["fileFormat"]
                schema = manifest["fileSchema"]
                source = manifest["sourceBucket"]
                # An ARN of any partition, or the name
                destination = manifest["destinationBucket"].rpartition(":")[2]
                keys = [str(part["key"]) for part in manifest["files"]]
                "".join([destination, str(schema), *keys]).encode()
            except (
                ValueError,
                KeyError,
                TypeError,
                AttributeError,
                RecursionError,
            ) as error:
                raise UnusableListing(
                    f"{name} is no manifest of an S3 Inventory: give the uri of its "
                    "manifest.json"
                ) from error
        if form != "CSV":
            raise UnusableListing(
                f"{name} is an inventory in {form}; only CSV can be read: configure one in CSV, or "
                "leave out --from-inventory"
            )
        if source != self._bucket:
            raise UnusableListing(
                f"{name} is an inventory of the bucket {source}, not of {self._bucket}"
            )
        columns = [column.strip() for column in str(schema).split(",")]
        if not {"Bucket", "Key"} <= set(columns):
            raise UnusableListing(f"{name} has no columns Bucket and Key: {schema}")
        return destination, columns, keys

    def _fetched(self, bucket: str, key: str) -> IO[bytes]:
        """An object in a temporary file; a small one stays in memory."""
        file = tempfile.SpooledTemporaryFile(max_size=_CHUNK_BYTES)  # noqa: SIM115 - returned
        try:
            found = self._client.get_object(Bucket=bucket, Key=key)
            with closing(found["Body"]) as body:
                for chunk in body.iter_chunks(_CHUNK_BYTES):
                    file.write(chunk)
        except (ClientError, BotoCoreError) as error:
            file.close()
            if isinstance(error, ParamValidationError):
                raise UnusableListing(
                    f"s3://{bucket}/{key} is not a valid name of an object"
                ) from error
            if isinstance(error, ClientError) and status_of(error) == 404:
                raise UnusableListing(f"there is no s3://{bucket}/{key}") from error
            _refuse(f"reading s3://{bucket}/{key}", error)
        file.seek(0)
        return file


def _rows(lines: IO[str]) -> Iterator[list[str]]:
    """
    The rows of a CSV file, with bounded memory: one compressed MB may be a row of a GB.

    Raises:
        ValueError: A row is too long.
        csv.Error: As `csv.reader`.
    """
    row, left = 1, _ROW_CHARACTERS

    def bounded() -> Iterator[str]:
        nonlocal left
        while line := lines.readline(left + 1):
            left -= len(line)
            if left < 0:
                raise ValueError(
                    f"row {row} is longer than {_ROW_CHARACTERS:,} characters"
                )
            yield line

    for values in csv.reader(bounded()):
        yield values
        row, left = row + 1, _ROW_CHARACTERS


def _size(text: str) -> int:
    """Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ValueError(f"{text[:50]!r} is not the size of an object")
    return int(text)


def _place_after(after: str | None) -> tuple[int, int]:
    if after is None:
        return 0, 0
    file, _, row = after.partition(":")
    try:
        return int(file), int(row) + 1
    except ValueError as error:
        raise UnusableListing(f"{after!r} is not a place in an inventory") from error


def _refuse(doing: str, error: ClientError | BotoCoreError) -> NoReturn:
    if not isinstance(error, ClientError):
        raise ObjectUnavailable(f"{doing}: {error}") from error
    if code_of(error) == "NoSuchBucket":
        raise UnusableListing(f"{doing}: there is no such bucket") from error
    raise object_error(doing, error) from error
