"""Every command shows what an uploader, a hostile API and a hostile letter have chosen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import click
import pytest
from click.testing import CliRunner, Result

from hangtag.dead_letters import DeadLetter
from hangtag.failure import Failure
from hangtag_cli.main import cli
from tests import hostile
from tests.builders import (
    BUCKET,
    NOON,
    PNG,
    a_failed_record,
    a_result,
    an_answer,
    an_upload,
    failed_answer_document,
    to_body,
)
from tests.contract.cli_stack import TEMPLATE, InMemory
from tests.contract.loopback import LoopbackServer, answer, loopback_server

KEY = f"{hostile.TEXT}.png"
URI = f"s3://{BUCKET}/{KEY}"
SEEN = "]52;c;aGFja2Vk"
"""A harmless part of the hostile text."""


@dataclass(frozen=True)
class HostileStack:
    """A stack with hostile uploads, results, letters, and a hostile breaker and API."""

    stack: InMemory
    api: LoopbackServer


def hostile_letter() -> DeadLetter:
    """A letter that someone made by hand; SQS takes no other characters in its body."""
    accepted = "".join(
        character
        for character in hostile.TEXT
        if character in "\t\n\r" or " " <= character not in "\ufffe\uffff"
    )
    failure = Failure(accepted, accepted, accepted, accepted, 1, NOON, accepted)
    return DeadLetter(accepted, failure, accepted, 0, accepted)


@pytest.fixture
def attacked(
    cloud: None,  # noqa: ARG001 - AWS is needed first
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[HostileStack]:
    """The stack, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with loopback_server() as api:
        refusal = failed_answer_document(807, hostile.TEXT)
        api.replies(answer(400, to_body(refusal)))
        stack = deploy(f"{api.url}/tags")
        boto3.client("s3").put_object(
            Bucket=BUCKET, Key="dress.png", Body=PNG, Metadata={"tagger-brand": "a"}
        )
        stack.map_queue_to_function(enabled=True)
        tag = {"category": {"name": hostile.TEXT}, "colors": [{"id": hostile.TEXT}]}
        result = a_result(an_upload(KEY), answer=an_answer(tag))
        stack.store(result, key=KEY)
        stack.index(result)
        record = a_failed_record(an_upload(f"failed-{KEY}"))
        assert record.failed is not None
        failure = replace(
            record.failed.failure, code=hostile.TEXT, message=hostile.TEXT
        )
        failed = replace(record.failed, failure=failure)
        stack.fail(replace(record, failed=failed), key=f"failed-{KEY}")
        stack.send(hostile_letter())
        stack.open_breaker(hostile.TEXT, hostile.TEXT)
        yield HostileStack(stack, api)


def deploy(url: str) -> InMemory:
    """Deploys the stack with its bucket and this API."""
    arn = boto3.client("secretsmanager").create_secret(
        Name="api-key", SecretString="the-key"
    )["ARN"]
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}
    template = {
        "Parameters": {"TaggerApiUrl": {"Type": "String"}},
        "Resources": {**TEMPLATE["Resources"], "UploadsBucket": bucket},
        "Outputs": {
            **TEMPLATE["Outputs"],
            "ApiKeySecretArn": {"Value": arn},
            "UploadsBucketName": {"Value": {"Ref": "UploadsBucket"}},
        },
    }
    client = boto3.client("cloudformation")
    client.create_stack(
        StackName="hangtag",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "TaggerApiUrl", "ParameterValue": url}],
    )
    (found,) = client.describe_stacks(StackName="hangtag")["Stacks"]
    return InMemory(
        {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
    )


def hangtag(*arguments: str, typed: str | None = None) -> Result:
    """Runs the command in this process."""
    environment = {"HANGTAG_API_KEY": "key"}
    runner = CliRunner(mix_stderr=False, env=environment)
    return runner.invoke(cli, arguments, input=typed)


INVOCATIONS: dict[str, Sequence[Sequence[str]]] = {
    "tag": [["dress.png"]],
    "results show": [[URI], [URI, "--version", "version-1"], [URI, "--version", KEY]],
    "results find": [[], ["--category", hostile.TEXT], ["--color", "hostile"]],
    "results export": [[], ["--format", "csv"]],
    "results values": [["category"], ["color"]],
    "results reindex": [[], ["--yes"]],
    "failures list": [[]],
    "failures show": [[f"s3://{BUCKET}/failed-{KEY}"]],
    "failures discard": [[], ["--yes", "--backup", "backup.jsonl"]],
    "failures restore": [["backup.jsonl"], ["backup.jsonl", "--yes"]],
    "failures replay": [[], ["--yes"]],
    "backfill": [[f"s3://{BUCKET}/{hostile.TEXT}"], ["--yes", f"s3://{BUCKET}/"]],
    "status": [[]],
    "key set": [[]],
    "pause": [[]],
    "resume": [[]],
    "key check": [[]],
}
"""The arguments of each command. They run in this sequence, on the same stack."""

WITHOUT_FOREIGN_TEXT = {"backfill", "failures restore", "pause", "results reindex"}
"""Commands that print only counts, and the stack's own names."""


def names_of(group: click.Group) -> Iterator[str]:
    """The names of the commands below *group*."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from (f"{name} {inner}" for inner in names_of(command))
        else:
            yield name


def test_every_command_is_tried() -> None:
    """A new command has its line here; the sandbox prints only its own address."""
    assert {*INVOCATIONS, "sandbox"} == {*names_of(cli)}


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["people", "json"])
def test_no_command_prints_controls(attacked: HostileStack, options: list[str]) -> None:
    """The uploader chooses keys, the API messages and tags, a sender whole letters."""
    Path("dress.png").write_bytes(PNG)
    url = f"{attacked.api.url}/tags"

    for command, invocations in INVOCATIONS.items():
        seen = ""
        for arguments in invocations:
            where = ["--url", url] if command == "tag" else []
            shown = hangtag(
                *options, *command.split(), *where, *arguments, typed="the-new-key"
            )
            assert shown.exception is None or isinstance(shown.exception, SystemExit)
            assert hostile.raw_in(shown.stdout + shown.stderr) == []
            for line in shown.stdout.splitlines() if options else []:
                json.loads(line)
            seen += shown.stdout + shown.stderr
        assert (SEEN in seen) or command in WITHOUT_FOREIGN_TEXT, command


@pytest.mark.usefixtures("attacked")
def test_json_has_the_exact_key() -> None:
    """Programs compare it with S3's."""
    shown = hangtag("--json", "results", "show", URI)

    assert json.loads(shown.stdout)["image"]["key"] == KEY
