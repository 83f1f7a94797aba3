from __future__ import annotations

import pytest

from hangtag.operators.letters import LetterFilter
from hangtag.operators.replay import Limits
from hangtag.operators.replay_request import OrderError, read_order


def test_an_empty_order_is_a_dry_run_of_everything() -> None:
    """Whoever presses "Test" in the console pays nothing."""
    order = read_order({})

    assert order.dryRun
    assert order.meant() == LetterFilter(codes=[], kinds=[])
    assert order.limits() == Limits()


def test_an_order_names_failures_and_limits() -> None:
    """As the command's options do."""
    order = read_order(
        {
            "codes": ["803"],
            "kinds": ["transient"],
            "prefix": "summer/",
            "max": 10,
            "ratePerSecond": 2,
            "dryRun": False,
        }
    )

    assert not order.dryRun
    assert order.meant() == LetterFilter(
        codes=["803"], kinds=["transient"], prefix="summer/"
    )
    assert order.limits() == Limits(most=10, per_second=2.0)


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
def test_an_order_that_is_not_understood_is_refused(event: object, named: str) -> None:
    """A misspelt limit must not become no limit; the message names what is wrong."""
    with pytest.raises(OrderError, match=f"{named}: .*ratePerSecond, dryRun"):
        read_order(event)
