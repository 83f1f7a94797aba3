"""
The results, in DynamoDB: one item per object version.

    uri             partition key, s3://bucket/key
    version         sort key, see `Upload.version`
    state           CLAIMED, WAITING (for a retry), SKIPPED, FAILED, DISCARDED or DONE
    claimedUntil    epoch milliseconds; the lease of a CLAIMED item
    claimToken      of the claim that was made last
    confirmed       True while an attempt that its worker has told of has not come to an end
    sequencer       of the newest event that this version has ended with
    attempts        begun since the upload arrived or was replayed
    failures        of these attempts that came to an end, and are to be tried again
    calls:REASON    calls of the API, see `CallReason`, in attempts that came to an end
    cutOff          attempts that did not, the one under way included: one paid call each at most
    excuse          why the next call is made, where it may be the second that is paid
    skipped         why a SKIPPED item is
    replays         the highest count of replays a delivery came with
    again           token of the last order to tag again that was taken up
    renewed         True while such an order's answer is awaited: `result` is the old one still
    result          the TAGGED result, from the moment it is stored
    announced       the order with which it was last heard of, or known to be what subscribers
                    have heard of, that `result` is the newest; not there if it never was
    failed          the FAILED result, until the upload is tagged after all
    notification    with `failed`: what a replay sends, should the dead letter have expired
    letterId        with `failed`: of the dead letter, as SQS calls it
    requestId       with `failed`: of the invocation that buried it
    replayingUntil  epoch milliseconds; until then a FAILED item is in one operator's hands
    replayedAt      when a FAILED item was put on the upload queue again; until its next end
    discardedAt     when an operator discarded it; only of a DISCARDED item
    order           see `Upload.order`; only once the version has ended: the index `newest`
    statusShard     e.g. TAGGED#3 or OBJECT_GONE#3; with `endedAt` (ISO 8601) the index `ended`

What was FAILED and is being tried again keeps its `statusShard` and `failed` until it ends anew;
only a mark of ours moves it from FAILED#n to REPLAYED#n or DISCARDED#n, and leaves `endedAt`, which
tells one failure from the next.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Context, Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from hangtag.adapters.aws_errors import code_of, translated
from hangtag.errors import ResultsUnavailable, ResultTooLarge
from hangtag.lifecycle import UploadKey
from hangtag.operators.old_failures import KnownUpload, Standing, letter_of_result
from hangtag.ports import (
    NO_CALLS,
    Busy,
    CallReason,
    Calls,
    Claim,
    ClaimLost,
    Clock,
    Done,
)
from hangtag.results import Document
from hangtag.text import to_timestamp
from hangtag.uploads import LONGEST_NOTIFICATION, SkipReason, Upload, order_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import UpdateItemInputTypeDef

    # The library's own type is a union of twenty shapes; items are dicts of tagged values here.
    Item = dict[str, Any]

_KEYS = 100  # DynamoDB's limit of keys in a call

SHARDS: Final = 8
"""
Partitions of the index `ended` per status.

A partition takes 1,000 writes a second; one per status would slow a large backfill down.
"""

NEWEST_INDEX: Final = "newest"
ENDED_INDEX: Final = "ended"

# Not by a request that the network held up, and whose claim was given back long since
_CLAIMABLE = (
    "attribute_not_exists(#uri) OR (replays >= :replays AND claimToken <> :token AND "
    "(#state = :waiting OR (#state = :claimed AND claimedUntil < :now)))"
)
# An order to tag again that is new to the item is looked at with the item at hand
_CLAIMABLE_AGAIN = _CLAIMABLE.replace(" OR (", " OR (again = :again AND ", 1)
_HOLDS = "claimToken = :token AND #state = :claimed AND claimedUntil > :over"
_OF_A_CLAIM = ("claimedUntil", "confirmed")
"""What goes with the end of an attempt."""

_MARKS = ("replayingUntil", "replayedAt", "discardedAt")
_LETTER = ("letterId", "requestId", *_MARKS)
_OF_A_FAILURE = (
    "uri, version, #state, replays, failed, notification, letterId, requestId, endedAt, "
    "replayedAt"
)
_STANDS_FAILED = (
    "#state = :failed AND endedAt = :ended AND attribute_not_exists(replayedAt)"
)
_NOT_RESERVED = "(attribute_not_exists(replayingUntil) OR replayingUntil < :now)"
_CALLS = "calls:"


class DynamoDBResults:
    """`ResultStore` and `FailureBook` on DynamoDB, and what else operators read of it."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    # ---- for the pipeline

    def claim(
        self,
        upload: Upload,
        *,
        replays: int,
        sent_at: float | None,
        lease_seconds: float,
        again: str | None = None,
    ) -> Claim | Done | Busy:
        now = self._milliseconds()
        # Tells our own claim again, should botocore repeat a call whose answer was lost
        token = uuid.uuid4().hex
        values = {
            ":claimed": "CLAIMED",
            ":until": now + int(lease_seconds * 1000),
            ":token": token,
            ":replays": replays,
            ":one": 1,
        }
        order = "" if again is None else "again = :again, "
        if again is not None:
            values[":again"] = again
        try:
            old = self._take(
                upload,
                f"{order}replays = if_not_exists(replays, :replays) "
                "ADD attempts :one, cutOff :one",
                {**values, ":waiting": "WAITING", ":now": now},
                _CLAIMABLE if again is None else _CLAIMABLE_AGAIN,
            )
        except _NotClaimable as refusal:
            return self._claim_anew(upload, refusal.item, values, now, sent_at)
        return _claim_of(
            upload,
            old,
            attempt=int(old.get("attempts", 0)) + 1,
            ran_out=_was_cut_off(old),
            token=token,
        )

    def _claim_anew(
        self,
        upload: Upload,
        old: Document,
        values: dict[str, Any],
        now: int,
        sent_at: float | None,
    ) -> Claim | Done | Busy:
        """An item that is done, being worked on, or back after it had ended."""
        token = values[":token"]
        if old.get("claimToken") == token:
            # Nobody's before, as far as one can tell
            mine = {**old, "state": "WAITING", "cutOff": int(old.get("cutOff", 1)) - 1}
            if mine["cutOff"] and "result" not in old:
                mine.setdefault("excuse", CallReason.UNFINISHED)
            return _claim_of(
                upload,
                mine,
                attempt=int(old["attempts"]),
                ran_out="confirmed" in old,
                token=token,
            )
        is_ordered = values.get(":again") not in (None, old.get("again"))
        # An object that has become what it was before, or one that was tagged before S3 told of it
        is_newer = "order" in old and upload.order > str(old["order"])
        is_done = old["state"] == "DONE" and "announced" in old
        if is_done and not is_ordered and not is_newer:
            return Done(SkipReason.ALREADY_TAGGED)
        if old["state"] == "CLAIMED" and int(old["claimedUntil"]) >= now:
            return Busy((int(old["claimedUntil"]) - now) / 1000)
        is_replay = values[":replays"] > int(old["replays"])
        if (
            old["state"] in ("FAILED", "DISCARDED")
            and not is_replay
            and not is_ordered
            and not is_newer
            and sent_at is not None
            and to_timestamp(sent_at) < str(old["endedAt"])
        ):
            return Done(SkipReason.ALREADY_FAILED)
        # Only what nobody has claimed since: a request that the network held up for a while, and
        # that was made again meanwhile, must not claim what has ended, with nobody to work on it.
        untouched = "attribute_not_exists(claimToken)"
        if "claimToken" in old:
            untouched = "claimToken = :old_token"
            values = {**values, ":old_token": old["claimToken"]}
        order = "again = :again, " if ":again" in values else ""
        if is_ordered and "result" in old:
            # From here to the new answer: nobody takes the old one for one to be announced
            old = {**old, "renewed": True, "excuse": CallReason.AGAIN}
            order += "renewed = :renewed, excuse = :excuse, "
            values = {**values, ":renewed": True, ":excuse": CallReason.AGAIN}
        try:
            self._take(
                upload,
                f"{order}replays = :replays, attempts = :one "
                "REMOVE confirmed, failures ADD cutOff :one",
                {
                    **values,
                    ":replays": max(values[":replays"], int(old["replays"])),
                    ":old_state": old["state"],
                },
                f"#state = :old_state AND {untouched}",
            )
        except _NotClaimable as refusal:
            if refusal.item.get("claimToken") != token:
                return Busy(1.0)  # another worker was faster by a moment
        # Not run out: a replay or an order to tag again has all its attempts. What was cut off
        # may still be paid.
        old = {name: old[name] for name in old.keys() - {"confirmed", "failures"}}
        return _claim_of(upload, old, attempt=1, ran_out=False, token=token)

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
        try:
            with translated(ResultsUnavailable, f"claiming {upload.uri}"):
                return from_items(
                    self._update(
                        upload,
                        expression + counting,
                        values,
                        condition=condition,
                        and_return_old=True,
                    )
                )
        except ResultsUnavailable as error:
            item = item_of_failed_condition(error)
            if item is None:
                if _may_have_happened(error):
                    self._take_back(upload, values[":token"])
                raise
            raise _NotClaimable(from_items(item)) from error

    def _take_back(self, upload: Upload, token: str) -> None:
        """
        Undo a claim that may have been made although nobody was told.

        What cannot be undone runs out, see `confirm`.
        """
        with suppress(ResultsUnavailable), translated(ResultsUnavailable, "undoing"):
            self._update(
                upload,
                "SET claimedUntil = :over ADD attempts :less, cutOff :less",
                {":over": 0, ":less": -1, ":token": token, ":claimed": "CLAIMED"},
                condition=_HOLDS,
            )

    def confirm(self, upload: Upload, claim: Claim) -> None:
        change = _Change()
        change.set("confirmed", value=True)
        self._end(upload, claim, change, doing="beginning with")

    def release(
        self, upload: Upload, claim: Claim, *, calls: Calls, unstored: bool
    ) -> None:
        change = _Change()
        change.set("#state", "WAITING")
        change.set("failures", claim.failures + 1)
        change.remove(*_OF_A_CLAIM)
        change.count(claim, calls)
        change.excuse(claim, calls, unstored=unstored)
        self._end(upload, claim, change, doing="releasing")

    def withdraw(self, upload: Upload, claim: Claim, *, calls: Calls) -> None:
        change = _Change()
        change.set("attempts", claim.attempt - 1)
        is_as_found = claim.ran_out and not calls
        if is_as_found:
            # Cut off, and nobody knows by whom
            change.set("#state", "CLAIMED")
            change.set("claimedUntil", 0)
        else:
            change.set("#state", "WAITING")
            change.remove("claimedUntil")
        if not (is_as_found and claim.was_confirmed):
            change.remove("confirmed")  # what was to begin did not
        change.count(claim, calls)
        change.keep_excuse(claim)
        self._end(upload, claim, change, doing="withdrawing from")

    def skip(
        self,
        upload: Upload,
        reason: SkipReason,
        *,
        claim: Claim | None,
        at: str,
        calls: Calls = NO_CALLS,
    ) -> None:
        change = _Change()
        if claim is not None and claim.renews:
            change.set("#state", "DONE")
            change.set("statusShard", status_shard("TAGGED", upload))
            change.set("attempts", claim.attempt - 1)
            change.count(claim, calls)
            change.remove(*_OF_A_CLAIM, "failed", "notification")
            change.remove(*_RENEWAL, *_LETTER)
            self._end(upload, claim, change, doing="keeping the result of")
            return
        change.set("#state", "SKIPPED")
        change.set("skipped", reason)
        change.set("statusShard", status_shard(reason, upload))
        change.set("endedAt", at)
        if claim is not None:
            change.place(upload)
            change.set("attempts", claim.attempt - 1)
            change.count(claim, calls)
            change.keep_excuse(claim)
            change.remove(*_OF_A_CLAIM, "failed", "notification")
            change.remove("#order", *_LETTER)
            self._end(upload, claim, change, doing="skipping")
            return
        change.set("attempts", 0)
        change.set("replays", 0)
        try:
            with translated(ResultsUnavailable, f"skipping {upload.uri}"):
                self._update(
                    upload,
                    change.expression(),
                    change.values,
                    condition="attribute_not_exists(#uri)",
                )
        except ResultsUnavailable as error:
            if item_of_failed_condition(error) is None:
                raise

    def store_tagged(
        self, upload: Upload, claim: Claim, result: Document, *, calls: Calls
    ) -> None:
        change = _Change()
        change.set("#result", result)
        change.set("#order", upload.order)
        change.place(upload)
        change.set("statusShard", status_shard("TAGGED", upload))
        change.set("endedAt", result["taggedAt"])
        change.count(claim, calls)
        change.remove("failed", "notification", "skipped", *_RENEWAL, *_LETTER)
        if claim.unannounced is None:
            change.remove("announced")  # of an answer before
        try:
            self._end(upload, claim, change, doing="storing the result of")
        except RecursionError as error:
            raise ResultTooLarge(f"{upload.uri}: nested too deeply") from error
        except ResultsUnavailable as error:
            if _is_invalid(error):
                raise ResultTooLarge(str(error)) from error
            raise

    def finish(self, upload: Upload, claim: Claim, *, announced: bool) -> None:
        change = _Change()
        change.set("#state", "DONE")
        if announced:
            change.set("announced", upload.order)
        change.remove(*_OF_A_CLAIM)
        self._end(upload, claim, change, doing="finishing")

    def store_failed(
        self,
        upload: Upload,
        claim: Claim,
        result: Document,
        *,
        calls: Calls,
        unstored: bool,
        letter_id: str = "",
        request_id: str = "",
    ) -> None:
        def change_with(*, longest: int, unstored: bool) -> _Change:
            change = _Change()
            change.set("#state", "FAILED")
            change.set("letterId", letter_id)
            change.set("requestId", request_id)
            change.set("failed", result)
            change.set("notification", upload.notification(longest=longest))
            change.set("#order", upload.order)
            change.place(upload)
            change.set("statusShard", status_shard("FAILED", upload))
            change.set("endedAt", result["failure"]["failedAt"])
            change.count(claim, calls)
            change.excuse(claim, calls, unstored=unstored)
            change.remove(*_OF_A_CLAIM, "skipped", *_MARKS)
            return change

        doing = "storing the failure of"
        try:
            change = change_with(longest=LONGEST_NOTIFICATION, unstored=unstored)
            self._end(upload, claim, change, doing=doing)
        except ResultsUnavailable as error:
            if not _is_invalid(error):
                raise
            # It does not fit beside a result that nobody could announce for its size.
            change = change_with(longest=0, unstored=True)
            change.remove("#result", "announced")
            self._end(upload, claim, change, doing=doing)

    def _end(
        self, upload: Upload, claim: Claim, change: _Change, *, doing: str
    ) -> None:
        """What only the holder of the claim may change."""
        held = {":token": claim.token, ":claimed": "CLAIMED", ":over": 0}
        values = {**change.values, **held}
        try:
            with translated(ResultsUnavailable, f"{doing} {upload.uri}"):
                self._update(
                    upload,
                    change.expression(),
                    values,
                    condition=_HOLDS,
                    names=change.names,
                )
        except ResultsUnavailable as error:
            item = item_of_failed_condition(error)
            if item is None:
                raise
            # Changed already, and the answer was lost: it is our own change that is in the way.
            token, state = (item.get(name) for name in ("claimToken", "state"))
            if token != {"S": claim.token} or state != {"S": change.state}:
                raise ClaimLost(upload.uri) from error

    def is_superseded(self, upload: Upload) -> bool:
        return self._count_versions(upload, "#order > :order", most=1) > 0

    def has_passed_another(self, upload: Upload, *, since: str) -> bool:
        places = "#order BETWEEN :since AND :order"
        found = self._count_versions(upload, places, most=2, since=since)
        return found > 1  # one is the upload's own

    def _count_versions(
        self, upload: Upload, places: str, *, most: int, since: str | None = None
    ) -> int:
        """How many versions of the upload's key have ended in these places, up to *most*."""
        values = {":uri": {"S": upload.uri}, ":order": {"S": upload.order}}
        if since is not None:
            values[":since"] = {"S": since}
        doing = f"looking for other versions of {upload.uri}"
        with translated(ResultsUnavailable, doing):
            found = self._client.query(
                TableName=self._table,
                IndexName=NEWEST_INDEX,
                KeyConditionExpression=f"#uri = :uri AND {places}",
                ExpressionAttributeNames={"#uri": "uri", "#order": "order"},
                ExpressionAttributeValues=values,
                ConsistentRead=True,
                Select="COUNT",
                Limit=most,
            )
        return found["Count"]

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
        if shown is not None and "discardedAt" in document:
            told = {**shown["failure"], "discardedAt": document["discardedAt"]}
            return {**shown, "failure": told}
        return shown

    def tagged(self, uploads: Sequence[Upload]) -> set[tuple[str, str]]:
        """Uri and version of those that have a TAGGED result; up to 100 uploads at once."""
        names = {"#uri": "uri", "#state": "state", "#result": "result", "#id": "status"}
        keys = {
            (upload.uri, upload.version): {
                "uri": {"S": upload.uri},
                "version": {"S": upload.version},
            }
            for upload in uploads
        }
        asked: Any = {
            self._table: {
                "Keys": list(keys.values()),
                # No more of a result than that it is there: results are large
                "ProjectionExpression": "#uri, version, #state, #result.#id",
                "ExpressionAttributeNames": names,
            }
        }
        found: set[tuple[str, str]] = set()
        pause = 0.05
        while asked:
            with translated(ResultsUnavailable, "looking for what is tagged"):
                answer = self._client.batch_get_item(RequestItems=asked)
            for item in answer["Responses"].get(self._table, []):
                if "result" in item or item["state"] == {"S": "DONE"}:
                    found.add((item["uri"]["S"], item["version"]["S"]))
            asked = answer.get("UnprocessedKeys")
            if asked:
                self._clock.sleep(pause)
                pause = min(2 * pause, 5.0)
        return found

    def count_ended(self, status: str, *, since: str) -> int:
        """
        How many uploads ended as *status* at or after *since* (ISO 8601).

        The status is TAGGED, FAILED, or one of `ENDING_REASONS`.
        """
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

    def oldest_failure(self, *, since: float) -> float | None:
        found: list[str] = []
        with translated(ResultsUnavailable, "looking for the oldest failure"):
            for shard in range(SHARDS):
                page = self._client.query(
                    TableName=self._table,
                    IndexName=ENDED_INDEX,
                    KeyConditionExpression="statusShard = :shard AND endedAt >= :since",
                    ExpressionAttributeValues={
                        ":shard": {"S": f"FAILED#{shard}"},
                        ":since": {"S": to_timestamp(since)},
                    },
                    ProjectionExpression="endedAt",
                    Limit=1,
                )
                found += [item["endedAt"]["S"] for item in page["Items"]]
        return datetime.fromisoformat(min(found)).timestamp() if found else None

    # ---- for operators of dead letters

    def failures(self, *, since: str = "", until: str = "") -> Iterator[KnownUpload]:
        for shard in range(SHARDS):
            with translated(ResultsUnavailable, "listing what failed"):
                pages = iter(
                    self._client.get_paginator("query").paginate(
                        TableName=self._table,
                        IndexName=ENDED_INDEX,
                        KeyConditionExpression=(
                            "statusShard = :shard AND endedAt BETWEEN :since AND :until"
                        ),
                        ExpressionAttributeValues={
                            ":shard": {"S": f"FAILED#{shard}"},
                            ":since": {"S": since or "0"},
                            ":until": {"S": until or "~"},  # sorts after every date
                        },
                        PaginationConfig={"PageSize": _KEYS},
                        ScanIndexForward=False,
                    )
                )
            while True:
                with translated(ResultsUnavailable, "listing what failed"):
                    page = next(pages, None)
                if page is None:
                    break
                keys = [(one["uri"]["S"], one["version"]["S"]) for one in page["Items"]]
                found = self.look_up(keys)
                for key in keys:
                    known = found.get(key)
                    if known is not None and known.standing is Standing.FAILED:
                        yield known

    def look_up(self, keys: Iterable[UploadKey]) -> Mapping[UploadKey, KnownUpload]:
        found: dict[UploadKey, KnownUpload] = {}
        left = iter(dict.fromkeys(keys))
        while some := list(islice(left, _KEYS)):
            asked: Any = [{"uri": {"S": u}, "version": {"S": v}} for u, v in some]
            pause = 0.05
            while asked:
                with translated(ResultsUnavailable, "looking uploads up"):
                    answer = self._client.batch_get_item(
                        RequestItems={
                            self._table: {
                                "Keys": asked,
                                "ConsistentRead": True,
                                "ProjectionExpression": _OF_A_FAILURE,
                                "ExpressionAttributeNames": {"#state": "state"},
                            }
                        }
                    )
                for item in answer["Responses"].get(self._table, []):
                    known = _known_upload(from_items(item))
                    found[known.key] = known
                # DynamoDB answers with what fits into 16 MB, or into its capacity
                left_over: Any = answer.get("UnprocessedKeys") or {}
                asked = left_over.get(self._table, {}).get("Keys")
                if asked:
                    self._clock.sleep(pause)
                    pause = min(2 * pause, 2.0)
        return found

    def reserve_replay(self, known: KnownUpload, *, seconds: float) -> bool:
        now = self._milliseconds()
        return self._mark(
            known,
            "SET replayingUntil = :until",
            f"{_STANDS_FAILED} AND {_NOT_RESERVED}",
            {":failed": "FAILED", ":now": now, ":until": now + int(seconds * 1000)},
        )

    def release_replay(self, known: KnownUpload) -> bool:
        return self._mark(
            known, "REMOVE replayingUntil", _STANDS_FAILED, {":failed": "FAILED"}
        )

    def mark_replayed(self, known: KnownUpload, *, at: str) -> bool:
        return self._mark(
            known,
            "SET replayedAt = :at, statusShard = :shard REMOVE replayingUntil",
            _STANDS_FAILED,
            {
                ":failed": "FAILED",
                ":at": at,
                ":shard": _shard("REPLAYED", known.key),
            },
        )

    def discard(self, known: KnownUpload, *, at: str) -> bool:
        return self._mark(
            known,
            "SET #state = :discarded, discardedAt = :at, statusShard = :shard",
            f"{_STANDS_FAILED} AND {_NOT_RESERVED}",
            {
                ":failed": "FAILED",
                ":discarded": "DISCARDED",
                ":now": self._milliseconds(),
                ":at": at,
                ":shard": _shard(SkipReason.DISCARDED, known.key),
            },
        )

    def restore(self, known: KnownUpload, *, letter_id: str) -> bool:
        return self._mark(
            known,
            "SET #state = :failed, letterId = :letter, statusShard = :shard "
            "REMOVE discardedAt, replayingUntil",
            "#state = :discarded AND endedAt = :ended",
            {
                ":failed": "FAILED",
                ":discarded": "DISCARDED",
                ":letter": letter_id,
                ":shard": _shard("FAILED", known.key),
            },
        )

    def _mark(
        self,
        known: KnownUpload,
        expression: str,
        condition: str,
        values: Mapping[str, Any],
    ) -> bool:
        """Change what still stands as it was read; whether it did."""
        uri, version = known.key
        try:
            with translated(ResultsUnavailable, f"marking the failure of {uri}"):
                self._client.update_item(
                    TableName=self._table,
                    Key={"uri": {"S": uri}, "version": {"S": version}},
                    UpdateExpression=expression,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#state": "state"},
                    ExpressionAttributeValues={
                        name: to_attribute(value)
                        for name, value in {**values, ":ended": known.ended_at}.items()
                    },
                )
        except ResultsUnavailable as error:
            if item_of_failed_condition(error) is None:
                raise
            return False
        return True

    # ---- inside

    def _update(
        self,
        upload: Upload,
        expression: str,
        values: Mapping[str, Any],
        *,
        condition: str,
        names: Mapping[str, str] | None = None,
        and_return_old: bool = False,
    ) -> Item:
        used = expression + condition
        order: UpdateItemInputTypeDef = {
            "TableName": self._table,
            "Key": {"uri": {"S": upload.uri}, "version": {"S": upload.version}},
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {
                name: to_attribute(value) for name, value in values.items()
            },
        }
        order["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if and_return_old:
            order["ReturnValues"] = "ALL_OLD"
        reserved = {
            f"#{name}": name
            for name in ("uri", "state", "result", "order")
            if f"#{name}" in used
        }
        if reserved or names:
            order["ExpressionAttributeNames"] = {**reserved, **(names or {})}
        return dict(self._client.update_item(**order).get("Attributes") or {})

    def _milliseconds(self) -> int:
        return int(self._clock.now() * 1000)


class _Change:
    """What an update sets and removes, as it is put together."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.names: dict[str, str] = {}
        self._sets: dict[str, str] = {}
        self._removes: list[str] = []

    @property
    def state(self) -> str | None:
        """The state that it sets."""
        return self.values.get(self._sets.get("#state", ""))

    def set(self, name: str, value: object) -> None:
        """Set the attribute of this name."""
        placeholder = f":value{len(self.values)}"
        self.values[placeholder] = value
        self._sets[name] = placeholder

    def place(self, upload: Upload) -> None:
        """Keep the place in the order, for an event that comes without one."""
        if upload.sequencer is not None:
            self.set("sequencer", upload.sequencer)

    def remove(self, *names: str) -> None:
        """Remove attributes, as far as they are there."""
        self._removes += names

    def count(self, claim: Claim, calls: Calls) -> None:
        """
        The attempt comes to an end, with these calls.

        Absolute numbers, so that a repetition adds nothing.
        """
        self.set("cutOff", claim.cut_off)
        for reason, number in calls.items():
            placeholder = f"#calls{len(self.names)}"
            self.names[placeholder] = _CALLS + reason
            self.set(placeholder, claim.calls.get(reason, 0) + number)

    def keep_excuse(self, claim: Claim) -> None:
        """A call that may be the second to be paid is still to be made."""
        if claim.reason in _EXCUSES:
            self.set("excuse", claim.reason)

    def excuse(self, claim: Claim, calls: Calls, *, unstored: bool) -> None:
        """What the next call has for an excuse, should it be the second to be paid."""
        if unstored:
            self.set("excuse", CallReason.UNSTORED)
        elif calls:
            self.remove("excuse")
        else:
            self.keep_excuse(claim)

    def expression(self) -> str:
        """The update expression."""
        expression = "SET " + ", ".join(f"{n} = {v}" for n, v in self._sets.items())
        if self._removes:
            expression += " REMOVE " + ", ".join(self._removes)
        return expression


_EXCUSES = (CallReason.UNSTORED, CallReason.UNFINISHED, CallReason.AGAIN)
_RENEWAL = ("excuse", "renewed")


def status_shard(status: str, upload: Upload) -> str:
    """The partition of the index `ended` in which an upload of that status stands."""
    return _shard(status, (upload.uri, upload.version))


def _shard(status: str, key: UploadKey) -> str:
    number = zlib.crc32(" ".join(key).encode()) % SHARDS
    return f"{status}#{number}"


def _known_upload(item: Document) -> KnownUpload:
    """An item as operators of dead letters see it."""
    key = (item["uri"], item["version"])
    replays = int(item.get("replays", 0))
    if item.get("state") not in ("FAILED", "DISCARDED"):
        if item.get("state") != "DONE":
            return KnownUpload(key, Standing.OTHER, replays)
        return KnownUpload(key, Standing.TAGGED, replays, item.get("endedAt", ""))
    standing = Standing(item["state"])
    if "replayedAt" in item:
        standing = Standing.REPLAYED
    letter = letter_of_result(
        item["failed"],
        body=item["notification"],
        replays=replays,
        request_id=item.get("requestId", ""),
    )
    return KnownUpload(
        key, standing, replays, item["endedAt"], item.get("letterId", ""), letter
    )


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


def _claim_of(
    upload: Upload, old: Document, *, attempt: int, ran_out: bool, token: str
) -> Claim:
    """A claim on an item that was *old* before."""
    calls = {
        reason: int(old[_CALLS + reason])
        for reason in CallReason
        if _CALLS + reason in old
    }
    renews = "renewed" in old
    excuse = _excuse(old)
    if excuse is not None:
        reason = CallReason(excuse)
    else:
        reason = CallReason.RETRY if calls else CallReason.FIRST
    return Claim(
        attempt=attempt,
        unannounced=None if renews else old.get("result"),
        sequencer=max(upload.sequencer, old.get("sequencer"), key=order_of),
        ran_out=ran_out,
        was_confirmed="confirmed" in old,
        failures=int(old.get("failures", 0)),
        announced_as=None if renews else old.get("announced"),
        reason=reason,
        calls=calls,
        cut_off=int(old.get("cutOff", 0)),
        token=token,
        renews=renews,
    )


def _excuse(old: Document) -> str | None:
    if old.get("excuse"):
        return str(old["excuse"])
    return CallReason.UNFINISHED if _was_cut_off(old) else None


def _was_cut_off(old: Document) -> bool:
    """Whether the attempt before was, as far as one can tell."""
    is_taken_back = int(old.get("cutOff", 0)) == 0 and "result" not in old
    return old.get("state") == "CLAIMED" and not is_taken_back


def item_of_failed_condition(error: ResultsUnavailable) -> Item | None:
    """The item whose condition did not hold, if that was the error; `{}` where there is none."""
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return None
    if code_of(cause) != "ConditionalCheckFailedException":
        return None
    item: Any = cause.response.get("Item")
    return dict(item or {})


def _may_have_happened(error: ResultsUnavailable) -> bool:
    """Whether a write may have been made although it failed: nobody has refused it."""
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return True
    told: Mapping[str, Any] = cause.response.get("ResponseMetadata", {})
    # A try before that was refused may have been made, and its answer lost
    return (
        int(told.get("HTTPStatusCode", 500)) >= 500 or told.get("RetryAttempts", 0) > 0
    )


def _is_invalid(error: ResultsUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, ClientError) and code_of(cause) == "ValidationException"
