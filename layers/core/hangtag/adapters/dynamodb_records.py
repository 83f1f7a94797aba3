"""
The records of the uploads, in DynamoDB: one small item per object version.

    uri, version    s3://bucket/key and `Upload.version`
    status          `lifecycle.Status`
    rev             of this state; every write is a compare-and-swap on it
    sequencer       the highest that the version's events came with
    leaseUntil      epoch milliseconds, while a worker holds it
    attempts        that ended, since it arrived or was replayed
    cutOff          attempts that were cut off, of all time
    calls           a map: calls by `lifecycle.CallReason`
    nextCall        why the next call is made, where it may be the second that is paid
    replays, retag  the highest count of replays; the token of the last request to tag again
    endedAt         ISO 8601; when it got its status
    reason          why a SKIPPED one was skipped
    failure, notification, letterId, requestId, discardedAt
                    what a FAILED one keeps for a replay, see `lifecycle.FailedUpload`
    statusShard     e.g. TAGGED#3 or OBJECT_GONE#3; with `endedAt` the index `ended`. Not while OPEN

Attributes that have no value are left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from hangtag.adapters.aws_errors import translated
from hangtag.adapters.dynamodb_table import Item, Table, from_attribute, key_of
from hangtag.errors import ResultsUnavailable
from hangtag.failure import Failure
from hangtag.lifecycle import (
    CallReason,
    FailedUpload,
    Record,
    Status,
    UploadKey,
)
from hangtag.ports import Clock
from hangtag.text import to_timestamp
from hangtag.uploads import SkipReason

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHARDS: Final = 8
"""
Partitions of the index `ended` per status.

A partition takes 1,000 writes a second; one per status would slow a large backfill down.
"""

ENDED_INDEX: Final = "ended"


class DynamoDBRecords:
    """`RecordStore` on DynamoDB."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table)
        self._clock = clock

    def swap(self, key: UploadKey, seen: str | None, new: Record) -> Record | None:
        condition, values = "attribute_not_exists(rev)", {}
        if seen is not None:
            condition, values = "rev = :seen", {":seen": {"S": seen}}
        found = self._table.put(item_of(key, new), condition, values)
        # A condition on a record that is gone finds no item: the caller begins anew
        return None if found is None else record_of(found)

    def oldest_failure(self, *, since: float) -> float | None:
        found: list[str] = []
        with translated(ResultsUnavailable, "looking for the oldest failure"):
            for shard in range(SHARDS):
                page = self._table.client.query(
                    **ended_since(
                        self._table.name,
                        f"{Status.FAILED}#{shard}",
                        to_timestamp(since),
                    ),
                    ProjectionExpression="endedAt",
                    Limit=1,
                )
                found += [item["endedAt"]["S"] for item in page["Items"]]
        return datetime.fromisoformat(min(found)).timestamp() if found else None


def ended_since(table: str, shard: str, since: str) -> Any:  # noqa: ANN401 - boto3's own shape
    """The arguments of a query for what ended in a shard at or after *since* (ISO 8601)."""
    return {
        "TableName": table,
        "IndexName": ENDED_INDEX,
        "KeyConditionExpression": "statusShard = :shard AND endedAt >= :since",
        "ExpressionAttributeValues": {":shard": {"S": shard}, ":since": {"S": since}},
    }


def shard_of(key: UploadKey, status: str) -> str:
    """The partition of the index `ended` for an upload of a status, or a reason to skip."""
    return f"{status}#{zlib.crc32(' '.join(key).encode()) % SHARDS}"


def item_of(key: UploadKey, record: Record) -> Item:
    """A record as an item."""
    texts = {
        "status": record.status,
        "rev": record.rev,
        "sequencer": record.sequencer,
        "nextCall": record.next_call,
        "retag": record.retag,
        "endedAt": record.ended_at,
        "reason": record.reason,
    }
    if record.status is not Status.OPEN:
        texts["statusShard"] = shard_of(key, record.reason or record.status)
    numbers = {
        "leaseUntil": round(record.lease_until * 1000),
        "attempts": record.attempts,
        "cutOff": record.cut_off,
        "replays": record.replays,
    }
    item: Item = key_of(key)
    if record.failed is not None:
        item |= _failed_attributes(record.failed)
    item |= {name: {"S": str(value)} for name, value in texts.items() if value}
    item |= {name: {"N": str(value)} for name, value in numbers.items() if value}
    if record.calls:
        calls = {why: {"N": str(number)} for why, number in record.calls.items()}
        item["calls"] = {"M": calls}
    return item


def _failed_attributes(failed: FailedUpload) -> Item:
    texts = {
        "notification": failed.notification,
        "letterId": failed.letter_id,
        "requestId": failed.request_id,
        "discardedAt": failed.discarded_at,
    }
    failure = {
        name: {"N" if isinstance(value, int) else "S": str(value)}
        for name, value in failed.failure.document().items()
    }
    attributes = {name: {"S": value} for name, value in texts.items() if value}
    return {**attributes, "failure": {"M": failure}}


def record_of(item: Item) -> Record:
    """A record from its item; one that was only read in part lacks the rest."""

    def text(name: str) -> str:
        return str(item[name]["S"]) if name in item else ""

    def number(name: str) -> int:
        return int(item[name]["N"]) if name in item else 0

    calls: dict[str, Any] = item.get("calls", {}).get("M", {})
    return Record(
        status=Status(text("status") or Status.OPEN),
        rev=text("rev"),
        sequencer=text("sequencer") or None,
        lease_until=number("leaseUntil") / 1000,
        attempts=number("attempts"),
        cut_off=number("cutOff"),
        calls={CallReason(why): int(times["N"]) for why, times in calls.items()},
        next_call=CallReason(text("nextCall")) if "nextCall" in item else None,
        replays=number("replays"),
        retag=text("retag") or None,
        ended_at=text("endedAt"),
        reason=SkipReason(text("reason")) if "reason" in item else None,
        failed=_failed_upload(item) if "failure" in item else None,
    )


def failed_record_of(item: Mapping[str, Any]) -> Record:
    """A FAILED record from its item, with no more than its failure and its sequencer."""
    return Record(
        status=Status.FAILED,
        sequencer=item["sequencer"]["S"] if "sequencer" in item else None,
        failed=_failed_upload(item),
    )


def _failed_upload(item: Mapping[str, Any]) -> FailedUpload:
    def text(name: str) -> str:
        return str(item[name]["S"]) if name in item else ""

    return FailedUpload(
        failure=Failure.from_document(from_attribute(item["failure"])),
        notification=text("notification"),
        letter_id=text("letterId"),
        request_id=text("requestId"),
        discarded_at=text("discardedAt"),
    )
