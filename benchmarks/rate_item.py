"""
Measures how many calls a second the item of the rate limiter admits.

    python -m benchmarks.rate_item

The real rate limiter and its DynamoDB adapter run on many threads in virtual time, on an item that
takes 1,000 updates a second, as a DynamoDB partition does, and throttles the others. A thread is an
upload's place in a batch: without a slot it goes on with the next upload after a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hangtag.adapters.dynamodb_slots import DynamoDBSlots
from hangtag.errors import ResultsUnavailable
from hangtag.rate_limit import RateLimited, RateLimiter
from tests.fakes import HotItem, VirtualTime

UNITS = 1_000.0
"""Updates that a partition of DynamoDB takes in a second."""
BATCH = 10
USABLE_SECONDS = 40.0
BEFORE_SECONDS = 10.0
"""After which the counts begin."""
SECONDS = 20.0


@dataclass
class Load:
    """So many instances with a full batch each, for a backlog without end."""

    rate: float
    instances: int
    answer: float = 2.0
    time: VirtualTime = field(default_factory=VirtualTime)
    began: list[float] = field(default_factory=list)
    limited: int = 0
    failed: int = 0

    def run(self, *, units_per_second: float = UNITS) -> HotItem:
        """Work until the end; returns the item."""
        item = HotItem(self.time, units_per_second=units_per_second)
        client: Any = item
        for number in range(self.instances):
            slots = DynamoDBSlots(client, "table")
            limiter = RateLimiter(slots, self.time, requests_per_second=self.rate)
            for place in range(BATCH):
                at = (number + place / BATCH) * self.answer / self.instances
                self.time.start(partial(self._work, limiter), at=at)
        self.time.run()
        return item

    def _work(self, limiter: RateLimiter) -> None:
        end = BEFORE_SECONDS + SECONDS
        while self.time.now() < end:
            latest = self.time.now() + USABLE_SECONDS
            try:
                limiter.check(latest, "shop")
                limiter.wait(latest, "shop")
            except RateLimited:
                self.limited += 1
                self.time.sleep(1.0)
            except ResultsUnavailable:
                self.failed += 1
                self.time.sleep(1.0)
            else:
                self.began.append(self.time.now())
                self.time.sleep(self.answer)


def main() -> None:
    """Print a line for each rate and number of instances."""
    print(
        "| rate | instances | demand/s | calls/s | updates/call | throttled/s | failed/s |"
    )
    print("|---|---|---|---|---|---|---|")
    for rate, instances in [
        (100, 30),
        (500, 50),
        (500, 150),
        (800, 100),
        (800, 200),
        (1000, 100),
        (1000, 150),
        (1000, 250),
        (1000, 400),
    ]:
        load = Load(float(rate), instances)
        item = load.run()
        end = BEFORE_SECONDS + SECONDS
        calls = sum(BEFORE_SECONDS <= at < end for at in load.began) / SECONDS
        print(
            f"| {rate} | {instances} | {instances * BATCH / load.answer:.0f} | {calls:.0f} "
            f"| {item.written / len(load.began):.2f} | {item.throttled / end:.0f} "
            f"| {load.failed / end:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
