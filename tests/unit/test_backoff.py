"""The delay of the next try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.backoff import backoff


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, 10), (1, 10), (2, 20), (3, 40), (9, 787.5), (500, 787.5)],
)
def test_delays_double_up_to_the_cap(number: int, expected: float) -> None:
    """Of 900 seconds up to a quarter is left out, here half of that."""
    assert backoff(number, base=10, cap=900, random_fraction=lambda: 0.5) == expected


@given(st.integers(1, 1_000), st.floats(0, 60), st.floats(0.1, 2_000))
def test_a_delay_never_exceeds_the_cap(number: int, base: float, cap: float) -> None:
    """SQS refuses to hide a message for longer than it knows."""
    assert 0 <= backoff(number, base=base, cap=cap) <= cap


@pytest.mark.parametrize("number", [1, 5, 12, 100])
def test_uploads_that_failed_together_come_back_apart(number: int) -> None:
    """Also those that have reached the cap."""
    early = backoff(number, base=1, cap=1_800, random_fraction=lambda: 0.0)
    late = backoff(number, base=1, cap=1_800, random_fraction=lambda: 1.0)

    assert late - early >= 0.25 * late
