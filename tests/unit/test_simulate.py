"""The simulation of a stack under load (docs/scale.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulate import Setup, simulate

QUICK = Setup(images=500, own=0.0, cold=0.0, api=2.0, concurrency=5, batch=10)


def test_without_a_rate_limit_the_api_and_the_concurrency_are_the_throughput() -> None:
    """Concurrency times batch size, over the seconds of an answer."""
    report = simulate(replace(QUICK, images=5_000))

    assert report.images_per_second == pytest.approx(5 * 10 / 2.0, rel=0.01)
    assert report.billed_ms_per_image == pytest.approx(2_000 / 10, rel=0.01)


def test_a_rate_limit_is_the_throughput_of_a_backlog() -> None:
    """The slots are a twentieth further apart; the last call still has to be answered."""
    report = simulate(replace(QUICK, rate=10.0))

    assert report.seconds == pytest.approx(499 * 1.05 / 10 + 2.0)


@given(
    rate=st.sampled_from([1.0, 4.0, 20.0]),
    concurrency=st.integers(2, 40),
    batch=st.integers(1, 12),
    arrivals=st.sampled_from([0.0, 3.0, 50.0]),
    seed=st.integers(0, 9),
)
def test_no_second_has_more_calls_than_the_rate_and_each_image_is_tagged_once(
    rate: float, concurrency: int, batch: int, arrivals: float, seed: int
) -> None:
    """However many invocations compete for the slots, and however often they find none."""
    setup = Setup(
        images=150,
        rate=rate,
        concurrency=concurrency,
        batch=batch,
        arrivals=arrivals,
        spread=0.5,
        seed=seed,
    )

    report = simulate(setup)

    assert report.most_calls_in_a_second <= rate
    assert report.calls == report.tagged == setup.images
    assert report.most_concurrent <= concurrency


def test_more_invocations_than_slots_hand_images_back_and_lose_none() -> None:
    """An invocation waits for a slot as long as its time allows."""
    report = simulate(Setup(images=2_000, rate=2.0, concurrency=50))

    assert report.hand_backs > 0
    assert (report.tagged, report.dead_lettered) == (2_000, 0)


def test_an_api_that_refuses_calls_gets_images_dead_lettered() -> None:
    """Without a rate limit the attempts of a backlog are used up before the API has taken it."""
    refusing = Setup(images=5_000, concurrency=20, api_rate=10)

    report = simulate(refusing)
    limited = simulate(replace(refusing, rate=10.0))

    assert report.dead_lettered > 0
    assert report.tagged + report.dead_lettered == 5_000
    assert report.calls == report.tagged + report.refused_calls
    assert (limited.tagged, limited.refused_calls) == (5_000, 0)


def test_pollers_grow_from_five_by_five_a_second() -> None:
    """As far as `MaxConcurrency` allows."""
    burst = replace(QUICK, images=20_000, concurrency=1_000, api=10.0)

    report = simulate(burst)
    small = simulate(replace(burst, concurrency=7))

    # The first five are free again after ten seconds, when 50 more have begun
    assert report.most_concurrent > 5 + 50
    assert report.most_concurrent <= 5 + 5 * report.seconds
    assert small.most_concurrent == 7


def test_sqs_delivers_no_more_than_may_be_in_flight() -> None:
    """Messages that are handed back are in flight until they are delivered again."""
    setup = Setup(images=1_000, rate=2.0, concurrency=40, in_flight=60)

    report = simulate(setup)

    assert report.most_in_flight == 60
    assert report.tagged == 1_000


def test_an_image_on_an_idle_warm_stack_waits_for_nothing_but_its_own_work() -> None:
    """The answer of the API, and the invocation's own time."""
    report = simulate(
        Setup(images=200, arrivals=0.05, api=0.5, own=0.1, warm=5, seed=3)
    )

    assert report.p95 == pytest.approx(0.6)
    assert report.cold_starts == 0


def test_work_on_a_shared_processor_limits_all_invocations_together() -> None:
    """As in the local cloud, where one process serves every request."""
    report = simulate(replace(QUICK, shared=0.1, concurrency=50))

    assert report.images_per_second == pytest.approx(10, rel=0.1)


def test_the_same_seed_gives_the_same_report() -> None:
    """And another seed another one."""
    setup = Setup(images=300, arrivals=10.0, spread=0.5, rate=9.0)

    assert simulate(setup) == simulate(setup)
    assert simulate(setup) != simulate(replace(setup, seed=2))
