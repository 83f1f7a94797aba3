"""
The newest result of each key, in DynamoDB: one item per key, in the table of the records.

    uri             s3://bucket/key
    version         "result"
    result          the TAGGED result, as a map; of a large result only `results.own_part`
    largeResult     the key of a large result in S3 (`hangtag.adapters.s3_large_results`)
    objectVersion   `Upload.version` of the object version that it is about
    order           `Upload.order` of that version
    fence           epoch milliseconds: the end of the lease under which the API was called
    retag           the token of the request to tag again that it answers
    expiresAt       epoch seconds: when DynamoDB may delete the item; not without ResultsTtlDays

If the object is gone, the item is a tombstone. It has no `result`, `fence` and `retag`, its
`objectVersion` and `order` are those of the removal, and it has:

    removedAt       ISO 8601
    expiresAt       epoch seconds; DynamoDB deletes the item some time after it

A result is stored by compare-and-swap: under the condition that no other version's result is
there, or still the one that S3 has said is older (`hangtag.newest`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from hangtag.adapters.dynamodb_table import (
    Item,
    ItemTooLarge,
    Refused,
    Table,
    from_attribute,
    key_of,
    to_attribute,
)
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.errors import ResultsUnavailable
from hangtag.ports import StoredResult
from hangtag.results import Document, own_part
from hangtag.uploads import Upload

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RESULT: Final = "result"
"""
The sort key of the item; that of a record begins with `version:`, `etag:`, `event:` or `removed:`.
"""


_NOT_NEWER = (
    "attribute_not_exists(#order) OR (objectVersion = :version "
    "AND (#order < :order OR (#order = :order AND fence <= :fence)))"
)
_THE_REPLACED = " OR (objectVersion = :replaced AND #order = :replacedOrder)"


class DynamoDBResults:
    """`ResultStore` on DynamoDB, and on S3 for large results."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        large: S3LargeResults,
        *,
        ttl_days: int = 0,
    ) -> None:
        """Results expire after *ttl_days*; 0 keeps them."""
        self._table = Table(client, table)
        self._large = large
        self._ttl_days = ttl_days

    def read(self, uri: str) -> StoredResult | None:
        item = self._table.get((uri, RESULT))
        return None if item is None else self._whole(item)

    def store(
        self,
        upload: Upload,
        document: Document,
        *,
        retag: str | None,
        fence: float,
        replacing: StoredResult | None = None,
    ) -> StoredResult | None:
        item: Item = {
            **key_of((upload.uri, RESULT)),
            "objectVersion": {"S": upload.version},
            "order": {"S": upload.order},
            "fence": {"N": str(round(fence * 1000))},
        }
        if retag:
            item["retag"] = {"S": retag}
        if self._ttl_days:
            expires_at = _epoch_seconds(document["taggedAt"]) + 86_400 * self._ttl_days
            item["expiresAt"] = {"N": str(expires_at)}
        try:
            found = self._put({**item, "result": to_attribute(document)}, replacing)
        except (ItemTooLarge, RecursionError):
            found = self._store_large(upload, document, item, replacing)
        return None if found is None else stored_result_of(found)

    def _store_large(
        self,
        upload: Upload,
        document: Document,
        item: Item,
        replacing: StoredResult | None,
    ) -> Item | None:
        """Write the object, then the item that points to it."""
        key = self._large.write(
            upload.uri, upload.version, document["taggedAt"], document
        )
        pointer = {"S": key}
        own = to_attribute(own_part(document))
        try:
            found = self._put(
                {**item, "largeResult": pointer, "result": own}, replacing
            )
        except ItemTooLarge as error:
            raise ResultsUnavailable(f"writing {upload.uri}: {error}") from error
        # The item that is there may be our own, if the response to its write was lost
        if found is not None and found.get("largeResult") != pointer:
            with suppress(ResultsUnavailable):
                self._large.delete(key)
        return found

    def _put(self, item: Item, replacing: StoredResult | None) -> Item | None:
        """Write an item; returns the one that is there instead, if that stays."""
        values: Item = {
            ":version": item["objectVersion"],
            ":order": item["order"],
            ":fence": item["fence"],
        }
        condition = _NOT_NEWER
        if replacing is not None and replacing.version != item["objectVersion"]["S"]:
            condition += _THE_REPLACED
            values |= _place_of(replacing)
        return self._table.put(item, condition, values, names={"#order": "order"})

    def remove(
        self,
        removal: Upload,
        *,
        order: str,
        removed_at: str,
        expires_at: float,
        replacing: StoredResult | None,
    ) -> StoredResult | None:
        item: Item = {
            **key_of((removal.uri, RESULT)),
            "objectVersion": {"S": removal.version},
            "order": {"S": order},
            "removedAt": {"S": removed_at},
            "expiresAt": {"N": str(round(expires_at))},
        }
        condition, values = "attribute_not_exists(#order)", {}
        if replacing is not None:  # unless it has expired
            condition += _THE_REPLACED
            values = _place_of(replacing)
        found = self._table.put(item, condition, values, names={"#order": "order"})
        return None if found is None else stored_result_of(found)

    def move_up(self, upload: Upload) -> StoredResult | None:
        sequencer: Any = {"S": upload.sequencer} if upload.sequencer else {"NULL": True}
        try:
            item = self._table.update(
                (upload.uri, RESULT),
                "SET #order = :order, #result.#image.#sequencer = :sequencer",
                {
                    ":order": {"S": upload.order},
                    ":sequencer": sequencer,
                    ":version": {"S": upload.version},
                },
                condition="#objectVersion = :version AND #order < :order",
            )
        except Refused as refusal:
            item = refusal.item
        return self._whole(item) if item else None

    def _whole(self, item: Item) -> StoredResult:
        """
        A stored result; a large one that is lost has no document.

        An attempt needs no more than its version and order to store another one in its place.
        """
        stored, key = stored_result_of(item), item.get("largeResult")
        if key is None or stored.document is None:
            return stored
        found = self._large.read(key["S"])
        if found is not None:
            return replace(stored, document=found | stored.document)
        uri = item["uri"]["S"]
        now = self._table.get((uri, RESULT))
        if now is None or now.get("largeResult") != key:
            raise ResultsUnavailable(f"{uri}: another result has just taken its place")
        return replace(stored, document=None)


def _place_of(stored: StoredResult) -> Item:
    """The values of `_THE_REPLACED`."""
    return {
        ":replaced": {"S": stored.version},
        ":replacedOrder": {"S": stored.order},
    }


ReadLarge = Callable[[str], Document | None]
"""Reads a large result by its key; see `S3LargeResults.read`."""


def stored_result_of(item: Item, read_large: ReadLarge | None = None) -> StoredResult:
    """
    A result from its item, or from the part of it that was read.

    Without *read_large*, the document of a large result is its `own_part`.

    Raises:
        ResultsUnavailable: The large result cannot be read, or is gone.
    """
    document = from_attribute(item["result"]) if "result" in item else None
    if document is not None and read_large is not None and "largeResult" in item:
        document = _followed(document, item["largeResult"]["S"], read_large)
    return StoredResult(
        version=item["objectVersion"]["S"],
        order=item["order"]["S"],
        retag=item["retag"]["S"] if "retag" in item else None,
        document=document,
        removed_at=item["removedAt"]["S"] if "removedAt" in item else None,
    )


def has_expired(item: Item, *, now: float) -> bool:
    """Whether an item's time is over: DynamoDB deletes it within days."""
    return "expiresAt" in item and int(item["expiresAt"]["N"]) <= now


def _followed(own: Document, key: str, read_large: ReadLarge) -> Document:
    """A large result; its own part is that of the item, whose sequencer may be higher."""
    found = read_large(key)
    if found is None:
        raise ResultsUnavailable(
            f"the large result of {own['image']['uri']} is gone, or another one has just taken "
            f"its place: {key}"
        )
    return found | own


def _epoch_seconds(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp())
