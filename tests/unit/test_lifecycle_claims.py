"""What a claim makes of a record: copies, replays, requests to tag again, and cut-offs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hangtag import lifecycle
from hangtag.claims import Claim, Claims
from hangtag.lifecycle import (
    Busy,
    CallReason,
    ClaimRequest,
    Done,
    FailedUpload,
    Record,
    Status,
)
from hangtag.uploads import SkipReason
from tests.builders import NOON, a_failure
from tests.fakes import FakeClock, FakeRecords

KEY = ("s3://bucket/key", "version:1")
EARLIER = "2026-01-01T00:00:00.000Z"
ENDED = "2026-01-01T00:00:05.000Z"
LATER = "2026-01-01T00:00:09.000Z"
FAILED = FailedUpload(a_failure(), "notification")

FAILED_RECORD = Record(
    Status.FAILED, sequencer="0A", attempts=3, ended_at=ENDED, failed=FAILED
)
SUPERSEDED_RECORD = Record(
    Status.SKIPPED, sequencer="0A", ended_at=ENDED, reason=SkipReason.SUPERSEDED
)
TAGGED_RECORD = Record(
    Status.TAGGED, sequencer="0A", calls={CallReason.FIRST: 1}, ended_at=ENDED
)


def a_request(
    sequencer: str | None = "0A",
    *,
    sent_at: str = "",
    replays: int = 0,
    retag: str | None = None,
    is_overtaken: bool = False,
) -> ClaimRequest:
    """A claim at second 100, with a lease of ten seconds."""
    return ClaimRequest(
        100.0,
        10.0,
        sequencer=sequencer,
        sent_at=sent_at,
        replays=replays,
        retag=retag,
        is_overtaken=is_overtaken,
    )


def claimed(old: Record | None, arrival: ClaimRequest) -> Record:
    """The record that a claim makes; fails where it makes none."""
    new = lifecycle.claim(old, arrival)
    assert isinstance(new, Record), new
    return new


# ---- copies


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        (FAILED_RECORD, SkipReason.ALREADY_FAILED),
        (replace(FAILED_RECORD, status=Status.DISCARDED), SkipReason.ALREADY_FAILED),
        (SUPERSEDED_RECORD, SkipReason.SUPERSEDED),
    ],
)
def test_a_message_sent_before_the_end_is_a_copy(
    old: Record, reason: SkipReason
) -> None:
    """S3 and SQS deliver more than once."""
    assert lifecycle.claim(old, a_request(sent_at=EARLIER)) == Done(reason, old)


@pytest.mark.parametrize("sent_at", [ENDED, LATER, ""])
@pytest.mark.parametrize("old", [FAILED_RECORD, SUPERSEDED_RECORD])
def test_a_message_not_sent_before_the_end_begins_a_new_round(
    old: Record, sent_at: str
) -> None:
    """The uploader or an operator wants another try; nothing is left of the old end."""
    new = claimed(old, a_request(sent_at=sent_at))

    assert (new.status, new.attempts, new.ended_at) == (Status.OPEN, 0, "")
    assert new.reason is None
    assert new.failed is None


@pytest.mark.parametrize("old", [FAILED_RECORD, SUPERSEDED_RECORD])
def test_a_newer_event_is_no_copy_even_if_it_was_sent_before_the_end(
    old: Record,
) -> None:
    """The version is newer than was known; the one that superseded it may be older now."""
    new = claimed(old, a_request("0B", sent_at=EARLIER))

    assert new.sequencer == "0B"


def test_an_older_event_leaves_the_sequencer_as_it_is() -> None:
    """A version keeps the highest place that its events had."""
    assert claimed(FAILED_RECORD, a_request("09")).sequencer == "0A"
    assert claimed(FAILED_RECORD, a_request(None)).sequencer == "0A"


# ---- replays


def test_a_replay_of_a_failure_is_no_copy() -> None:
    """Its message carries a higher count of replays than the record."""
    new = claimed(FAILED_RECORD, a_request(sent_at=EARLIER, replays=1))

    assert (new.attempts, new.replays) == (0, 1)


def test_a_late_copy_of_an_earlier_replay_leaves_the_count_as_it_is() -> None:
    """Otherwise the next copy would be taken for another replay."""
    old = Record(sequencer="0A", replays=2)

    assert claimed(old, a_request(replays=1)).replays == 2


# ---- requests to tag again


def test_a_later_token_opens_a_tagged_upload_once() -> None:
    """Copies of the message, and messages with an earlier token, find it done."""
    new = claimed(TAGGED_RECORD, a_request(retag="2 b"))
    tagged = lifecycle.finish(new, calls={CallReason.AGAIN: 1}, at=LATER)

    assert lifecycle.first_call(new) is CallReason.AGAIN
    for token in ("2 b", "1 a", None):
        again = lifecycle.claim(tagged, a_request(retag=token))
        assert again == Done(SkipReason.ALREADY_TAGGED, tagged)


def test_messages_with_two_tokens_share_the_attempts_of_the_later_one() -> None:
    """Otherwise each would begin a new round for the other, and neither would end."""
    old = Record(attempts=2, retag="2 b")

    earlier = claimed(old, a_request(retag="1 a"))
    later = claimed(old, a_request(retag="3 c"))

    assert (earlier.attempts, earlier.retag) == (2, "2 b")
    assert (later.attempts, later.retag) == (0, "3 c")


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        (Record(), CallReason.FIRST),
        (Record(calls={CallReason.FIRST: 1}), CallReason.AGAIN),
        (TAGGED_RECORD, CallReason.AGAIN),
        (replace(TAGGED_RECORD, calls={}), CallReason.AGAIN),
    ],
)
def test_a_call_counts_as_again_only_if_there_was_or_may_have_been_one(
    old: Record, reason: CallReason
) -> None:
    """An upload that was never called is called first, also on behalf of a token."""
    assert lifecycle.first_call(claimed(old, a_request(retag="1 a"))) is reason


# ---- reasons of calls


def test_an_end_forgets_why_the_next_call_would_be_made() -> None:
    """A later round has a reason of its own."""
    old = Record(next_call=CallReason.UNSTORED)

    assert lifecycle.finish(old, calls={}, at=NOON).next_call is None


def test_a_cut_off_attempt_counts_and_its_call_may_have_been_paid() -> None:
    """Its lease expired."""
    old = Record(attempts=1, lease_until=99.0, next_call=CallReason.UNSTORED)

    new = claimed(old, a_request())

    assert (new.attempts, new.cut_off) == (2, 1)
    assert lifecycle.first_call(new) is CallReason.UNFINISHED


@pytest.mark.parametrize(
    ("reason", "calls", "expected"),
    [
        (CallReason.OVERTAKEN, {CallReason.FIRST: 1}, CallReason.OVERTAKEN),
        (None, {CallReason.FIRST: 1}, None),
        (None, {}, CallReason.UNSTORED),
    ],
)
def test_a_release_keeps_the_reason_of_the_next_call_until_a_call_is_made(
    reason: CallReason | None,
    calls: dict[CallReason, int],
    expected: CallReason | None,
) -> None:
    """A call has used it up, unless the attempt has found another one."""
    mine = Record(next_call=CallReason.UNSTORED)

    released = lifecycle.release(mine, calls=calls, is_attempt=True, next_call=reason)

    assert released.next_call is expected


# ---- claims on the table


def test_a_record_that_is_gone_is_claimed_as_a_new_one() -> None:
    """The batch read it; an operator has deleted the item since."""
    records = FakeRecords()
    seen = Record(rev="1", attempts=2)

    claim = Claims(records, FakeClock()).claim(KEY, seen, a_request(), until=100.0)

    assert isinstance(claim, Claim)
    assert (claim.is_first, claim.record.attempts) == (True, 0)


def test_an_overtaken_upload_is_opened_once() -> None:
    """Who loses the race finds it busy or tagged: what was overtaken was an older record."""
    records = FakeRecords()
    claims = Claims(records, FakeClock())
    seen = replace(TAGGED_RECORD, rev="1")
    assert records.swap(KEY, None, seen) is None
    arrival = a_request("0B", is_overtaken=True)

    first = claims.claim(KEY, seen, arrival, until=100.0)
    assert isinstance(first, Claim)
    busy = claims.claim(KEY, seen, arrival, until=100.0)
    claims.write(
        first, lambda record: lifecycle.finish(record, calls={}, at=LATER), until=100.0
    )
    done = claims.claim(KEY, seen, arrival, until=100.0)

    assert isinstance(busy, Busy)
    assert isinstance(done, Done)
