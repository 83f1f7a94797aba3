"""Put discarded dead letters back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from hangtag.dead_letters import DeadLetter
from hangtag.errors import QueueUnavailable, ResultsUnavailable
from hangtag.lifecycle import Record, Status
from hangtag.lifecycle import restore as restored
from hangtag.operators.letters import is_leftover, key_of, walk
from hangtag.operators.ports import DeadLetterBox, FailureBook, Letter
from hangtag.operators.replay import Progress, RecordChanged, ReplayReport, move
from hangtag.ports import Clock, DeadLetterQueue


def restore(
    letters: Sequence[DeadLetter],
    queue: DeadLetterQueue,
    box: DeadLetterBox,
    book: FailureBook,
    *,
    clock: Clock,
    dry_run: bool,
    progress: Progress = lambda _: None,
) -> ReplayReport:
    """
    Put discarded *letters* back into the dead-letter *queue*, of which *box* is the other end.

    Skips a letter whose upload has failed again, was replayed or tagged since, and one that is
    in the queue already: a backup may be restored twice.
    """
    report = ReplayReport(dry_run=dry_run)
    queued = _Queued(letters, box, clock)
    for number, letter in enumerate(letters, start=1):
        found = Letter(f"line {number}", "", letter)
        report.match(found)
        try:
            key = key_of(letter)
            record = book.look_up([key]).get(key) if key else None
            if not _is_wanted(letter, record, queued):
                report.skipped += 1
            else:
                report.choose(found)
                if not dry_run:
                    letter_id = queue.send(letter)
                    if key and record and record.status is Status.DISCARDED:
                        with suppress(RecordChanged):
                            move(
                                book, key, record, restored(record, letter_id=letter_id)
                            )
                    report.finish(found)
        except (QueueUnavailable, ResultsUnavailable) as error:
            report.troubles.append(str(error))
        progress(report)
    return report


class _Queued:
    """Which of the letters are in the queue; it is read when that is first asked."""

    def __init__(
        self, letters: Sequence[DeadLetter], box: DeadLetterBox, clock: Clock
    ) -> None:
        self._letters = letters
        self._box = box
        self._clock = clock
        self._left: Counter[DeadLetter] | None = None

    def take(self, letter: DeadLetter) -> bool:
        """
        Whether the queue has an equal letter; of several equal ones each counts once.

        Raises:
            QueueUnavailable: SQS does not hand out letters.
        """
        if self._left is None:
            wanted = set(self._letters)
            found = (one.letter for one in walk(self._box, self._clock))
            self._left = Counter(one for one in found if one in wanted)
        self._left[letter] -= 1
        return self._left[letter] >= 0


def _is_wanted(letter: DeadLetter, record: Record | None, queued: _Queued) -> bool:
    """Whether a discarded letter is still missing."""
    if record is not None:
        if record.status is Status.DISCARDED:
            return True
        if record.status is Status.FAILED or is_leftover(letter, record):
            return False
    return not queued.take(letter)
