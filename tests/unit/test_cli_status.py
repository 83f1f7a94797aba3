"""The output of `hangtag status`."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from hangtag.breaker import FAILURES_TO_OPEN
from hangtag.operators.switch import TaggingState
from hangtag.ports import BreakerState
from hangtag.uploads import ENDING_REASONS
from hangtag_cli.stack import QueueCounts
from hangtag_cli.status import Counts, status_document, status_page, with_age_of
from hangtag_cli.vitals import Vitals, days_left
from tests.builders import NOON, a_dead_letter, a_letter

RUNNING = TaggingState(BreakerState(), is_enabled=True)


def counts(
    ended: Mapping[str, int] | None = None, *, waiting: int = 0, letters: int = 0
) -> Counts:
    """Counts, which are 0 by default."""
    statuses = ["TAGGED", "FAILED", "REPLAYED", "REMOVED", *map(str, ENDING_REASONS)]
    nothing = dict.fromkeys(statuses, 0)
    return Counts(
        queue=QueueCounts(waiting=waiting, in_flight=0),
        ended={**nothing, **(ended or {})},
        since=NOON,
        letters=[a_letter(str(n), a_dead_letter(code="823")) for n in range(letters)],
    )


def shown(
    tagging: TaggingState, uploads: Counts | None = None, vitals: Vitals | None = None
) -> str:
    """The output on a wide terminal."""
    stream = io.StringIO()
    console = Console(file=stream, width=200, color_system=None, markup=False)
    name = "hangtag in eu-central-1"
    for part in status_page(name, tagging, uploads or counts(), vitals or Vitals()):
        console.print(part)
    return stream.getvalue()


def stopped(
    code: str | None = "823", *, paused_at: str | None = None, message: str = "No more."
) -> TaggingState:
    """The breaker is open."""
    said = message if code else None
    return TaggingState(
        BreakerState(FAILURES_TO_OPEN, code, said, opened_at=NOON, paused_at=paused_at),
        is_enabled=False,
    )


def test_the_uploads_are_counted_by_state() -> None:
    """The states are waiting, in flight, tagged, failed, and skipped by reason."""
    uploads = counts({"TAGGED": 1200, "FAILED": 3, "OBJECT_GONE": 2, "SUPERSEDED": 1})

    screen = shown(RUNNING, uploads)
    document = status_document(RUNNING, uploads, Vitals())

    assert f"1,200 tagged, 3 failed, 3 skipped since {NOON}" in screen
    assert "2 OBJECT_GONE: deleted or overwritten before it was read" in screen
    assert "1 SUPERSEDED: a newer upload or deletion of the key counts" in screen
    assert document["results"] == {"TAGGED": 1200, "FAILED": 3}
    assert document["skipped"] == {"OBJECT_GONE": 2, "SUPERSEDED": 1}


def test_replayed_uploads_are_counted_until_they_end() -> None:
    """They count as failures no more. An upload that is replayed to another queue may never end."""
    uploads = counts({"REPLAYED": 4})

    assert "4, which have not ended since" in shown(RUNNING, uploads)
    assert status_document(RUNNING, uploads, Vitals())["replayed"] == 4
    assert "replayed" not in shown(RUNNING)


def test_every_reason_to_skip_is_explained() -> None:
    """An operator does not know the names."""
    screen = shown(RUNNING, counts(dict.fromkeys(map(str, ENDING_REASONS), 1)))

    for reason in ENDING_REASONS:
        assert re.search(rf" 1 {reason}: [a-z, ]+$", screen, re.MULTILINE)


def test_deletions_are_counted() -> None:
    """
    They are neither results nor skipped uploads.

    The key of some had no result, and some were undone since: the count is not one of results.
    """
    uploads = counts({"TAGGED": 9, "REMOVED": 4})
    document = status_document(RUNNING, uploads, Vitals())

    assert re.search(r"^deletions +4 processed", shown(RUNNING, uploads), re.MULTILINE)
    assert "deletions" not in shown(RUNNING)
    assert document["removed"] == 4
    assert document["results"] == {"TAGGED": 9, "FAILED": 0}
    assert document["skipped"] == {}


def test_without_skipped_uploads_there_is_no_line_about_them() -> None:
    """The screen shows only lines that matter."""
    assert "0 skipped" in shown(RUNNING)
    assert "FOLDER_MARKER" not in shown(RUNNING)
    assert status_document(RUNNING, counts(), Vitals())["skipped"] == {}


def test_an_open_breaker_is_shown_first() -> None:
    """The line says since when, why, who acts, what to do, and what happens automatically."""
    screen = shown(stopped(), counts(letters=FAILURES_TO_OPEN))

    assert screen.startswith("TAGGING HAS STOPPED: 823")
    for words in (
        NOON,
        "No more.",
        "Raise the quota",
        "`hangtag resume`",
        "`hangtag failures replay --code 823 --yes`",
        "every 15 minutes",
        "stopped by the breaker",
    ):
        assert words in screen
    assert len(screen.splitlines()) < 24


def test_an_open_breaker_without_a_code_shows_how_to_continue() -> None:
    """A success reset the count between the last failure and the opening."""
    screen = shown(stopped(None))

    assert screen.startswith("TAGGING HAS STOPPED: see the dead letters")
    assert "`hangtag resume`" in screen
    assert "None" not in screen


def test_during_a_pause_no_uploads_are_let_through() -> None:
    """Only an operator ends a pause."""
    screen = shown(stopped(paused_at=NOON))

    assert "every 15 minutes" not in screen
    assert f"paused since {NOON}" in screen


@pytest.mark.parametrize(
    ("tagging", "words"),
    [
        (RUNNING, "tagging       running "),
        (
            TaggingState(BreakerState(2, "609", "Refused."), is_enabled=True),
            "running, but 2 consecutive failed calls, the last with 609 (Refused.); at 5",
        ),
        (
            TaggingState(BreakerState(7, "609", "Refused."), is_enabled=True),
            "half-open: the next upload shows if the fault is over; before, 7 consecutive",
        ),
        (
            TaggingState(BreakerState(7, "609", "Refused."), is_enabled=False),
            "half-open",
        ),
        (
            TaggingState(BreakerState(paused_at=NOON), is_enabled=False),
            f"paused since {NOON}; `hangtag resume` ends it",
        ),
        (
            TaggingState(BreakerState(paused_at=NOON), is_enabled=True),
            "but the event source mapping is enabled; `hangtag pause` again disables it",
        ),
        (
            TaggingState(BreakerState(), is_enabled=False),
            "disabled, but not by `hangtag pause`. It is enabled within 15 minutes",
        ),
    ],
)
def test_the_state_of_tagging_is_shown_in_a_sentence(
    tagging: TaggingState, words: str
) -> None:
    """The sentence names the remedy if tagging is stopped."""
    assert words in shown(tagging)


def test_messages_of_the_api_have_no_effect_on_the_terminal() -> None:
    """They may contain control characters."""
    screen = shown(stopped(message="\x1b[2J\x07[red]"))

    assert "\x1b" not in screen
    assert "\x07" not in screen
    assert "[red]" in screen


# ---- values from other services


def test_values_that_aws_does_not_return_are_unknown() -> None:
    """The stack is new, or AWS is an emulator, or denies access."""
    screen = shown(RUNNING)
    document = status_document(RUNNING, counts(), Vitals())

    assert "oldest" not in screen
    assert re.search(r"last hour +unknown", screen)
    assert "no metrics" in shown(RUNNING, vitals=Vitals(has_metrics=True))
    assert document["oldestSeconds"] is None
    assert document["alarms"] is None


def test_the_age_of_the_oldest_letter_is_taken_from_the_letters() -> None:
    """SQS's metric leaves out letters that were received three times."""
    old, odd = a_dead_letter(), a_dead_letter()
    odd = replace(odd, failure=replace(odd.failure, failed_at="yesterday"))
    letters = [a_letter("letter-1", old), a_letter("letter-2", odd)]
    now = datetime.fromisoformat(NOON) + timedelta(days=3)

    younger = with_age_of(letters, Vitals(oldest_letter_seconds=60), now=now)
    older = with_age_of(letters, Vitals(oldest_letter_seconds=10**6), now=now)

    assert younger.oldest_letter_seconds == 3 * 86_400
    assert older.oldest_letter_seconds == 10**6
    assert with_age_of([], Vitals(), now=now).oldest_letter_seconds is None


def test_ages_the_last_hour_and_alarms_are_shown() -> None:
    """They fit on one screen."""
    vitals = Vitals(
        oldest_upload_seconds=3 * 3600,
        oldest_letter_seconds=5 * 86_400,
        tagged_last_hour=1_200,
        failed_last_hour=3,
        latency_milliseconds=2_500.0,
        alarms=("hangtag-DeadLettersAlarm-1",),
        key_changed_at=datetime.now(UTC) - timedelta(days=90),
    )

    screen = shown(RUNNING, vitals=vitals)
    document = status_document(RUNNING, counts(), vitals)

    for words in (
        "in flight, the oldest for 3 hours",
        "the oldest for 5 days",
        "1,200 tagged, 3 failed, half of them within 2.5 s",
        "hangtag-DeadLettersAlarm-1",
        "set 90 days ago",
    ):
        assert words in screen
    assert document["oldestSeconds"] == 10_800
    assert document["lastHour"] == {
        "tagged": 1_200,
        "failed": 3,
        "latencyMilliseconds": 2_500,
    }


@pytest.mark.parametrize(
    ("seconds", "shown_days"),
    [
        (None, None),
        (0.0, "the oldest has 14 days left"),
        (13.5 * 86_400, "the oldest has 12 hours left"),
        (14 * 86_400.0 - 119, "the oldest has 1 minute left"),
        (20 * 86_400.0, "the oldest has 0 minutes left"),
    ],
)
def test_a_pause_shows_how_long_the_oldest_message_may_wait(
    seconds: float | None, shown_days: str | None
) -> None:
    """This needs the age of the oldest message."""
    assert days_left(seconds) == shown_days
