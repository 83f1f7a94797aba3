"""The result that is shown for a key: of the newest version that has ended, or of another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hangtag.lifecycle import Record
from hangtag.ports import StoredResult
from hangtag.results import Document, failed_document
from hangtag.uploads import version_of


@dataclass(frozen=True, slots=True)
class History:
    """What is stored of a key."""

    stored: StoredResult | None
    records: Mapping[str, Record]
    """The records of its versions, by `Upload.version`."""

    def newest(self) -> Document | None:
        """The result of the newest version that has ended, or None."""
        return newest(self.stored, self.records.values())

    def version(self, name: str) -> VersionFound:
        """A version by its name in S3: the version id, or the etag in a bucket without versions."""
        versions = (version_of(name, None), version_of(None, name))
        records = [record for one, record in self.records.items() if one in versions]
        is_stored = self.stored is not None and self.stored.version in versions
        return VersionFound(
            document=newest(self.stored if is_stored else None, records),
            record=records[0] if records else None,
        )


@dataclass(frozen=True, slots=True)
class VersionFound:
    """What is stored of one version of a key."""

    document: Document | None
    """Its result. A TAGGED one is only stored of the newest version."""
    record: Record | None


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
