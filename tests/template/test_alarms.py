"""Alarms and the dashboard look at numbers that somebody tells, and lead to the runbook."""

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

OF_AWS = {
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
"""What AWS tells of each queue and each function: metrics, and their dimensions."""

STACK = {"Ref": "AWS::StackName"}


def looked_at() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Who looks, the namespace, the metric and its dimensions."""
    for name, alarm in ALARMS.items():
        properties = alarm["Properties"]
        singles = [properties] if "MetricName" in properties else []
        calculated = [
            query["MetricStat"]["Metric"]
            for query in properties.get("Metrics", [])
            if "MetricStat" in query
        ]
        for metric in (*singles, *calculated):
            dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
            yield name, metric["Namespace"], metric["MetricName"], dimensions
    for widget in dashboard()["widgets"]:
        for namespace, metric, *pairs in widget["properties"]["metrics"]:
            dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
            yield "Dashboard", namespace, metric, dimensions


def dashboard() -> dict[str, Any]:
    """Its body, with what CloudFormation fills in as it is written."""
    body: dict[str, Any] = json.loads(
        RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    )
    return body


LOOKED_AT = list(looked_at())
CODES = {(leaf.code, leaf.kind) for leaf in leaves()}


@pytest.mark.parametrize(
    ("who", "namespace", "metric", "dimensions"),
    LOOKED_AT,
    ids=[f"{who}-{metric}" for who, _, metric, _ in LOOKED_AT],
)
def test_what_is_looked_at_is_told_by_somebody(
    who: str, namespace: str, metric: str, dimensions: dict[str, Any]
) -> None:
    """An alarm on a metric that nobody tells is never raised."""
    if namespace == NAMESPACE:
        own = dict(dimensions)
        assert own.pop(SERVICE) in (STACK, "${AWS::StackName}"), who
        assert tuple(own) in ((), Metric(metric).dimensions)
        if "code" in own:  # one that nobody has would never be raised
            assert (own["code"], own["kind"]) in CODES
    else:
        metrics, names = OF_AWS[namespace]
        assert metric in metrics
        assert set(dimensions) == names


def calculates(alarm: str, numbers: dict[str, float]) -> bool:
    """Whether an alarm that calculates is raised by these numbers, each by its query's id."""
    properties = ALARMS[alarm]["Properties"]
    [expression] = [one for one in properties["Metrics"] if "Expression" in one]
    ids = {one["Id"] for one in properties["Metrics"] if "MetricStat" in one}
    assert set(numbers) <= ids
    words: dict[str, Any] = {
        "FILL": lambda value, instead: instead if value is None else value,
        "MAX": max,
        "IF": lambda asked, yes, no: yes if asked else no,
        **{name: numbers.get(name) for name in ids},
    }
    try:
        value = eval(expression["Expression"], {"__builtins__": {}}, words)  # noqa: S307 - our own
    except ZeroDivisionError:
        return False  # CloudWatch has no number then
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"
    return bool(value > properties["Threshold"])


@pytest.mark.parametrize("code", ["609", "612", "623", "823"])
def test_the_systemic_alarm_looks_at_the_codes_that_it_names(code: str) -> None:
    """The key, the address and the account: one of them is enough, and none is silence."""
    assert f"c{code}" in {
        one["Id"]
        for one in ALARMS["SystemicFailuresAlarm"]["Properties"]["Metrics"]
        if one.get("MetricStat", {}).get("Metric", {}).get("Dimensions", [{}] * 2)[1]
        == {"Name": "code", "Value": code}
    }

    assert calculates("SystemicFailuresAlarm", {f"c{code}": 1.0})
    assert not calculates("SystemicFailuresAlarm", {})


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
def test_the_failure_ratio_is_raised_by_more_than_a_fifth_of_ten(
    failed: float | None, tagged: float | None, *, raised: bool
) -> None:
    """As it says; one failure at night wakes nobody."""
    given = {"failed": failed, "tagged": tagged}
    numbers = {name: value for name, value in given.items() if value is not None}

    assert calculates("FailureRatioAlarm", numbers) is raised


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
def test_the_age_of_letters_is_raised_by_whoever_tells_ten_days(
    letters: float | None, results: float | None, *, raised: bool
) -> None:
    """Four days are left then."""
    given = {"letters": letters, "results": results}
    numbers = {
        name: 86_400 * value for name, value in given.items() if value is not None
    }

    assert calculates("OldDeadLettersAlarm", numbers) is raised


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
def test_an_alarm_is_raised_by_what_its_description_says(
    alarm: str, statistic: str, threshold: float
) -> None:
    """More than an hour, more than ten seconds, more than none."""
    properties = ALARMS[alarm]["Properties"]
    looked_by = properties.get("Statistic") or properties["ExtendedStatistic"]

    assert (looked_by, properties["Threshold"]) == (statistic, threshold)
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"


def test_no_alarm_is_left_out_of_these_tests() -> None:
    """Each is raised by what it should be."""
    single = {name for name, one in ALARMS.items() if "MetricName" in one["Properties"]}

    assert len(single) == 7
    assert set(ALARMS) - single == {
        "SystemicFailuresAlarm",
        "FailureRatioAlarm",
        "OldDeadLettersAlarm",
    }


def test_the_function_tells_its_metrics_under_the_stacks_name() -> None:
    """Else two stacks of an account would add up."""
    variables = RESOURCES["TagUploads"]["Properties"]["Environment"]["Variables"]

    assert variables["POWERTOOLS_SERVICE_NAME"] == STACK


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_calls_somebody_and_says_when_it_is_over(name: str) -> None:
    """By the topic that AlarmEmail subscribes to."""
    properties = ALARMS[name]["Properties"]

    assert properties["AlarmActions"] == [{"Ref": "AlarmsTopic"}]
    assert properties["OKActions"] == [{"Ref": "AlarmsTopic"}]
    assert properties["TreatMissingData"] in ("notBreaching", "ignore")


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_names_its_section_of_the_runbook(name: str) -> None:
    """Whoever is woken at three reads on there."""
    description = ALARMS[name]["Properties"]["AlarmDescription"]
    named = re.search(r"docs/operations\.md#([a-z-]+)$", description)
    assert named is not None
    runbook = (ROOT / "docs/operations.md").read_text("utf-8")

    headings = re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}

    assert named[1] in anchors


def test_the_local_cloud_is_asked_for_no_alarm_that_calculates() -> None:
    """It would refuse the whole stack; on AWS they are all there."""
    calculating = {
        name for name, alarm in ALARMS.items() if "Metrics" in alarm["Properties"]
    }

    assert {
        name for name, alarm in ALARMS.items() if alarm.get("Condition") == "OnAws"
    } == calculating


def test_cloudwatch_may_call_by_the_topic_of_alarms() -> None:
    """For this account's alarms alone."""
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
