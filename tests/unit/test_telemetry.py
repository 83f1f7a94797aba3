"""The log lines and metrics of each event."""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, get_args

import pytest
from aws_lambda_powertools import Logger

from hangtag.adapters.emf_metrics import EmfMetrics
from hangtag.adapters.log_telemetry import LogTelemetry
from hangtag.errors import HangtagError, ResultsUnavailable
from hangtag.lifecycle import CallReason
from hangtag.metrics import Metric
from hangtag.tagger_api.errors import leaves
from hangtag.telemetry import (
    BreakerSeen,
    Called,
    DeadLettered,
    Event,
    Fanout,
    HandedBack,
    OldestFailure,
    Removed,
    Skipped,
    SystemicFailure,
    Tagged,
    Trouble,
    Unforeseen,
    Work,
)
from hangtag.text import to_log_line
from hangtag.uploads import SkipReason
from tests import hostile
from tests.builders import NOON_SECONDS, a_dead_letter, an_upload
from tests.fakes import FakeClock
from tests.fakes.telemetry import FakeTelemetry

UPLOAD = an_upload("dress.jpg")
ABOUT_UPLOAD = {"uri": UPLOAD.uri, "version": UPLOAD.version}
WORK = Work(
    attempt=2,
    calls={CallReason.RETRY: 1, CallReason.PREFIX: 1},
    milliseconds={"read": 3, "all": 9},
)
ABOUT_WORK = {
    "attempt": 2,
    "calls": {"RETRY": 1, "PREFIX": 1},
    "milliseconds": {"read": 3, "all": 9},
}
ABOUT_NO_WORK = {"attempt": 0, "calls": {}, "milliseconds": {}}

TAGGED = Tagged(UPLOAD, WORK, objects=3, seconds_since_upload=2.5)
REMOVED = Removed(UPLOAD, WORK)
SKIPPED = Skipped(SkipReason.OBJECT_GONE, UPLOAD.uri, UPLOAD, WORK)
DEAD_LETTERED = DeadLettered(a_dead_letter(UPLOAD, replays=4), UPLOAD, WORK)
FORMAT_REFUSED, UNKNOWN_REFUSED = (
    DeadLettered(
        a_dead_letter(UPLOAD, code="UNSUPPORTED_FORMAT", image_format=found),
        UPLOAD,
        WORK,
    )
    for found in ("HEIC", "")
)
HANDED_BACK = HandedBack(
    UPLOAD, "API_TIMEOUT", "It is\nslow.", 12.5, WORK, is_attempt=True
)
CALLED = Called(CallReason.FIRST, seconds=0.5)
SYSTEMIC = SystemicFailure("609")
BREAKER_OPENED = BreakerSeen("opened", 5, "609", "Wrong\nkey.")
OLDEST_FAILURE = OldestFailure(seconds=864_000.0)
TROUBLE = Trouble("reading the breaker", ResultsUnavailable("away\n"))
UNFORESEEN = Unforeseen("message-1", KeyError("a bug"))

SAMPLES: dict[type[Event], Event] = {
    type(event): event
    for event in (
        TAGGED,
        REMOVED,
        SKIPPED,
        DEAD_LETTERED,
        HANDED_BACK,
        CALLED,
        SYSTEMIC,
        BREAKER_OPENED,
        OLDEST_FAILURE,
        TROUBLE,
        UNFORESEEN,
    )
}


class Log:
    """A log and its lines."""

    def __init__(self, service: str) -> None:
        self._stream = io.StringIO()
        self.telemetry = LogTelemetry(
            Logger(service=service, stream=self._stream, json_serializer=to_log_line)
        )

    def lines(self) -> list[dict[str, Any]]:
        """Each line without the logger's own fields."""
        added = ("location", "timestamp", "service")
        return [
            {
                name: value
                for name, value in json.loads(line).items()
                if name not in added
            }
            for line in self.text().splitlines()
        ]

    def text(self) -> str:
        """All that was written."""
        return self._stream.getvalue()


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Log:
    """A new log for each test: Powertools keeps one logger per service."""
    return Log(request.node.nodeid)


class Metrics:
    """Metrics, and the values that CloudWatch would read from their lines."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.telemetry = EmfMetrics("my-stack", FakeClock(NOON_SECONDS))

    def flushed(self) -> list[dict[str, Any]]:
        """The lines of a flush."""
        self.telemetry.flush()
        return [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]

    def published(self) -> dict[str, list[float]]:
        """The values of each metric, by its name and dimensions."""
        values: dict[str, list[float]] = {}
        for line in self.flushed():
            for directive in line["_aws"]["CloudWatchMetrics"]:
                for dimensions in directive["Dimensions"]:
                    texts = [line[name] for name in dimensions if name != "service"]
                    for metric in directive["Metrics"]:
                        name = " ".join([metric["Name"], *texts])
                        values.setdefault(name, []).extend(line[metric["Name"]])
        return values


@pytest.fixture
def metrics(capsys: pytest.CaptureFixture[str]) -> Metrics:
    """Metrics of a new invocation."""
    return Metrics(capsys)


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_the_log_and_the_metrics_accept_every_event(
    kind: type[Event], log: Log, metrics: Metrics
) -> None:
    """A new event needs a sample here and a branch in both."""
    fake = FakeTelemetry()

    Fanout(log.telemetry, metrics.telemetry, fake).emit(SAMPLES[kind])

    assert fake.of(kind) == [SAMPLES[kind]]


@pytest.mark.parametrize("telemetry", ["log", "metrics"])
def test_an_unknown_event_is_refused(
    telemetry: str, request: pytest.FixtureRequest
) -> None:
    """Otherwise the test above could not fail."""
    with pytest.raises(AssertionError):
        request.getfixturevalue(telemetry).telemetry.emit(object())


def test_a_fanout_flushes_each_target_once() -> None:
    """It has two targets here."""
    first, second = FakeTelemetry(), FakeTelemetry()

    Fanout(first, second).flush()

    assert (first.flushes, second.flushes) == (1, 1)


# ---- the log


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            TAGGED,
            {
                "level": "INFO",
                "message": "tagged",
                **ABOUT_UPLOAD,
                "objects": 3,
                **ABOUT_WORK,
            },
        ),
        (
            SKIPPED,
            {
                "level": "INFO",
                "message": "skipped",
                **ABOUT_UPLOAD,
                "reason": "OBJECT_GONE",
                **ABOUT_WORK,
            },
        ),
        (
            REMOVED,
            {"level": "INFO", "message": "removed", **ABOUT_UPLOAD, **ABOUT_WORK},
        ),
        (
            Skipped(SkipReason.TEST_EVENT, ""),
            {
                "level": "INFO",
                "message": "skipped",
                "uri": "",
                "version": "",
                "reason": "TEST_EVENT",
                **ABOUT_NO_WORK,
            },
        ),
        (
            DEAD_LETTERED,
            {
                "level": "ERROR",
                "message": "dead-lettered",
                **ABOUT_UPLOAD,
                "code": "807",
                "kind": "permanent",
                "reason": "Too small.",
                "replays": 4,
                **ABOUT_WORK,
                "attempt": 1,  # as in the dead letter
            },
        ),
        (
            FORMAT_REFUSED,
            {
                "level": "ERROR",
                "message": "dead-lettered",
                **ABOUT_UPLOAD,
                "code": "UNSUPPORTED_FORMAT",
                "kind": "permanent",
                "reason": "Too small.",
                "format": "HEIC",
                "replays": 0,
                **ABOUT_WORK,
                "attempt": 1,
            },
        ),
        (
            HANDED_BACK,
            {
                "level": "WARNING",
                "message": "handed back",
                **ABOUT_UPLOAD,
                "code": "API_TIMEOUT",
                "reason": "It is\nslow.",
                "delaySeconds": 12.5,
                **ABOUT_WORK,
            },
        ),
        (
            HandedBack(None, "QUEUE_UNAVAILABLE", "away", 10.0),
            {
                "level": "WARNING",
                "message": "handed back",
                "uri": "",
                "version": "",
                "code": "QUEUE_UNAVAILABLE",
                "reason": "away",
                "delaySeconds": 10.0,
                **ABOUT_NO_WORK,
            },
        ),
        (
            BREAKER_OPENED,
            {
                "level": "WARNING",
                "message": "breaker",
                "event": "opened",
                "failures": 5,
                "code": "609",
                "reason": "Wrong\nkey.",
            },
        ),
        (
            TROUBLE,
            {
                "level": "WARNING",
                "message": "trouble",
                "doing": "reading the breaker",
                "code": "RESULTS_UNAVAILABLE",
                "reason": "away\n",
            },
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_the_log_line_of_an_event(log: Log, event: Event, line: dict[str, Any]) -> None:
    """Operators' queries depend on the names."""
    log.telemetry.emit(event)

    assert log.lines() == [line]


def test_a_bug_is_logged_with_its_traceback(log: Log) -> None:
    """The line names the upload or the message."""
    log.telemetry.emit(UNFORESEEN)

    (line,) = log.lines()
    assert (line["level"], line["message"]) == ("ERROR", "unforeseen")
    assert line["uri"] == "message-1"
    assert "KeyError: 'a bug'" in line["exception"]


@pytest.mark.parametrize(
    "event",
    [CALLED, SYSTEMIC, OLDEST_FAILURE, BreakerSeen("open", 5, "609", "no")],
    ids=repr,
)
def test_an_event_without_news_has_no_line(log: Log, event: Event) -> None:
    """Calls are in the line of their upload; an open breaker has been logged before."""
    log.telemetry.emit(event)

    assert log.lines() == []


HOSTILE_UPLOAD = an_upload(hostile.TEXT, version_id=hostile.TEXT, etag=hostile.TEXT)
HOSTILE_ERROR = ValueError(hostile.TEXT)
HOSTILE_ERROR.add_note(hostile.TEXT)
HOSTILE_LETTER = a_dead_letter(
    HOSTILE_UPLOAD,
    code=hostile.TEXT,
    message=hostile.TEXT + hostile.BYTES,
    image_format=hostile.TEXT,
)
HOSTILE_SAMPLES: dict[type[Event], Event] = {
    **SAMPLES,
    Tagged: replace(TAGGED, upload=HOSTILE_UPLOAD),
    Removed: replace(REMOVED, upload=HOSTILE_UPLOAD),
    Skipped: replace(SKIPPED, upload=HOSTILE_UPLOAD, uri=HOSTILE_UPLOAD.uri),
    DeadLettered: DeadLettered(HOSTILE_LETTER, HOSTILE_UPLOAD, WORK),
    HandedBack: HandedBack(HOSTILE_UPLOAD, hostile.TEXT, hostile.TEXT, 1.0, WORK),
    BreakerSeen: BreakerSeen("opened", 5, hostile.TEXT, hostile.TEXT),
    Trouble: Trouble(hostile.TEXT, ResultsUnavailable(hostile.TEXT + hostile.BYTES)),
    Unforeseen: Unforeseen(hostile.TEXT, HOSTILE_ERROR),
}


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_a_line_of_the_function_is_printable_ascii(
    kind: type[Event], log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sam logs` prints keys and the API's messages on a terminal as they are."""
    emf = EmfMetrics("my-stack", FakeClock(NOON_SECONDS))
    both = Fanout(log.telemetry, emf)

    both.emit(HOSTILE_SAMPLES[kind])
    both.flush()

    for written in (log.text(), capsys.readouterr().out):
        assert re.fullmatch("([ -~]*\n)*", written)
    uris = [line["uri"] for line in log.lines() if "uri" in line]
    assert all(uri.endswith(hostile.TEXT) for uri in uris)


# ---- the metrics


@pytest.mark.parametrize(
    ("events", "published"),
    [
        (
            [TAGGED],
            {
                "ImagesTagged": [1],
                "ImagesFailed": [0],
                "UploadToTaggedLatency": [2_500],
            },
        ),
        (
            [Tagged(UPLOAD, WORK, 3, None)] * 2,
            {"ImagesTagged": [2], "ImagesFailed": [0]},
        ),
        (
            [Tagged(UPLOAD, WORK, 3, -0.2)],  # S3's clock is not Lambda's
            {"ImagesTagged": [1], "ImagesFailed": [0], "UploadToTaggedLatency": [0]},
        ),
        ([REMOVED, REMOVED], {"ImagesRemoved": [2]}),
        ([SKIPPED], {"ImagesSkipped": [1], "ImagesSkipped OBJECT_GONE": [1]}),
        (
            [
                Skipped(SkipReason.ALREADY_TAGGED, UPLOAD.uri, is_copy=True),
                Skipped(SkipReason.OBJECT_GONE, UPLOAD.uri, is_copy=True),
            ],
            {"DuplicatesAvoided": [2]},
        ),
        (
            [FORMAT_REFUSED, UNKNOWN_REFUSED, FORMAT_REFUSED],
            {
                "ImagesTagged": [0],
                "ImagesFailed": [3, 0],
                "ImagesFailed UNSUPPORTED_FORMAT permanent": [3],
                "FormatsRefused": [2, 1],  # a line for each format
                "FormatsRefused HEIC": [2],
                "FormatsRefused unknown": [1],
            },
        ),
        (
            [DEAD_LETTERED],
            {
                "ImagesTagged": [0],
                "ImagesFailed": [1, 0],  # the line without dimensions has the 0
                "ImagesFailed 807 permanent": [1],
            },
        ),
        ([HANDED_BACK], {"Retries": [1]}),
        ([HandedBack(UPLOAD, "RATE", "busy", 5.0)], {}),
        (
            [CALLED, Called(CallReason.FIRST, 0.75)],
            {
                "ApiCalls": [2],
                "ApiCalls FIRST": [2],
                "ApiLatency": [500, 750],
            },
        ),
        ([SYSTEMIC, SYSTEMIC], {"SystemicFailures": [2]}),
        ([BREAKER_OPENED], {"BreakerOpen": [1]}),
        (
            [BREAKER_OPENED, BREAKER_OPENED, BreakerSeen("let through", 5, "", "")],
            {"BreakerOpen": [1]},
        ),
        ([BreakerSeen("at rest", 0, "", "")], {"BreakerOpen": [0]}),
        ([OLDEST_FAILURE], {"OldestFailure": [864_000]}),
        ([TROUBLE, UNFORESEEN], {}),
    ],
)
def test_the_metrics_of_events(
    metrics: Metrics, events: list[Event], published: dict[str, list[float]]
) -> None:
    """Counts are summed, latencies keep each value, and of states the highest is kept."""
    for event in events:
        metrics.telemetry.emit(event)

    assert metrics.published() == published


def test_every_metric_is_published_by_some_event(metrics: Metrics) -> None:
    """An alarm on an unpublished metric never fires."""
    for event in SAMPLES.values():
        metrics.telemetry.emit(event)
    metrics.telemetry.emit(Skipped(SkipReason.ALREADY_TAGGED, UPLOAD.uri, is_copy=True))
    metrics.telemetry.emit(FORMAT_REFUSED)

    assert {name.split()[0] for name in metrics.published()} == set(Metric)


def test_a_metric_has_one_count_over_all_codes(metrics: Metrics) -> None:
    """Alarms watch the sum; operators look at single codes."""
    for code in ("807", "805", "807"):
        metrics.telemetry.emit(DeadLettered(a_dead_letter(UPLOAD, code=code)))

    published = metrics.published()

    assert {name: sum(values) for name, values in published.items()} == {
        "ImagesTagged": 0,
        "ImagesFailed": 3,
        "ImagesFailed 805 permanent": 1,
        "ImagesFailed 807 permanent": 2,
    }


def test_codes_that_the_api_makes_up_are_counted_together(metrics: Metrics) -> None:
    """CloudWatch charges for each code; the log has the code itself."""
    for code in ("831", "999999", "HTTP_599", "HTTP_999", "HTTP_503", "BAD_ANSWER"):
        metrics.telemetry.emit(DeadLettered(a_dead_letter(UPLOAD, code=code)))

    published = metrics.published()

    assert {name: sum(values) for name, values in published.items()} == {
        "ImagesTagged": 0,
        "ImagesFailed": 6,
        "ImagesFailed other permanent": 4,
        "ImagesFailed HTTP_503 permanent": 1,
        "ImagesFailed BAD_ANSWER permanent": 1,
    }


@pytest.mark.parametrize("leaf", [*leaves()], ids=lambda leaf: leaf.code)
def test_every_listed_code_is_counted_by_itself(
    metrics: Metrics, leaf: type[HangtagError]
) -> None:
    """Operators look at single codes."""
    metrics.telemetry.emit(DeadLettered(a_dead_letter(UPLOAD, code=leaf.code)))

    assert f"ImagesFailed {leaf.code} permanent" in metrics.published()


def test_a_line_is_in_the_embedded_metric_format(metrics: Metrics) -> None:
    """CloudWatch specifies it."""
    metrics.telemetry.emit(DEAD_LETTERED)

    line, _ = metrics.flushed()

    assert line == {
        "_aws": {
            "Timestamp": 1000 * NOON_SECONDS,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Hangtag",
                    "Dimensions": [["service"], ["service", "code", "kind"]],
                    "Metrics": [{"Name": "ImagesFailed", "Unit": "Count"}],
                }
            ],
        },
        "service": "my-stack",
        "code": "807",
        "kind": "permanent",
        "ImagesFailed": [1],
    }
    assert isinstance(line["_aws"]["Timestamp"], int)


def test_many_values_are_spread_over_several_lines(
    metrics: Metrics,
) -> None:
    """CloudWatch reads up to a hundred values of a metric per line; a batch may have more calls."""
    for number in range(250):
        metrics.telemetry.emit(Called(CallReason.FIRST, number / 1000))

    lines = [line for line in metrics.flushed() if "ApiLatency" in line]

    assert [len(line["ApiLatency"]) for line in lines] == [100, 100, 50]
    assert [value for line in lines for value in line["ApiLatency"]] == [*range(250)]


def test_a_flush_prints_and_clears_the_metrics(metrics: Metrics) -> None:
    """The next flush has only later events; an idle stack costs no metrics."""
    metrics.telemetry.emit(TAGGED)
    assert metrics.flushed() != []

    assert metrics.flushed() == []


def test_threads_share_the_metrics(metrics: Metrics) -> None:
    """No event is lost."""
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(metrics.telemetry.emit, [CALLED] * 2_000):
            pass

    published = metrics.published()
    assert published["ApiCalls"] == [2_000]
    assert len(published["ApiLatency"]) == 2_000
