"""The result that is shown for a key: of the newest version that has ended."""

from __future__ import annotations

from collections.abc import Iterable

from hangtag.lifecycle import Record
from hangtag.ports import StoredResult
from hangtag.results import Document, failed_document


def newest(stored: StoredResult | None, records: Iterable[Record]) -> Document | None:
    """
    The TAGGED result of a key, or the FAILED one of a newer version.

    Newer is a higher place in the sequence, and for the same place a later end. *records* are
    the records of all versions of the key. None if no version has ended.
    """
    failed = max(
        (record for record in records if record.failed is not None),
        key=lambda record: (record.order, record.ended_at),
        default=None,
    )
    if stored is None or stored.document is None:
        return failed_document(failed) if failed else None
    tagged_at = stored.document["taggedAt"]
    if failed and (failed.order, failed.ended_at) >= (stored.order, tagged_at):
        return failed_document(failed)
    return stored.document
