"""
Limits processes to a share of a processor, as Lambda does by the function's memory.

Lambda gives a function 1 vCPU at 1,769 MB, and in proportion less below
(https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html). The limit works as the
kernel's own does: in each period of 20 ms, a process that has used up its time waits for the next
period. It needs no rights, because it stops and continues the process by signals.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from threading import Event, Thread

MEGABYTES_OF_A_CORE = 1769
_PERIOD_SECONDS = 0.02
_LOOK_SECONDS = 0.0005


class CpuShare:
    """A process has at most *share* of a processor while this context lasts."""

    def __init__(self, pid: int, share: float) -> None:
        self._pid = pid
        self._share = share
        self._ended = Event()
        self._thread = Thread(target=self._limit, daemon=True)

    def __enter__(self) -> None:
        if self._share < 1:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._share < 1:
            self._ended.set()
            self._thread.join()
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGCONT)

    def _limit(self) -> None:
        allowed = cpu_seconds(self._pid)
        period_ends = time.monotonic()
        with suppress(OSError):  # the process has ended
            while not self._ended.is_set():
                # What a process used too much, it lacks in the next period; it saves up nothing
                allowed = min(allowed, cpu_seconds(self._pid))
                allowed += self._share * _PERIOD_SECONDS
                period_ends = max(period_ends, time.monotonic()) + _PERIOD_SECONDS
                self._run_period(allowed, period_ends)

    def _run_period(self, allowed: float, ends: float) -> None:
        if cpu_seconds(self._pid) < allowed:
            os.kill(self._pid, signal.SIGCONT)
        while time.monotonic() < ends:
            if cpu_seconds(self._pid) >= allowed:
                os.kill(self._pid, signal.SIGSTOP)
                time.sleep(max(0.0, ends - time.monotonic()))
                return
            time.sleep(_LOOK_SECONDS)


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used, of all its threads."""
    # Linux's clock id for the CPU time of a process: clock_getcpuclockid(3)
    return time.clock_gettime((~pid << 3) | 2)
