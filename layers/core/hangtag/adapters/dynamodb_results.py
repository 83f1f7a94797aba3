"""
The newest result of each key, in DynamoDB: one item per key, in the table of the records.

    uri             s3://bucket/key
    version         "result"
    result          the TAGGED result, as a map
    objectVersion   `Upload.version` of the object version that it is about
    order           `Upload.order` of that version
    fence           epoch milliseconds: the end of the lease under which the API was called
    retag           the token of the request to tag again that it answers

A result is stored by compare-and-swap: under the condition that no other version's result is
there, or still the one that S3 has said is older (`hangtag.newest`).
"""

from __future__ import annotations

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
from hangtag.errors import ResultTooLarge
from hangtag.ports import StoredResult
from hangtag.results import Document
from hangtag.uploads import Upload

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RESULT: Final = "result"
"""The sort key of the item; that of a record begins with `version:`, `etag:` or `event:`."""


_NOT_NEWER = (
    "attribute_not_exists(#order) OR (objectVersion = :version "
    "AND (#order < :order OR (#order = :order AND fence <= :fence)))"
)
_THE_REPLACED = " OR (objectVersion = :replaced AND #order = :replacedOrder)"


class DynamoDBResults:
    """`ResultStore` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table)

    def read(self, uri: str) -> StoredResult | None:
        item = self._table.get((uri, RESULT))
        return None if item is None else stored_result_of(item)

    def store(
        self,
        upload: Upload,
        document: Document,
        *,
        retag: str | None,
        fence: float,
        replacing: StoredResult | None = None,
    ) -> StoredResult | None:
        order, until = {"S": upload.order}, {"N": str(round(fence * 1000))}
        try:
            item: Item = {
                **key_of((upload.uri, RESULT)),
                "objectVersion": {"S": upload.version},
                "order": order,
                "fence": until,
                "result": to_attribute(document),
            }
            if retag:
                item["retag"] = {"S": retag}
            values: Item = {":version": {"S": upload.version}}
            values |= {":order": order, ":fence": until}
            condition = _NOT_NEWER
            if replacing is not None and replacing.version != upload.version:
                condition += _THE_REPLACED
                values[":replaced"] = {"S": replacing.version}
                values[":replacedOrder"] = {"S": replacing.order}
            found = self._table.put(item, condition, values, names={"#order": "order"})
        except (ItemTooLarge, RecursionError) as error:
            raise ResultTooLarge(f"the result of {upload.uri}: {error}") from error
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
        return stored_result_of(item) if item else None


def stored_result_of(item: Item) -> StoredResult:
    """A result from its item, or from the part of it that was read."""
    result = item.get("result")
    return StoredResult(
        version=item["objectVersion"]["S"],
        order=item["order"]["S"],
        retag=item["retag"]["S"] if "retag" in item else None,
        document=None if result is None else from_attribute(result),
        removed_at=item["removedAt"]["S"] if "removedAt" in item else None,
    )
