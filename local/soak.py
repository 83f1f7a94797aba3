"""
Many uploads under faults of every kind, and a reckoning of what became of each.

Uploads come with copies of their messages, in other orders and bundled, amid messages that
nobody can read and files that are no images; some objects are gone before their turn. Calls of
AWS and of the API go wrong at a given rate, each service is down for a moment, a worker is
killed, the API's key is changed, its quota runs out. In the end every upload has ended, and
every call beyond the one that each has its reason; or the table tells which not.
"""

from __future__ import annotations

import json
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from local.cloud import LocalCloud, free_port
from local.fault_matrix import small_picture
from local.faults import Faults, Rule
from local.ledger import EXCUSES, Ending, Ledger, Sent, place_of, read_ledger, send
from local.processes import LocalError
from local.progress import counting, steps_on
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
SEED = 20_261_122  # the same plan on every run; what meets which fault is chance

NO_IMAGE = "UNSUPPORTED_FORMAT"
NOT_A_PICTURE = b"item;price\nshirt;20\n"


@dataclass(frozen=True, slots=True)
class Planned:
    """An upload to be made."""

    key: str
    body: bytes
    deleted: bool = False
    """Whether it is deleted right after it was uploaded."""


@dataclass(slots=True)
class Made:
    """What was uploaded and sent so far."""

    sent: list[Sent] = field(default_factory=list)
    copies: int = 0
    bundles: int = 0
    unreadable: list[str] = field(default_factory=list)
    seen: dict[tuple[str, str], str] = field(default_factory=dict)
    """Messages that S3 has sent, by their uploads, to be sent again."""
    texts: set[str] = field(default_factory=set)
    """The SHA-256 of files that are no images."""
    events: list[str] = field(default_factory=list)
    """What was done on the way: a kill, a rotation, ..."""


def plan(number: int) -> list[Planned]:
    """So many object versions: mostly pictures under keys of their own."""
    chance = random.Random(SEED)  # noqa: S311  # a plan, no secret
    planned: list[Planned] = []
    while len(planned) < number:
        count = len(planned)
        key = f"soak/{count:05}.png"
        kind = chance.random()
        if kind < 0.02:
            text = NOT_A_PICTURE + str(count).encode()
            planned.append(Planned(f"soak/{count:05}.txt", text))
        elif kind < 0.03:
            planned.append(Planned(f"soak/{count:05}/", b""))
        elif kind < 0.05:
            planned.append(Planned(key, small_picture(key), deleted=True))
        elif kind < 0.09:
            versions = min(3, number - count)
            planned += [
                Planned(key, small_picture(f"{key} {version}"))
                for version in range(versions)
            ]
        else:
            planned.append(Planned(key, small_picture(key)))
    return planned


def faults_of_aws(rate: float) -> list[Rule]:
    """Every kind, so that about `rate` of the function's calls go wrong."""
    kinds: list[tuple[float, dict[str, Any]]] = [
        (0.20, {"error": {"code": "ThrottlingException", "status": 400}}),
        (0.20, {"error": {"code": "InternalError", "status": 500}}),
        (0.25, {"reset": True}),
        (0.20, {"response": {"abort_bytes": 1}}),
        (0.10, {"latency": {"min": 500, "max": 6_000}}),
        (0.05, {"error": {"code": "AccessDenied", "status": 403}}),
    ]
    rules: list[Rule] = []
    left = 1.0
    for share, effect in kinds:
        # The first rule that strikes wins: the others see only what it lets pass.
        part = rate * share
        rules.append({"service": "*", "probability": part / left, **effect})
        left -= part
    return rules


def faults_of_api(rate: float) -> list[dict[str, Any]]:
    """Every kind, so that about `rate` of the API's calls go wrong."""
    kinds: list[dict[str, Any]] = [
        {"code": 500},
        {"status": 429, "body": "", "retryAfter": 1},
        {"cut": "half"},
        {"cut": "reset"},
        {"cut": "closed"},
        {"delaySeconds": 1.5},
        {"code": 803},
        {"code": 806},
    ]
    return [{"rate": rate / len(kinds), **kind} for kind in kinds] if rate else []


MOST_LOG_LINES = 1_000_000


def soak(
    directory: Path, *, number: int, rate: float, skip: frozenset[str] = frozenset()
) -> bool:
    """
    Upload `number` object versions at a rate of faults from 0 to 1; whether all is accounted for.

    `skip` leaves out parts of it: `kill`, `rotation`, `breaker`. Everything is kept in
    `directory`; nothing is left running.

    Raises:
        LocalError: the stack itself failed.
    """
    talk = Console(stderr=True)
    step = steps_on(talk)
    faults = Faults(directory, port=free_port())
    stack = bring_up(directory, step=step, parameters=PARAMETERS, faults=faults)
    try:
        cloud = LocalCloud(directory).pid()
        if cloud is None:
            raise LocalError("the local cloud has ended")
        watched = watch(stack, "soak-subscriber")
        run = Soak(watched, faults, cloud=cloud, number=number, rate=rate, skip=skip)
        in_time = run.go(talk)
        with step("Reading what became of them"):
            ledger = read_ledger(watched)
        reckoning = Reckoning(run.made, ledger)
        if reckoning.troubles:
            log = directory.parent / "soak.log"
            log.write_text(watched.function_log(events=MOST_LOG_LINES))
            talk.print(f"The function's log is in {log}", markup=False)
    finally:
        with step("Stopping the local cloud"):
            take_down(directory)
    stage = Console(width=None if sys.stdout.isatty() else 120)
    stage.print(reckoning.table())
    for event in run.made.events:
        stage.print(f"- {event}", markup=False, highlight=False)
    for trouble in reckoning.troubles[:MOST_TROUBLES]:
        stage.print(f"! {trouble}", markup=False, highlight=False)
    if len(reckoning.troubles) > MOST_TROUBLES:
        stage.print(f"! and {len(reckoning.troubles) - MOST_TROUBLES} more")
    if not in_time:
        stage.print(f"! the time was over ({run.seconds:.0f} s); messages were left")
    return in_time and not reckoning.troubles


class Soak:
    """The uploads, and all that befalls them."""

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
        self.made = Made()
        self.seconds = SECONDS_FOR_ALL + SECONDS_EACH * number
        self._stack = stack
        self._faults = faults
        self._cloud = cloud
        self._plan = plan(number)
        self._rate = rate
        self._chance = random.Random(SEED)  # noqa: S311  # a plan, no secret
        self._queue = stack.outputs["UploadQueueUrl"]
        self._ends = time.monotonic() + self.seconds
        ordeals: list[tuple[float, str, Callable[[], None]]] = [
            (0.15, "outage", lambda: self._outage("dynamodb")),
            (0.25, "kill", self._kill),
            (0.35, "outage", lambda: self._outage("sqs")),
            (0.45, "rotation", self._rotate),
            (0.55, "outage", lambda: self._outage("s3")),
            (0.65, "breaker", self._use_up_the_quota),
            (0.75, "outage", lambda: self._outage("sns")),
            (0.85, "outage", lambda: self._outage("secretsmanager")),
        ]
        self._ordeals = [one for one in ordeals if one[1] not in skip]

    def go(self, talk: Console) -> bool:
        """Do it all; False where the time was over before the queue was empty."""
        self._strike()
        with counting(talk, "Uploading", total=len(self._plan)) as tell:
            self._upload(tell)
        total = len(self._plan) + self.made.copies + self.made.bundles
        total += len(self.made.unreadable)
        with counting(talk, "Messages done with", total=total) as tell:
            while (left := self._left()) and time.monotonic() < self._ends:
                done = max(0, total - left)
                tell(done)
                self._befall(done / total)
                time.sleep(0.5)
            self._befall(1.0)
            while (left := self._left()) and time.monotonic() < self._ends:
                tell(max(0, total - left))
                time.sleep(0.5)
            tell(total - left)
        self._faults.clear()
        self._stack.sandbox.heal()
        time.sleep(1)
        return left == 0

    def _strike(self) -> None:
        self._faults.set(faults_of_aws(self._rate))
        self._stack.sandbox.heal()
        for fault in faults_of_api(self._rate):
            self._stack.sandbox.fail(fault)

    def _upload(self, tell: Callable[[int], None]) -> None:
        """Upload all, some at a time, with messages of our own in between."""
        position = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for group in in_groups(self._plan, 50):
                by_key: dict[str, list[Planned]] = {}
                for one in group:
                    by_key.setdefault(one.key, []).append(one)
                for sent in pool.map(self._upload_versions, by_key.values()):
                    self.made.sent += sent
                position += len(group)
                tell(position)
                self._look_at_messages()
                self._send_messages_of_our_own()

    def _upload_versions(self, versions: Sequence[Planned]) -> list[Sent]:
        sent = []
        for one in versions:
            sent.append(send(self._stack, one.key, one.body))
            if one.body.startswith(NOT_A_PICTURE):
                self.made.texts.add(sent[-1].sha256)
            if one.deleted:
                self._stack.client("s3").delete_object(
                    Bucket=self._stack.outputs["UploadsBucketName"],
                    Key=one.key,
                    VersionId=sent[-1].version,
                )
        return sent

    def _look_at_messages(self) -> None:
        """Note what S3 has sent and still waits, without receiving it."""
        path = f"/_ministack/sqs/messages?QueueUrl={quote(self._queue, safe='')}"
        by_account = json.loads(self._stack.access.get(path))["messages"]
        for regions in by_account.values():
            for queues in regions.values():
                for messages in queues.values():
                    for message in messages:
                        place = place_of(message["Body"])
                        if place is not None:
                            self.made.seen[place] = message["Body"]

    def _send_messages_of_our_own(self) -> None:
        """Copies with ids of their own, in another order, bundled; and what is no event."""
        bodies = list(self.made.seen.values())
        if not bodies:
            return
        copies = self._chance.sample(bodies, min(5, len(bodies)))
        for body in copies:
            self._send(body)
        self.made.copies += len(copies)
        bundled = self._chance.sample(bodies, min(3, len(bodies)))
        records = [json.loads(body)["Records"][0] for body in bundled]
        self._send(json.dumps({"Records": records}))
        self.made.bundles += 1
        number = len(self.made.unreadable)
        nonsense = [
            f"no JSON at all, {number}",
            json.dumps({"half": "an event", "number": number}),
            json.dumps({"Records": [{"s3": {"bucket": number}}]}),
        ][number % 3]
        self._send(nonsense)
        self.made.unreadable.append(nonsense)

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

    # What befalls them on the way

    def _befall(self, share: float) -> None:
        """All that is due when this share of the messages is done with."""
        while self._ordeals and self._ordeals[0][0] <= share:
            _, _, ordeal = self._ordeals.pop(0)
            ordeal()

    def _outage(self, service: str) -> None:
        down: Rule = {
            "service": service,
            "error": {"code": "InternalError", "status": 500},
        }
        self._faults.set([down, *faults_of_aws(self._rate)])
        time.sleep(OUTAGE_SECONDS)
        self._faults.set(faults_of_aws(self._rate))
        self._note(f"{service} was down for {OUTAGE_SECONDS:g} s")

    def _kill(self) -> None:
        workers = workers_of(self._cloud)
        if workers:
            kill(self._chance.choice(workers))
        self._note(f"one of {len(workers)} workers was killed")

    def _rotate(self) -> None:
        key = secrets.token_urlsafe(24)
        self._stack.sandbox.set_key(key)
        time.sleep(0.5)
        self._stack.set_key(key)
        self._note("the API's key was changed, and the secret set a moment later")
        self._resume()

    def _use_up_the_quota(self) -> None:
        self._stack.sandbox.set_quota(0)
        try:
            opened = self._breaker_opens()
        finally:
            self._stack.sandbox.set_quota(None)
        how = "the breaker opened" if opened else "the breaker did NOT open"
        self._note(f"the quota was used up: {how}")
        if not opened:
            self.made.events.append("! no breaker")
        self._resume()

    def _breaker_opens(self) -> bool:
        ends = time.monotonic() + BREAKER_SECONDS
        while time.monotonic() < ends and self._left():
            shown = self._stack.hangtag("--json", "status")
            if shown.returncode == 0 and json.loads(shown.stdout)["breaker"]["open"]:
                return True
        return False

    def _resume(self) -> None:
        done = self._stack.hangtag("resume")
        if done.returncode:
            raise LocalError(f"hangtag resume failed:\n{done.stderr}")

    def _note(self, event: str) -> None:
        self.made.events.append(event)


class Reckoning:
    """What became of all uploads, in numbers."""

    def __init__(self, made: Made, ledger: Ledger) -> None:
        self._made = made
        self._ledger = ledger
        self._endings = [ledger.ending_of(sent) for sent in made.sent]
        self.troubles = [
            f"{one.sent.key} {one.sent.version}: {trouble}"
            for one in self._endings
            for trouble in one.troubles
        ]
        self.troubles += [
            f"{one.sent.key} {one.sent.version}: an image, but FAILED as {one.detail}"
            for one in self._endings
            if one.detail == NO_IMAGE and one.sent.sha256 not in made.texts
        ]
        missing = Counter(made.unreadable) - Counter(ledger.unreadable)
        self.troubles += [f"no letter of the message {body!r}" for body in missing]
        self.troubles += wrong_newest(ledger, self._endings)
        self.troubles += [one for one in made.events if one.startswith("!")]

    def table(self) -> Table:
        """The one table."""
        endings = self._endings
        table = Table(title="What became of the uploads")
        table.add_column("")
        table.add_column("number", justify="right")
        table.add_column("of which", overflow="fold")

        def row(name: str, number: int, parts: Mapping[str, int] | None = None) -> None:
            told = sorted((parts or {}).items())
            table.add_row(name, str(number), ", ".join(f"{k}: {v}" for k, v in told))

        failed = Counter(one.detail for one in endings if one.status == "FAILED")
        skipped = Counter(one.detail for one in endings if one.status == "SKIPPED")
        reasons: Counter[str] = Counter()
        excuses: Counter[str] = Counter()
        for one in endings:
            for reason, number in one.counted.items():
                if reason != "FIRST":
                    reasons[reason] += number
                if reason in EXCUSES and one.extra_paid:
                    excuses[reason] += number
        announced = sum(one.announcements for one in endings)
        once = sum(1 for one in endings if one.announcements)
        nobodys = len(self._ledger.calls.get("", ()))
        row("uploads (object versions)", len(endings))
        row("tagged", sum(one.status == "TAGGED" for one in endings))
        row("failed", failed.total(), failed)
        row("skipped", skipped.total(), skipped)
        row("calls", sum(one.calls for one in endings))
        row("calls refused before their image was read", nobodys)
        row("calls beyond one", sum(one.extra_calls for one in endings), reasons)
        row("paid answers", sum(one.paid for one in endings))
        row("paid answers beyond one", sum(one.extra_paid for one in endings), excuses)
        row("announcements", announced)
        row("announced again", announced - once)
        row(
            "messages beside S3's own",
            self._made.copies + self._made.bundles + len(self._made.unreadable),
            {
                "copies": self._made.copies,
                "several uploads in one": self._made.bundles,
                "unreadable": len(self._made.unreadable),
            },
        )
        row("letters of unreadable messages", len(self._ledger.unreadable))
        row("lost", sum(one.status == "OPEN" for one in endings))
        return table


def wrong_newest(ledger: Ledger, endings: Sequence[Ending]) -> list[str]:
    """Keys for which another version is shown than the last one uploaded that has ended."""
    last: dict[str, Ending] = {}
    versions = Counter(one.sent.key for one in endings)
    for one in endings:
        if one.status in ("TAGGED", "FAILED"):
            last[one.sent.key] = one
    return [
        f"{key}: the result that is shown is that of {ledger.shown(key)}"
        for key, ending in last.items()
        if versions[key] > 1 and ledger.shown(key) != ending.sent.version
    ]


def in_groups(planned: Sequence[Planned], size: int) -> Iterator[Sequence[Planned]]:
    """Groups of about a size; the versions of one key stay together."""
    group: list[Planned] = []
    for one in planned:
        if len(group) >= size and group[-1].key != one.key:
            yield group
            group = []
        group.append(one)
    if group:
        yield group
