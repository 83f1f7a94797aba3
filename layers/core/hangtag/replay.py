"""
What operators do with failures: look at them, replay, discard and restore them.

A failure is a dead letter, a FAILED result, or both: the result of an upload and its letter are
the same failure, found twice. Letters alone are those of SQS's own redrive, of bodies nobody can
read, and those that were put there by hand; a result alone is one whose letter has expired.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace

from hangtag.dead_letters import DeadLetter
from hangtag.failures import UNCODED, QueueUnavailable, ResultsUnavailable
from hangtag.ports import (
    Clock,
    DeadLetterBox,
    DeadLetterQueue,
    Deadline,
    FailureBook,
    KnownUpload,
    Letter,
    Standing,
    UploadKey,
)
from hangtag.results import to_timestamp
from hangtag.uploads import Unreadable, Upload, read_body

MAX_REPLAYS = 5
"""How often a failure is replayed, unless somebody says otherwise."""

MOST_CHOSEN = 1_000
"""What a dry run names one by one; there may be a million."""

_EMPTY_RECEIVES = 2
"""
Empty receives in a row after which the queue counts as seen.

SQS answers from a sample of its servers; one empty answer proves nothing.
"""

_HIDDEN_SECONDS = 30.0
"""How long a letter that was received stays hidden: `DeadLetterBox.receive`."""

_HOLD_SECONDS = 15.0
"""How old a letter in hand may be when its turn comes; half of the time it stays hidden."""

_PAGE = 10
_PAGE_SECONDS = 10.0
"""How long the letters of one receive may take at the rate that is asked for."""

_RESERVE_SECONDS = 15.0
"""Kept at the end of a function's time: for what is in hand, and for the report."""


# ---- the letters


class _Walk:
    """The letters of the queue, each once; what was received is put back at the end."""

    def __init__(self, box: DeadLetterBox, clock: Clock) -> None:
        self._box = box
        self._clock = clock
        self._seen: set[str] = set()
        self._held: dict[str, tuple[Letter, float]] = {}
        self._empty = 0
        self._again = 0

    def is_over(self) -> bool:
        """
        Whether everything was seen.

        A walk that takes longer than a letter stays hidden meets letters again: they prove
        nothing about the rest of the queue, until as many came again as there are.
        """
        return self._empty >= _EMPTY_RECEIVES or self._again > len(self._seen)

    def receive(self, most: int = _PAGE) -> list[Letter]:
        """Letters that were not seen before; often none."""
        now = self._clock.now()
        found = self._box.receive(most)
        new = [letter for letter in found if letter.id not in self._seen]
        # A letter's latest receipt handle is the one that counts.
        self._held.update((letter.id, (letter, now)) for letter in found)
        self._seen.update(letter.id for letter in found)
        self._empty = 0 if found else self._empty + 1
        self._again = 0 if new else self._again + len(found)
        return new

    def forget(self, letters: Iterable[Letter]) -> None:
        """Put letters back as if they had not been seen: the walk meets them again."""
        letters = list(letters)
        for letter in letters:
            self._held.pop(letter.id, None)
            self._seen.discard(letter.id)
        self._box.put_back(letters)

    def delete(self, letter: Letter) -> None:
        """Remove a letter for good. Raises what the box raises."""
        self._box.delete(letter)
        self._held.pop(letter.id, None)

    def unseen(self) -> int:
        """
        How many letters there are beside those that were seen; 0 where nobody can tell.

        Somebody else has them in hand, or they came when everything was seen.
        """
        with suppress(QueueUnavailable):
            return max(0, self._box.count() - len(self._held))
        return 0

    def close(self) -> None:
        """Make visible what is hidden by this walk, and by nobody else since."""
        since = self._clock.now() - _HIDDEN_SECONDS
        self._box.put_back(
            [letter for letter, received in self._held.values() if received >= since]
        )


def walk(
    box: DeadLetterBox,
    clock: Clock,
    *,
    unseen: Callable[[int], object] = lambda _: None,
) -> Generator[Letter, None, None]:
    """
    Every letter in the queue, once.

    SQS cannot peek: letters are received, and made visible again when the walk ends, also by an
    error or Ctrl-C. A letter deleted on the way stays deleted. *unseen* is told how many more
    there are at the end, in somebody else's hands.
    """
    with closing(_Walk(box, clock)) as steps:
        while not steps.is_over():
            yield from steps.receive()
        unseen(steps.unseen())


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which failures are meant; an empty filter means all."""

    codes: Collection[str] = ()
    images: Collection[str] = ()
    """Uris."""
    ids: Collection[str] = ()
    kinds: Collection[str] = ()
    prefix: str = ""
    """Of the uri, where it begins with s3://, else of the key."""
    since: str = ""
    """ISO 8601, UTC: failed then or later."""
    until: str = ""
    """ISO 8601, UTC: failed then or earlier."""
    attempts: int = 0
    """Begun at least that often."""

    def matches(self, letter: Letter) -> bool:
        """Whether *letter* is meant."""
        failure = letter.letter.failure
        if (
            (self.codes and failure.code not in self.codes)
            or (self.kinds and failure.kind not in self.kinds)
            or failure.attempts < self.attempts
            or (self.since and failure.failed_at < self.since)
            or (self.until and failure.failed_at > self.until)
            or (self.prefix and not any(map(self._has_prefix, _uris_of(letter))))
        ):
            return False
        if not self.images and not self.ids:
            return True
        is_named = any(uri in self.images for uri in _uris_of(letter))
        return is_named or letter.id in self.ids

    def _has_prefix(self, image: str) -> bool:
        if self.prefix.startswith("s3://"):
            return image.startswith(self.prefix)
        return image.removeprefix("s3://").partition("/")[2].startswith(self.prefix)


def _uris_of(letter: Letter) -> Iterator[str]:
    """Of the images that a letter is about; one that somebody made may be about several."""
    if letter.letter.image is not None:
        yield letter.letter.image
    for entry in read_body(letter.letter.body):
        if isinstance(entry, Upload):
            yield entry.uri


@dataclass(frozen=True, slots=True)
class Entry:
    """One failure."""

    found: Letter
    """The letter in hand, or one as the result tells of it, without a receipt handle."""
    key: UploadKey | None
    """The upload, where the letter is about exactly one."""
    told: int
    """How often it was replayed, by the letter itself."""
    known: KnownUpload | None
    """What the table knows of it, where it stands as FAILED."""
    is_left_behind: bool = False
    """Whether the failure was replayed already, and only this letter of it is still there."""

    @property
    def in_hand(self) -> bool:
        """Whether it was received from the queue."""
        return bool(self.found.receipt_handle)

    @property
    def code(self) -> str:
        """The failure's."""
        return self.found.letter.failure.code

    @property
    def replays(self) -> int:
        """How often it was replayed before."""
        return max(self.told, self.known.replays) if self.known else self.told


def find(
    box: DeadLetterBox,
    book: FailureBook,
    meant: LetterFilter,
    *,
    clock: Clock,
    progress: Callable[[int], None] | None = None,
    left_behind: Callable[[Letter], object] = lambda _: None,
    unseen: Callable[[int], object] = lambda _: None,
) -> list[Letter]:
    """
    The failures that are *meant*, newest first, each once; nothing is changed.

    The results are read first; then the queue is walked for letters that have none. *progress*
    is called with how many were found so far. Letters whose failure was replayed already are
    none, *left_behind* is told of those that are meant. *unseen* as in `walk`.

    Raises:
        QueueUnavailable, ResultsUnavailable: SQS or DynamoDB refused or failed.
    """
    found: dict[UploadKey | str, Letter] = {
        known.key: _letter_of(known)
        for known in book.failures(since=meant.since, until=meant.until)
    }
    ids = {letter.id for letter in found.values()}
    with closing(_Walk(box, clock)) as steps:
        while not steps.is_over():
            for entry in _entries(steps.receive(), book):
                if entry.is_left_behind:
                    if meant.matches(entry.found):
                        left_behind(entry.found)
                    continue
                name = entry.known.key if entry.known else entry.found.id
                if entry.found.id in meant.ids:
                    # A second letter perhaps, but asked for by its own id
                    found[name] = entry.found
                elif entry.found.id not in ids:
                    found.setdefault(name, entry.found)
            if progress is not None:
                progress(len(found))
        unseen(steps.unseen())
    return sorted(
        filter(meant.matches, found.values()),
        key=lambda letter: letter.letter.failure.failed_at,
        reverse=True,
    )


def _entries(letters: list[Letter], book: FailureBook) -> Iterator[Entry]:
    """What received letters are, with what the table knows of them now."""
    keys = {letter.id: _key_of(letter) for letter in letters}
    wanted = [key for key in keys.values() if key is not None]
    known_uploads = book.look_up(wanted) if wanted else {}
    for letter in letters:
        key = keys[letter.id]
        known = known_uploads.get(key) if key else None
        told = letter.letter.replays
        if known is not None and _is_left_behind(letter, known):
            yield Entry(letter, key, told, None, is_left_behind=True)
        elif known is None or known.standing is not Standing.FAILED:
            yield Entry(letter, key, told, None)
        else:
            # The table tells the failure; the letter may be a copy that SQS moved, without a code
            said = _letter_of(known).letter
            same = Letter(letter.id, letter.receipt_handle, said)
            yield Entry(same, key, told, known)


def _is_left_behind(letter: Letter, known: KnownUpload) -> bool:
    """
    Whether the upload was replayed, or tagged by a backfill, since this letter was written.

    Not so the replayed message itself, should SQS have moved it to the dead-letter queue before
    anybody began with it: nothing else is left of the upload then.
    """
    is_its_own = bool(known.letter_id) and known.letter_id == letter.id
    is_told = letter.letter.failure.code != UNCODED
    if known.standing is Standing.REPLAYED:
        if is_its_own:
            return True
        return is_told and letter.letter.replays <= known.replays
    is_tagged = known.standing is Standing.TAGGED and is_told
    # What failed after that was to be tagged again
    is_stale = is_tagged and letter.letter.failure.failed_at < known.ended_at
    return is_stale or (
        known.standing is not Standing.OTHER
        and known.replays > letter.letter.replays
        and not is_its_own
    )


def _key_of(letter: Letter) -> UploadKey | None:
    """The upload that a letter is about; None where it is about several, or none."""
    match read_body(letter.letter.body):
        case (Upload() as upload,):
            return (upload.uri, upload.version)
        case _:
            return None


def _letter_of(known: KnownUpload) -> Letter:
    """The letter of a FAILED result."""
    assert known.letter is not None, "what failed has a letter"  # noqa: S101 - for mypy
    return Letter(known.letter_id or known.key[1], "", known.letter)


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

    def act(entry: Entry, steps: _Walk) -> None:
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


def _send(entry: Entry, box: DeadLetterBox, book: FailureBook, clock: Clock) -> None:
    """
    Send, then mark.

    Raises:
        _InOtherHands: Nothing was sent.
    """
    known = entry.known
    if known is None:
        box.resend(entry.found, replays=entry.replays + 1)
        return
    if not book.reserve_replay(known, seconds=_HIDDEN_SECONDS):
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

    def act(entry: Entry, steps: _Walk) -> None:
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


def restore(
    letters: Iterable[DeadLetter],
    grave: DeadLetterQueue,
    box: DeadLetterBox,
    book: FailureBook,
    *,
    clock: Clock,
    dry_run: bool,
    progress: Progress | None = None,
) -> Report:
    """
    Put discarded *letters* back into the dead-letter queue, of which *box* is the other end.

    Skipped is what is no longer discarded: it has failed again, was replayed or tagged, or is in
    the queue, because the backup was restored before.
    """
    report = Report(dry_run=dry_run)
    queued = _Queued(box, clock)
    for letter in letters:
        report.matched += 1
        report.by_code[letter.failure.code] += 1
        key = _key_of(Letter("", "", letter))
        try:
            known = book.look_up([key]).get(key) if key else None
            is_discarded = known is not None and known.standing is Standing.DISCARDED
            is_settled = known is not None and _is_settled(letter, known)
            # Where the table does not tell, or not enough, only the queue does
            if is_settled or not (is_discarded or queued.misses(letter)):
                report.skipped += 1
            elif dry_run:
                report.choose(Letter("", "", letter))
            else:
                letter_id = grave.bury(letter)
                if known and is_discarded:
                    book.restore(known, letter_id=letter_id)
                report.done += 1
                report.done_by_code[letter.failure.code] += 1
        except (QueueUnavailable, ResultsUnavailable) as error:
            report.troubles.append(str(error))
        if progress is not None:
            progress(report)
    return report


class _Queued:
    """The letters in the queue, which are read when the first of them is asked for."""

    def __init__(self, box: DeadLetterBox, clock: Clock) -> None:
        self._box = box
        self._clock = clock
        self._letters: Counter[bytes] | None = None

    def misses(self, letter: DeadLetter) -> bool:
        """
        Whether there is none that says the same; of several each counts once.

        Raises:
            QueueUnavailable: SQS does not hand out letters.
        """
        if self._letters is None:
            found = walk(self._box, self._clock)
            self._letters = Counter(_digest(one.letter) for one in found)
        digest = _digest(letter)
        self._letters[digest] -= 1
        return self._letters[digest] < 0


def _digest(letter: DeadLetter) -> bytes:
    """The same of two letters that say the same; bodies may be large, and many."""
    told = json.dumps([letter.body, letter.attributes()], sort_keys=True)
    return hashlib.sha256(told.encode()).digest()


def _is_settled(letter: DeadLetter, known: KnownUpload) -> bool:
    """Whether a discarded letter is of no use any more."""
    if known.standing is Standing.REPLAYED:
        return _is_left_behind(Letter("", "", letter), known)
    return known.standing in (Standing.FAILED, Standing.TAGGED)


@dataclass(frozen=True, slots=True)
class _Doing:
    """What is done about failures."""

    act: Callable[[Entry, _Walk], None]
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
        with closing(_Walk(self._box, self._clock)) as steps:
            while not steps.is_over() and not self._is_late():
                self._page(steps)
            if steps.is_over():
                self.report.unseen = steps.unseen()
            if not self._is_late():
                self._results_alone(steps, started)
        return self.report

    def _page(self, steps: _Walk) -> None:
        """The letters of one receive: no more than can be dealt with while they are hidden."""
        received_at = self._clock.now()
        letters = steps.receive(self._page_size())
        for number, entry in enumerate(_entries(letters, self._book)):
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

    def _results_alone(self, steps: _Walk, started: str) -> None:
        """What failed before this round and whose letter was not met."""
        meant = self._meant
        for known in self._book.failures(since=meant.since, until=meant.until):
            letter = _letter_of(known)
            if known.letter_id and known.letter_id in self._alone:
                # Its event told no version, so that the letter did not tell the upload
                self._doing.settle(known)
                continue
            if known.ended_at > started or {known.key, letter.id} & self._met:
                continue
            entry = Entry(letter, known.key, known.replays, known)
            if not self._is_due(entry):
                continue
            wait = self._wait()
            if self._is_late(wait):
                return
            self._deal_with(entry, steps, wait)

    def _is_copy(self, entry: Entry) -> bool:
        """Whether it is another letter of a failure that this round has dealt with."""
        if entry.key is None or entry.key not in self._acted:
            return False
        return entry.told <= self._acted[entry.key]

    def _tidy_up(self, entry: Entry, steps: _Walk) -> None:
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

    def _is_due(self, entry: Entry) -> bool:
        """Whether a failure is meant, and to be dealt with; counts it, if it was not."""
        report = self.report
        letter = entry.found
        if not self._meant.matches(letter):
            return False
        replays = letter.letter.replays
        # What failed again at once is back before the round ends; replaying it without end
        # would be paid for without end.
        if all((name, replays) in self._sent for name in _uploads_in(letter)):
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

    def _deal_with(self, entry: Entry, steps: _Walk, wait: float) -> None:
        report = self.report
        report.choose(entry.found)
        troubles = len(report.troubles)
        self._meet(entry)
        replays = entry.replays + 1
        self._sent.update((name, replays) for name in _uploads_in(entry.found))
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

    def _meet(self, entry: Entry) -> None:
        self._met.add(entry.found.id)
        if entry.known:
            self._met.add(entry.known.key)

    def _interval(self) -> float:
        rate = self._limits.per_second
        return 1 / rate if rate > 0 else 0.0

    def _page_size(self) -> int:
        if self.report.dry_run or not self._limits.per_second:
            return _PAGE
        return max(1, int(min(_PAGE, self._limits.per_second * _PAGE_SECONDS)))

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


def _uploads_in(letter: Letter) -> Iterator[str]:
    """What a letter is about, in words that its next letter, should it fail again, has, too."""
    for entry in read_body(letter.letter.body):
        match entry:
            case Upload():
                yield f"{entry.uri} {entry.version_id} {entry.etag}"
            case Unreadable():
                yield entry.body
            case _:
                yield letter.letter.body
