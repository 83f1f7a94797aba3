"""The stack tags its own bucket or an existing one, and AWS filters keys as far as it can."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from hangtag.selection import Selection, read_values
from tests.builders import sample_event
from tests.template.cloudformation import (
    Deployment,
    policy_statements,
    read_template,
    references,
)

TEMPLATE = read_template()
EXISTING = {"ExistingBucketName": "shop-images"}

KEYS = (
    *("summer/a.jpg", "summer/.jpg", "summer/a.JPG", "summer/a.png", "summer/a.gif"),
    *("winter/a.jpg", "winter/a.png", "autumn/a.jpg", "Summer/a.jpg", "a.jpg"),
    *("summer/a b+c%.jpg", "summer/봄.jpg", "x/summer/a.jpg", "summer", ""),
)
PREFIXES = ("", "summer/", "summer/,winter/")
SUFFIXES = ("", ".jpg", ".jpg,.png")


def deployed(**parameters: str) -> dict[str, Any]:
    """The resources of a stack with these parameters."""
    return Deployment(TEMPLATE, parameters=parameters).resources()


def text_of(value: object, parameters: Mapping[str, str]) -> str:
    """The value of a `Ref` or an `Fn::Sub` of parameters."""
    match value:
        case {"Ref": str(name)}:
            return parameters[name]
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(\w+)\}", lambda found: parameters[found[1]], text)
        case _:
            return str(value)


def passes_s3(parameters: Mapping[str, str], key: str) -> bool:
    """Whether the own bucket's notifications include a key."""
    notifications = deployed(**parameters)["UploadsBucket"]["Properties"][
        "NotificationConfiguration"
    ]["QueueConfigurations"]
    tests = {"prefix": key.startswith, "suffix": key.endswith}
    passes = {
        all(
            tests[rule["Name"]](text_of(rule["Value"], parameters))
            for rule in one.get("Filter", {"S3Key": {"Rules": []}})["S3Key"]["Rules"]
        )
        for one in notifications
    }
    [passed] = passes  # the same for uploads and removals
    return passed


def passes_eventbridge(parameters: Mapping[str, str], key: str) -> bool:
    """Whether the rule for an existing bucket matches a key."""
    rule = deployed(**parameters, **EXISTING)["ExistingBucketEvents"]["Properties"]
    [matcher] = rule["EventPattern"]["detail"].get("object", {"key": [{"prefix": ""}]})[
        "key"
    ]
    [(operator, value)] = matcher.items()
    text = text_of(value, parameters)
    return {
        "prefix": key.startswith(text),
        "suffix": key.endswith(text),
        "wildcard": fnmatchcase(key, text),
    }[operator]


@pytest.mark.parametrize(
    "passes", [passes_s3, passes_eventbridge], ids=["own", "existing"]
)
@pytest.mark.parametrize("suffixes", SUFFIXES)
@pytest.mark.parametrize("prefixes", PREFIXES)
def test_aws_filters_by_a_single_prefix_and_a_single_suffix(
    prefixes: str, suffixes: str, passes: Callable[[Mapping[str, str], str], bool]
) -> None:
    """It lets every selected key through; the function skips what several values leave."""
    parameters = {"UploadPrefix": prefixes, "UploadSuffixes": suffixes}
    of_aws = Selection(
        *(() if "," in text else read_values(text) for text in (prefixes, suffixes))
    )

    let_through = {key for key in KEYS if passes(parameters, key)}

    assert let_through == {key for key in KEYS if of_aws.has(key)}


def test_without_a_filter_the_notification_and_the_rule_have_none() -> None:
    """An update of a stack without the two parameters changes neither."""
    notifications = deployed()["UploadsBucket"]["Properties"][
        "NotificationConfiguration"
    ]["QueueConfigurations"]
    rule = deployed(**EXISTING)["ExistingBucketEvents"]["Properties"]

    assert not any("Filter" in one for one in notifications)
    assert rule["EventPattern"]["detail"] == {
        "bucket": {"name": [{"Ref": "ExistingBucketName"}]}
    }


def test_nothing_is_created_in_an_existing_bucket() -> None:
    """A notification or a policy of the stack would replace those of its owner."""
    own, existing = deployed(), deployed(**EXISTING)

    assert set(own) - set(existing) == {"UploadsBucket", "UploadsBucketPolicy"}
    assert set(existing) - set(own) == {"ExistingBucketEvents"}
    users = {
        name
        for name, resource in existing.items()
        if "ExistingBucketName" in set(references(resource))
    }
    assert users == {"ExistingBucketEvents", "TagUploadsRole"}
    assert "UploadsBucket" not in set(references(existing))


def test_the_rule_matches_the_events_of_s3_for_the_bucket() -> None:
    """As the sample event has them; deletions, too."""
    event = sample_event("eventbridge-object-created")
    rule = deployed(**EXISTING)["ExistingBucketEvents"]["Properties"]
    pattern = rule["EventPattern"]

    assert event["source"] in pattern["source"]
    assert event["detail-type"] in pattern["detail-type"]
    assert pattern["detail-type"] == ["Object Created", "Object Deleted"]
    assert set(pattern["detail"]) <= set(event["detail"])
    assert "name" in event["detail"]["bucket"]
    assert "key" in event["detail"]["object"]


def test_an_event_that_eventbridge_cannot_deliver_goes_to_the_dead_letter_queue() -> (
    None
):
    """After a day, the most that EventBridge can retry; without permission at once."""
    [target] = deployed(**EXISTING)["ExistingBucketEvents"]["Properties"]["Targets"]

    assert target["Arn"] == {"Fn::GetAtt": ["UploadQueue", "Arn"]}
    assert target["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 24 * 60 * 60,
        "MaximumRetryAttempts": 185,
    }
    assert target["DeadLetterConfig"] == {
        "Arn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    }
    # AWS: with a role, EventBridge cannot send to an encrypted queue
    assert "RoleArn" not in target


@pytest.mark.parametrize(
    ("policy", "queue"),
    [
        ("UploadQueuePolicy", "UploadQueue"),
        ("DeadLetterQueuePolicy", "DeadLetterQueue"),
    ],
)
def test_the_queues_admit_only_the_rule_of_an_existing_bucket(
    policy: str, queue: str
) -> None:
    """S3 itself is no sender then, and EventBridge is none for the own bucket."""

    def senders(resources: dict[str, Any]) -> list[dict[str, Any]]:
        document = resources[policy]["Properties"]["PolicyDocument"]
        return [one for one in document["Statement"] if one["Effect"] == "Allow"]

    [statement] = senders(deployed(**EXISTING))
    own = json.dumps(senders(deployed()))

    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert statement["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["ExistingBucketEvents", "Arn"]}}
    }
    assert "events.amazonaws.com" not in own


@pytest.mark.parametrize(
    ("parameters", "bucket"),
    [({}, "UploadsBucket"), (EXISTING, "ExistingBucketName")],
    ids=["own", "existing"],
)
def test_the_function_reads_only_the_bucket_of_the_stack(
    parameters: dict[str, str], bucket: str
) -> None:
    """The output names the same bucket."""
    stack = Deployment(TEMPLATE, parameters=parameters)
    own = {"Resources": stack.resources()}
    of_s3 = {
        action: statement["Resource"]
        for name, statement in policy_statements(own)
        if name == "TagUploadsRole"
        for action in [statement["Action"]]
        if "s3:" in str(action) and statement["Sid"] != "KeepLargeResults"
        for action in ([action] if isinstance(action, str) else action)
    }
    arn = "arn:${AWS::Partition}:s3:::${Bucket}"

    assert of_s3 == {
        "s3:GetObject": {"Fn::Sub": [f"{arn}/*", {"Bucket": {"Ref": bucket}}]},
        "s3:GetObjectVersion": {"Fn::Sub": [f"{arn}/*", {"Bucket": {"Ref": bucket}}]},
        "s3:ListBucket": [
            {"Fn::Sub": [arn, {"Bucket": {"Ref": bucket}}]},
            {"Fn::GetAtt": ["LargeResultsBucket", "Arn"]},
        ],
    }
    output = TEMPLATE["Outputs"]["UploadsBucketName"]["Value"]
    assert stack.resolved(output) == {"Ref": bucket}


@pytest.mark.parametrize(
    "parameter", ["OldVersionsDays", "MultipartDays", "AccessLogBucketName"]
)
def test_a_parameter_of_the_own_bucket_says_that_it_has_no_effect_on_another(
    parameter: str,
) -> None:
    """The stack cannot change a bucket that it did not create."""
    description = TEMPLATE["Parameters"][parameter]["Description"]

    assert description.endswith("No effect on an existing bucket")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", True),
        ("summer/", True),
        ("summer/,winter/2026-01_a", True),
        (".jpg,.JPG,.jpeg", True),
        (".jpg, .png", False),
        (" summer/", False),
        ("summer/,", False),
        (",", False),
        ("summer/*", False),
        ("a+b", False),
        ("봄/", False),
        ('"', False),
        ("summer/\n", False),
    ],
)
@pytest.mark.parametrize("parameter", ["UploadPrefix", "UploadSuffixes"])
def test_a_filter_that_aws_reads_in_another_way_is_rejected(
    parameter: str, value: str, *, expected: bool
) -> None:
    """S3 takes + for a blank and %xx for others, and EventBridge takes * for anything."""
    pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"]

    assert bool(re.fullmatch(pattern.removesuffix("$"), value)) == expected


def test_two_filters_are_short_enough_for_s3_and_the_environment() -> None:
    """S3 takes 1,024 characters of both together, Lambda 4 KB of all variables."""
    longest = [
        TEMPLATE["Parameters"][name]["MaxLength"]
        for name in ("UploadPrefix", "UploadSuffixes")
    ]

    assert sum(longest) <= 1_024


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", True),
        ("shop-images.eu", True),
        ("s3://shop-images", False),
        ("arn:aws:s3:::shop-images", False),
        ("Shop", False),
    ],
)
def test_an_existing_bucket_is_given_by_its_name(value: str, *, expected: bool) -> None:
    """An ARN would make a rule that matches nothing."""
    pattern = TEMPLATE["Parameters"]["ExistingBucketName"]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, value)) == expected
