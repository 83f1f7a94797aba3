"""
One attempt at a removal: the event says that an object version is gone, S3 says what is there now.

If the object is gone, a tombstone takes the place of the key's result, and that is announced. The
tombstone keeps uploads that arrive late from bringing the result back.
docs/decisions/0038-removals.md gives the reasons.
"""

from __future__ import annotations

from dataclasses import replace

from hangtag.announcements import announcement_of
from hangtag.attempt import Attempt, Ended, Retry
from hangtag.ending import Endings
from hangtag.errors import ResultsUnavailable
from hangtag.events import record_of_object
from hangtag.lifecycle import Record, Status, UploadKey
from hangtag.newest import version_of_object
from hangtag.policy import Policy, Ports
from hangtag.ports import ObjectFacts, StoredResult
from hangtag.results import removed_result
from hangtag.uploads import SkipReason, Upload, arn_of_bucket, version_of

TOMBSTONE_SECONDS = 60 * 24 * 3_600.0
"""
How long a tombstone is kept: longer than an upload that was sent before it can be on its way.

SQS keeps a message for at most 14 days (MessageRetentionPeriod). An upload can be on the upload
queue for that long, then in the dead-letter queue, then, replayed, on the upload queue again: 42.
"""

_MOST_RIVALS = 8
"""A removal is handed back if other workers have stored a result first so many times."""


class Removing:
    """Brings removals to their end; threads may share it."""

    def __init__(self, ports: Ports, policy: Policy, endings: Endings) -> None:
        self._ports = ports
        self._policy = policy
        self._endings = endings

    def remove(self, attempt: Attempt) -> Ended | Retry:
        """
        From the claim to the end.

        S3 is asked before the tombstone is stored, and again afterwards: an upload or an undelete
        in between may have found the old result, and ended.

        Raises:
            ClaimLost, HangtagError: As the steps of an upload's attempt.
        """
        removal = attempt.upload
        stored = attempt.batch.snapshot.results.get(removal.uri)
        for _ in range(_MOST_RIVALS):
            current = self._ports.objects.find(removal)
            is_own = stored is not None and stored.version == removal.version
            stays = current is not None and not self._has_lost_its_version(
                stored, removal
            )
            if current is not None and stays:
                self._tag_again(removal, current)
            if stored is not None and is_own:
                return self._announce(attempt, stored)
            if stays or _is_later_removal(stored, removal):
                return self._endings.skip(attempt, SkipReason.SUPERSEDED)
            if stored is None and removal.key.endswith("/"):
                return self._endings.skip(attempt, SkipReason.FOLDER_MARKER)
            stored = self._store(removal, replacing=stored, is_gone=current is None)
        raise ResultsUnavailable(
            f"{removal.uri}: other workers stored first {_MOST_RIVALS} times"
        )

    def _has_lost_its_version(
        self, stored: StoredResult | None, removal: Upload
    ) -> bool:
        """
        Whether the stored result is about the version that the event names, and that is gone.

        Another version is then current. S3 is asked, because an event may name any version.
        """
        named = version_of(removal.version_id, None)
        if stored is None or stored.removed_at is not None or stored.version != named:
            return False
        return self._ports.objects.peek(replace(removal, is_removal=False)) is None

    def _store(
        self, removal: Upload, *, replacing: StoredResult | None, is_gone: bool
    ) -> StoredResult:
        """
        What is stored now: the removal's tombstone, or what another worker has stored.

        The tombstone has at least the place of the result. If only a version is gone, it has that
        place: the failure of a later version stays the newest.
        """
        now = self._endings.now()
        order = removal.order
        if replacing is not None:
            order = max(order, replacing.order) if is_gone else replacing.order
        found = self._ports.results.remove(
            removal,
            order=order,
            removed_at=now,
            expires_at=self._ports.clock.now() + TOMBSTONE_SECONDS,
            replacing=replacing,
        )
        return found or StoredResult(removal.version, order, None, removed_at=now)

    def _announce(self, attempt: Attempt, tombstone: StoredResult) -> Ended | Retry:
        attempt.stopwatch.end("store")
        removal = attempt.upload.placed_at(tombstone.order)
        bucket_arn = arn_of_bucket(removal.bucket, partition=self._policy.partition)
        # The tombstone's time and place, so that a repetition is the same announcement
        result = removed_result(removal, removed_at=tombstone.removed_at or "")
        self._ports.announcer.announce(announcement_of(result, bucket_arn=bucket_arn))
        attempt.stopwatch.end("announce")
        return self._endings.remove(attempt)

    def _tag_again(self, removal: Upload, current: ObjectFacts) -> None:
        """
        Put the object's current version on the upload queue, if it lacks its result.

        That is a newer upload, or an older version that is current again: a delete marker was
        removed, or a newer version was deleted for good. Its record says whether a call is needed.
        """
        key = (removal.uri, version_of_object(current))
        # Read after S3 was asked: the worker of a later tombstone asks S3 again, too
        now = self._ports.snapshots.snapshot([key])
        stored, record = now.results.get(removal.uri), now.records.get(key)
        if not self._lacks_its_result(key, stored, record, own=removal.version):
            return
        upload = record_of_object(
            bucket=removal.bucket,
            key=removal.key,
            version_id=current.version_id,
            etag=current.etag,
            size=current.size,
            at=self._endings.now(),
            partition=self._policy.partition,
            sequencer=removal.sequencer,
        )
        if isinstance(upload, Upload):
            self._ports.upload_queue.send(upload.notification())

    def _lacks_its_result(
        self,
        key: UploadKey,
        stored: StoredResult | None,
        record: Record | None,
        *,
        own: str,
    ) -> bool:
        """
        Whether a result of the object's current version has to be made, or made again.

        The deletion of an older version must cause no call about an object that was never uploaded
        through Hangtag, or whose result has expired, and must not repeat a failure. A tombstone of
        another removal (its *own* version is not that) says that the object was gone: what is there
        now counts as uploaded again.
        """
        status = None if record is None else record.status
        if stored is None:
            # The tombstone or the result has expired, or the table has never had a result
            is_tagged = status is Status.TAGGED and not self._policy.results_expire
            return is_tagged or status is Status.SKIPPED
        if stored.version == key[1]:
            return False
        if record is None or status not in (Status.FAILED, Status.DISCARDED):
            return True
        is_undeleted = stored.removed_at is not None and stored.version != own
        return is_undeleted and record.ended_at <= (stored.removed_at or "")


def _is_later_removal(stored: StoredResult | None, removal: Upload) -> bool:
    if stored is None or stored.removed_at is None:
        return False
    return stored.order > removal.order
