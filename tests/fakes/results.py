from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from threading import Lock

from hangtag.failures import ResultTooLarge
from hangtag.ports import Busy, CallReason, Calls, Claim, ClaimLost, Clock, Done
from hangtag.results import Document, to_json, to_timestamp
from hangtag.uploads import SkipReason, Upload
from tests.fakes.failing import CanFail

_ITEM_BYTES = 400 * 1024


@dataclass(slots=True)
class _Item:
    replays: int
    state: str = "NEW"
    claimed_until: float = 0.0
    token: str = ""
    attempts: int = 0
    calls: dict[CallReason, int] = field(default_factory=dict)
    cut_off: int = 0
    excuse: CallReason | None = None
    sequencer: str | None = None
    result: Document | None = None
    failed: Document | None = None
    failed_at: str = ""
    skipped: SkipReason | None = None
    order: str | None = None
    again: str | None = None
    renewed: bool = False


class FakeResultStore(CanFail):
    """`ResultStore` in memory, and what operators read of it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._items: dict[tuple[str, str], _Item] = {}
        self._lock = Lock()
        self._tokens = count(1)

    def claim(
        self,
        upload: Upload,
        *,
        replays: int,
        sent_at: float | None,
        lease_seconds: float,
        again: str | None = None,
    ) -> Claim | Done | Busy:
        self._may_fail("claim")
        now = self._clock.now()
        with self._lock:
            item = self._items.setdefault((upload.uri, upload.version), _Item(replays))
            is_ordered = item.state != "NEW" and again not in (None, item.again)
            if item.state == "DONE" and not is_ordered:
                return Done(SkipReason.ALREADY_TAGGED)
            if item.state == "CLAIMED" and item.claimed_until >= now:
                return Busy(item.claimed_until - now)
            if (
                item.state == "FAILED"
                and replays <= item.replays
                and not is_ordered
                and sent_at is not None
                and to_timestamp(sent_at) < item.failed_at
            ):
                return Done(SkipReason.ALREADY_FAILED)
            begins_anew = (
                item.state in ("FAILED", "SKIPPED")
                or replays > item.replays
                or is_ordered
            )
            item.again = again or item.again
            if is_ordered and item.result is not None:
                item.renewed = True
                item.excuse = CallReason.AGAIN
            if item.excuse is None and item.state == "CLAIMED":
                item.excuse = CallReason.UNFINISHED
            ran_out = item.state == "CLAIMED" and not begins_anew
            item.attempts = 1 if begins_anew else item.attempts + 1
            item.replays = max(replays, item.replays)
            item.sequencer = upload.sequencer or item.sequencer
            item.state = "CLAIMED"
            item.claimed_until = now + lease_seconds
            before, item.cut_off = item.cut_off, item.cut_off + 1
            item.token = f"claim-{next(self._tokens)}"
            return Claim(
                attempt=item.attempts,
                unannounced=None if item.renewed else deepcopy(item.result),
                sequencer=item.sequencer,
                ran_out=ran_out,
                reason=item.excuse
                or (CallReason.RETRY if item.calls else CallReason.FIRST),
                calls=dict(item.calls),
                cut_off=before,
                token=item.token,
                renews=item.renewed,
            )

    def release(
        self, upload: Upload, claim: Claim, *, calls: Calls, unstored: bool
    ) -> None:
        with self._held("release", upload, claim) as item:
            item.state = "WAITING"
            _count(item, claim, calls)
            _excuse(item, calls, unstored=unstored)

    def withdraw(self, upload: Upload, claim: Claim, *, calls: Calls) -> None:
        with self._held("withdraw", upload, claim) as item:
            item.state = "WAITING"
            item.attempts = claim.attempt - 1
            _count(item, claim, calls)

    def skip(
        self,
        upload: Upload,
        reason: SkipReason,
        *,
        claim: Claim | None,
        at: str,  # noqa: ARG002 - the fake tells no times
    ) -> None:
        if claim is None:
            self._may_fail("skip")
            with self._lock:
                self._items.setdefault(
                    (upload.uri, upload.version),
                    _Item(0, state="SKIPPED", skipped=reason),
                )
            return
        with self._held("skip", upload, claim) as item:
            item.state = "DONE" if claim.renews else "SKIPPED"
            item.skipped = None if claim.renews else reason
            item.attempts = claim.attempt - 1
            item.failed = None
            if claim.renews:
                item.renewed, item.excuse = False, None
            else:
                item.order = None
            _count(item, claim, {})

    def store_tagged(
        self, upload: Upload, claim: Claim, result: Document, *, calls: Calls
    ) -> None:
        with self._held("store_tagged", upload, claim) as item:
            if len(to_json(result).encode()) > _ITEM_BYTES:
                raise ResultTooLarge(f"the result of {upload.uri} does not fit")
            item.result = deepcopy(result)
            item.failed = item.excuse = item.skipped = None
            item.renewed = False
            item.order = upload.order
            _count(item, claim, calls)

    def finish(self, upload: Upload, claim: Claim) -> None:
        with self._held("finish", upload, claim) as item:
            item.state = "DONE"

    def store_failed(
        self,
        upload: Upload,
        claim: Claim,
        result: Document,
        *,
        calls: Calls,
        unstored: bool,
    ) -> None:
        with self._held("store_failed", upload, claim) as item:
            item.failed = deepcopy(result)
            item.failed_at = result["failure"]["failedAt"]
            item.state = "FAILED"
            item.skipped = None
            item.order = upload.order
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
        return deepcopy(item.failed or item.result)

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
    def _held(self, method: str, upload: Upload, claim: Claim) -> Iterator[_Item]:
        self._may_fail(method)
        with self._lock:
            item = self._items[(upload.uri, upload.version)]
            if item.token != claim.token:
                raise ClaimLost(upload.uri)
            yield item


def _count(item: _Item, claim: Claim, calls: Calls) -> None:
    item.cut_off = claim.cut_off
    for reason, number in calls.items():
        item.calls[reason] = claim.calls.get(reason, 0) + number


def _excuse(item: _Item, calls: Calls, *, unstored: bool) -> None:
    if unstored:
        item.excuse = CallReason.UNSTORED
    elif calls:
        item.excuse = None
