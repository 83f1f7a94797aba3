"""
Results that no DynamoDB item takes, in S3: one JSON object for each result.

DynamoDB takes 400 KB and 32 levels of nesting. The item of a large result has the object's key
(`hangtag.adapters.dynamodb_results`). Why a bucket of its own:
docs/decisions/0041-large-results-and-expiry.md.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import status_of, translated
from hangtag.errors import ResultsUnavailable
from hangtag.parsing import parse_json
from hangtag.results import Document
from hangtag.text import to_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3LargeResults:
    """The objects of large results. All methods raise `ResultsUnavailable`."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def write(
        self, upload_uri: str, version: str, tagged_at: str, document: Document
    ) -> str:
        """Write a result, and return its key; a repetition writes the same object again."""
        key = f"{_digest(upload_uri)}/{_digest(version, tagged_at)}.json"
        with translated(
            ResultsUnavailable, f"writing the large result of {upload_uri}"
        ):
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=to_json(document).encode(),
                ContentType="application/json",
            )
        return key

    def read(self, key: str) -> Document | None:
        """The result, its numbers digit for digit; None if the object is gone."""
        doing = f"reading the large result {key}"
        with translated(ResultsUnavailable, doing):
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if status_of(error) == 404:
                    return None
                raise
            with closing(found["Body"]) as body:
                content = body.read()
        try:
            document = parse_json(content)
        except ValueError as error:
            raise ResultsUnavailable(f"{doing}: {error}") from error
        if not isinstance(document, dict):
            raise ResultsUnavailable(f"{doing}: it is no JSON object")
        return document

    def delete(self, key: str) -> None:
        """Delete an object; it may be gone already."""
        with translated(ResultsUnavailable, f"deleting the large result {key}"):
            self._client.delete_object(Bucket=self._bucket, Key=key)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]
