"""
Searches everything that a stack has produced for the API key, image bytes and presigned URLs.

The key and the images of a run carry random marks. A mark is found as it is, which covers every
escaping, because it has only letters and digits, and in base64, each also broken into lines.
"""

from __future__ import annotations

import json
import re
import string
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local.cloud import random_text
from local.watch import WatchedStack

MARK_LENGTH = 20
CONTEXT = 100  # characters
PRESIGNED = r"X-Amz-(?:Signature|Credential|Security-Token)(?:=|%(?:25)*3D|\\+u003d)"
LINE_BREAK = re.compile(
    r"[\0\r\n]|\\+(?:[nr]|(?:u00|x)0[AD])|%(?:25)*0[AD]|&#(?:0*1[03]|x0*[AD]);",
    re.IGNORECASE,
)
"""Also escaped."""
IN_BASE64 = ("X-Amz-Signature=", "X-Amz-Credential=")
Places = Iterable[tuple[str, str]]
"""Texts, each with the place where it was found."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The random texts in the API key and the images of a run."""

    key: tuple[str, str]
    """The beginning and the end of the key: a text that was cut has one of them."""
    image: str

    @classmethod
    def new(cls) -> Marks:
        """Return new marks."""
        return cls((new_mark(), new_mark()), new_mark())

    @property
    def api_key(self) -> str:
        """The API key; it changes when it is escaped for JSON, for a URL or for HTML."""
        return '+/"\\&='.join(self.key)

    def patterns(self) -> dict[str, re.Pattern[str]]:
        """Return what to search for, by its name."""
        return {
            "the API key": any_of(*map(forms_of, self.key)),
            "image bytes": any_of(forms_of(self.image)),
            "a presigned URL": re.compile(
                f"{PRESIGNED}|(?-i:{any_of(*map(in_base64, IN_BASE64)).pattern})",
                re.IGNORECASE,
            ),
        }


def new_mark() -> str:
    """Return a random text of letters and digits."""
    return random_text(string.ascii_letters + string.digits, MARK_LENGTH)


def echoes_of(key: str) -> str:
    """Return the text of an error that repeats the API key in every form."""
    escaped = json.dumps(key)[1:-1]
    return (
        f"key {key}, in JSON {escaped}, in a URL {quote(key, safe='')}, "
        f"in base64 {' '.join(b64encode(b'x' * n + key.encode()).decode() for n in range(3))}"
    )


def forms_of(text: str) -> list[str]:
    """Return a text as it is, and in base64."""
    return [text, *in_base64(text)]


def in_base64(text: str) -> list[str]:
    """
    Return the base64 of a text, in the alphabets of both kinds, without its ends.

    It depends on the number of bytes before it, modulo three; the characters at its ends also
    depend on its neighbours.
    """
    forms = []
    for before in range(3):
        encoded = b64encode(bytes(before) + text.encode()).decode()
        first = (before * 8 + 5) // 6
        last = (before + len(text)) * 8 // 6
        forms.append(encoded[first:last])
    return forms + [form.translate(URL_SAFE) for form in forms]


URL_SAFE = str.maketrans("+/", "-_")


def any_of(*forms: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that matches any of these texts."""
    return re.compile(
        "|".join(sorted({re.escape(one) for some in forms for one in some}))
    )


def leaks_in(places: Places, marks: Marks) -> list[str]:
    """Describe every mark in these texts: what it is, where, and the text around it."""
    patterns = marks.patterns()
    return [
        f"{name} in {place}: "
        f"...{text[max(0, found.start() - CONTEXT) : found.end() + CONTEXT]}..."
        for place, lines in places
        for text in [LINE_BREAK.sub("", lines)]
        for name, pattern in patterns.items()
        if (found := pattern.search(text))
    ]


def places_of(stack: WatchedStack, directory: Path) -> Iterator[tuple[str, str]]:
    """
    Yield everything that a stack has produced, except its images and the secret itself.

    `directory` has the logs of the stack's programs: the cloud's has the functions' output.
    """
    yield from in_logs(stack)
    yield from in_metrics(stack)
    yield from in_tables(stack)
    yield from in_large_results(stack)
    yield from in_queues(stack)
    yield from in_deployment(stack)
    yield from in_errors(stack)
    for file in sorted((*directory.glob("*.log"), *directory.glob("*.out"))):
        yield file.name, file.read_text(errors="replace")


def in_logs(stack: WatchedStack) -> Places:
    """Yield the events of all CloudWatch logs, metrics in EMF among them."""
    logs = stack.client("logs")
    for groups in logs.get_paginator("describe_log_groups").paginate():
        for group in groups["logGroups"]:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group["logGroupName"]
            )
            for page in pages:
                for event in page["events"]:
                    stream = event["logStreamName"]
                    yield f"{group['logGroupName']}, {stream}", event["message"]


def in_metrics(stack: WatchedStack) -> Places:
    """Yield the names and dimensions of the metrics, and the alarms with their reasons."""
    cloudwatch = stack.client("cloudwatch")
    for page in cloudwatch.get_paginator("list_metrics").paginate():
        for metric in page["Metrics"]:
            yield "a metric", as_text(metric)
    for page in cloudwatch.get_paginator("describe_alarms").paginate():
        for alarm in page["MetricAlarms"]:
            yield f"the alarm {alarm['AlarmName']}", as_text(alarm)


def in_tables(stack: WatchedStack) -> Places:
    """Yield the items of all tables: records and results."""
    dynamodb = stack.client("dynamodb")
    for name in dynamodb.list_tables()["TableNames"]:
        for page in dynamodb.get_paginator("scan").paginate(TableName=name):
            for item in page["Items"]:
                yield f"the table {name}", as_text(item)


def in_large_results(stack: WatchedStack) -> Places:
    """Yield the results that no item takes."""
    s3, bucket = stack.client("s3"), stack.outputs["LargeResultsBucketName"]
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for one in page.get("Contents", ()):
            found = s3.get_object(Bucket=bucket, Key=one["Key"])
            yield f"the large result {one['Key']}", found["Body"].read().decode()


def in_queues(stack: WatchedStack) -> Places:
    """Yield the messages in all queues, dead letters among them, and the announcements."""
    for one in stack.announcements():  # they leave the subscriber's queue
        yield "an announcement", as_text([one.document, one.attributes])
    accounts = json.loads(stack.access.get("/_ministack/sqs/messages"))["messages"]
    for regions in accounts.values():
        for queues in regions.values():
            for url, messages in queues.items():
                for message in messages:
                    yield f"the queue {url.rpartition('/')[2]}", as_text(message)


def in_deployment(stack: WatchedStack) -> Places:
    """Yield the stack's parameters, outputs and events, and the functions' configurations."""
    cloudformation = stack.client("cloudformation")
    for one in cloudformation.describe_stacks()["Stacks"]:
        yield f"the stack {one['StackName']}", as_text(one)
        events = cloudformation.describe_stack_events(StackName=one["StackName"])
        yield f"the events of {one['StackName']}", as_text(events["StackEvents"])
    for function in stack.client("lambda").list_functions()["Functions"]:
        yield f"the function {function['FunctionName']}", as_text(function)


UNREADABLE_EVENTS = {
    "TagUploadsFunctionName": ("{}", "[]", '{"Records": [{"body": "no event"}]}'),
    "ReplayFailuresFunctionName": ('{"codes": 1}', "[]"),
    "IndexResultsFunctionName": ("{}", "[]", '{"Records": [{"dynamodb": {}}]}'),
}


def in_errors(stack: WatchedStack) -> Places:
    """Yield what the functions answer to events that they cannot read, with their last lines."""
    functions = stack.client("lambda")
    for output, events in UNREADABLE_EVENTS.items():
        name = stack.outputs[output]
        for event in events:
            answer = functions.invoke(FunctionName=name, Payload=event, LogType="Tail")
            text = answer["Payload"].read().decode()
            text += b64decode(answer.get("LogResult", "")).decode(errors="replace")
            yield f"an answer of {name}", text


def as_text(document: Mapping[str, Any] | list[Any]) -> str:
    """Return a response of AWS as JSON."""
    return json.dumps(document, default=str, ensure_ascii=False)
