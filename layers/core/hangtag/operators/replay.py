"""
What operators do with failures: look at them, replay, discard and restore them.

A failure is a dead letter, a FAILED result, or both: the result of an upload and its letter are
the same failure, found twice. Letters alone are those of SQS's own redrive, of bodies nobody can
read, and those that were put there by hand; a result alone is one whose letter has expired.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

from hangtag.errors import QueueUnavailable, ResultsUnavailable
from hangtag.operators.letters import (
    HIDDEN_SECONDS,
    PAGE,
    FoundFailure,
    LetterFilter,
    Walk,
    failures_of,
    letter_of,
    names_of_uploads,
)
from hangtag.operators.ports import (
    DeadLetterBox,
    FailureBook,
    KnownUpload,
    Letter,
    Standing,
    UploadKey,
)
from hangtag.ports import Clock, Deadline
from hangtag.text import to_timestamp

MAX_REPLAYS = 5
"""How often a failure is replayed, unless somebody says otherwise."""

MOST_CHOSEN = 1_000
"""What a dry run names one by one; there may be a million."""


_HOLD_SECONDS = 15.0
"""How old a letter in hand may be when its turn comes; half of the time it stays hidden."""

_PAGE_SECONDS = 10.0
"""How long the letters of one receive may take at the rate that is asked for."""

_RESERVE_SECONDS = 15.0
"""Kept at the end of a function's time: for what is in hand, and for the report."""


# ---- the letters


# ---- what is done about them


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, and how fast."""

    most: int | None = None
    """Failures that are replayed or discarded at most; None for all."""
    per_second: float = 0.0
    """A true rate, evenly spaced; 0 for none."""
    max_replays: int = MAX_REPLAYS
    """What was replayed that often is skipped."""


@dataclass(slots=True)
class Report:
    """What was done, or would be."""

    dry_run: bool
    matched: int = 0
    done: int = 0
    skipped: int = 0
    """Replayed too often; they are still dead letters."""
    tidied: int = 0
    """Letters removed whose failures were replayed or tagged before; they are no match."""
    came_back: int = 0
    """Letters about what this run has sent: it failed again, or had two letters."""
    unseen: int = 0
    """Letters that somebody else has in hand, or that came when everything was seen."""
    would: int = 0
    """What a run that is not dry would begin with."""
    chosen: list[Letter] = field(default_factory=list)
    """The first of those, of a dry run; see `MOST_CHOSEN`."""
    by_code: Counter[str] = field(default_factory=Counter)
    """What matched."""
    done_by_code: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    """What AWS said of failures that were not dealt with; they are still dead letters."""
    is_cut_short: bool = False
    """Whether the time was over before everything was seen."""

    def choose(self, letter: Letter) -> None:
        """One more that would be dealt with, were this no dry run."""
        self.would += 1
        if self.dry_run and len(self.chosen) < MOST_CHOSEN:
            self.chosen.append(letter)

    @property
    def left(self) -> int:
        """What matched, was not skipped and is still as it was."""
        return self.matched - self.done - self.skipped

    def document(self) -> dict[str, object]:
        """As `hangtag failures replay --json` prints it."""
        return {
            "matched": self.matched,
            "done": self.done,
            "skipped": self.skipped,
            "left": self.left,
            "dryRun": self.dry_run,
            "byCode": dict(sorted(self.by_code.items())),
        }


Progress = Callable[[Report], None]


class _InOtherHands(Exception):
    """Somebody else is replaying or discarding it, or it stands otherwise by now."""


def replay(
    box: DeadLetterBox,
    book: FailureBook,
    meant: LetterFilter,
    *,
    clock: Clock,
    dry_run: bool,
    limits: Limits | None = None,
    deadline: Deadline | None = None,
    progress: Progress | None = None,
) -> Report:
    """
    Put the failures that are *meant* back on the upload queue.

    Each is sent first, marked in the table then, and its letter deleted last: a crash in between
    makes it twice, never none. One that cannot be sent or deleted is left and does not stop the
    others. A dry run does all but that. *progress* is called after each with the report so far.
    It ends in time before *deadline*.

    Raises:
        QueueUnavailable, ResultsUnavailable: SQS does not hand out letters, or DynamoDB no
            results; what was not replayed is still a dead letter.
    """
    limits = limits or Limits()

    def act(entry: FoundFailure, steps: Walk) -> None:
        if not entry.is_left_behind:
            _send(entry, box, book, clock)
        if entry.in_hand:
            steps.delete(entry.found)

    def settle(known: KnownUpload) -> None:
        book.mark_replayed(known, at=to_timestamp(clock.now()))

    doing = _Doing(act, settle)
    rounds = _Round(
        box,
        book,
        meant,
        doing,
        clock=clock,
        limits=limits,
        deadline=deadline,
        progress=progress,
    )
    return rounds.run(dry_run=dry_run)


def _send(
    entry: FoundFailure, box: DeadLetterBox, book: FailureBook, clock: Clock
) -> None:
    """
    Send, then mark.

    Raises:
        _InOtherHands: Nothing was sent.
    """
    known = entry.known
    if known is None:
        box.resend(entry.found, replays=entry.replays + 1)
        return
    if not book.reserve_replay(known, seconds=HIDDEN_SECONDS):
        now = book.look_up([known.key]).get(known.key)
        if now is not None and now.standing is Standing.REPLAYED:
            return  # by somebody else, a moment ago
        raise _InOtherHands
    try:
        box.resend(entry.found, replays=entry.replays + 1)
    except QueueUnavailable:
        book.release_replay(known)
        raise
    book.mark_replayed(known, at=to_timestamp(clock.now()))


def discard(
    box: DeadLetterBox,
    book: FailureBook,
    meant: LetterFilter,
    *,
    clock: Clock,
    dry_run: bool,
    keep: Callable[[Letter], None],
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Report:
    """
    Remove the failures that are *meant*, each after *keep* has written it down for good.

    Their uploads end as DISCARDED. Otherwise like `replay`.
    """

    def act(entry: FoundFailure, steps: Walk) -> None:
        keep(entry.found)
        at = to_timestamp(clock.now())
        if entry.known and not book.discard(entry.known, at=at):
            raise _InOtherHands
        if entry.in_hand:
            steps.delete(entry.found)

    def settle(known: KnownUpload) -> None:
        book.discard(known, at=to_timestamp(clock.now()))

    doing = _Doing(act, settle)
    limits = replace(limits or Limits(), max_replays=sys.maxsize)
    rounds = _Round(
        box,
        book,
        meant,
        doing,
        clock=clock,
        limits=limits,
        deadline=None,
        progress=progress,
    )
    return rounds.run(dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _Doing:
    """What is done about failures."""

    act: Callable[[FoundFailure, Walk], None]
    """About one; raises `_InOtherHands`, or what box and book raise."""
    settle: Callable[[KnownUpload], None]
    """About a result whose letter was dealt with as if it had none."""


class _Round:
    """One way through all failures that are meant: the letters first, then the results alone."""

    def __init__(
        self,
        box: DeadLetterBox,
        book: FailureBook,
        meant: LetterFilter,
        doing: _Doing,
        *,
        clock: Clock,
        limits: Limits,
        deadline: Deadline | None,
        progress: Progress | None,
    ) -> None:
        self._box = box
        self._book = book
        self._meant = meant
        self._doing = doing
        self._clock = clock
        self._limits = limits
        self._deadline = deadline
        self._progress = progress or (lambda _: None)
        self._next_turn = 0.0
        self._counted: set[str] = set()
        self._met: set[UploadKey | str] = set()
        """What has had its turn, or is left for good: by upload, and by the letter's id."""
        self._sent: set[tuple[str, int]] = set()
        self._acted: dict[UploadKey, int] = {}
        """By upload, how often it had been replayed before this round dealt with it."""
        self._alone: set[str] = set()
        """Ids of letters that were dealt with as letters alone."""

    def run(self, *, dry_run: bool) -> Report:
        """Raises what the box raises when it receives, and the book when it is read."""
        self.report = Report(dry_run=dry_run)
        started = to_timestamp(self._clock.now())
        # Closed at once, also by Ctrl-C: the letters become visible before anybody is told.
        with closing(Walk(self._box, self._clock)) as steps:
            while not steps.is_over() and not self._is_late():
                self._page(steps)
            if steps.is_over():
                self.report.unseen = steps.unseen()
            if not self._is_late():
                self._results_alone(steps, started)
        return self.report

    def _page(self, steps: Walk) -> None:
        """The letters of one receive: no more than can be dealt with while they are hidden."""
        received_at = self._clock.now()
        letters = steps.receive(self._page_size())
        for number, entry in enumerate(failures_of(letters, self._book)):
            if entry.is_left_behind or self._is_copy(entry):
                self._tidy_up(entry, steps)
                continue
            if not self._is_due(entry):
                continue
            wait = self._wait()
            if self._is_late(wait):
                return
            if self._clock.now() + wait > received_at + _HOLD_SECONDS:
                # Others may have them meanwhile; this round meets them again.
                steps.forget(letters[number:])
                self._clock.sleep(wait)
                return
            self._deal_with(entry, steps, wait)

    def _results_alone(self, steps: Walk, started: str) -> None:
        """What failed before this round and whose letter was not met."""
        meant = self._meant
        for known in self._book.failures(since=meant.since, until=meant.until):
            letter = letter_of(known)
            if known.letter_id and known.letter_id in self._alone:
                # Its event told no version, so that the letter did not tell the upload
                self._doing.settle(known)
                continue
            if known.ended_at > started or {known.key, letter.id} & self._met:
                continue
            entry = FoundFailure(letter, known.key, known.replays, known)
            if not self._is_due(entry):
                continue
            wait = self._wait()
            if self._is_late(wait):
                return
            self._deal_with(entry, steps, wait)

    def _is_copy(self, entry: FoundFailure) -> bool:
        """Whether it is another letter of a failure that this round has dealt with."""
        if entry.key is None or entry.key not in self._acted:
            return False
        return entry.told <= self._acted[entry.key]

    def _tidy_up(self, entry: FoundFailure, steps: Walk) -> None:
        """
        The second letter of a failure goes the way of the first, uncounted.

        So does one that was left behind when its failure was replayed or tagged: nothing is sent.
        """
        is_meant = self._meant.matches(entry.found) or not entry.is_left_behind
        if not is_meant:
            return
        try:
            if not self.report.dry_run:
                self._doing.act(replace(entry, known=None, is_left_behind=True), steps)
            self.report.tidied += 1
        except QueueUnavailable as error:
            self.report.troubles.append(str(error))

    def _is_due(self, entry: FoundFailure) -> bool:
        """Whether a failure is meant, and to be dealt with; counts it, if it was not."""
        report = self.report
        letter = entry.found
        if not self._meant.matches(letter):
            return False
        replays = letter.letter.replays
        # What failed again at once is back before the round ends; replaying it without end
        # would be paid for without end.
        if all((name, replays) in self._sent for name in names_of_uploads(letter)):
            report.came_back += letter.id not in self._met
            self._met.add(letter.id)
            return False
        if entry.known and entry.known.key in self._met:
            return False  # another letter of the same failure
        if letter.id not in self._counted:
            self._counted.add(letter.id)
            report.matched += 1
            report.by_code[entry.code] += 1
            if entry.replays >= self._limits.max_replays:
                report.skipped += 1
                self._meet(entry)
                self._progress(report)
                return False
        if self._limits.most is not None and report.would >= self._limits.most:
            self._meet(entry)
            self._progress(report)
            return False
        return True

    def _deal_with(self, entry: FoundFailure, steps: Walk, wait: float) -> None:
        report = self.report
        report.choose(entry.found)
        troubles = len(report.troubles)
        self._meet(entry)
        replays = entry.replays + 1
        self._sent.update((name, replays) for name in names_of_uploads(entry.found))
        if not report.dry_run:
            self._clock.sleep(wait)
            self._next_turn = self._clock.now() + self._interval()
            try:
                self._doing.act(entry, steps)
            except _InOtherHands:
                report.troubles.append(
                    "Somebody else is at some of them: try again in half a minute."
                )
            except (QueueUnavailable, ResultsUnavailable) as error:
                report.troubles.append(str(error))
            else:
                report.done += 1
                report.done_by_code[entry.code] += 1
                if entry.known is None:
                    self._alone.add(entry.found.id)
        if entry.known and not report.troubles[troubles:]:
            self._acted[entry.known.key] = entry.replays
        self._progress(report)

    def _meet(self, entry: FoundFailure) -> None:
        self._met.add(entry.found.id)
        if entry.known:
            self._met.add(entry.known.key)

    def _interval(self) -> float:
        rate = self._limits.per_second
        return 1 / rate if rate > 0 else 0.0

    def _page_size(self) -> int:
        if self.report.dry_run or not self._limits.per_second:
            return PAGE
        return max(1, int(min(PAGE, self._limits.per_second * _PAGE_SECONDS)))

    def _wait(self) -> float:
        """Seconds until the next may be sent."""
        if self.report.dry_run:
            return 0.0
        return max(0.0, self._next_turn - self._clock.now())

    def _is_late(self, wait: float = 0.0) -> bool:
        if self._deadline is None:
            return False
        late = self._deadline.seconds_left() < wait + _RESERVE_SECONDS
        self.report.is_cut_short |= late
        return late
