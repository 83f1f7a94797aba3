"""docs/operator-policy.json has a minimal policy for each command."""

from __future__ import annotations

import json
import re
import runpy

import click
import pytest

from hangtag_cli.main import cli
from hangtag_cli.permissions import (
    ALL,
    PERMISSIONS,
    REASONS_FOR_ALL,
    policy,
    values_of,
)
from tests.builders import REPOSITORY

STACK_ID = "arn:aws-cn:cloudformation:cn-north-1:123456789012:stack/shop/1df2-06aa"
RESOURCES = {
    "ApiKeySecret": "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:Key-x",
    "DeadLetterQueue": "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/letters",
    "IndexTable": "shop-IndexTable-1",
    "ReplayFailures": "shop-ReplayFailures-1",
    "ResultsTable": "shop-ResultsTable-1",
    "TagUploads": "shop-TagUploads-1",
    "TagUploadsLog": "/aws/shop/TagUploadsLog",
    "TagUploadsUploads": "c2fcad6f",
    "UploadQueue": "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/uploads",
    "UploadsBucket": "shop-uploadsbucket-1",
    "LargeResultsBucket": "shop-largeresultsbucket-1",
}
WITHOUT_AWS = {"tag", "sandbox"}


def commands_of(group: click.Group, prefix: str = "") -> set[str]:
    """The full names of all commands."""
    found: set[str] = set()
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands_of(command, f"{name} ")
        else:
            found.add(f"{prefix}{name}")
    return found


def test_each_command_that_uses_aws_has_a_policy() -> None:
    """A new command needs an entry; so does an option that needs more."""
    named = {command.partition(" --")[0] for command in PERMISSIONS}

    assert named - {"sam remote invoke ReplayFailures"} == (
        commands_of(cli) - WITHOUT_AWS
    )


def test_the_file_is_up_to_date() -> None:
    """Run: python docs/generate_operator_policy.py > docs/operator-policy.json."""
    generator = runpy.run_path(str(REPOSITORY / "docs/generate_operator_policy.py"))

    written = (REPOSITORY / "docs/operator-policy.json").read_text("utf-8")

    assert generator["operator_policy"]() == written


@pytest.mark.parametrize("command", PERMISSIONS)
def test_a_policy_allows_single_actions_on_named_resources(command: str) -> None:
    """Only actions that IAM cannot narrow down are allowed on all resources."""
    for statement in policy(command)["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action]
        if statement["Resource"] == ALL:
            assert set(statement["Action"]) <= set(REASONS_FOR_ALL)
        else:
            assert statement["Resource"].startswith(("${", "arn:${"))


def test_who_may_read_objects_learns_that_one_is_gone() -> None:
    """Without s3:ListBucket, S3 answers as if it were forbidden."""
    for permissions in PERMISSIONS.values():
        for resource, actions in permissions.items():
            if "s3:GetObject" in actions:
                assert permissions[resource.removesuffix("/*")] == ("s3:ListBucket",)


def test_the_policy_of_all_commands_has_the_arns_of_the_stack() -> None:
    """In its partition, and short enough for a managed policy (6,144 characters)."""
    document = policy(*PERMISSIONS, values=values_of(STACK_ID, RESOURCES))

    text = json.dumps(document, separators=(",", ":"))
    left = set(re.findall(r"\$\{.*?\}", text))
    resources = {one["Resource"] for one in document["Statement"]}
    assert left == {"${InventoryBucket.Arn}", "${OtherQueue.Arn}"}
    assert len(text) < 6_144
    assert resources >= {
        "arn:aws-cn:cloudformation:cn-north-1:123456789012:stack/shop/*",
        "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/shop-ResultsTable-1",
        "arn:aws-cn:lambda:cn-north-1:123456789012:event-source-mapping:c2fcad6f",
        "arn:aws-cn:logs:cn-north-1:123456789012:log-group:/aws/shop/TagUploadsLog:*",
        "arn:aws-cn:s3:::shop-uploadsbucket-1/*",
        "arn:aws-cn:sqs:cn-north-1:123456789012:letters",
        RESOURCES["ApiKeySecret"],
    }
