"""docs/cost.md, docs/performance.md and README.md have the numbers that counts and prices give."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import cost_model as model
from benchmarks.cost_model import FULL, SINGLE, Run
from benchmarks.cost_page import (
    PAGES,
    PARTS,
    ROWS,
    RUNS,
    markers,
    read_month,
    updated,
)
from benchmarks.function import saved
from tests.builders import a_body

COUNTED = model.measured()["rows"]
BATCHED: list[Run] = [FULL, SINGLE]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_computed_parts_of_a_page_are_fresh(page: Path) -> None:
    """To update them: `python -m benchmarks.cost_page`."""
    text = page.read_text("utf-8")

    assert updated(text) == text


def test_each_computed_part_is_on_exactly_one_page() -> None:
    """A lost marker would leave its numbers as they are."""
    text = "".join(page.read_text("utf-8") for page in PAGES)

    assert [text.count(line) for name in PARTS for line in markers(name)] == [
        1 for _ in PARTS for _ in range(2)
    ]


def test_every_counted_request_has_a_price() -> None:
    """A new request of the function must not be free on the page."""
    sizes = {value for name, value in vars(model).items() if name.endswith("_BYTES")}
    others = sizes | {model.INVOCATIONS, model.OWN_SECONDS, *model.OF_THE_INDEX}

    assert set(COUNTED) - others == model.PRICED
    assert set(COUNTED) <= set(ROWS)
    assert all(set(row) == set(RUNS) for row in COUNTED.values())


def test_the_index_costs_a_write_unit_for_each_entry() -> None:
    """And an invocation that many images share in a backlog."""
    for run in BATCHED:
        batches = model.count(model.INDEX_INVOCATIONS, run)
        log = model.count(model.INDEX_LOG_BYTES, run) + model.LAMBDA_LOG_BYTES * batches

        assert model.per_image(run)["the index"] * model.MILLION == pytest.approx(
            0.625 * model.ENTRIES
            + batches * (0.2 + 13.3334 * 0.1 * model.MEMORY_GB)
            + 0.5 * log / 1000
        )
        assert 0 < batches <= 1


@pytest.mark.parametrize("megabytes", [0.1, 0.5, 2.0])
def test_the_function_sends_as_many_bytes_as_the_formula_says(megabytes: float) -> None:
    """4/3 of the image, and less than 100 bytes of JSON."""
    size = round(megabytes * model.MILLION)
    body = a_body(bytes(size), "image/jpeg")

    sent = sum(map(len, body))

    assert sent == len(body)
    assert 0 < sent - model.base64_bytes(size) < 100


def test_the_counted_bytes_are_those_of_the_formula() -> None:
    """The proxy counted base64 and headers, or no image at all with its URL."""
    assert 300 < model.request_bytes("base64") < 1_000
    assert 500 < model.request_bytes("url") < 4_000
    assert model.count(model.API_BYTES, SINGLE) == pytest.approx(
        model.transfer_bytes(0.1), rel=0.001
    )


def test_an_image_costs_what_the_formula_of_the_page_says() -> None:
    """With b = 10 and b = 1, for the example's t, o, m and s."""
    for run, batch in ((FULL, 10), (SINGLE, 1)):
        own = model.SINGLE_SECONDS if run == SINGLE else model.INVOCATION_SECONDS
        seconds = model.ANSWER_SECONDS + own
        dollars = model.per_image(run)

        assert dollars["Lambda"] * model.MILLION == pytest.approx(
            0.2 / batch + 13.3334 * seconds * model.MEMORY_GB / batch
        )
        assert dollars["SQS"] * model.MILLION == pytest.approx(0.4 * (1 + 2 / batch))
        assert dollars["DynamoDB"] * model.MILLION == pytest.approx(
            0.625 * (model.RESULT_KB + 3) + 0.125 * (2 + 1 / batch)
        )


@pytest.mark.parametrize("run", BATCHED)
def test_transfer_is_the_largest_item_above_the_size_on_the_page(run: Run) -> None:
    """Not below it."""
    largest = max(model.per_image(run).values())
    size = model.largest_item_from(run)

    assert model.transfer(size * 1.01) > largest
    assert model.transfer(size * 0.99) < largest


def test_by_url_the_image_s_own_bytes_leave_aws() -> None:
    """And the request with the URL."""
    assert model.transfer_bytes(2.0, "url") == pytest.approx(2_000_000, rel=0.002)
    assert model.transfer_bytes(2.0) == pytest.approx(2_000_000 * 4 / 3, rel=0.001)


@pytest.mark.parametrize(
    ("per_minute", "window", "images", "wait"),
    [
        (60, 0, 1.0, 0.0),
        (1, 5, 1 + 5 / 60, 4.81),
        (60, 5, 6.0, 5 * 3.5 / 6),
        (600, 5, 10.0, 0.9 * 5.5 / 10),
    ],
)
def test_a_window_makes_batches_of_images_that_wait(
    per_minute: int, window: int, images: float, wait: float
) -> None:
    """The first image of a batch waits for the whole window, unless ten are there before."""
    assert model.with_window(per_minute, window) == pytest.approx(
        (images, wait), abs=0.01
    )


def test_lambda_costs_memory_and_seconds_and_a_share_of_a_request() -> None:
    """With 512 MB, as everywhere on the page."""
    assert model.of_lambda(512, 10, 2.3) * model.MILLION == pytest.approx(
        (0.2 + 13.3334 * 2.3 * 0.5) / 10
    )


def test_the_assumed_seconds_have_the_measured_ones_in_them() -> None:
    """Rounded: if a measurement moves one of them, docs/scale.md is to be simulated again."""
    for assumed, batch in ((model.INVOCATION_SECONDS, 10), (model.SINGLE_SECONDS, 1)):
        own = model.own_seconds(model.MEMORY, batch)

        assert assumed == round(model.AWS_SECONDS + own, 1)
    assert model.COLD_START_SECONDS == round(model.cold_cpu_seconds() + 0.2, 1)


def test_the_seconds_beside_the_answer_are_those_of_the_benchmark() -> None:
    """Milliseconds of an image times the images of a batch, without the API's 500 ms."""
    for one in saved():
        if one["kilobytes"] == 300 and one["processes"] == 2:
            own = model.own_seconds(one["memory"], one["batch"])

            assert one["hangtag"]["billed ms"] * one["batch"] == pytest.approx(
                1_000 * (own + 0.5)
            )


def test_an_alarm_with_metric_math_is_billed_by_its_metrics() -> None:
    """CloudWatch bills each metric that an alarm watches, but not the expression."""
    template = """
    Resources:
      Reconcile:
        Type: AWS::Scheduler::Schedule
        Properties: {ScheduleExpression: rate(30 minutes)}
      Plain:
        Type: AWS::CloudWatch::Alarm
        Properties: {MetricName: !Ref Name}
      Math:
        Type: AWS::CloudWatch::Alarm
        Properties:
          Metrics: [{Expression: a + b}, {Id: a, MetricStat: {}}, {Id: b, MetricStat: {}}]
    """

    month = read_month(template)

    assert (month.alarms, month.alarm_metrics) == (2, 3)
    assert month.alarm_cost == pytest.approx(0.30)
    assert month.reconciles_per_day == 48
