"""Another bucket's notifications come through an SNS topic, as docs/operations.md describes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.watch import WatchedStack
from tests.stack.helpers import calls_about, picture, sha256, wait_until_idle


@dataclass(frozen=True, slots=True)
class Team:
    """A bucket of another team whose notifications a topic delivers to the upload queue."""

    stack: WatchedStack
    bucket: str

    def uri(self, key: str) -> str:
        """Return the uri of an upload."""
        return f"s3://{self.bucket}/{key}"

    def upload(self, key: str, content: bytes) -> None:
        """Put an image into the bucket."""
        self.stack.client("s3").put_object(Bucket=self.bucket, Key=key, Body=content)


@pytest.fixture(scope="module", params=["false", "true"], ids=["envelope", "raw"])
def team(stack: WatchedStack, request: pytest.FixtureRequest) -> Iterator[Team]:
    """With the statements that the stack's queue and role need for it, and without them again."""
    raw: str = request.param
    bucket = f"team-{raw}"
    s3, sns, sqs = stack.client("s3"), stack.client("sns"), stack.client("sqs")
    s3.create_bucket(Bucket=bucket)
    topic = sns.create_topic(Name=bucket)["TopicArn"]
    sns.set_topic_attributes(
        TopicArn=topic,
        AttributeName="Policy",
        AttributeValue=policy_of(
            allow("s3.amazonaws.com", "sns:Publish", topic, f"arn:aws:s3:::{bucket}")
        ),
    )
    queue = stack.outputs["UploadQueueUrl"]
    found = sqs.get_queue_attributes(
        QueueUrl=queue, AttributeNames=["QueueArn", "Policy"]
    )["Attributes"]
    admitted = allow("sns.amazonaws.com", "sqs:SendMessage", found["QueueArn"], topic)
    sqs.set_queue_attributes(
        QueueUrl=queue,
        Attributes={
            "Policy": policy_of(*json.loads(found["Policy"])["Statement"], admitted)
        },
    )
    role = (
        stack.client("lambda")
        .get_function_configuration(
            FunctionName=stack.outputs["TagUploadsFunctionName"]
        )["Role"]
        .rpartition("/")[2]
    )
    stack.client("iam").put_role_policy(
        RoleName=role, PolicyName=bucket, PolicyDocument=policy_of(*reading(bucket))
    )
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=found["QueueArn"],
        Attributes={"RawMessageDelivery": raw},
    )
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "TopicConfigurations": [
                {"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    yield Team(stack, bucket)
    stack.client("iam").delete_role_policy(RoleName=role, PolicyName=bucket)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": found["Policy"]})


def policy_of(*statements: dict[str, Any]) -> str:
    """Return a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(service: str, action: str, resource: str, source: str) -> dict[str, Any]:
    """Return the statement of a resource policy that admits a service on behalf of a resource."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
        "Condition": {"ArnEquals": {"aws:SourceArn": source}},
    }


def reading(bucket: str) -> list[dict[str, Any]]:
    """Return the statements with which the function reads another bucket."""
    return [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": f"arn:aws:s3:::{bucket}/*",
        },
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{bucket}",
        },
    ]


def test_an_upload_that_a_topic_reports_is_tagged_once(team: Team) -> None:
    """Its key is not changed by any of the envelopes."""
    stack, key = team.stack, "봄 2026/red + blue (50%).png"
    content = picture(team.bucket)

    team.upload(key, content)

    result = stack.wait_for_result(team.uri(key), status="TAGGED")
    wait_until_idle(stack)
    assert result["image"]["bucket"] == team.bucket
    assert result["image"]["key"] == key
    assert len(calls_about(stack, content)) == 1
    assert stack.dead_letters(team.uri(key)) == []


def test_an_upload_that_a_topic_reports_fails_and_is_replayed_without_envelope(
    team: Team,
) -> None:
    """Its dead letter is the S3 notification, as for the stack's own bucket."""
    stack, uri = team.stack, team.uri("refused.png")
    content = picture(f"{team.bucket}, refused")
    stack.fail_image(sha256(content), code=806)

    team.upload("refused.png", content)
    letter = stack.wait_for_dead_letter(uri)
    stack.wait_for_result(uri, status="FAILED")
    stack.heal_image(sha256(content))
    replayed = stack.hangtag(
        "--json", "failures", "replay", "--prefix", f"s3://{team.bucket}/", "--yes"
    )

    [record] = json.loads(letter.body)["Records"]
    assert record["s3"]["object"]["key"] == "refused.png"
    assert json.loads(replayed.stdout)["done"] == 1
    stack.wait_for_result(uri, status="TAGGED")
    assert len(calls_about(stack, content)) == 2
    assert stack.dead_letters(uri) == []


def test_the_test_event_of_a_topic_makes_no_dead_letter(team: Team) -> None:
    """S3 sends it when the topic becomes the bucket's target."""
    stack = team.stack
    wait_until_idle(stack)

    assert [one for one in stack.dead_letters() if team.bucket in one.body] == []
