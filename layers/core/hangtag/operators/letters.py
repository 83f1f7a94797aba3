"""Dead letters and FAILED uploads, listed and filtered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

from hangtag.errors import UNCODED, QueueUnavailable
from hangtag.events import Unreadable, read_body
from hangtag.operators.ports import (
    DeadLetterBox,
    FailureBook,
    KnownUpload,
    Letter,
    Standing,
    UploadKey,
)
from hangtag.ports import Clock
from hangtag.uploads import Upload

_EMPTY_RECEIVES = 2
"""
Empty receives in a row after which the queue counts as seen.

SQS answers from a sample of its servers; one empty answer proves nothing.
"""


HIDDEN_SECONDS = 30.0
"""How long a letter that was received stays hidden: `DeadLetterBox.receive`."""


PAGE = 10


class Walk:
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

    def receive(self, most: int = PAGE) -> list[Letter]:
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
        since = self._clock.now() - HIDDEN_SECONDS
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
    with closing(Walk(box, clock)) as steps:
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
class FoundFailure:
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
        known.key: letter_of(known)
        for known in book.failures(since=meant.since, until=meant.until)
    }
    ids = {letter.id for letter in found.values()}
    with closing(Walk(box, clock)) as steps:
        while not steps.is_over():
            for entry in failures_of(steps.receive(), book):
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


def failures_of(letters: list[Letter], book: FailureBook) -> Iterator[FoundFailure]:
    """What received letters are, with what the table knows of them now."""
    keys = {letter.id: key_of(letter) for letter in letters}
    wanted = [key for key in keys.values() if key is not None]
    known_uploads = book.look_up(wanted) if wanted else {}
    for letter in letters:
        key = keys[letter.id]
        known = known_uploads.get(key) if key else None
        told = letter.letter.replays
        if known is not None and is_left_behind(letter, known):
            yield FoundFailure(letter, key, told, None, is_left_behind=True)
        elif known is None or known.standing is not Standing.FAILED:
            yield FoundFailure(letter, key, told, None)
        else:
            # The table tells the failure; the letter may be a copy that SQS moved, without a code
            said = letter_of(known).letter
            same = Letter(letter.id, letter.receipt_handle, said)
            yield FoundFailure(same, key, told, known)


def is_left_behind(letter: Letter, known: KnownUpload) -> bool:
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


def key_of(letter: Letter) -> UploadKey | None:
    """The upload that a letter is about; None where it is about several, or none."""
    match read_body(letter.letter.body):
        case (Upload() as upload,):
            return (upload.uri, upload.version)
        case _:
            return None


def letter_of(known: KnownUpload) -> Letter:
    """The letter of a FAILED result."""
    assert known.letter is not None, "what failed has a letter"  # noqa: S101 - for mypy
    return Letter(known.letter_id or known.key[1], "", known.letter)


def names_of_uploads(letter: Letter) -> Iterator[str]:
    """What a letter is about, in words that its next letter, should it fail again, has, too."""
    for entry in read_body(letter.letter.body):
        match entry:
            case Upload():
                yield f"{entry.uri} {entry.version_id} {entry.etag}"
            case Unreadable():
                yield entry.body
            case _:
                yield letter.letter.body
