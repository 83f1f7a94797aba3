"""A real rate: whoever calls has a turn, and turns are evenly spread."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hangtag.errors import ApiTimeout, HttpStatus, ResultsUnavailable
from hangtag.events import Delivery
from hangtag.ports import NoTurn, Turns
from hangtag.rate_limit import CALLS, WAITERS, BatchPace, Pacing, TurnRefused
from tests.builders import NOON_SECONDS
from tests.fakes import Call, FakeClock, FakeTurnBook, World

RATE = 5
USABLE = 40.0
"""Seconds of an invocation in which a call may begin."""


@dataclass
class OwnClock:
    """`Clock` of one instance: its sleeping holds nobody else up."""

    seconds: float = NOON_SECONDS

    def now(self) -> float:
        """Seconds since 1970."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.seconds += seconds


@dataclass
class Instance:
    """An instance of the function that works on batches."""

    book: FakeTurnBook
    began: list[float]
    """When calls began, whoever made them."""
    rate: float = RATE
    clock: OwnClock = field(default_factory=OwnClock)

    def __post_init__(self) -> None:
        self.pacing = Pacing(self.book, self.clock, requests_per_second=self.rate)

    def batch(self, uploads: int) -> BatchPace:
        """A batch that arrives now; all its uploads are begun."""
        pace = BatchPace(self.pacing, uploads, latest=self.clock.now() + USABLE)
        for _ in range(uploads):
            pace.expect()
        return pace

    def call(self, pace: BatchPace, times: int = 1) -> None:
        """So many calls, one after the other, as threads that take turns make them."""
        for _ in range(times):
            pace.wait()
            self.began.append(self.clock.now())


def most_in_a_second(moments: list[float]) -> int:
    """The most that begin in any second."""
    ordered = sorted(moments)
    return max(sum(at <= other < at + 1 for other in ordered) for at in ordered)


@given(
    arrivals=st.lists(
        st.tuples(
            st.integers(0, 2),  # which instance
            st.floats(0, 3),  # seconds since its last batch
            st.integers(1, 10),  # uploads
            st.integers(0, 3),  # calls beyond one each: retries, a fresh key
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_second_sees_more_calls_than_the_rate(
    arrivals: list[tuple[int, float, int, int]],
) -> None:
    """However many instances there are, whenever they begin, whatever they call for."""
    began: list[float] = []
    book = FakeTurnBook(FakeClock())
    instances = [Instance(book, began) for _ in range(3)]

    for which, pause, uploads, more in arrivals:
        instance = instances[which]
        instance.clock.sleep(pause)
        try:
            instance.call(instance.batch(uploads), uploads + more)
        except TurnRefused:
            continue

    assert not began or most_in_a_second(began) <= RATE


def test_a_batch_reserves_its_turns_with_one_update() -> None:
    """A table is not asked for every call."""
    book = FakeTurnBook(FakeClock())
    instance = Instance(book, [])

    instance.call(instance.batch(10), 10)

    assert book.reservations == [(CALLS, 10)]


def test_a_pause_earns_no_burst() -> None:
    """After an hour of nothing the first second is like every other."""
    began: list[float] = []
    instance = Instance(FakeTurnBook(FakeClock()), began)
    instance.call(instance.batch(10), 10)
    instance.clock.sleep(3_600)
    later = len(began)

    instance.call(instance.batch(10), 10)

    assert most_in_a_second(began[later:]) <= RATE


def test_a_turn_that_has_passed_is_not_used() -> None:
    """Whoever read a large image meanwhile would begin together with the next one."""
    began: list[float] = []
    instance = Instance(FakeTurnBook(FakeClock()), began)
    pace = instance.batch(10)
    instance.call(pace)

    instance.clock.sleep(1.0)
    instance.call(pace, 9)

    assert most_in_a_second(began) <= RATE


@dataclass
class SlowBook(FakeTurnBook):
    """A table that takes its time."""

    def __init__(self, clock: OwnClock, seconds: float) -> None:
        super().__init__(FakeClock())
        self._own_clock = clock
        self._seconds = seconds

    def reserve(
        self, line: str, count: int, *, every: float, earliest: float, latest: float
    ) -> Turns | NoTurn:
        """As the book, later."""
        found = super().reserve(
            line, count, every=every, earliest=earliest, latest=latest
        )
        self._own_clock.sleep(self._seconds)
        return found


def test_a_slow_table_does_not_keep_calls_from_their_turns() -> None:
    """A turn that has passed before it is known would be lost each time, for ever."""
    clock = OwnClock()
    book = SlowBook(clock, 0.6)
    began: list[float] = []
    instance = Instance(book, began, clock=clock)
    pace = instance.batch(1)

    instance.call(pace, 3)

    assert len(began) == 3
    assert len(book.reservations) <= 6


@dataclass(frozen=True)
class Arrival:
    """A batch, and what becomes of its calls."""

    instance: int
    pause: float
    """Seconds since the batch before, on the instance's clock."""
    uploads: int
    trouble: str
    takes: float
    """Seconds for each answer."""


TROUBLES = ("none", "prefix", "rotation", "wait", "slow")


def trouble_comes(world: World, trouble: str, batch: int) -> None:
    """What the API says to the calls that come now."""
    world.tagger.recovers()
    world.tagger.refuses_the_prefix = trouble == "prefix"
    if trouble == "rotation":
        world.api_keys.set_key(f"key {batch}")
        world.tagger.accepted_key = f"key {batch}"
    if trouble == "wait":
        busy = HttpStatus("busy", http_status=429, retry_after_seconds=1.5)
        world.tagger.fails_with(busy, times=2)
    if trouble == "slow":
        world.tagger.fails_with(ApiTimeout("slow"), times=3)


@given(
    rate=st.sampled_from([1, RATE, 20]),
    arrivals=st.lists(
        st.builds(
            Arrival,
            instance=st.integers(0, 2),
            pause=st.sampled_from([0.0, 0.05, 0.2, 1.0, 30.0]),
            uploads=st.integers(1, 10),
            trouble=st.sampled_from(TROUBLES),
            takes=st.sampled_from([0.0, 0.04, 0.25, 2.0]),
        ),
        min_size=2,
        max_size=8,
    ),
)
def test_whatever_an_upload_has_to_ask_keeps_the_rate(
    rate: int, arrivals: list[Arrival]
) -> None:
    """Retries, fresh keys, refused prefixes and waits of whole pipelines that share a book."""
    began: list[float] = []
    book = FakeTurnBook(FakeClock())
    instances = [World(requests_per_second=rate, turns=book, width=1) for _ in range(3)]
    back: list[list[Delivery]] = [[], [], []]

    for batch, arrival in enumerate(arrivals):
        world = instances[arrival.instance]

        def ask(_: Call, world: World = world, takes: float = arrival.takes) -> None:
            began.append(world.clock.now())
            world.clock.advance(takes)

        world.tagger.before_answering = ask
        world.clock.advance(arrival.pause)
        trouble_comes(world, arrival.trouble, batch)
        new = [world.upload(f"{batch}-{n}.png") for n in range(arrival.uploads)]
        batch_and_retries = [*back[arrival.instance], *new]
        handed_back = world.tag(*batch_and_retries)
        back[arrival.instance] = [
            one for one in batch_and_retries if one.message_id in handed_back
        ]

    calls = sum(len(world.tagger.calls) for world in instances)
    assert len(began) == calls > 0
    assert most_in_a_second(began) <= rate


# ---- no turn


def test_what_gets_no_turn_goes_back_in_a_line_of_its_own() -> None:
    """At a rate of one in ten seconds: four begin, six come again one after the other."""
    world = World(requests_per_second=0.105)
    arrived = [world.upload(f"{n}.png") for n in range(10)]

    handed_back = world.tag(*arrived)

    delays = sorted(world.upload_queue.hidden_for.values())
    assert len(handed_back) == len(delays) == 10 - len(world.announcer.announced)
    assert 3 <= len(world.announcer.announced) <= 6
    gaps = [after - before for before, after in pairwise(delays)]
    assert all(9 <= gap <= 11 for gap in gaps)
    assert {retry.code for retry in world.journal.retries} == {"RATE"}
    assert {retry.attempt for retry in world.journal.retries} == {0}


def test_instances_wait_in_one_line() -> None:
    """What two of them hand back does not come again at the same moments."""
    book = FakeTurnBook(FakeClock())
    back_at: list[float] = []
    for _ in range(2):
        world = World(requests_per_second=0.105, turns=book, width=1)
        world.tag(*[world.upload(f"{n}.png") for n in range(10)])
        delays = world.upload_queue.hidden_for.values()
        back_at += [world.clock.now() + delay for delay in delays]

    assert len(back_at) >= 14
    gaps = [after - before for before, after in pairwise(sorted(back_at))]
    assert min(gaps) >= 9


def test_nobody_waits_longer_than_half_an_hour() -> None:
    """SQS hides nothing for ever, and the rate may be raised."""
    world = World(requests_per_second=0.001)
    arrived = [world.upload(f"{n}.png") for n in range(5)]

    world.tag(*arrived)

    longest = max(world.upload_queue.hidden_for.values())
    assert longest <= 1_800
    # After 1,000 receives SQS itself moves a message; it keeps it for 14 days
    assert longest * 1_000 > 14 * 24 * 3_600


def test_what_is_known_to_have_no_turn_is_not_even_claimed() -> None:
    """The next batch of the same instance costs no object and no claim."""
    world = World(requests_per_second=0.01, max_attempts=1)
    world.tag(*[world.upload(f"{n}.png") for n in range(3)])
    world.results.fails_with(AssertionError("nothing is claimed"), at="claim")

    late = world.upload("late.png")

    assert world.tag(late) == (late.message_id,)
    assert world.journal.mistakes == []


def test_to_go_back_for_want_of_a_turn_is_no_attempt() -> None:
    """With one attempt it would be buried."""
    world = World(requests_per_second=0.01, max_attempts=1)
    arrived = [world.upload(f"{n}.png") for n in range(3)]
    left = set(arrived)

    for _ in range(6):
        back = world.tag(*left)
        left = {delivery for delivery in left if delivery.message_id in back}
        world.clock.advance(300)

    assert left == set()
    assert len(world.announcer.announced) == 3
    assert world.dead_letters.letters == []


def test_a_second_try_has_a_turn_of_its_own() -> None:
    """A refused prefix and a retry count like any call."""
    world = World(requests_per_second=10.0)
    world.tagger.refuses_the_prefix = True
    times: list[float] = []
    world.tagger.before_answering = lambda _: times.append(world.clock.now())

    world.tag(world.upload())

    assert len(times) == 2
    assert times[1] - times[0] >= 1 / 10


def test_a_book_that_cannot_be_read_is_no_attempt() -> None:
    """To call without a turn would break the promise; the upload is not to blame."""
    world = World(requests_per_second=10.0, max_attempts=1)
    world.turns.fails_with(ResultsUnavailable("away"))
    delivery = world.upload()

    assert world.tag(delivery) == (delivery.message_id,)
    assert world.tagger.calls == []
    assert world.dead_letters.letters == []
    assert max(world.upload_queue.hidden_for.values()) >= 2

    world.turns.recovers()
    assert world.tag(delivery) == ()


def test_copies_of_what_is_done_take_no_turns() -> None:
    """Nor do copies in one batch: a turn that passes unused is lost."""
    world = World(requests_per_second=1.0)
    done = [world.upload(f"{n}.png") for n in range(8)]
    world.tag(*done)
    world.turns.reservations.clear()
    new = world.upload("new.png")

    world.tag(*done, new, replace(new, message_id="copy", receipt_handle="copy"))

    assert sum(count for _, count in world.turns.reservations) == 1


# ---- no limit


def test_without_a_limit_nothing_is_reserved() -> None:
    """And nothing of it costs anything."""
    world = World()
    world.tagger.fails_with(ApiTimeout("slow"), times=1)

    world.tag(*[world.upload(f"{n}.png") for n in range(10)])

    assert world.turns.reservations == []


@pytest.mark.parametrize("line", [CALLS, WAITERS])
def test_the_lines_have_names_that_stand_in_the_table(line: str) -> None:
    """Renamed, a running stack would have two books for a while."""
    assert line in ("calls", "waiters")
