"""
Which of two versions of a key is newer: S3 is asked, because events may lie.

Whoever may send to the upload queue chooses the sequencer of an event. Why S3 decides:
docs/decisions/0033-which-version-is-newer.md.
"""

from __future__ import annotations

from hangtag.errors import ObjectForbidden
from hangtag.ports import ObjectFacts, ObjectStore, StoredResult
from hangtag.uploads import Upload, version_of


def is_newer(upload: Upload, stored: StoredResult, objects: ObjectStore) -> bool:
    """
    Whether the upload's version takes the place of the stored result of another version.

    The object's current version is the newest one. If that is neither of the two, or S3 does not
    say which it is, the higher sequencer counts. An upload without a sequencer is never newer than
    a result that has one.

    Only the current version replaces a tombstone, even without a sequencer. As long as the object
    is gone, no upload does.

    Raises:
        ObjectUnavailable: S3 failed.
    """
    is_tombstone = stored.removed_at is not None
    has_no_place = upload.sequencer is None and stored.order != upload.order
    if has_no_place and not is_tombstone:
        return False
    try:
        current = objects.find(upload)
    except ObjectForbidden:
        return upload.order >= stored.order
    if current is None and is_tombstone:
        return False
    if current is not None:
        version = version_of_object(current)
        if version in (upload.version, stored.version):
            return version == upload.version
    return upload.order >= stored.order


def version_of_object(found: ObjectFacts) -> str:
    """The `Upload.version` of an object version."""
    return version_of(found.version_id, found.etag) or ""
