"""`hangtag backfill` on a fake stack: output, exit status and checkpoint."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from hangtag.adapters.file_checkpoint import FileCheckpoint
from hangtag.errors import QueueUnavailable
from hangtag.operators.backfill import BackfillReport, BackfillSources
from hangtag.operators.backfill_start import BackfillRequest
from hangtag_cli import output
from hangtag_cli.app import App
from hangtag_cli.backfill import backfill, checkpoint_name, progress_text
from hangtag_cli.main import cli
from hangtag_cli.stack import Stack
from tests.builders import BUCKET
from tests.fakes import (
    FakeBreakerStore,
    FakeClock,
    FakeListing,
    FakeRecords,
    FakeResults,
    FakeSnapshots,
    FakeUploadFeed,
)

URI = f"s3://{BUCKET}/2024/"
DEFAULTS = {
    "MaxImageBytes": "20971520",
    "MaxConcurrency": "5",
    "BatchSize": "10",
    "MaxRequestsPerSecond": "0",
}


@dataclass
class FakeStack:
    """A stack with a fake bucket and queue."""

    listing: FakeListing
    parameters: Mapping[str, str]
    feed: FakeUploadFeed = field(default_factory=FakeUploadFeed)
    clock: FakeClock = field(default_factory=FakeClock)
    requests: list[BackfillRequest] = field(default_factory=list)

    def bucket(self) -> str:
        """The bucket's name."""
        return BUCKET

    def parameter(self, name: str) -> str | None:
        """A parameter of the deployed stack."""
        return self.parameters.get(name)

    def backfill_sources(
        self, request: BackfillRequest, *, checkpoint: Path
    ) -> BackfillSources:
        """The fakes, with the real checkpoint."""
        self.requests.append(request)
        return BackfillSources(
            self.listing,
            FakeSnapshots(FakeBreakerStore(), FakeRecords(), FakeResults()),
            self.feed,
            FileCheckpoint(checkpoint),
            self.clock,
            partition="aws",
        )


class AppOfTests(App):
    """The global options, with a stack that needs no AWS."""

    def __init__(self, stack: FakeStack, *, as_json: bool) -> None:
        super().__init__("hangtag", None, None, as_json)
        self.fake = stack

    def stack(self) -> Stack:
        """The fake stack."""
        return cast("Stack", self.fake)


def a_stack(number: int = 25, *, parameters: Mapping[str, str] = DEFAULTS) -> FakeStack:
    """A stack with that many objects."""
    listing = FakeListing(*(f"2024/{n:05}.jpg" for n in range(number)))
    return FakeStack(listing, parameters)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of the checkpoint."""
    return tmp_path / "checkpoint.json"


def run(stack: FakeStack, file: Path, *arguments: str, as_json: bool = True) -> Result:
    """Runs `hangtag backfill`."""
    return CliRunner(mix_stderr=False).invoke(
        backfill,
        ["--checkpoint", str(file), *arguments],
        obj=AppOfTests(stack, as_json=as_json),
    )


def test_without_yes_the_command_only_shows_the_estimate(file: Path) -> None:
    """
    The estimate has the number of objects, the cost, the time, and the limit that sets the time.
    """
    stack = a_stack(1_200)

    shown = run(stack, file, "--price", "0.002", "--rate", "5", URI)

    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == {
        "listed": 1_200,
        "enqueued": 0,
        "skipped": 0,
        "dryRun": True,
    }
    assert "1,200 of 1,200 objects would be enqueued, a call each" in shown.stderr
    assert "2.40 at 0.002 a call" in shown.stderr
    assert "at least 4 min (by --rate 5)" in shown.stderr
    assert "add --yes" in shown.stderr
    assert (stack.feed.sent, file.exists()) == ([], False)


@pytest.mark.parametrize(
    ("number", "price", "cost"),
    [
        (1, "0.002", "0.002"),
        (3, "0.0124", "0.037"),
        (1, "0.00002", "2e-05"),
        (2, "0.05", "0.10"),
        (1_200, "1.5", "1,800.00"),
        (3, "0", "0.00"),
    ],
)
def test_a_small_cost_is_not_shown_as_nothing(
    file: Path, number: int, price: str, cost: str
) -> None:
    """One image costs less than a cent."""
    shown = run(a_stack(number), file, "--price", price, URI, as_json=False)

    assert f"{number:,} x {float(price):g} = {cost}\n" in re.sub(
        " +\n", "\n", shown.stdout
    )
    assert f", {cost} at " in shown.stderr


def test_people_see_the_estimate_as_a_table(file: Path) -> None:
    """With the bytes, and the objects that are skipped by reason."""
    stack = a_stack(3)
    stack.listing.put("2024/", size=0)

    shown = run(stack, file, "--price", "0.5", URI, as_json=False)

    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["skipped:", "FOLDER_MARKER", "1"] in lines
    assert ["to", "enqueue", "3"] in lines
    assert ["bytes", "216"] in lines
    assert ["cost", "3", "x", "0.5", "=", "1.50"] in lines
    assert "MaxConcurrency x BatchSize = 50 images at once, if one takes 1 s" in (
        " ".join(shown.stdout.split())
    )


def test_objects_that_the_stack_does_not_select_are_named(file: Path) -> None:
    """A prefix outside of UploadPrefix would otherwise send nothing, and not say why."""
    parameters = {**DEFAULTS, "UploadPrefix": "summer/,winter/"}
    stack = a_stack(3, parameters=parameters)

    shown = run(stack, file, "--yes", URI)

    assert json.loads(shown.stdout)["skipped"] == 3
    assert stack.feed.sent == []
    assert (
        "Not selected by the stack's UploadPrefix and UploadSuffixes, so not sent: 3 objects."
        in shown.stderr
    )


@pytest.mark.parametrize("yes", [[], ["--yes"]])
@pytest.mark.parametrize("as_json", [False, True])
def test_archived_objects_are_counted_and_their_restore_is_advised(
    file: Path, yes: list[str], *, as_json: bool
) -> None:
    """In a dry run and in a real one, for people and for programs."""
    stack = a_stack(3)
    stack.listing.put("2024/archived.jpg", is_archived=True)

    shown = run(stack, file, *yes, URI, as_json=as_json)

    assert "Archived, so not sent: 1 object. Restore" in " ".join(shown.stderr.split())
    if as_json:
        assert json.loads(shown.stdout)["archived"] == 1
    else:
        lines = [line.split() for line in shown.stdout.splitlines()]
        assert ["skipped:", "ARCHIVED", "1"] in lines


def test_with_yes_objects_are_enqueued_and_the_checkpoint_is_removed(
    file: Path,
) -> None:
    """A finished backfill leaves no file."""
    stack = a_stack()

    shown = run(stack, file, "--yes", URI)

    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["enqueued"] == len(stack.feed.sent) == 25
    assert "25 of 25 objects enqueued" in shown.stderr
    assert list(file.parent.iterdir()) == []


def test_another_bucket_is_refused_with_the_name_of_the_stacks_bucket(
    file: Path,
) -> None:
    """The function could not read it: every object would be a dead letter."""
    stack = a_stack()

    shown = run(stack, file, "--yes", "s3://other/2024/")

    assert (shown.exit_code, shown.stdout) == (2, "")
    assert BUCKET in shown.stderr
    assert "other" in shown.stderr
    assert stack.requests == []


def test_a_backfill_that_finds_no_object_exits_with_1(file: Path) -> None:
    """A typo in the prefix is noticed."""
    shown = run(a_stack(0), file, "--yes", URI)

    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["listed"] == 0
    assert "There is nothing" in shown.stderr


def test_the_uri_is_optional_with_an_inventory(file: Path) -> None:
    """The inventory covers the whole bucket."""
    stack = a_stack()
    manifest = "s3://inventories/manifest.json"

    bare = run(stack, file)
    named = run(stack, file, "--from-inventory", manifest)

    assert (bare.exit_code, named.exit_code) == (2, 0)
    assert stack.requests == [
        BackfillRequest("hangtag", BUCKET, "", manifest, again=False)
    ]


def test_after_ctrl_c_the_same_command_continues(file: Path) -> None:
    """No object is skipped, and at most one batch is sent twice."""
    stack = a_stack(35)
    stack.feed.after_sending = lambda: stack.feed.fails_with(
        KeyboardInterrupt(), at="send", times=1
    )

    interrupted = run(stack, file, "--yes", URI)
    stack.feed.after_sending = lambda: None
    done = run(stack, file, "--yes", URI)

    assert (interrupted.exit_code, interrupted.stdout) == (130, "")
    assert "10 enqueued" in interrupted.stderr
    assert "The same command continues" in interrupted.stderr
    assert done.exit_code == 0
    assert "Continues after the first 10 objects" in done.stderr
    assert json.loads(done.stdout)["enqueued"] == len(stack.feed.sent) == 35
    assert not file.exists()


def test_a_dry_run_after_ctrl_c_shows_what_is_left(file: Path) -> None:
    """The checkpoint stays unchanged."""
    stack = a_stack(35)
    stack.feed.after_sending = lambda: stack.feed.fails_with(
        KeyboardInterrupt(), at="send", times=1
    )
    run(stack, file, "--yes", URI)
    before = file.read_bytes()

    shown = run(stack, file, URI)

    assert shown.exit_code == 0
    assert "25 of 35 objects would be enqueued" in shown.stderr
    assert file.read_bytes() == before


def test_an_interrupted_dry_run_reports_that_it_changed_nothing(file: Path) -> None:
    """Ctrl-C ends it without a checkpoint."""
    stack = a_stack()
    stack.listing.fails_with(KeyboardInterrupt())

    shown = run(stack, file, URI)

    assert shown.exit_code == 130
    assert "Nothing was changed" in shown.stderr


def test_after_an_outage_of_the_queue_the_message_says_how_to_continue(
    file: Path,
) -> None:
    """The command fails, and the checkpoint keeps its progress."""
    stack = a_stack()
    stack.feed.fails_with(QueueUnavailable("SQS is away"), at="send")

    shown = run(stack, file, "--yes", URI)

    assert isinstance(shown.exception, QueueUnavailable)
    assert "The same command continues from there" in shown.stderr


def test_a_checkpoint_of_another_request_is_refused(file: Path) -> None:
    """The message names both requests."""
    stack = a_stack(35)
    stack.feed.after_sending = lambda: stack.feed.fails_with(
        KeyboardInterrupt(), at="send", times=1
    )
    run(stack, file, "--yes", URI)

    shown = run(stack, file, "--yes", "--again", URI)

    assert shown.exit_code == 1
    assert "another backfill" in shown.stderr
    assert "with --again" in shown.stderr
    assert len(stack.feed.sent) == 10


def test_a_wait_for_the_queue_is_explained(file: Path) -> None:
    """If stderr is no terminal, the explanation is printed once."""
    stack = a_stack(30)
    stack.feed.waiting = 100
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            stack.feed.waiting = 0

    stack.clock.when_sleeping = sleep

    shown = run(stack, file, "--yes", "--max-queued", "50", URI)

    assert shown.exit_code == 0
    assert shown.stderr.count("The upload queue holds 100") == 1


def test_without_parameters_time_and_size_limit_are_unknown(file: Path) -> None:
    """The command does not guess them."""
    stack = a_stack(1, parameters={})
    stack.listing.put("2024/large.tiff", size=10**12)

    shown = run(stack, file, URI)

    assert json.loads(shown.stdout)["skipped"] == 0
    assert "the time is unknown" in shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["s3://"],
        ["https://bucket/prefix"],
        ["bucket/prefix"],
        ["s3://b/p", "--rate", "0"],
        ["s3://b/p", "--rate", "nan"],
        ["s3://b/p", "--rate", "inf"],
        ["s3://b/p", "--price", "-1"],
        ["s3://b/p", "--price", "much"],
        ["s3://b/p", "--max-queued", "0"],
        ["s3://b/p", "--from-inventory", "manifest.json"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    """The command exits before its first AWS call."""
    shown = CliRunner(mix_stderr=False).invoke(cli, ["backfill", *arguments])

    assert (shown.exit_code, shown.stdout) == (2, "")


def test_a_checkpoint_is_named_after_the_request() -> None:
    """Each stack, bucket and prefix has its own; the name is never a path."""
    names = {
        checkpoint_name(BackfillRequest(stack, bucket, prefix, None, again=False))
        for stack in ("hangtag", "shop")
        for bucket in ("b", "b-2")
        for prefix in ("", "2024/", "2024", "../../etc/", "2024?", "드레스/", "x" * 900)
    }

    assert len(names) == 2 * 2 * 7
    assert all("/" not in name and len(name) < 150 for name in names)
    assert any(name.startswith("hangtag-backfill-hangtag-b-2024-") for name in names)


def test_the_progress_has_the_rate_of_this_run() -> None:
    """Messages of earlier runs do not count."""
    report = BackfillReport(dry_run=False, listed=600, enqueued=550)

    texts = [
        progress_text(report, 500, 10.0),
        progress_text(replace(report, waits_at=10_001), 500, 10.0),
    ]

    assert texts == [
        "Enqueueing, 5.0 sent/s",
        "Waiting: 10,001 on the queue, 5.0 sent/s",
    ]


def test_a_terminal_shows_a_progress_bar_with_the_time_left() -> None:
    """The time follows from the rate of this run."""
    clock = FakeClock()
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=120,
        force_terminal=True,
        color_system=None,
        get_time=clock.now,
    )

    with output.bar("Enqueueing", lambda: 1_000, console) as say:
        say(500, 0, "Enqueueing")
        for behind in (550, 600):
            clock.advance(5)
            say(behind, behind, "Enqueueing, 5.0 sent/s")

    written = stream.getvalue()
    assert "Enqueueing, 5.0 sent/s" in written
    assert "600/1000" in written
    assert "0:00:40" in written
