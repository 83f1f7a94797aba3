"""
Simulates a stack under load: queue, pollers, invocations, rate limit, Tagger API.

    python -m benchmarks.simulate --images 1000000 --concurrency 1000
    python -m benchmarks.simulate --images 5000 --arrivals 20 --rate 30 --json

A discrete-event simulation: an image is a process that waits for the queue, for a free invocation,
for a slot of the rate limiter and for the API. The same seed gives the same numbers. What it is for
and how close it comes to a real run: docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, fields
from math import exp
from random import Random
from typing import Any, Final

import simpy

from benchmarks.cost_model import (
    ANSWER_SECONDS,
    INVOCATION_SECONDS,
)
from hangtag.backoff import backoff
from hangtag.ending import (
    HAND_BACK_BASE_SECONDS,
    HAND_BACK_CAP_SECONDS,
    RETRY_CAP_SECONDS,
)
from hangtag.rate_limit import LONGEST_DELAY_SECONDS, SPACING
from hangtag.time_budget import TimeBudget

FIRST_POLLERS: Final = 5
"""Batches that Lambda takes from a queue at the same time when a backlog begins."""
MORE_PER_MINUTE: Final = 300
"""By how many that number grows in a minute while there is a backlog."""
IN_FLIGHT: Final = 120_000
"""Received or hidden messages of a standard queue; SQS delivers no further ones."""

Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True)
class Setup:
    """A stack and its load; times in seconds."""

    images: int = 10_000
    arrivals: float = 0.0
    """Uploads a second, at random moments; 0 if all are on the queue at the start."""
    batch: int = 10
    concurrency: int = 5
    rate: float = 0.0
    """`MaxRequestsPerSecond`; 0 for no limit."""
    api: float = ANSWER_SECONDS
    """The median of the API's answers."""
    spread: float = 0.0
    """Sigma of their lognormal distribution; with 0.5, an answer in twenty takes 2.3 medians."""
    api_rate: int = 0
    """Calls that the API takes in a second, and answers the others with 429; 0 for no limit."""
    own: float = INVOCATION_SECONDS
    """An image's time in an invocation besides the answer: half before the call, half after."""
    shared: float = 0.0
    """The part of an image's work for which all invocations share one processor: an emulator's."""
    cold: float = 1.0
    """Until a new instance works: Lambda prepares it, and the function loads."""
    timeout: float = 60.0
    attempts: int = 5
    retry_base: float = 10.0
    in_flight: int = IN_FLIGHT
    warm: int = 0
    """Instances that are warm at the start."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the images; times in seconds."""

    tagged: int
    dead_lettered: int
    seconds: float
    """Until the last image had ended."""
    images_per_second: float
    p50: float
    """From the upload to the end of the image's work."""
    p95: float
    calls: int
    most_calls_in_a_second: int
    refused_calls: int
    """Calls that the API answered with 429."""
    hand_backs: int
    """Deliveries without a free slot."""
    slot_writes: int
    """Updates of the item that holds the next free slot."""
    invocations: int
    cold_starts: int
    images_per_batch: float
    billed_ms_per_image: float
    most_concurrent: int
    most_in_flight: int


@dataclass(slots=True)
class _Message:
    sent_at: float
    receives: int = 0
    attempts: int = 0


@dataclass(slots=True)
class _Instance:
    """One environment of the function, and what its rate limiter remembers."""

    next_free: float = 0.0
    waiting: int = 0


class Simulation:
    """One run of a setup."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._env = simpy.Environment()
        self._random = Random(setup.seed)  # noqa: S311 - repeatable, not secret
        self._visible: deque[_Message] = deque()
        self._idle = [_Instance() for _ in range(setup.warm)]
        self._processor = simpy.Resource(self._env)
        self._change = self._env.event()
        self._backlog_since: float | None = None
        self._next_slot = 0.0
        self._budget = TimeBudget.of(setup.timeout)
        self._called: deque[float] = deque()
        self._accepted: deque[float] = deque()
        self._running = self._in_flight = self._dead = self._calls = 0
        self._refused = self._hand_backs = self._writes = self._invocations = 0
        self._cold_starts = self._most_calls = self._most_running = 0
        self._most_in_flight = self._received = 0
        self._billed = 0.0
        self._waits: list[float] = []

    def run(self) -> Report:
        """Work until every image has ended."""
        self._env.process(self._upload())
        self._env.run(self._env.process(self._poll()))
        waits, setup = sorted(self._waits), self._setup
        return Report(
            tagged=len(waits),
            dead_lettered=self._dead,
            seconds=self._env.now,
            images_per_second=setup.images / self._env.now,
            p50=_share_of(waits, 0.5),
            p95=_share_of(waits, 0.95),
            calls=self._calls,
            most_calls_in_a_second=self._most_calls,
            refused_calls=self._refused,
            hand_backs=self._hand_backs,
            slot_writes=self._writes,
            invocations=self._invocations,
            cold_starts=self._cold_starts,
            images_per_batch=self._received / self._invocations,
            billed_ms_per_image=1_000 * self._billed / setup.images,
            most_concurrent=self._most_running,
            most_in_flight=self._most_in_flight,
        )

    # ---- queue and pollers

    def _upload(self) -> Steps:
        for _ in range(self._setup.images):
            if self._setup.arrivals:
                gap = self._random.expovariate(self._setup.arrivals)
                yield self._env.timeout(gap)
            self._visible.append(_Message(self._env.now))
            self._changed()

    def _poll(self) -> Steps:
        """Start an invocation for each batch, as far as the pollers and SQS allow."""
        setup = self._setup
        while self._running or len(self._waits) + self._dead < setup.images:
            if not self._visible:
                self._backlog_since = None
                yield self._change
                continue
            if self._backlog_since is None:
                self._backlog_since = self._env.now
            room = setup.in_flight - self._in_flight
            if room <= 0 or self._running >= setup.concurrency:
                yield self._change
                continue
            grown = MORE_PER_MINUTE / 60 * (self._env.now - self._backlog_since)
            if self._running >= FIRST_POLLERS + int(grown):
                yield self._change | self._env.timeout(60 / MORE_PER_MINUTE)
                continue
            size = min(setup.batch, room, len(self._visible))
            batch = [self._visible.popleft() for _ in range(size)]
            self._in_flight += size
            self._running += 1
            self._most_in_flight = max(self._most_in_flight, self._in_flight)
            self._most_running = max(self._most_running, self._running)
            self._env.process(self._invoke(batch))

    def _changed(self) -> None:
        change, self._change = self._change, self._env.event()
        change.succeed()

    def _hide(self, message: _Message, seconds: float) -> Steps:
        """Deliver a message again later; SQS counts it as in flight meanwhile."""
        yield self._env.timeout(seconds)
        self._in_flight -= 1
        self._visible.append(message)
        self._changed()

    # ---- function

    def _invoke(self, batch: Sequence[_Message]) -> Steps:
        began = self._env.now
        self._invocations += 1
        self._received += len(batch)
        if self._idle:
            instance = self._idle.pop()
        else:
            instance = _Instance()
            self._cold_starts += 1
            yield self._env.timeout(self._setup.cold)
        deadline = self._env.now + self._setup.timeout
        yield self._env.all_of(
            [self._env.process(self._tag(one, instance, deadline)) for one in batch]
        )
        self._billed += self._env.now - began
        self._running -= 1
        self._idle.append(instance)
        self._changed()

    def _tag(self, message: _Message, instance: _Instance, deadline: float) -> Steps:
        """One delivery of one image."""
        message.receives += 1
        if instance.next_free > self._latest(deadline, instance):
            self._hand_back(message, instance)
            return
        yield from self._work()
        if self._setup.rate:
            slot = self._reserve(instance, deadline)
            if slot is None:
                self._hand_back(message, instance)
                return
            instance.waiting += 1
            yield self._env.timeout(slot - self._env.now)
            instance.waiting -= 1
        if not self._call():
            self._retry(message)
            return
        sigma = self._setup.spread
        factor = exp(self._random.gauss(0.0, sigma)) if sigma else 1.0
        yield self._env.timeout(self._setup.api * factor)
        yield from self._work()
        self._in_flight -= 1
        self._waits.append(self._env.now - message.sent_at)

    def _work(self) -> Steps:
        """Half of an image's work besides the call."""
        if self._setup.shared:
            with self._processor.request() as turn:
                yield turn
                yield self._env.timeout(self._setup.shared / 2)
        yield self._env.timeout(self._setup.own / 2)

    def _call(self) -> bool:
        """Count a call; False if the API answers 429."""
        limit = self._setup.api_rate
        self._calls += 1
        self._called.append(self._env.now)
        self._most_calls = max(self._most_calls, self._in_last_second(self._called))
        if limit and self._in_last_second(self._accepted) >= limit:
            self._refused += 1
            return False
        if limit:
            self._accepted.append(self._env.now)
        return True

    def _in_last_second(self, moments: deque[float]) -> int:
        """Count the moments of the last second, and forget those before."""
        while moments and moments[0] <= self._env.now - 1.0:
            moments.popleft()
        return len(moments)

    def _retry(self, message: _Message) -> None:
        message.attempts += 1
        if message.attempts >= self._setup.attempts:
            self._in_flight -= 1
            self._dead += 1
            return
        delay = backoff(
            message.attempts,
            base=self._setup.retry_base,
            cap=RETRY_CAP_SECONDS,
            random_fraction=self._random.random,
        )
        self._env.process(self._hide(message, delay))

    # ---- rate limiter: `hangtag.rate_limit`, with all keys under one prefix

    def _latest(self, deadline: float, instance: _Instance) -> float:
        latest = deadline - self._budget.reserve - self._budget.least_call
        now = self._env.now
        return now + (latest - now) / 2 if instance.waiting else latest

    def _reserve(self, instance: _Instance, deadline: float) -> float | None:
        slot = max(self._env.now, self._next_slot)
        self._writes += 1
        if slot > self._latest(deadline, instance):
            instance.next_free = slot
            return None
        instance.next_free = self._next_slot = slot + SPACING / self._setup.rate
        return slot

    def _hand_back(self, message: _Message, instance: _Instance) -> None:
        self._hand_backs += 1
        until_free = instance.next_free - self._env.now
        wait = until_free * (1 + self._random.random())
        grown = backoff(
            message.receives,
            base=HAND_BACK_BASE_SECONDS,
            cap=HAND_BACK_CAP_SECONDS,
            random_fraction=self._random.random,
        )
        delay = max(min(max(1.0, wait), LONGEST_DELAY_SECONDS), grown)
        self._env.process(self._hide(message, delay))


def _share_of(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies; 0 without values."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def simulate(setup: Setup) -> Report:
    """Run a setup."""
    return Simulation(setup).run()


def main() -> None:
    """Print the report of one run."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    for one in fields(Setup):
        value = one.default
        parser.add_argument(
            f"--{one.name.replace('_', '-')}", type=type(value), default=value
        )
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = vars(parser.parse_args())
    as_json = chosen.pop("json")
    report = asdict(simulate(Setup(**chosen)))
    if as_json:
        print(json.dumps(report))
    for name, value in () if as_json else report.items():
        print(f"{name.replace('_', ' '):24} {value:,.2f}".removesuffix(".00"))


if __name__ == "__main__":
    main()
