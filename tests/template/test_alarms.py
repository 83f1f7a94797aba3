"""Alarms and the dashboard use metrics that are published; alarms link to the runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import pytest

from hangtag.adapters.emf_metrics import EmfMetrics
from hangtag.breaker import RECONCILE_MINUTES, SYSTEMIC_KINDS
from hangtag.ending import HAND_BACK_CAP_SECONDS
from hangtag.errors import HangtagError, QueueUnavailable, ResultsUnavailable
from hangtag.lifecycle import CallReason
from hangtag.metrics import NAMESPACE, PUBLISHED_TOGETHER, SERVICE, Metric
from hangtag.tagger_api.errors import KeyRefused, leaves
from hangtag.telemetry import NO_WORK, Called, DeadLettered, Event, Tagged
from tests.builders import NOON, a_dead_letter, an_upload
from tests.fakes import FakeClock
from tests.fakes.world import World
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
            "ApproximateNumberOfMessagesVisibleInQuietGroups",
            "ApproximateAgeOfOldestMessageInQuietGroups",
        },
        {"QueueName"},
    ),
    "AWS/Lambda": (
        {"Invocations", "Errors", "Throttles", "IteratorAge"},
        {"FunctionName"},
    ),
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
        assert tuple(own) == ()
        assert metric in set(Metric)
    else:
        metrics, names = AWS_METRICS[namespace]
        assert metric in metrics
        assert set(dimensions) == names


Data = Mapping[str, Sequence[float]]
"""The values of a period by metric. A metric that is left out has never had any data."""

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
}


def is_raised(alarm: str, data: Data) -> bool:
    """Whether these values of one period raise an alarm."""
    properties = ALARMS[alarm]["Properties"]
    value = value_of(properties, data)
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"
    # Missing data is "notBreaching", or "ignore" and then leaves the alarm as it was.
    return value is not None and value > resolved(properties["Threshold"])


def resolved(value: float | dict[str, str]) -> float:
    """A number of the template: itself, or the default of the parameter that it refers to."""
    if isinstance(value, dict):
        return float(TEMPLATE["Parameters"][value["Ref"]]["Default"])
    return value


def value_of(properties: dict[str, Any], data: Data) -> float | None:
    """The value that an alarm compares; None if CloudWatch has no data for it."""
    if "MetricName" in properties:
        found = data.get(properties["MetricName"])
        return STATISTICS[properties["Statistic"]](found) if found else None
    [expression] = [one for one in properties["Metrics"] if "Expression" in one]
    names: dict[str, Any] = {
        "FILL": lambda value, _default: value,
        "MAX": max,
        "IF": lambda condition, yes, no: yes if condition else no,
    }
    for query in properties["Metrics"]:
        if "MetricStat" in query:
            found = data.get(query["MetricStat"]["Metric"]["MetricName"])
            if not found:
                return None  # FILL cannot fill a metric that has never had any data
            names[query["Id"]] = STATISTICS[query["MetricStat"]["Stat"]](found)
    value: float = eval(expression["Expression"], {"__builtins__": {}}, names)  # noqa: S307 - our own
    return value


def published(
    capsys: pytest.CaptureFixture[str], events: Iterable[Event]
) -> dict[str, list[float]]:
    """The values with the stack's dimension alone that these events of an invocation publish."""
    metrics = EmfMetrics("my-stack", FakeClock())
    for event in events:
        metrics.emit(event)
    metrics.flush()
    data: dict[str, list[float]] = {}
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        for directive in line["_aws"]["CloudWatchMetrics"]:
            if [SERVICE] in directive["Dimensions"]:
                for metric in directive["Metrics"]:
                    name = metric["Name"]
                    data.setdefault(name, []).extend(line[name])
    return data


LEAVES = list(leaves())


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: str(leaf.code))
def test_the_first_failure_of_every_systemic_code_raises_the_systemic_alarm(
    leaf: type[HangtagError], capsys: pytest.CaptureFixture[str]
) -> None:
    """The alarm comes before the breaker opens, and failures of other kinds raise none."""
    world = World(max_attempts=1)
    world.tagger.fails_with(leaf("The API refuses."))

    world.tag(world.upload())

    data = published(capsys, world.telemetry.events)
    assert is_raised("SystemicFailuresAlarm", data) is (leaf.kind in SYSTEMIC_KINDS)
    assert not world.breaker_store.state.is_open


def test_the_systemic_alarm_needs_no_dead_letter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The fault is the same if the dead-letter queue and the table fail, too."""
    world = World()
    world.tagger.fails_with(KeyRefused("The API refuses."))
    world.breaker_store.fails_with(ResultsUnavailable("away"), at="count_failure")
    world.dead_letters.fails_with(QueueUnavailable("away"))

    world.tag(world.upload())

    assert world.dead_lettered == []
    data = published(capsys, world.telemetry.events)
    assert is_raised("SystemicFailuresAlarm", data)


def test_the_systemic_alarm_stays_while_an_open_breaker_lets_uploads_through() -> None:
    """
    Otherwise it would be sent and ended again and again.

    A single upload that was handed back often is hidden for up to half an hour.
    """
    properties = ALARMS["SystemicFailuresAlarm"]["Properties"]
    seconds = properties["EvaluationPeriods"] * properties["Period"]

    assert properties["DatapointsToAlarm"] == 1
    assert seconds > 60 * RECONCILE_MINUTES
    assert seconds >= HAND_BACK_CAP_SECONDS + properties["Period"]


@pytest.mark.parametrize(
    ("failed", "tagged", "raised"),
    [
        (0, 0, False),
        (9, 0, False),
        (10, 0, True),
        (3, 7, True),
        (2, 8, False),
        (200, 801, False),
        (0, 100, False),
    ],
)
def test_the_failure_ratio_alarm_is_raised_above_a_fifth_of_at_least_ten(
    failed: int, tagged: int, *, raised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A single failure at night raises no alarm.

    With 0 tagged or failed uploads, there have never been any.
    """
    upload = an_upload()
    events: list[Event] = [
        *([DeadLettered(a_dead_letter(upload))] * failed),
        *([Tagged(upload, NO_WORK, 1, None)] * tagged),
    ]

    data = published(capsys, events)

    assert is_raised("FailureRatioAlarm", data) is raised


@pytest.mark.parametrize(("calls", "raised"), [(10_000, False), (10_001, True)])
def test_a_flood_of_paid_calls_raises_an_alarm(
    calls: int, *, raised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call counts once, although the metric is published by reason, too."""
    events = [Called(reason, 0.5) for reason in islice(cycle(CallReason), calls)]

    data = published(capsys, events)

    assert sum(data["ApiCalls"]) == calls
    assert is_raised("ApiCallsAlarm", data) is raised


def test_the_alarm_on_calls_watches_a_day_and_can_be_left_out() -> None:
    """CloudWatch takes periods of more than an hour up to seven days."""
    alarm = ALARMS["ApiCallsAlarm"]
    properties = alarm["Properties"]

    assert properties["Period"] * properties["EvaluationPeriods"] == 24 * 3_600
    assert TEMPLATE["Conditions"][alarm["Condition"]] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "ApiCallsPerDayAlarm"}, "0"]}]
    }


def test_metric_math_uses_only_metrics_that_are_published_together() -> None:
    """An expression has no data while one of its metrics has never had any."""
    for alarm in ALARMS.values():
        used = [
            query["MetricStat"]["Metric"]["MetricName"]
            for query in alarm["Properties"].get("Metrics", [])
            if "MetricStat" in query
        ]
        assert set(used) in (set(), set(PUBLISHED_TOGETHER))


@pytest.mark.parametrize(
    ("alarm", "metric"),
    [
        ("OldDeadLettersAlarm", "ApproximateAgeOfOldestMessage"),
        ("OldFailuresAlarm", "OldestFailure"),
    ],
)
@pytest.mark.parametrize(
    ("days", "raised"), [(None, False), (0, False), (9, False), (11, True)]
)
def test_the_age_of_the_oldest_letter_or_failure_raises_its_alarm_above_ten_days(
    alarm: str, metric: str, days: float | None, *, raised: bool
) -> None:
    """Operators then have four days before SQS deletes the letter; None is no data ever."""
    data = {} if days is None else {metric: [0.0, 86_400 * days]}

    assert is_raised(alarm, data) is raised


@pytest.mark.parametrize("paused", [False, True])
def test_a_state_that_is_kept_without_data_is_published_by_every_run_of_the_schedule(
    capsys: pytest.CaptureFixture[str], *, paused: bool
) -> None:
    """An alarm that keeps its state without data would otherwise never change it."""
    world = World()
    if paused:
        world.breaker_store.pause(at=NOON)

    world.pipeline.reconcile(world.invocation())

    data = published(capsys, world.telemetry.events)
    kept = [
        alarm["Properties"]
        for alarm in ALARMS.values()
        if alarm["Properties"]["TreatMissingData"] == "ignore"
    ]
    assert {one["MetricName"] for one in kept} == {"BreakerOpen", "OldestFailure"}
    assert {one["MetricName"] for one in kept} <= set(data)
    assert all(one["Period"] >= 60 * RECONCILE_MINUTES for one in kept)


@pytest.mark.parametrize(
    ("alarm", "statistic", "threshold"),
    [
        ("DeadLettersAlarm", "Maximum", 0),
        ("OldDeadLettersAlarm", "Maximum", 864_000),
        ("OldFailuresAlarm", "Maximum", 864_000),
        ("OldUploadsAlarm", "Maximum", 3_600),
        ("SystemicFailuresAlarm", "Sum", 0),
        ("BreakerAlarm", "Maximum", 0),
        ("FunctionErrorsAlarm", "Sum", 0),
        ("FunctionThrottlesAlarm", "Sum", 0),
        ("ReplayErrorsAlarm", "Sum", 0),
        ("IndexFailuresAlarm", "Maximum", 0),
        ("IndexLagAlarm", "Maximum", 300_000),
        ("ApiLatencyAlarm", "p90", 10_000),
        ("ApiCallsAlarm", "Sum", {"Ref": "ApiCallsPerDayAlarm"}),
    ],
)
def test_an_alarm_has_the_statistic_and_threshold_of_its_description(
    alarm: str, statistic: str, threshold: float | dict[str, str]
) -> None:
    """More than an hour, more than ten seconds, more than zero."""
    properties = ALARMS[alarm]["Properties"]
    used = properties.get("Statistic") or properties["ExtendedStatistic"]

    assert (used, properties["Threshold"]) == (statistic, threshold)
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"


def test_every_alarm_has_a_test_here() -> None:
    """A new alarm needs a test of its threshold."""
    single = {name for name, one in ALARMS.items() if "MetricName" in one["Properties"]}

    assert len(single) == 13
    assert set(ALARMS) - single == {"FailureRatioAlarm"}


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
