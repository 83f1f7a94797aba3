"""
Runs the cells of the fault matrix on the real template.

Rules select calls by the upload's key, so that many cells run at the same time. Cells of a step
whose call does not contain the key run one after another. At the end the faults are removed, the
queue is empty, and the ledger checks the promises.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from local.cloud import LocalCloud, free_port
from local.fault_cells import (
    DELAYING,
    FORBIDDEN,
    KILLING,
    NO_FAULT,
    SLOW,
    STEPS,
    Cell,
)
from local.fault_outcomes import NOT_INJECTED, Outcome, check
from local.fault_rules import (
    SLOW_SECONDS,
    Run,
    rules_of,
    sandbox_faults,
    tries_of,
)
from local.faults import Faults, Rule
from local.indexed import wait_for_stream
from local.leaks import Marks, leaks_in, places_of
from local.ledger import Sent, read_ledger, send
from local.pictures import small_picture
from local.processes import LocalError
from local.progress import Step
from local.stack import bring_up, take_down
from local.watch import WatchedStack, watch
from local.workers import kill, worker_at

PARAMETERS = {
    "RetryBaseSeconds": "0",
    "FunctionTimeout": "10",
    "VisibilityTimeout": "12",
    "MaxConcurrency": "4",
}
"""Short delays, so that retries happen soon."""

INJECTION_SECONDS = 25.0
FORBIDDEN_SECONDS = 6.0
DELAYED_INJECTION_SECONDS = 240.0
IDLE_SECONDS = (
    300.0  # an upload that was handed back eight times is hidden for over two minutes
)
NEIGHBOURS = 3
DELAYS = (3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23)


@contextmanager
def cell_runner(
    directory: Path, *, step: Step, max_attempts: int = 3, transport: str = "base64"
) -> Iterator[CellRunner]:
    """Start a new stack in `directory` to run cells in, and stop it at the end."""
    faults = Faults(directory, port=free_port())
    parameters = {
        **PARAMETERS,
        "MaxAttempts": str(max_attempts),
        "ImageTransport": transport,
    }
    marks = Marks.new()
    stack = bring_up(
        directory, step=step, parameters=parameters, faults=faults, key=marks.api_key
    )
    try:
        cloud = LocalCloud(directory).pid()
        if cloud is None:
            raise LocalError("the local cloud has ended")
        watched = watch(stack, "faults-subscriber")
        yield CellRunner(
            watched,
            faults,
            directory=directory,
            marks=marks,
            cloud=cloud,
            max_attempts=max_attempts,
            transport=transport,
        )
    finally:
        take_down(directory)


class CellRunner:
    """A stack behind a fault proxy that runs cells."""

    def __init__(
        self,
        stack: WatchedStack,
        faults: Faults,
        *,
        directory: Path,
        marks: Marks,
        cloud: int,
        max_attempts: int,
        transport: str,
    ) -> None:
        """`cloud` is the local cloud's pid; `directory` has the logs of the stack's programs."""
        self.stack = stack
        self.faults = faults
        self.transport = transport
        self._directory = directory
        self.marks = marks
        self._max_attempts = max_attempts
        self._cloud = cloud
        self._rounds = 0
        self._late_until = 0.0
        self._policy: dict[str, str] | None = None  # the role's, to restore it

    def run(
        self, cells: Sequence[Cell], *, advance: Callable[[int], None] = lambda _: None
    ) -> list[Outcome]:
        """
        Run cells, in parallel where possible, and call `advance` with the number done.

        Raises:
            LocalError: The stack or the proxy itself failed.
        """
        outcomes: list[Outcome] = []
        groups = groupby(sorted(cells, key=_group_of), key=_group_of)
        for (alone, delays, *_), group in groups:
            # One message per batch if the fault would fail the whole batch
            self._configure(
                batch_size=1 if delays else 10, concurrency=8 if delays else 4
            )
            if alone:
                for cell in group:
                    outcomes += self._round([cell])
                    advance(len(outcomes))
            else:
                outcomes += self._round(list(group))
                advance(len(outcomes))
        by_cell = {outcome.cell: outcome for outcome in outcomes}
        return [by_cell[cell] for cell in cells]

    def leaks(self) -> list[str]:
        """Search all that the stack has produced for the key, image bytes and presigned URLs."""
        return leaks_in(places_of(self.stack, self._directory), self.marks)

    def _round(self, cells: Sequence[Cell], *, last: bool = False) -> list[Outcome]:
        """
        Run cells in parallel, beside neighbours without a fault.

        It repeats cells whose worker could not be killed in time, unless it is the *last* round.
        """
        self._rounds += 1
        # The function remembers which transport worked in the last round
        self._restart_function()
        in_round = sorted(cells, key=lambda cell: cell.mode != "once")
        if not any(cell.alone for cell in cells):
            in_round += [Cell(STEPS[0], NO_FAULT)] * NEIGHBOURS
        delays = iter(DELAYS)
        bucket = self.stack.outputs["UploadsBucketName"]
        runs = []
        for number, cell in enumerate(in_round):
            key = f"round-{self._rounds:02}-{number:03}.png"
            delay = next(delays) if cell.step.retried else 0
            picture = small_picture(key, self.marks.image)
            runs.append(Run(cell, bucket, key, picture, delay))
        try:
            by_rule = self._inject_faults(runs)
            for run in runs:
                run.sent = send(self.stack, run.key, run.body)
                if run.cell.step.only_without_version:
                    self._send_event_without_version(run.sent)
            removed = [run for run in runs if run.cell.step.is_removal]
            for run in removed:
                self.stack.wait_for_result(self.stack.uri(run.key))
            # All at once: workers are only killed after the last deletion
            for run in removed:
                run.marker = self._delete(run.key)
            self._wait_for_injection(runs, by_rule)
        finally:
            self._heal(runs)
        self._wait_until_idle()
        stream_troubles = wait_for_stream(self.stack)
        outcomes = check(
            runs,
            read_ledger(self.stack),
            max_attempts=self._max_attempts,
            stream_troubles=stream_troubles,
        )
        missed = [
            one
            for one in outcomes
            if one.cell.fault in KILLING and one.troubles == (NOT_INJECTED,)
        ]
        if not missed or last:
            return outcomes
        again = self._round([one.cell for one in missed], last=True)
        return [one for one in outcomes if one not in missed] + again

    def _delete(self, key: str) -> str:
        """Delete an object; return the version of the delete marker."""
        answer = self.stack.client("s3").delete_object(
            Bucket=self.stack.outputs["UploadsBucketName"], Key=key
        )
        return str(answer["VersionId"])

    def _send_event_without_version(self, sent: Sent) -> None:
        """Send one more event of an upload, without a version id, as other senders may."""
        record = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": self.stack.outputs["UploadsBucketName"]},
                "object": {"key": sent.key, "eTag": sent.etag},
            },
        }
        self.stack.client("sqs").send_message(
            QueueUrl=self.stack.outputs["UploadQueueUrl"],
            MessageBody=json.dumps({"Records": [record]}),
        )

    def _inject_faults(self, runs: Sequence[Run]) -> dict[int, Run]:
        """Configure the proxy and the sandbox; returns the runs by the ids of their rules."""
        # With transport url, the API fetches the image itself
        last_step = (
            "DynamoDB PutItem (claim)" if self.transport == "url" else "S3 GetObject"
        )
        rules: list[Rule] = []
        owners: list[Run] = []
        for run in runs:
            if run.cell.fault == FORBIDDEN:
                self._remove_statement(run.cell.step.statement)
                run.injected = 1
            for fault in sandbox_faults(run, api_key=self.marks.api_key):
                self.stack.sandbox.fail({"sha256": run.sha256, **fault})
            for rule in rules_of(run, last_step=last_step):
                rules.append(rule)
                owners.append(run)
        return dict(zip(self.faults.set(rules), owners, strict=True))

    def _wait_for_injection(
        self, runs: Sequence[Run], by_rule: Mapping[int, Run]
    ) -> None:
        """Wait until every fault was injected often enough, and kill the workers of the cells."""
        began = time.monotonic()
        delaying = any(run.cell.fault in DELAYING for run in runs)
        longest = DELAYED_INJECTION_SECONDS if delaying else INJECTION_SECONDS
        checked = began
        seen = 0
        kills: list[tuple[float, int]] = []
        while (now := time.monotonic()) < began + longest:
            fired = self.faults.fired()
            for one in fired[seen:]:
                run = by_rule.get(one.rule)
                if run is None:
                    continue
                if run.cell.fault in KILLING:
                    worker = worker_at(one.port, cloud=self._cloud)
                    if worker is None:
                        continue  # its call has ended, or it was killed for another cell
                    # The API call follows right after the call that identified the worker.
                    wait = 0.7 if run.cell.step.is_api else 0.2
                    kills.append((now + wait, worker))
                elif run.cell.fault == SLOW:
                    # The cloud executes the call after the delay
                    self._late_until = max(self._late_until, now + SLOW_SECONDS + 1)
                run.injected += 1
            seen = len(fired)
            for _, worker in filter(lambda it: it[0] <= now, kills):
                kill(worker)
            kills = [one for one in kills if one[0] > now]
            if not kills and now > checked + 1:
                checked = now
                if self._all_injected(runs, began):
                    return
            time.sleep(0.1)

    def _all_injected(self, runs: Sequence[Run], began: float) -> bool:
        """Whether each upload is finished or its fault was injected often enough."""
        ledger = read_ledger(self.stack)
        for run in runs:
            if run.sent is None:
                return False
            ended = ledger.ending_of(run.sent, run.marker).status != "OPEN"
            if run.cell.step.by_index:
                ended = run.cell.mode == "once" and run.injected > 0
            least = 3 * tries_of(run.cell.step)
            if run.cell.fault in DELAYING:
                least = 2 if run.cell.alone else 3
            enough = run.cell.mode == "for ever" and run.injected >= least
            if run.cell.fault == FORBIDDEN:
                enough = time.monotonic() > began + FORBIDDEN_SECONDS
            if not (ended or enough):
                return False
        return True

    def _heal(self, runs: Sequence[Run]) -> None:
        """Remove all faults, except the refusals of images."""
        self.faults.clear()
        if self._policy is not None:
            self.stack.client("iam").put_role_policy(**self._policy)
            self._policy = None
        for run in runs:
            if not run.cell.step.refused:
                self.stack.sandbox.heal_image(run.sha256)

    def _wait_until_idle(self) -> None:
        """
        Wait until the upload queue is empty and all delayed calls are executed.

        Raises:
            LocalError: The wait timed out, although tagging was resumed.
        """
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        queue = self.stack.outputs["UploadQueueUrl"]
        resume_at = time.monotonic() + 20

        def idle() -> bool | None:
            nonlocal resume_at
            counts = self.stack.client("sqs").get_queue_attributes(
                QueueUrl=queue, AttributeNames=names
            )["Attributes"]
            if all(counts[name] == "0" for name in names):
                return True if time.monotonic() > self._late_until else None
            if time.monotonic() > resume_at:
                # The breaker may have opened, because some faults look systemic.
                self.stack.hangtag("resume")
                resume_at = time.monotonic() + 20
            return None

        self.stack.wait_for(idle, "the upload queue to be empty", seconds=IDLE_SECONDS)

    def _remove_statement(self, statement: str) -> None:
        """Remove a statement from the policies of the function's role; `_heal` restores it."""
        iam = self.stack.client("iam")
        function = self.stack.client("lambda").get_function_configuration(
            FunctionName=self.stack.outputs["TagUploadsFunctionName"]
        )
        role = function["Role"].rpartition("/")[2]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            named = {"RoleName": role, "PolicyName": name}
            document = iam.get_role_policy(**named)["PolicyDocument"]
            if isinstance(document, str):  # the local cloud returns it as text
                document = json.loads(document)
            kept = [one for one in document["Statement"] if one["Sid"] != statement]
            if len(kept) < len(document["Statement"]):
                self._policy = {**named, "PolicyDocument": json.dumps(document)}
                iam.put_role_policy(
                    **named, PolicyDocument=json.dumps({**document, "Statement": kept})
                )
                return
        raise LocalError(f"the role's policies have no statement {statement}")

    def _configure(self, *, batch_size: int, concurrency: int) -> None:
        """Set the batch size and concurrency of the event source mapping."""
        functions = self.stack.client("lambda")
        [mapping] = functions.list_event_source_mappings(
            FunctionName=self.stack.outputs["TagUploadsFunctionName"]
        )["EventSourceMappings"]
        functions.update_event_source_mapping(
            UUID=mapping["UUID"],
            BatchSize=batch_size,
            ScalingConfig={"MaximumConcurrency": concurrency},
        )

    def _restart_function(self) -> None:
        """Replace the function's instances, as a deployment does: new caches, this transport."""
        functions = self.stack.client("lambda")
        name = self.stack.outputs["TagUploadsFunctionName"]
        current = functions.get_function_configuration(FunctionName=name)["Environment"]
        variables = {
            **current["Variables"],
            "HANGTAG_IMAGE_TRANSPORT": self.transport,
            "ROUND": str(self._rounds),
        }
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": variables}
        )


def _group_of(cell: Cell) -> tuple[bool, bool, bool, bool, bool]:
    """
    Return the group of a cell; the cells of a group run in parallel.

    Long cells have a group of their own. So have removals, which first wait until their uploads are
    tagged. So have faults of GetObject, which with transport url change how the function sends all
    later images.
    """
    retried = cell.step.retried
    reads = cell.step.operation == "GetObject"
    delays = retried or cell.fault in DELAYING
    return cell.alone, delays, retried, reads, cell.step.is_removal
