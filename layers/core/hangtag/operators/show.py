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
    The TAGGED result of a key, or the FAILED one of a newer version; none behind a tombstone.

    Newer is a higher place in the sequence, and for the same place a later end. *records* are
    the records of all versions of the key. None if no version has ended.
    """
    failed = max(
        (record for record in records if _is_failed_upload(record)),
        key=lambda record: (record.order, record.ended_at),
        default=None,
    )
    if stored is None:
        return failed_document(failed) if failed else None
    ended_at = stored.removed_at or (stored.document or {})["taggedAt"]
    if failed and (failed.order, failed.ended_at) >= (stored.order, ended_at):
        return failed_document(failed)
    return stored.document


def _is_failed_upload(record: Record) -> bool:
    """Whether it is FAILED and has a FAILED result; a removal that failed has none."""
    return record.failed is not None and failed_document(record) is not None


def failed_document(record: Record) -> Document | None:
    """The FAILED result that a record stands for; None if it is not FAILED, or a removal."""
    failed = record.failed
    if failed is None:
        return None
    for upload in read_body(failed.notification):
        if isinstance(upload, Upload) and not upload.is_removal:
            placed = upload.ordered_as(record.sequencer)
            document = failed_result(placed, failed.failure)
            if failed.discarded_at:
                document["failure"]["discardedAt"] = failed.discarded_at
            return document
    return None
