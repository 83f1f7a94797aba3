"""Alarms and the dashboard use metrics that are published; alarms link to the runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hangtag.metrics import NAMESPACE, SERVICE, Metric
from hangtag.tagger_api.errors import leaves
from tests.template.cloudformation import ROOT, read_template

TEMPLATE = read_template()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
ALARMS = {
    name: resource
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}

AWS_METRICS = {
    "AWS/SQS": (
        {
            "ApproximateNumberOfMessagesVisible",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateAgeOfOldestMessage",
        },
        {"QueueName"},
    ),
    "AWS/Lambda": ({"Invocations", "Errors", "Throttles"}, {"FunctionName"}),
}
"""The metrics that AWS publishes for queues and functions, and their dimensions, by namespace."""

STACK = {"Ref": "AWS::StackName"}


def used_metrics() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield resource, namespace, metric and dimensions for every use of a metric."""
    for name, alarm in ALARMS.items():
        properties = alarm["Properties"]
        single = [properties] if "MetricName" in properties else []
        in_queries = [
            query["MetricStat"]["Metric"]
            for query in properties.get("Metrics", [])
            if "MetricStat" in query
        ]
        for metric in (*single, *in_queries):
            dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
            yield name, metric["Namespace"], metric["MetricName"], dimensions
    for widget in dashboard()["widgets"]:
        plain = (one for one in widget["properties"]["metrics"] if len(one) > 1)
        for namespace, metric, *pairs in plain:
            dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
            yield "Dashboard", namespace, metric, dimensions


def dashboard() -> dict[str, Any]:
    """Return the dashboard's body, with the placeholders of `Fn::Sub` not replaced."""
    body: dict[str, Any] = json.loads(
        RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    )
    return body


USED_METRICS = list(used_metrics())
CODES = {(leaf.code, leaf.kind) for leaf in leaves()}


@pytest.mark.parametrize(
    ("resource", "namespace", "metric", "dimensions"),
    USED_METRICS,
    ids=[f"{resource}-{metric}" for resource, _, metric, _ in USED_METRICS],
)
def test_alarms_and_the_dashboard_use_published_metrics(
    resource: str, namespace: str, metric: str, dimensions: dict[str, Any]
) -> None:
    """An alarm on a metric without data never changes to ALARM."""
    if namespace == NAMESPACE:
        own = dict(dimensions)
        assert own.pop(SERVICE) in (STACK, "${AWS::StackName}"), resource
        assert tuple(own) in ((), Metric(metric).dimensions)
        if "code" in own:  # an unknown code has no data
            assert (own["code"], own["kind"]) in CODES
    else:
        metrics, names = AWS_METRICS[namespace]
        assert metric in metrics
        assert set(dimensions) == names


def is_raised(alarm: str, numbers: dict[str, float]) -> bool:
    """Whether these numbers, by query id, raise an alarm with metric math."""
    properties = ALARMS[alarm]["Properties"]
    [expression] = [one for one in properties["Metrics"] if "Expression" in one]
    ids = {one["Id"] for one in properties["Metrics"] if "MetricStat" in one}
    assert set(numbers) <= ids
    names: dict[str, Any] = {
        "FILL": lambda value, default: default if value is None else value,
        "MAX": max,
        "IF": lambda condition, yes, no: yes if condition else no,
        **{name: numbers.get(name) for name in ids},
    }
    try:
        value = eval(expression["Expression"], {"__builtins__": {}}, names)  # noqa: S307 - our own
    except ZeroDivisionError:
        return False  # CloudWatch returns no data then
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"
    return bool(value > properties["Threshold"])


@pytest.mark.parametrize("code", ["609", "612", "623", "823"])
def test_the_systemic_alarm_is_raised_by_each_code_in_its_description(
    code: str,
) -> None:
    """One failure with any of the codes is enough."""
    assert f"c{code}" in {
        one["Id"]
        for one in ALARMS["SystemicFailuresAlarm"]["Properties"]["Metrics"]
        if one.get("MetricStat", {}).get("Metric", {}).get("Dimensions", [{}] * 2)[1]
        == {"Name": "code", "Value": code}
    }

    assert is_raised("SystemicFailuresAlarm", {f"c{code}": 1.0})
    assert not is_raised("SystemicFailuresAlarm", {})


@pytest.mark.parametrize(
    ("failed", "tagged", "raised"),
    [
        (None, None, False),
        (9, None, False),
        (10, None, True),
        (3, 7, True),
        (2, 8, False),
        (200, 801, False),
        (None, 100, False),
    ],
)
def test_the_failure_ratio_alarm_is_raised_above_a_fifth_of_at_least_ten(
    failed: float | None, tagged: float | None, *, raised: bool
) -> None:
    """A single failure at night raises no alarm."""
    given = {"failed": failed, "tagged": tagged}
    numbers = {name: value for name, value in given.items() if value is not None}

    assert is_raised("FailureRatioAlarm", numbers) is raised


@pytest.mark.parametrize(
    ("letters", "results", "raised"),
    [
        (None, 11, True),
        (11, None, True),
        (11, 0, True),
        (9, 9, False),
        (None, None, False),
    ],
)
def test_the_dead_letter_age_alarm_is_raised_by_either_metric_above_ten_days(
    letters: float | None, results: float | None, *, raised: bool
) -> None:
    """Operators then have four days before SQS deletes the letter."""
    given = {"letters": letters, "results": results}
    numbers = {
        name: 86_400 * value for name, value in given.items() if value is not None
    }

    assert is_raised("OldDeadLettersAlarm", numbers) is raised


@pytest.mark.parametrize(
    ("alarm", "statistic", "threshold"),
    [
        ("DeadLettersAlarm", "Maximum", 0),
        ("OldUploadsAlarm", "Maximum", 3_600),
        ("BreakerAlarm", "Maximum", 0),
        ("FunctionErrorsAlarm", "Sum", 0),
        ("FunctionThrottlesAlarm", "Sum", 0),
        ("ReplayErrorsAlarm", "Sum", 0),
        ("ApiLatencyAlarm", "p90", 10_000),
    ],
)
def test_an_alarm_has_the_statistic_and_threshold_of_its_description(
    alarm: str, statistic: str, threshold: float
) -> None:
    """More than an hour, more than ten seconds, more than zero."""
    properties = ALARMS[alarm]["Properties"]
    used = properties.get("Statistic") or properties["ExtendedStatistic"]

    assert (used, properties["Threshold"]) == (statistic, threshold)
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"


def test_every_alarm_has_a_test_here() -> None:
    """A new alarm needs a test of its threshold."""
    single = {name for name, one in ALARMS.items() if "MetricName" in one["Properties"]}

    assert len(single) == 7
    assert set(ALARMS) - single == {
        "SystemicFailuresAlarm",
        "FailureRatioAlarm",
        "OldDeadLettersAlarm",
    }


def test_the_metrics_have_the_stack_name_as_a_dimension() -> None:
    """The metrics of two stacks in one account must not be added up."""
    variables = RESOURCES["TagUploads"]["Properties"]["Environment"]["Variables"]

    assert variables["POWERTOOLS_SERVICE_NAME"] == STACK


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_is_sent_when_it_starts_and_when_it_ends(name: str) -> None:
    """Both go to the topic that AlarmEmail subscribes to."""
    properties = ALARMS[name]["Properties"]

    assert properties["AlarmActions"] == [{"Ref": "AlarmsTopic"}]
    assert properties["OKActions"] == [{"Ref": "AlarmsTopic"}]
    assert properties["TreatMissingData"] in ("notBreaching", "ignore")


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_links_an_existing_section_of_the_runbook(name: str) -> None:
    """The person on call starts there."""
    description = ALARMS[name]["Properties"]["AlarmDescription"]
    link = re.search(r"docs/operations\.md#([a-z-]+)$", description)
    assert link is not None
    runbook = (ROOT / "docs/operations.md").read_text("utf-8")

    headings = re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}

    assert link[1] in anchors


def test_alarms_with_metric_math_are_left_out_of_the_local_cloud() -> None:
    """The local cloud would reject the whole stack; AWS gets all alarms."""
    with_metric_math = {
        name for name, alarm in ALARMS.items() if "Metrics" in alarm["Properties"]
    }

    assert {
        name for name, alarm in ALARMS.items() if alarm.get("Condition") == "OnAws"
    } == with_metric_math


def test_the_dashboard_searches_a_published_metric() -> None:
    """It shows each value of the dimension; formats that were never found would be empty lines."""
    metric = Metric.FORMATS_REFUSED
    schema = ",".join([NAMESPACE, SERVICE, *metric.dimensions])
    searches = [
        one["expression"]
        for widget in dashboard()["widgets"]
        for one, *others in widget["properties"]["metrics"]
        if not others
    ]

    stack = f'{SERVICE}="${{AWS::StackName}}"'
    terms = f'{{{schema}}} MetricName="{metric}" {stack}'
    assert searches == [f"SEARCH('{terms}', 'Sum', 300)"]


def test_cloudwatch_may_publish_to_the_alarms_topic() -> None:
    """Only for alarms of this account."""
    statements = RESOURCES["AlarmsTopicPolicy"]["Properties"]["PolicyDocument"][
        "Statement"
    ]
    [allowed] = [
        one
        for one in statements
        if one["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    ]

    assert allowed["Action"] == "sns:Publish"
    assert allowed["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"}
    }
