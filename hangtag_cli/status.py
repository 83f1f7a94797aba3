"""`hangtag status`: the state of the stack on one screen."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

import click

from . import output
from .app import App, Command, json_option, pass_app
from .arguments import SINCE
from .failures import read_letters
from .switching import breaker_document, replay_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from hangtag.operators.ports import Letter
    from hangtag.operators.switch import TaggingState
    from hangtag.ports import BreakerState
    from hangtag.results import Document

    from .stack import QueueCounts, Stack
    from .vitals import Vitals


@dataclass(frozen=True, slots=True)
class Counts:
    """How many uploads are in which state."""

    queue: QueueCounts
    ended: Mapping[str, int]
    """Uploads that ended after `since`, by TAGGED, REMOVED, FAILED, REPLAYED or reason to skip."""
    since: str
    """ISO 8601."""
    letters: Sequence[Letter]
    unseen: int = 0
    """Further letters, which another reader has received."""

    def results(self) -> dict[str, int]:
        """Uploads with a result, by status."""
        return {status: self.ended[status] for status in _RESULTS}

    def skipped(self) -> dict[str, int]:
        """Skipped uploads, by reason."""
        return {
            reason: count
            for reason, count in self.ended.items()
            if count and reason not in (*_RESULTS, _REPLAYED, _REMOVED)
        }

    def removed(self) -> int:
        """Deletions that were announced, also of keys without a result, or undone since."""
        return self.ended[_REMOVED]

    def replayed(self) -> int:
        """Failed uploads that were replayed and have not ended since."""
        return self.ended[_REPLAYED]


_Found = tuple[Sequence["Letter"], int]
"""The letters, and the number of letters that another reader has received."""

_RESULTS = ("TAGGED", "FAILED")
_WHY_SKIPPED = {
    "FOLDER_MARKER": "an empty object whose key ends in a slash",
    "OBJECT_GONE": "deleted or overwritten before it was read",
    "SUPERSEDED": "a newer upload or deletion of the key counts",
    "DISCARDED": "failed, and an operator has discarded the failure",
}
"""Of `hangtag.uploads.ENDING_REASONS`."""
_REPLAYED = "REPLAYED"
_REMOVED = "REMOVED"
_WATCH_SECONDS = 5
_READ_EVERY = 6
"""`--watch` reads the letters every sixth time: reading hides them from others for a moment."""


@click.command(
    "status",
    cls=Command,
    examples=("hangtag status", "hangtag --json status --since 7d"),
)
@json_option
@click.option(
    "--since",
    type=SINCE,
    default="24h",
    show_default=True,
    metavar="TIME",
    help="Count uploads that ended since then: 24h, 7d, or an ISO time (UTC without a zone).",
)
@click.option(
    "--watch",
    is_flag=True,
    help=f"Refresh every {_WATCH_SECONDS} seconds, until Ctrl-C; the dead letters every "
    f"{_WATCH_SECONDS * _READ_EVERY}.",
)
@pass_app
def status(app: App, since: datetime, *, watch: bool) -> None:
    """
    Show the state of the stack.

    It counts the uploads that wait, were tagged, failed, or were skipped and why; replayed uploads
    wait again. It also counts the processed deletions of objects, with those of keys that had no
    result, and those that were undone since. It says whether tagging is paused, or stopped by a
    systemic failure. The numbers of the queue are SQS's estimates. Ages and the last hour come
    from CloudWatch and are some minutes old. Every dead letter stays visible.
    """
    if not watch:
        _show(app, since, None)
        return
    found: _Found | None = None
    with suppress(KeyboardInterrupt):  # the way to stop it
        for number in count():
            found = _show(app, since, found if number % _READ_EVERY else None)
            time.sleep(_WATCH_SECONDS)


def _show(app: App, since: datetime, found: _Found | None) -> _Found:
    """Show it once. Returns the letters: *found*, or else read now."""
    from hangtag.text import to_timestamp

    stack = app.stack()
    started = to_timestamp(since.timestamp())
    queue = stack.count_uploads()
    tagging = stack.switch().tagging()
    found = found or read_letters(stack)
    letters, unseen = found
    counts = Counts(
        queue=queue,
        ended=_count_ended(stack, since=started),
        since=started,
        letters=letters,
        unseen=unseen,
    )
    vitals = with_age_of(letters, stack.vitals(), now=datetime.now(UTC))
    if app.json:
        output.data(status_document(tagging, counts, vitals))
    else:
        name = f"{stack.name} in {stack.region}"
        output.page(status_page(name, tagging, counts, vitals))
    app.report_denials()
    return found


def with_age_of(letters: Sequence[Letter], vitals: Vitals, *, now: datetime) -> Vitals:
    """
    The *vitals*, with the age of the oldest of the *letters* if that is higher.

    SQS's metric leaves out messages that were received three times, for example by this command.
    """
    ages = [vitals.oldest_letter_seconds or 0.0]
    for letter in letters:
        with suppress(ValueError, TypeError):  # put there by hand
            failed_at = datetime.fromisoformat(letter.letter.failure.failed_at)
            ages.append((now - failed_at).total_seconds())
    return replace(vitals, oldest_letter_seconds=max(ages)) if letters else vitals


def status_document(tagging: TaggingState, counts: Counts, vitals: Vitals) -> Document:
    """How things stand, as `status --json` prints it."""
    codes = Counter(letter.letter.failure.code for letter in counts.letters)
    return {
        "queue": {
            "waiting": counts.queue.waiting,
            "inFlight": counts.queue.in_flight,
        },
        "deadLetters": dict(sorted(codes.items())),
        "results": counts.results(),
        "skipped": counts.skipped(),
        "removed": counts.removed(),
        "replayed": counts.replayed(),
        "paused": tagging.is_paused,
        "breaker": breaker_document(tagging.breaker),
        **vitals.document(),
    }


def status_page(
    name: str, tagging: TaggingState, counts: Counts, vitals: Vitals
) -> Iterator[RenderableType]:
    """The state of the stack *name*, for people."""
    from .letters import codes_table
    from .tables import facts, text
    from .vitals import aged

    if tagging.breaker.is_open:
        yield from _fault_page(tagging.breaker)
    tagged, failed = counts.results().values()
    skipped = counts.skipped()
    ended = f"{tagged:,} tagged, {failed:,} failed, {sum(skipped.values()):,} skipped"
    queue = counts.queue
    waiting = f"{queue.waiting:,} waiting, {queue.in_flight:,} in flight"
    shown = [
        ("stack", name),
        ("tagging", text(*_tagging(tagging))),
        ("upload queue", aged(waiting, vitals.oldest_upload_seconds)),
        ("results", f"{ended} since {counts.since}"),
    ]
    for position, (reason, uploads) in enumerate(skipped.items()):
        why = f"{uploads:,} {reason}: {_WHY_SKIPPED[reason]}"
        shown.append(("" if position else "skipped", why))
    if removed := counts.removed():
        shown.append(("deletions", f"{removed:,} processed"))
    if replayed := counts.replayed():
        shown.append(("replayed", f"{replayed:,}, which have not ended since"))
    number = f"{len(counts.letters):,}"
    if counts.unseen:
        number += f", and {counts.unseen:,} that another reader has received"
    letters = aged(number, vitals.oldest_letter_seconds)
    shown.append(("dead letters", letters))
    yield facts([*shown, *vitals.facts(now=datetime.now(UTC))])
    if counts.letters:
        yield ""
        yield codes_table(counts.letters)


def _tagging(tagging: TaggingState) -> tuple[str, str]:
    """Whether uploads are tagged, in a sentence, and its style."""
    from hangtag.breaker import FAILURES_TO_OPEN, RECONCILE_MINUTES

    breaker = tagging.breaker
    if breaker.paused_at is not None and tagging.is_enabled:
        # A deployment has enabled it, or the pause could not disable it.
        state = (
            f"paused since {breaker.paused_at}, but the event source mapping is enabled"
        )
        return f"{state}; `hangtag pause` again disables it", "bold red"
    if breaker.paused_at is not None:
        return f"paused since {breaker.paused_at}; `hangtag resume` ends it", "yellow"
    if breaker.is_open:
        return "stopped by the breaker", "bold red"
    failures = (
        f"{breaker.failures} consecutive failed calls, the last with {breaker.code} "
        f"({breaker.message})"
    )
    if tagging.is_half_open:
        return (
            f"half-open: the next upload shows if the fault is over; before, {failures}",
            "yellow",
        )
    if tagging.is_paused:
        state = (
            "paused: the event source mapping is disabled, but not by `hangtag pause`"
        )
        ends = f"within {RECONCILE_MINUTES} minutes, or at once by `hangtag resume`"
        return f"{state}. It is enabled {ends}", "yellow"
    if breaker.failures:
        return f"running, but {failures}; at {FAILURES_TO_OPEN} tagging stops", "yellow"
    return "running", ""


def _fault_page(breaker: BreakerState) -> Iterator[RenderableType]:
    """The reason why tagging has stopped, and the way to resume it."""
    from hangtag.breaker import FAILURES_TO_OPEN, RECONCILE_MINUTES

    from .advice import advice_on
    from .tables import facts, text

    code = breaker.code
    title = f"TAGGING HAS STOPPED: {code or 'see the dead letters'}"
    yield text(title, "bold white on red")
    shown = [("since", breaker.opened_at or "")]
    if code is not None:
        advice = advice_on(code)
        shown += [
            ("message", breaker.message or ""),
            ("who acts", advice.who),
            ("what to do", advice.text),
        ]
    shown.append(("then", "`hangtag resume` starts tagging again at once"))
    if code is not None:
        replays = f"`{replay_command(code)}` replays the first {FAILURES_TO_OPEN}"
        shown.append(("", replays))
    by_itself = (
        f"every {RECONCILE_MINUTES} minutes uploads are let through, to see if it is over"
        if breaker.paused_at is None
        else "nothing, because an operator has paused tagging, too"
    )
    shown.append(("by itself", by_itself))
    shown.append(("meanwhile", "uploads wait on the queue, for up to 14 days"))
    yield facts(shown)
    yield ""


def _count_ended(stack: Stack, *, since: str) -> dict[str, int]:
    """The number of uploads that ended, by status or reason."""
    from concurrent.futures import ThreadPoolExecutor

    from hangtag.uploads import ENDING_REASONS

    results = stack.results()
    statuses = [*_RESULTS, _REPLAYED, _REMOVED, *ENDING_REASONS]
    # Each status is a query for every partition of the index; in sequence that takes seconds
    with ThreadPoolExecutor(len(statuses)) as pool:
        numbers = pool.map(
            lambda status: results.count_ended(status, since=since), statuses
        )
        return dict(zip(statuses, numbers, strict=True))
