"""A bound on CPU time, for tests that hostile input does not use up the function's time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CPU_SECONDS = 15
"""The largest inputs take less than a second, and quadratic work on them takes many minutes."""


@contextmanager
def no_hang() -> Iterator[None]:
    """Stops the block with `TimeoutError` after `CPU_SECONDS` of this process's CPU time."""
    before = signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"not finished after {CPU_SECONDS} s of CPU time")
