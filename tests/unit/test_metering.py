"""What is told of uploads is counted, too."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hangtag.adapters.emf_meter import EmfMeter

from hangtag.errors import ApiTimeout, KeyRefused, ResultsUnavailable, SidesTooSmall
from hangtag.metrics import Metric
from hangtag.ports import Meter
from tests.builders import NOON_SECONDS, URI
from tests.fakes import Call, FakeMeter, World


def told(world: World) -> Counter[str]:
    """The sums of what the last invocation told, by metric and dimensions."""
    sums: Counter[str] = Counter()
    for metric, value, dimensions in world.meter.told[-1]:
        sums[" ".join([metric, *dimensions.values()])] += value  # type: ignore[assignment]
    return sums


def test_an_upload_that_is_tagged_is_counted_with_its_call() -> None:
    """How long the API took, and how long the upload was on its way."""
    world = World()
    delivery = world.upload()

    def take_time(_: Call) -> None:
        world.clock.advance(1.5)

    world.tagger.before_answering = take_time

    world.tag(delivery)

    counted = told(world)
    on_its_way = counted.pop("UploadToTaggedLatency")
    assert counted == {
        "ImagesTagged": 1,
        "ApiCalls FIRST": 1,
        "ApiLatency": 1_500,
    }
    assert on_its_way == 1000 * (world.clock.now() - NOON_SECONDS)


def test_a_batch_is_told_at_once() -> None:
    """One flush for each invocation."""
    world = World()
    world.tagger.fails_with(SidesTooSmall("small"), times=2)
    first = replace(world.upload("1.png"), sent_at=NOON_SECONDS - 5)

    world.tag(first, *[world.upload(f"{n}.png") for n in range(2, 6)], first)

    counted = told(world)
    assert len(world.meter.told) == 1
    assert counted["ImagesTagged"] + counted["ImagesFailed 807 permanent"] == 5
    assert counted["ImagesFailed 807 permanent"] == 2
    assert counted["DuplicatesAvoided"] == 1
    assert counted["ApiCalls FIRST"] == 5


def test_a_retry_is_counted_and_a_mere_hand_back_is_not() -> None:
    """The attempt failed; for want of time nothing did."""
    world = World()
    delivery = world.upload()
    world.tagger.fails_with(ApiTimeout("slow"), times=1)
    world.tag(delivery)
    counted = told(world)
    world.deadline.seconds = 1.0

    world.tag(delivery)

    assert counted["Retries"] == 1
    assert len(world.meter.told) == 1  # nothing to tell of the second


def test_a_skip_is_counted_by_its_reason() -> None:
    """What is gone, for example."""
    world = World()
    delivery = world.upload()
    world.objects.forget(URI)

    world.tag(delivery)

    assert told(world) == {"ImagesSkipped OBJECT_GONE": 1}


def test_the_breaker_is_told_as_long_as_it_is_open() -> None:
    """By whoever opens it, by whoever finds it open, and by the schedule; then it is 0."""
    world = World()
    world.tagger.fails_with(KeyRefused("Wrong key."))
    values = []
    for step in (
        lambda: world.tag(*[world.upload(f"{n}.png") for n in range(5)]),
        lambda: world.tag(world.upload("late.png")),
        lambda: world.pipeline.try_again(world.invocation()),
        world.tagger.recovers,
        lambda: world.tag(world.upload("good.png")),
        lambda: world.pipeline.try_again(world.invocation()),
    ):
        before = len(world.meter.told)
        step()
        values += [
            max(
                value
                for metric, value, _ in world.meter.told[-1]
                if metric is Metric.BREAKER_OPEN
            )
            for _ in world.meter.told[before:]
        ]

    assert values == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("days", "told"), [(0, 0), (10, 10 * 86_400), (15, 0)], ids=str
)
def test_the_age_of_the_oldest_failure_is_told_by_the_schedule(
    days: int, told: int
) -> None:
    """As long as its letter is there: what has expired worries nobody any more."""
    world = World()
    if days:
        world.tagger.fails_with(SidesTooSmall("small"), times=1)
        world.tag(world.upload("small.png"))
    world.clock.advance(days * 86_400)

    world.pipeline.try_again(world.invocation())

    assert (Metric.OLDEST_FAILURE, told) in [
        (metric, round(value)) for metric, value, *_ in world.meter.told[-1]
    ]


def test_a_table_that_cannot_be_asked_for_the_oldest_does_not_stop_the_schedule() -> (
    None
):
    """The breaker is looked at all the same."""
    world = World()
    world.results.fails_with(ResultsUnavailable("away"), at="oldest_failure")

    assert world.pipeline.try_again(world.invocation())["open"] is False


def test_every_metric_is_told_by_something() -> None:
    """One that nobody tells is an alarm that never rings."""
    world = World()
    good = world.upload("good.png")
    world.tag(good, good)
    world.tagger.fails_with(SidesTooSmall("small"), times=1)
    world.tag(world.upload("small.png"))
    world.tagger.fails_with(ApiTimeout("slow"), times=1)
    world.tag(world.upload("slow.png"))
    world.tag(world.upload("marker/", content=b""))
    world.pipeline.try_again(world.invocation())

    assert set(Metric) == {metric for flush in world.meter.told for metric, *_ in flush}


# ---- the lines that CloudWatch reads


def lines(captured: str) -> list[dict[str, Any]]:
    """What was printed, as CloudWatch takes it."""
    return [json.loads(line) for line in captured.splitlines() if line]


def test_a_line_for_the_whole_and_one_for_each_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Alarms look at the whole; people at the codes."""
    meter = EmfMeter("my-stack")
    for code in ("807", "807", "805"):
        meter.add(Metric.IMAGES_FAILED, code=code, kind="permanent")
    meter.add(Metric.API_LATENCY, 120.04)
    meter.add(Metric.API_LATENCY, 80.0)
    meter.flush()
    meter.flush()

    printed = lines(capsys.readouterr().out)

    by_code = {line.get("code"): line for line in printed}
    assert set(by_code) == {None, "807", "805"}
    assert len(printed) == 3
    assert by_code[None]["ImagesFailed"] == [3.0]
    assert by_code[None]["ApiLatency"] == [120.0, 80.0]
    assert by_code["807"]["ImagesFailed"] == [2.0]
    [directive] = by_code["807"]["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Hangtag"
    assert [sorted(one) for one in directive["Dimensions"]] == [
        ["code", "kind", "service"]
    ]
    assert {line["service"] for line in printed} == {"my-stack"}


def test_more_values_than_a_line_takes_are_told_in_several(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """CloudWatch takes a hundred values of a metric at a time; a batch may have more calls."""
    meter = EmfMeter("my-stack")
    for number in range(250):
        meter.add(Metric.API_LATENCY, float(number))
    meter.flush()

    values = [line["ApiLatency"] for line in lines(capsys.readouterr().out)]

    assert sorted(value for part in values for value in part) == [*range(250)]
    assert max(map(len, values)) <= 100


@pytest.mark.parametrize(
    "meter", [FakeMeter(), EmfMeter("my-stack")], ids=["fake", "emf"]
)
def test_nothing_is_told_where_there_is_nothing_to_tell(
    meter: Meter, capsys: pytest.CaptureFixture[str]
) -> None:
    """An idle stack costs no metrics."""
    meter.flush()

    assert capsys.readouterr().out == ""
