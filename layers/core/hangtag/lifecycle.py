"""
The life of an upload: one record per object version, its statuses, and the events that change them.

    status     claim     release  finish  remove   fail    skip     reserve  replay    discard    restore
    (none)     OPEN                                        SKIPPED
    OPEN       OPEN (1)  OPEN     TAGGED  REMOVED  FAILED  SKIPPED
    TAGGED     Done (2)
    REMOVED    Done
    FAILED     OPEN (3)                                             FAILED   REPLAYED  DISCARDED
    REPLAYED   OPEN
    DISCARDED  OPEN (3)                                                                           FAILED
    SKIPPED    OPEN (3)

    (1) Busy while another worker's lease lasts. If the lease has expired, the attempt was cut off
        and is counted.
    (2) OPEN for a later re-tag token, or if another version's answer took the place of its own.
    (3) Done for a copy: a message that was sent before the end, with no newer sequencer, no next
        count of replays and no later re-tag token.

A removal has a record like an upload; it ends as REMOVED where an upload ends as TAGGED.

The functions are pure. The caller writes the record they return by compare-and-swap on `rev`: it
replaces the record in the table only if that is still the one that was read. So every write may
be repeated, and a late duplicate is refused.
"""  # noqa: E501 - the table

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from hangtag.failure import Failure
from hangtag.uploads import SkipReason, order_of

UploadKey = tuple[str, str]
"""An upload's uri and `Upload.version`; no other upload has both."""


class Status(StrEnum):
    """Where an upload is in its life."""

    OPEN = "OPEN"
    """It is being worked on, or waits for its next attempt."""
    TAGGED = "TAGGED"
    REMOVED = "REMOVED"
    """It is a removal, and the result of its key is gone."""
    FAILED = "FAILED"
    """Its dead letter is in the dead-letter queue, or was until it expired."""
    REPLAYED = "REPLAYED"
    """It failed, and an operator has put it on the upload queue again."""
    DISCARDED = "DISCARDED"
    """It failed, and an operator has removed its dead letter."""
    SKIPPED = "SKIPPED"


TRANSITIONS: Mapping[str, Mapping[Status | None, Status]] = {
    "claim": dict.fromkeys(
        [None, *(status for status in Status if status is not Status.REMOVED)],
        Status.OPEN,
    ),
    "release": {Status.OPEN: Status.OPEN},
    "finish": {Status.OPEN: Status.TAGGED},
    "remove": {Status.OPEN: Status.REMOVED},
    "fail": {Status.OPEN: Status.FAILED},
    "skip": {None: Status.SKIPPED, Status.OPEN: Status.SKIPPED},
    "reserve": {Status.FAILED: Status.FAILED},
    "replay": {Status.FAILED: Status.REPLAYED},
    "discard": {Status.FAILED: Status.DISCARDED},
    "restore": {Status.DISCARDED: Status.FAILED},
}
"""By event: the statuses that accept it, and the status that follows. Others refuse it."""


class CallReason(StrEnum):
    """Why the API is called about an upload; every call has one, and is counted by it."""

    FIRST = "FIRST"
    """The first call about this version."""
    RETRY = "RETRY"
    """A call before this one failed."""
    FRESH_KEY = "FRESH_KEY"
    """The key was refused and has been changed since it was read."""
    PREFIX = "PREFIX"
    """The image was refused with the data-URI prefix, or without it."""
    AS_BASE64 = "AS_BASE64"
    """The API could not fetch the image from its URL."""
    UNSTORED = "UNSTORED"
    """The API answered, but its answer could not be stored."""
    UNFINISHED = "UNFINISHED"
    """The last attempt was cut off, by a crash or a timeout; its call may have been paid."""
    AGAIN = "AGAIN"
    """It was called before, and an operator wants a new answer (`hangtag backfill --again`)."""
    OVERTAKEN = "OVERTAKEN"
    """Another version's answer replaced its own; by a later sequencer it is the newest again."""


Calls = Mapping[CallReason, int]
"""How many calls were made, by reason."""

NO_CALLS: Calls = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FailedUpload:
    """The part of a FAILED record that a replay needs."""

    failure: Failure
    notification: str
    """The message that a replay sends if the dead letter has expired."""
    letter_id: str = ""
    """The dead letter's id, as SQS gave it."""
    request_id: str = ""
    """Of the invocation that sent the dead letter."""
    discarded_at: str = ""
    """ISO 8601, UTC; only of a DISCARDED one."""


@dataclass(frozen=True, slots=True)
class Record:
    """The state of one object version."""

    status: Status = Status.OPEN
    rev: str = ""
    """Of this state of the record; every write leaves a new one."""
    sequencer: str | None = None
    """The highest that the version's events came with."""
    lease_until: float = 0.0
    """Seconds since 1970; until then a worker holds it. 0: it is free. FAILED: see `reserve`."""
    attempts: int = 0
    """Attempts that ended, since it arrived or was replayed; one that was cut off is among them."""
    cut_off: int = 0
    """Attempts that were cut off, of all time: each may have been paid without being counted."""
    calls: Calls = field(default_factory=lambda: NO_CALLS)
    """Calls of all attempts that ended."""
    next_call: CallReason | None = None
    """Why the next call is made, where it may be the second that is paid."""
    replays: int = 0
    """How often it was replayed. A delivery's count is believed if it is one more."""
    retag: str | None = None
    """The token of the last request to tag it again; tokens sort by the time of the request."""
    ended_at: str = ""
    """ISO 8601, UTC; when it got its status, unless that is OPEN."""
    reason: SkipReason | None = None
    """Why a SKIPPED one was skipped."""
    failed: FailedUpload | None = None
    """Only of FAILED, REPLAYED and DISCARDED."""

    @property
    def order(self) -> str:
        """As `Upload.order`."""
        return order_of(self.sequencer)

    def is_cut_off(self, now: float) -> bool:
        """Whether its last attempt was, by a crash or a timeout: its lease expired."""
        return self.status is Status.OPEN and 0 < self.lease_until <= now


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """The delivery, and the time, as a claim needs them."""

    now: float
    """Seconds since 1970."""
    lease_seconds: float
    sequencer: str | None = None
    replays: int = 0
    sent_at: str = ""
    """ISO 8601, UTC; when the message was sent. Empty where it is unknown."""
    retag: str | None = None
    """The token of a request to tag the upload again, even if it is tagged."""
    is_overtaken: bool = False
    """Whether the call would be `CallReason.OVERTAKEN`."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do for this delivery."""

    reason: SkipReason
    record: Record


@dataclass(frozen=True, slots=True)
class Busy:
    """Another worker holds the upload."""

    seconds: float
    """Until its lease expires."""


def claim(old: Record | None, request: ClaimRequest) -> Record | Done | Busy:
    """The record with a lease for one attempt, or the reason to begin no attempt."""
    lease_until = request.now + request.lease_seconds
    if old is None:
        return Record(
            sequencer=request.sequencer,
            lease_until=lease_until,
            replays=min(request.replays, 1),
            retag=request.retag,
        )
    if old.status is Status.OPEN and old.lease_until > request.now:
        return Busy(old.lease_until - request.now)
    reason = _reason_to_end(old, request)
    if reason is not None:
        return Done(reason, old)
    was_cut_off = old.is_cut_off(request.now)
    is_new_round = (
        old.status is not Status.OPEN
        or _is_replay(old, request)
        or _wants_retag(old, request)
    )
    return replace(
        old,
        status=_after("claim", old),
        sequencer=max(old.sequencer, request.sequencer, key=order_of),
        lease_until=lease_until,
        attempts=0 if is_new_round else old.attempts + was_cut_off,
        cut_off=old.cut_off + was_cut_off,
        next_call=_reason_of_next_call(old, request),
        replays=old.replays + _is_replay(old, request),
        retag=request.retag if _wants_retag(old, request) else old.retag,
        ended_at="",
        reason=None,
        failed=None,
    )


def _reason_to_end(old: Record, request: ClaimRequest) -> SkipReason | None:
    """Why nothing is left to do for a delivery; None if there is something to do."""
    if old.status is Status.REMOVED:
        return SkipReason.ALREADY_REMOVED
    if _wants_retag(old, request):
        return None
    if old.status is Status.TAGGED:
        return None if request.is_overtaken else SkipReason.ALREADY_TAGGED
    if old.status not in (Status.FAILED, Status.DISCARDED, Status.SKIPPED):
        return None
    is_newer = order_of(request.sequencer) > old.order
    is_copy = "" < request.sent_at < old.ended_at and not is_newer
    if is_copy and not _is_replay(old, request):
        return old.reason or SkipReason.ALREADY_FAILED
    return None


def _reason_of_next_call(old: Record, request: ClaimRequest) -> CallReason | None:
    """A re-tag goes first, then an answer that was replaced, then a cut-off."""
    is_tagged = old.status is Status.TAGGED
    if _wants_retag(old, request) and (old.calls or is_tagged):
        return CallReason.AGAIN
    if is_tagged:
        return CallReason.OVERTAKEN
    if old.is_cut_off(request.now):
        return CallReason.UNFINISHED
    return old.next_call


def _wants_retag(old: Record, request: ClaimRequest) -> bool:
    return (request.retag or "") > (old.retag or "")


def _is_replay(old: Record, request: ClaimRequest) -> bool:
    # A dead letter has the record's count, and its replay one more; any other number is made up
    return request.replays == old.replays + 1


def first_call(mine: Record) -> CallReason:
    """Why the first call of an attempt is made."""
    if mine.next_call is not None:
        return mine.next_call
    return CallReason.RETRY if mine.calls else CallReason.FIRST


def release(
    mine: Record,
    *,
    calls: Calls,
    is_attempt: bool,
    next_call: CallReason | None = None,
) -> Record:
    """
    Handed back, to be delivered again.

    *is_attempt*: it counts as one. *next_call*: why the API is called again, although it answered.
    """
    return replace(
        mine,
        status=_after("release", mine),
        lease_until=0.0,
        attempts=mine.attempts + is_attempt,
        calls=_sum(mine.calls, calls),
        next_call=next_call or (None if calls else mine.next_call),
    )


def finish(mine: Record, *, calls: Calls, at: str) -> Record:
    """Stored and announced, *at* (ISO 8601, UTC)."""
    released = release(mine, calls=calls, is_attempt=True)
    status = _after("finish", mine)
    return replace(released, status=status, ended_at=at, next_call=None)


def remove(mine: Record, *, at: str) -> Record:
    """The result of the key is gone, and that is announced, *at* (ISO 8601, UTC)."""
    released = release(mine, calls=NO_CALLS, is_attempt=True)
    return replace(released, status=_after("remove", mine), ended_at=at)


def skip(
    mine: Record | None,
    reason: SkipReason,
    *,
    at: str,
    calls: Calls = NO_CALLS,
    next_call: CallReason | None = None,
) -> Record:
    """Nothing to tag, or nothing to announce. None: it was not even claimed."""
    status = _after("skip", mine)
    released = release(
        mine or Record(), calls=calls, is_attempt=False, next_call=next_call
    )
    return replace(released, status=status, ended_at=at, reason=reason)


def fail(
    mine: Record,
    failed: FailedUpload,
    *,
    calls: Calls,
    at: str,
    next_call: CallReason | None = None,
) -> Record:
    """Dead-lettered; *next_call* as in `release`."""
    released = release(mine, calls=calls, is_attempt=True, next_call=next_call)
    return replace(released, status=_after("fail", mine), ended_at=at, failed=failed)


def reserve(old: Record, *, until: float) -> Record:
    """
    An operator is about to replay it; *until* (seconds since 1970) 0 ends that.

    It keeps other operators away. A claim ignores it, and the operator's next write is refused.
    """
    return replace(old, status=_after("reserve", old), lease_until=until)


def replay(old: Record) -> Record:
    """It was put on the upload queue again. `ended_at` stays that of the failure."""
    return replace(old, status=_after("replay", old), lease_until=0.0)


def discard(old: Record, *, at: str) -> Record:
    """Its dead letter is removed, *at* (ISO 8601, UTC). `ended_at` stays that of the failure."""
    failed = old.failed and replace(old.failed, discarded_at=at)
    return replace(old, status=_after("discard", old), lease_until=0.0, failed=failed)


def restore(old: Record, *, letter_id: str) -> Record:
    """It has a dead letter again."""
    failed = old.failed and replace(old.failed, letter_id=letter_id, discarded_at="")
    return replace(old, status=_after("restore", old), failed=failed)


def _after(event: str, old: Record | None) -> Status:
    status = None if old is None else old.status
    try:
        return TRANSITIONS[event][status]
    except KeyError:
        raise ValueError(f"no {event} of an upload that is {status}") from None


def _sum(first: Calls, second: Calls) -> Calls:
    reasons = {**first, **second}
    return {why: first.get(why, 0) + second.get(why, 0) for why in reasons}
