"""`hangtag failures`: dead letters, and what is done about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from hangtag.errors import Kind, QueueUnavailable, ResultsUnavailable

from . import output
from .app import App, Group, json_option, pass_app
from .arguments import LETTER_NAME, QUEUE, RATE, SINCE, WORD
from .exits import INTERRUPTED, NotDone
from .interrupts import held_back, listen

if TYPE_CHECKING:
    from hangtag.adapters.dynamodb_results import DynamoDBResults
    from hangtag.operators.letters import LetterFilter
    from hangtag.operators.ports import DeadLetterBox, Letter
    from hangtag.operators.replay import Report

    from .letters import Surroundings
    from .stack import Stack

_Function = TypeVar("_Function", bound=Callable[..., Any])

_FILTERS = (
    click.option(
        "--code",
        "codes",
        multiple=True,
        type=WORD,
        metavar="CODE",
        help="Only with this error code; may be given several times.",
    ),
    click.option(
        "--kind",
        "kinds",
        multiple=True,
        type=click.Choice(get_args(Kind)),
        help="Only of this kind; may be given several times.",
    ),
    click.option(
        "--prefix",
        type=WORD,
        metavar="TEXT",
        help="Only where the key begins so; or the uri, if TEXT begins with s3://.",
    ),
    click.option(
        "--since",
        type=SINCE,
        metavar="TIME",
        help="Only what failed since then: 24h, 7d, 2026-01-31.",
    ),
    click.option(
        "--until",
        type=SINCE,
        metavar="TIME",
        help="Only what failed until then.",
    ),
    click.option(
        "--attempts",
        type=click.IntRange(min=0),
        default=0,
        metavar="N",
        help="Only what was begun at least that often.",
    ),
)


def filter_options(function: _Function) -> _Function:
    """Take the filters; all that are given must match."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


_names_argument = click.argument(
    "names", type=LETTER_NAME, nargs=-1, metavar="[URI|ID]..."
)
_yes_option = click.option(
    "--yes", is_flag=True, help="Do it; else it is only said what would be."
)
_rate_option = click.option(
    "--rate",
    type=RATE,
    metavar="N",
    help="At most that many a second, evenly spaced, 0.0001 to 1,000,000; else as fast as it goes.",
)
_max_option = click.option(
    "--max", "most", type=click.IntRange(min=0), metavar="N", help="At most that many."
)


@click.group(cls=Group)
def failures() -> None:
    """Look at what failed; replay, discard or restore it."""


@failures.command(
    "list",
    examples=(
        "hangtag --json failures list --code 803 --code API_TIMEOUT",
        "hangtag failures list --kind transient --since 24h --prefix summer/",
    ),
)
@json_option
@filter_options
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help="Show only the newest."
)
@pass_app
def list_(
    app: App,
    /,
    limit: int | None,
    **filters: Any,  # noqa: ANN401 - see filter_options
) -> None:
    """
    List what failed, newest first, and what to do about it.

    The results in the table tell it, and for what has none the dead-letter queue: every letter
    stays there, visible to others.
    """
    from .letters import letter_line, letters_page

    left_behind: list[Letter] = []
    unseen: list[int] = []
    meant = _meant((), **filters)
    found = find_failures(app.stack(), meant, left_behind.append, unseen.append)
    if app.json:
        for letter in found[:limit]:
            output.data(letter_line(letter))
    else:
        output.page(letters_page(found, limit))
    if left_behind:
        output.talk(
            f"{_letters(len(left_behind))} in the queue beside these: their failures were "
            "replayed or tagged already. The next replay removes them."
        )
    _tell_unseen(sum(unseen))


@failures.command(
    "show",
    examples=(
        "hangtag failures show s3://my-uploads/dress.jpg",
        "hangtag failures show 7c6d5b1e-3f0a-4f43-9a38-2f5d8a1b9c70",
    ),
)
@json_option
@click.argument("name", type=LETTER_NAME, metavar="URI|ID")
@pass_app
def show(app: App, name: str) -> None:
    """
    Show everything known of the failures of an image, or of one by its letter's id.

    That is the failure, what the object is now, and what the function has logged in the attempt
    that failed. Exits with 1 where there is none.
    """
    from .letters import letter_document, letter_page

    stack = app.stack()
    found = find_failures(stack, _meant((name,)))
    if not found:
        raise NotDone(
            f"There is no dead letter {name}: it was replayed or discarded, or never failed "
            "(see `hangtag failures list` and `hangtag results show`)"
        )
    for letter in found:
        around = _look_around(stack, letter)
        if app.json:
            output.data(letter_document(letter, around))
        else:
            output.page(letter_page(letter, around))


@failures.command(
    "replay",
    examples=(
        "hangtag failures replay --code 803",
        "hangtag failures replay --kind transient --rate 2 --max 500 --yes",
    ),
)
@json_option
@filter_options
@_rate_option
@_max_option
@click.option(
    "--max-replays",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Skip what was replayed that often.",
)
@click.option(
    "--to",
    type=QUEUE,
    metavar="QUEUE",
    help="Another queue than the upload queue, by its URL, its ARN or its name.",
)
@_yes_option
@_names_argument
@pass_app
def replay(
    app: App,
    /,
    *,
    names: tuple[str, ...],
    rate: float | None,
    most: int | None,
    max_replays: int,
    to: str | None,
    yes: bool,
    **filters: Any,  # noqa: ANN401 - see filter_options
) -> None:
    """
    Put what failed back on the upload queue: all, or what is meant by filters and names.

    Nothing is changed without --yes. Each is sent first and its letter deleted after, so that
    none is lost, whenever this is interrupted. What has lost its letter, which expires after 14
    days, is replayed from its result. Exits with 1 where nothing matched or something is left.
    """
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.replay import Limits
    from hangtag.operators.replay import replay as replay_failures

    meant = _meant(names, **filters)
    stack = app.stack()
    given, book = stack.dead_letters(to=to), stack.results()
    with (
        _looked_at(given, yes=yes) as box,
        _telling(
            app, _REPLAYING, lambda: _expected(book, meant, most), yes=yes
        ) as telling,
    ):
        telling.report = replay_failures(
            box,
            book,
            meant,
            clock=SystemClock(),
            dry_run=not yes,
            limits=Limits(most, rate or 0.0, max_replays),
            progress=telling.follow,
        )


@failures.command(
    "discard",
    examples=(
        "hangtag failures discard --code 809",
        "hangtag failures discard --code 809 --backup too-large.jsonl --yes",
    ),
)
@json_option
@filter_options
@_max_option
@click.option(
    "--backup",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A new file for what is discarded; else one that tells the time in its name.",
)
@_yes_option
@_names_argument
@pass_app
def discard(
    app: App,
    /,
    *,
    names: tuple[str, ...],
    most: int | None,
    backup: Path | None,
    yes: bool,
    **filters: Any,  # noqa: ANN401 - see filter_options
) -> None:
    """
    Give up what failed: all, or what is meant by filters and names.

    Nothing is changed without --yes. Each is written to the backup first, a line of JSON, from
    which `hangtag failures restore` brings it back. Exits with 1 where nothing matched or
    something is left.
    """
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.replay import Limits
    from hangtag.operators.replay import discard as discard_failures

    from .backups import backup_at, default_path

    path = backup or default_path(datetime.now(UTC))
    if path.exists():
        raise NotDone(
            f"{path} is there already and is not overwritten: name another with --backup"
        )
    meant = _meant(names, **filters)
    stack = app.stack()
    given, book = stack.dead_letters(), stack.results()

    def run(keep: Callable[[Letter], None]) -> None:
        with (
            _looked_at(given, yes=yes) as box,
            _telling(
                app, _DISCARDING, lambda: _expected(book, meant, most), yes=yes
            ) as telling,
        ):
            telling.report = discard_failures(
                box,
                book,
                meant,
                clock=SystemClock(),
                dry_run=not yes,
                keep=keep,
                limits=Limits(most),
                progress=telling.follow,
            )

    if not yes:
        run(lambda _: None)  # a dry run keeps nothing
        return
    with backup_at(path) as made:
        try:
            run(made.keep)
        finally:
            if made.letters:
                output.talk(f"`hangtag failures restore {path}` would bring them back.")


@failures.command(
    "restore",
    examples=(
        "hangtag failures restore too-large.jsonl",
        "hangtag failures restore too-large.jsonl --yes",
    ),
)
@json_option
@_yes_option
@click.argument(
    "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE"
)
@pass_app
def restore(app: App, file: Path, *, yes: bool) -> None:
    """
    Put back what was discarded, from its backup.

    Nothing is changed without --yes. What has failed again, was replayed or tagged since, or is
    in the queue already, is skipped. Exits with 1 where the backup is empty or something is left.
    """
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.restore import restore as restore_failures

    from .backups import read_backup

    letters = read_backup(file)
    stack = app.stack()
    grave, book = stack.dead_letter_queue(), stack.results()
    with (
        held_back(stack.dead_letters()) as box,
        _telling(
            app, _RESTORING, lambda: len(letters), yes=yes, skips_are_done=True
        ) as telling,
    ):

        def follow(report: Report) -> None:
            telling.follow(report)
            listen()

        telling.report = restore_failures(
            letters,
            grave,
            box,
            book,
            clock=SystemClock(),
            dry_run=not yes,
            progress=follow,
        )


# ---- finding


def find_failures(
    stack: Stack,
    meant: LetterFilter,
    left_behind: Callable[[Letter], object] = lambda _: None,
    unseen: Callable[[int], object] = lambda _: None,
) -> list[Letter]:
    """What failed and is *meant*, as `hangtag.operators.letters.find`; all letters stay visible."""
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.letters import find

    book = stack.results()
    with (
        held_back(stack.dead_letters()) as box,
        output.working("Reading what failed ...") as say,
    ):
        return find(
            box,
            book,
            meant,
            clock=SystemClock(),
            progress=lambda count: say(f"Reading what failed: {_letters(count)} ..."),
            left_behind=left_behind,
            unseen=unseen,
        )


def _looked_at(
    box: DeadLetterBox, *, yes: bool
) -> AbstractContextManager[DeadLetterBox]:
    """The box; a dry run's puts back whatever it has received."""
    return nullcontext(box) if yes else held_back(box)


def read_letters(stack: Stack) -> tuple[list[Letter], int]:
    """All letters in the queue, which stay visible; how many somebody else has in hand."""
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.letters import walk

    found: list[Letter] = []
    unseen: list[int] = []
    with (
        held_back(stack.dead_letters()) as box,
        output.working("Reading the dead-letter queue ...") as say,
        closing(walk(box, SystemClock(), unseen=unseen.append)) as letters,
    ):
        for letter in letters:
            found.append(letter)
            say(f"Reading the dead-letter queue: {_letters(len(found))} ...")
    return found, sum(unseen)


def _tell_unseen(count: int) -> None:
    if count:
        output.talk(
            f"{_letters(count)} more in the queue could not be seen: another command or function "
            "has them in hand, or they have just come. Look again in half a minute."
        )


def _meant(
    names: tuple[str, ...],
    *,
    codes: tuple[str, ...] = (),
    kinds: tuple[str, ...] = (),
    prefix: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    attempts: int = 0,
) -> LetterFilter:
    from hangtag.operators.letters import LetterFilter
    from hangtag.text import to_timestamp

    if since and until and since > until:
        raise click.UsageError(
            f"Nothing failed since {since:%Y-%m-%dT%H:%M:%SZ} and until "
            f"{until:%Y-%m-%dT%H:%M:%SZ}: --since must be earlier than --until.",
            ctx=click.get_current_context(),
        )
    images = tuple(name for name in names if name.startswith("s3://"))
    return LetterFilter(
        codes=codes,
        images=images,
        ids=tuple(name for name in names if name not in images),
        kinds=kinds,
        prefix=prefix or "",
        since=to_timestamp(since.timestamp()) if since else "",
        until=to_timestamp(until.timestamp()) if until else "",
        attempts=attempts,
    )


def _look_around(stack: Stack, letter: Letter) -> Surroundings:
    """What is known beside the letter; what may not be looked at is left out, and said."""
    from .letters import Surroundings, uploads_in

    objects, log = None, None
    try:
        objects = [stack.object_of(upload) for upload in uploads_in(letter)]
    except NotDone as trouble:
        output.talk(f"The object cannot be looked at: {trouble.message}")
    request_id = letter.letter.request_id
    try:
        failed_at = datetime.fromisoformat(letter.letter.failure.failed_at)
        failed_at = failed_at.astimezone(UTC)
    except (ValueError, OverflowError):  # put there by hand
        return Surroundings(objects, log)
    if request_id:
        try:
            lines = stack.log_of(request_id, around=failed_at)
            uris = [upload.uri for upload in uploads_in(letter)]
            # What names no image is Lambda's own, which is about all of them
            meant = [None, "", letter.letter.image, *uris]
            log = [line for line in lines if _uri_in(line) in meant]
        except NotDone as trouble:
            output.talk(f"The log cannot be read: {trouble.message}")
    return Surroundings(objects, log)


def _uri_in(line: str) -> object:
    """The image that a line of the log names, or None."""
    try:
        return json.loads(line).get("uri")
    except (ValueError, AttributeError, RecursionError):
        return None


# ---- telling


@dataclass(frozen=True, slots=True)
class _Words:
    """How a command is told."""

    doing: str
    done: str
    nothing: str
    on: str
    """How one goes on after an interrupt."""


_SAME = "the same command goes on"
_REPLAYING = _Words("Replaying", "replayed", "No dead letter matches", _SAME)
_DISCARDING = _Words(
    "Discarding",
    "discarded",
    "No dead letter matches",
    "the same command goes on, with a backup of its own",
)
_RESTORING = _Words("Restoring", "restored", "The backup is empty", _SAME)


class _Telling:
    """What is told of a command while it runs."""

    def __init__(
        self, report: Report, words: _Words, say: Callable[[int, int, str], None]
    ) -> None:
        self.report = report
        self._words = words
        self._say = say

    def follow(self, report: Report) -> None:
        """The report so far."""
        self.report = report
        behind = report.would if report.dry_run else report.done
        text = f"{self._words.doing}: {_letters(report.matched)} so far"
        self._say(behind + report.skipped, report.matched, text)


@contextmanager
def _telling(
    app: App,
    words: _Words,
    expected: Callable[[], int],
    *,
    yes: bool,
    skips_are_done: bool = False,
) -> Iterator[_Telling]:
    """
    A progress bar while something is done, then the report; the exit status is set.

    *expected* is how many there are, roughly.
    """
    from hangtag.operators.replay import Report

    context = click.get_current_context()
    telling = _Telling(Report(dry_run=not yes), words, lambda *_: None)
    try:
        with output.bar(words.doing, expected) as say:
            telling = _Telling(telling.report, words, say)
            yield telling
    except KeyboardInterrupt:
        output.talk(f"Interrupted. {_so_far(telling.report, words)}")
        context.exit(INTERRUPTED)
    except (QueueUnavailable, ResultsUnavailable, NotDone):
        output.talk(_so_far(telling.report, words))
        raise
    report = telling.report
    if app.json:
        output.data(report.document())
    elif report.matched:
        from .letters import replay_page

        output.page(replay_page(report))
    for trouble in dict.fromkeys(report.troubles):
        output.talk(trouble)
    if report.came_back:
        output.talk(
            f"{_letters(report.came_back)} more about the same images: a second one each, or "
            "they failed again meanwhile. The next replay takes them."
        )
    _tell_unseen(report.unseen)
    output.talk(_summary(report, words))
    is_left = report.left or (report.skipped and not skips_are_done)
    is_nothing = not (report.matched or report.tidied)
    if is_nothing or (yes and is_left):
        context.exit(1)


def _expected(book: DynamoDBResults, meant: LetterFilter, most: int | None) -> int:
    """How many there are, roughly; 0 where only looking at each could tell."""
    if meant != _meant(()):
        return 0
    count = book.count_ended("FAILED", since="0")
    return count if most is None else min(count, most)


def _so_far(report: Report, words: _Words) -> str:
    """What was done when it came to an end too early; nothing is known of what was not met."""
    if report.dry_run:
        return "Nothing was changed."
    return (
        f"{_letters(report.done)} {words.done} so far. What it was at is done, or as it was: "
        f"{words.on}."
    )


def _summary(report: Report, words: _Words) -> str:
    """What was done so far, in a sentence or two."""
    removed = ""
    if report.tidied:
        is_done = "would be removed" if report.dry_run else "removed"
        told = _letters(report.tidied)
        removed = f" {told} of what was replayed or tagged before {is_done}."
    if not report.matched:
        if removed:
            return removed.strip()
        rest = f"there is nothing to be {words.done}" if report.dry_run else ""
        return f"{words.nothing}: {rest or f'nothing was {words.done}'}."
    skipped = f" {_letters(report.skipped)} skipped." if report.skipped else ""
    if report.dry_run:
        beyond = report.left - report.would
        others = f" {_letters(beyond)} would be left." if beyond > 0 else ""
        return (
            f"{_letters(report.would)} would be {words.done}.{skipped}{others}{removed} "
            "Nothing is changed: add --yes to do it."
        )
    done = (
        f"{report.done} of {_letters(report.matched)} {words.done}.{skipped}{removed}"
    )
    return f"{done} The others are as they were." if report.left else done


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count:,} letters"
