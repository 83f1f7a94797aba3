"""The real template, built and deployed into the local cloud, and the hands to use it."""

from __future__ import annotations

import fcntl
import json
import platform
import secrets
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local.cloud import PROGRAMS, ROOT, Access, LocalCloud, own_environment
from local.faults import Faults
from local.processes import LocalError, Process
from local.progress import Step
from local.sandbox import Sandbox

STACK_NAME = "hangtag"  # samconfig.toml names it, and the CLI expects it
BUILDS = ROOT / ".local/build"
COMMAND_SECONDS = 120.0
PARAMETERS = {
    "RetryBaseSeconds": "1",
    "MaxAttempts": "3",
    "FunctionTimeout": "20",
    "VisibilityTimeout": "30",
    "MaxConcurrency": "2",
}
"""
What differs from the template's defaults: nobody waits long for a retry, and a small machine
does not start more functions than it has processors for.
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, looked at without receiving it."""

    body: str
    attributes: dict[str, str]
    visible: bool

    @property
    def code(self) -> str | None:
        """Its error code."""
        return self.attributes.get("ErrorCode")


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack, with the sandbox it asks, and the hands to use both."""

    access: Access
    sandbox: Sandbox
    outputs: dict[str, str]

    def uri(self, key: str) -> str:
        """Of the upload with this key."""
        return f"s3://{self.outputs['UploadsBucketName']}/{key}"

    def set_key(self, key: str) -> None:
        """
        Set the Tagger API's key.

        Raises:
            LocalError: `hangtag key set` failed.
        """
        done = self.hangtag("key", "set", text=key)
        if done.returncode:
            raise LocalError(f"hangtag key set failed:\n{done.stderr}")

    def key(self) -> str:
        """The Tagger API's key."""
        secret = self.client("secretsmanager").get_secret_value(
            SecretId=self.outputs["ApiKeySecretArn"]
        )
        key: str = secret["SecretString"]
        return key

    def upload(
        self, key: str, body: bytes, metadata: Mapping[str, str] | None = None
    ) -> str:
        """
        Put an image into the uploads bucket; the id of its version.

        `metadata` is named without `x-amz-meta-`. Values that are not ASCII are encoded as
        RFC 2047 says, which is how they travel in a header.
        """
        encoded = {name: to_header(text) for name, text in (metadata or {}).items()}
        answer = self.client("s3").put_object(
            Bucket=self.outputs["UploadsBucketName"],
            Key=key,
            Body=body,
            Metadata=encoded,
        )
        version: str = answer["VersionId"]
        return version

    def hangtag(
        self, *arguments: str, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the real command for this stack, with `text` on its stdin."""
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
        """Run the real command where its user sees it; its exit status."""
        return subprocess.run(
            hangtag_command(arguments),
            env=self.access.environment(),
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=COMMAND_SECONDS,
        ).returncode

    def result(self, uri: str) -> dict[str, Any] | None:
        """
        The newest result of an upload, None where there is none yet.

        Raises:
            LocalError: `hangtag results show` failed otherwise.
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
        The letters in the dead-letter queue, or those of one upload.

        They are looked at, not received: none is hidden, and no receive is counted.
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
        """All tag calls the sandbox got so far, each `{"sha256", "status", "code"}`."""
        return self.sandbox.calls()

    def fail_image(
        self,
        sha256: str,
        *,
        code: int,
        message: str = "As told",
        times: int | None = None,
    ) -> None:
        """Have the sandbox refuse the image with these bytes, so many `times` or for ever."""
        self.sandbox.fail_image(sha256, code=code, message=message, times=times)

    def heal_image(self, sha256: str) -> None:
        """Have the sandbox tag the image with these bytes again."""
        self.sandbox.heal_image(sha256)

    def client(self, service: str) -> Any:  # noqa: ANN401  # as Access.client
        """A boto3 client of the cloud the stack lives in."""
        return self.access.client(service)

    def log_events(self) -> Iterator[str]:
        """The texts of the function's log, from its beginning."""
        function = self.client("lambda").get_function_configuration(
            FunctionName=self.outputs["TagUploadsFunctionName"]
        )
        pages = (
            self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=function["LoggingConfig"]["LogGroup"])
        )
        for page in pages:
            yield from (event["message"] for event in page["events"])

    def function_log(self, events: int = 20) -> str:
        """The end of the function's log."""
        lines = [text.rstrip() for text in self.log_events()]
        return "\n".join(lines[-events:]) or "(the function has not logged anything)"


def hangtag_command(arguments: Sequence[str]) -> list[str]:
    """The command line of `hangtag` for the stack."""
    return [str(PROGRAMS / "hangtag"), "--stack", STACK_NAME, *arguments]


def bring_up(
    directory: Path,
    *,
    step: Step,
    parameters: Mapping[str, str] = PARAMETERS,
    cloud_port: int = 0,
    sandbox_port: int = 0,
    faults: Faults | None = None,
) -> Stack:
    """
    The stack, deployed and with an API key, in a local cloud of its own in `directory`.

    With `faults`, a proxy of the same directory, the function's calls of AWS go through it.

    Raises:
        LocalError: something did not work; nothing is left running.
    """
    cloud = LocalCloud(directory)
    sandbox = Sandbox(directory)
    key = secrets.token_urlsafe(24)
    try:
        with step("Starting the local cloud"):
            cloud.start(port=cloud_port, functions_call=faults.url if faults else None)
        if faults is not None:
            with step("Starting the fault proxy"):
                faults.start(cloud.access)
        with step("Starting the sandbox Tagger API"):
            sandbox.start(
                key=key, certificate=cloud.access.certificate, port=sandbox_port
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
        with step("Setting the API key (hangtag key set)"):
            stack.set_key(key)
    except BaseException:  # Ctrl-C too: what was started is stopped again
        take_down(directory)
        raise
    return stack


def running_stack(directory: Path) -> Stack | None:
    """What `bring_up` has left running in `directory`; None when it is not whole."""
    cloud = LocalCloud(directory)
    sandbox = Sandbox(directory)
    if not (cloud.runs() and sandbox.runs()):
        return None
    return Stack(cloud.access, sandbox, read_outputs(cloud.access))


def take_down(directory: Path) -> bool:
    """End what runs in `directory`; False when nothing did."""
    # An impatient second Ctrl-C must not leave half of it running.
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


def build(directory: Path) -> Path:
    """
    Build the template for this machine's Python; the built template, in `directory`.

    Several builds of one checkout take turns, because they share a cache: most of the time
    goes into third-party packages that seldom change.

    Raises:
        LocalError: sam failed; with what it printed.
    """
    target = directory / "build"
    BUILDS.mkdir(parents=True, exist_ok=True)
    with (BUILDS / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        sam(
            "build",
            "--build-dir",
            str(BUILDS / "stack"),
            "--cached",
            "--cache-dir",
            str(BUILDS / "cache"),
            "--parameter-overrides",
            overrides(runtime()),
            directory=directory,
            env=own_environment(),
        )
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(BUILDS / "stack", target, symlinks=True)
    return target / "template.yaml"


def deploy(template: Path, access: Access, parameters: Mapping[str, str]) -> None:
    """
    Deploy a built template as the stack `hangtag`.

    Raises:
        LocalError: sam failed; with what it printed.
    """
    sam(
        "deploy",
        "--template-file",
        str(template),
        "--parameter-overrides",
        overrides({**runtime(), **parameters}),
        directory=template.parent.parent,
        env=access.environment(),
    )


def sam(command: str, *arguments: str, directory: Path, env: Mapping[str, str]) -> None:
    """
    Run a command of sam with the settings that samconfig.toml has for the local cloud.

    Raises:
        LocalError: it failed; with what it printed.
    """
    program = str(PROGRAMS / "sam")
    settings = ["--config-env", "local", "--config-file", str(ROOT / "samconfig.toml")]
    log = directory / f"sam-{command}.log"
    directory.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        done = subprocess.run(
            [program, command, *settings, *arguments],
            check=False,
            cwd=ROOT,
            env={
                **env,
                "SAM_CLI_TELEMETRY": "0",
                # Where sam keeps its own notes: not in the home of whoever runs this.
                "__SAM_CLI_APP_DIR": str(directory / "sam"),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        said = log.read_text(errors="replace")
        raise LocalError(f"sam {command} failed with {done.returncode}:\n{said}")


def runtime() -> dict[str, str]:
    """The stack's parameters for this machine and this Python."""
    machine = platform.machine().lower()
    return {
        "PythonRuntime": f"python3.{sys.version_info.minor}",
        "Architecture": "arm64" if machine in ("arm64", "aarch64") else "x86_64",
    }


def overrides(parameters: Mapping[str, str]) -> str:
    """Parameters as sam reads them."""
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def read_outputs(access: Access) -> dict[str, str]:
    """
    The outputs of the deployed stack.

    Raises:
        LocalError: it is not deployed.
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
    """Text as a header carries it: RFC 2047-encoded when it is not ASCII."""
    if text.isascii():
        return text
    return f"=?UTF-8?B?{b64encode(text.encode()).decode()}?="


def text_attributes(attributes: Mapping[str, Any]) -> dict[str, str]:
    """The message attributes of SQS, without their types."""
    return {name: value["StringValue"] for name, value in attributes.items()}
