"""A second stack with a bucket that was there before, and filters of keys."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.cloud import ROOT
from local.sam import build, deploy
from local.stack import text_attributes
from local.watch import WatchedStack
from tests.stack.helpers import calls_about, picture

NAME = "second"
BUCKET = "team-images"
PARAMETERS = {
    "RetryBaseSeconds": "0",
    "MaxAttempts": "2",
    "FunctionTimeout": "10",
    "VisibilityTimeout": "12",
    "MaxConcurrency": "2",
}


@dataclass
class Second:
    """A second stack in the cloud of the first, with the same sandbox."""

    first: WatchedStack
    template: Path
    outputs: dict[str, str] = field(default_factory=dict)

    def deploy(self, **parameters: str) -> None:
        """Deploy it with these parameters, and give it the API key."""
        url = {"TaggerApiUrl": self.first.sandbox.tagger_api_url}
        deploy(
            self.template,
            self.first.access,
            {**url, **PARAMETERS, **parameters},
            stack_name=NAME,
        )
        [described] = self.client("cloudformation").describe_stacks(StackName=NAME)[
            "Stacks"
        ]
        self.outputs = {
            one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]
        }
        self.client("secretsmanager").put_secret_value(
            SecretId=self.outputs["ApiKeySecretArn"], SecretString=self.first.key()
        )

    def client(self, service: str) -> Any:  # noqa: ANN401 - as `WatchedStack.client`
        """A boto3 client of the cloud."""
        return self.first.client(service)

    def upload(self, key: str, content: bytes) -> None:
        """Put an image into the bucket of the stack."""
        self.client("s3").put_object(
            Bucket=self.outputs["UploadsBucketName"], Key=key, Body=content
        )

    def items(self, key: str) -> list[dict[str, Any]]:
        """The items of a key in the results table."""
        found = self.client("dynamodb").query(
            TableName=self.outputs["ResultsTableName"],
            KeyConditionExpression="uri = :uri",
            ExpressionAttributeValues={
                ":uri": {"S": f"s3://{self.outputs['UploadsBucketName']}/{key}"}
            },
            ConsistentRead=True,
        )
        items: list[dict[str, Any]] = found["Items"]
        return items

    def wait_for_record(self, key: str, status: str) -> None:
        """Wait until the record of a key's only version has a status."""

        def ended() -> bool | None:
            statuses = [one.get("status", {}).get("S") for one in self.items(key)]
            return True if status in statuses else None

        self.first.wait_for(ended, f"{status} for {key}; the items: {self.items(key)}")

    def skips(self) -> list[tuple[str, str]]:
        """Reason and key of each skip that the function has logged."""
        functions = self.client("lambda")
        log = functions.get_function_configuration(
            FunctionName=self.outputs["TagUploadsFunctionName"]
        )["LoggingConfig"]["LogGroup"]
        lines = [
            event["message"]
            for page in self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=log)
            for event in page["events"]
            if '"skipped"' in event["message"]
        ]
        found = [json.loads(line) for line in lines]
        return [
            (one["reason"], one["uri"].split("/", 3)[3])
            for one in found
            if one["uri"]  # S3's test event has none
        ]

    def wait_for_skip(self, reason: str, key: str) -> None:
        """Wait until the function has skipped an upload."""
        self.first.wait_for(
            lambda: True if (reason, key) in self.skips() else None,
            f"{reason} for {key}",
        )


@pytest.fixture(scope="module")
def second(
    stack: WatchedStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Second]:
    """A stack that tags images of an existing bucket, which has a notification already."""
    s3, sqs = stack.client("s3"), stack.client("sqs")
    s3.create_bucket(Bucket=BUCKET)
    url = sqs.create_queue(QueueName=BUCKET)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])[
        "Attributes"
    ]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    others = {
        "QueueConfigurations": [
            {"Id": "theirs", "QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
        ]
    }
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration=others
    )
    made = Second(stack, build(tmp_path_factory.mktemp(NAME)))
    try:
        made.deploy(
            ExistingBucketName=BUCKET,
            UploadPrefix="summer/",
            UploadSuffixes=".png,.gif",
        )
        yield made
    finally:
        stack.client("cloudformation").delete_stack(StackName=NAME)


def commands_in(page: str, heading: str) -> str:
    """The first block of commands below a heading of a page."""
    below = (ROOT / page).read_text("utf-8").split(f"\n{heading}\n", 1)[1]
    [first, *_] = re.findall(r"```\n(.+?)```", below, re.DOTALL)
    return str(first)


def test_the_documented_command_turns_eventbridge_on_and_keeps_the_other_notifications(
    second: Second, tmp_path: Path
) -> None:
    """`put-bucket-notification-configuration` replaces all of them."""
    s3 = second.client("s3")
    before = s3.get_bucket_notification_configuration(Bucket=BUCKET)
    command = commands_in("docs/existing-bucket.md", "## Set it up")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    aws = bin_ / "aws"
    aws.write_text(f"#!{sys.executable}\n{AWS}")
    aws.chmod(0o700)
    environment = second.first.access.environment()

    for _ in range(2):  # a second time, it changes nothing
        subprocess.run(
            ["/bin/bash", "-euc", command.replace("BUCKET_NAME", BUCKET)],
            env={
                **environment,
                "PATH": f"{bin_}{os.pathsep}{environment['PATH']}",
            },
            cwd=tmp_path,
            check=True,
            timeout=60,
        )

    after = s3.get_bucket_notification_configuration(Bucket=BUCKET)
    assert after["EventBridgeConfiguration"] == {}
    assert after["QueueConfigurations"] == before["QueueConfigurations"] != []


AWS = """
# The two commands of the AWS CLI that the page uses, which is not among the tests' packages
import json, os, sys
import boto3

_, service, operation, _, bucket, option, *value = sys.argv
s3 = boto3.client("s3")
if (service, operation) == ("s3api", "get-bucket-notification-configuration"):
    assert (option, value) == ("--output", ["json"])
    found = s3.get_bucket_notification_configuration(Bucket=bucket)
    del found["ResponseMetadata"]
    if found:  # like the AWS CLI, which prints nothing for an empty answer
        print(json.dumps(found))
else:
    assert (service, operation) == ("s3api", "put-bucket-notification-configuration")
    assert option == "--notification-configuration"
    with open(value[0].removeprefix("file://")) as file:
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=json.load(file)
        )
"""


def test_an_image_in_an_existing_bucket_is_tagged_and_others_are_filtered(
    second: Second,
) -> None:
    """By EventBridge for the only prefix, by the function for the two suffixes."""
    content, other, filtered = (picture(f"existing {name}") for name in "abc")

    second.upload("winter/a.png", filtered)
    second.upload("summer/a.jpg", other)
    second.upload("summer/봄 100%+a.png", content)

    second.wait_for_record("summer/봄 100%+a.png", "TAGGED")
    second.wait_for_skip("NOT_SELECTED", "summer/a.jpg")
    assert len(calls_about(second.first, content)) == 1
    assert calls_about(second.first, other) == []
    assert calls_about(second.first, filtered) == []
    assert second.items("summer/a.jpg") == []
    assert "winter/a.png" not in [key for _, key in second.skips()]
    buckets = [one["Name"] for one in second.client("s3").list_buckets()["Buckets"]]
    assert not [one for one in buckets if one.startswith(f"{NAME}-uploadsbucket")]


def test_a_failed_image_in_an_existing_bucket_has_a_dead_letter_that_replays_it(
    second: Second,
) -> None:
    """The letter is an S3 notification, also if EventBridge reported the upload."""
    second.upload("summer/broken.png", b"no image")
    second.wait_for_record("summer/broken.png", "FAILED")

    [message] = second.client("sqs").receive_message(
        QueueUrl=second.outputs["DeadLetterQueueUrl"],
        MessageAttributeNames=["All"],
        WaitTimeSeconds=5,
    )["Messages"]

    [record] = json.loads(message["Body"])["Records"]
    assert record["s3"]["bucket"]["name"] == BUCKET
    assert record["s3"]["object"]["key"] == "summer/broken.png"
    attributes = text_attributes(message["MessageAttributes"])
    assert attributes["ErrorCode"] == "UNSUPPORTED_FORMAT"


def test_the_policy_of_an_operator_names_the_existing_bucket(second: Second) -> None:
    """It is no resource of the stack."""
    generator = str(ROOT / "docs/generate_operator_policy.py")
    printed = subprocess.run(
        [sys.executable, generator, "backfill", "--stack", NAME],
        env=second.first.access.environment(),
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=60,
    ).stdout

    resources = {one["Resource"] for one in json.loads(printed)["Statement"]}
    assert f"arn:aws:s3:::{BUCKET}" in resources


def test_a_stack_that_goes_back_to_a_bucket_of_its_own_filters_there_too(
    second: Second,
) -> None:
    """The existing bucket is no longer read, and loses nothing."""
    second.deploy(
        ExistingBucketName='""', UploadPrefix="summer/", UploadSuffixes=".png"
    )
    own = second.outputs["UploadsBucketName"]
    content, filtered = picture("own a"), picture("own b")

    configured = second.client("s3").get_bucket_notification_configuration(Bucket=own)[
        "QueueConfigurations"
    ]
    second.upload("summer/b.jpg", filtered)
    second.upload("summer/b.png", content)

    second.wait_for_record("summer/b.png", "TAGGED")
    assert {event for one in configured for event in one["Events"]} == {
        *("s3:ObjectCreated:*", "s3:ObjectRemoved:*"),
        "s3:LifecycleExpiration:DeleteMarkerCreated",
    }
    for one in configured:
        rules = {
            rule["Name"].lower(): rule["Value"]
            for rule in one["Filter"]["Key"]["FilterRules"]
        }
        assert rules == {"prefix": "summer/", "suffix": ".png"}
    assert second.skips().count(("NOT_SELECTED", "summer/b.jpg")) == 0
    assert calls_about(second.first, filtered) == []
    assert own.startswith(f"{NAME}-uploadsbucket")
    left = second.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert "summer/a.jpg" in {one["Key"] for one in left}
