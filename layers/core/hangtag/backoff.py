"""How long to wait before the next try: one rule for every loop and every delay."""

from __future__ import annotations

import random
from collections.abc import Callable

_MOST_DOUBLINGS = 32


def backoff(
    number: int,
    *,
    base: float,
    cap: float,
    random_fraction: Callable[[], float] = random.random,
) -> float:
    """
    Seconds to wait after the try of this *number* (from 1).

    They double from *base* up to *cap*, give or take a quarter: what failed together does not
    come back together. *random_fraction* returns 0 to 1.
    """
    doubled = base * 2.0 ** min(max(number, 1) - 1, _MOST_DOUBLINGS)
    return min(doubled * (0.75 + random_fraction() / 2), cap)
