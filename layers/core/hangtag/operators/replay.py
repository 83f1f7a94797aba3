"""
Replay and discard failures.

A failure is a FAILED record, a dead letter, or both. Where both exist, the record decides: it keeps
the contents of its letter, and outlives it. SQS's own redrive, unreadable bodies and people by hand
make letters that have no FAILED record; these are replayed from the letter.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace

from hangtag.claims import new_rev
from hangtag.errors import QueueUnavailable, ResultsUnavailable
from hangtag.events import to_bare
from hangtag.lifecycle import Record, Status, UploadKey, reserve
from hangtag.lifecycle import discard as discarded
from hangtag.lifecycle import replay as replayed
from hangtag.operators.letters import (
    HIDDEN_SECONDS,
    PAGE,
    FoundFailure,
    LetterFilter,
    Walk,
    failure_of_record,
    is_leftover,
    with_records,
)
from hangtag.operators.ports import DeadLetterBox, FailureBook, Letter
from hangtag.ports import Clock, Deadline
from hangtag.text import to_timestamp

MAX_REPLAYS = 5
"""How often a failure is replayed, unless the operator says otherwise."""

MOST_CHOSEN = 1_000
"""How many failures a dry run names."""

_PAGE_SECONDS = 10.0
"""How long the letters of one receive may take at the rate that is asked for."""

RESERVE_SECONDS = 15.0
"""Kept at the end of a function's time: for the failure in hand, and for the report."""


@dataclass(frozen=True, slots=True)
class ReplayLimits:
    """How much at once, and how fast."""

    most: int | None = None
    """Failures that are replayed or discarded at most; None for all."""
    per_second: float = 0.0
    """Evenly spaced; 0 for no limit."""
    max_replays: int = MAX_REPLAYS
    """Failures that were replayed that often are skipped."""


@dataclass(slots=True)
class ReplayReport:
    """The report of a replay, a discard or a restore, or of its dry run."""

    dry_run: bool
    matched: int = 0
    done: int = 0
    skipped: int = 0
    """Replayed too often; they are still dead letters."""
    leftovers: int = 0
    """Letters removed whose failures were replayed or discarded before; not among the matched."""
    came_back: int = 0
    """Letters about uploads of this run: second ones, or the upload failed again meanwhile."""
    unseen: int = 0
    """Letters that another reader holds."""
    planned: int = 0
    """Failures that a real run works on first."""
    chosen: list[Letter] = field(default_factory=list)
    """Of a dry run: the first ones; see `MOST_CHOSEN`."""
    by_code: Counter[str] = field(default_factory=Counter)
    """Of the matched."""
    done_by_code: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    """Errors; the failures concerned are still dead letters."""
    is_cut_short: bool = False
    """Whether time ran out before all failures were seen; then `left` is a lower bound."""

    def match(self, letter: Letter) -> None:
        """Count a failure that matches the filter."""
        self.matched += 1
        self.by_code[letter.letter.failure.code] += 1

    def choose(self, letter: Letter) -> None:
        """Count a failure that a real run works on."""
        self.planned += 1
        if self.dry_run and len(self.chosen) < MOST_CHOSEN:
            self.chosen.append(letter)

    def finish(self, letter: Letter) -> None:
        """Count a failure that was replayed, discarded or restored."""
        self.done += 1
        self.done_by_code[letter.letter.failure.code] += 1

    @property
    def left(self) -> int:
        """
        The failures that matched, were not skipped and are still unchanged.

        At least 1 if the run was cut short: callers repeat it while something is left.
        """
        left = self.matched - self.done - self.skipped
        return max(left, 1) if self.is_cut_short else left

    def document(self) -> dict[str, object]:
        """
        As `hangtag failures replay --json` prints it.

        It has `complete`, False, if the run has not seen all letters: it was cut short, another
        reader holds some of them, or some came after its pass.
        """
        return {
            "matched": self.matched,
            "done": self.done,
            "skipped": self.skipped,
            "left": self.left,
            "dryRun": self.dry_run,
            "byCode": dict(sorted(self.by_code.items())),
            **({"complete": False} if self.is_cut_short or self.unseen else {}),
        }


Progress = Callable[[ReplayReport], None]
"""Called after each failure, with the report so far."""


class RecordChanged(Exception):
    """Another operator, or the function, works on the upload: its record has changed."""

    def __init__(self, found: Record) -> None:
        super().__init__(
            "Another operator or the function is working on some of them: try again in half a "
            "minute."
        )
        self.found = found
        """The record as it is now."""


def move(book: FailureBook, key: UploadKey, seen: Record, new: Record) -> Record:
    """
    Write *new* if the record is still the one that was *seen*; returns it as it was written.

    Raises:
        RecordChanged: It is not.
        ResultsUnavailable: DynamoDB refused or failed; it may have been written.
    """
    new = replace(new, rev=new_rev())
    found = book.swap(key, seen.rev, new)
    # A write whose response was lost finds itself when botocore repeats it.
    if found is not None and found.rev != new.rev:
        raise RecordChanged(found)
    return new


def replay(
    box: DeadLetterBox,
    book: FailureBook,
    selected: LetterFilter,
    *,
    clock: Clock,
    dry_run: bool,
    limits: ReplayLimits | None = None,
    deadline: Deadline | None = None,
    progress: Progress = lambda _: None,
) -> ReplayReport:
    """
    Put the *selected* failures back on the upload queue.

    Each is sent first, then marked in its record, and its letter is deleted last: a crash in
    between repeats it, and never loses it. One that cannot be sent or deleted is left and does
    not stop the others. A dry run does all but that. With a *deadline*, the run ends before it,
    and waits for its first slot, too, because it may continue a run that has just ended.

    Raises:
        QueueUnavailable, ResultsUnavailable: The letters or records cannot be read; what was not
            replayed is still a dead letter.
    """
    run = _Run(
        box,
        book,
        selected,
        lambda found: _send(found, box, book, clock),
        clock=clock,
        limits=limits or ReplayLimits(),
        deadline=deadline,
        progress=progress,
    )
    return run.to_the_end(dry_run=dry_run)


def _send(
    found: FoundFailure, box: DeadLetterBox, book: FailureBook, clock: Clock
) -> None:
    """
    Put one failure on the upload queue, unless it was replayed since it was read.

    Raises:
        RecordChanged: Nothing was sent.
        QueueUnavailable, ResultsUnavailable: It may have been sent.
    """
    letter = found.letter
    replays = letter.letter.replays + 1
    if found.failed is None:
        bare = replace(letter.letter, body=to_bare(letter.letter.body))
        box.resend(replace(letter, letter=bare), replays=replays)
        return
    key, record = found.failed
    _check_free(record, clock)
    until = clock.now() + HIDDEN_SECONDS
    try:
        mine = move(book, key, record, reserve(record, until=until))
    except RecordChanged as change:
        if change.found.status is not Status.REPLAYED:
            raise
        return
    try:
        box.resend(letter, replays=replays)
    except QueueUnavailable:
        with suppress(RecordChanged, ResultsUnavailable):
            move(book, key, mine, reserve(mine, until=0.0))
        raise
    # The function may have claimed the replay already.
    with suppress(RecordChanged):
        move(book, key, mine, replayed(mine))


def discard(
    box: DeadLetterBox,
    book: FailureBook,
    selected: LetterFilter,
    *,
    clock: Clock,
    dry_run: bool,
    keep: Callable[[Letter], None],
    limits: ReplayLimits | None = None,
    progress: Progress = lambda _: None,
) -> ReplayReport:
    """
    Remove the *selected* failures, each after *keep* has written it to the backup.

    Their uploads end as DISCARDED. Otherwise like `replay`.
    """

    def remove(found: FoundFailure) -> None:
        if found.failed is None:
            keep(found.letter)
            return
        key, record = found.failed
        _check_free(record, clock)
        keep(found.letter)
        move(book, key, record, discarded(record, at=to_timestamp(clock.now())))

    run = _Run(
        box,
        book,
        selected,
        remove,
        clock=clock,
        limits=replace(limits or ReplayLimits(), max_replays=sys.maxsize),
        deadline=None,
        progress=progress,
    )
    return run.to_the_end(dry_run=dry_run)


def _check_free(record: Record, clock: Clock) -> None:
    """Raises `RecordChanged` if another operator has reserved the failure."""
    if record.lease_until > clock.now():
        raise RecordChanged(record)


class _Run:
    """One pass over all failures: the letters first, then the records whose letter was not seen."""

    def __init__(
        self,
        box: DeadLetterBox,
        book: FailureBook,
        selected: LetterFilter,
        act: Callable[[FoundFailure], None],
        *,
        clock: Clock,
        limits: ReplayLimits,
        deadline: Deadline | None,
        progress: Progress,
    ) -> None:
        self._box = box
        self._book = book
        self._selected = selected
        self._act = act
        self._clock = clock
        self._limits = limits
        self._deadline = deadline
        self._progress = progress
        self._next_slot = 0.0
        self._handled: dict[UploadKey | str, str | None] = {}
        """
        By upload, or by a letter's body: the `rev` of the FAILED record that was dealt with, or
        None where it was not.
        """

    def to_the_end(self, *, dry_run: bool) -> ReplayReport:
        """
        Work on all selected failures.

        Raises:
            QueueUnavailable, ResultsUnavailable: As `replay`.
        """
        self._report = ReplayReport(dry_run=dry_run)
        if self._deadline is not None and not dry_run:
            self._next_slot = self._clock.now() + self._interval()
        with closing(Walk(self._box, self._clock)) as steps:
            try:
                self._all_failures(steps)
            except (QueueUnavailable, ResultsUnavailable) as error:
                # AWS was so slow that no time was left for the request
                if not self._is_out_of_time():
                    raise
                self._report.troubles.append(str(error))
        return self._report

    def _all_failures(self, steps: Walk) -> None:
        while not steps.is_over() and self._wait_for_slot():
            self._next_letters(steps)
        if not self._report.is_cut_short:
            self._report.unseen = steps.unseen()
            self._records_without_letter(steps)

    def _next_letters(self, steps: Walk) -> None:
        """Work on the letters of one receive: so few that each is hidden for a short time only."""
        for found in with_records(steps.receive(self._page_size()), self._book):
            if self._is_out_of_time():
                return
            if self._is_leftover(found):
                self._remove(found.letter, steps)
            elif self._is_due(found):
                if not self._wait_for_slot():
                    return
                self._deal_with(found, steps)

    def _records_without_letter(self, steps: Walk) -> None:
        selected = self._selected
        for key, record in self._book.failures(
            since=selected.since, until=selected.until
        ):
            if self._is_out_of_time():
                return
            found = failure_of_record(key, record)
            if key not in self._handled and self._is_due(found):
                if not self._wait_for_slot():
                    return
                self._deal_with(found, steps)

    def _is_leftover(self, found: FoundFailure) -> bool:
        """Whether the letter's failure was dealt with, by this run or before."""
        record = found.record
        if record and found.key and self._handled.get(found.key) == record.rev:
            return True
        return is_leftover(found.letter.letter, record)

    def _remove(self, letter: Letter, steps: Walk) -> None:
        """Delete a letter of a failure that was dealt with before."""
        if not self._selected.matches(letter):
            return
        try:
            if not self._report.dry_run:
                steps.delete(letter)
            self._report.leftovers += 1
        except QueueUnavailable as error:
            self._report.troubles.append(str(error))

    def _is_due(self, found: FoundFailure) -> bool:
        """Whether a failure is selected and within the limits; counts it."""
        report, letter = self._report, found.letter
        if not self._selected.matches(letter):
            return False
        # An upload that fails again at once would be replayed, and paid, without end.
        name = found.key or letter.letter.body
        if name in self._handled:
            report.came_back += 1
            return False
        self._handled[name] = None
        report.match(letter)
        is_over = self._limits.most is not None and report.planned >= self._limits.most
        if letter.letter.replays >= self._limits.max_replays:
            report.skipped += 1
        elif not is_over:
            report.choose(letter)
            return True
        self._progress(report)
        return False

    def _deal_with(self, found: FoundFailure, steps: Walk) -> None:
        report = self._report
        try:
            if not report.dry_run:
                self._next_slot = self._clock.now() + self._interval()
                self._act(found)
                if found.letter.receipt_handle:
                    steps.delete(found.letter)
                report.finish(found.letter)
            if found.failed:
                key, record = found.failed
                self._handled[key] = record.rev
        except (RecordChanged, QueueUnavailable, ResultsUnavailable) as error:
            report.troubles.append(str(error))
        self._progress(report)

    def _interval(self) -> float:
        rate = self._limits.per_second
        return 1 / rate if rate > 0 else 0.0

    def _page_size(self) -> int:
        if self._report.dry_run or not self._limits.per_second:
            return PAGE
        return max(1, int(min(PAGE, self._limits.per_second * _PAGE_SECONDS)))

    def _wait_for_slot(self) -> bool:
        """Wait for the next slot; False if the function's time does not suffice."""
        wait = max(0.0, self._next_slot - self._clock.now())
        if self._is_out_of_time(wait):
            return False
        if wait:
            self._clock.sleep(wait)
        return True

    def _is_out_of_time(self, wait: float = 0.0) -> bool:
        """Whether the function's time is over, or will be after the *wait*."""
        if self._deadline is not None:
            left = self._deadline.seconds_left()
            self._report.is_cut_short |= left < wait + RESERVE_SECONDS
        return self._report.is_cut_short
