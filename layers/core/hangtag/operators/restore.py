"""Put discarded dead letters back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable

from hangtag.dead_letters import DeadLetter
from hangtag.errors import QueueUnavailable, ResultsUnavailable
from hangtag.operators.letters import is_left_behind, key_of, walk
from hangtag.operators.ports import (
    DeadLetterBox,
    FailureBook,
    KnownUpload,
    Letter,
    Standing,
)
from hangtag.operators.replay import Progress, Report
from hangtag.ports import Clock, DeadLetterQueue


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
        key = key_of(Letter("", "", letter))
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
                letter_id = grave.send(letter)
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
        return is_left_behind(Letter("", "", letter), known)
    return known.standing in (Standing.FAILED, Standing.TAGGED)
