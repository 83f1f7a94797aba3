"""The time of this machine."""

from __future__ import annotations

import time


class SystemClock:
    """`Clock` on the system's clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
