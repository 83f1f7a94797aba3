"""
Compares what IndexResults has made of a stack's results with the results.

It follows them by a moment: `wait_for_stream` waits until it has caught up.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from decimal import Decimal

from hangtag.adapters.dynamodb_reader import DynamoDBReader
from hangtag.adapters.dynamodb_table import from_attribute, to_attribute
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.system_clock import SystemClock
from hangtag.announcements import FAILED
from hangtag.index import Term, entries_of, position_of
from hangtag.ports import IndexEntry
from hangtag.results import Document
from local.ledger import scan
from local.watch import WatchedStack

STREAM_SECONDS = 60.0


def indexed(stack: WatchedStack) -> set[IndexEntry]:
    """Read all entries of the index."""
    return set(_entries(stack))


def _entries(stack: WatchedStack) -> Iterator[IndexEntry]:
    for item in scan(stack, "IndexTableName"):
        if "uri" in item:  # else a known value
            field, _, rest = item["tag"].partition("#")
            term = Term(field, rest.rpartition("#")[0])
            yield IndexEntry(term, item["at"], item["uri"], item.get("confidence"))


def index_troubles(
    stack: WatchedStack, uris: Collection[str] | None = None
) -> list[str]:
    """List each entry that is missing or left over, of these uris or of all."""
    found = {one for one in indexed(stack) if uris is None or one.uri in uris}
    expected = {
        IndexEntry(term, position_of(result), uri, _as_stored(confidence))
        for result in _results(stack)
        for uri in (result["image"]["uri"],)
        if uris is None or uri in uris
        for term, confidence in entries_of(result).items()
    }
    missing = [f"not in the index: {_shown(one)}" for one in expected - found]
    return sorted(missing) + sorted(
        f"left over in the index: {_shown(one)}" for one in found - expected
    )


def _as_stored(confidence: Decimal | None) -> Decimal | None:
    """A confidence as the index has it: large results, in S3, have more digits."""
    if confidence is None:
        return None
    stored = from_attribute(to_attribute(confidence))
    return None if isinstance(stored, str) else Decimal(stored)


def _results(stack: WatchedStack) -> Iterator[Document]:
    """Read all TAGGED results, large ones too."""
    large = S3LargeResults(stack.client("s3"), stack.outputs["LargeResultsBucketName"])
    return DynamoDBReader(
        stack.client("dynamodb"),
        stack.outputs["ResultsTableName"],
        SystemClock(),
        large.read,
    ).all_results()


def unannounced_failures(stack: WatchedStack) -> list[str]:
    """List the uploads that are FAILED without an announcement of that very failure."""
    data = [one.document["data"] for one in stack.announcements(type_=FAILED)]
    announced = {
        (one["image"]["uri"], one["image"]["versionId"], one["failure"]["failedAt"])
        for one in data
    }
    failures = (
        item
        for item in scan(stack)
        # A removal that fails is not announced
        if item.get("status") == "FAILED" and not item["version"].startswith("removed:")
    )
    return sorted(
        f"{item['uri']} {item['version']}: its failure is not announced"
        for item in failures
        if (
            item["uri"],
            item["version"].removeprefix("version:"),
            item["failure"]["failedAt"],
        )
        not in announced
    )


def wait_for_stream(
    stack: WatchedStack, *, seconds: float = STREAM_SECONDS
) -> list[str]:
    """Wait until nothing is missing or left over; returns what still is after that time."""
    until = time.monotonic() + seconds
    while troubles := [*index_troubles(stack), *unannounced_failures(stack)]:
        if time.monotonic() > until:
            return troubles
        time.sleep(0.5)
    return []


def _shown(entry: IndexEntry) -> str:
    return f"{entry.uri} by {entry.term.field} {entry.term.value!r}"
