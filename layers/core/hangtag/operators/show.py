"""The result that is shown for a key: of the newest version that has ended, or of another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hangtag.events import read_body
from hangtag.lifecycle import Record
from hangtag.ports import StoredResult
from hangtag.results import Document, failed_result
from hangtag.uploads import Upload, version_of


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
