from __future__ import annotations

from itertools import pairwise

import pytest

from hangtag.errors import ResultsUnavailable
from hangtag.operators.letters import LetterFilter
from hangtag.operators.ports import RunLease
from hangtag.operators.replay import ReplayLimits, ReplayReport
from hangtag.operators.replay_request import (
    ReplayRunning,
    RequestError,
    carry_out,
    read_request,
)
from tests.fakes import FailedUploads, FakeDeadline, FakeRunLease, Killed

CLIENT_SECONDS = 60.0
"""AWS's clients repeat an invocation that has not answered for so long."""

INIT_SECONDS = 10.0
"""The longest init phase of a cold start."""


def test_an_empty_request_is_a_dry_run_of_everything() -> None:
    """The "Test" button of the console must make no call."""
    request = read_request({})

    assert request.dryRun
    assert request.selected() == LetterFilter(codes=[], kinds=[])
    assert request.limits() == ReplayLimits()


def test_a_request_names_failures_and_limits() -> None:
    """The fields match the command's options."""
    request = read_request(
        {
            "codes": ["803"],
            "kinds": ["transient"],
            "prefix": "summer/",
            "max": 10,
            "maxSeconds": 300,
            "ratePerSecond": 2,
            "dryRun": False,
        }
    )

    assert not request.dryRun
    assert request.selected() == LetterFilter(
        codes=["803"], kinds=["transient"], prefix="summer/"
    )
    assert request.limits() == ReplayLimits(most=10, per_second=2.0)


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"dryrun": False}, "dryrun"),
        ({"dryRun": "false"}, "dryRun"),
        ({"dryRun": None}, "dryRun"),
        ({"codes": "803"}, "codes"),
        ({"codes": [803]}, "codes.0"),
        ({"codes": [""]}, "codes.0"),
        ({"kinds": ["later"]}, "kinds.0"),
        ({"max": -1}, "max"),
        ({"max": 1.5}, "max"),
        ({"ratePerSecond": -1}, "ratePerSecond"),
        ({"ratePerSecond": float("inf")}, "ratePerSecond"),
        ({"ratePerSecond": 0.079}, "ratePerSecond"),
        ({"ratePerSecond": 0.007, "maxSeconds": 300}, "ratePerSecond"),
        ({"maxSeconds": 19}, "maxSeconds"),
        ({"maxSeconds": 301}, "maxSeconds"),
        ({"maxSeconds": None}, "maxSeconds"),
        ({"prefix": 1, "max": "1"}, "prefix"),
        ([], "the event"),
        (None, "the event"),
        ({"Records": []}, "Records"),
    ],
)
def test_an_invalid_request_is_rejected(event: object, named: str) -> None:
    """A mistyped limit must not mean no limit; the message names the error."""
    with pytest.raises(RequestError, match=f"{named}: .*ratePerSecond, dryRun"):
        read_request(event)


def test_the_error_of_a_rate_that_no_run_can_keep_names_the_way_out() -> None:
    """A run that waits for its first slot in vain would replay nothing, however often repeated."""
    with pytest.raises(
        RequestError,
        match=r"0\.01 is one every 100 s.*maxSeconds 40: send maxSeconds of 215 ",
    ):
        read_request({"ratePerSecond": 0.01})

    assert read_request({"ratePerSecond": 0.01, "maxSeconds": 215}).limits().per_second


# ---- runs


def run(
    failed: FailedUploads,
    lease: RunLease | None = None,
    *,
    waited_seconds: float = 0.0,
    **request: object,
) -> ReplayReport:
    """Runs a request as the function does."""
    asked = read_request({"dryRun": False, **request})
    return carry_out(
        asked,
        failed.box,
        failed.book,
        lease or FakeRunLease(),
        clock=failed.clock,
        deadline=FakeDeadline(asked.maxSeconds, failed.clock),
        waited_seconds=waited_seconds,
    )


def many() -> FailedUploads:
    """More failures than a run of the default length replays at the rates of these tests."""
    return FailedUploads(*(f"{number}.png" for number in range(60)))


@pytest.mark.parametrize("request_seconds", [0.0, 0.2, 2.0])
@pytest.mark.parametrize("rate", [None, 0.08, 0.5, 2])
def test_the_function_answers_before_a_client_repeats_the_invocation(
    rate: float | None, request_seconds: float
) -> None:
    """Whatever the rate, and also where AWS is slow and the start was cold."""
    failed = many()
    failed.box.after_resending = lambda *_: failed.clock.advance(request_seconds)
    began = failed.clock.now() - INIT_SECONDS

    report = run(failed, ratePerSecond=rate)

    assert failed.clock.now() - began <= CLIENT_SECONDS - 10
    assert report.done >= 1
    assert report.left >= (1 if report.done < 60 else 0)


def test_the_schedule_may_run_longer() -> None:
    """No client waits for it."""
    failed = many()

    report = run(failed, ratePerSecond=0.25, maxSeconds=300)

    assert (report.done, report.left) == (60, 0)


def test_the_same_request_twice_at_once_replays_no_more_than_once() -> None:
    """The second one changes nothing, and its error says when to repeat it."""
    failed, lease = many(), FakeRunLease()
    moments: list[float] = []
    refusals: list[str] = []

    def send_again(*_: object) -> None:
        moments.append(failed.clock.now())
        with pytest.raises(ReplayRunning) as refusal:
            run(failed, lease, max=10, ratePerSecond=2)
        refusals.append(str(refusal.value))

    failed.box.after_resending = send_again

    report = run(failed, lease, max=10, ratePerSecond=2)

    assert (report.done, len(failed.box.resent)) == (10, 10)
    assert min(later - one for one, later in pairwise(moments)) == pytest.approx(0.5)
    until = "2026-11-22T12:01:40.000Z"
    [refusal] = set(refusals)
    assert (
        f"nothing was replayed: another run of this function works until {until}"
        in refusal
    )


def test_the_same_request_twice_at_once_is_refused_also_after_a_cold_start() -> None:
    """A warm instance has carried out the first one before the second instance has started."""
    failed, lease = many(), FakeRunLease()
    run(failed, lease, max=10)
    failed.clock.advance(9)

    with pytest.raises(ReplayRunning, match=r"ended at .* may have been for the same"):
        run(failed, lease, max=10, waited_seconds=10)

    assert len(failed.box.resent) == 10
    failed.clock.advance(1)
    assert run(failed, lease, max=10, waited_seconds=10).done == 10


def test_a_request_after_another_is_carried_out() -> None:
    """The end of a run releases its lease, also if it ends by an error."""
    failed, lease = many(), FakeRunLease()
    run(failed, lease, max=10)
    failed.book.fails_with(ResultsUnavailable("away"), times=1, at="look_up")
    with pytest.raises(ResultsUnavailable):
        run(failed, lease, max=10)

    assert run(failed, lease, max=10).done == 10


def test_a_killed_run_holds_up_others_until_its_deadline() -> None:
    """It could not release its lease."""
    failed, lease = many(), FakeRunLease()
    lease.fails_with(ResultsUnavailable("killed"), at="release")
    failed.box.fails_with(Killed(), times=1, at="resend")
    with pytest.raises(Killed):
        run(failed, lease)

    failed.clock.advance(39)
    with pytest.raises(ReplayRunning):
        run(failed, lease)
    failed.clock.advance(1)

    assert run(failed, lease, max=1).done == 1


def test_a_dry_run_needs_no_lease() -> None:
    """It changes nothing, so operators may look while a run works."""
    failed, lease = many(), FakeRunLease()
    reports: list[ReplayReport] = []
    failed.box.after_resending = lambda *_: reports.append(
        run(failed, lease, dryRun=True)
    )

    run(failed, lease, max=1)

    assert [report.dry_run for report in reports] == [True]
    lease.fails_with(ResultsUnavailable("away"))
    assert run(failed, lease, dryRun=True).matched > 0
