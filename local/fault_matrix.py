"""
Every fault at every step of an upload, on the real template: what the cells are, and their run.

A cell is one upload that meets one fault at one step, once or until it is healed. Rules name
the upload they strike, so many cells run at the same time; those of a step where a call does not
tell whose it is run one after the other. When the faults are healed and the queue is empty, the
ledger says whether the promises were kept.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.cloud import LocalCloud, free_port
from local.faults import Faults, Rule
from local.ledger import ABANDONED, Ending, Sent, read_ledger, send
from local.processes import LocalError
from local.progress import Step, counting, steps_on
from local.stack import bring_up, take_down
from local.watch import WatchedStack, watch
from local.workers import kill, worker_at

PARAMETERS = {
    "RetryBaseSeconds": "0",
    "FunctionTimeout": "10",
    "VisibilityTimeout": "12",
    "MaxConcurrency": "4",
}
"""Small, so that what comes back comes back soon."""

SLOW_SECONDS = 11.0  # longer than a client may wait: FunctionTimeout is 10
HELD_SECONDS = 6.0  # longer than it takes to kill the worker that is held up
CLIENT_TRIES = 2
"""Of a boto3 client (`hangtag.wiring`): "once" is one whole call of the core."""
STRIKING_SECONDS = 25.0
FORBIDDEN_SECONDS = 6.0
HOLDING_SECONDS = 240.0
IDLE_SECONDS = 150.0
TRICKLE = (
    0.00001  # kB a second: nothing of an answer arrives before the worker is killed
)
NEIGHBOURS = 3
MANY = 16  # workers: while some are held up, others still get their turn
WIDTH_WITHOUT_TERMINAL = 200
DELAYS = (3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23)
REFUSAL = "806"

Saying = Literal["tags", "refusal", "patience", "failure"]
"""What the API has to say for a step to be reached."""

Mode = Literal["once", "for ever"]
MODES: tuple[Mode, ...] = ("once", "for ever")

THROTTLED = "throttled"
ERROR_500 = "HTTP 500"
SLOW = "slow"
RESET = "reset"
HALF = "half"
DENIED = "denied"
FORBIDDEN = "role without"
KILLED_BEFORE = "killed before"
KILLED_AFTER = "killed after"
FAULTS = (
    THROTTLED,
    ERROR_500,
    RESET,
    HALF,
    DENIED,
    FORBIDDEN,
    SLOW,
    KILLED_BEFORE,
    KILLED_AFTER,
)
KILLING = (KILLED_BEFORE, KILLED_AFTER)
HOLDING = (SLOW, *KILLING)
NO_FAULT = "no fault"
NEVER_STRUCK = "the fault never struck"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the function makes about an upload."""

    name: str
    service: str = ""
    operation: str = ""
    body: str = ""
    """What tells it from others, as JMESPath; `KEY` stands for the upload's key."""
    by_path: bool = False
    """Whether the key stands in the path."""
    throttled: str = "ThrottlingException"
    internal: str = "InternalError"
    denied: str = "AccessDenied"
    api_says: Saying = "tags"
    is_told_in_part: bool = False
    """Whether somebody has to tell of the upload without its version for it to be reached."""
    is_claim: bool = False
    """Whether no attempt is begun before it has come through."""
    alone: bool = False
    """Whether its calls do not tell whose they are."""
    statement: str = ""
    """Of the role's policy: what allows it, and nothing that must stay allowed."""

    @property
    def refused(self) -> bool:
        """Whether the image is never tagged."""
        return self.api_says == "refusal"

    @property
    def retried(self) -> bool:
        """Whether the upload goes back to the queue first, for a while of its own."""
        return self.api_says == "patience"

    @property
    def is_api(self) -> bool:
        """Whether it is the call of the Tagger API, whose faults the sandbox makes."""
        return not self.service

    def match(self, key: str, delay: int) -> dict[str, Any]:
        """The part of a rule that says which calls it strikes."""
        rule = {"service": self.service, "operation": self.operation}
        if self.by_path:
            rule["resource"] = f"/{key}"
        if self.body:
            rule["body"] = self.body.replace("KEY", key).replace("DELAY", str(delay))
        return rule


OF_THE_ITEM = "ends_with(Item.uri.S, '/KEY')"
"""JMESPath: a write of the upload's record, or of the result of its key."""


DYNAMODB = {
    "service": "dynamodb",
    "throttled": "ProvisionedThroughputExceededException",
    "internal": "InternalServerError",
    "denied": "AccessDeniedException",
}


def put(
    name: str,
    condition: str,
    *,
    api_says: Saying = "tags",
    statement: str = "",
    is_claim: bool = False,
) -> Call:
    """A step that writes the record or the result; `condition` tells it from the others."""
    return Call(
        f"DynamoDB PutItem ({name})",
        operation="PutItem",
        body=f"{OF_THE_ITEM} && {condition}",
        api_says=api_says,
        statement=statement,
        is_claim=is_claim,
        **DYNAMODB,  # type: ignore[arg-type]  # texts, all of them
    )


STEPS = (
    Call(
        "S3 HeadObject",
        "s3",
        "HeadObject",
        by_path=True,
        throttled="SlowDown",
        is_told_in_part=True,
        is_claim=True,
    ),
    Call(
        "DynamoDB BatchGetItem",
        operation="BatchGetItem",
        body="values(RequestItems)[].Keys[].uri.S | [?ends_with(@, '/KEY')] | [0]",
        is_claim=True,
        **DYNAMODB,  # type: ignore[arg-type]  # texts, all of them
    ),
    put(
        "claim",
        "Item.leaseUntil",
        statement="WriteRecordsAndResults",
        is_claim=True,
    ),
    Call(
        "DynamoDB GetItem (result)",
        operation="GetItem",
        body="ends_with(Key.uri.S, '/KEY')",
        api_says="failure",
        **DYNAMODB,  # type: ignore[arg-type]  # texts, all of them
    ),
    Call(
        "S3 GetObject",
        "s3",
        "GetObject",
        by_path=True,
        throttled="SlowDown",
        statement="ReadImages",
    ),
    Call(
        "Secrets Manager GetSecretValue",
        "secretsmanager",
        "GetSecretValue",
        internal="InternalServiceError",
        denied="AccessDeniedException",
        alone=True,
        statement="ReadApiKey",
    ),
    Call("Tagger API"),
    put("store", "Item.version.S == 'result'"),
    Call(
        "SNS Publish",
        "sns",
        "Publish",
        body="contains(Message, '/KEY')",
        throttled="Throttling",
        denied="AuthorizationError",
        statement="AnnounceResults",
    ),
    put("finish", "Item.status.S == 'TAGGED'"),
    Call(
        "SQS SendMessage (dead letter)",
        "sqs",
        "SendMessage",
        body="contains(MessageBody, 'KEY')",
        api_says="refusal",
        statement="SendDeadLetters",
    ),
    put("store failure", "Item.status.S == 'FAILED'", api_says="refusal"),
    put(
        "release",
        "Item.status.S == 'OPEN' && !(Item.leaseUntil)",
        api_says="failure",
    ),
    Call(
        "SQS ChangeMessageVisibilityBatch",
        "sqs",
        "ChangeMessageVisibilityBatch",
        body="contains(Entries[].VisibilityTimeout, `DELAY`)",
        api_says="patience",
    ),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One upload, one fault, one step."""

    step: Call
    fault: str
    mode: Mode = "once"

    def __str__(self) -> str:
        """As tests and tables name it."""
        return f"{self.step.name}, {self.fault}, {self.mode}"

    @property
    def alone(self) -> bool:
        """Whether it would strike others that run at the same time."""
        return self.step.alone or self.fault == FORBIDDEN


@dataclass(slots=True)
class Run:
    """A cell while it runs."""

    cell: Cell
    key: str
    body: bytes
    delay: int
    """Seconds that the API asks to wait, which tell one hand-back from others."""
    sent: Sent | None = None
    struck: int = 0

    @property
    def sha256(self) -> str:
        """As the sandbox names the image."""
        return sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cell showed."""

    cell: Cell
    ending: Ending
    struck: int
    """How often the fault has struck."""
    troubles: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the promises were kept, in spite of the fault."""
        return not self.troubles


def show_matrix(
    directory: Path, *, only: str = "", max_attempts: int = 3, transport: str = "base64"
) -> bool:
    """
    Run the cells whose names hold the text `only`, print their table; whether all are well.

    `max_attempts` and `transport` are the stack's parameters.

    Everything is kept in `directory`; nothing is left running.

    Raises:
        LocalError: there is no such cell, or the stack itself failed.
    """
    cells = [
        cell for cell in all_cells(max_attempts) if only.lower() in str(cell).lower()
    ]
    if not cells:
        raise LocalError(f"no cell of the matrix has {only!r} in its name")
    talk = Console(stderr=True)
    step = steps_on(talk)
    stage = Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)
    with (
        laboratory(
            directory, step=step, max_attempts=max_attempts, transport=transport
        ) as lab,
        counting(talk, "Cells", total=len(cells)) as tell,
    ):
        outcomes = lab.run(cells, tell=tell)
    stage.print(report(outcomes))
    bad = sum(not outcome.ok for outcome in outcomes)
    stage.print(f"{len(outcomes) - bad} of {len(outcomes)} cells are ok.")
    return bad == 0


@contextmanager
def laboratory(
    directory: Path, *, step: Step, max_attempts: int = 3, transport: str = "base64"
) -> Iterator[Laboratory]:
    """A stack of its own in `directory` to run cells in; it is taken down in the end."""
    faults = Faults(directory, port=free_port())
    parameters = {
        **PARAMETERS,
        "MaxAttempts": str(max_attempts),
        "ImageTransport": transport,
    }
    stack = bring_up(directory, step=step, parameters=parameters, faults=faults)
    try:
        cloud = LocalCloud(directory).pid()
        if cloud is None:
            raise LocalError("the local cloud has ended")
        watched = watch(stack, "faults-subscriber")
        yield Laboratory(
            watched,
            faults,
            cloud=cloud,
            max_attempts=max_attempts,
            transport=transport,
        )
    finally:
        take_down(directory)


def all_cells(max_attempts: int = 3) -> list[Cell]:
    """The whole matrix, as far as its steps are reached by a stack with these parameters."""
    return [
        Cell(step, fault, mode)
        for step in STEPS
        for fault in FAULTS
        for mode in MODES
        # The answer is there and the worker dies: that is the next step, killed before.
        if not (step.is_api and fault == KILLED_AFTER)
        and (fault != FORBIDDEN or (step.statement and mode == "for ever"))
        and (max_attempts > 1 or step.api_says not in ("patience", "failure"))
        # Its answer is a head: no half of it, and nothing that could be held up.
        and not (step.operation == "HeadObject" and fault in (HALF, KILLED_AFTER))
    ]


class Laboratory:
    """A stack behind a fault proxy in which cells are run."""

    def __init__(
        self,
        stack: WatchedStack,
        faults: Faults,
        *,
        cloud: int,
        max_attempts: int,
        transport: str,
    ) -> None:
        """`cloud` is the local cloud's pid."""
        self._max_attempts = max_attempts
        # A link is fetched by the API itself
        self._last_step = (
            "DynamoDB PutItem (claim)" if transport == "url" else "S3 GetObject"
        )
        self._stack = stack
        self._faults = faults
        self._cloud = cloud
        self._rounds = 0
        self._late_until = 0.0
        self._policy: dict[str, str] | None = None  # of the role, while it lacks some

    def run(
        self, cells: Sequence[Cell], *, tell: Callable[[int], None] = lambda _: None
    ) -> list[Outcome]:
        """
        Run cells, as many at a time as can be told apart; `tell` hears how many are done.

        Raises:
            LocalError: the stack or the proxy itself failed.
        """
        outcomes: list[Outcome] = []
        for (alone, holds, *_), group in groupby(sorted(cells, key=_order), key=_order):
            # One message in a batch, where a fault would take the whole batch along
            self._configure(
                batch_size=1 if holds else 10, concurrency=8 if holds else 4
            )
            if alone:
                for cell in group:
                    outcomes += self._round([cell])
                    tell(len(outcomes))
            else:
                outcomes += self._round(list(group))
                tell(len(outcomes))
        by_cell = {outcome.cell: outcome for outcome in outcomes}
        return [by_cell[cell] for cell in cells]

    def _round(self, cells: Sequence[Cell], *, last: bool = False) -> list[Outcome]:
        """
        Run cells at the same time, with neighbours that meet no fault.

        Whom we came too late to kill is met once more, unless it is the *last* time.
        """
        self._rounds += 1
        # It has learnt from the last round how the API wants images to be sent
        self._restart_function()
        everyone = sorted(cells, key=lambda cell: cell.mode != "once")
        if not any(cell.alone for cell in cells):
            everyone += [Cell(STEPS[0], NO_FAULT)] * NEIGHBOURS
        delays = iter(DELAYS)
        runs = []
        for number, cell in enumerate(everyone):
            key = f"round-{self._rounds:02}-{number:03}.png"
            delay = next(delays) if cell.step.retried else 0
            runs.append(Run(cell, key, small_picture(key), delay))
        try:
            by_rule = self._make_faults(runs)
            for run in runs:
                run.sent = send(self._stack, run.key, run.body)
                if run.cell.step.is_told_in_part:
                    self._tell_in_part(run.sent)
            self._let_them_strike(runs, by_rule)
        finally:
            self._heal(runs)
        self._wait_until_idle()
        outcomes = self._judge(runs)
        missed = [
            one
            for one in outcomes
            if one.cell.fault in KILLING and one.troubles == (NEVER_STRUCK,)
        ]
        if not missed or last:
            return outcomes
        again = self._round([one.cell for one in missed], last=True)
        return [one for one in outcomes if one not in missed] + again

    def _tell_in_part(self, sent: Sent) -> None:
        """Tell of an upload once more, without its version, as somebody else may."""
        told = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": self._stack.outputs["UploadsBucketName"]},
                "object": {"key": sent.key, "eTag": sent.etag},
            },
        }
        self._stack.client("sqs").send_message(
            QueueUrl=self._stack.outputs["UploadQueueUrl"],
            MessageBody=json.dumps({"Records": [told]}),
        )

    def _judge(self, runs: Sequence[Run]) -> list[Outcome]:
        """What the cells showed; that a neighbour was harmed is every cell's trouble."""
        ledger = read_ledger(self._stack)
        outcomes = []
        for run in runs:
            if run.sent is None:
                raise LocalError(f"{run.key} was not uploaded")
            ending = ledger.ending_of(run.sent)
            struck = run.struck
            if run.cell.step.is_api and run.cell.fault not in KILLING:
                struck = ending.calls
            troubles = [*ending.troubles, *self._unexpected(run.cell, ending, struck)]
            outcomes.append(Outcome(run.cell, ending, struck, tuple(troubles)))
        harmed = {
            f"a neighbour without a fault: {trouble}"
            for one in outcomes
            if one.cell.fault == NO_FAULT
            for trouble in one.troubles
        }
        return [
            replace(one, troubles=(*one.troubles, *sorted(harmed)))
            for one in outcomes
            if one.cell.fault != NO_FAULT
        ]

    def _unexpected(self, cell: Cell, ending: Ending, struck: int) -> list[str]:
        """What is wrong with a cell beyond the promises that hold for every upload."""
        if cell.fault != NO_FAULT and not struck:
            return [NEVER_STRUCK]
        end = f"{ending.status} {ending.detail}".strip()
        begins = not cell.step.is_claim or cell.fault in KILLING
        if ending.detail == ABANDONED and not begins:
            return ["abandoned, though nobody has begun it"]
        if cell.step.refused and cell.fault != NO_FAULT:
            allowed = [f"FAILED {REFUSAL}"]
            if cell.fault in KILLING and self._may_be_the_last(cell):
                allowed.append(f"FAILED {ABANDONED}")
            return [] if end in allowed else [f"{end} instead of {REFUSAL}"]
        passes = cell.fault == NO_FAULT or not (begins and self._may_be_the_last(cell))
        if passes and ending.status in ("FAILED", "SKIPPED"):
            return [f"{end}, though the fault passed"]
        return []

    def _may_be_the_last(self, cell: Cell) -> bool:
        """Whether a cell's fault may use up an upload's attempts."""
        return (
            cell.mode == "for ever" or self._max_attempts == 1 or cell.fault == DENIED
        )

    def _make_faults(self, runs: Sequence[Run]) -> dict[int, Run]:
        """Have the proxy and the sandbox go wrong; whose each rule of the proxy is."""
        rules: list[Rule] = []
        whose: list[Run | None] = []
        for run in runs:
            if run.cell.fault == FORBIDDEN:
                self._take_away(run.cell.step.statement)
                run.struck = 1
            for fault in sandbox_faults(run):
                self._stack.sandbox.fail({"sha256": run.sha256, **fault})
            for rule in rules_of(run, last_step=self._last_step):
                rules.append(rule)
                whose.append(run)
        by_rule = zip(self._faults.set(rules), whose, strict=True)
        return {rule: run for rule, run in by_rule if run is not None}

    def _let_them_strike(self, runs: Sequence[Run], by_rule: Mapping[int, Run]) -> None:
        """Until every fault has struck often enough; whom one is to kill is killed."""
        began = time.monotonic()
        holding = any(run.cell.fault in HOLDING for run in runs)
        longest = HOLDING_SECONDS if holding else STRIKING_SECONDS
        asked = began
        seen = 0
        doomed: list[tuple[float, int]] = []
        while (now := time.monotonic()) < began + longest:
            fired = self._faults.fired()
            for one in fired[seen:]:
                run = by_rule.get(one.rule)
                if run is None:
                    continue
                if run.cell.fault in KILLING:
                    worker = worker_at(one.port, cloud=self._cloud)
                    if worker is None:
                        continue  # it has given up already, or was killed with another
                    # The API's call comes right after the one that gave the worker away.
                    wait = 0.7 if run.cell.step.is_api else 0.2
                    doomed.append((now + wait, worker))
                elif run.cell.fault == SLOW:
                    # The call still happens, after everything else perhaps
                    self._late_until = max(self._late_until, now + SLOW_SECONDS + 1)
                run.struck += 1
            seen = len(fired)
            for _, worker in filter(lambda it: it[0] <= now, doomed):
                kill(worker)
            doomed = [one for one in doomed if one[0] > now]
            if not doomed and now > asked + 1:
                asked = now
                if self._all_had_enough(runs, began):
                    return
            time.sleep(0.1)

    def _all_had_enough(self, runs: Sequence[Run], began: float) -> bool:
        ledger = read_ledger(self._stack)
        for run in runs:
            if run.sent is None:
                return False
            ended = ledger.ending_of(run.sent).status != "OPEN"
            times_enough = 3 * CLIENT_TRIES
            if run.cell.fault in HOLDING:
                times_enough = 2 if run.cell.alone else 3
            enough = run.cell.mode == "for ever" and run.struck >= times_enough
            if run.cell.fault == FORBIDDEN:
                enough = time.monotonic() > began + FORBIDDEN_SECONDS
            if not (ended or enough):
                return False
        return True

    def _heal(self, runs: Sequence[Run]) -> None:
        """Nothing goes wrong any more; an image that is to be refused stays refused."""
        self._faults.clear()
        if self._policy is not None:
            self._stack.client("iam").put_role_policy(**self._policy)
            self._policy = None
        for run in runs:
            if not run.cell.step.refused:
                self._stack.sandbox.heal_image(run.sha256)

    def _wait_until_idle(self) -> None:
        """
        Until the upload queue is empty, and calls that were held up have happened.

        Raises:
            LocalError: it does not become so, though tagging was resumed.
        """
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        queue = self._stack.outputs["UploadQueueUrl"]
        resume_at = time.monotonic() + 20

        def idle() -> bool | None:
            nonlocal resume_at
            counts = self._stack.client("sqs").get_queue_attributes(
                QueueUrl=queue, AttributeNames=names
            )["Attributes"]
            if all(counts[name] == "0" for name in names):
                return True if time.monotonic() > self._late_until else None
            if time.monotonic() > resume_at:
                # Faults that look like everybody's may have opened the breaker.
                self._stack.hangtag("resume")
                resume_at = time.monotonic() + 20
            return None

        self._stack.wait_for(idle, "the upload queue to be empty", seconds=IDLE_SECONDS)

    def _take_away(self, statement: str) -> None:
        """Take a statement out of the policy of the function's role, until `_heal`."""
        iam = self._stack.client("iam")
        function = self._stack.client("lambda").get_function_configuration(
            FunctionName=self._stack.outputs["TagUploadsFunctionName"]
        )
        role = function["Role"].rpartition("/")[2]
        [name] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        if isinstance(document, str):  # the local cloud leaves it as it was given
            document = json.loads(document)
        kept = [one for one in document["Statement"] if one["Sid"] != statement]
        if len(kept) == len(document["Statement"]):
            raise LocalError(f"the role's policy has no statement {statement}")
        named = {"RoleName": role, "PolicyName": name}
        self._policy = {**named, "PolicyDocument": json.dumps(document)}
        iam.put_role_policy(
            **named, PolicyDocument=json.dumps({**document, "Statement": kept})
        )

    def _configure(self, *, batch_size: int, concurrency: int) -> None:
        """How much the function is given at a time."""
        functions = self._stack.client("lambda")
        [mapping] = functions.list_event_source_mappings(
            FunctionName=self._stack.outputs["TagUploadsFunctionName"]
        )["EventSourceMappings"]
        functions.update_event_source_mapping(
            UUID=mapping["UUID"],
            BatchSize=batch_size,
            ScalingConfig={"MaximumConcurrency": concurrency},
        )

    def _restart_function(self) -> None:
        """Have it begin anew, as after a deployment: what it has cached is gone."""
        functions = self._stack.client("lambda")
        name = self._stack.outputs["TagUploadsFunctionName"]
        told = functions.get_function_configuration(FunctionName=name)["Environment"]
        variables = {**told["Variables"], "ROUND": str(self._rounds)}
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": variables}
        )


def _order(cell: Cell) -> tuple[bool, bool, bool, bool]:
    """
    Cells that run at the same time have the same.

    Those that last long, last by themselves; so do those by which the function learns that the
    API cannot fetch images: the others would be sent along then.
    """
    waits = cell.step.retried
    reads = cell.step.operation == "GetObject"
    return cell.alone, waits or cell.fault in HOLDING, waits, reads


def rules_of(run: Run, *, last_step: str) -> list[Rule]:
    """
    What the proxy does to a cell's upload.

    `last_step` is the function's last AWS call before it calls the API.
    """
    cell = run.cell
    step = cell.step
    if cell.fault in (NO_FAULT, FORBIDDEN):
        return []
    if step.is_api:
        if cell.fault not in KILLING:
            return []
        # Does nothing, but shows which worker is about to call the API.
        [step] = [one for one in STEPS if one.name == last_step]
        return [{**step.match(run.key, 0), **times(cell, 1), "latency": 1}]
    effects: dict[str, tuple[dict[str, Any], int]] = {
        THROTTLED: (
            {"error": {"code": step.throttled, "status": throttle_status(step)}},
            CLIENT_TRIES,
        ),
        ERROR_500: (
            {"error": {"code": step.internal, "status": 500}},
            CLIENT_TRIES,
        ),
        RESET: ({"reset": True}, CLIENT_TRIES),
        # An object's bytes are read by us: boto3 does not read them again.
        HALF: (
            {"response": {"abort_bytes": 1}},
            1 if step.operation == "GetObject" else CLIENT_TRIES,
        ),
        DENIED: ({"error": {"code": step.denied, "status": 403}}, 1),
        SLOW: ({"latency": SLOW_SECONDS * 1000}, 1),
        KILLED_BEFORE: ({"timeout_ms": HELD_SECONDS * 1000}, 1),
        KILLED_AFTER: ({"response": {"bandwidth_kbps": TRICKLE}}, 1),
    }
    effect, once = effects[cell.fault]
    return [{**step.match(run.key, run.delay), **times(cell, once), **effect}]


def throttle_status(step: Call) -> int:
    """The HTTP status that goes with a step's throttling."""
    return 503 if step.service == "s3" else 400


def sandbox_faults(run: Run) -> list[dict[str, Any]]:
    """What the sandbox does to a cell's image."""
    cell = run.cell
    if cell.fault == NO_FAULT:
        return []
    said: dict[Saying, list[dict[str, Any]]] = {
        "tags": [],
        "refusal": [{"code": int(REFUSAL)}],
        "patience": [{"status": 429, "body": "", "retryAfter": run.delay, "times": 1}],
        "failure": [{"code": 500, "times": 1}],
    }
    if not cell.step.is_api:
        return said[cell.step.api_says]
    effects: dict[str, dict[str, Any]] = {
        THROTTLED: {"status": 429, "body": "", "retryAfter": 1},
        ERROR_500: {"code": 500},
        RESET: {"cut": "reset"},
        HALF: {"cut": "half"},
        DENIED: {"code": 609},
        SLOW: {"delaySeconds": SLOW_SECONDS},
        KILLED_BEFORE: {"delaySeconds": HELD_SECONDS},
    }
    return [{**effects[cell.fault], **times(cell, 1)}]


def times(cell: Cell, once: int) -> dict[str, int]:
    """How often a fault strikes: `once` is the calls that one try of the core makes."""
    return {"times": once} if cell.mode == "once" else {}


def small_picture(seed: str) -> bytes:
    """A picture of some hundred bytes, another one for every seed."""
    colour = sha256(seed.encode()).digest()[:3]
    image = Image.new("RGB", (24, 32), "white")
    ImageDraw.Draw(image).rectangle((6, 6, 17, 25), fill=tuple(colour))
    text = PngInfo()
    text.add_text("Title", seed)
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=text)
    return file.getvalue()


def report(outcomes: Sequence[Outcome]) -> Table:
    """The table: a row for each step and mode, a column for each fault."""
    table = Table(title="Faults, and what became of the uploads that met them")
    table.add_column("step", overflow="fold")
    table.add_column("how long")
    shown = [one for one in FAULTS if any(it.cell.fault == one for it in outcomes)]
    for fault in shown:
        table.add_column(fault, overflow="fold")
    by_cell = {outcome.cell: outcome for outcome in outcomes}
    for step in STEPS:
        for mode in MODES:
            row = [by_cell.get(Cell(step, fault, mode)) for fault in shown]
            if any(row):
                table.add_row(step.name, mode, *map(entry, row))
    return table


def entry(outcome: Outcome | None) -> Text:
    """A cell of the table: ok or what went wrong, and the paid calls."""
    if outcome is None:
        return Text("-", "dim")
    ending = outcome.ending
    end = ending.detail if ending.status == "FAILED" else ending.status
    told = f"{end}, {ending.paid} paid"
    if outcome.ok:
        return Text(f"ok ({told})", "green")
    return Text(f"{'; '.join(outcome.troubles)} ({told})", "red")
