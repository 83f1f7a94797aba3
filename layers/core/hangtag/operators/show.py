"""The result that is shown for a key: of the newest version that has ended."""

from __future__ import annotations

from collections.abc import Iterable

from hangtag.events import read_body
from hangtag.lifecycle import Record
from hangtag.ports import StoredResult
from hangtag.results import Document, failed_result
from hangtag.uploads import Upload


def newest(stored: StoredResult | None, records: Iterable[Record]) -> Document | None:
    """
    The TAGGED result of a key, or the FAILED one of a version that is as new or newer.

    *records* are those of all versions of the key. None if no version has ended.
    """
    failed = max(
        (record for record in records if record.failed is not None),
        key=lambda record: (record.order, record.ended_at),
        default=None,
    )
    if failed is None or (stored is not None and stored.order > failed.order):
        return stored.document if stored else None
    return failed_document(failed)


def failed_document(record: Record) -> Document | None:
    """The FAILED result that a record stands for; None if it is not FAILED."""
    failed = record.failed
    if failed is None:
        return None
    for upload in read_body(failed.notification):
        if isinstance(upload, Upload):
            placed = upload.ordered_as(record.sequencer)
            document = failed_result(placed, failed.failure)
            if failed.discarded_at:
                document["failure"]["discardedAt"] = failed.discarded_at
            return document
    return None
