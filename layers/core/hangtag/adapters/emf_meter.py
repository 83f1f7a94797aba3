"""The metrics, as lines of the log that CloudWatch reads (its Embedded Metric Format)."""

from __future__ import annotations

from threading import Lock

from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

from hangtag.metrics import NAMESPACE, Metric

_Values = dict[Metric, list[float]]


class EmfMeter:
    """
    `Meter` by Powertools' provider of the Embedded Metric Format.

    A line for the invocation as a whole, which alarms look at, and one for each combination of
    dimensions. Counts are summed up; of what was measured every value is told.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._lock = Lock()
        self._by_dimensions: dict[tuple[tuple[str, str], ...], _Values] = {}

    def add(self, metric: Metric, value: float = 1.0, **dimensions: str) -> None:
        with self._lock:
            for key in {(), tuple(dimensions.items())}:
                values = self._by_dimensions.setdefault(key, {})
                values.setdefault(metric, []).append(value)

    def flush(self) -> None:
        with self._lock:
            told, self._by_dimensions = self._by_dimensions, {}
        for dimensions, metrics in told.items():
            provider = AmazonCloudWatchEMFProvider(
                namespace=NAMESPACE, service=self._service
            )
            for name, text in dimensions:
                provider.add_dimension(name, text)
            for metric, values in metrics.items():
                for value in _told(metric, values):
                    provider.add_metric(name=metric, unit=metric.unit, value=value)
            provider.flush_metrics()


def _told(metric: Metric, values: list[float]) -> list[float]:
    if metric.unit == "Milliseconds":
        return [round(value, 1) for value in values]
    if metric is Metric.BREAKER_OPEN:
        return [max(values)]  # a state, not a number of events
    return [sum(values)]
