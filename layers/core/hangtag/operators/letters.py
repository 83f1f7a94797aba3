"""Dead letters and FAILED records: found, filtered, listed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from hangtag.dead_letters import DeadLetter, letter_of_record
from hangtag.errors import UNCODED, QueueUnavailable
from hangtag.events import read_body
from hangtag.lifecycle import Record, Status, UploadKey
from hangtag.operators.ports import DeadLetterBox, FailureBook, Letter
from hangtag.ports import Clock
from hangtag.uploads import Upload

HIDDEN_SECONDS = 30.0
"""How long a letter that was received stays hidden: `DeadLetterBox.receive`."""

PAGE = 10
"""Letters that SQS hands out at once, at most."""

_EMPTY_RECEIVES = 2
"""
Empty receives in a row after which the queue counts as seen.

SQS answers from a sample of its servers; one empty answer proves nothing.
"""


class Walk:
    """One pass over the queue, which sees each letter once; `close` makes them visible again."""

    def __init__(self, box: DeadLetterBox, clock: Clock) -> None:
        self._box = box
        self._clock = clock
        self._seen: set[str] = set()
        self._held: dict[str, tuple[Letter, float]] = {}
        self._empty = 0
        self._repeated = 0

    def is_over(self) -> bool:
        """
        Whether all letters were seen.

        A pass that takes longer than a letter stays hidden receives letters again. It goes on
        until as many were repeated in a row as were seen.
        """
        return self._empty >= _EMPTY_RECEIVES or self._repeated > len(self._seen)

    def receive(self, most: int = PAGE) -> list[Letter]:
        """Letters that were not seen before; often an empty list."""
        now = self._clock.now()
        found = self._box.receive(most)
        new = [letter for letter in found if letter.id not in self._seen]
        # Only a letter's latest receipt handle is sure to work.
        self._held.update((letter.id, (letter, now)) for letter in found)
        self._seen.update(letter.id for letter in found)
        self._empty = 0 if found else self._empty + 1
        self._repeated = 0 if new else self._repeated + len(found)
        return new

    def letters(self) -> Iterator[Letter]:
        """All that are left."""
        while not self.is_over():
            yield from self.receive()

    def delete(self, letter: Letter) -> None:
        """Remove a letter for good. Raises what the box raises."""
        self._box.delete(letter)
        self._held.pop(letter.id, None)

    def unseen(self) -> int:
        """
        How many more letters there are; 0 where SQS does not answer.

        Another reader holds them, or they came after the end of this pass.
        """
        with suppress(QueueUnavailable):
            return max(0, self._box.count() - len(self._held))
        return 0

    def close(self) -> None:
        """Make the letters visible that are still hidden by this pass."""
        # Another reader may hold a letter that has become visible since: it stays hidden.
        since = self._clock.now() - HIDDEN_SECONDS
        self._box.put_back(
            [letter for letter, received in self._held.values() if received >= since]
        )


def walk(box: DeadLetterBox, clock: Clock) -> Iterator[Letter]:
    """
    Every letter in the queue, once.

    SQS cannot peek: letters are received, and made visible again when the iteration ends, also
    by an error or Ctrl-C.
    """
    with closing(Walk(box, clock)) as steps:
        yield from steps.letters()


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which failures are selected; an empty filter means all."""

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
    """Attempted at least that often."""

    def matches(self, letter: Letter) -> bool:
        """Whether *letter* is selected."""
        failure = letter.letter.failure
        return (
            (not self.codes or failure.code in self.codes)
            and (not self.kinds or failure.kind in self.kinds)
            and failure.attempts >= self.attempts
            and self._is_in_time(failure.failed_at)
            and self._has_prefix(letter)
            and self._is_named(letter)
        )

    def _is_in_time(self, failed_at: str) -> bool:
        is_late = bool(self.until) and failed_at > self.until
        return failed_at >= self.since and not is_late

    def _has_prefix(self, letter: Letter) -> bool:
        if not self.prefix:
            return True
        uris = _uris_of(letter.letter)
        if not self.prefix.startswith("s3://"):
            uris = (uri.removeprefix("s3://").partition("/")[2] for uri in uris)
        return any(uri.startswith(self.prefix) for uri in uris)

    def _is_named(self, letter: Letter) -> bool:
        if not self.images and not self.ids:
            return True
        is_image = any(uri in self.images for uri in _uris_of(letter.letter))
        return is_image or letter.id in self.ids


def _uris_of(letter: DeadLetter) -> Iterator[str]:
    """Of the images that a letter is about; a handmade one may be about several."""
    if letter.image is not None:
        yield letter.image
    for entry in read_body(letter.body):
        if isinstance(entry, Upload):
            yield entry.uri


def key_of(letter: DeadLetter) -> UploadKey | None:
    """The upload that a letter is about; None unless it is exactly one."""
    match read_body(letter.body):
        case (Upload() as upload,):
            return (upload.uri, upload.version)
        case _:
            return None


def is_leftover(letter: DeadLetter, record: Record | None) -> bool:
    """
    Whether the upload was tagged, replayed, discarded or skipped after the letter's failure.

    A letter without a code never is: SQS itself moved the message, which may be the replay.
    """
    if record is None or record.status in (Status.OPEN, Status.FAILED):
        return False
    is_older = letter.failure.failed_at <= record.ended_at
    return is_older and letter.failure.code != UNCODED


@dataclass(frozen=True, slots=True)
class FoundFailure:
    """A letter and the record of its upload; either may be missing."""

    letter: Letter
    """With the record's failure, if the record is FAILED: SQS may have moved a copy uncoded."""
    key: UploadKey | None
    """None unless the letter is about exactly one upload."""
    record: Record | None

    @property
    def failed(self) -> tuple[UploadKey, Record] | None:
        """The upload and its record, if that is FAILED."""
        if self.key and self.record and self.record.status is Status.FAILED:
            return self.key, self.record
        return None


def failure_of_record(key: UploadKey, record: Record) -> FoundFailure:
    """The failure of a FAILED record, whose letter was not received."""
    letter_id = (record.failed and record.failed.letter_id) or key[1]
    letter = Letter(letter_id, "", letter_of_record(key, record))
    return FoundFailure(letter, key, record)


def with_records(
    letters: Sequence[Letter], book: FailureBook
) -> Iterator[FoundFailure]:
    """Received *letters*, with the records of their uploads as they are now."""
    keys = [key_of(letter.letter) for letter in letters]
    known = [key for key in keys if key is not None]
    records = book.look_up(known) if known else {}
    for letter, key in zip(letters, keys, strict=True):
        found = FoundFailure(letter, key, records.get(key) if key else None)
        if found.failed:
            same = replace(letter, letter=letter_of_record(*found.failed))
            found = replace(found, letter=same)
        yield found


@dataclass(frozen=True, slots=True)
class FailureList:
    """The failures that `find` returns."""

    letters: Sequence[Letter]
    """The failures, newest first."""
    leftovers: int
    """Letters of failures that were dealt with already; the next replay removes them."""
    unseen: int
    """Letters that another reader holds."""


def find(
    box: DeadLetterBox,
    book: FailureBook,
    selected: LetterFilter,
    *,
    clock: Clock,
    progress: Callable[[int], None] = lambda _: None,
) -> FailureList:
    """
    The *selected* failures, each once; nothing is changed.

    The records are read first, then the queue for letters without a record. *progress* is called
    with how many were found so far.

    Raises:
        QueueUnavailable, ResultsUnavailable: SQS or DynamoDB refused or failed.
    """
    found: dict[UploadKey | str, Letter] = {
        key: failure_of_record(key, record).letter
        for key, record in book.failures(since=selected.since, until=selected.until)
    }
    leftovers = 0
    with closing(Walk(box, clock)) as steps:
        while not steps.is_over():
            for one in with_records(steps.receive(), book):
                letter = one.letter
                if is_leftover(letter.letter, one.record):
                    leftovers += selected.matches(letter)
                elif one.failed is None:
                    found[letter.id] = letter
                elif one.key not in found or letter.id in selected.ids:
                    # It may be a second letter: then it is found by its own id, too.
                    found[one.failed[0]] = letter
            progress(len(found))
        unseen = steps.unseen()
    letters = sorted(
        filter(selected.matches, found.values()),
        key=lambda letter: letter.letter.failure.failed_at,
        reverse=True,
    )
    return FailureList(letters, leftovers, unseen)
