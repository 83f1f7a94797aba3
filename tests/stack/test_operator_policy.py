"""Each command works with its policy; without one of its actions it names that action."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import runpy
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from hangtag.adapters.dynamodb_failures import DynamoDBFailures
from hangtag.adapters.dynamodb_index import DynamoDBIndex, values_tag
from hangtag.adapters.dynamodb_results import DynamoDBResults
from hangtag.adapters.s3_large_results import S3LargeResults
from hangtag.adapters.sqs_queues import SqsDeadLetterQueue
from hangtag.adapters.system_clock import SystemClock
from hangtag.dead_letters import DeadLetter
from hangtag.index import KnownValue, Term, position_of
from hangtag.lifecycle import Record, discard, replay
from hangtag.operators.find import FIRST_PAGE
from hangtag.operators.ports import Letter
from hangtag.ports import IndexEntry
from hangtag.results import Document
from hangtag.tagger_api import Context
from hangtag_cli.denials import needs_of
from hangtag_cli.letters import backup_document
from hangtag_cli.main import cli
from hangtag_cli.permissions import (
    ALL,
    DEAD_LETTER_QUEUE,
    KEY,
    OTHER_QUEUE,
    PERMISSIONS,
    TABLE,
    UPLOAD_QUEUE,
    policy,
    values_of,
)
from local.cloud import PROGRAMS, ROOT, Access
from local.processes import wait_for
from local.watch import WatchedStack
from tests.builders import (
    NOON,
    a_dead_letter,
    a_failed_record,
    a_result,
    an_answer,
    an_upload,
    key_of,
)
from tests.stack.helpers import picture, without_notifications

SAM = "sam remote invoke ReplayFailures"

CHECKED_SEPARATELY = {
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
    "sqs:SendMessage": "sqs:SendMessageBatch",
}
"""The local cloud checks actions for batches, which IAM does not have."""


def on(resource: str, *actions: str) -> set[tuple[str, str]]:
    """Permissions on a resource."""
    return {(resource, action) for action in actions}


NOT_ENFORCED = {
    # The local cloud says that an object is gone without it; AWS denies to say so
    "s3:ListBucket",
}

PUT_BACK = on(DEAD_LETTER_QUEUE, "sqs:ChangeMessageVisibility")
COUNT = on(DEAD_LETTER_QUEUE, "sqs:GetQueueAttributes")
DELETE = on(DEAD_LETTER_QUEUE, "sqs:DeleteMessage")
WRITE = on(TABLE, "dynamodb:PutItem")

PASSED_OVER: Mapping[str, Sequence[set[tuple[str, str]]]] = {
    "failures list": [PUT_BACK | COUNT],
    "failures show": [
        PUT_BACK
        | COUNT
        | on("${UploadsBucket.Arn}/*", "s3:GetObject", "s3:GetObjectVersion")
        | on("${TagUploads.Arn}", "lambda:GetFunctionConfiguration"),
        on("${TagUploadsLog.Arn}", "logs:FilterLogEvents"),
    ],
    "failures replay": [
        PUT_BACK | COUNT | DELETE | WRITE | on(UPLOAD_QUEUE, "sqs:SendMessage")
    ],
    "failures replay --to": [on(OTHER_QUEUE, "sqs:SendMessage")],
    "failures discard": [PUT_BACK | COUNT | DELETE | WRITE],
    "failures restore": [
        PUT_BACK | on(DEAD_LETTER_QUEUE, "sqs:SendMessage"),
        WRITE | on(DEAD_LETTER_QUEUE, "sqs:ReceiveMessage"),
        on(TABLE, "dynamodb:BatchGetItem")
        | on(DEAD_LETTER_QUEUE, "sqs:ReceiveMessage"),
    ],
    "status": [
        PUT_BACK
        | COUNT
        | on(ALL, "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData")
        | on(KEY, "secretsmanager:DescribeSecret")
    ],
    "pause": [
        on(ALL, "cloudwatch:GetMetricData") | on(UPLOAD_QUEUE, "sqs:GetQueueAttributes")
    ],
    "resume": [on(UPLOAD_QUEUE, "sqs:GetQueueAttributes")],
    "key set": [on(TABLE, "dynamodb:GetItem")],
}
"""
The permissions without which a command goes on, and leaves a part out. Each set is removed
together, which saves runs: most of them take seconds until the dead-letter queue is read.
"""

VARIANTS = {
    "failures replay --to": "failures replay",
    "backfill --from-inventory": "backfill",
}
"""Commands with an option, of which only the further permissions are removed."""


@dataclass(frozen=True)
class Ran:
    """One run of a command."""

    status: int
    stderr: str
    actions: frozenset[str]
    """The IAM actions of its calls, as the command's own clients note them."""


@dataclass
class Scene:
    """A stack with failures, and an IAM user whose policy a test sets."""

    stack: WatchedStack
    folder: Path
    user: Access
    values: Mapping[str, str]

    def allow(self, command: str, *, without: set[tuple[str, str]]) -> None:
        """Give the user the command's policy, *without* some actions on their resources."""
        document = policy(command)
        for statement in document["Statement"]:
            resource = statement["Resource"]
            kept = {
                action
                for action in statement["Action"]
                if (resource, action) not in without
            }
            also = {
                CHECKED_SEPARATELY[action] for action in kept & {*CHECKED_SEPARATELY}
            }
            statement["Action"] = sorted(kept | also)
        filled = json.dumps(document)
        for name, value in self.values.items():
            filled = filled.replace(f"${{{name}}}", value)
        document = json.loads(filled)
        document["Statement"] = [one for one in document["Statement"] if one["Action"]]
        self.stack.client("iam").put_user_policy(
            UserName="operator",
            PolicyName="operator",
            PolicyDocument=json.dumps(document),
        )

    def hangtag(self, *arguments: str, typed: str = "") -> Ran:
        """Run the command as the user, in this process."""
        return run(self.user, *arguments, typed=typed)

    def as_deployer(self, *arguments: str) -> None:
        """Run the command with all permissions."""
        done = run(self.stack.access, *arguments)
        assert done.status == 0, done.stderr

    def fail(
        self,
        *,
        key: str = "",
        version_id: str | None = "v1",
        then: Callable[[Record], Record] | None = None,
    ) -> DeadLetter:
        """
        Fail an upload of an object that does not exist, unless its key is given.

        With *then*, its letter is not sent, and its record is changed.
        """
        bucket = self.stack.outputs["UploadsBucketName"]
        upload = an_upload(
            key or f"policy/{uuid4()}.png", bucket=bucket, version_id=version_id
        )
        letter = a_dead_letter(upload)
        record = a_failed_record(upload, letter_id="" if then else self.send(letter))
        book = DynamoDBFailures(
            self.stack.client("dynamodb"),
            self.stack.outputs["ResultsTableName"],
            SystemClock(),
        )
        assert book.swap(key_of(upload), None, then(record) if then else record) is None
        return letter

    def send(self, letter: DeadLetter) -> str:
        """Send a letter."""
        queue = SqsDeadLetterQueue(
            self.stack.client("sqs"), self.stack.outputs["DeadLetterQueueUrl"]
        )
        return queue.send(letter)


def run(access: Access, *arguments: str, typed: str = "") -> Ran:
    """Run `hangtag` in this process, because starting it takes longer than most commands."""
    with calls() as actions, environment_of(access):
        done = CliRunner(mix_stderr=False).invoke(cli, arguments, input=typed)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return Ran(done.exit_code, done.stderr, frozenset(actions))


@contextmanager
def environment_of(access: Access) -> Iterator[None]:
    """This process has the environment of a program that uses the local cloud."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "HANGTAG_")):
                patch.delenv(name)
        for name, value in access.variables().items():
            patch.setenv(name, value)
        yield


@contextmanager
def calls() -> Iterator[set[str]]:
    """The IAM actions of the calls in the block. botocore logs each call."""
    found: set[str] = set()

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if str(record.msg).startswith("Making request"):
                _, request = record.args  # type: ignore[misc]  # botocore passes a pair
                needs = needs_of(request["context"])  # type: ignore[index]
                found.update(needs.actions if needs else ())

    logger, recorder = logging.getLogger("botocore.endpoint"), Recorder()
    before = (logger.level, logger.propagate)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(recorder)
    try:
        yield found
    finally:
        logger.removeHandler(recorder)
        logger.setLevel(before[0])
        logger.propagate = before[1]


@pytest.fixture(scope="module")
def scene(
    stack: WatchedStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The stack, and a user without permissions."""
    iam, sqs = stack.client("iam"), stack.client("sqs")
    iam.create_user(UserName="operator")
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    user = replace(
        stack.access,
        access_key_id=key["AccessKeyId"],
        secret_access_key=key["SecretAccessKey"],
    )
    sqs.create_queue(QueueName="another-queue")
    described = stack.client("cloudformation")
    resources = described.describe_stack_resources(StackName="hangtag")
    values = values_of(
        described.describe_stacks(StackName="hangtag")["Stacks"][0]["StackId"],
        {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for one in resources["StackResources"]
        },
    )
    # The local cloud's id of a secret is no ARN, and it checks logs without the ":*" of AWS
    values["ApiKeySecret.Id"] = stack.outputs["ApiKeySecretArn"]
    values["TagUploadsLog.Arn"] = values["TagUploadsLog.Arn"].removesuffix(":*")
    values["OtherQueue.Arn"] = "arn:aws:sqs:us-east-1:000000000000:another-queue"
    values["InventoryBucket.Arn"] = "arn:aws:s3:::inventories"
    write_inventory(stack)
    made = Scene(stack, tmp_path_factory.mktemp("policy"), user, values)
    yield made
    made.as_deployer("resume")
    backup = str(made.folder / "left.jsonl")
    # There may be none
    arguments = ("failures", "discard", "--prefix", "policy/", "--backup", backup)
    run(stack.access, *arguments, "--yes")


def write_inventory(stack: WatchedStack) -> None:
    """Write an inventory with one object of the uploads bucket."""
    s3, bucket = stack.client("s3"), stack.outputs["UploadsBucketName"]
    s3.create_bucket(Bucket="inventories")
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": "arn:aws:s3:::inventories",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key",
        "files": [{"key": "data.csv.gz"}],
    }
    rows = gzip.compress(f'"{bucket}","policy/listed.png"\n'.encode())
    s3.put_object(Bucket="inventories", Key="data.csv.gz", Body=rows)
    s3.put_object(
        Bucket="inventories", Key="manifest.json", Body=json.dumps(manifest).encode()
    )


# ---- how each command is run


Run = Callable[[Scene], Ran]


def store_a_result(
    scene: Scene,
    color: str = "policy-red",
    **options: Any,  # noqa: ANN401 - the builder's
) -> Document:
    """One that no item of the table takes, so that it is in S3."""
    outputs, client = scene.stack.outputs, scene.stack.client
    upload = an_upload(f"policy/{uuid4()}.png", bucket=outputs["UploadsBucketName"])
    large = S3LargeResults(client("s3"), outputs["LargeResultsBucketName"])
    results = DynamoDBResults(client("dynamodb"), outputs["ResultsTableName"], large)
    named = {"id": color, "name": "policy-red", "confidence": 1}
    answer = an_answer({"colors": [named], "note": "x" * 450_000})
    result = a_result(upload, answer=answer, **options)
    assert results.store(upload, result, retag=None, fence=1.0) is None
    return result


def show_a_result(scene: Scene) -> Ran:
    """A large one."""
    return scene.hangtag("results", "show", store_a_result(scene)["image"]["uri"])


RED = Term("color", "policy-red")
PRODUCT = Term("product", "policy-sku")
LONG_LIST = FIRST_PAGE + 1
"""Entries of a list that is so long that single entries are looked up in it."""


def index_a_result(scene: Scene) -> DynamoDBIndex:
    """
    Store and index a large result that is red and of a product, with the value's name.

    Red has many entries that are newer.
    """
    client = scene.stack.client("dynamodb")
    index = DynamoDBIndex(client, scene.stack.outputs["IndexTableName"], SystemClock())
    result = store_a_result(scene, context=Context(id=PRODUCT.value))
    uri, position = result["image"]["uri"], position_of(result)
    index.learn({KnownValue(RED, "policy-red")})
    index.put(
        [
            *(IndexEntry(term, position, uri, None) for term in (RED, PRODUCT)),
            *(
                IndexEntry(RED, f"{position}{number:05}", uri, None)
                for number in range(LONG_LIST)
            ),
        ]
    )
    return index


def find_a_result(scene: Scene) -> Ran:
    """Of which an entry has to be looked up."""
    index_a_result(scene)
    return scene.hangtag(
        *("results", "find", "--color", RED.value, "--product", PRODUCT.value)
    )


def export_a_result(scene: Scene) -> Ran:
    """Of which an entry has to be looked up."""
    index_a_result(scene)
    return scene.hangtag(
        *("results", "export", "--color", RED.value, "--product", PRODUCT.value)
    )


def list_values(scene: Scene) -> Ran:
    """At least one."""
    index_a_result(scene)
    return scene.hangtag("results", "values", "color")


def reindex(scene: Scene) -> Ran:
    """With a value to learn, an entry to write, and wrong ones to remove."""
    index_a_result(scene)
    client, table = (
        scene.stack.client("dynamodb"),
        scene.stack.outputs["IndexTableName"],
    )
    color = f"policy-{uuid4()}"
    store_a_result(scene, color)
    value = {"tag": {"S": values_tag("color")}, "at": {"S": color}}
    # IndexResults writes it once
    wait_for(
        lambda: client.get_item(TableName=table, Key=value).get("Item"),
        seconds=20,
        otherwise=lambda: "IndexResults has not written the result's values",
    )
    client.delete_item(TableName=table, Key=value)
    return scene.hangtag("results", "reindex", "--yes")


def list_failures(scene: Scene) -> Ran:
    """At least one."""
    scene.fail()
    return scene.hangtag("failures", "list")


def show_failures(scene: Scene) -> Ran:
    """Of a version, of an object without one, and of a version that is gone."""
    key = f"policy/{uuid4()}.png"
    with without_notifications(scene.stack):
        version = scene.stack.upload(key, picture("shown"))
    for version_id in (version, None, "gone"):
        letter = scene.fail(key=key, version_id=version_id)
    return scene.hangtag("failures", "show", image_of(letter))


def fail_in_all_ways(scene: Scene) -> tuple[str, ...]:
    """
    Make work for a replay or discard; returns the names to give it.

    A failure, an unreadable letter, the letter of a failure that was replayed already, and a
    letter that is not selected.
    """
    scene.fail()
    replayed = scene.fail(then=replay)
    scene.send(replayed)
    unreadable = scene.send(replace(replayed, body=f"no event {uuid4()}", image=None))
    return image_of(scene.fail()), image_of(replayed), unreadable


def replay_failures(scene: Scene, *options: str) -> Ran:
    """All that can be done with a letter."""
    names = fail_in_all_ways(scene)
    return scene.hangtag("failures", "replay", *options, "--yes", *names)


def discard_failures(scene: Scene) -> Ran:
    """All that can be done with a letter."""
    names = fail_in_all_ways(scene)
    backup = str(scene.folder / f"{uuid4()}.jsonl")
    return scene.hangtag("failures", "discard", "--backup", backup, "--yes", *names)


def restore_failures(scene: Scene) -> Ran:
    """A failure with a record, and an unreadable letter; another letter is put back."""
    scene.fail()
    discarded = scene.fail(then=lambda record: discard(record, at=NOON))
    unreadable = replace(discarded, body=f"no event {uuid4()}", image=None)
    backup = scene.folder / f"{uuid4()}.jsonl"
    lines = [backup_document(Letter("1", "", one)) for one in (discarded, unreadable)]
    backup.write_text("\n".join(map(json.dumps, lines)))
    return scene.hangtag("failures", "restore", str(backup), "--yes")


def show_status(scene: Scene) -> Ran:
    """With a dead letter, which is put back."""
    scene.fail()
    return scene.hangtag("status")


def image_of(letter: DeadLetter) -> str:
    """The uri of the image."""
    return letter.image or ""


def backfill(scene: Scene, *options: str) -> Ran:
    """A dry run, which looks for results, and a run, which sends."""
    checkpoint = ("--checkpoint", str(scene.folder / f"{uuid4()}.json"))
    dry = scene.hangtag("backfill", *checkpoint, *options)
    if dry.status:
        return dry
    sent = scene.hangtag("backfill", *checkpoint, *options, "--again", "--yes")
    return replace(sent, actions=dry.actions | sent.actions)


def backfill_a_listing(scene: Scene) -> Ran:
    """Of one object."""
    with without_notifications(scene.stack):
        scene.stack.upload("policy/listed.png", picture("listed"))
    return backfill(scene, scene.stack.uri("policy/listed.png"))


def backfill_an_inventory(scene: Scene) -> Ran:
    """Of one object."""
    return backfill(scene, "--from-inventory", "s3://inventories/manifest.json")


def pause(scene: Scene) -> Ran:
    """Of a stack that tags."""
    scene.as_deployer("resume")
    return scene.hangtag("pause")


def resume(scene: Scene) -> Ran:
    """Of a stack that is paused."""
    scene.as_deployer("pause")
    return scene.hangtag("resume")


RUNS: Mapping[str, Run] = {
    "results show": show_a_result,
    "results find": find_a_result,
    "results export": export_a_result,
    "results values": list_values,
    "results reindex": reindex,
    "failures list": list_failures,
    "failures show": show_failures,
    "failures replay": replay_failures,
    "failures replay --to": lambda scene: replay_failures(
        scene, "--to", "another-queue"
    ),
    "failures discard": discard_failures,
    "failures restore": restore_failures,
    "backfill": backfill_a_listing,
    "backfill --from-inventory": backfill_an_inventory,
    "status": show_status,
    "pause": pause,
    "resume": resume,
    "key set": lambda scene: scene.hangtag("key", "set", typed=scene.stack.key()),
    "key check": lambda scene: scene.hangtag("key", "check"),
}


def needs(command: str) -> list[tuple[str, str]]:
    """Resource and action of each permission of a command."""
    return [
        (resource, action)
        for resource, actions in PERMISSIONS.get(command, {}).items()
        for action in actions
    ]


def count_named(action: str, ran: Ran) -> int:
    """How often a sentence names the denied action."""
    return len(re.findall(rf"AWS denies {action}\b", ran.stderr))


def test_each_command_of_the_policies_is_run() -> None:
    """A new entry needs a run here."""
    assert {*RUNS, SAM} == set(PERMISSIONS)


@pytest.mark.parametrize("command", RUNS)
def test_a_command_works_with_its_policy_and_makes_just_these_calls(
    scene: Scene, command: str
) -> None:
    """A call without its action in the policy, or an action without its call, fails here."""
    scene.allow(command, without=set())

    done = RUNS[command](scene)

    assert (done.status, "AWS denies" in done.stderr) == (0, False), done.stderr
    assert done.actions == {action for _, action in needs(command)}


@pytest.mark.parametrize("command", RUNS)
def test_a_command_names_the_action_that_it_is_denied(
    scene: Scene, command: str
) -> None:
    """It fails; or it goes on, leaves that part out, and says so."""
    passed_over: set[tuple[str, str]] = set().union(*PASSED_OVER.get(command, []))

    tested = passed_over.union(needs(VARIANTS.get(command, "")))

    for resource, action in needs(command):
        if (resource, action) in tested or action in NOT_ENFORCED:
            continue
        scene.allow(command, without={(resource, action)})
        done = RUNS[command](scene)
        assert (done.status, count_named(action, done)) == (1, 1), done.stderr
        assert "docs/operator-policy.json" in done.stderr

    for removed in PASSED_OVER.get(command, []):
        scene.allow(command, without=removed)
        done = RUNS[command](scene)
        missing = {action for _, action in removed if not count_named(action, done)}
        assert missing == set(), done.stderr


def test_the_generator_prints_a_policy_for_the_deployed_stack(scene: Scene) -> None:
    """Administrators paste it."""
    generator = runpy.run_path(str(ROOT / "docs/generate_operator_policy.py"))

    with environment_of(scene.stack.access):
        done = CliRunner().invoke(generator["main"], ["--stack", "hangtag"])
        some = CliRunner().invoke(generator["main"], ["--stack", "hangtag", "resume"])

    resources = {one["Resource"] for one in json.loads(done.output)["Statement"]}
    assert {scene.values["ResultsTable.Arn"], ALL} < resources
    assert "${" not in done.output
    assert "lambda:InvokeFunction" in done.output
    assert "lambda:InvokeFunction" not in some.output


def test_sam_invokes_replay_failures_with_its_policy(scene: Scene) -> None:
    """Sam names a denied action in AWS's words."""

    def invoke(*without: tuple[str, str]) -> subprocess.CompletedProcess[str]:
        scene.allow(SAM, without=set(without))
        command = [str(PROGRAMS / "sam"), "remote", "invoke", "ReplayFailures"]
        return subprocess.run(
            [*command, "--stack-name", "hangtag", "--event", '{"dryRun": true}'],
            env={**scene.user.environment(), "SAM_CLI_TELEMETRY": "0"},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )

    done = invoke()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dryRun"] is True
    assert "not authorized" not in done.stderr
    for resource, action in needs(SAM):
        assert f"perform: {action}" in invoke((resource, action)).stderr
