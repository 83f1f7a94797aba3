"""
The results, in DynamoDB: one item per object version.

    uri             partition key, s3://bucket/key
    version         sort key, see `Upload.version`
    state           CLAIMED, WAITING (for a retry), FAILED or DONE
    claimedUntil    epoch milliseconds; the lease of a CLAIMED item
    claimToken      of the claim that was made last
    sequencer       of the last event that had one
    attempts        begun since the upload arrived or was replayed
    replays         the highest count of replays a delivery came with
    result          the TAGGED result, from the moment it is stored
    failed          the FAILED result, until the upload is tagged after all
    notification    with `failed`: what a replay sends, should the dead letter have expired
    order           see `Upload.order`; only once the version has ended: the index `newest`
    statusShard     e.g. TAGGED#3; with `endedAt` (ISO 8601) the index `ended`
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import code_of, translated
from hangtag.failures import ResultsUnavailable, ResultTooLarge
from hangtag.ports import Busy, Claim, Clock, Done
from hangtag.results import Document
from hangtag.uploads import Upload

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import UpdateItemInputTypeDef

    # The library's own type is a union of twenty shapes; items are dicts of tagged values here.
    Item = dict[str, Any]

SHARDS: Final = 8
"""
Partitions of the index `ended` per status.

A partition takes 1,000 writes a second; one per status would slow a large backfill down.
"""

NEWEST_INDEX: Final = "newest"
ENDED_INDEX: Final = "ended"

_CLAIMABLE = (
    "attribute_not_exists(#uri) OR (replays >= :replays AND "
    "(#state = :waiting OR (#state = :claimed AND claimedUntil < :now)))"
)


class DynamoDBResults:
    """`ResultStore` on DynamoDB, and what the operator's command reads of it."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    # ---- for the pipeline

    def claim(
        self, upload: Upload, *, replays: int, lease_seconds: float
    ) -> Claim | Done | Busy:
        now = self._milliseconds()
        values = {
            ":claimed": "CLAIMED",
            ":until": now + int(lease_seconds * 1000),
            # Tells our own claim again, should botocore repeat a call whose answer was lost
            ":token": uuid.uuid4().hex,
            ":replays": replays,
            ":one": 1,
        }
        try:
            old = self._take(
                upload,
                "replays = if_not_exists(replays, :replays) ADD attempts :one",
                {**values, ":waiting": "WAITING", ":now": now},
                _CLAIMABLE,
            )
        except _NotClaimable as refusal:
            return self._claim_anew(upload, refusal.item, values, now)
        return Claim(
            attempt=int(old.get("attempts", 0)) + 1,
            unannounced=old.get("result"),
            sequencer=upload.sequencer or old.get("sequencer"),
            ran_out=old.get("state") == "CLAIMED",
        )

    def _claim_anew(
        self, upload: Upload, old: Document, values: dict[str, Any], now: int
    ) -> Claim | Done | Busy:
        """An item that is done, being worked on, or back after it had failed."""
        if old.get("claimToken") == values[":token"]:
            return _first_claim(upload, old, attempt=int(old["attempts"]))
        if old["state"] == "DONE":
            return Done()
        if old["state"] == "CLAIMED" and int(old["claimedUntil"]) >= now:
            return Busy((int(old["claimedUntil"]) - now) / 1000)
        try:
            self._take(
                upload,
                "replays = :replays, attempts = :one",
                {
                    **values,
                    ":replays": max(values[":replays"], int(old["replays"])),
                    ":old_state": old["state"],
                    ":old_attempts": old["attempts"],
                    ":old_replays": old["replays"],
                },
                "#state = :old_state AND attempts = :old_attempts "
                "AND replays = :old_replays",
            )
        except _NotClaimable as refusal:
            if refusal.item.get("claimToken") != values[":token"]:
                return Busy(1.0)  # another worker was faster by a moment
        return _first_claim(upload, old, attempt=1)

    def _take(
        self,
        upload: Upload,
        counting: str,
        values: Mapping[str, Any],
        condition: str,
    ) -> Document:
        """
        Claim an item; what it was before.

        Raises:
            _NotClaimable: The condition does not hold.
        """
        expression = (
            "SET #state = :claimed, claimedUntil = :until, claimToken = :token, "
        )
        if upload.sequencer is not None:
            # Kept, for an event of the same version that comes without one
            expression += "sequencer = :sequencer, "
            values = {**values, ":sequencer": upload.sequencer}
        try:
            with translated(ResultsUnavailable, f"claiming {upload.uri}"):
                return from_items(
                    self._update(
                        upload, expression + counting, values, condition=condition
                    )
                )
        except ResultsUnavailable as error:
            item = _item_of_failed_condition(error)
            if item is None:
                raise
            raise _NotClaimable(from_items(item)) from error

    def release(self, upload: Upload) -> None:
        with translated(ResultsUnavailable, f"releasing {upload.uri}"):
            self._update(
                upload,
                "SET #state = :waiting REMOVE claimedUntil",
                {":waiting": "WAITING"},
            )

    def withdraw(self, upload: Upload) -> None:
        with translated(ResultsUnavailable, f"withdrawing from {upload.uri}"):
            self._update(
                upload,
                "SET #state = :waiting REMOVE claimedUntil ADD attempts :minus_one",
                {":waiting": "WAITING", ":minus_one": -1},
            )

    def store_tagged(self, upload: Upload, result: Document) -> None:
        try:
            with translated(ResultsUnavailable, f"storing the result of {upload.uri}"):
                self._update(
                    upload,
                    "SET #result = :result, #order = :order, statusShard = :shard, "
                    "endedAt = :ended REMOVE failed, notification",
                    {
                        ":result": result,
                        ":order": upload.order,
                        ":shard": status_shard("TAGGED", upload),
                        ":ended": result["taggedAt"],
                    },
                )
        except RecursionError as error:
            raise ResultTooLarge(f"{upload.uri}: nested too deeply") from error
        except ResultsUnavailable as error:
            if _is_invalid(error):
                raise ResultTooLarge(str(error)) from error
            raise

    def finish(self, upload: Upload) -> None:
        with translated(ResultsUnavailable, f"finishing {upload.uri}"):
            self._update(
                upload, "SET #state = :done REMOVE claimedUntil", {":done": "DONE"}
            )

    def store_failed(self, upload: Upload, result: Document) -> None:
        with translated(ResultsUnavailable, f"storing the failure of {upload.uri}"):
            self._update(
                upload,
                "SET failed = :failed, notification = :notification, "
                "#state = :state, #order = :order, statusShard = :shard, "
                "endedAt = :ended REMOVE claimedUntil",
                {
                    ":failed": result,
                    ":notification": upload.notification(),
                    ":state": "FAILED",
                    ":order": upload.order,
                    ":shard": status_shard("FAILED", upload),
                    ":ended": result["failure"]["failedAt"],
                },
            )

    def is_superseded(self, upload: Upload) -> bool:
        with translated(ResultsUnavailable, f"looking for newer than {upload.uri}"):
            found = self._client.query(
                TableName=self._table,
                IndexName=NEWEST_INDEX,
                KeyConditionExpression="#uri = :uri AND #order > :order",
                ExpressionAttributeNames={"#uri": "uri", "#order": "order"},
                ExpressionAttributeValues={
                    ":uri": {"S": upload.uri},
                    ":order": {"S": upload.order},
                },
                ConsistentRead=True,
                Select="COUNT",
                Limit=1,
            )
        return found["Count"] > 0

    # ---- for operators

    def newest(self, uri: str) -> Document | None:
        """The result of the newest version of a key that has ended, or None."""
        with translated(ResultsUnavailable, f"reading {uri}"):
            found = self._client.query(
                TableName=self._table,
                IndexName=NEWEST_INDEX,
                KeyConditionExpression="#uri = :uri",
                ExpressionAttributeNames={"#uri": "uri"},
                ExpressionAttributeValues={":uri": {"S": uri}},
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=1,
            )
            if not found["Items"]:
                return None
            keys = found["Items"][0]
            item = self._client.get_item(
                TableName=self._table,
                Key={"uri": keys["uri"], "version": keys["version"]},
                ConsistentRead=True,
            ).get("Item")
        if item is None:
            return None
        document = from_items(item)
        # An upload whose announcement failed for good has both.
        shown: Document | None = document.get("failed") or document.get("result")
        return shown

    def count_ended(self, status: str, *, since: str) -> int:
        """How many uploads ended as *status* (TAGGED, FAILED) at or after *since* (ISO 8601)."""
        count = 0
        with translated(ResultsUnavailable, f"counting {status}"):
            for shard in range(SHARDS):
                pages = self._client.get_paginator("query").paginate(
                    TableName=self._table,
                    IndexName=ENDED_INDEX,
                    KeyConditionExpression="statusShard = :shard AND endedAt >= :since",
                    ExpressionAttributeValues={
                        ":shard": {"S": f"{status}#{shard}"},
                        ":since": {"S": since},
                    },
                    Select="COUNT",
                )
                count += sum(page["Count"] for page in pages)
        return count

    # ---- inside

    def _update(
        self,
        upload: Upload,
        expression: str,
        values: Mapping[str, Any],
        *,
        condition: str | None = None,
    ) -> Item:
        used = expression + (condition or "")
        names = {
            f"#{name}": name
            for name in ("uri", "state", "result", "order")
            if f"#{name}" in used
        }
        order: UpdateItemInputTypeDef = {
            "TableName": self._table,
            "Key": {"uri": {"S": upload.uri}, "version": {"S": upload.version}},
            "UpdateExpression": expression,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {
                name: to_attribute(value) for name, value in values.items()
            },
        }
        if condition:
            order["ConditionExpression"] = condition
            order["ReturnValues"] = "ALL_OLD"
            order["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return dict(self._client.update_item(**order).get("Attributes") or {})

    def _milliseconds(self) -> int:
        return int(self._clock.now() * 1000)


def status_shard(status: str, upload: Upload) -> str:
    """The partition of the index `ended` in which an upload of that status stands."""
    number = zlib.crc32(f"{upload.uri} {upload.version}".encode()) % SHARDS
    return f"{status}#{number}"


# DynamoDB's numbers: 38 significant digits, magnitudes from 1e-130 to 9.99…e125
# (the serializer's own context, which raises where this one rounds)
_LARGEST_EXPONENT = 125
_SMALLEST_EXPONENT = -130
_NUMBERS = Context(prec=38, Emin=-128, Emax=_LARGEST_EXPONENT, traps=[])


def to_attribute(value: object) -> Any:  # noqa: ANN401 - the library's union of shapes
    """
    A JSON-like value as DynamoDB's serializer writes it.

    Numbers are never an error: beyond 38 digits they are rounded, too small ones are 0, too
    large ones are kept as text.
    """
    return TypeSerializer().serialize(_storable(value))


def from_items(item: Mapping[str, Any]) -> Document:
    """An item as a document; whole numbers come back as `int`, others as `Decimal`."""
    deserialize = TypeDeserializer().deserialize
    return {name: _plain(deserialize(value)) for name, value in item.items()}


def _storable(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _storable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(part) for part in value]
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return value
    exact = Decimal(value)
    if exact.is_zero() or exact.adjusted() < _SMALLEST_EXPONENT:
        return Decimal(0)
    if exact.adjusted() > _LARGEST_EXPONENT:
        return str(value)
    rounded = _NUMBERS.plus(exact)
    return rounded if rounded.is_finite() else str(value)


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON-like
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


class _NotClaimable(Exception):
    """An item is not to be claimed as things are."""

    def __init__(self, item: Document) -> None:
        super().__init__()
        self.item = item


def _first_claim(upload: Upload, item: Document, *, attempt: int) -> Claim:
    return Claim(
        attempt=attempt,
        unannounced=item.get("result"),
        sequencer=upload.sequencer or item.get("sequencer"),
        ran_out=False,
    )


def _item_of_failed_condition(error: ResultsUnavailable) -> Item | None:
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return None
    if code_of(cause) != "ConditionalCheckFailedException":
        return None
    item: Any = cause.response.get("Item")
    return dict(item or {})


def _is_invalid(error: ResultsUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, ClientError) and code_of(cause) == "ValidationException"
