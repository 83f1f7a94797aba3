"""Ratios of times, for tests that a job takes linear time."""

from __future__ import annotations

import time
from collections.abc import Callable

FACTOR = 8
LINEAR = 3 * FACTOR
"""`growth` is about 8 for a linear job, and 64 for a quadratic one: this is far from both."""


def growth(job: Callable[[int], Callable[[], object]], size: int) -> float:
    """
    How many times as much CPU time the job takes with `FACTOR` times the *size*.

    *job* prepares the job for a size.
    """
    return ratio(job(size), job(FACTOR * size))


def ratio(one: Callable[[], object], other: Callable[[], object]) -> float:
    """How many times as much CPU time *other* takes as *one*; each time is the best of five."""
    times = [(_cpu_seconds(one), _cpu_seconds(other)) for _ in range(5)]
    return min(time for _, time in times) / min(time for time, _ in times)


def _cpu_seconds(run: Callable[[], object]) -> float:
    began = time.thread_time()
    run()
    return time.thread_time() - began
