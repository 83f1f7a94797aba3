"""`hangtag failures replay` on a fake queue: its output and its exit status."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest
from click.testing import CliRunner, Result

from hangtag.errors import QueueUnavailable
from hangtag.operators.ports import Letter
from hangtag_cli.app import App
from hangtag_cli.failures import failures
from hangtag_cli.main import cli
from hangtag_cli.stack import Stack
from tests.builders import URI, a_dead_letter, a_letter, an_upload
from tests.fakes import FakeDeadLetterBox, FakeFailureBook


@dataclass
class FakeStack:
    """A stack with fake dead letters."""

    box: FakeDeadLetterBox

    def dead_letters(
        self,
        *,
        to: str | None = None,  # noqa: ARG002 - the fake has one upload queue
    ) -> FakeDeadLetterBox:
        """The fake dead-letter queue."""
        return self.box

    def failure_book(self) -> FakeFailureBook:
        """A table without records."""
        return FakeFailureBook()


class AppOfTests(App):
    """The global options, with a stack that needs no AWS."""

    def __init__(self, box: FakeDeadLetterBox, *, as_json: bool) -> None:
        super().__init__("hangtag", None, None, as_json)
        self.box = box

    def stack(self) -> Stack:
        """The fake stack."""
        return cast("Stack", FakeStack(self.box))


class InterruptedBox(FakeDeadLetterBox):
    """A box whose user presses Ctrl-C after the first letter."""

    def resend(self, letter: Letter, *, replays: int) -> None:
        """Raises the interrupt from the second letter on."""
        if self.resent:
            raise KeyboardInterrupt
        super().resend(letter, replays=replays)


class StubbornBox(FakeDeadLetterBox):
    """A box in which every replayed upload fails again at once."""

    def resend(self, letter: Letter, *, replays: int) -> None:
        """The new letter is in the queue before this returns."""
        super().resend(letter, replays=replays)
        again = dataclasses.replace(letter.letter, replays=replays)
        self.visible.append(a_letter(f"{letter.id} again", again))


class BrokenBox(FakeDeadLetterBox):
    """A box that SQS can read only once."""

    received = 0

    def receive(self, most: int = 10) -> Sequence[Letter]:
        """Returns up to ten letters, then raises an error."""
        self.received += 1
        if self.received > 1:
            raise QueueUnavailable("SQS is away")
        return super().receive(most)


def letters(*codes: str) -> list[Letter]:
    """One letter for each code, each of its own image."""
    return [
        a_letter(f"id-{number}", a_dead_letter(an_upload(f"{number}.jpg"), code=code))
        for number, code in enumerate(codes)
    ]


def replay(box: FakeDeadLetterBox, *arguments: str, as_json: bool = True) -> Result:
    """Run `hangtag failures replay`."""
    return CliRunner(mix_stderr=False).invoke(
        failures, ["replay", *arguments], obj=AppOfTests(box, as_json=as_json)
    )


def test_without_yes_no_letter_is_replayed() -> None:
    """A mistyped command must not cost a thousand calls."""
    box = FakeDeadLetterBox(*letters("803", "807", "803"))

    shown = replay(box)

    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == {
        "matched": 3,
        "done": 0,
        "skipped": 0,
        "left": 3,
        "dryRun": True,
        "byCode": {"803": 2, "807": 1},
    }
    assert "add --yes" in shown.stderr
    assert box.resent == []
    assert len(box.visible) == 3


def test_with_yes_the_letters_are_replayed() -> None:
    """Without a filter all letters are replayed."""
    box = FakeDeadLetterBox(*letters("803", "807"))

    shown = replay(box, "--yes")

    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["done"] == 2
    assert [replays for _, replays in box.resent] == [1, 1]
    assert box.visible == []


@pytest.mark.parametrize(
    ("arguments", "replayed"),
    [
        (["--code", "803"], ["0.jpg", "2.jpg"]),
        (["--code", "803", "--code", "823"], ["0.jpg", "2.jpg", "3.jpg"]),
        ([an_upload("1.jpg").uri], ["1.jpg"]),
        (["id-3"], ["3.jpg"]),
        (["id-3", an_upload("0.jpg").uri], ["0.jpg", "3.jpg"]),
        (["--code", "803", "id-2", "id-3"], ["2.jpg"]),
    ],
)
def test_letters_are_named_by_code_by_image_and_by_id(
    arguments: list[str], replayed: list[str]
) -> None:
    """Only the selected letters are replayed; the others stay."""
    box = FakeDeadLetterBox(*letters("803", "807", "803", "823"))

    shown = replay(box, "--yes", *arguments)

    assert shown.exit_code == 0
    keys = [
        json.loads(body)["Records"][0]["s3"]["object"]["key"] for body, _ in box.resent
    ]
    assert keys == replayed
    assert len(box.visible) == 4 - len(replayed)


@pytest.mark.parametrize("flags", [[], ["--yes"]])
def test_a_replay_that_matches_no_letter_exits_with_1(flags: list[str]) -> None:
    """A script that expected letters can notice it."""
    box = FakeDeadLetterBox(*letters("803"))

    shown = replay(box, *flags, "--code", "999")

    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["matched"] == 0
    assert "No dead letter matches" in shown.stderr


def test_a_letter_that_cannot_be_sent_stays_and_does_not_stop_the_others() -> None:
    """A letter may be too large for the upload queue."""
    box = FakeDeadLetterBox(*letters("803", "807", "803"))
    box.fails_with(QueueUnavailable("the message is too long"), times=1, at="resend")

    shown = replay(box, "--yes")

    assert shown.exit_code == 1
    report = json.loads(shown.stdout)
    assert (report["matched"], report["done"], report["left"]) == (3, 2, 1)
    assert "the message is too long" in shown.stderr
    assert [letter.id for letter in box.visible] == ["id-0"]


def test_a_letter_that_was_sent_but_cannot_be_deleted_counts_as_left() -> None:
    """It may be sent twice, but is not lost."""
    box = FakeDeadLetterBox(*letters("803"))
    box.fails_with(QueueUnavailable("no"), at="delete")

    shown = replay(box, "--yes")

    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["left"] == 1
    assert len(box.resent) == 1
    assert len(box.visible) == 1


def test_an_upload_that_fails_again_at_once_is_not_replayed_again() -> None:
    """Otherwise one command would call and pay without end."""
    box = StubbornBox(*letters("803", "807"))

    shown = replay(box, "--yes")

    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["done"] == 2
    assert len(box.resent) == 2
    assert [letter.letter.replays for letter in box.visible] == [1, 1]


def test_an_upload_that_was_replayed_too_often_is_skipped_and_reported() -> None:
    """An operator has to look at it; the exit status shows that it is still there."""
    often = dataclasses.replace(a_dead_letter(), replays=5)
    box = FakeDeadLetterBox(a_letter("often", often), *letters("803"))

    shown = replay(box, "--yes")
    insisted = replay(box, "--yes", "--max-replays", "6")

    report = json.loads(shown.stdout)
    assert (shown.exit_code, report["done"], report["skipped"], report["left"]) == (
        1,
        1,
        1,
        0,
    )
    assert "1 letter skipped" in shown.stderr
    assert (insisted.exit_code, json.loads(insisted.stdout)["done"]) == (0, 1)


def test_a_replay_stops_at_the_maximum_and_a_dry_run_shows_it() -> None:
    """The other letters are counted as left."""
    box = FakeDeadLetterBox(*letters("803", "803", "803"))

    rehearsed = replay(box, "--max", "2")
    shown = replay(box, "--max", "2", "--yes")

    assert "2 letters would be replayed. 1 letter would be left." in rehearsed.stderr
    report = json.loads(shown.stdout)
    assert (report["matched"], report["done"], report["left"]) == (3, 2, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rate", "0"],
        ["--rate", "-1"],
        ["--rate", "nan"],
        ["--rate", "inf"],
        ["--rate", "1e-300"],
        ["--since", "1h", "--until", "2h"],
        ["--code", ""],
        ["--prefix", ""],
        ["--prefix", "\udcff"],
        ["--max", "-1"],
        ["--kind", "later"],
        ["--to", "my queue"],
        ["--to", "arn:aws:sqs:eu-west-1:my-queue"],
        ["--to", "ftp://sqs/1/my-queue"],
        ["--to", "https://sqs.eu-west-1.amazonaws.com/"],
        ["--since", "yesterday"],
    ],
)
def test_invalid_limits_are_wrong_usage(arguments: list[str]) -> None:
    """No letter is replayed."""
    box = FakeDeadLetterBox(*letters("803"))

    shown = replay(box, "--yes", *arguments)

    assert shown.exit_code == 2
    assert box.resent == []


def test_ctrl_c_reports_the_progress_and_leaves_the_others_visible() -> None:
    """The report counts the letters that were replayed before the interrupt."""
    box = InterruptedBox(*letters("803", "807", "803"))

    shown = replay(box, "--yes")

    assert shown.exit_code == 130
    assert shown.stdout == ""
    assert "1 letter replayed so far" in shown.stderr
    assert "as they were" not in shown.stderr  # the others were not seen
    assert {letter.id for letter in box.visible} == {"id-1", "id-2"}


def test_an_error_of_the_queue_ends_the_replay_with_a_report() -> None:
    """The report counts the letters that were replayed; the others are visible."""
    box = BrokenBox(*letters(*["803"] * 15))

    shown = replay(box, "--yes")

    assert shown.exit_code == 1
    assert "10 letters replayed so far" in shown.stderr
    assert len(box.visible) == 5


def test_people_see_a_table_by_code() -> None:
    """Stderr explains what to do next."""
    shown = replay(FakeDeadLetterBox(*letters("803", "803")), as_json=False)

    assert ["803", "2"] in [line.split() for line in shown.stdout.splitlines()]
    assert "2 letters would be replayed" in shown.stderr


def test_listing_leaves_every_letter_visible() -> None:
    """A list must not hide letters from another operator's replay."""
    box = FakeDeadLetterBox(*letters(*["803"] * 25))

    shown = CliRunner(mix_stderr=False).invoke(
        failures, ["list"], obj=AppOfTests(box, as_json=True)
    )

    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == 25
    assert len(box.visible) == 25


def test_an_empty_list_exits_with_0() -> None:
    """`list` exits with 0 whether it finds letters or not."""
    shown = CliRunner(mix_stderr=False).invoke(
        failures, ["list"], obj=AppOfTests(FakeDeadLetterBox(), as_json=True)
    )

    assert (shown.exit_code, shown.stdout) == (0, "")


def test_showing_an_unknown_letter_exits_with_1() -> None:
    """Stdout is empty, and stderr says where to look."""
    shown = CliRunner(mix_stderr=False).invoke(
        failures,
        ["show", URI],
        obj=AppOfTests(FakeDeadLetterBox(*letters("803")), as_json=True),
    )

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert "hangtag results show" in shown.stderr


def test_the_group_is_part_of_the_command() -> None:
    """These tests run the same command as `hangtag failures`."""
    assert cli.commands["failures"] is failures
