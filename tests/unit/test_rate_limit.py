"""The rate limiter: every call has a slot, and slots are evenly spaced."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.errors import ResultsUnavailable
from hangtag.rate_limit import RateLimited, RateLimiter, Slot
from tests.builders import NOON_SECONDS
from tests.fakes import FakeClock, FakeSlots, VirtualTime

RATE = 5
PREFIX = "lookbook"
USABLE = 40.0
"""The seconds of an invocation in which a call may start."""


@dataclass
class Instance:
    """An instance of the function with its own clock, so that its sleep delays no other."""

    slots: FakeSlots
    rate: float = RATE
    jitter: float = 0.5
    began: list[float] = field(default_factory=list)
    """The start times of the calls of all instances."""
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.limiter = RateLimiter(
            self.slots,
            self.clock,
            requests_per_second=self.rate,
            random_fraction=lambda: self.jitter,
        )

    @property
    def latest(self) -> float:
        """The latest start of a call in an invocation that begins now."""
        return self.clock.now() + USABLE

    def call(self, times: int = 1, *, latest: float | None = None) -> None:
        """That many calls, one after the other."""
        latest = latest or self.latest
        for _ in range(times):
            self.limiter.wait(latest, PREFIX)
            self.began.append(self.clock.now())

    def seconds_until_again(self, latest: float) -> float:
        """The delay of an upload without a slot."""
        with pytest.raises(RateLimited) as raised:
            self.limiter.wait(latest, PREFIX)
        return raised.value.seconds


def most_in_a_second(moments: list[float]) -> int:
    """The highest number of calls that start within a second."""
    ordered = sorted(moments)
    return max(sum(at <= other < at + 1 for other in ordered) for at in ordered)


@given(
    rate=st.sampled_from([1, RATE, 20]),
    arrivals=st.lists(
        st.tuples(
            st.integers(0, 2),  # the instance
            st.sampled_from(
                [0.0, 0.04, 0.05, 0.2, 1.0, 3.0]
            ),  # seconds since its last invocation
            st.integers(1, 12),  # calls, including retries
            st.sampled_from([0.0, 0.03, 0.06, 1.0]),  # response time of the table
        ),
        min_size=1,
        max_size=12,
    ),
)
def test_no_second_has_more_calls_than_the_rate(
    rate: int, arrivals: list[tuple[int, float, int, float]]
) -> None:
    """This holds for any number of instances, at any time, with a slow table."""
    began: list[float] = []
    slots = SlowSlots()
    instances = [Instance(slots, rate, began=began) for _ in range(3)]

    for which, pause, calls, slots.seconds in arrivals:
        instance = slots.user = instances[which]
        instance.clock.advance(pause)
        try:
            instance.call(calls)
        except RateLimited:
            continue

    assert began
    assert most_in_a_second(began) <= rate


class SlowSlots(FakeSlots):
    """A slow table."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds
        self.user: Instance | None = None
        """The instance that waits for the table."""

    def reserve(self, *, step: float, earliest: float, latest: float) -> Slot:
        """As the fake, after a delay."""
        found = super().reserve(step=step, earliest=earliest, latest=latest)
        if self.user is not None:
            self.user.clock.advance(self.seconds)
        return found


def test_calls_are_almost_as_fast_as_the_rate_allows() -> None:
    """Slots are a twentieth further apart."""
    instance = Instance(FakeSlots())

    instance.call(50)

    gaps = [after - before for before, after in pairwise(instance.began)]
    assert max(gaps) == pytest.approx(1.05 / RATE, rel=0.01)
    assert instance.began[0] == NOON_SECONDS


def test_a_call_reserves_one_slot() -> None:
    """No slot is lost without a fault."""
    slots = FakeSlots()

    Instance(slots).call(10)

    assert len(slots.reserved) == 10


def test_a_pause_earns_no_burst() -> None:
    """After an idle hour the first second has no more calls than any other."""
    instance = Instance(FakeSlots())
    instance.call(10)
    instance.clock.advance(3_600)
    before = len(instance.began)

    instance.call(10)

    assert most_in_a_second(instance.began[before:]) <= RATE


def test_an_expired_slot_is_not_used() -> None:
    """Lambda may freeze a process; the call would start beside the next one."""
    slots = FakeSlots()
    instance = Instance(slots)
    instance.call()
    sleeps = [0.5, 0.0]
    instance.clock.when_sleeping = lambda seconds: instance.clock.advance(
        seconds + (sleeps.pop() if sleeps else 0.0)
    )

    instance.call(3)

    assert len(instance.began) == 4
    assert len(slots.reserved) == 5
    used = [max(slot for slot in slots.reserved if slot <= at) for at in instance.began]
    late = [at - slot for at, slot in zip(instance.began, used, strict=True)]
    assert max(late) <= 0.045


def test_a_slow_table_does_not_starve_calls_of_slots() -> None:
    """Otherwise each slot would expire before its response arrives."""
    slots = SlowSlots(seconds=0.6)
    instance = slots.user = Instance(slots)

    instance.call(3)

    assert len(slots.reserved) <= 6


# ---- no slot


def test_without_a_slot_before_the_deadline_there_is_no_call() -> None:
    """The slot stays free for another instance."""
    slots = FakeSlots()
    instance = Instance(slots)
    latest = NOON_SECONDS + 1
    with pytest.raises(RateLimited):
        instance.call(100, latest=latest)

    assert len(instance.began) == RATE
    assert max(slots.reserved) <= latest


def test_a_slot_known_to_be_missing_is_not_requested() -> None:
    """The next uploads of the same instance make no claim, no read and no request."""
    slots = FakeSlots()
    instance = Instance(slots, rate=0.1)
    instance.limiter.check(instance.latest, PREFIX)
    latest = NOON_SECONDS + 5
    instance.call(latest=latest)
    slots.fails_with(AssertionError("no request"))

    with pytest.raises(RateLimited):
        instance.limiter.check(latest, PREFIX)
    instance.limiter.check(NOON_SECONDS + 11, PREFIX)
    instance.clock.advance(10)
    instance.limiter.check(NOON_SECONDS + 15, PREFIX)


def test_a_slot_reserved_by_another_instance_costs_one_request() -> None:
    """The response gives the next free slot, which the instance remembers."""
    slots = FakeSlots()
    Instance(slots, rate=0.1).call()
    other = Instance(slots, rate=0.1)
    latest = NOON_SECONDS + 5
    other.limiter.check(latest, PREFIX)

    again = other.seconds_until_again(latest)

    assert again == pytest.approx(1.5 * 10.5)
    with pytest.raises(RateLimited):
        other.limiter.check(latest, PREFIX)


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 10.5), (0.5, 15.75), (1.0, 21)])
def test_an_upload_without_a_slot_is_retried_when_one_is_free(
    jitter: float, seconds: float
) -> None:
    """Retries are spread between that time and twice the delay."""
    instance = Instance(FakeSlots(), rate=0.1, jitter=jitter)
    instance.call()

    again = instance.seconds_until_again(instance.clock.now() + 5)

    assert again == pytest.approx(seconds)


def test_an_upload_without_time_left_is_retried_soon() -> None:
    """A new invocation may find a free slot at once."""
    instance = Instance(FakeSlots())

    assert instance.seconds_until_again(instance.clock.now() - 1) == 1.0


def test_no_upload_is_delayed_longer_than_half_an_hour() -> None:
    """In 14 days that is fewer than the 1,000 receives that SQS allows."""
    instance = Instance(FakeSlots(), rate=0.0001)
    instance.call()

    longest = instance.seconds_until_again(instance.latest)

    assert longest == 1_800
    assert longest * 1_000 > 14 * 24 * 3_600


def test_an_outage_of_the_table_prevents_the_call() -> None:
    """A call without a slot could exceed the rate."""
    slots = FakeSlots()
    instance = Instance(slots)
    slots.fails_with(ResultsUnavailable("away"), times=1)

    with pytest.raises(ResultsUnavailable):
        instance.call()

    assert instance.began == []
    instance.call()


# ---- fairness


@dataclass
class Flood:
    """More uploads of one prefix than the rate allows, on all threads of five instances."""

    rate: float
    instances: int = 5
    threads: int = 10
    seconds: float = 150.0
    time: VirtualTime = field(default_factory=VirtualTime)
    began: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        slots = FakeSlots()
        self.limiters = [
            RateLimiter(slots, self.time, requests_per_second=self.rate)
            for _ in range(self.instances)
        ]
        for limiter in self.limiters:
            for _ in range(self.threads):
                self.time.start(partial(self._work, limiter), at=0.0)

    def _work(self, limiter: RateLimiter) -> None:
        """One upload after the other, as a long backlog brings them."""
        while self.time.now() < self.seconds:
            latest = self.time.now() + USABLE
            try:
                limiter.check(latest, "flood")
                limiter.wait(latest, "flood")
            except RateLimited:
                self.time.sleep(1.0)
            else:
                self.began.append(self.time.now())
                self.time.sleep(1.0)


@pytest.mark.parametrize("rate", [0.5, 1, RATE])
def test_a_flood_of_one_prefix_leaves_slots_for_another(rate: float) -> None:
    """Its calls hold the first half of the time that calls can wait, and one slot an instance."""
    flood = Flood(rate)
    waited: list[float] = []

    def other(limiter: RateLimiter, began: float) -> None:
        limiter.check(began + USABLE, "other")
        limiter.wait(began + USABLE, "other")
        waited.append(flood.time.now() - began)

    moments = [40.0, 63.0, 86.0]
    for limiter, at in zip(flood.limiters, moments, strict=False):
        flood.time.start(partial(other, limiter, at), at=at)

    flood.time.run()

    step = 1.05 / rate
    assert len(waited) == len(moments)
    assert max(waited) <= USABLE / 2 + (flood.instances + 1) * step


@pytest.mark.parametrize("rate", [0.5, 1, RATE])
def test_a_lone_prefix_has_the_whole_rate(rate: float) -> None:
    """No slot passes unused."""
    flood = Flood(rate)

    flood.time.run()

    assert max(b - a for a, b in pairwise(flood.began)) <= 1.05 / rate + 0.001
    assert len(flood.began) >= rate * flood.seconds / 1.05


def test_calls_that_have_begun_hold_no_slot() -> None:
    """Nor do those that found none, so that a prefix is not limited for ever."""
    instance = Instance(FakeSlots(), rate=1.05 / 15)
    instance.call()
    for _ in range(3):
        with pytest.raises(RateLimited):
            instance.limiter.wait(instance.clock.now() + 10, PREFIX)

    instance.call(2)

    assert [at - NOON_SECONDS for at in instance.began] == pytest.approx([0, 15, 30])


# ---- no limit


def test_without_a_limit_no_slot_is_reserved() -> None:
    """The table is not read."""
    clock = FakeClock()
    limiter = RateLimiter(None, clock, requests_per_second=0)
    slots = FakeSlots()
    slots.fails_with(AssertionError("no request"))
    unlimited = RateLimiter(slots, clock, requests_per_second=0)

    for one in (limiter, unlimited):
        one.check(NOON_SECONDS - 1, PREFIX)
        one.wait(NOON_SECONDS - 1, PREFIX)

    assert clock.now() == NOON_SECONDS
