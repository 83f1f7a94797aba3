from __future__ import annotations

import pytest

from hangtag.operators.letters import LetterFilter
from hangtag.operators.replay import ReplayLimits
from hangtag.operators.replay_request import RequestError, read_request


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
