"""
The soak test: many uploads under faults of every kind, and a check of every outcome.

Besides the uploads, it sends copies of their messages in another sequence, several records in one
message, unreadable messages, files that are not images, and it deletes some objects early. AWS and
API calls fail at a given rate, each service is down for a moment, a worker is killed, the API's key
is changed, and its quota runs out. The test passes if every upload is finished and every extra call
has a reason.
"""

from __future__ import annotations

import json
import random
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from local.cloud import LocalCloud, free_port
from local.faults import Faults, Rule
from local.indexed import wait_for_stream
from local.ledger import Sent, object_version_of, read_ledger, send
from local.processes import LocalError
from local.progress import counting, steps_on
from local.soak_plan import (
    NOT_AN_IMAGE,
    SEED,
    Planned,
    api_faults,
    aws_faults,
    in_groups,
    plan,
)
from local.soak_report import Report, Traffic
from local.stack import bring_up, take_down
from local.watch import WatchedStack, watch
from local.workers import kill, workers_of

PARAMETERS = {
    "RetryBaseSeconds": "1",
    "MaxAttempts": "3",
    "FunctionTimeout": "15",
    "VisibilityTimeout": "18",
    "MaxConcurrency": "4",
}
FEWEST, MOST = 100, 20_000
SECONDS_FOR_ALL = 240.0
SECONDS_EACH = 0.4
BREAKER_SECONDS = 30.0
OUTAGE_SECONDS = 2.0
AT_ONCE = 4
MOST_TROUBLES = 50
MOST_LOG_LINES = 1_000_000


def soak(
    directory: Path, *, number: int, rate: float, skip: frozenset[str] = frozenset()
) -> bool:
    """
    Upload `number` object versions at a fault rate from 0 to 1; True if the test passes.

    `skip` leaves out incidents: `kill`, `outage`, `rotation`, `breaker`. All files are in
    `directory`; all programs are stopped at the end.

    Raises:
        LocalError: The stack itself failed.
    """
    console = Console(stderr=True)
    step = steps_on(console)
    faults = Faults(directory, port=free_port())
    stack = bring_up(directory, step=step, parameters=PARAMETERS, faults=faults)
    try:
        cloud = LocalCloud(directory).pid()
        if cloud is None:
            raise LocalError("the local cloud has ended")
        watched = watch(stack, "soak-subscriber")
        run = Soak(watched, faults, cloud=cloud, number=number, rate=rate, skip=skip)
        in_time = run.go(console)
        with step("Reading the outcomes"):
            run.traffic.events += [f"! {one}" for one in wait_for_stream(watched)]
            ledger = read_ledger(watched)
        report = Report(run.traffic, ledger)
        if report.troubles:
            log = directory.parent / "soak.log"
            log.write_text(watched.function_log(events=MOST_LOG_LINES))
            console.print(f"The function's log is in {log}", markup=False)
    finally:
        with step("Stopping the local cloud"):
            take_down(directory)
    output = Console(width=None if sys.stdout.isatty() else 120)
    output.print(report.table())
    for event in run.traffic.events:
        output.print(f"- {event}", markup=False, highlight=False)
    for trouble in report.troubles[:MOST_TROUBLES]:
        output.print(f"! {trouble}", markup=False, highlight=False)
    if len(report.troubles) > MOST_TROUBLES:
        output.print(f"! and {len(report.troubles) - MOST_TROUBLES} more")
    if not in_time:
        output.print(
            f"! timed out after {run.seconds:.0f} s; the upload queue is not empty"
        )
    return in_time and not report.troubles


class Soak:
    """One run of the test: sends the uploads and causes the incidents."""

    def __init__(
        self,
        stack: WatchedStack,
        faults: Faults,
        *,
        cloud: int,
        number: int,
        rate: float,
        skip: frozenset[str],
    ) -> None:
        self.traffic = Traffic()
        self.seconds = SECONDS_FOR_ALL + SECONDS_EACH * number
        self._stack = stack
        self._faults = faults
        self._cloud = cloud
        self._plan = plan(number)
        self._rate = rate
        self._random = random.Random(SEED)  # noqa: S311  # not a secret
        self._queue = stack.outputs["UploadQueueUrl"]
        self._deadline = time.monotonic() + self.seconds
        incidents: list[tuple[float, str, Callable[[], None]]] = [
            (0.15, "outage", lambda: self._outage("dynamodb")),
            (0.25, "kill", self._kill),
            (0.35, "outage", lambda: self._outage("sqs")),
            (0.45, "rotation", self._rotate),
            (0.55, "outage", lambda: self._outage("s3")),
            (0.65, "breaker", self._use_up_the_quota),
            (0.75, "outage", lambda: self._outage("sns")),
            (0.85, "outage", lambda: self._outage("secretsmanager")),
        ]
        self._incidents = [one for one in incidents if one[1] not in skip]

    def go(self, console: Console) -> bool:
        """Run the test; False if the queue is not empty at the deadline."""
        self._inject_faults()
        with counting(console, "Uploading", total=len(self._plan)) as advance:
            self._upload(advance)
        total = len(self._plan) + self.traffic.copies + self.traffic.bundles
        total += len(self.traffic.unreadable)
        with counting(console, "Processing messages", total=total) as advance:
            while (left := self._left()) and time.monotonic() < self._deadline:
                done = max(0, total - left)
                advance(done)
                self._run_incidents(done / total)
                time.sleep(0.5)
            self._run_incidents(1.0)
            while (left := self._left()) and time.monotonic() < self._deadline:
                advance(max(0, total - left))
                time.sleep(0.5)
            advance(total - left)
        self._faults.clear()
        self._stack.sandbox.heal()
        time.sleep(1)
        return left == 0

    def _inject_faults(self) -> None:
        self._faults.set(aws_faults(self._rate))
        self._stack.sandbox.heal()
        for fault in api_faults(self._rate):
            self._stack.sandbox.fail(fault)

    def _upload(self, advance: Callable[[int], None]) -> None:
        """Make the planned uploads in groups, and send additional messages after each group."""
        position = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for group in in_groups(self._plan, 50):
                by_key: dict[str, list[Planned]] = {}
                for one in group:
                    by_key.setdefault(one.key, []).append(one)
                for sent in pool.map(self._upload_versions, by_key.values()):
                    self.traffic.sent += sent
                position += len(group)
                advance(position)
                self._read_messages()
                self._send_additional_messages()

    def _upload_versions(self, versions: Sequence[Planned]) -> list[Sent]:
        sent = []
        for one in versions:
            sent.append(send(self._stack, one.key, one.body))
            if one.body.startswith(NOT_AN_IMAGE):
                self.traffic.texts.add(sent[-1].sha256)
            if one.deleted:
                self._stack.client("s3").delete_object(
                    Bucket=self._stack.outputs["UploadsBucketName"],
                    Key=one.key,
                    VersionId=sent[-1].version,
                )
        return sent

    def _read_messages(self) -> None:
        """Collect the messages in the upload queue without receiving them."""
        path = f"/_ministack/sqs/messages?QueueUrl={quote(self._queue, safe='')}"
        by_account = json.loads(self._stack.access.get(path))["messages"]
        for regions in by_account.values():
            for queues in regions.values():
                for messages in queues.values():
                    for message in messages:
                        version = object_version_of(message["Body"])
                        if version is not None:
                            self.traffic.seen[version] = message["Body"]

    def _send_additional_messages(self) -> None:
        """Send copies in another sequence, several records in one message, and unreadable text."""
        bodies = list(self.traffic.seen.values())
        if not bodies:
            return
        copies = self._random.sample(bodies, min(5, len(bodies)))
        for body in copies:
            self._send(body)
        self.traffic.copies += len(copies)
        bundled = self._random.sample(bodies, min(3, len(bodies)))
        records = [json.loads(body)["Records"][0] for body in bundled]
        self._send(json.dumps({"Records": records}))
        self.traffic.bundles += 1
        number = len(self.traffic.unreadable)
        unreadable = [
            f"no JSON at all, {number}",
            json.dumps({"half": "an event", "number": number}),
            json.dumps({"Records": [{"s3": {"bucket": number}}]}),
        ][number % 3]
        self._send(unreadable)
        self.traffic.unreadable.append(unreadable)

    def _send(self, body: str) -> None:
        self._stack.client("sqs").send_message(QueueUrl=self._queue, MessageBody=body)

    def _left(self) -> int:
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        counts = self._stack.client("sqs").get_queue_attributes(
            QueueUrl=self._queue, AttributeNames=names
        )["Attributes"]
        return sum(int(counts[name]) for name in names)

    def _run_incidents(self, share: float) -> None:
        """Cause the incidents that are due when this share of the messages is processed."""
        while self._incidents and self._incidents[0][0] <= share:
            _, _, cause = self._incidents.pop(0)
            cause()

    def _outage(self, service: str) -> None:
        down: Rule = {
            "service": service,
            "error": {"code": "InternalError", "status": 500},
        }
        self._faults.set([down, *aws_faults(self._rate)])
        time.sleep(OUTAGE_SECONDS)
        self._faults.set(aws_faults(self._rate))
        self._note(f"{service} was down for {OUTAGE_SECONDS:g} s")

    def _kill(self) -> None:
        workers = workers_of(self._cloud)
        if workers:
            kill(self._random.choice(workers))
        self._note(f"one of {len(workers)} workers was killed")

    def _rotate(self) -> None:
        key = secrets.token_urlsafe(24)
        self._stack.sandbox.set_key(key)
        time.sleep(0.5)
        self._stack.set_key(key)
        self._note("the API's key was changed, and the secret a moment later")
        self._resume()

    def _use_up_the_quota(self) -> None:
        self._stack.sandbox.set_quota(0)
        try:
            opened = self._breaker_opens()
        finally:
            self._stack.sandbox.set_quota(None)
        effect = "the breaker opened" if opened else "the breaker did NOT open"
        self._note(f"the quota was used up: {effect}")
        if not opened:
            self.traffic.events.append("! the breaker did not open")
        self._resume()

    def _breaker_opens(self) -> bool:
        deadline = time.monotonic() + BREAKER_SECONDS
        while time.monotonic() < deadline and self._left():
            shown = self._stack.hangtag("--json", "status")
            if shown.returncode == 0 and json.loads(shown.stdout)["breaker"]["open"]:
                return True
        return False

    def _resume(self) -> None:
        done = self._stack.hangtag("resume")
        if done.returncode:
            raise LocalError(f"hangtag resume failed:\n{done.stderr}")

    def _note(self, event: str) -> None:
        self.traffic.events.append(event)
