"""How long to wait before the next try: one rule for every loop and every delay."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from hangtag.errors import ObjectUnavailable, ResultsUnavailable
from hangtag.ports import Clock

_MOST_DOUBLINGS = 32

_T = TypeVar("_T")


def backoff(
    number: int,
    *,
    base: float,
    cap: float,
    random_fraction: Callable[[], float] = random.random,
) -> float:
    """
    Seconds to wait after the try of this *number* (from 1).

    They double from *base*, plus or minus a quarter, up to *cap*, minus up to a quarter: uploads
    that failed together do not come back together. *random_fraction* returns 0 to 1.
    """
    doubled = base * 2.0 ** min(max(number, 1) - 1, _MOST_DOUBLINGS)
    fraction = random_fraction()
    return min(doubled * (0.75 + fraction / 2), cap * (0.75 + fraction / 4))


def persist(do: Callable[[], _T], *, clock: Clock, until: float) -> _T:
    """
    Do something; again while the table or S3 fails, until that moment (seconds since 1970).

    Raises:
        ResultsUnavailable, ObjectUnavailable: The last try failed, too.
    """
    number = 0
    while True:
        try:
            return do()
        except (ResultsUnavailable, ObjectUnavailable):
            number += 1
            pause = backoff(number, base=0.1, cap=2.0)
            if clock.now() + pause > until:
                raise
            clock.sleep(pause)
