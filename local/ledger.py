"""What became of every upload: the table, the letters, the announcements and the bill."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from boto3.dynamodb.types import TypeDeserializer

from hangtag.uploads import order_of
from local.watch import WatchedStack

RESULT = "result"
"""The sort key of an item that is the newest result of its key."""

OWN_STATE = "hangtag:"
"""With this begin the uris of items that are no uploads: the stack's own state."""

CUT_OFF = "CUT_OFF"
EXCUSES = ("UNSTORED", "OVERTAKEN", CUT_OFF)
"""
What explains a second bill: the store was down, a newer version's answer was kept instead, or the
attempt was cut off.
"""

ABANDONED = "ABANDONED"
"""The code of what was begun as often as is allowed and never finished."""

Place = tuple[str, str]
"""A key and the id of one version of it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An object version that was uploaded."""

    key: str
    version: str
    sha256: str
    etag: str


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of one upload."""

    sent: Sent
    status: str
    """TAGGED, FAILED, SKIPPED, or OPEN: it has not ended."""
    detail: str
    """The error code or the reason of a skip; what it waits for where it has not ended."""
    calls: int
    paid: int
    """Calls that the API answered with tags, as far as the answer could arrive."""
    counted: Mapping[str, int]
    """The calls that the table counts, by their reasons."""
    announcements: int
    letters: Sequence[str]
    """The codes of its dead letters."""
    troubles: Sequence[str]
    """What contradicts the promises; empty if nothing does."""

    @property
    def extra_calls(self) -> int:
        """Calls beyond the one that every upload has."""
        return max(0, self.calls - 1)

    @property
    def extra_paid(self) -> int:
        """Paid answers beyond the one that every upload has."""
        return max(0, self.paid - 1)


@dataclass(slots=True)
class Ledger:
    """All there is to know about a stack's uploads, read in one go."""

    items: dict[Place, dict[str, Any]]
    letters: dict[Place, list[str]]
    announced: dict[Place, list[dict[str, Any]]]
    calls: dict[str, list[dict[str, Any]]]
    """By the SHA-256 of the image."""
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The items of the newest results, by key."""
    objects: set[Place] = field(default_factory=set)
    """The versions that are in the bucket."""
    unreadable: list[str] = field(default_factory=list)
    """The bodies of dead letters that tell of no upload."""

    def ending_of(self, sent: Sent) -> Ending:
        """What became of an upload, and what is wrong with that."""
        place = (sent.key, sent.version)
        item = self.items.get(place, {})
        letters = self.letters.get(place, [])
        announced = self.announced.get(place, [])
        calls = self.calls.get(sent.sha256, [])
        paid = sum(map(is_paid, calls))
        counted = {why: int(number) for why, number in item.get("calls", {}).items()}
        if item.get("cutOff"):
            # Attempts that could not count their call themselves
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
                is_there=place in self.objects,
                overtaken=overtaken,
            ),
            *troubles_of_announcements(sent, status, announced),
            *troubles_of_bill(len(calls), paid, counted),
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
        """Whether a newer version's answer is the result of the key."""
        result = self.results.get(sent.key, {})
        return str(result.get("order", "")) > self._order(sent)

    def shown(self, key: str) -> str | None:
        """The version that `hangtag results show` shows for a key."""
        result = self.results.get(key, {})
        shown = (str(result.get("order", "")), str(result.get("objectVersion", "")))
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
        """What is TAGGED is the result of its key, unless a newer one is."""
        result = self.results.get(sent.key)
        if status != "TAGGED" or self.is_overtaken(sent):
            return []
        if result is None:
            return ["TAGGED without a result"]
        image = result["result"]["image"]
        if (image["versionId"], image["etag"]) != (sent.version, sent.etag):
            return ["the result is another version's"]
        return []


def read_ledger(stack: WatchedStack) -> Ledger:
    """The ledger of a stack, as it is now."""
    bucket = stack.outputs["UploadsBucketName"]
    ledger = Ledger({}, defaultdict(list), defaultdict(list), defaultdict(list))
    for item in scan(stack):
        uri = str(item["uri"])
        if not uri.startswith(OWN_STATE):
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
        place = place_of(letter.body)
        if place is None:
            ledger.unreadable.append(letter.body)
        else:
            ledger.letters[place].append(letter.code or "UNCODED")
    for announcement in stack.announcements():
        data = announcement.document["data"]
        image = data["image"]
        ledger.announced[image["key"], image["versionId"]].append(announcement.document)
    for call in stack.sandbox_calls():
        ledger.calls[call["sha256"] or ""].append(call)
    return ledger


def status_of(item: Mapping[str, Any]) -> tuple[str, str]:
    """How an item says its upload has ended, and in what detail."""
    status = item.get("status")
    if status == "TAGGED":
        return "TAGGED", ""
    if status == "FAILED" and "failure" in item:
        return "FAILED", str(item["failure"]["code"])
    if status == "SKIPPED":
        return "SKIPPED", str(item.get("reason"))
    return "OPEN", str(status or "no item")


def troubles_of_end(status: str, detail: str, letters: Sequence[str]) -> list[str]:
    """Every upload ends; what failed has its letter, with its code."""
    if status == "OPEN":
        return [f"lost: {detail}"]
    if status == "FAILED" and detail not in letters:
        return [f"FAILED as {detail} without its letter ({', '.join(letters)})"]
    return []


def troubles_of_skip(
    sent: Sent, status: str, reason: str, *, is_there: bool, overtaken: bool
) -> list[str]:
    """What is skipped is what the reason says."""
    if status != "SKIPPED":
        return []
    is_so = {
        "OBJECT_GONE": not is_there,
        "SUPERSEDED": overtaken,
        "FOLDER_MARKER": sent.key.endswith("/"),
    }
    if is_so.get(reason):
        return []
    return [f"skipped as {reason}, and is not"]


def troubles_of_announcements(
    sent: Sent,
    status: str,
    announced: Sequence[Mapping[str, Any]],
) -> list[str]:
    """What is tagged is announced, and always as the same thing."""
    troubles = []
    if status == "TAGGED" and not announced:
        troubles.append("not announced")
    if len({one["id"] for one in announced}) > 1:
        troubles.append("announced under several ids")
    if any(one["data"]["image"]["etag"] != sent.etag for one in announced):
        troubles.append("announced as another version")
    return troubles


def troubles_of_bill(calls: int, paid: int, counted: Mapping[str, int]) -> list[str]:
    """One paid answer; every call beyond one has its reason, every bill beyond its excuse."""
    troubles = []
    excuses = sum(counted.get(reason, 0) for reason in EXCUSES)
    if paid - 1 > excuses:
        troubles.append(f"paid {paid} times, {excuses} excused")
    if calls > sum(counted.values()):
        troubles.append(f"{calls} calls, {sum(counted.values())} counted")
    if counted.get("FIRST", 0) > 1:
        troubles.append(f"{counted['FIRST']} calls counted as the first")
    return troubles


def is_paid(call: Mapping[str, Any]) -> bool:
    """
    Whether a call of the sandbox's log was answered with tags that could arrive.

    An answer that was told to come too late or broken is a failed call to whoever asked.
    """
    fault = call.get("fault") or {}
    spoiled = isinstance(fault, Mapping) and (
        fault.get("cut") or (fault.get("delaySeconds") or 0) >= TOO_LATE_SECONDS
    )
    return call["status"] == 201 and call["code"] is None and not spoiled


TOO_LATE_SECONDS = 8.0
"""Longer than the function waits for an answer in the stacks of these tests."""


def place_of(body: str) -> Place | None:
    """The upload that a dead letter tells of."""
    try:
        [record] = json.loads(body)["Records"]
        told = record["s3"]["object"]
        return unquote_plus(told["key"]), str(told.get("versionId"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def scan(stack: WatchedStack) -> Iterable[dict[str, Any]]:
    """All items of the results table."""
    deserialize = TypeDeserializer().deserialize
    pages = (
        stack.client("dynamodb")
        .get_paginator("scan")
        .paginate(TableName=stack.outputs["ResultsTableName"], ConsistentRead=True)
    )
    for page in pages:
        for item in page["Items"]:
            yield {name: deserialize(value) for name, value in item.items()}


def send(stack: WatchedStack, key: str, body: bytes) -> Sent:
    """Upload an image, and note what was uploaded."""
    return Sent(
        key=key,
        version=stack.upload(key, body),
        sha256=hashlib.sha256(body).hexdigest(),
        etag=hashlib.md5(body, usedforsecurity=False).hexdigest(),
    )
