"""Starts the whole stack with the real template in a local cloud, and uses it."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from local.cloud import PROGRAMS, Access, LocalCloud
from local.faults import Faults
from local.processes import LocalError, Process
from local.progress import Step
from local.sam import build, deploy
from local.sandbox import Sandbox

STACK_NAME = "hangtag"  # samconfig.toml names it, and the CLI expects it
COMMAND_SECONDS = 120.0
PARAMETERS = {
    "RetryBaseSeconds": "1",
    "MaxAttempts": "3",
    "FunctionTimeout": "20",
    "VisibilityTimeout": "30",
    "MaxConcurrency": "2",
}
"""Overrides of the template's defaults: short retry delays, and few functions at a time."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, read without receiving it."""

    body: str
    attributes: dict[str, str]
    visible: bool

    @property
    def code(self) -> str | None:
        """The error code."""
        return self.attributes.get("ErrorCode")


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack with its sandbox."""

    access: Access
    sandbox: Sandbox
    outputs: dict[str, str]

    def uri(self, key: str) -> str:
        """Return the uri of the upload with this key."""
        return f"s3://{self.outputs['UploadsBucketName']}/{key}"

    def set_key(self, key: str) -> None:
        """
        Set the Tagger API's key.

        Raises:
            LocalError: The command `hangtag key set` failed.
        """
        done = self.hangtag("key", "set", text=key)
        if done.returncode:
            raise LocalError(f"hangtag key set failed:\n{done.stderr}")

    def key(self) -> str:
        """Return the Tagger API's key."""
        secret = self.client("secretsmanager").get_secret_value(
            SecretId=self.outputs["ApiKeySecretArn"]
        )
        key: str = secret["SecretString"]
        return key

    def upload(
        self, key: str, body: bytes, metadata: Mapping[str, str] | None = None
    ) -> str:
        """
        Put an image into the uploads bucket, and return the id of its version.

        The names in `metadata` have no `x-amz-meta-`. Values that are not ASCII are encoded by
        RFC 2047, because they are sent as headers.
        """
        encoded = {name: to_header(text) for name, text in (metadata or {}).items()}
        response = self.client("s3").put_object(
            Bucket=self.outputs["UploadsBucketName"],
            Key=key,
            Body=body,
            Metadata=encoded,
        )
        version: str = response["VersionId"]
        return version

    def hangtag(
        self, *arguments: str, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the command `hangtag` on this stack, with `text` on its stdin."""
        return subprocess.run(
            hangtag_command(arguments),
            env=self.access.environment(),
            input=text,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=COMMAND_SECONDS,
        )

    def show_hangtag(self, *arguments: str) -> int:
        """Run the command `hangtag` with visible output, and return its exit status."""
        return subprocess.run(
            hangtag_command(arguments),
            env=self.access.environment(),
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=COMMAND_SECONDS,
        ).returncode

    def result(self, uri: str) -> dict[str, Any] | None:
        """
        Return the newest result of an upload, or None if it has no result yet.

        Raises:
            LocalError: The command `hangtag results show` failed for another reason.
        """
        shown = self.hangtag("--json", "results", "show", uri)
        if shown.stdout:
            result: dict[str, Any] = json.loads(shown.stdout)
            return result
        if shown.returncode == 1:
            return None
        raise LocalError(f"hangtag results show {uri} failed:\n{shown.stderr}")

    def dead_letters(self, uri: str | None = None) -> list[Letter]:
        """
        List the dead letters, or the dead letters of one upload.

        It does not receive the messages, so they stay visible and their receive count stays.
        """
        url = self.outputs["DeadLetterQueueUrl"]
        path = f"/_ministack/sqs/messages?QueueUrl={quote(url, safe='')}"
        by_account = json.loads(self.access.get(path))["messages"]
        letters = [
            Letter(
                body=message["Body"],
                attributes=text_attributes(message["MessageAttributes"]),
                visible=message["IsVisible"],
            )
            for regions in by_account.values()
            for queues in regions.values()
            for messages in queues.values()
            for message in messages
        ]
        return [one for one in letters if uri in (None, one.attributes.get("Image"))]

    def sandbox_calls(self) -> list[dict[str, Any]]:
        """List all tag calls to the sandbox so far; docs/sandbox.md lists their fields."""
        return self.sandbox.calls()

    def fail_image(
        self,
        sha256: str,
        *,
        code: int,
        message: str = "Injected fault",
        times: int | None = None,
    ) -> None:
        """Make the sandbox refuse the image with this digest `times` times, or until healed."""
        self.sandbox.fail_image(sha256, code=code, message=message, times=times)

    def heal_image(self, sha256: str) -> None:
        """Make the sandbox tag the image with this digest again."""
        self.sandbox.heal_image(sha256)

    def client(self, service: str) -> Any:  # noqa: ANN401  # as Access.client
        """Return a boto3 client of the stack's cloud."""
        return self.access.client(service)

    def log_events(self, function: str = "TagUploadsFunctionName") -> Iterator[str]:
        """Yield the events of the log of the function in an output, oldest first."""
        found = self.client("lambda").get_function_configuration(
            FunctionName=self.outputs[function]
        )
        pages = (
            self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=found["LoggingConfig"]["LogGroup"])
        )
        for page in pages:
            yield from (event["message"] for event in page["events"])

    def function_log(self, events: int = 20) -> str:
        """Return the last events of the function's log."""
        lines = [text.rstrip() for text in self.log_events()]
        return "\n".join(lines[-events:]) or "(the function has not logged anything)"


def hangtag_command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of `hangtag` for the stack."""
    return [str(PROGRAMS / "hangtag"), "--stack", STACK_NAME, *arguments]


def bring_up(
    directory: Path,
    *,
    step: Step,
    parameters: Mapping[str, str] = PARAMETERS,
    cloud_port: int = 0,
    sandbox_port: int = 0,
    sandbox_hosts: Collection[str] = (),
    faults: Faults | None = None,
    key: str | None = None,
) -> Stack:
    """
    Deploy the stack and set its API key, in a new local cloud in `directory`.

    With `faults`, a proxy with the same directory, the function calls AWS through the proxy. The
    key is `key`, or a random one. The sandbox accepts requests to `sandbox_hosts`, too.

    Raises:
        LocalError: A step failed; no process is left running.
    """
    cloud = LocalCloud(directory)
    sandbox = Sandbox(directory)
    key = key or secrets.token_urlsafe(24)
    try:
        with step("Starting the local cloud"):
            endpoint = faults.url if faults else None
            cloud.start(port=cloud_port, functions_endpoint=endpoint)
        if faults is not None:
            with step("Starting the fault proxy"):
                faults.start(cloud.access)
        with step("Starting the sandbox Tagger API"):
            # Presigned URLs lead to the functions' endpoint.
            buckets = [cloud.access.endpoint_url, *([endpoint] if endpoint else [])]
            sandbox.start(
                key=key,
                certificate=cloud.access.certificate,
                image_ports=[urlsplit(url).port or 443 for url in buckets],
                port=sandbox_port,
                allowed_hosts=sandbox_hosts,
            )
        with step("Building the stack (sam build)"):
            template = build(directory)
        with step("Deploying the stack (sam deploy)"):
            deploy(
                template,
                cloud.access,
                {"TaggerApiUrl": sandbox.tagger_api_url, **parameters},
            )
        stack = Stack(cloud.access, sandbox, read_outputs(cloud.access))
        expire_results(stack)
        with step("Setting the API key (hangtag key set)"):
            stack.set_key(key)
    except BaseException:  # Ctrl-C, too, must leave no process running
        take_down(directory)
        raise
    return stack


def running_stack(directory: Path) -> Stack | None:
    """Return the running stack of `bring_up` in `directory`; None if a program has ended."""
    cloud = LocalCloud(directory)
    sandbox = Sandbox(directory)
    if not (cloud.runs() and sandbox.runs()):
        return None
    return Stack(cloud.access, sandbox, read_outputs(cloud.access))


def take_down(directory: Path) -> bool:
    """Stop all programs of `bring_up` in `directory`; False if no program was running."""
    # A second Ctrl-C must not interrupt this.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stopped = [
            Sandbox(directory).stop(),
            Process("faults", directory).stop(),
            LocalCloud(directory).stop(),
        ]
    finally:
        signal.signal(signal.SIGINT, before)
    return any(stopped)


def expire_results(stack: Stack) -> None:
    """Let the table delete expired items: the local cloud ignores it in a template."""
    stack.client("dynamodb").update_time_to_live(
        TableName=stack.outputs["ResultsTableName"],
        TimeToLiveSpecification={"AttributeName": "expiresAt", "Enabled": True},
    )


def read_outputs(access: Access) -> dict[str, str]:
    """
    Return the outputs of the deployed stack.

    Raises:
        LocalError: The stack is not deployed.
    """
    cloudformation = access.client("cloudformation")
    try:
        stacks = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
    except cloudformation.exceptions.ClientError as error:
        raise LocalError(f"the stack {STACK_NAME} is not deployed: {error}") from error
    return {
        output["OutputKey"]: output["OutputValue"] for output in stacks[0]["Outputs"]
    }


def to_header(text: str) -> str:
    """Encode a text for a header: by RFC 2047 if it is not ASCII."""
    if text.isascii():
        return text
    return f"=?UTF-8?B?{b64encode(text.encode()).decode()}?="


def text_attributes(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of SQS message attributes, without their types."""
    return {name: value["StringValue"] for name, value in attributes.items()}
