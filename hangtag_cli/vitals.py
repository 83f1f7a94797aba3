"""Ages, metrics, alarms and the key's age, from CloudWatch and Secrets Manager."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.metrics import NAMESPACE, SERVICE, Metric

_HOUR = timedelta(hours=1)
_RETENTION_DAYS = 14
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Vitals:
    """The state of a stack, from CloudWatch and Secrets Manager. None: unknown or denied."""

    has_metrics: bool = False
    """Whether CloudWatch answered."""
    oldest_upload_seconds: float | None = None
    """Age of the oldest message on the upload queue."""
    oldest_letter_seconds: float | None = None
    """Age of the oldest dead letter."""
    tagged_last_hour: int | None = None
    failed_last_hour: int | None = None
    latency_milliseconds: float | None = None
    """From upload to announcement, the median of the last hour."""
    alarms: tuple[str, ...] | None = None
    """Names of the stack's alarms in state ALARM."""
    key_changed_at: datetime | None = None

    def document(self) -> dict[str, object]:
        """As `status --json` prints it."""
        changed = self.key_changed_at
        return {
            "oldestSeconds": _whole(self.oldest_upload_seconds),
            "oldestLetterSeconds": _whole(self.oldest_letter_seconds),
            "lastHour": {
                "tagged": self.tagged_last_hour,
                "failed": self.failed_last_hour,
                "latencyMilliseconds": _whole(self.latency_milliseconds),
            },
            "alarms": None if self.alarms is None else list(self.alarms),
            "keyChangedAt": changed.isoformat() if changed else None,
        }

    def facts(self, *, now: datetime) -> Iterator[tuple[str, str]]:
        """As `status` shows it, without the ages, which it shows beside the numbers."""
        yield "last hour", self._last_hour()
        if self.alarms is None:
            yield "alarms", "unknown"
        else:
            yield "alarms", ", ".join(self.alarms) or "none is raised"
        changed = self.key_changed_at
        yield "key", f"set {span(now - changed)} ago" if changed else "age unknown"

    def _last_hour(self) -> str:
        if self.tagged_last_hour is None and self.failed_last_hour is None:
            return "no metrics" if self.has_metrics else "unknown"
        text = f"{self.tagged_last_hour or 0:,} tagged, {self.failed_last_hour or 0:,} failed"
        if self.latency_milliseconds is not None:
            seconds = self.latency_milliseconds / 1000
            text += f", half of them within {seconds:.1f} s of their upload"
        return text


def days_left(oldest_seconds: float | None) -> str | None:
    """How long the oldest upload may still wait, in words; None if its age is unknown."""
    if oldest_seconds is None:
        return None
    left = timedelta(days=_RETENTION_DAYS) - timedelta(seconds=oldest_seconds)
    return f"the oldest has {span(max(left, timedelta()))} left"


def read_vitals(
    cloudwatch: Any,  # noqa: ANN401 - its types are not installed
    secrets: Any,  # noqa: ANN401 - of the same kind
    *,
    stack_name: str,
    upload_queue: str,
    dead_letter_queue: str,
    secret_arn: str,
    now: datetime,
) -> Vitals:
    """
    The vitals of a stack now. *upload_queue* and *dead_letter_queue* are names.

    It raises nothing: if AWS refuses or has no value, that field is None.
    """
    asked = {
        "uploads": _of_queue(upload_queue),
        "letters": _of_queue(dead_letter_queue),
        "tagged": _of_stack(stack_name, Metric.IMAGES_TAGGED, "Sum"),
        "failed": _of_stack(stack_name, Metric.IMAGES_FAILED, "Sum"),
        "latency": _of_stack(stack_name, Metric.UPLOAD_TO_TAGGED_LATENCY, "p50"),
    }
    answer = _tried(lambda: _numbers(cloudwatch, asked, now=now))
    numbers = answer or {}
    described = _tried(lambda: secrets.describe_secret(SecretId=secret_arn)) or {}
    return Vitals(
        has_metrics=answer is not None,
        oldest_upload_seconds=_last(numbers.get("uploads")),
        oldest_letter_seconds=_last(numbers.get("letters")),
        tagged_last_hour=_sum(numbers.get("tagged")),
        failed_last_hour=_sum(numbers.get("failed")),
        latency_milliseconds=_last(numbers.get("latency")),
        alarms=_tried(lambda: _raised(cloudwatch, stack_name)),
        key_changed_at=described.get("LastChangedDate"),
    )


def oldest_seconds(
    cloudwatch: Any,  # noqa: ANN401 - its types are not installed
    *,
    queue: str,
    now: datetime,
) -> float | None:
    """The age of the oldest message on the queue of this name; None if unknown or denied."""
    asked = {"oldest": _of_queue(queue)}
    answer = _tried(lambda: _numbers(cloudwatch, asked, now=now)) or {}
    return _last(answer.get("oldest"))


def span(time: timedelta) -> str:
    """A duration in the unit that suits it."""
    if time >= timedelta(days=2):
        return f"{time.days:,} days"
    hours = int(time.total_seconds() // 3600)
    if hours >= 2:
        return f"{hours} hours"
    minutes = int(time.total_seconds() // 60)
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def _numbers(
    cloudwatch: Any,  # noqa: ANN401 - see above
    asked: Mapping[str, Mapping[str, Any]],
    *,
    now: datetime,
) -> dict[str, list[float]]:
    """The values of the last hour, newest first, by the names in *asked*."""
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[
            {"Id": name, "MetricStat": stat} for name, stat in asked.items()
        ],
        StartTime=now.astimezone(UTC) - _HOUR,
        EndTime=now.astimezone(UTC),
        ScanBy="TimestampDescending",
    )
    return {found["Id"]: found["Values"] for found in answer["MetricDataResults"]}


def _of_queue(name: str) -> dict[str, Any]:
    return {
        "Metric": {
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": name}],
        },
        "Period": 300,
        "Stat": "Maximum",
    }


def _of_stack(stack_name: str, metric: Metric, stat: str) -> dict[str, Any]:
    return {
        "Metric": {
            "Namespace": NAMESPACE,
            "MetricName": str(metric),
            "Dimensions": [{"Name": SERVICE, "Value": stack_name}],
        },
        "Period": 3600,
        "Stat": stat,
    }


def _raised(cloudwatch: Any, stack_name: str) -> tuple[str, ...]:  # noqa: ANN401
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"{stack_name}-", StateValue="ALARM"
    )
    # CloudFormation's names; those of a stack hangtag-prod also begin with hangtag-
    own = re.compile(re.escape(stack_name) + r"-[A-Za-z]+Alarm-")
    return tuple(
        alarm["AlarmName"]
        for page in pages
        for alarm in page.get("MetricAlarms", [])
        if own.match(alarm["AlarmName"])
    )


def _tried(ask: Callable[[], _T]) -> _T | None:
    try:
        return ask()
    except (ClientError, BotoCoreError):
        return None


def _last(values: list[float] | None) -> float | None:
    return values[0] if values else None


def _sum(values: list[float] | None) -> int | None:
    return round(sum(values)) if values else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def aged(number: str, seconds: float | None) -> str:
    """*number*, with the age of the oldest if it is known."""
    if seconds is None:
        return number
    return f"{number}, the oldest for {span(timedelta(seconds=seconds))}"
