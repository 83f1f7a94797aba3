"""Alarms and the dashboard look at numbers that somebody tells, and lead to the runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hangtag.failures import leaves
from hangtag.metrics import NAMESPACE, SERVICE, Metric
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


def test_the_systemic_alarm_looks_at_the_codes_that_it_names() -> None:
    """The key, the address and the account."""
    looked_at_codes = {
        dimensions["code"] for *_, dimensions in LOOKED_AT if "code" in dimensions
    }

    assert {"609", "612", "623", "823"} <= looked_at_codes


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
