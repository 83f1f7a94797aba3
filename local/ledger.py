"""Collects the outcome of every upload, and checks it against the promises of the design."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote_plus

from boto3.dynamodb.types import TypeDeserializer

from hangtag.announcements import REMOVED, TAGGED
from hangtag.uploads import order_of
from local.watch import WatchedStack

RESULT = "result"
"""The sort key of an item with the newest result of a key."""

STATE_PREFIX = "hangtag:"
"""The prefix of the uris of items that are not uploads: the breaker, the rate limiter."""

CUT_OFF = "CUT_OFF"
PAID_AGAIN_REASONS = ("UNSTORED", "OVERTAKEN", "UNFINISHED", CUT_OFF)
"""
The reasons that justify a further paid answer: the answer before could not be stored, or the result
of a newer version was stored instead, or the attempt before was cut off. The record does not have
the call of an attempt that was cut off; it may have been a further one itself.
"""

ABANDONED = "ABANDONED"
"""The code of an upload whose last allowed attempt was cut off."""

ObjectVersion = tuple[str, str]
"""A key and a version id."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An object version that was uploaded."""

    key: str
    version: str
    sha256: str
    etag: str


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome of one upload."""

    sent: Sent
    status: str
    """TAGGED, REMOVED, FAILED, SKIPPED, or OPEN if the upload is not finished."""
    detail: str
    """The error code, the reason of a skip, or the status in the record if not finished."""
    calls: int
    paid: int
    """Calls that were answered with tags, without answers that could not arrive."""
    counted: Mapping[str, int]
    """The calls in the upload's record, by reason."""
    announcements: int
    letters: Sequence[str]
    """The codes of its dead letters."""
    troubles: Sequence[str]
    """Each broken promise in words."""

    @property
    def extra_calls(self) -> int:
        """Calls after the first one."""
        return max(0, self.calls - 1)

    @property
    def extra_paid(self) -> int:
        """Paid answers after the first one."""
        return max(0, self.paid - 1)


@dataclass(slots=True)
class Ledger:
    """The records, results, dead letters, announcements and API calls of a stack."""

    items: dict[ObjectVersion, dict[str, Any]]
    """The records."""
    letters: dict[ObjectVersion, list[str]]
    """The codes of the dead letters."""
    announced: dict[ObjectVersion, list[dict[str, Any]]]
    """The announcements of tagged uploads."""
    calls: dict[str, list[dict[str, Any]]]
    """By the SHA-256 of the image."""
    removed: dict[ObjectVersion, list[dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """The announcements of removals, by delete marker or by the version that was deleted."""
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The items of the newest results, by key."""
    objects: set[ObjectVersion] = field(default_factory=set)
    """The versions in the bucket."""
    unreadable: list[str] = field(default_factory=list)
    """The bodies of dead letters without an upload."""

    def add_announcement(self, document: dict[str, Any]) -> None:
        """Add an announcement, unless it is of a failure: `local.indexed` checks those."""
        image = document["data"]["image"]
        place = (image["key"], image["versionId"])
        if document["type"] == TAGGED:
            self.announced[place].append(document)
        elif document["type"] == REMOVED:
            self.removed[place].append(document)

    def ending_of(self, sent: Sent, marker: str | None = None) -> Ending:
        """
        Return the outcome of an upload with its broken promises.

        With *marker*, the version of the delete marker, of the upload's removal: `paid`, `calls`
        and `counted` are still those of the upload.
        """
        upload = self._ending_of_upload(sent)
        if marker is None:
            return upload
        removals = [
            item
            for (key, version), item in self.items.items()
            if key == sent.key and version.startswith("removed:")
        ]
        status, detail = status_of(removals[0] if removals else {})
        letters = self.letters.get((sent.key, marker), [])
        announced = self.removed.get((sent.key, marker), [])
        return replace(
            upload,
            status=status,
            detail=detail,
            announcements=len(announced),
            letters=letters,
            troubles=[
                *upload.troubles,
                *troubles_of_end(status, detail, letters),
                *self._troubles_of_removal(sent, status, announced),
            ],
        )

    def _troubles_of_removal(
        self, sent: Sent, status: str, announced: Sequence[Mapping[str, Any]]
    ) -> list[str]:
        """Check that a removed key has no result, and is announced, always as the same."""
        if status == "SKIPPED":
            return ["the removal is skipped, although the object is gone"]
        troubles = []
        if status == "REMOVED" and "removedAt" not in self.results.get(sent.key, {}):
            troubles.append("REMOVED without a tombstone")
        if status == "REMOVED" and not announced:
            troubles.append("the removal is not announced")
        if len({json.dumps(one, sort_keys=True) for one in announced}) > 1:
            troubles.append("the removal is announced in several forms")
        return troubles

    def _ending_of_upload(self, sent: Sent) -> Ending:
        version = (sent.key, sent.version)
        item = self.items.get(version, {})
        letters = self.letters.get(version, [])
        announced = self.announced.get(version, [])
        calls = self.calls.get(sent.sha256, [])
        paid = sum(map(is_paid, calls))
        counted = {
            reason: int(number) for reason, number in item.get("calls", {}).items()
        }
        if item.get("cutOff"):
            # An attempt that was cut off cannot count its own call
            counted[CUT_OFF] = int(item["cutOff"])
        status, detail = status_of(item)
        overtaken = self.is_overtaken(sent)
        troubles = [
            *troubles_of_end(status, detail, letters),
            *self._troubles_of_result(sent, status),
            *troubles_of_skip(
                sent,
                status,
                detail,
                in_bucket=version in self.objects,
                overtaken=overtaken,
            ),
            *troubles_of_announcements(sent, status, announced),
            *troubles_of_calls(len(calls), paid, counted),
        ]
        return Ending(
            sent,
            status,
            detail,
            len(calls),
            paid,
            counted,
            len(announced),
            letters,
            troubles,
        )

    def is_overtaken(self, sent: Sent) -> bool:
        """Whether the result of the key is that of a newer version, or gone by a later removal."""
        result = self.results.get(sent.key, {})
        return str(result.get("order", "")) > self._order(sent)

    def shown(self, key: str) -> str | None:
        """Return the version that `hangtag results show` shows for a key."""
        result = self.results.get(key, {})
        version_shown = "" if "removedAt" in result else result.get("objectVersion", "")
        shown = (str(result.get("order", "")), str(version_shown))
        for (other, version), item in self.items.items():
            if other == key and item.get("status") == "FAILED":
                order = order_of(item.get("sequencer"))
                if order >= shown[0]:
                    shown = (order, version)
        return shown[1].removeprefix("version:") or None

    def _order(self, sent: Sent) -> str:
        item = self.items.get((sent.key, sent.version), {})
        return order_of(item.get("sequencer"))

    def _troubles_of_result(self, sent: Sent, status: str) -> list[str]:
        """Check that a TAGGED version is the result of its key, or a newer version is."""
        result = self.results.get(sent.key)
        if status != "TAGGED" or self.is_overtaken(sent):
            return []
        if result is None or "result" not in result:
            return ["TAGGED without a result"]
        image = result["result"]["image"]
        if (image["versionId"], image["etag"]) != (sent.version, sent.etag):
            return ["the result is another version's"]
        return []


def read_ledger(stack: WatchedStack) -> Ledger:
    """Read the ledger of a stack."""
    bucket = stack.outputs["UploadsBucketName"]
    ledger = Ledger({}, defaultdict(list), defaultdict(list), defaultdict(list))
    for item in scan(stack):
        uri = str(item["uri"])
        if not uri.startswith(STATE_PREFIX):
            key = uri.removeprefix(f"s3://{bucket}/")
            version = str(item["version"]).removeprefix("version:")
            if version == RESULT:
                ledger.results[key] = item
            else:
                ledger.items[key, version] = item
    for page in (
        stack.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
    ):
        for version in page.get("Versions", ()):
            ledger.objects.add((version["Key"], version["VersionId"]))
    for letter in stack.dead_letters():
        object_version = object_version_of(letter.body)
        if object_version is None:
            ledger.unreadable.append(letter.body)
        else:
            ledger.letters[object_version].append(letter.code or "UNCODED")
    for announcement in stack.announcements():
        ledger.add_announcement(announcement.document)
    for call in stack.sandbox_calls():
        ledger.calls[call["sha256"] or ""].append(call)
    return ledger


def status_of(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return the `status` and `detail` of an `Ending` from the upload's record."""
    status = item.get("status")
    if status in ("TAGGED", "REMOVED"):
        return str(status), ""
    if status == "FAILED" and "failure" in item:
        return "FAILED", str(item["failure"]["code"])
    if status == "SKIPPED":
        return "SKIPPED", str(item.get("reason"))
    return "OPEN", str(status or "no item")


def troubles_of_end(status: str, detail: str, letters: Sequence[str]) -> list[str]:
    """Check that the upload is finished, and that a failed upload has a letter with its code."""
    if status == "OPEN":
        return [f"lost: {detail}"]
    if status == "FAILED" and detail not in letters:
        return [f"FAILED as {detail} without its letter ({', '.join(letters)})"]
    return []


def troubles_of_skip(
    sent: Sent, status: str, reason: str, *, in_bucket: bool, overtaken: bool
) -> list[str]:
    """Check that the reason of a skip is true."""
    if status != "SKIPPED":
        return []
    is_true = {
        "OBJECT_GONE": not in_bucket,
        "SUPERSEDED": overtaken,
        "FOLDER_MARKER": sent.key.endswith("/"),
    }
    if is_true.get(reason):
        return []
    return [f"skipped as {reason}, and is not"]


def troubles_of_announcements(
    sent: Sent,
    status: str,
    announced: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Check that a tagged upload is announced, always with the same id and version."""
    troubles = []
    if status == "TAGGED" and not announced:
        troubles.append("not announced")
    if len({one["id"] for one in announced}) > 1:
        troubles.append("announced under several ids")
    if any(one["data"]["image"]["etag"] != sent.etag for one in announced):
        troubles.append("announced as another version")
    return troubles


def troubles_of_calls(calls: int, paid: int, counted: Mapping[str, int]) -> list[str]:
    """Check that the record gives a reason for each call and for each extra paid answer."""
    troubles = []
    justified = sum(counted.get(reason, 0) for reason in PAID_AGAIN_REASONS)
    if paid - 1 > justified:
        troubles.append(f"paid {paid} times, {justified} repeats with a reason")
    if calls > sum(counted.values()):
        troubles.append(f"{calls} calls, {sum(counted.values())} counted")
    if counted.get("FIRST", 0) > 1:
        troubles.append(f"{counted['FIRST']} calls counted as the first")
    return troubles


def is_paid(call: Mapping[str, Any]) -> bool:
    """
    Whether a call in the sandbox's log was answered with tags that could arrive.

    An answer that the sandbox cut or delayed too long is a failed call for the function.
    """
    fault = call.get("fault") or {}
    lost = isinstance(fault, Mapping) and (
        fault.get("cut") or (fault.get("delaySeconds") or 0) >= TOO_LATE_SECONDS
    )
    return call["status"] == 201 and call["code"] is None and not lost


TOO_LATE_SECONDS = 8.0
"""More than the function's deadline for an answer in the stacks of the fault tests."""


def object_version_of(body: str) -> ObjectVersion | None:
    """Return the object version in a message or dead letter; None if it is unreadable."""
    try:
        [record] = json.loads(body)["Records"]
        uploaded = record["s3"]["object"]
        return unquote_plus(uploaded["key"]), str(uploaded.get("versionId"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def scan(
    stack: WatchedStack, table: str = "ResultsTableName"
) -> Iterable[dict[str, Any]]:
    """Yield all items of the results table, or of the table in another output."""
    deserialize = TypeDeserializer().deserialize
    pages = (
        stack.client("dynamodb")
        .get_paginator("scan")
        .paginate(TableName=stack.outputs[table], ConsistentRead=True)
    )
    for page in pages:
        for item in page["Items"]:
            yield {name: deserialize(value) for name, value in item.items()}


def send(stack: WatchedStack, key: str, body: bytes) -> Sent:
    """Upload an image, and return its key, version and digests."""
    return Sent(
        key=key,
        version=stack.upload(key, body),
        sha256=hashlib.sha256(body).hexdigest(),
        etag=hashlib.md5(body, usedforsecurity=False).hexdigest(),
    )
