"""
The metrics, as lines of the log that CloudWatch reads: its Embedded Metric Format (EMF).

Specification: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/
CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from threading import Lock
from typing import assert_never

from hangtag.errors import UnsupportedFormat
from hangtag.failure import UNKNOWN_FORMAT, Failure
from hangtag.metrics import (
    NAMESPACE,
    OTHER_CODE,
    PUBLISHED_TOGETHER,
    SERVICE,
    Metric,
)
from hangtag.ports import Clock
from hangtag.tagger_api.errors import leaves
from hangtag.telemetry import (
    BreakerSeen,
    Called,
    DeadLettered,
    Event,
    HandedBack,
    OldestFailure,
    Removed,
    Skipped,
    SystemicFailure,
    Tagged,
    Trouble,
    Unforeseen,
)
from hangtag.text import to_log_line

_MAX_VALUES = (
    100  # of a metric in a line; EMF also limits the metrics, to more than we have
)

_Dimensions = tuple[tuple[str, str], ...]
_Measurement = tuple[Metric, float, tuple[str, ...]]
"""A metric, its value, and the values of `Metric.dimensions`."""


class EmfMetrics:
    """
    `Telemetry` as metrics; `flush` prints them to stdout, which is the function's log.

    A line for each combination of dimensions. A metric with dimensions is published with and
    without them: alarms watch all error codes together, people look at one. Counts are summed,
    of latencies every value is kept.
    """

    def __init__(self, service: str, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._lock = Lock()
        self._values: dict[_Dimensions, dict[Metric, list[float]]] = {}

    def emit(self, event: Event) -> None:
        for metric, value, texts in _measurements(event):
            dimensions = tuple(zip(metric.dimensions, texts, strict=True))
            with self._lock:
                metrics = self._values.setdefault(dimensions, {})
                metrics.setdefault(metric, []).append(value)

    def flush(self) -> None:
        with self._lock:
            taken, self._values = self._values, {}
        if any(map(set(PUBLISHED_TOGETHER).intersection, taken.values())):
            total = taken.setdefault((), {})
            for metric in PUBLISHED_TOGETHER:
                total.setdefault(metric, [0])
        timestamp = round(1000 * self._clock.now())
        for dimensions, metrics in taken.items():
            for values in _lines({m: _published(m, v) for m, v in metrics.items()}):
                document = _document(
                    {SERVICE: self._service, **dict(dimensions)}, values, timestamp
                )
                print(to_log_line(document))  # noqa: T201 - EMF's way


_COUNTED = {
    Removed: Metric.IMAGES_REMOVED,
    SystemicFailure: Metric.SYSTEMIC_FAILURES,
}
"""The metrics of events that are only counted."""


def _measurements(event: Event) -> Iterator[_Measurement]:
    match event:
        case Tagged():
            yield from _measurements_of_tagged(event.seconds_since_upload)
        case Skipped():
            yield _measurement_of_skip(event)
        case DeadLettered():
            yield from _measurements_of_failure(event.letter.failure)
        case HandedBack(is_attempt=True):
            yield Metric.RETRIES, 1, ()
        case Called():
            yield Metric.API_CALLS, 1, (event.reason,)
            yield Metric.API_LATENCY, 1000 * event.seconds, ()
        case Removed() | SystemicFailure():
            yield _COUNTED[type(event)], 1, ()
        case BreakerSeen():
            yield Metric.BREAKER_OPEN, int(event.is_open), ()
        case OldestFailure():
            yield Metric.OLDEST_FAILURE, event.seconds, ()
        case HandedBack() | Trouble() | Unforeseen():
            pass  # only the log has them
        case _:
            assert_never(event)


def _measurements_of_tagged(seconds: float | None) -> Iterator[_Measurement]:
    yield Metric.IMAGES_TAGGED, 1, ()
    if seconds is not None:
        yield Metric.UPLOAD_TO_TAGGED_LATENCY, 1000 * max(0.0, seconds), ()


# CloudWatch charges for each combination of dimensions, and the API chooses numbers and statuses
_PUBLISHED_CODES = {leaf.code for leaf in leaves()} | {
    f"HTTP_{status.value}" for status in HTTPStatus if status >= 400
}


def _measurements_of_failure(failure: Failure) -> Iterator[_Measurement]:
    code = failure.code if failure.code in _PUBLISHED_CODES else OTHER_CODE
    yield Metric.IMAGES_FAILED, 1, (code, failure.kind)
    if failure.code == UnsupportedFormat.code:
        yield Metric.FORMATS_REFUSED, 1, (failure.image_format or UNKNOWN_FORMAT,)


def _measurement_of_skip(event: Skipped) -> _Measurement:
    if event.is_copy:
        return Metric.DUPLICATES_AVOIDED, 1, ()
    return Metric.IMAGES_SKIPPED, 1, (event.reason,)


def _published(metric: Metric, values: list[float]) -> list[float]:
    if metric.unit == "Milliseconds":
        return [round(value, 1) for value in values]
    if metric.unit == "Count" and metric is not Metric.BREAKER_OPEN:
        return [sum(values)]
    return [max(values)]  # a state


def _lines(
    metrics: Mapping[Metric, list[float]],
) -> Iterator[dict[Metric, list[float]]]:
    longest = max(map(len, metrics.values()))
    for first in range(0, longest, _MAX_VALUES):
        yield {
            metric: part
            for metric, values in metrics.items()
            if (part := values[first : first + _MAX_VALUES])
        }


def _document(
    dimensions: Mapping[str, str], values: Mapping[Metric, list[float]], timestamp: int
) -> dict[str, object]:
    names = [*dimensions]
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[SERVICE], names] if len(names) > 1 else [names],
        "Metrics": [{"Name": metric, "Unit": metric.unit} for metric in values],
    }
    return {
        "_aws": {"Timestamp": timestamp, "CloudWatchMetrics": [directive]},
        **dimensions,
        **{str(metric): some for metric, some in values.items()},
    }
