"""What operators do with dead letters: look at them, and put them back on the upload queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from hangtag.failures import QueueUnavailable
from hangtag.ports import DeadLetterBox, Letter
from hangtag.uploads import Unreadable, Upload, read_body

_EMPTY_RECEIVES = 2
"""
Empty receives in a row after which the queue counts as seen.

SQS answers from a sample of its servers; one empty answer proves nothing.
"""


def walk(box: DeadLetterBox) -> Generator[Letter, None, None]:
    """
    Every letter in the queue, once.

    SQS cannot peek: letters are received, and made visible again when the walk ends, also by an
    error or Ctrl-C. A letter deleted on the way stays deleted.
    """
    held: dict[str, Letter] = {}
    empty = 0
    again = 0
    try:
        # A walk that takes longer than a letter stays hidden meets letters again: they prove
        # nothing about the rest of the queue, until as many came again as there are.
        while empty < _EMPTY_RECEIVES and again <= len(held):
            found = box.receive()
            # A letter's latest receipt handle is the one that counts.
            new = [letter for letter in found if letter.id not in held]
            held.update((letter.id, letter) for letter in found)
            empty = 0 if found else empty + 1
            again = 0 if new else again + len(found)
            yield from new
    finally:
        box.put_back(held.values())


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant; an empty filter means all."""

    codes: Collection[str] = ()
    images: Collection[str] = ()
    """Uris."""
    ids: Collection[str] = ()

    def matches(self, letter: Letter) -> bool:
        """Whether *letter* is meant."""
        if self.codes and letter.letter.failure.code not in self.codes:
            return False
        if not self.images and not self.ids:
            return True
        return letter.letter.image in self.images or letter.id in self.ids


@dataclass(slots=True)
class Report:
    """What a replay did, or would do."""

    dry_run: bool
    matched: int = 0
    done: int = 0
    by_code: Counter[str] = field(default_factory=Counter)
    """Matched letters."""
    troubles: list[str] = field(default_factory=list)
    """What SQS said of letters that it did not take; they are still dead letters."""

    @property
    def left(self) -> int:
        """Matched letters that are still dead letters."""
        return self.matched - self.done

    def document(self) -> dict[str, object]:
        """As `hangtag failures replay --json` prints it."""
        return {
            "matched": self.matched,
            "done": self.done,
            "skipped": 0,
            "left": self.left,
            "dryRun": self.dry_run,
            "byCode": dict(sorted(self.by_code.items())),
        }


def replay(
    box: DeadLetterBox,
    meant: LetterFilter,
    *,
    dry_run: bool,
    progress: Callable[[Report], None] | None = None,
) -> Report:
    """
    Put the letters that are *meant* back on the upload queue.

    Each is sent first and deleted after: a crash in between makes it twice, never none. A
    letter that cannot be sent or deleted is left and does not stop the others. A dry run does
    all but that. *progress* is called after each letter with the report so far.

    Raises:
        QueueUnavailable: SQS does not hand out letters; what was not replayed is still a dead
            letter.
    """
    report = Report(dry_run=dry_run)
    resent: set[tuple[str, int]] = set()
    # Closed at once, also by Ctrl-C: the letters become visible before anybody is told.
    with closing(walk(box)) as letters:
        for letter in letters:
            replays = letter.letter.replays
            # What failed again at once is back before the walk ends; replaying it without end
            # would be paid for without end.
            back = all((name, replays) in resent for name in _uploads_in(letter))
            if back or not meant.matches(letter):
                continue
            report.matched += 1
            report.by_code[letter.letter.failure.code] += 1
            if not dry_run:
                resent.update((name, replays + 1) for name in _uploads_in(letter))
                try:
                    box.resend(letter, replays=replays + 1)
                    box.delete(letter)
                    report.done += 1
                except QueueUnavailable as error:
                    report.troubles.append(str(error))
            if progress is not None:
                progress(report)
    return report


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
