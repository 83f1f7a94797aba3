"""
Runs TagUploads and a plain function with the same job (benchmarks/peer), as Lambda runs them.

`benchmarks.function` and others measure with it. Both functions are built by `sam build`, and get
the same images, local cloud and API (`benchmarks.stub_api`), two invocations at a time. The
milliseconds are those of the handler, the CPU time that of the process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import IO, Any, Literal
from urllib.request import urlopen

from rich.console import Console

from benchmarks.cpu_share import MEGABYTES_OF_A_CORE, CpuShare
from local.cloud import ROOT, free_port
from local.pictures import small_picture
from local.processes import LocalError
from local.progress import steps_on
from local.sam import overrides, runtime, sam
from local.stack import Stack, bring_up, take_down

API_MILLISECONDS = 500
COLD_STARTS = 7
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
    """Of an image: thousands of bytes."""
    batch: int
    memory: int
    """MB of the function; 0 for a whole processor."""
    measured: int = 0
    """Images to measure; 0 for a number that suits the size and the batch."""
    processes: int = 2
    """Invocations at a time, each in a process of its own."""

    @property
    def share(self) -> float:
        """Of a processor, for each process."""
        return min(1.0, self.memory / MEGABYTES_OF_A_CORE) if self.memory else 1.0

    @property
    def batches(self) -> int:
        """How many each process gets, after one to warm up."""
        if self.measured:
            return max(1, self.measured // (self.processes * self.batch))
        if self.kilobytes > 1_000:
            return 1 if self.batch > 1 else 5
        return 2 if self.batch > 1 else 10

    @property
    def images(self) -> int:
        """How many a run tags, the first batches included."""
        return self.processes * (self.batches + 1) * self.batch

    def __str__(self) -> str:
        memory = f"{self.memory:,} MB" if self.memory else "a processor"
        alone = ", one at a time" if self.processes == 1 else ""
        return f"{self.kilobytes:,} KB, batches of {self.batch}, {memory}{alone}"


@dataclass(slots=True)
class Measured:
    """One run of a function."""

    milliseconds: float = 0.0
    """Billed, of all invocations: Lambda rounds each one up."""
    cpu: float = 0.0
    cold_cpu: float = 0.0
    """Of loading the handler, and of the first invocation; the mean of the processes."""
    megabytes: float = 0.0
    images: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    """Of the invocations after the first ones, by `host:port`."""
    parts: Counter[str] = field(default_factory=Counter)
    """CPU milliseconds by part, if a `Worker` measures them (`benchmarks.cpu_parts`)."""

    def row(self, api: str) -> dict[str, float]:
        """
        The numbers of an image, the peak of memory, and the CPU of a first batch.

        Raises:
            Invalid: A call is missing, or one too many.
        """
        calls = self.requests[api]
        if calls != self.images:
            raise Invalid(f"{calls} calls of the API for {self.images} images")
        return {
            "billed ms": self.milliseconds / self.images,
            "CPU ms": self.cpu / self.images,
            "AWS calls": (self.requests.total() - calls) / self.images,
            "API calls": calls / self.images,
            "peak MB": self.megabytes,
            "first batch, CPU ms": self.cold_cpu,
        }


def invoke(
    workers: Sequence[Worker], events: Sequence[dict[str, Any]], setting: Setting
) -> Measured:
    """
    Invoke all processes at the same time, again and again, until each event had its turn.

    The first invocation of each is not counted, and has a whole processor.

    Raises:
        Invalid: A message failed, or a process ended.
    """
    measured = Measured()
    with ExitStack() as limits:
        for number in range(0, len(events), len(workers)):
            if number == len(workers):  # all are warm
                for worker in workers:
                    limits.enter_context(CpuShare(worker.pid, setting.share))
            some = events[number : number + len(workers)]
            for worker, event in zip(workers, some, strict=True):
                worker.send(event)
            for worker in workers:
                found = worker.read()
                if found["failed"]:
                    raise Invalid(f"{found['failed']} messages failed{worker.log()}")
                measured.megabytes = max(measured.megabytes, found["megabytes"])
                if number:
                    measured.milliseconds += ceil(found["milliseconds"])
                    measured.cpu += found["cpu"]
                    measured.images += setting.batch
                    measured.requests.update(found["requests"])
                    measured.parts.update(found["parts"])
                else:
                    cold = worker.loaded["cpu"] + found["cpu"]
                    measured.cold_cpu += cold / len(workers)
    return measured


def check(name: Name, images: int, *, calls: int, results: int) -> None:
    """
    Raise `Invalid` unless each image was tagged with one call.

    The first batches count, too: `Measured.row` knows only the others.
    """
    if calls != images:
        raise Invalid(f"{name}: {calls} calls of the API for {images} images")
    if results != images:
        raise Invalid(f"{name}: {results} results of {images} images")


class Worker:
    """A process that runs a function."""

    def __init__(
        self,
        program: Program,
        log: Path,
        *,
        python: Path = RUNTIME,
        parts: bool = False,
    ) -> None:
        log.touch()
        environment = {
            **program.environment,
            "PYTHONPATH": os.pathsep.join(map(str, program.path)),
            "WORKER_LOG": str(log),
            "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's folders are read-only
        }
        if parts:
            environment["WORKER_PARTS"] = "1"
        self._log = log
        worker = str(Path(__file__).with_name("function_worker.py"))
        self._process = subprocess.Popen(
            [str(python), "-s", worker, program.module],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C is for the benchmark, which then closes this
        )
        self.pid = self._process.pid
        try:
            self.loaded = self.read()
        except BaseException:
            self.close()
            raise

    def send(self, event: dict[str, Any]) -> None:
        """Begin an invocation."""
        try:
            print(json.dumps(event), file=self._pipe(self._process.stdin), flush=True)
        except BrokenPipeError:
            raise Invalid(f"the function ended{self.log()}") from None

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
        """End the process; what it is doing does not count any more."""
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):  # an event that it did not read
            self._pipe(self._process.stdin).close()
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
        self._uploads: list[dict[str, str]] = []
        """The objects of the last run."""
        self._keys = count()
        self._logs = count()
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

    def run(self, name: Name, setting: Setting, *, parts: bool = False) -> Measured:
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
        workers: list[Worker] = []
        try:
            workers.extend(
                self._worker(program, parts=parts) for _ in range(setting.processes)
            )
            measured = invoke(workers, events, setting)
        finally:
            for worker in workers:
                worker.close()
        tagged = sum(self._is_tagged(name, message) for message in messages)
        calls = self.api_calls() - calls_before
        check(name, len(messages), calls=calls, results=tagged)
        self._forget_uploads()
        return measured

    def _worker(self, program: Program, *, parts: bool = False) -> Worker:
        log = self._folder / f"worker-{next(self._logs)}.log"
        return Worker(program, log, parts=parts)

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
            key = f"{next(self._keys):06d}.png"
            version = self._stack.upload(key, picture)
            self._uploads.append({"Key": key, "VersionId": version})
        messages: list[dict[str, Any]] = []
        until = time.monotonic() + 60
        while len(messages) < setting.images:
            if time.monotonic() > until:
                raise Invalid("an upload's message did not arrive")
            messages += self._receive()
        return messages

    def _forget_uploads(self) -> None:
        """Delete the objects: the local cloud has them in memory."""
        bucket = self._stack.outputs["UploadsBucketName"]
        while some := self._uploads[:1_000]:
            self._stack.client("s3").delete_objects(
                Bucket=bucket, Delete={"Objects": some, "Quiet": True}
            )
            del self._uploads[:1_000]

    def _receive(self) -> list[dict[str, Any]]:
        """Receive some messages about uploads, and delete them: no other run may get them."""
        queue = self._stack.client("sqs")
        url = self._stack.outputs["UploadQueueUrl"]
        found = queue.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        if found:
            entries = [
                {"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]}
                for number, one in enumerate(found)
            ]
            queue.delete_message_batch(QueueUrl=url, Entries=entries)
        return [
            {
                "messageId": one["MessageId"],
                "receiptHandle": one["ReceiptHandle"],
                "body": one["Body"],
                "md5OfBody": one["MD5OfBody"],
                "attributes": one["Attributes"],
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:uploads",
                "awsRegion": "us-east-1",
            }
            for one in found
            if "ObjectCreated:" in one["Body"]  # not those of deleted objects
        ]

    def round_trip(self, requests: int = 300) -> float:
        """The median milliseconds of a PutItem, one after the other: mostly the local cloud's."""
        client = self._stack.client("dynamodb")
        seen = []
        for number in range(requests):
            item = {"uri": {"S": f"round-trip-{number}"}}
            began = time.perf_counter()
            client.put_item(TableName=self._table, Item=item)
            seen.append(1_000 * (time.perf_counter() - began))
        return median(seen)

    def cold_starts(self) -> dict[str, dict[Name, dict[str, float]]]:
        """The CPU of loading each function: as it was built, and with bytecode."""
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

    def _loaded(self, programs: dict[Name, Program]) -> dict[Name, dict[str, float]]:
        seen: dict[Name, list[float]] = {name: [] for name in programs}
        for _ in range(COLD_STARTS):
            for name, program in programs.items():
                worker = self._worker(program)
                worker.close()
                seen[name].append(worker.loaded["cpu"])
        return {name: {"CPU ms": median(some)} for name, some in seen.items()}


@contextmanager
def bench() -> Iterator[Bench]:
    """
    Bring up everything that is needed, and take it down afterwards, also if the program is stopped.

    Raises:
        LocalError: Something is missing, or does not start.
    """
    with (
        TemporaryDirectory(prefix="hangtag-bench-") as folder,
        stack_with_stub(Path(folder)) as (stack, port),
    ):
        yield Bench(stack, Path(folder), port)


@contextmanager
def stack_with_stub(folder: Path) -> Iterator[tuple[Stack, int]]:
    """
    A stack whose API is a stub at the yielded port, and whose function receives no uploads.

    Raises:
        LocalError: Something is missing, or does not start.
    """
    if not RUNTIME.exists():
        raise LocalError("the local cloud is not installed: run make environments")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    port = free_port()
    api = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.stub_api", str(port), str(API_MILLISECONDS)],
        cwd=ROOT,
        process_group=0,
    )
    try:
        url = f"http://127.0.0.1:{port}/tagger/v2.12/tags"
        stack = bring_up(
            folder,
            step=steps_on(Console(stderr=True)),
            parameters={"TaggerApiUrl": url},
        )
        try:
            switch(stack, on=False)
            yield stack, port
        finally:
            take_down(folder)
    finally:
        api.terminate()
        api.wait()


def switch(stack: Stack, *, on: bool) -> None:
    """Let the stack's own function receive the uploads' messages, or not."""
    functions = stack.client("lambda")
    (mapping,) = functions.list_event_source_mappings(
        FunctionName=stack.outputs["TagUploadsFunctionName"]
    )["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)
