from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from threading import Lock

from hangtag.errors import ResultsUnavailable, ResultTooLarge
from hangtag.lifecycle import UploadKey
from hangtag.operators.old_failures import KnownUpload, Standing, letter_of_result
from hangtag.ports import (
    NO_CALLS,
    Busy,
    CallReason,
    Calls,
    Claim,
    ClaimLost,
    Clock,
    Done,
)
from hangtag.results import Document
from hangtag.text import to_json, to_timestamp
from hangtag.uploads import SkipReason, Upload, order_of
from tests.fakes.failing import CanFail

_ITEM_BYTES = 400 * 1024


@dataclass(slots=True)
class _Item:
    replays: int
    state: str = "NEW"
    claimed_until: float = 0.0
    token: str = ""
    confirmed: bool = False
    attempts: int = 0
    failures: int = 0
    calls: dict[CallReason, int] = field(default_factory=dict)
    cut_off: int = 0
    excuse: CallReason | None = None
    sequencer: str | None = None
    result: Document | None = None
    announced: str | None = None
    failed: Document | None = None
    failed_at: str = ""
    skipped: SkipReason | None = None
    order: str | None = None
    again: str | None = None
    renewed: bool = False
    notification: str = ""
    letter_id: str = ""
    request_id: str = ""
    replaying_until: float = 0.0
    replayed_at: str = ""
    discarded_at: str = ""


class FakeResultStore(CanFail):
    """`OldResultStore` and `FailureBook` in memory, and what else operators read of it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._items: dict[tuple[str, str], _Item] = {}
        self._lock = Lock()
        self._tokens = count(1)
        self._last_claim: tuple[Upload, int, float, str] | None = None

    def claim(
        self,
        upload: Upload,
        *,
        replays: int,
        sent_at: float | None,
        lease_seconds: float,
        again: str | None = None,
    ) -> Claim | Done | Busy:
        token = f"claim-{next(self._tokens)}"
        until = self._clock.now() + lease_seconds
        self._last_claim = (upload, replays, until, token)
        self._may_fail("claim")
        found = self._claim(upload, replays, until, token, sent_at=sent_at, again=again)
        try:
            self._may_fail("the answer to claim")
        except ResultsUnavailable:
            self._take_back(upload, found)
            raise
        return found

    def _take_back(self, upload: Upload, found: Claim | Done | Busy) -> None:
        with suppress(ResultsUnavailable):
            self._may_fail("taking a claim back")
            item = self._items[(upload.uri, upload.version)]
            if isinstance(found, Claim) and item.token == found.token:
                item.claimed_until = 0.0
                item.attempts -= 1
                item.cut_off -= 1

    def _claim(
        self,
        upload: Upload,
        replays: int,
        until: float,
        token: str,
        *,
        sent_at: float | None,
        again: str | None,
    ) -> Claim | Done | Busy:
        now = self._clock.now()
        with self._lock:
            item = self._items.setdefault((upload.uri, upload.version), _Item(replays))
            is_ordered = item.state != "NEW" and again not in (None, item.again)
            is_newer = item.order is not None and upload.order > item.order
            is_done = item.state == "DONE" and item.announced is not None
            if is_done and not is_ordered and not is_newer:
                return Done(SkipReason.ALREADY_TAGGED)
            if item.state == "CLAIMED" and item.claimed_until >= now:
                return Busy(item.claimed_until - now)
            if (
                item.state in ("FAILED", "DISCARDED")
                and replays <= item.replays
                and not is_ordered
                and not is_newer
                and sent_at is not None
                and to_timestamp(sent_at) < item.failed_at
            ):
                return Done(SkipReason.ALREADY_FAILED)
            begins_anew = (
                item.state in ("DONE", "FAILED", "DISCARDED", "SKIPPED")
                or replays > item.replays
                or is_ordered
            )
            item.again = again or item.again
            if is_ordered and item.result is not None:
                item.renewed = True
                item.excuse = CallReason.AGAIN
            is_taken_back = item.cut_off == 0 and item.result is None
            was_cut_off = item.state == "CLAIMED" and not is_taken_back
            if item.excuse is None and was_cut_off:
                item.excuse = CallReason.UNFINISHED
            ran_out = was_cut_off and not begins_anew
            if begins_anew:
                item.attempts, item.failures, item.confirmed = 0, 0, False
            item.attempts += 1
            item.replays = max(replays, item.replays)
            item.state = "CLAIMED"
            item.claimed_until = until
            before, item.cut_off = item.cut_off, item.cut_off + 1
            item.token = token
            return Claim(
                attempt=item.attempts,
                unannounced=None if item.renewed else deepcopy(item.result),
                sequencer=max(upload.sequencer, item.sequencer, key=order_of),
                ran_out=ran_out,
                was_confirmed=item.confirmed,
                failures=item.failures,
                announced_as=None if item.renewed else item.announced,
                reason=item.excuse
                or (CallReason.RETRY if item.calls else CallReason.FIRST),
                calls=dict(item.calls),
                cut_off=before,
                token=item.token,
                renews=item.renewed,
            )

    def last_claim_arrives_late(self) -> None:
        """The request that was made last comes, perhaps once more; nobody hears of it."""
        if self._last_claim is None:
            return
        upload, replays, until, token = self._last_claim
        with self._lock:
            item = self._items.setdefault(
                (upload.uri, upload.version), _Item(replays, state="WAITING")
            )
            is_free = item.state == "WAITING" or (
                item.state == "CLAIMED" and item.claimed_until < self._clock.now()
            )
            if is_free and item.replays >= replays and item.token != token:
                item.state, item.token, item.claimed_until = "CLAIMED", token, until
                item.attempts += 1
                item.cut_off += 1

    def confirm(self, upload: Upload, claim: Claim) -> None:
        with self._held("confirm", upload, claim) as item:
            item.confirmed = True

    def release(
        self, upload: Upload, claim: Claim, *, calls: Calls, unstored: bool
    ) -> None:
        with self._held("release", upload, claim, to="WAITING") as item:
            item.state = "WAITING"
            item.failures = claim.failures + 1
            item.confirmed = False
            _count(item, claim, calls)
            _excuse(item, calls, unstored=unstored)

    def withdraw(self, upload: Upload, claim: Claim, *, calls: Calls) -> None:
        still_cut_off = claim.ran_out and not calls
        state = "CLAIMED" if still_cut_off else "WAITING"
        with self._held("withdraw", upload, claim, to=state) as item:
            item.state = state
            item.claimed_until = 0.0
            item.attempts = claim.attempt - 1
            item.confirmed = still_cut_off and claim.was_confirmed
            _count(item, claim, calls)

    def skip(
        self,
        upload: Upload,
        reason: SkipReason,
        *,
        claim: Claim | None,
        at: str,  # noqa: ARG002 - the fake tells no times
        calls: Calls = NO_CALLS,
    ) -> None:
        if claim is None:
            self._may_fail("skip")
            with self._lock:
                self._items.setdefault(
                    (upload.uri, upload.version),
                    _Item(0, state="SKIPPED", skipped=reason),
                )
            return
        state = "DONE" if claim.renews else "SKIPPED"
        with self._held("skip", upload, claim, to=state) as item:
            item.sequencer = upload.sequencer or item.sequencer
            item.state = state
            item.skipped = None if claim.renews else reason
            item.attempts = claim.attempt - 1
            item.confirmed = False
            item.failed = None
            item.letter_id = item.replayed_at = item.discarded_at = ""
            if claim.renews:
                item.renewed, item.excuse = False, None
            else:
                item.order = None
            _count(item, claim, calls)

    def store_tagged(
        self, upload: Upload, claim: Claim, result: Document, *, calls: Calls
    ) -> None:
        with self._held("store_tagged", upload, claim) as item:
            if len(to_json(result).encode()) > _ITEM_BYTES:
                raise ResultTooLarge(f"the result of {upload.uri} does not fit")
            if claim.unannounced is None:
                item.announced = None
            item.result = deepcopy(result)
            item.failed = item.excuse = item.skipped = None
            item.renewed = False
            item.order = upload.order
            item.sequencer = upload.sequencer or item.sequencer
            _count(item, claim, calls)

    def finish(self, upload: Upload, claim: Claim, *, announced: bool) -> None:
        with self._held("finish", upload, claim, to="DONE") as item:
            item.state = "DONE"
            item.confirmed = False
            if announced:
                item.announced = upload.order

    def store_failed(
        self,
        upload: Upload,
        claim: Claim,
        result: Document,
        *,
        calls: Calls,
        unstored: bool,
        letter_id: str = "",
        request_id: str = "",
    ) -> None:
        with self._held("store_failed", upload, claim, to="FAILED") as item:
            item.notification = upload.notification()
            kept = to_json([item.result, item.notification, result])
            if len(kept.encode()) > _ITEM_BYTES:
                item.notification = upload.notification(longest=0)
                unstored = True
                item.result = item.announced = None
            item.letter_id, item.request_id = letter_id, request_id
            item.replaying_until, item.replayed_at, item.discarded_at = 0.0, "", ""
            item.failed = deepcopy(result)
            item.failed_at = result["failure"]["failedAt"]
            item.confirmed = False
            item.state = "FAILED"
            item.skipped = None
            item.order = upload.order
            item.sequencer = upload.sequencer or item.sequencer
            _count(item, claim, calls)
            _excuse(item, calls, unstored=unstored)

    def is_superseded(self, upload: Upload) -> bool:
        self._may_fail("is_superseded")
        with self._lock:
            return any(
                uri == upload.uri
                and item.order is not None
                and item.order > upload.order
                for (uri, _), item in self._items.items()
            )

    def has_passed_another(self, upload: Upload, *, since: str) -> bool:
        self._may_fail("has_passed_another")
        with self._lock:
            return any(
                (uri, since <= item.order <= upload.order) == (upload.uri, True)
                and version != upload.version
                for (uri, version), item in self._items.items()
                if item.order is not None
            )

    def oldest_failure(self, *, since: float) -> float | None:
        self._may_fail("oldest_failure")
        failed_at = [
            datetime.fromisoformat(item.failed_at).timestamp()
            for item in self._items.values()
            if item.state == "FAILED" and not item.replayed_at
        ]
        return min((at for at in failed_at if at >= since), default=None)

    def newest(self, uri: str) -> Document | None:
        """The result of the newest version of a key that has ended, or None."""
        ended = [
            (item.order, item)
            for (other, _), item in self._items.items()
            if other == uri and item.order is not None
        ]
        if not ended:
            return None
        _, item = max(ended, key=lambda pair: pair[0])
        shown = deepcopy(item.failed or item.result)
        if shown is not None and item.state == "DISCARDED":
            shown["failure"]["discardedAt"] = item.discarded_at
        return shown

    def failures(self, *, since: str = "", until: str = "") -> Iterator[KnownUpload]:
        self._may_fail("failures")
        for key, item in list(self._items.items()):
            known = _known(key, item)
            if known.standing is not Standing.FAILED:
                continue
            if (since or "0") <= known.ended_at <= (until or "~"):
                yield known

    def look_up(self, keys: Iterable[UploadKey]) -> Mapping[UploadKey, KnownUpload]:
        self._may_fail("look_up")
        return {
            key: _known(key, self._items[key]) for key in keys if key in self._items
        }

    def reserve_replay(self, known: KnownUpload, *, seconds: float) -> bool:
        with self._as_it_was("reserve_replay", known) as item:
            if item is None or item.replaying_until > self._clock.now():
                return False
            item.replaying_until = self._clock.now() + seconds
            return True

    def release_replay(self, known: KnownUpload) -> bool:
        with self._as_it_was("release_replay", known) as item:
            if item is None:
                return False
            item.replaying_until = 0.0
            return True

    def mark_replayed(self, known: KnownUpload, *, at: str) -> bool:
        with self._as_it_was("mark_replayed", known) as item:
            if item is None:
                return False
            item.replayed_at, item.replaying_until = at, 0.0
            return True

    def discard(self, known: KnownUpload, *, at: str) -> bool:
        with self._as_it_was("discard", known) as item:
            if item is None or item.replaying_until > self._clock.now():
                return False
            item.state, item.discarded_at = "DISCARDED", at
            return True

    def restore(self, known: KnownUpload, *, letter_id: str) -> bool:
        with self._as_it_was("restore", known, state="DISCARDED") as item:
            if item is None:
                return False
            item.state, item.discarded_at, item.letter_id = "FAILED", "", letter_id
            return True

    @contextmanager
    def _as_it_was(
        self, method: str, known: KnownUpload, *, state: str = "FAILED"
    ) -> Iterator[_Item | None]:
        """The item, as long as it still stands as it was read."""
        self._may_fail(method)
        with self._lock:
            item = self._items.get(known.key)
            same = (
                item is not None
                and (item.state, item.failed_at) == (state, known.ended_at)
                and not item.replayed_at
            )
            yield item if same else None

    def tagged(self, uploads: Sequence[Upload]) -> set[tuple[str, str]]:
        """Uri and version of those that have a TAGGED result."""
        self._may_fail("tagged")
        keys = {(upload.uri, upload.version) for upload in uploads}
        return {
            key
            for key in keys & self._items.keys()
            if self._items[key].state == "DONE" or self._items[key].result is not None
        }

    def calls_about(self, upload: Upload) -> Calls:
        """The counted calls about a version."""
        return self._items[(upload.uri, upload.version)].calls

    def cut_off(self, upload: Upload) -> int:
        """Attempts about a version that did not come to an end."""
        return self._items[(upload.uri, upload.version)].cut_off

    def ended_as(self, upload: Upload) -> str | None:
        """DONE, FAILED, or why it was skipped; None as long as it has not ended."""
        item = self._items.get((upload.uri, upload.version))
        if item is None or item.state not in ("DONE", "FAILED", "SKIPPED"):
            return None
        return str(item.skipped) if item.state == "SKIPPED" else item.state

    @contextmanager
    def _held(
        self, method: str, upload: Upload, claim: Claim, *, to: str = ""
    ) -> Iterator[_Item]:
        """The item, to be brought *to* a state; a copy where it has been brought there."""
        self._may_fail(method)
        with self._lock:
            item = self._items[(upload.uri, upload.version)]
            is_held = item.state == "CLAIMED" and item.claimed_until > 0
            if item.token != claim.token or not (is_held or item.state == to):
                raise ClaimLost(upload.uri)
            yield item if is_held else deepcopy(item)


def _count(item: _Item, claim: Claim, calls: Calls) -> None:
    item.cut_off = claim.cut_off
    for reason, number in calls.items():
        item.calls[reason] = claim.calls.get(reason, 0) + number


def _excuse(item: _Item, calls: Calls, *, unstored: bool) -> None:
    if unstored:
        item.excuse = CallReason.UNSTORED
    elif calls:
        item.excuse = None


def _known(key: UploadKey, item: _Item) -> KnownUpload:
    if item.state not in ("FAILED", "DISCARDED") or item.failed is None:
        if item.state != "DONE" or item.result is None:
            return KnownUpload(key, Standing.OTHER, item.replays)
        tagged_at = item.result["taggedAt"]
        return KnownUpload(key, Standing.TAGGED, item.replays, tagged_at)
    standing = Standing.REPLAYED if item.replayed_at else Standing(item.state)
    letter = letter_of_result(
        item.failed,
        body=item.notification,
        replays=item.replays,
        request_id=item.request_id,
    )
    return KnownUpload(
        key, standing, item.replays, item.failed_at, item.letter_id, letter
    )
