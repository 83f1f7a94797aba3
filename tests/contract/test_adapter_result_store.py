"""`OldResultStore`: claims, attempts and results, in memory and in DynamoDB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import count, permutations
from typing import TYPE_CHECKING, Any, Protocol, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hangtag.adapters.dynamodb_results import DynamoDBResults, from_items
from hangtag.errors import ResultsUnavailable, ResultTooLarge
from hangtag.ports import (
    Busy,
    CallReason,
    Calls,
    Claim,
    ClaimLost,
    Done,
    OldResultStore,
)
from hangtag.results import Document
from hangtag.uploads import SkipReason, Upload, order_of
from tests.builders import (
    NOON,
    NOON_SECONDS,
    URI,
    a_failed_result,
    a_result,
    an_answer,
    an_upload,
    jacket,
)
from tests.contract.aws_parts import create_table, session
from tests.fakes import FakeClock, FakeResultStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE = 60.0
DONE = Done(SkipReason.ALREADY_TAGGED)
ONE_CALL = {CallReason.FIRST: 1}


class ReadableResults(OldResultStore, Protocol):
    """A store, and what operators read of it."""

    def newest(self, uri: str) -> Document | None:
        """The result of the newest version of a key that has ended, or None."""
        ...


@pytest.fixture
def clock() -> FakeClock:
    """Noon, until a test lets time pass."""
    return FakeClock()


@pytest.fixture
def client(aws: None) -> DynamoDBClient:  # noqa: ARG001 - the client is of it
    """DynamoDB in memory, with the template's table."""
    create_table()
    return session().client("dynamodb")


@pytest.fixture
def dynamodb(client: DynamoDBClient, clock: FakeClock) -> DynamoDBResults:
    """The adapter."""
    return DynamoDBResults(client, "ResultsTable", clock)


@pytest.fixture(params=["fake", "moto"])
def store(request: pytest.FixtureRequest, clock: FakeClock) -> ReadableResults:
    """The fake, then the adapter."""
    if request.param == "fake":
        return FakeResultStore(clock)
    adapter: DynamoDBResults = request.getfixturevalue("dynamodb")
    return adapter


def claimed(
    attempt: int,
    unannounced: Document | None,
    *,
    ran_out: bool = False,
    reason: CallReason | None = None,
    calls: Calls | None = None,
    failures: int = 0,
) -> Claim:
    """A claim of an upload whose event had a sequencer, whatever its token."""
    usual = CallReason.UNFINISHED if ran_out else CallReason.FIRST
    return Claim(
        attempt=attempt,
        unannounced=unannounced,
        sequencer=an_upload().sequencer,
        ran_out=ran_out,
        reason=reason or usual,
        calls=calls or {},
        cut_off=0,
        failures=failures,
        token="any",
    )


def claim(
    store: OldResultStore,
    upload: Upload | None = None,
    *,
    replays: int = 0,
    sent_at: float | None = None,
    again: str | None = None,
) -> Claim | Done | Busy:
    """What the pipeline does first; to be compared, so its token is hidden."""
    found = store.claim(
        upload or an_upload(),
        replays=replays,
        sent_at=sent_at,
        lease_seconds=LEASE,
        again=again,
    )
    return replace(found, token="any", cut_off=0) if isinstance(found, Claim) else found


def held(
    store: OldResultStore,
    upload: Upload | None = None,
    *,
    replays: int = 0,
    again: str | None = None,
) -> Claim:
    """A claim, to work with."""
    found = store.claim(
        upload or an_upload(),
        replays=replays,
        sent_at=None,
        lease_seconds=LEASE,
        again=again,
    )
    assert isinstance(found, Claim)
    return found


def release(
    store: OldResultStore,
    claim: Claim,
    calls: Calls | None = None,
    *,
    unstored: bool = False,
) -> None:
    """An attempt that failed for now."""
    store.release(an_upload(), claim, calls=calls or {}, unstored=unstored)


def tag(store: OldResultStore, upload: Upload, result: Document | None = None) -> None:
    """An upload from its claim to its end as TAGGED."""
    mine = held(store, upload)
    store.store_tagged(upload, mine, result or a_result(upload), calls=ONE_CALL)
    store.finish(upload, mine, announced=True)


def fail(store: OldResultStore, upload: Upload, code: str = "807") -> None:
    """An upload from its claim to its end as FAILED."""
    mine = held(store, upload)
    store.store_failed(
        upload, mine, a_failed_result(upload, code), calls={}, unstored=False
    )


def skip(store: OldResultStore, upload: Upload, reason: SkipReason) -> None:
    """An upload from its claim to its end as skipped."""
    store.skip(upload, reason, claim=held(store, upload), at=NOON)


def version(number: int, *, sequencer: str | None = "unset") -> Upload:
    """One of the versions of a key; the sequencers rise with the numbers."""
    return an_upload(
        version_id=f"version-{number}",
        sequencer=f"{number:018X}" if sequencer == "unset" else sequencer,
    )


# ---- claims


def test_the_first_claim_begins_the_first_attempt(store: ReadableResults) -> None:
    """Nothing is known of the upload yet."""
    assert claim(store) == claimed(1, None)


def test_of_two_claimers_one_wins(store: ReadableResults, clock: FakeClock) -> None:
    """The other is told how long the lease still runs."""
    claim(store)
    clock.advance(20)

    assert claim(store) == Busy(40.0)


def test_a_claim_holds_until_its_lease_has_run_out(
    store: ReadableResults, clock: FakeClock
) -> None:
    """To the last moment, and no longer; the next attempt counts on."""
    claim(store)

    clock.advance(LEASE)
    at_the_end = claim(store)
    clock.advance(0.001)
    after_the_end = claim(store)

    assert (at_the_end, after_the_end) == (Busy(0.0), claimed(2, None, ran_out=True))


def test_a_new_claim_has_a_lease_of_its_own(
    store: ReadableResults, clock: FakeClock
) -> None:
    """It begins when the claim does."""
    claim(store)
    clock.advance(LEASE + 1)
    claim(store)
    clock.advance(10)

    assert claim(store) == Busy(50.0)


def test_attempts_count_up_from_release_to_release(store: ReadableResults) -> None:
    """That is what decides when to bury."""
    attempts = []
    for _ in range(4):
        mine = held(store)
        attempts.append(mine.attempt)
        release(store, mine)

    assert attempts == [1, 2, 3, 4]


def test_a_replay_of_what_failed_begins_anew(store: ReadableResults) -> None:
    """It has all its attempts again."""
    release(store, held(store))
    fail(store, an_upload())

    replayed = held(store, replays=1)
    release(store, replayed)
    retried = held(store, replays=1)

    assert (replayed.attempt, retried.attempt) == (1, 2)


def test_what_failed_begins_anew_without_a_count_of_replays_too(
    store: ReadableResults,
) -> None:
    """AWS's own redrive counts nothing."""
    fail(store, an_upload())

    assert claim(store) == claimed(1, None)


def test_a_replay_of_what_waits_for_a_retry_begins_anew(
    store: ReadableResults,
) -> None:
    """An operator's word is newer; the old delivery that still comes counts on from there."""
    release(store, held(store))

    replayed = held(store, replays=1)
    release(store, replayed)
    old = held(store, replays=0)

    assert (replayed.attempt, old.attempt) == (1, 2)


def test_an_event_without_a_sequencer_has_that_of_an_earlier_one(
    store: ReadableResults,
) -> None:
    """Else it would count as older than what the same version is already."""
    first = version(2)
    fail(store, first)

    again = held(store, version(2, sequencer=None))

    assert again.sequencer == first.sequencer
    tag_again = first.ordered_as(again.sequencer)
    store.store_tagged(tag_again, again, a_result(tag_again), calls=ONE_CALL)
    assert not store.is_superseded(tag_again)


def test_what_was_withdrawn_is_no_attempt(store: ReadableResults) -> None:
    """Begun, but nothing was asked."""
    store.withdraw(an_upload(), held(store), calls={})

    assert claim(store) == claimed(1, None)


def test_what_was_cut_off_still_is_when_its_next_claim_is_withdrawn(
    store: ReadableResults, clock: FakeClock
) -> None:
    """Nobody has found out yet what cut it off; it can be claimed at once."""
    claim(store)
    clock.advance(LEASE + 1)
    first = held(store)
    store.withdraw(an_upload(), first, calls={})

    second = held(store)

    assert first.ran_out
    assert replace(second, token=first.token) == first


def test_what_was_cut_off_and_then_asked_about_is_not_any_more(
    store: ReadableResults, clock: FakeClock
) -> None:
    """It was worked on to an end, though that was no attempt (a breaker, a deadline)."""
    claim(store)
    clock.advance(LEASE + 1)
    store.withdraw(an_upload(), held(store), calls={CallReason.UNFINISHED: 1})

    again = held(store)

    assert (again.ran_out, again.attempt, again.cut_off) == (False, 2, 1)


def test_a_replay_does_not_take_a_claim_away(store: ReadableResults) -> None:
    """Somebody is at it already."""
    claim(store)

    assert claim(store, replays=1) == Busy(LEASE)


def test_a_replay_of_what_a_crash_left_begins_anew(
    store: ReadableResults, clock: FakeClock
) -> None:
    """Its lease has run out."""
    claim(store)
    clock.advance(LEASE + 1)

    assert claim(store, replays=1) == claimed(1, None, reason=CallReason.UNFINISHED)


@pytest.mark.parametrize("replays", [0, 1])
def test_what_is_done_stays_done(
    store: ReadableResults, clock: FakeClock, replays: int
) -> None:
    """Whoever repeats it or replays it, whenever: it is paid once."""
    tag(store, an_upload())
    clock.advance(1_000_000)

    assert claim(store, replays=replays) == DONE


def test_what_ends_without_a_result_is_done_too(store: ReadableResults) -> None:
    """Superseded, or gone."""
    store.finish(an_upload(), held(store), announced=True)

    assert claim(store, replays=1) == DONE
    assert store.newest(URI) is None


def test_a_result_that_is_not_announced_comes_with_the_next_claim(
    store: ReadableResults,
) -> None:
    """So that the API is not asked again."""
    upload = an_upload()
    result = a_result(upload)
    mine = held(store)
    store.store_tagged(upload, mine, result, calls={})
    release(store, mine)

    assert claim(store) == claimed(2, result, failures=1)


def test_a_result_whose_worker_crashed_before_announcing_comes_too(
    store: ReadableResults, clock: FakeClock
) -> None:
    """Nobody released it."""
    upload = an_upload()
    result = a_result(upload)
    store.store_tagged(upload, held(store), result, calls={})
    clock.advance(LEASE + 1)

    assert claim(store) == claimed(2, result, ran_out=True)


def test_a_result_that_could_not_be_announced_survives_the_burial(
    store: ReadableResults,
) -> None:
    """It shows as FAILED until a replay announces it, without asking the API again."""
    upload = an_upload()
    result = a_result(upload)
    mine = held(store)
    store.store_tagged(upload, mine, result, calls=ONE_CALL)
    failed = a_failed_result(upload, "ANNOUNCEMENT_FAILED")
    store.store_failed(upload, mine, failed, calls={}, unstored=False)

    shown = store.newest(URI)
    replayed = held(store, replays=1)
    store.store_tagged(upload, replayed, result, calls={})

    assert shown == failed
    assert (replayed.attempt, replayed.unannounced) == (1, result)
    assert store.newest(URI) == result


def test_versions_are_claimed_apart(store: ReadableResults) -> None:
    """Also a version id that spells like an etag."""
    by_version = an_upload(version_id="0123456789abcdef")
    by_etag = an_upload(version_id=None, etag="0123456789abcdef")
    elsewhere = an_upload("another key", version_id="0123456789abcdef")

    claims = [claim(store, upload) for upload in (by_version, by_etag, elsewhere)]

    assert claims == [claimed(1, None)] * 3


@pytest.mark.parametrize(
    ("key", "version_id"),
    [
        ("드레스/봄 +100% #1?.jpg", "version-1"),
        ("k" * 1_024, "v" * 1_000),
        ("가" * 341, "가" * 341),
    ],
    ids=["hostile", "longest", "longest in Korean"],
)
def test_any_key_and_version_is_kept(
    store: ReadableResults, key: str, version_id: str
) -> None:
    """S3's longest keys fit, and versions longer than any of S3's."""
    upload = an_upload(key, version_id=version_id)
    result = a_result(upload)

    tag(store, upload, result)

    assert store.newest(upload.uri) == result
    assert claim(store, upload) == DONE


# ---- results


def test_there_is_no_result_before_there_is_one(store: ReadableResults) -> None:
    """A claim is none."""
    nothing = store.newest(URI)
    claim(store)

    assert (nothing, store.newest(URI)) == (None, None)


def test_a_result_is_kept_as_it_is(store: ReadableResults) -> None:
    """Empty texts and lists, nothing, unknown fields, digits."""
    garment = {
        **jacket(),
        "brandNew": {"text": "", "list": [], "map": {}, "null": None, "true": True},
        "digits": Decimal("0.12345678901234567890123456789012345678"),
        "count": 12_345_678_901_234_567_890_123_456_789_012_345_678,
    }
    result = a_result(answer=an_answer(garment))

    tag(store, an_upload(), result)

    assert store.newest(URI) == result


def test_a_failure_is_kept_as_it_is(store: ReadableResults) -> None:
    """It is what `hangtag results show` prints."""
    fail(store, an_upload())

    assert store.newest(URI) == a_failed_result()


def test_a_replay_that_is_tagged_leaves_no_failure(store: ReadableResults) -> None:
    """The last word counts."""
    upload = an_upload()
    fail(store, upload)
    mine = held(store, replays=1)
    store.store_tagged(upload, mine, a_result(upload), calls=ONE_CALL)
    store.finish(upload, mine, announced=True)

    assert store.newest(URI) == a_result(upload)


def test_a_replay_that_fails_again_shows_the_new_failure(
    store: ReadableResults,
) -> None:
    """Not the one that was there before."""
    fail(store, an_upload(), "807")
    fail(store, an_upload(), "805")

    assert store.newest(URI) == a_failed_result(code="805")


def test_while_a_replay_runs_the_old_failure_is_shown(store: ReadableResults) -> None:
    """Until there is something newer to tell."""
    fail(store, an_upload())
    claim(store, replays=1)

    assert store.newest(URI) == a_failed_result()


def test_a_result_that_does_not_fit_is_refused(store: ReadableResults) -> None:
    """With an error of its own: no retry makes it smaller. Its failure fits."""
    upload = an_upload()
    result = {**a_result(upload), "more": "x" * 500_000}
    mine = held(store)

    with pytest.raises(ResultTooLarge):
        store.store_tagged(upload, mine, result, calls=ONE_CALL)

    failed = a_failed_result(upload, "RESULT_TOO_LARGE")
    store.store_failed(upload, mine, failed, calls=ONE_CALL, unstored=False)
    assert store.newest(URI) == a_failed_result(code="RESULT_TOO_LARGE")


def refuse_once(client: DynamoDBClient, code: str) -> None:
    """The next UpdateItem is refused with this code; those behind it are not."""
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    refusals = [ClientError(answer, "UpdateItem")]

    def refuse(**_: Any) -> None:  # noqa: ANN401 - botocore's
        if refusals:
            raise refusals.pop()

    client.meta.events.register("before-call.dynamodb.UpdateItem", refuse)


def test_a_result_too_large_to_be_announced_makes_room_for_its_failure(
    store: ReadableResults, request: pytest.FixtureRequest
) -> None:
    """Else it would be buried with every delivery, and never be known as FAILED."""
    upload = version(1)
    wordy = replace(upload, record={**upload.record, "more": "x" * 200_000})
    first = held(store, wordy)
    large = {**a_result(upload), "more": "x" * 390_000}
    store.store_tagged(wordy, first, large, calls=ONE_CALL)
    store.release(wordy, first, calls=ONE_CALL, unstored=False)
    failed = a_failed_result(upload, "RESULT_TOO_LARGE")

    second = held(store, wordy)
    if isinstance(store, DynamoDBResults):  # moto lets an item grow without end
        client: DynamoDBClient = request.getfixturevalue("client")
        refuse_once(client, "ValidationException")
    store.store_failed(wordy, second, failed, calls={}, unstored=False)

    assert store.newest(URI) == failed
    third = held(store, wordy, replays=1)
    assert (third.unannounced, third.reason) == (None, CallReason.UNSTORED)


def test_a_large_result_fits(store: ReadableResults) -> None:
    """Far larger than any answer is."""
    result = {**a_result(), "more": "x" * 300_000}

    tag(store, an_upload(), result)

    assert store.newest(URI) == result


# ---- newest wins


@pytest.mark.parametrize("arrival", list(permutations((1, 2, 3))))
def test_the_newest_wins_whatever_the_order_of_arrival(
    store: ReadableResults, arrival: tuple[int, ...]
) -> None:
    """An older event that arrives late, or is answered late, does not matter."""
    for number in arrival:
        tag(store, version(number))

    assert store.newest(URI) == a_result(version(3))


def test_the_newest_wins_though_it_failed(store: ReadableResults) -> None:
    """An old picture's tags would be wrong for the new one."""
    fail(store, version(2))
    tag(store, version(1))

    assert store.newest(URI) == a_failed_result(version(2))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (None, "0"),
        (None, "0065A3F1C2D4E5B607"),
        ("9", "10"),
        ("FF", "100"),
        ("0065a3f1c2d4e5b607", "0065A3F1C2D4E5B608"),
        ("0065A3F1C2D4E5B6FF", "65a3f1c2d4e5b700"),
    ],
)
def test_sequencers_are_compared_as_numbers(
    store: ReadableResults, older: str | None, newer: str
) -> None:
    """Hexadecimal ones of any length and case; an event without one is older than all."""
    old = version(1, sequencer=older)
    new = version(2, sequencer=newer)
    tag(store, new)
    tag(store, old)

    assert store.newest(URI) == a_result(new)
    assert (store.is_superseded(old), store.is_superseded(new)) == (True, False)


@pytest.mark.parametrize("end", [tag, fail])
def test_an_upload_is_superseded_by_a_newer_one_that_ended(
    store: ReadableResults, end: Callable[[OldResultStore, Upload], None]
) -> None:
    """However it ended; not by an older one, by itself or by one that is worked on."""
    claim(store, version(3))
    end(store, version(2))
    end(store, version(1))

    superseded = [store.is_superseded(version(number)) for number in (1, 2, 3)]

    assert superseded == [True, False, False]


def test_what_is_done_moves_up_with_a_newer_event(store: ReadableResults) -> None:
    """An object may become what it was before, or have been tagged before S3 told of it."""
    tag(store, version(1, sequencer=None))
    tag(store, version(2, sequencer="0B"))
    again = version(1, sequencer="0C")

    mine = held(store, again)

    assert mine.unannounced == a_result(version(1, sequencer=None))
    assert (mine.sequencer, mine.announced_as) == ("0C", "-")
    store.store_tagged(again, mine, a_result(again), calls={})
    store.finish(again, mine, announced=True)
    assert store.newest(URI) == a_result(again)
    assert claim(store, again) == DONE
    assert claim(store, version(1, sequencer="0A")) == DONE


def test_what_moved_up_is_told_whether_it_has_passed_another(
    store: ReadableResults,
) -> None:
    """Only then do subscribers have to hear of it again."""
    for number, sequencer in ((1, "0A"), (2, "0B"), (3, "0D")):
        tag(store, version(number, sequencer=sequencer))
    tag(store, an_upload("another.jpg", sequencer="0C"))

    passed = [
        store.has_passed_another(version(number, sequencer=sequencer), since=since)
        for number, sequencer, since in (
            (1, "0A", order_of(None)),
            (2, "0B", order_of("0A")),
            (3, "0D", order_of("0C")),
            (3, "0D", order_of(None)),
        )
    ]

    assert passed == [False, True, False, True]


def test_what_failed_begins_anew_with_a_newer_event(store: ReadableResults) -> None:
    """It is another upload of the same content; the place of its failure is an old one."""
    fail(store, version(1, sequencer="0A"))

    later = claim(store, version(1, sequencer="0B"), sent_at=NOON_SECONDS - 1)

    assert isinstance(later, Claim)
    assert later.attempt == 1


def test_an_older_event_does_not_move_its_upload_down(store: ReadableResults) -> None:
    """It waits for a retry with the newer one, and comes first."""
    newer, older = version(1, sequencer="0B"), version(1, sequencer="0A")
    fail(store, newer)

    mine = held(store, older, replays=1)

    assert mine.sequencer == "0B"


def test_keys_do_not_supersede_one_another(store: ReadableResults) -> None:
    """Nor does a key that begins with another's name."""
    tag(store, an_upload("a", sequencer="1"))
    tag(store, an_upload("ab", sequencer="2"))

    assert store.is_superseded(an_upload("a", sequencer="1")) is False
    assert store.newest(an_upload("a").uri) == a_result(an_upload("a", sequencer="1"))


# ---- who holds the claim


def test_a_worker_that_was_overtaken_changes_nothing(
    store: ReadableResults, clock: FakeClock
) -> None:
    """Its lease ran out while it waited for an answer; another has finished meanwhile."""
    upload = an_upload()
    slow = held(store)
    clock.advance(LEASE + 1)
    fast = held(store)
    store.store_tagged(upload, fast, a_result(upload), calls=ONE_CALL)
    store.finish(upload, fast, announced=True)

    late_writes: tuple[Callable[[], None], ...] = (
        lambda: store.store_tagged(upload, slow, {**a_result(), "late": 1}, calls={}),
        lambda: store.store_failed(
            upload, slow, a_failed_result(upload), calls={}, unstored=False
        ),
        lambda: store.finish(upload, slow, announced=True),
        lambda: store.release(upload, slow, calls={}, unstored=True),
        lambda: store.withdraw(upload, slow, calls={}),
        lambda: store.skip(upload, SkipReason.SUPERSEDED, claim=slow, at=NOON),
    )
    for late_write in late_writes:
        with pytest.raises(ClaimLost):
            late_write()

    assert (claim(store), store.newest(URI)) == (DONE, a_result(upload))


def test_the_end_of_an_attempt_may_be_written_twice(store: ReadableResults) -> None:
    """The answer to the first time may have been lost on the way."""
    upload = an_upload()
    mine = held(store)
    for _ in range(2):
        store.store_tagged(upload, mine, a_result(upload), calls=ONE_CALL)
    for _ in range(2):
        store.finish(upload, mine, announced=True)

    assert claim(store) == DONE


def test_every_end_of_an_attempt_may_be_written_twice(store: ReadableResults) -> None:
    """Its own change is not in its way; what another end has changed is."""
    for number, end in enumerate(("release", "withdraw", "fail", "skip"), 1):
        upload = version(number)
        mine = held(store, upload)
        for _ in range(2):
            bring_to(store, upload, mine, end)
        with pytest.raises(ClaimLost):
            store.finish(upload, mine, announced=True)


def test_what_is_done_never_becomes_a_failure(store: ReadableResults) -> None:
    """Should its worker not know that it is done: the answer was lost on the way."""
    upload = an_upload()
    mine = held(store)
    store.store_tagged(upload, mine, a_result(upload), calls=ONE_CALL)
    store.finish(upload, mine, announced=True)

    failed = a_failed_result(upload)
    with pytest.raises(ClaimLost):
        store.store_failed(upload, mine, failed, calls={}, unstored=False)
    with pytest.raises(ClaimLost):
        store.withdraw(upload, mine, calls={})

    assert store.newest(URI) == a_result(upload)
    assert claim(store) == DONE


# ---- attempts nobody knows of


def test_a_claim_whose_worker_begins_is_told_from_one_that_nobody_knows_of(
    store: ReadableResults, clock: FakeClock
) -> None:
    """Both run out; only the first was an attempt."""
    known, unknown = version(1), version(2)
    mine = held(store, known)
    store.confirm(known, mine)
    held(store, unknown)
    clock.advance(LEASE + 1)

    after_known, after_unknown = held(store, known), held(store, unknown)

    assert (after_known.ran_out, after_known.was_confirmed) == (True, True)
    assert (after_unknown.ran_out, after_unknown.was_confirmed) == (True, False)
    clock.advance(LEASE + 1)
    assert held(store, known).was_confirmed  # it never came to an end


@pytest.mark.parametrize("end", ["release", "skip", "fail"])
def test_an_attempt_that_came_to_an_end_leaves_no_trace_of_its_beginning(
    store: ReadableResults, clock: FakeClock, end: str
) -> None:
    """Whatever is cut off after it: that one has not told that it begins."""
    upload = version(1)
    mine = held(store, upload)
    store.confirm(upload, mine)
    if end == "release":
        store.release(upload, mine, calls={}, unstored=False)
    elif end == "skip":
        store.skip(upload, SkipReason.OBJECT_GONE, claim=mine, at=NOON)
    else:
        store.store_failed(
            upload, mine, a_failed_result(upload, "807"), calls={}, unstored=False
        )
    held(store, upload)
    clock.advance(LEASE + 1)

    again = held(store, upload)

    assert (again.ran_out, again.was_confirmed) == (True, False)


def test_only_attempts_that_came_to_an_end_are_failures(
    store: ReadableResults, clock: FakeClock
) -> None:
    """One that was cut off, or that nobody was told of, is none; a replay begins anew."""
    upload = version(1)
    held(store, upload)
    clock.advance(LEASE + 1)
    store.release(upload, held(store, upload), calls={}, unstored=False)
    store.withdraw(upload, held(store, upload), calls={})
    store.release(upload, held(store, upload), calls={}, unstored=False)

    third = held(store, upload)
    clock.advance(LEASE + 1)

    assert (third.attempt, third.failures) == (4, 2)
    assert held(store, upload, replays=1).failures == 0


def test_a_claim_that_is_withdrawn_was_no_attempt_that_began(
    store: ReadableResults, clock: FakeClock
) -> None:
    """There was no time for it, or no turn: nobody is abandoned for that."""
    upload = version(1)
    held(store, upload)
    clock.advance(LEASE + 1)
    mine = held(store, upload)
    store.confirm(upload, mine)
    store.withdraw(upload, mine, calls={})

    again = held(store, upload)

    assert (again.ran_out, again.was_confirmed) == (True, False)


def test_a_claim_that_is_given_back_as_it_was_found_tells_what_it_found(
    store: ReadableResults, clock: FakeClock
) -> None:
    """A last attempt was cut off, and could not be buried: it is not to be begun again."""
    upload = version(1)
    store.confirm(upload, held(store, upload))
    clock.advance(LEASE + 1)
    store.withdraw(upload, held(store, upload), calls={})

    again = held(store, upload)

    assert (again.ran_out, again.was_confirmed) == (True, True)


def test_a_claim_that_was_given_back_as_it_was_found_is_held_by_nobody(
    store: ReadableResults, clock: FakeClock
) -> None:
    """A note that it begins may arrive after it was given back."""
    upload = version(1)
    held(store, upload)
    clock.advance(LEASE + 1)
    mine = held(store, upload)
    store.withdraw(upload, mine, calls={})
    store.withdraw(upload, mine, calls={})  # its answer was lost, and it is made again

    with pytest.raises(ClaimLost):
        store.confirm(upload, mine)

    assert not held(store, upload).was_confirmed


@pytest.mark.parametrize("end", ["release", "withdraw", "take back"])
def test_a_claim_that_arrives_once_more_after_it_was_given_back_is_refused(
    client: DynamoDBClient, dynamodb: DynamoDBResults, end: str
) -> None:
    """boto3 gave it up and made it again: nobody works on what it claims so late."""
    held_up = requests_from_now_on(client)
    upload = an_upload()
    if end == "take back":
        lose_answer(client, 1)
        with pytest.raises(ResultsUnavailable):
            claim(dynamodb)
    elif end == "release":
        release(dynamodb, held(dynamodb))
    else:
        dynamodb.withdraw(upload, held(dynamodb), calls={})
    before = item_of(client, upload)

    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.update_item(**cast("Any", held_up[0]))

    assert item_of(client, upload) == before


# ---- what subscribers know of


def test_a_result_that_nobody_heard_of_comes_again_with_the_next_event(
    store: ReadableResults,
) -> None:
    """It was overtaken by one that has gone since."""
    upload = an_upload()
    result = a_result(upload)
    mine = held(store)
    store.store_tagged(upload, mine, result, calls=ONE_CALL)
    store.finish(upload, mine, announced=False)

    again = held(store)
    store.store_tagged(upload, again, result, calls={})
    store.finish(upload, again, announced=True)

    assert (again.unannounced, again.announced_as) == (result, None)
    assert claim(store) == DONE


def test_a_new_answer_is_one_that_nobody_heard_of(store: ReadableResults) -> None:
    """The announcement before was another answer's."""
    upload = an_upload()
    tag(store, upload)
    mine = held(store, again="order-1")
    store.store_tagged(upload, mine, a_result(), calls={CallReason.AGAIN: 1})
    release(store, mine)

    again = held(store)

    assert (mine.announced_as, again.announced_as) == (None, None)


def test_a_result_that_moves_up_keeps_its_place_until_it_is_announced_anew(
    store: ReadableResults,
) -> None:
    """However often that has to be tried."""
    tag(store, version(1))
    newer = replace(version(1), sequencer="0B")
    mine = held(store, newer)
    store.store_tagged(newer, mine, a_result(newer), calls={})
    store.withdraw(newer, mine, calls={})

    again = held(store, newer)
    store.finish(newer, again, announced=True)

    assert again.announced_as == version(1).order
    assert claim(store, newer) == DONE


def requests_from_now_on(client: DynamoDBClient) -> list[dict[str, Any]]:
    """The parameters of every UpdateItem, as it is made."""
    made: list[dict[str, Any]] = []
    client.meta.events.register(
        "provide-client-params.dynamodb.UpdateItem",
        lambda params, **_: made.append(dict(params)),
    )
    return made


def lose_answer(client: DynamoDBClient, number: int) -> None:
    """The so manieth UpdateItem happens, and nobody hears of it."""
    answers = count(1)

    def lose(**_: Any) -> None:  # noqa: ANN401 - botocore's
        if next(answers) == number:
            raise ReadTimeoutError(endpoint_url="dynamodb")

    client.meta.events.register("after-call.dynamodb.UpdateItem", lose)


def test_a_claim_whose_answer_is_lost_is_taken_back(
    client: DynamoDBClient, dynamodb: DynamoDBResults
) -> None:
    """Its worker does not know of it: an attempt that nobody makes must not count."""
    lose_answer(client, 1)

    with pytest.raises(ResultsUnavailable):
        claim(dynamodb)

    assert claim(dynamodb) == claimed(1, None)


def test_a_claim_that_is_made_twice_tells_that_the_one_before_was_cut_off(
    client: DynamoDBClient, dynamodb: DynamoDBResults, clock: FakeClock
) -> None:
    """boto3 makes it again, and finds its own: what may be paid a second time has its excuse."""
    held(dynamodb)
    clock.advance(LEASE + 1)
    made: list[dict[str, Any]] = []

    def twice(params: dict[str, Any], **_: Any) -> None:  # noqa: ANN401 - botocore's
        if not made:
            made.append(dict(params))
            client.update_item(**cast("Any", params))

    client.meta.events.register("provide-client-params.dynamodb.UpdateItem", twice)

    mine = held(dynamodb)

    assert (mine.attempt, mine.cut_off) == (2, 1)
    assert mine.reason is CallReason.UNFINISHED


def test_a_claim_that_is_refused_at_its_second_try_is_taken_back(
    client: DynamoDBClient, dynamodb: DynamoDBResults
) -> None:
    """The first may have been made, and its answer lost."""

    def retried(parsed: dict[str, Any], **_: Any) -> None:  # noqa: ANN401 - botocore's
        if not parsed.get("Error"):
            parsed["Error"] = {"Code": "ThrottlingException", "Message": "later"}
            parsed["ResponseMetadata"] |= {"HTTPStatusCode": 400, "RetryAttempts": 1}

    def lose(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:  # noqa: ANN401
        retried(parsed)
        http_response.status_code = 400
        client.meta.events.unregister("after-call.dynamodb.UpdateItem", lose)

    client.meta.events.register("after-call.dynamodb.UpdateItem", lose)

    with pytest.raises(ResultsUnavailable):
        claim(dynamodb)

    assert claim(dynamodb) == claimed(1, None)


def test_a_claim_that_is_refused_leaves_nothing_to_take_back(
    client: DynamoDBClient, dynamodb: DynamoDBResults
) -> None:
    """A throttled table is not asked once more."""
    asked: list[str] = []
    client.meta.events.register(
        "before-call.dynamodb.UpdateItem", lambda **_: asked.append("UpdateItem")
    )
    refuse_once(client, "ProvisionedThroughputExceededException")

    with pytest.raises(ResultsUnavailable):
        claim(dynamodb)

    assert asked == ["UpdateItem"]


def test_a_claim_anew_whose_answer_is_lost_is_taken_back(
    client: DynamoDBClient, dynamodb: DynamoDBResults
) -> None:
    """A replay has all its attempts."""
    fail(dynamodb, an_upload())
    lose_answer(client, 2)

    with pytest.raises(ResultsUnavailable):
        claim(dynamodb, replays=1)

    assert claim(dynamodb, replays=1) == claimed(1, None)


# ---- copies of what has failed


def test_a_copy_that_was_sent_before_the_failure_is_done(
    store: ReadableResults,
) -> None:
    """S3 repeats itself, and a crash brings back what was buried: one letter is enough."""
    fail(store, an_upload())

    again = claim(store, sent_at=NOON_SECONDS - 0.001)

    assert again == Done(SkipReason.ALREADY_FAILED)


def test_what_was_sent_after_the_failure_is_a_replay(store: ReadableResults) -> None:
    """Somebody put the letter's body back on the queue by hand."""
    fail(store, an_upload())

    assert claim(store, sent_at=NOON_SECONDS) == claimed(1, None)


def test_a_counted_replay_begins_whenever_it_was_sent(store: ReadableResults) -> None:
    """Clocks differ; the count does not."""
    fail(store, an_upload())

    assert claim(store, replays=1, sent_at=NOON_SECONDS - 60) == claimed(1, None)


# ---- calls and their reasons


def test_every_call_is_counted_by_its_reason(store: ReadableResults) -> None:
    """Over all attempts, those of replays too."""
    release(store, held(store), {CallReason.FIRST: 1, CallReason.FRESH_KEY: 1})
    release(store, held(store), {CallReason.RETRY: 1})
    fail(store, an_upload())

    replayed = held(store, replays=1)

    assert replayed.calls == {
        CallReason.FIRST: 1,
        CallReason.FRESH_KEY: 1,
        CallReason.RETRY: 1,
    }


@pytest.mark.parametrize(
    ("calls", "unstored", "reason"),
    [
        ({}, False, CallReason.FIRST),
        ({CallReason.FIRST: 1}, False, CallReason.RETRY),
        ({CallReason.FIRST: 1}, True, CallReason.UNSTORED),
    ],
    ids=["nothing was asked", "the call failed", "the answer was lost"],
)
def test_an_attempt_tells_the_next_why_it_calls(
    store: ReadableResults,
    calls: Calls,
    unstored: bool,  # noqa: FBT001 - a case of the parameters
    reason: CallReason,
) -> None:
    """A second bill has its excuse."""
    release(store, held(store), calls, unstored=unstored)

    assert held(store).reason == reason


def test_an_excuse_holds_until_the_call_is_made(
    store: ReadableResults, clock: FakeClock
) -> None:
    """Not lost with an attempt that was handed back, nor with one that asked nothing."""
    held(store)
    clock.advance(LEASE + 1)
    store.withdraw(an_upload(), held(store), calls={})
    release(store, held(store))

    excused = held(store)
    release(store, excused, {CallReason.UNFINISHED: 1})
    after = held(store)

    assert excused.reason == CallReason.UNFINISHED
    assert after.reason == CallReason.RETRY


def test_attempts_that_were_cut_off_are_counted(
    store: ReadableResults, clock: FakeClock
) -> None:
    """Nobody can tell whether they called; each excuses one bill. Others leave no trace."""
    release(store, held(store), ONE_CALL)
    for _ in range(2):
        held(store)
        clock.advance(LEASE + 1)
    store.withdraw(an_upload(), held(store), calls={})
    skip(store, an_upload(), SkipReason.SUPERSEDED)
    fail(store, an_upload())

    assert held(store, replays=1).cut_off == 2


# ---- again


def test_an_order_to_tag_again_begins_what_is_done_once(
    store: ReadableResults,
) -> None:
    """SQS repeats messages, operators resume: each order is one more call, and no more."""
    tag(store, an_upload())
    newer = a_result(tagged_at="2026-11-23T12:00:00.000Z")

    mine = held(store, again="order-1")
    meanwhile = store.newest(URI)
    store.store_tagged(an_upload(), mine, newer, calls={CallReason.AGAIN: 1})
    store.finish(an_upload(), mine, announced=True)

    assert (mine.attempt, mine.reason, mine.unannounced) == (1, CallReason.AGAIN, None)
    assert (mine.renews, meanwhile) == (True, a_result())
    assert store.newest(URI) == newer
    assert claim(store, again="order-1") == claim(store) == DONE
    another = held(store, again="order-2")
    assert another.calls == {CallReason.FIRST: 1, CallReason.AGAIN: 1}


def test_an_order_to_tag_again_that_finds_nothing_is_the_first(
    store: ReadableResults,
) -> None:
    """Nothing was paid for yet; repeated, it finds the upload done."""
    mine = held(store, again="order-1")
    store.store_tagged(an_upload(), mine, a_result(), calls=ONE_CALL)
    store.finish(an_upload(), mine, announced=True)

    assert (mine.reason, mine.renews) == (CallReason.FIRST, False)
    assert claim(store, again="order-1") == DONE


def test_while_the_new_answer_is_awaited_the_old_one_is_not_announced(
    store: ReadableResults, clock: FakeClock
) -> None:
    """Whoever comes next, with the order or without, after a failure or a crash, asks."""
    tag(store, an_upload())
    release(store, held(store, again="order-1"), {CallReason.AGAIN: 1})

    retried = held(store, again="order-1")
    clock.advance(LEASE + 1)
    copied = held(store)

    assert (retried.attempt, retried.reason) == (2, CallReason.RETRY)
    assert (copied.attempt, copied.ran_out) == (3, True)
    assert retried.unannounced is copied.unannounced is None
    assert store.newest(URI) == a_result()


def test_an_order_to_tag_again_holds_while_it_is_handed_back(
    store: ReadableResults,
) -> None:
    """No call was made: the next one is still because of it."""
    tag(store, an_upload())
    store.withdraw(an_upload(), held(store, again="order-1"), calls={})
    release(store, held(store, again="order-1"))

    assert held(store, again="order-1").reason == CallReason.AGAIN


def test_a_new_answer_that_is_stored_is_announced_like_any_other(
    store: ReadableResults,
) -> None:
    """The order is answered; what is left is to tell."""
    tag(store, an_upload())
    mine = held(store, again="order-1")
    newer = a_result(tagged_at="2026-11-23T12:00:00.000Z")
    store.store_tagged(an_upload(), mine, newer, calls={CallReason.AGAIN: 1})
    release(store, mine)

    after = held(store, again="order-1")

    assert (after.unannounced, after.renews) == (newer, False)


def test_an_order_to_tag_again_does_not_take_a_claim_away(
    store: ReadableResults,
) -> None:
    """Somebody is at it already; the message comes again."""
    tag(store, an_upload())
    claim(store, again="order-1")

    assert claim(store, again="order-2") == Busy(LEASE)


def test_what_waits_or_failed_begins_anew_for_an_order_and_counts_on_for_its_copies(
    store: ReadableResults,
) -> None:
    """An order counts like a replay; that it was sent before the failure does not matter."""
    release(store, held(store))
    waited = held(store, again="order-1")
    store.store_failed(an_upload(), waited, a_failed_result(), calls={}, unstored=False)
    early = NOON_SECONDS - 60

    copied = claim(store, again="order-1", sent_at=early)
    ordered = claim(store, again="order-2", sent_at=early)

    assert waited.attempt == 1
    assert copied == Done(SkipReason.ALREADY_FAILED)
    assert ordered == claimed(1, None)


def test_an_unannounced_result_is_asked_about_for_an_order(
    store: ReadableResults,
) -> None:
    """The new answer is announced in its place."""
    mine = held(store)
    store.store_tagged(an_upload(), mine, a_result(), calls=ONE_CALL)
    release(store, mine)

    ordered = held(store, again="order-1")

    assert (ordered.unannounced, ordered.reason) == (None, CallReason.AGAIN)


def test_what_is_skipped_on_its_second_way_keeps_its_result(
    store: ReadableResults,
) -> None:
    """Its object is gone, or overtaken, and what was paid for counts on."""
    tag(store, an_upload())
    mine = held(store, again="order-1")

    store.skip(an_upload(), SkipReason.OBJECT_GONE, claim=mine, at=NOON)

    assert store.newest(URI) == a_result()
    assert claim(store) == claim(store, again="order-1") == DONE


def test_a_second_way_that_fails_is_asked_about_by_its_replay(
    store: ReadableResults,
) -> None:
    """The letter carries no order: the item knows that an answer is owed."""
    tag(store, an_upload())
    mine = held(store, again="order-1")
    store.store_failed(
        an_upload(),
        mine,
        a_failed_result(),
        calls={CallReason.AGAIN: 1},
        unstored=False,
    )
    failed = store.newest(URI)

    replayed = held(store, replays=1)
    store.skip(an_upload(), SkipReason.OBJECT_GONE, claim=replayed, at=NOON)

    assert failed == a_failed_result()
    assert (replayed.unannounced, replayed.reason) == (None, CallReason.RETRY)
    assert store.newest(URI) == a_result()


# ---- skips


@pytest.mark.parametrize("reason", [SkipReason.OBJECT_GONE, SkipReason.SUPERSEDED])
def test_what_was_skipped_is_looked_at_again_should_it_come_again(
    store: ReadableResults, reason: SkipReason
) -> None:
    """The attempt did not count, and nothing newer is hidden by it."""
    skip(store, version(2), reason)

    assert store.newest(URI) is None
    assert not store.is_superseded(version(1))
    assert held(store, version(2)).attempt == 1


def test_a_failure_whose_object_is_gone_is_none_any_more(
    store: ReadableResults,
) -> None:
    """Its letter was replayed; the upload ends as skipped."""
    fail(store, an_upload())
    mine = held(store, replays=1)

    store.skip(an_upload(), SkipReason.OBJECT_GONE, claim=mine, at=NOON)

    assert store.newest(URI) is None


def test_a_skip_without_a_claim_changes_nothing_that_is_known(
    store: ReadableResults,
) -> None:
    """Only what nobody has heard of becomes skipped."""
    tag(store, an_upload())
    marker = an_upload("a folder/")

    for upload in (an_upload(), marker, marker):
        store.skip(upload, SkipReason.FOLDER_MARKER, claim=None, at=NOON)

    assert claim(store) == DONE
    assert store.newest(marker.uri) is None
    assert held(store, marker).attempt == 1


# ---- DynamoDB alone


def item_of(client: DynamoDBClient, upload: Upload) -> Document:
    """All that stands in the table about an upload."""
    item = client.get_item(
        TableName="ResultsTable",
        Key={"uri": {"S": upload.uri}, "version": {"S": upload.version}},
    )["Item"]
    return from_items(item)


def test_a_failed_item_keeps_what_a_replay_sends(
    client: DynamoDBClient, dynamodb: DynamoDBResults
) -> None:
    """Dead letters expire after 14 days; tagged items need it no more."""
    upload = an_upload()
    fail(dynamodb, upload)
    failed = item_of(client, upload)

    mine = held(dynamodb, replays=1)
    dynamodb.store_tagged(upload, mine, a_result(upload), calls=ONE_CALL)

    assert failed["notification"] == upload.notification()
    assert {"notification", "failed"} & set(item_of(client, upload)) == set()


def test_a_result_that_is_nested_too_deeply_is_refused(
    dynamodb: DynamoDBResults,
) -> None:
    """What can be read may be too deep to be written; a retry would pay for it again."""
    deep: list[Any] = []
    for _ in range(450):
        deep = [deep]
    mine = held(dynamodb)
    result = {**a_result(), "deep": deep}

    with pytest.raises(ResultTooLarge):
        dynamodb.store_tagged(an_upload(), mine, result, calls=ONE_CALL)


def test_two_replays_at_the_same_moment_begin_one_attempt(
    client: DynamoDBClient, dynamodb: DynamoDBResults
) -> None:
    """Between the look at the failed item and the claim another worker was faster."""
    fail(dynamodb, an_upload())
    claims: list[Claim | Done | Busy] = []
    requests: list[str] = []

    def other_worker(**_: Any) -> None:  # noqa: ANN401 - botocore's
        requests.append("UpdateItem")
        if len(requests) == 2:
            claims.append(claim(dynamodb, replays=1))

    client.meta.events.register("before-call.dynamodb.UpdateItem", other_worker)

    slower = claim(dynamodb, replays=1)

    assert claims == [claimed(1, None)]
    assert isinstance(slower, Busy)


@pytest.mark.parametrize(
    "end",
    [fail, lambda store, upload: skip(store, upload, SkipReason.OBJECT_GONE)],
    ids=["failed", "skipped"],
)
@pytest.mark.parametrize("which", [1, 2], ids=["the first claim", "the claim anew"])
def test_a_claim_that_the_network_held_up_does_not_claim_what_has_ended(
    client: DynamoDBClient,
    dynamodb: DynamoDBResults,
    end: Callable[[OldResultStore, Upload], None],
    which: int,
) -> None:
    """boto3 gave it up and made it again; nobody would ever work on what it claims so late."""
    end(dynamodb, an_upload())
    held_up = requests_from_now_on(client)
    end(dynamodb, an_upload())  # again: a copy, or a replay
    before = item_of(client, an_upload())

    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.update_item(**cast("Any", held_up[which - 1]))

    assert item_of(client, an_upload()) == before


def test_an_order_that_the_network_held_up_does_not_begin_again(
    client: DynamoDBClient, dynamodb: DynamoDBResults
) -> None:
    """boto3 made it twice; by the time the first arrives, the order is done with."""
    tag(dynamodb, an_upload())
    held_up = requests_from_now_on(client)
    mine = held(dynamodb, again="order-1")
    ordered = list(held_up)
    dynamodb.store_tagged(an_upload(), mine, a_result(), calls={CallReason.AGAIN: 1})
    dynamodb.finish(an_upload(), mine, announced=True)
    before = item_of(client, an_upload())

    assert len(ordered) == 2
    for late in ordered:
        with pytest.raises(client.exceptions.ConditionalCheckFailedException):
            client.update_item(**cast("Any", late))

    assert item_of(client, an_upload()) == before


def test_ended_uploads_are_counted_by_status_and_time(
    dynamodb: DynamoDBResults,
) -> None:
    """Over all partitions of the index; the moment itself counts."""
    for number in range(20):
        tag(dynamodb, an_upload(f"tagged {number}"))
    for number in range(3):
        fail(dynamodb, an_upload(f"failed {number}"))
    for number in range(2):
        skip(dynamodb, an_upload(f"gone {number}"), SkipReason.OBJECT_GONE)
    claim(dynamodb, an_upload("still at it"))

    counted = [
        dynamodb.count_ended(status, since=since)
        for status in ("TAGGED", "FAILED", "OBJECT_GONE")
        for since in ("2026-11-22T11:59:59.999Z", NOON, "2026-11-22T12:00:00.001Z")
    ]

    assert counted == [20, 20, 0, 3, 3, 0, 2, 2, 0]


def test_a_replay_that_is_tagged_changes_the_count(dynamodb: DynamoDBResults) -> None:
    """An upload has one end."""
    upload = an_upload()
    fail(dynamodb, upload)
    mine = held(dynamodb, replays=1)
    dynamodb.store_tagged(upload, mine, a_result(upload), calls=ONE_CALL)
    dynamodb.finish(upload, mine, announced=True)

    counted = [
        dynamodb.count_ended(status, since=NOON) for status in ("TAGGED", "FAILED")
    ]

    assert counted == [1, 0]


# ---- the fake and the adapter


STORIES = count(1)
ORDERS = st.sampled_from([None, None, "order-1", "order-2"])
SEQUENCERS = st.sampled_from([None, "0A", "0B"])
ENDS = st.sampled_from(
    [
        "tag",
        "store",
        "fail",
        "skip",
        "release",
        "withdraw",
        "ask",
        "crash",
        "confirm and crash",
        "hold",
    ]
)


@given(
    steps=st.lists(
        st.tuples(ORDERS, st.integers(0, 2), ENDS, st.booleans(), SEQUENCERS),
        max_size=8,
    ),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fake_and_adapter_tell_the_same_story(
    dynamodb: DynamoDBResults,
    clock: FakeClock,
    steps: list[tuple[str | None, int, str, bool, str | None]],
) -> None:
    """Whatever happens to an upload, in whatever order."""
    told_of = an_upload(f"story {next(STORIES)}.jpg")
    fake = FakeResultStore(clock)
    stores: tuple[OldResultStore, ...] = (fake, dynamodb)
    for again, replays, end, is_early, sequencer in steps:
        upload = told_of.ordered_as(sequencer)
        told = [
            store.claim(
                upload,
                replays=replays,
                sent_at=NOON_SECONDS - 1 if is_early else None,
                lease_seconds=LEASE,
                again=again,
            )
            for store in stores
        ]
        seen = [
            replace(one, token="any") if isinstance(one, Claim) else one for one in told
        ]
        assert seen[0] == seen[1]
        for store, one in zip(stores, told, strict=True):
            if isinstance(one, Claim):
                bring_to(store, upload.ordered_as(one.sequencer), one, end)
        if end.endswith("crash"):
            clock.advance(LEASE + 1)
        assert fake.newest(upload.uri) == dynamodb.newest(upload.uri)
        assert fake.tagged([upload]) == dynamodb.tagged([upload])


def bring_to(store: OldResultStore, upload: Upload, mine: Claim, end: str) -> None:
    """An attempt to one of its ends."""
    calls = {mine.reason: 1}
    result = a_result(upload)
    match end:
        case "tag":
            store.store_tagged(upload, mine, result, calls=calls)
            store.finish(upload, mine, announced=True)
        case "store":
            store.store_tagged(upload, mine, result, calls=calls)
            store.release(upload, mine, calls=calls, unstored=False)
        case "fail":
            failed = a_failed_result(upload)
            store.store_failed(upload, mine, failed, calls=calls, unstored=False)
        case "skip":
            store.skip(upload, SkipReason.OBJECT_GONE, claim=mine, at=NOON)
        case "release":
            store.release(upload, mine, calls={}, unstored=False)
        case "ask":
            store.release(upload, mine, calls=calls, unstored=False)
        case "withdraw":
            store.withdraw(upload, mine, calls={})
        case "confirm and crash":
            store.confirm(upload, mine)


def test_the_oldest_failure_is_that_of_all_shards(store: ReadableResults) -> None:
    """Of those that nobody has dealt with; what is older than is asked for is left out."""
    noon = datetime.fromisoformat(NOON).timestamp()
    nothing = store.oldest_failure(since=0)
    for number in range(20):
        fail(store, an_upload(f"{number}.png"))

    assert nothing is None
    assert store.oldest_failure(since=0) == store.oldest_failure(since=noon) == noon
    assert store.oldest_failure(since=noon + 1) is None
