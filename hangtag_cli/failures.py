"""`hangtag failures`: list, show, replay, discard and restore dead letters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import output
from .app import App, Group, json_option, pass_app
from .arguments import LETTER_NAME, QUEUE, RATE
from .exits import NotDone
from .failure_filters import filter_of, filter_options
from .failure_reports import (
    DISCARD,
    REPLAY,
    RESTORE,
    count_letters,
    reported,
    talk_of_unseen,
)
from .interrupts import deferred_interrupts, raise_deferred_interrupt

if TYPE_CHECKING:
    from hangtag.operators.letters import FailureList, LetterFilter
    from hangtag.operators.ports import DeadLetterBox, Letter
    from hangtag.operators.replay import ReplayReport

    from .stack import Stack

_names_argument = click.argument(
    "names", type=LETTER_NAME, nargs=-1, metavar="[URI|ID]..."
)
_yes_option = click.option(
    "--yes", is_flag=True, help="Do it; without it, only print what would be done."
)
_rate_option = click.option(
    "--rate",
    type=RATE,
    metavar="N",
    help="At most that many a second, evenly spaced, 0.0001 to 1,000,000; default: no limit.",
)
_max_option = click.option(
    "--max", "most", type=click.IntRange(min=0), metavar="N", help="At most that many."
)


@click.group(cls=Group)
def failures() -> None:
    """List and show failures; replay, discard or restore them."""


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
    List failures, newest first, and what to do about each code.

    Reads the table, and the dead-letter queue for letters that the table does not know. Every
    letter stays in the queue, visible to others.
    """
    from .letters import letter_line, letters_page

    selected = filter_of(**filters)
    found = find_failures(app.stack(), selected)
    if app.json:
        for letter in found.letters[:limit]:
            output.data(letter_line(letter))
    elif found.letters or selected == filter_of():
        output.page(letters_page(found.letters, limit))
    else:
        output.talk("No dead letter matches the filters.")
    if found.leftovers:
        output.talk(
            f"{count_letters(found.leftovers)} more in the queue: their failures were replayed "
            "or discarded already. The next replay removes them."
        )
    talk_of_unseen(found.unseen)


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
    Show the details of an image's failures, or of one letter.

    Prints the failure, the object as it is now, and the function's log of the attempt that
    failed. Exits with 1 if there is no such failure.
    """
    from .letters import letter_document, letter_page
    from .surroundings import look_around

    stack = app.stack()
    found = find_failures(stack, filter_of((name,)))
    if not found.letters:
        raise NotDone(
            f"There is no dead letter {name}: it was replayed or discarded, or never failed "
            "(see `hangtag failures list` and `hangtag results show`)"
        )
    for letter in found.letters:
        around = look_around(stack, letter)
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
    help="Another queue than the upload queue: its URL, its ARN or its name.",
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
    Put failures back on the upload queue.

    It takes all, or those that match the filters and names. Without --yes, nothing is changed.

    Each failure is sent first and its letter deleted after, so that an interrupt loses none. A
    failure whose letter has expired, after 14 days, is replayed from the table. Exits with 1 if
    nothing matched or something is left.
    """
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.replay import ReplayLimits
    from hangtag.operators.replay import replay as replay_failures

    selected = filter_of(names, **filters)
    stack = app.stack()
    given, book = stack.dead_letters(to=to), stack.failure_book()
    with (
        _box(given, yes=yes) as box,
        reported(
            app, REPLAY, lambda: _expected(given, selected, most), yes=yes
        ) as shown,
    ):
        shown.report = replay_failures(
            box,
            book,
            selected,
            clock=SystemClock(),
            dry_run=not yes,
            limits=ReplayLimits(most, rate or 0.0, max_replays),
            progress=shown.follow,
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
    help="A new file for what is discarded; default: one with the time in its name.",
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
    Discard failures, with a backup.

    It takes all, or those that match the filters and names. Without --yes, nothing is changed.

    Each failure is written to the backup first, as a line of JSON, from which `hangtag failures
    restore` brings it back. Exits with 1 if nothing matched or something is left.
    """
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.replay import ReplayLimits
    from hangtag.operators.replay import discard as discard_failures

    from .backups import backup_at, default_path

    path = backup or default_path(datetime.now(UTC))
    if path.exists():
        raise NotDone(
            f"{path} exists already and is not overwritten: name another with --backup"
        )
    selected = filter_of(names, **filters)
    stack = app.stack()
    given, book = stack.dead_letters(), stack.failure_book()

    def run(keep: Callable[[Letter], None]) -> None:
        with (
            _box(given, yes=yes) as box,
            reported(
                app, DISCARD, lambda: _expected(given, selected, most), yes=yes
            ) as shown,
        ):
            shown.report = discard_failures(
                box,
                book,
                selected,
                clock=SystemClock(),
                dry_run=not yes,
                keep=keep,
                limits=ReplayLimits(most),
                progress=shown.follow,
            )

    if not yes:
        run(lambda _: None)  # a dry run keeps nothing
        return
    with backup_at(path) as made:
        try:
            run(made.keep)
        finally:
            if made.letters:
                command = output.command_line(
                    "hangtag", "failures", "restore", str(path)
                )
                output.talk(f"`{command}` would bring them back.")


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
    Put discarded failures back, from their backup.

    Without --yes, nothing is changed. Skips an image that has failed again or was replayed or
    tagged since, and a letter that is in the queue already. Exits with 1 if the backup is empty
    or something is left.
    """
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.restore import restore as restore_failures

    from .backups import read_backup

    letters = read_backup(file)
    stack = app.stack()
    queue, book = stack.dead_letter_queue(), stack.failure_book()
    with (
        deferred_interrupts(stack.dead_letters()) as box,
        reported(app, RESTORE, lambda: len(letters), yes=yes) as shown,
    ):

        def follow(report: ReplayReport) -> None:
            shown.follow(report)
            raise_deferred_interrupt()

        shown.report = restore_failures(
            letters,
            queue,
            box,
            book,
            clock=SystemClock(),
            dry_run=not yes,
            progress=follow,
        )


def find_failures(stack: Stack, selected: LetterFilter) -> FailureList:
    """The *selected* failures, as `hangtag.operators.letters.find`."""
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.letters import find

    book = stack.failure_book()
    with (
        deferred_interrupts(stack.dead_letters()) as box,
        output.working("Reading failures ...") as say,
    ):
        return find(
            box,
            book,
            selected,
            clock=SystemClock(),
            progress=lambda count: say(f"Reading failures: {count_letters(count)} ..."),
        )


def read_letters(stack: Stack) -> tuple[list[Letter], int]:
    """All letters in the queue, which stay visible; how many more another reader holds."""
    from hangtag.adapters.system_clock import SystemClock
    from hangtag.operators.letters import Walk

    found: list[Letter] = []
    with (
        deferred_interrupts(stack.dead_letters()) as box,
        output.working("Reading the dead-letter queue ...") as say,
        closing(Walk(box, SystemClock())) as steps,
    ):
        for letter in steps.letters():
            found.append(letter)
            say(f"Reading the dead-letter queue: {count_letters(len(found))} ...")
        return found, steps.unseen()


def _box(box: DeadLetterBox, *, yes: bool) -> AbstractContextManager[DeadLetterBox]:
    """The box; a dry run makes all letters visible again, whenever it is interrupted."""
    return nullcontext(box) if yes else deferred_interrupts(box)


def _expected(box: DeadLetterBox, selected: LetterFilter, most: int | None) -> int:
    """Roughly how many failures match; 0 if only reading all of them could tell."""
    if selected != filter_of():
        return 0
    count = box.count()
    return count if most is None else min(count, most)
