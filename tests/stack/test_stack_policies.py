"""
Every action of every policy in the template is needed: without it, something fails.

Most cases remove an action from a role's policy in the local cloud, and run a scenario. What the
local cloud does not check is compared with what AWS's documentation requires.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from hangtag.adapters.dynamodb_breaker import BREAKER_KEY
from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_records import item_of
from hangtag.adapters.dynamodb_table import key_of as item_key
from hangtag.adapters.dynamodb_table import to_attribute
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.sqs_queues import SqsDeadLetterQueue
from hangtag.adapters.system_clock import SystemClock
from hangtag.results import own_part
from local.cloud import Access
from local.fault_rules import large_answer
from local.indexed import indexed
from local.watch import WatchedStack
from tests.builders import (
    a_dead_letter,
    a_failed_record,
    a_result,
    an_answer,
    an_upload,
    key_of,
    stream_event,
    stream_record,
)
from tests.stack.helpers import (
    configured,
    notification,
    picture,
    request_replay,
    result_of,
    sha256,
    wait_until_idle,
)
from tests.template.cloudformation import listed, policy_statements, read_template

Need = tuple[str, str, str]
"""Resource with the policy, Sid of the statement, action."""

TOPIC_ACTIONS = (
    "sns:AddPermission",
    "sns:DeleteTopic",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
    "sns:Publish",
    "sns:RemovePermission",
    "sns:SetTopicAttributes",
    "sns:Subscribe",
)

RUN_LEASE_KEY = ("hangtag:replay", "state")
TAG, REPLAY, INDEX = "TagUploadsRole", "ReplayFailuresRole", "IndexResultsRole"


@dataclass(frozen=True)
class Ran:
    """What a scenario led to."""

    worked: bool
    texts: str
    """The response of the function, and its log."""


@dataclass(frozen=True)
class Scene:
    """A stack whose event source mapping is disabled: only the tests invoke its functions."""

    stack: WatchedStack
    mapping: str
    """The mapping's UUID."""

    def invoke(self, event: Mapping[str, Any]) -> str:
        """Invoke TagUploads, and return its response."""
        return self._invoke("TagUploadsFunctionName", event)

    def invoke_index(self, event: Mapping[str, Any]) -> str:
        """Invoke IndexResults, and return its response."""
        return self._invoke("IndexResultsFunctionName", event)

    def _invoke(self, output: str, event: Mapping[str, Any]) -> str:
        answer = self.stack.client("lambda").invoke(
            FunctionName=self.stack.outputs[output],
            Payload=json.dumps(event).encode(),
        )
        response: str = answer["Payload"].read().decode()
        return response

    def enable_mapping(self, *, on: bool) -> None:
        """Enable or disable the event source mapping."""
        self.stack.client("lambda").update_event_source_mapping(
            UUID=self.mapping, Enabled=on
        )

        def switched() -> bool | None:
            return True if self.is_enabled() == on else None

        self.stack.wait_for(switched, "the mapping to be switched")

    def is_enabled(self) -> bool:
        """Whether the event source mapping is enabled."""
        found = self.stack.client("lambda").get_event_source_mapping(UUID=self.mapping)
        state: str = found["State"]
        return state == "Enabled"

    def put_item(self, key: tuple[str, str], **attributes: Any) -> None:  # noqa: ANN401 - boto3's
        """Write an item as the deployer."""
        self.stack.client("dynamodb").put_item(
            TableName=self.stack.outputs["ResultsTableName"],
            Item={**item_key(key), **attributes},
        )

    def item(self, key: tuple[str, str]) -> dict[str, Any]:
        """An item, as the deployer reads it; empty if there is none."""
        found = self.stack.client("dynamodb").get_item(
            TableName=self.stack.outputs["ResultsTableName"],
            Key=item_key(key),
            ConsistentRead=True,
        )
        item: dict[str, Any] = found.get("Item", {})
        return item

    def receive(self, queue: str, *, wanted: str) -> list[dict[str, Any]]:
        """Receive the visible messages whose body has the *wanted* text; others stay visible."""
        client, url = self.stack.client("sqs"), self.stack.outputs[queue]
        found: list[dict[str, Any]] = []
        while messages := client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            found += messages
        for message in found:
            if wanted not in message["Body"]:
                handle = message["ReceiptHandle"]
                client.change_message_visibility(
                    QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0
                )
        return [one for one in found if wanted in one["Body"]]

    def delete(self, queue: str, messages: list[dict[str, Any]]) -> None:
        """Delete received messages."""
        for message in messages:
            self.stack.client("sqs").delete_message(
                QueueUrl=self.stack.outputs[queue],
                ReceiptHandle=message["ReceiptHandle"],
            )


def as_sqs_event(body: str, receipt_handle: str = "none") -> dict[str, Any]:
    """The event with which the event source mapping would deliver a message."""
    return {
        "Records": [
            {
                "messageId": str(uuid4()),
                "receiptHandle": receipt_handle,
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": str(round(time.time() * 1000)),
                },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:uploads",
                "awsRegion": "us-east-1",
            }
        ]
    }


# ---- scenarios


Scenario = Callable[[Scene], tuple[bool, str]]
"""Returns whether it worked, and the function's response."""


def tag(scene: Scene) -> tuple[bool, str]:
    """Tag, store and announce an image."""
    key, version = uploaded(scene)
    response = scene.invoke(as_sqs_event(notification(scene.stack, key, version)))
    return is_tagged(scene, key) and bool(scene.stack.announcements(key)), response


def tag_in_a_new_instance(scene: Scene) -> tuple[bool, str]:
    """Tag with a key that is not cached."""
    with configured(scene.stack, NEW_INSTANCE=str(uuid4())):
        return tag(scene)


def tag_without_a_version(scene: Scene) -> tuple[bool, str]:
    """Tag an image whose event names no version: S3 says which one is the newest."""
    key, version = uploaded(scene)
    body = json.loads(notification(scene.stack, key, version))
    del body["Records"][0]["s3"]["object"]["versionId"]
    response = scene.invoke(as_sqs_event(json.dumps(body)))
    return is_tagged(scene, key), response


def move_up(scene: Scene) -> tuple[bool, str]:
    """Give a result a higher place: its version's event comes again, with a sequencer."""
    key, version = uploaded(scene)
    body = json.loads(notification(scene.stack, key, version))
    event = body["Records"][0]["s3"]["object"]
    event["sequencer"] = "0065A3F1C2D4E5B607"
    first = scene.invoke(as_sqs_event(json.dumps(body)))
    event["sequencer"] = "0065A3F1C2D4E5B608"
    response = scene.invoke(as_sqs_event(json.dumps(body)))
    moved = "0065A3F1C2D4E5B608" in result_of(scene.stack, key)["order"]["S"]
    return moved, first + response


def tag_large(scene: Scene) -> tuple[bool, str]:
    """Tag an image whose result no item takes."""
    key, version = uploaded_large(scene)
    response = scene.invoke(as_sqs_event(notification(scene.stack, key, version)))
    return is_tagged(scene, key), response


def move_up_large(scene: Scene) -> tuple[bool, str]:
    """Give such a result a higher place: it is read for that."""
    key, version = uploaded_large(scene)
    body = json.loads(notification(scene.stack, key, version))
    event = body["Records"][0]["s3"]["object"]
    event["sequencer"] = "0065A3F1C2D4E5B607"
    scene.invoke(as_sqs_event(json.dumps(body)))
    event["sequencer"] = "0065A3F1C2D4E5B608"
    response = scene.invoke(as_sqs_event(json.dumps(body)))
    return json.loads(response) == {"batchItemFailures": []}, response


def dead_letter(scene: Scene) -> tuple[bool, str]:
    """Dead-letter a file that is no image."""
    key, version = uploaded(scene, b"no image")
    response = scene.invoke(as_sqs_event(notification(scene.stack, key, version)))
    return len(scene.stack.dead_letters(scene.stack.uri(key))) == 1, response


def hand_back(scene: Scene) -> tuple[bool, str]:
    """Hand a message back at once, instead of after its visibility timeout."""
    content = picture(str(uuid4()))
    key, version = uploaded(scene, content)
    body = notification(scene.stack, key, version)
    scene.delete("UploadQueueUrl", scene.receive("UploadQueueUrl", wanted=key))
    scene.stack.client("sqs").send_message(
        QueueUrl=scene.stack.outputs["UploadQueueUrl"], MessageBody=body
    )
    [message] = scene.receive("UploadQueueUrl", wanted=key)
    scene.stack.fail_image(sha256(content), code=500, times=1)
    response = scene.invoke(as_sqs_event(body, message["ReceiptHandle"]))
    visible = scene.receive("UploadQueueUrl", wanted=key)
    scene.delete("UploadQueueUrl", visible or [message])
    return len(visible) == 1, response


def enqueue(scene: Scene) -> tuple[bool, str]:
    """Put an event that did not come from the queue on the queue."""
    key = f"policies/{uuid4()}.png"
    response = scene.invoke(json.loads(notification(scene.stack, key, "v1")))
    sent = scene.receive("UploadQueueUrl", wanted=key)
    scene.delete("UploadQueueUrl", sent)
    return len(sent) == 1, response


def reconcile(scene: Scene) -> tuple[bool, str]:
    """Close an open breaker, enable the mapping, and publish the oldest failure's age."""
    scene.put_item(BREAKER_KEY, failures={"N": "1"}, openedAt={"S": "2026-11-22T12:00"})
    response = scene.invoke({"hangtag": "try again"})
    worked = "openedAt" not in scene.item(BREAKER_KEY) and scene.is_enabled()
    scene.enable_mapping(on=False)
    scene.put_item(BREAKER_KEY)
    return worked, response


def replay(scene: Scene) -> tuple[bool, str]:
    """
    Replay one of three failures.

    The second letter is put back, and stays visible. The third one is held by another reader, so
    that the report says that it is not complete.
    """
    prefix = f"policies/{uuid4()}/"
    chosen, other, _ = (failed(scene, f"{prefix}{name}") for name in "abc")
    held = scene.receive("DeadLetterQueueUrl", wanted=f"{prefix}c")
    scene.put_item(
        RUN_LEASE_KEY
    )  # a new instance may not run so soon after another one
    report = request_replay(
        scene.stack, {"prefix": chosen, "maxSeconds": 20, "dryRun": False}
    )
    sent = scene.receive("UploadQueueUrl", wanted=f"{prefix}a")
    left = {
        one.attributes.get("Image"): one.visible for one in scene.stack.dead_letters()
    }
    scene.delete("UploadQueueUrl", sent)
    letters = held + scene.receive("DeadLetterQueueUrl", wanted=prefix)
    scene.delete("DeadLetterQueueUrl", letters)
    worked = (
        [report.get(name) for name in ("done", "left", "complete")] == [1, 0, False]
        and (len(sent), len(held)) == (1, 1)
        and chosen not in left
        and left.get(other) is True
    )
    return worked, json.dumps(report)


def index_a_result(scene: Scene) -> tuple[bool, str]:
    """Index a result with a value that nothing is known of."""
    upload, value = an_upload(f"policies/{uuid4()}.png"), str(uuid4())
    answer = an_answer({"category": {"name": value}})
    new = {"result": to_attribute(a_result(upload, answer=answer))}
    response = scene.invoke_index(
        stream_event(stream_record(upload.uri, version="result", new=new))
    )
    entries = {one.term.value for one in indexed(scene.stack) if one.uri == upload.uri}
    return value in entries, response


def index_a_large_result(scene: Scene) -> tuple[bool, str]:
    """Replace a large result by another one: one is read, the other is deleted."""
    upload, value = an_upload(f"policies/{uuid4()}.png"), str(uuid4())
    client = scene.stack.client("s3")
    bucket = scene.stack.outputs["LargeResultsBucketName"]
    large = S3LargeResults(client, bucket)
    document = a_result(upload, answer=an_answer({"category": {"name": value}}))
    own = {"result": to_attribute(own_part(document))}
    old, new = (
        {**own, "largeResult": {"S": large.write(upload.uri, name, "", document)}}
        for name in ("old", "new")
    )
    response = scene.invoke_index(
        stream_event(stream_record(upload.uri, version="result", old=old, new=new))
    )
    left = client.list_objects_v2(Bucket=bucket)["Contents"]
    kept = {one["Key"] for one in left} & {
        one["largeResult"]["S"] for one in (old, new)
    }
    return kept == {new["largeResult"]["S"]}, response


def announce_a_failure(scene: Scene) -> tuple[bool, str]:
    """Announce an upload that failed."""
    upload = an_upload(f"policies/{uuid4()}.png")
    new = item_of(key_of(upload), a_failed_record(upload))
    response = scene.invoke_index(
        stream_event(stream_record(upload.uri, version=upload.version, new=new))
    )
    return bool(scene.stack.announcements(upload.key)), response


def uploaded(scene: Scene, content: bytes | None = None) -> tuple[str, str]:
    """Upload a file, an image unless its content is given; returns key and version."""
    key = f"policies/{uuid4()}.png"
    return key, scene.stack.upload(key, content or picture(key))


def uploaded_large(scene: Scene) -> tuple[str, str]:
    """Upload an image whose result no item takes; returns key and version."""
    content = picture(str(uuid4()))
    scene.stack.sandbox.fail(
        {"sha256": sha256(content), "status": 201, "body": large_answer(), "times": 1}
    )
    return uploaded(scene, content)


def is_tagged(scene: Scene, key: str) -> bool:
    """Whether the key has a result."""
    return scene.item((scene.stack.uri(key), "result")) != {}


def failed(scene: Scene, key: str) -> str:
    """Fail an upload of an object that does not exist; returns its uri."""
    stack = scene.stack
    upload = an_upload(key, bucket=stack.outputs["UploadsBucketName"])
    queue = SqsDeadLetterQueue(stack.client("sqs"), stack.outputs["DeadLetterQueueUrl"])
    record = a_failed_record(upload, letter_id=queue.send(a_dead_letter(upload)))
    book = DynamoDBFailures(
        stack.client("dynamodb"), stack.outputs["ResultsTableName"], SystemClock()
    )
    assert book.swap(key_of(upload), None, record) is None
    return upload.uri


CASES: Mapping[Need, Scenario] = {
    (TAG, "ReceiveUploads", "sqs:ChangeMessageVisibility*"): hand_back,
    (TAG, "ReceiveUploads", "sqs:SendMessage"): enqueue,
    (TAG, "ReadImages", "s3:GetObject"): tag_without_a_version,
    (TAG, "ReadImages", "s3:GetObjectVersion"): tag,
    (TAG, "KeepLargeResults", "s3:PutObject"): tag_large,
    (TAG, "KeepLargeResults", "s3:GetObject"): move_up_large,
    (TAG, "ReadApiKey", "secretsmanager:GetSecretValue"): tag_in_a_new_instance,
    (TAG, "ReadRecordsResultsAndTheBreaker", "dynamodb:BatchGetItem"): tag,
    (TAG, "ReadRecordsResultsAndTheBreaker", "dynamodb:GetItem"): reconcile,
    (TAG, "WriteRecordsAndResults", "dynamodb:PutItem"): tag,
    (TAG, "WriteRecordsAndResults", "dynamodb:UpdateItem"): move_up,
    (TAG, "WriteTheBreakerAndTheRateLimiter", "dynamodb:UpdateItem"): reconcile,
    (TAG, "FindTheOldestFailure", "dynamodb:Query"): reconcile,
    (TAG, "AnnounceResults", "sns:Publish"): tag,
    (TAG, "FindTheEventSourceMapping", "lambda:ListEventSourceMappings"): reconcile,
    (TAG, "SendDeadLetters", "sqs:SendMessage"): dead_letter,
    (
        "SwitchPolicy",
        "SwitchTheEventSourceMapping",
        "lambda:UpdateEventSourceMapping",
    ): reconcile,
    (REPLAY, "ReceiveDeadLetters", "sqs:ReceiveMessage"): replay,
    (REPLAY, "ReceiveDeadLetters", "sqs:DeleteMessage"): replay,
    (REPLAY, "ReceiveDeadLetters", "sqs:ChangeMessageVisibility*"): replay,
    (REPLAY, "ReceiveDeadLetters", "sqs:GetQueueAttributes"): replay,
    (REPLAY, "SendToUploadQueue", "sqs:SendMessage"): replay,
    (REPLAY, "FindFailures", "dynamodb:Query"): replay,
    (REPLAY, "MarkReplayedFailures", "dynamodb:BatchGetItem"): replay,
    (REPLAY, "MarkReplayedFailures", "dynamodb:PutItem"): replay,
    (REPLAY, "TakeTheLease", "dynamodb:PutItem"): replay,
    (INDEX, "WriteTheIndex", "dynamodb:BatchWriteItem"): index_a_result,
    (INDEX, "WriteTheIndex", "dynamodb:UpdateItem"): index_a_result,
    (INDEX, "ReadAndDeleteLargeResults", "s3:GetObject"): index_a_large_result,
    (INDEX, "ReadAndDeleteLargeResults", "s3:DeleteObject"): index_a_large_result,
    (INDEX, "AnnounceFailures", "sns:Publish"): announce_a_failure,
}
"""The scenario that needs an action."""

LEFT_OUT: set[Need] = {
    # Each claim then reads its own record
    (TAG, "ReadRecordsResultsAndTheBreaker", "dynamodb:BatchGetItem"),
    # The metric of the oldest failure is missing
    (TAG, "FindTheOldestFailure", "dynamodb:Query"),
}
"""Actions without which a function goes on, leaves a part out, and reports it."""

NOT_NAMED: set[Need] = {
    # The response to a HEAD request has no body
    (TAG, "ReadImages", "s3:GetObject"),
    # The letters stay hidden for half a minute
    (REPLAY, "ReceiveDeadLetters", "sqs:ChangeMessageVisibility*"),
    # The report does not say that there are letters that it has not seen
    (REPLAY, "ReceiveDeadLetters", "sqs:GetQueueAttributes"),
}
"""Actions whose denial neither a response nor a log line names."""


@dataclass(frozen=True)
class NotChecked:
    """Actions that the local cloud does not check, as AWS documents them."""

    reason: str
    source: str
    """The page or test that has them."""
    needs: tuple[Need, ...]


DENIALS = "tests/template/test_access.py evaluates it"

NOT_CHECKED = (
    NotChecked(
        "the local cloud's poller takes messages from the queue itself",
        "Lambda Developer Guide, Amazon SQS event sources, execution role",
        (
            (TAG, "ReceiveUploads", "sqs:ReceiveMessage"),
            (TAG, "ReceiveUploads", "sqs:DeleteMessage"),
            (TAG, "ReceiveUploads", "sqs:GetQueueAttributes"),
        ),
    ),
    NotChecked(
        "the local cloud writes the logs itself",
        "AWS Managed Policy Reference, AWSLambdaBasicExecutionRole (the stack makes the log group)",
        (
            (TAG, "WriteTheLog", "logs:CreateLogStream"),
            (TAG, "WriteTheLog", "logs:PutLogEvents"),
            (REPLAY, "WriteTheLog", "logs:CreateLogStream"),
            (REPLAY, "WriteTheLog", "logs:PutLogEvents"),
            (INDEX, "WriteTheLog", "logs:CreateLogStream"),
            (INDEX, "WriteTheLog", "logs:PutLogEvents"),
        ),
    ),
    NotChecked(
        "the local cloud's poller reads the stream and reports failed batches itself",
        "Lambda Developer Guide, DynamoDB event sources, execution role and destinations",
        (
            (INDEX, "ReadTheStream", "dynamodb:DescribeStream"),
            (INDEX, "ReadTheStream", "dynamodb:GetRecords"),
            (INDEX, "ReadTheStream", "dynamodb:GetShardIterator"),
            (INDEX, "FindTheStream", "dynamodb:ListStreams"),
            (INDEX, "ReportFailedBatches", "sqs:SendMessage"),
        ),
    ),
    NotChecked(
        "the local cloud says that an object is gone without it",
        "S3 API Reference, GetObject and HeadObject, permissions: else 403 instead of 404",
        (
            (TAG, "DetectMissingObjects", "s3:ListBucket"),
            (INDEX, "DetectMissingLargeResults", "s3:ListBucket"),
        ),
    ),
    NotChecked(
        "it needs two answers about one key at the same moment, and a denial leaves an object",
        "tests/contract/test_adapter_large_results.py",
        ((TAG, "KeepLargeResults", "s3:DeleteObject"),),
    ),
    NotChecked(
        "the local cloud's schedules invoke functions without their role",
        "EventBridge Scheduler User Guide, execution role",
        (
            ("ReconcileRole", "InvokeTagUploads", "lambda:InvokeFunction"),
            ("AutoReplayRole", "InvokeReplayFailures", "lambda:InvokeFunction"),
        ),
    ),
    NotChecked(
        "the local cloud does not look at the trust policy of a role",
        "IAM User Guide, role trust policies",
        tuple(
            (role, "", "sts:AssumeRole")
            for role in (TAG, REPLAY, INDEX, "ReconcileRole", "AutoReplayRole")
        ),
    ),
    NotChecked(
        "the local cloud's alarms publish without asking the topic's policy",
        "CloudWatch User Guide, alarms and Amazon SNS",
        (("AlarmsTopicPolicy", "AlarmsOfThisAccount", "sns:Publish"),),
    ),
    NotChecked(
        "the local cloud's EventBridge sends to a queue without asking its policy",
        "EventBridge User Guide, resource-based policies, Amazon SQS",
        (
            ("UploadQueuePolicy", "EventsOfTheExistingBucket", "sqs:SendMessage"),
            (
                "DeadLetterQueuePolicy",
                "UndeliveredEventsOfTheExistingBucket",
                "sqs:SendMessage",
            ),
        ),
    ),
    NotChecked(
        "the stack here has no KMS key, and the local cloud checks no KMS permissions",
        "docs/encryption.md; " + DENIALS,
        tuple(
            (policy, sid, f"kms:{action}")
            for policy, table in {
                "TagUploadsKeyPolicy": "UseTheKeyOfTheTable",
                "ReplayFailuresKeyPolicy": "UseTheKeyOfTheTable",
                "IndexResultsKeyPolicy": "UseTheKeyOfTheTables",
            }.items()
            for sid, actions in {
                "UseTheKey": ("Decrypt", "GenerateDataKey"),
                table: (
                    *("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey"),
                    *("ReEncryptFrom", "ReEncryptTo"),
                ),
            }.items()
            for action in actions
        ),
    ),
    NotChecked(
        "all requests here use TLS, and the local cloud has one account",
        DENIALS,
        (
            ("UploadsBucketPolicy", "TlsOnly", "s3:*"),
            ("LargeResultsBucketPolicy", "TlsOnly", "s3:*"),
            *(
                (policy, sid, action)
                for policy, actions in {
                    "UploadQueuePolicy": ("sqs:*",),
                    "DeadLetterQueuePolicy": ("sqs:*",),
                    "IndexFailuresQueuePolicy": ("sqs:*",),
                    "ResultsTopicPolicy": TOPIC_ACTIONS,
                    "AlarmsTopicPolicy": TOPIC_ACTIONS,
                }.items()
                for sid in ("TlsOnly", "ThisAccountOnly", "ServicesForThisAccountOnly")
                for action in actions
            ),
        ),
    ),
)

S3_NOTIFIES: Need = (
    "UploadQueuePolicy",
    "NotificationsOfTheUploadsBucket",
    "sqs:SendMessage",
)


def test_each_action_of_each_policy_has_a_case() -> None:
    """A new statement needs one, too."""
    in_template = {
        (resource, statement.get("Sid", ""), action)
        for resource, statement in policy_statements(read_template())
        for action in listed(statement["Action"])
    }
    not_checked = [need for group in NOT_CHECKED for need in group.needs]

    assert in_template == {*CASES, *not_checked, S3_NOTIFIES}
    assert not set(CASES) & set(not_checked)


# ---- the local cloud with less


@pytest.fixture(scope="module")
def scene(stack: WatchedStack) -> Iterator[Scene]:
    """The stack with its event source mapping disabled, as long as these tests run."""
    wait_until_idle(stack)
    [mapping] = stack.client("lambda").list_event_source_mappings(
        FunctionName=stack.outputs["TagUploadsFunctionName"]
    )["EventSourceMappings"]
    made = Scene(stack, mapping["UUID"])
    made.enable_mapping(on=False)
    try:
        yield made
    finally:
        stack.client("sqs").purge_queue(QueueUrl=stack.outputs["UploadQueueUrl"])
        made.enable_mapping(on=True)


@contextmanager
def without(stack: WatchedStack, need: Need) -> Iterator[None]:
    """The policy of a role lacks an action while the context lasts."""
    resource, sid, action = need
    iam = stack.client("iam")
    role = physical_id(stack, TAG if resource == "SwitchPolicy" else resource)
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        found = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        less = {**found, "Statement": without_action(found["Statement"], sid, action)}
        if less != found:
            break
    else:
        raise AssertionError(f"no policy of {role} has {sid}")
    put = {"RoleName": role, "PolicyName": name}
    if less["Statement"]:
        iam.put_role_policy(**put, PolicyDocument=json.dumps(less))
    else:
        iam.delete_role_policy(**put)
    try:
        yield
    finally:
        iam.put_role_policy(**put, PolicyDocument=json.dumps(found))


def without_action(
    statements: list[dict[str, Any]], sid: str, action: str
) -> list[dict[str, Any]]:
    """The statements without an action of one of them, and without that if it was its last."""
    changed = [
        {**one, "Action": [some for some in listed(one["Action"]) if some != action]}
        if one["Sid"] == sid
        else one
        for one in statements
    ]
    return [one for one in changed if one["Action"]]


def physical_id(stack: WatchedStack, resource: str) -> str:
    """The name that CloudFormation gave a resource."""
    found = stack.client("cloudformation").describe_stack_resources(
        StackName="hangtag", LogicalResourceId=resource
    )
    physical: str = found["StackResources"][0]["PhysicalResourceId"]
    return physical


def run(scene: Scene, scenario: Scenario) -> Ran:
    """Run a scenario, and read the lines that the functions log meanwhile."""
    before = {log: len(lines) for log, lines in logs(scene.stack).items()}
    worked, response = scenario(scene)
    lines = [
        line
        for log, all_of_it in logs(scene.stack).items()
        for line in all_of_it[before[log] :]
    ]
    return Ran(worked, "\n".join([response, *lines]).lower())


def logs(stack: WatchedStack) -> dict[str, list[str]]:
    """The lines of the functions' logs."""
    return {
        log: [
            event["message"]
            for page in stack.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=physical_id(stack, log))
            for event in page["events"]
        ]
        for log in ("TagUploadsLog", "ReplayFailuresLog", "IndexResultsLog")
    }


@pytest.mark.parametrize(
    "scenario", dict.fromkeys(CASES.values()), ids=lambda scenario: scenario.__name__
)
def test_each_scenario_works_with_the_policies_of_the_template(
    scene: Scene, scenario: Scenario
) -> None:
    """No call is denied."""
    ran = run(scene, scenario)

    assert ran.worked, ran.texts
    assert "not authorized" not in ran.texts


@pytest.mark.parametrize("need", CASES, ids=" ".join)
def test_a_scenario_is_denied_each_action_that_a_policy_lacks(
    scene: Scene, need: Need
) -> None:
    """It fails, or leaves a part out; the response or the log names the action."""
    action = need[2].removesuffix("*").lower()

    with without(scene.stack, need):
        ran = run(scene, CASES[need])

    assert ran.worked == (need in LEFT_OUT), ran.texts
    assert (f"perform: {action}" in ran.texts) == (need not in NOT_NAMED), ran.texts


def test_s3_cannot_notify_a_queue_whose_policy_does_not_admit_it(scene: Scene) -> None:
    """S3 checks it when the notification is configured."""
    s3, sqs = scene.stack.client("s3"), scene.stack.client("sqs")
    queue = {"QueueUrl": scene.stack.outputs["UploadQueueUrl"]}
    bucket = {"Bucket": scene.stack.outputs["UploadsBucketName"]}
    configuration = s3.get_bucket_notification_configuration(**bucket)
    del configuration["ResponseMetadata"]
    found = sqs.get_queue_attributes(**queue, AttributeNames=["Policy"])["Attributes"]
    policy = json.loads(found["Policy"])
    less = without_action(policy["Statement"], *S3_NOTIFIES[1:])
    assert len(less) == len(policy["Statement"]) - 1

    sqs.set_queue_attributes(
        **queue, Attributes={"Policy": json.dumps({**policy, "Statement": less})}
    )
    try:
        with pytest.raises(ClientError, match="Unable to validate"):
            s3.put_bucket_notification_configuration(
                **bucket, NotificationConfiguration=configuration
            )
    finally:
        sqs.set_queue_attributes(**queue, Attributes=found)
    s3.put_bucket_notification_configuration(
        **bucket, NotificationConfiguration=configuration
    )


@pytest.fixture(scope="module")
def users(stack: WatchedStack) -> Mapping[str, Access]:
    """Users with the policies of the functions' roles, by role."""
    return {role: user_with_policies_of(stack, role) for role in (TAG, REPLAY)}


def user_with_policies_of(stack: WatchedStack, resource: str) -> Access:
    """Create an IAM user who has the policies of a role."""
    iam, name = stack.client("iam"), f"with-{resource}"
    iam.create_user(UserName=name)
    role = physical_id(stack, resource)
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        found = iam.get_role_policy(RoleName=role, PolicyName=policy)
        iam.put_user_policy(
            UserName=name,
            PolicyName=policy,
            PolicyDocument=json.dumps(found["PolicyDocument"]),
        )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return replace(
        stack.access,
        access_key_id=key["AccessKeyId"],
        secret_access_key=key["SecretAccessKey"],
    )


@pytest.mark.parametrize(
    ("role", "operation", "uri", "allowed"),
    [
        (REPLAY, "put_item", "s3://bucket/key", True),
        (REPLAY, "put_item", "hangtag:replay", True),
        (REPLAY, "put_item", "hangtag:breaker", False),
        (REPLAY, "put_item", "hangtag:slots", False),
        (REPLAY, "put_item", "hangtag:anything", False),
        (TAG, "put_item", "s3://bucket/key", True),
        (TAG, "put_item", "hangtag:breaker", False),
        (TAG, "put_item", "hangtag:replay", False),
        (TAG, "update_item", "hangtag:breaker", True),
        (TAG, "update_item", "hangtag:slots", True),
        (TAG, "update_item", "hangtag:replay", False),
        (TAG, "get_item", "hangtag:breaker", True),
        (TAG, "get_item", "hangtag:replay", False),
    ],
)
def test_a_role_may_access_only_the_items_that_it_needs(
    scene: Scene,
    users: Mapping[str, Access],
    role: str,
    operation: str,
    uri: str,
    *,
    allowed: bool,
) -> None:
    """A fault in a replay, for example, cannot open the breaker."""
    key = item_key((uri, "policies"))
    table = scene.stack.outputs["ResultsTableName"]
    call = getattr(users[role].client("dynamodb"), operation)
    item = {"Item" if operation == "put_item" else "Key": key}

    if allowed:
        call(TableName=table, **item)
        scene.stack.client("dynamodb").delete_item(TableName=table, Key=key)
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            call(TableName=table, **item)


def test_a_role_may_read_no_other_items_in_a_batch(
    scene: Scene, users: Mapping[str, Access]
) -> None:
    """One key that is not allowed denies the whole request."""
    client = users[REPLAY].client("dynamodb")
    table = scene.stack.outputs["ResultsTableName"]
    keys = [item_key(("s3://bucket/key", "v")), item_key(BREAKER_KEY)]

    client.batch_get_item(RequestItems={table: {"Keys": keys[:1]}})
    with pytest.raises(ClientError, match="AccessDenied"):
        client.batch_get_item(RequestItems={table: {"Keys": keys}})
