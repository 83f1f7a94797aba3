"""The result that is shown for a key: of the newest version that has ended."""

from __future__ import annotations

from collections.abc import Iterable

from hangtag.lifecycle import Record
from hangtag.ports import StoredResult
from hangtag.results import Document, failed_document


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
