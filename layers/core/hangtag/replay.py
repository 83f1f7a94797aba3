"""What operators do with dead letters: look at them, and put them back on the upload queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from hangtag.ports import DeadLetterBox, Letter

_QUIET_RECEIVES = 2
"""
Receives in a row without a new letter after which the queue counts as seen.

SQS answers from a sample of its servers; one empty answer proves nothing.
"""


def walk(box: DeadLetterBox) -> Iterator[Letter]:
    """
    Every letter in the queue, once.

    SQS cannot peek: letters are received, and made visible again when the walk ends, also by an
    error or Ctrl-C. A letter deleted on the way stays deleted.
    """
    held: dict[str, Letter] = {}
    quiet = 0
    try:
        while quiet < _QUIET_RECEIVES:
            found = box.receive()
            # A letter's latest receipt handle is the one that counts.
            new = [letter for letter in found if letter.id not in held]
            held.update((letter.id, letter) for letter in found)
            quiet = 0 if new else quiet + 1
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

    def document(self) -> dict[str, object]:
        """As `hangtag failures replay --json` prints it."""
        return {
            "matched": self.matched,
            "done": self.done,
            "skipped": 0,
            "left": self.matched - self.done,
            "dryRun": self.dry_run,
            "byCode": dict(sorted(self.by_code.items())),
        }


def replay(
    box: DeadLetterBox,
    meant: LetterFilter,
    *,
    dry_run: bool,
    progress: Callable[[Letter], None] | None = None,
) -> Report:
    """
    Put the letters that are *meant* back on the upload queue.

    Each is sent first and deleted after: a crash in between makes it twice, never none. A dry
    run does all but that.

    Raises:
        QueueUnavailable: SQS refused or failed; what was not replayed is still a dead letter.
    """
    report = Report(dry_run=dry_run)
    for letter in walk(box):
        if not meant.matches(letter):
            continue
        report.matched += 1
        report.by_code[letter.letter.failure.code] += 1
        if not dry_run:
            box.resend(letter, replays=letter.letter.replays + 1)
            box.delete(letter)
            report.done += 1
        if progress is not None:
            progress(letter)
    return report
