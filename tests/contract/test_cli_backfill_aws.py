"""`hangtag backfill` against a stack in memory: the wiring, the bucket, the queue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from hangtag_cli.main import cli
from tests.builders import BUCKET, PNG
from tests.contract.aws_parts import create_table

TEMPLATE = {
    "Parameters": {"MaxImageBytes": {"Type": "Number", "Default": "1000"}},
    "Resources": {
        "UploadQueue": {"Type": "AWS::SQS::Queue"},
        "UploadsBucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {"BucketName": BUCKET},
        },
    },
    "Outputs": {
        "UploadQueueUrl": {"Value": {"Ref": "UploadQueue"}},
        "UploadsBucketName": {"Value": {"Ref": "UploadsBucket"}},
        "ResultsTableName": {"Value": "ResultsTable"},
    },
}
"""The parts of the template that the command needs."""


@pytest.fixture
def outputs(
    aws: None,  # noqa: ARG001 - the stack is in it
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """A deployed stack, and a working directory."""
    monkeypatch.chdir(tmp_path)
    create_table()
    return deploy()


def deploy() -> dict[str, str]:
    """Deploys the stack, without its table, in the region of the environment."""
    client = boto3.client("cloudformation")
    client.create_stack(StackName="hangtag", TemplateBody=json.dumps(TEMPLATE))
    boto3.client("s3").put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )
    (found,) = client.describe_stacks(StackName="hangtag")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def put(key: str, body: bytes = PNG) -> str:
    """Puts an object into the bucket; returns its version."""
    answer = boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
    return answer["VersionId"]


def messages(outputs: dict[str, str]) -> list[dict[str, Any]]:
    """The messages in the queue."""
    found = boto3.client("sqs").receive_message(
        QueueUrl=outputs["UploadQueueUrl"],
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
    )
    return [dict(message) for message in found.get("Messages", [])]


def backfill(*arguments: str) -> Result:
    """Runs the command in this process."""
    return CliRunner(mix_stderr=False).invoke(cli, ["--json", "backfill", *arguments])


def test_the_newest_versions_are_put_on_the_queue(outputs: dict[str, str]) -> None:
    """Objects that are too large for this stack are left out. No checkpoint remains."""
    put("2024/a b.jpg", b"older")
    version = put("2024/a b.jpg")
    put("2024/large.jpg", b"x" * 1_001)
    put("2025/other.jpg")

    shown = backfill("--yes", f"s3://{BUCKET}/2024/")

    assert shown.exit_code == 0, shown.stderr
    assert json.loads(shown.stdout) == {
        "listed": 2,
        "enqueued": 1,
        "skipped": 1,
        "dryRun": False,
    }
    [message] = messages(outputs)
    [record] = json.loads(message["Body"])["Records"]
    assert record["s3"]["object"]["key"] == "2024/a+b.jpg"
    assert record["s3"]["object"]["versionId"] == version
    assert "MessageAttributes" not in message
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-central-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
    ],
)
def test_a_message_names_the_bucket_as_the_stacks_partition_does(
    region: str, partition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Announcements have the ARN as their source."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    outputs = deploy()
    put("2024/a.jpg")

    shown = backfill("--yes", "--again", f"s3://{BUCKET}/")

    assert shown.exit_code == 0, shown.stderr
    [message] = messages(outputs)
    [record] = json.loads(message["Body"])["Records"]
    assert record["s3"]["bucket"]["arn"] == f"arn:{partition}:s3:::{BUCKET}"


def test_an_invalid_inventory_is_reported(outputs: dict[str, str]) -> None:
    """The message is a sentence, not a traceback."""
    put("manifest.json", b'{"fileFormat": "ORC"}')
    manifest = f"s3://{BUCKET}/manifest.json"

    shown = backfill("--yes", "--from-inventory", manifest)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "no manifest of an S3 Inventory" in shown.stderr
    assert messages(outputs) == []


def test_a_read_only_directory_is_reported(outputs: dict[str, str]) -> None:
    """No message is sent before."""
    put("a.jpg")

    shown = backfill("--yes", "--checkpoint", "none/file.json", f"s3://{BUCKET}")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "cannot be written" in shown.stderr
    assert messages(outputs) == []


def test_each_message_carries_the_retag_token(outputs: dict[str, str]) -> None:
    """All messages of a run have the same token."""
    for number in range(3):
        put(f"{number}.jpg")

    assert backfill("--yes", "--again", f"s3://{BUCKET}").exit_code == 0

    tokens = {
        message["MessageAttributes"]["Again"]["StringValue"]
        for message in messages(outputs)
    }
    assert len(tokens) == 1
