"""
Compares the function TagUploads with a plain one that has the same job (benchmarks/peer).

    python -m benchmarks.function               the tables of docs/performance.md
    python -m benchmarks.function --runs 1 --size 300 --batch 10 --memory 512

Both are built by `sam build` and run like Lambda runs them (`benchmarks.function_worker`), in turn,
two invocations at a time, with the same images, local cloud and API (`benchmarks.stub_api`). Every
number is the median of the runs. If a record failed, or a call is missing, there is no table.

The milliseconds are those of the handler, the CPU that of the process. `--memory` gives a process
the share of a processor that Lambda gives for so many MB (`benchmarks.cpu_share`); 0 is no limit. A
cold start is the CPU of loading the handler, with its clients, in a new process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import IO, Any, Literal
from urllib.request import urlopen

from rich.console import Console

from benchmarks.cpu_share import MEGABYTES_OF_A_CORE, CpuShare
from local.cloud import ROOT, free_port
from local.pictures import small_picture
from local.progress import steps_on
from local.sam import overrides, runtime, sam
from local.stack import Stack, bring_up, take_down

API_MILLISECONDS = 500
AT_A_TIME = 2
"""Invocations, each in a process of its own."""
COLD_STARTS = 7
SIZES = (100, 300, 1_000, 10_000)
"""KB of an image."""
BATCHES = (10, 1)
MEMORIES = (0, 256, 512, 1024, 1769)
"""MB; 0 is a process without a limit."""
RUNTIME = ROOT / ".local/cloud/bin/python"
"""Stands for Lambda's Python, which has boto3; its packages have bytecode."""

Name = Literal["hangtag", "peer"]
NAMES: tuple[Name, Name] = ("hangtag", "peer")


class Invalid(Exception):
    """A run that must not be compared."""


@dataclass(frozen=True, slots=True)
class Program:
    """A built function."""

    name: Name
    module: str
    path: tuple[Path, ...]
    """Where its modules are, as on Lambda: its own folder and its layers."""
    environment: dict[str, str]

    def copied(self, folder: Path) -> Program:
        """Copy the function to *folder*."""
        paths = []
        for number, path in enumerate(self.path):
            paths.append(folder / self.name / str(number))
            shutil.copytree(path, paths[-1])
        return Program(self.name, self.module, tuple(paths), self.environment)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured."""

    kilobytes: int
    batch: int
    memory: int

    @property
    def share(self) -> float:
        """Of a processor, for each process."""
        return min(1.0, self.memory / MEGABYTES_OF_A_CORE) if self.memory else 1.0

    @property
    def batches(self) -> int:
        """How many each process gets, after one to warm up."""
        if self.kilobytes > 1_000:
            return 1
        return 3 if self.batch > 1 else 10

    @property
    def images(self) -> int:
        """How many a run tags, the first batches included."""
        return AT_A_TIME * (self.batches + 1) * self.batch


@dataclass(slots=True)
class Measured:
    """One run of a function."""

    milliseconds: float = 0.0
    """Billed, of all invocations: Lambda rounds each one up."""
    cpu: float = 0.0
    megabytes: float = 0.0
    images: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    """Of the invocations after the first ones, by `host:port`."""

    def row(self, api: str) -> dict[str, float]:
        """The numbers of an image, and the peak of memory."""
        calls = self.requests[api]
        return {
            "billed ms": self.milliseconds / self.images,
            "CPU ms": self.cpu / self.images,
            "AWS calls": (self.requests.total() - calls) / self.images,
            "API calls": calls / self.images,
            "peak MB": self.megabytes,
        }


class Worker:
    """A process that runs a function."""

    def __init__(self, program: Program, log: Path, *, bytecode: bool = False) -> None:
        log.touch()
        environment = {
            **program.environment,
            "PYTHONPATH": os.pathsep.join(map(str, program.path)),
            "WORKER_LOG": str(log),
        }
        if not bytecode:
            # Lambda's folders are read-only
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self._log = log
        worker = str(Path(__file__).with_name("function_worker.py"))
        self._process = subprocess.Popen(
            [str(RUNTIME), "-s", worker, program.module],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.loaded = self.read()

    def send(self, event: dict[str, Any]) -> None:
        """Begin an invocation."""
        print(json.dumps(event), file=self._pipe(self._process.stdin), flush=True)

    def read(self) -> dict[str, Any]:
        """Wait for the next measurements."""
        line = self._pipe(self._process.stdout).readline()
        if not line:
            raise Invalid(f"the function ended{self.log()}")
        measured: dict[str, Any] = json.loads(line)
        return measured

    def log(self) -> str:
        """The end of what the function has printed."""
        return f":\n{self._log.read_text()[-4_000:]}"

    def close(self) -> None:
        """End the process."""
        self._pipe(self._process.stdin).close()
        self._process.wait(timeout=60)
        self._pipe(self._process.stdout).close()

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise AssertionError("the process has no pipes")
        return pipe


class Bench:
    """A stack of the local cloud, a stub of the API, and the two functions."""

    def __init__(self, stack: Stack, folder: Path, api_port: int) -> None:
        self._stack = stack
        self._folder = folder
        self._api_port = api_port
        self._table = "peer-results"
        self._uploads = 0
        self._workers = 0
        self.programs: dict[Name, Program] = {
            "hangtag": self._hangtag(),
            "peer": self._peer(),
        }

    def _hangtag(self) -> Program:
        function = self._stack.outputs["TagUploadsFunctionName"]
        found = self._stack.client("lambda").get_function_configuration(
            FunctionName=function
        )
        build = self._folder / "build"
        return Program(
            "hangtag",
            "handler",
            (
                build / "TagUploads",
                build / "CoreLayer/python",
                build / "DependenciesLayer/python",
            ),
            {
                **self._stack.access.environment(),
                **found["Environment"]["Variables"],
                "AWS_LAMBDA_FUNCTION_NAME": function,
            },
        )

    def _peer(self) -> Program:
        folder = self._folder / "peer"
        sam(
            "build",
            "--template-file",
            str(ROOT / "benchmarks/peer/template.yaml"),
            "--build-dir",
            str(folder / "build"),
            "--parameter-overrides",
            overrides(runtime()),
            directory=folder,
            env=dict(os.environ),
        )
        outputs = self._stack.outputs
        self._stack.client("dynamodb").create_table(
            TableName=self._table,
            KeySchema=[{"AttributeName": "uri", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "uri", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return Program(
            "peer",
            "app",
            (folder / "build/Peer",),
            {
                **self._stack.access.environment(),
                "AWS_LAMBDA_FUNCTION_NAME": "peer",
                "POWERTOOLS_SERVICE_NAME": "peer",
                "PEER_TABLE": self._table,
                "PEER_API_KEY_SECRET": outputs["ApiKeySecretArn"],
                "PEER_TAGGER_API_URL": f"http://{self.api}/tagger/v2.12/tags",
                "PEER_TOPIC_ARN": outputs["ResultsTopicArn"],
            },
        )

    @property
    def api(self) -> str:
        """The stub's `host:port`."""
        return f"127.0.0.1:{self._api_port}"

    def api_calls(self) -> int:
        """How many requests the stub has answered."""
        with urlopen(f"http://{self.api}/calls", timeout=10) as answer:
            return int(answer.read())

    def run(self, name: Name, setting: Setting) -> Measured:
        """
        Tag new images of that size with a function.

        Raises:
            Invalid: Not every image was tagged with one call.
        """
        messages = self._upload(setting)
        events = [
            {"Records": messages[first : first + setting.batch]}
            for first in range(0, len(messages), setting.batch)
        ]
        calls_before = self.api_calls()
        program = self.programs[name]
        program.environment["HANGTAG_BATCH_SIZE"] = str(setting.batch)
        workers = [self._worker(program) for _ in range(AT_A_TIME)]
        try:
            measured = self._invoke(workers, events, setting)
        finally:
            for worker in workers:
                worker.close()
        self._check(name, messages, self.api_calls() - calls_before)
        return measured

    def _worker(self, program: Program, *, bytecode: bool = False) -> Worker:
        self._workers += 1
        log = self._folder / f"worker-{self._workers}.log"
        return Worker(program, log, bytecode=bytecode)

    def _invoke(
        self, workers: Sequence[Worker], events: list[dict[str, Any]], setting: Setting
    ) -> Measured:
        measured = Measured()
        with ExitStack() as limits:
            for number in range(0, len(events), AT_A_TIME):
                if number == AT_A_TIME:  # all are warm
                    for worker in workers:
                        limits.enter_context(CpuShare(worker.pid, setting.share))
                some = events[number : number + AT_A_TIME]
                for worker, event in zip(workers, some, strict=True):
                    worker.send(event)
                for worker in workers:
                    found = worker.read()
                    if found["failed"]:
                        raise Invalid(
                            f"{found['failed']} messages failed{worker.log()}"
                        )
                    measured.megabytes = max(measured.megabytes, found["megabytes"])
                    if number:
                        measured.milliseconds += -(-found["milliseconds"] // 1)
                        measured.cpu += found["cpu"]
                        measured.images += setting.batch
                        measured.requests.update(found["requests"])
        return measured

    def _check(self, name: Name, messages: list[dict[str, Any]], calls: int) -> None:
        if calls != len(messages):
            raise Invalid(
                f"{name}: {calls} calls of the API for {len(messages)} images"
            )
        tagged = sum(1 for message in messages if self._is_tagged(name, message))
        if tagged != len(messages):
            raise Invalid(f"{name}: {tagged} results of {len(messages)} images")

    def _is_tagged(self, name: Name, message: dict[str, Any]) -> bool:
        found = json.loads(message["body"])["Records"][0]["s3"]
        uri = f"s3://{found['bucket']['name']}/{found['object']['key']}"
        key = {"uri": {"S": uri}}
        table = self._table
        if name == "hangtag":
            table = self._stack.outputs["ResultsTableName"]
            key["version"] = {"S": "result"}
        answer = self._stack.client("dynamodb").get_item(TableName=table, Key=key)
        return "Item" in answer

    def _upload(self, setting: Setting) -> list[dict[str, Any]]:
        """Upload new images, and receive the messages about them like Lambda's poller."""
        picture = small_picture("benchmark")
        picture += os.urandom(1_000 * setting.kilobytes - len(picture))
        for _ in range(setting.images):
            self._uploads += 1
            self._stack.upload(f"{self._uploads:06d}.png", picture)
        return [self._receive() for _ in range(setting.images)]

    def _receive(self) -> dict[str, Any]:
        queue = self._stack.client("sqs")
        url = self._stack.outputs["UploadQueueUrl"]
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = queue.receive_message(
                QueueUrl=url, WaitTimeSeconds=1, MessageSystemAttributeNames=["All"]
            ).get("Messages", [])
            if found and "s3:TestEvent" not in found[0]["Body"]:
                return {
                    "messageId": found[0]["MessageId"],
                    "receiptHandle": found[0]["ReceiptHandle"],
                    "body": found[0]["Body"],
                    "md5OfBody": found[0]["MD5OfBody"],
                    "attributes": found[0]["Attributes"],
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:uploads",
                    "awsRegion": "us-east-1",
                }
        raise Invalid("an upload's message did not arrive")

    def cold_starts(self) -> dict[str, dict[Name, float]]:
        """The CPU milliseconds of loading each function: as it was built, and with bytecode."""
        copies = {
            name: program.copied(self._folder / "compiled")
            for name, program in self.programs.items()
        }
        for program in copies.values():
            subprocess.run(
                [str(RUNTIME), "-m", "compileall", "-q", *map(str, program.path)],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        return {
            "cold start, as built": self._loaded(self.programs),
            "cold start, with bytecode": self._loaded(copies),
        }

    def _loaded(self, programs: dict[Name, Program]) -> dict[Name, float]:
        seen: dict[Name, list[float]] = {name: [] for name in programs}
        for _ in range(COLD_STARTS):
            for name, program in programs.items():
                worker = self._worker(program)
                worker.close()
                seen[name].append(worker.loaded["cpu"])
        return {name: median(some) for name, some in seen.items()}


@contextmanager
def bench_in(folder: Path) -> Iterator[Bench]:
    """Bring up everything that is needed, in *folder*, and take it down afterwards."""
    console = Console(stderr=True)
    port = free_port()
    api = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.stub_api", str(port), str(API_MILLISECONDS)],
        cwd=ROOT,
    )
    try:
        url = f"http://127.0.0.1:{port}/tagger/v2.12/tags"
        stack = bring_up(
            folder, step=steps_on(console), parameters={"TaggerApiUrl": url}
        )
        try:
            stop_own_function(stack)
            yield Bench(stack, folder, port)
        finally:
            take_down(folder)
    finally:
        api.terminate()
        api.wait()


def stop_own_function(stack: Stack) -> None:
    """Let no function but the measured ones receive the uploads' messages."""
    functions = stack.client("lambda")
    (mapping,) = functions.list_event_source_mappings(
        FunctionName=stack.outputs["TagUploadsFunctionName"]
    )["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)


def compare(bench: Bench, setting: Setting, runs: int) -> dict[Name, dict[str, float]]:
    """The medians of both functions, which run in turn."""
    rows: dict[Name, list[dict[str, float]]] = {name: [] for name in NAMES}
    for _ in range(runs):
        for name in NAMES:
            rows[name].append(bench.run(name, setting).row(bench.api))
    return {
        name: {column: median(row[column] for row in some) for column in some[0]}
        for name, some in rows.items()
    }


def show(title: str, rows: dict[Name, dict[str, float]]) -> None:
    """Print a table of both functions, with their ratio."""
    print(f"\n### {title}\n\n| | Hangtag | peer | ratio |\n|---|---|---|---|")
    for column, own in rows["hangtag"].items():
        other = rows["peer"][column]
        ratio = own / other if other else float("nan")
        print(f"| {column} | {own:.1f} | {other:.1f} | {ratio:.2f} |", flush=True)


def settings_of(options: argparse.Namespace) -> list[Setting]:
    """What is to be measured: everything for one size of images, a part for the others."""
    if options.size or options.batch or options.memory is not None:
        return [Setting(options.size or 300, options.batch or 10, options.memory or 0)]
    return [
        *(Setting(300, batch, memory) for batch in BATCHES for memory in MEMORIES),
        *(
            Setting(size, batch, memory)
            for size in SIZES
            if size != 300
            for batch in BATCHES
            for memory in (0, 512)
        ),
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.function")
    parser.add_argument("--runs", type=int, default=3, help="of each function (3)")
    parser.add_argument("--size", type=int, help="KB of an image")
    parser.add_argument("--batch", type=int, choices=BATCHES, help="images of an event")
    parser.add_argument("--memory", type=int, help="MB of the function; 0: no limit")
    options = parser.parse_args()
    with (
        TemporaryDirectory(prefix="hangtag-bench-") as folder,
        bench_in(Path(folder)) as bench,
    ):
        try:
            for setting in settings_of(options):
                memory = f"{setting.memory} MB" if setting.memory else "a processor"
                title = (
                    f"{setting.kilobytes:,} KB, batches of {setting.batch}, {memory}"
                )
                show(f"An image: {title}", compare(bench, setting, options.runs))
            for title, found in bench.cold_starts().items():
                show(title, {name: {"CPU ms": cpu} for name, cpu in found.items()})
        except Invalid as error:
            raise SystemExit(f"No comparison: {error}") from None


if __name__ == "__main__":
    main()
