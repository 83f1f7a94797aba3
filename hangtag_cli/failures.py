"""`hangtag failures`: dead letters, and what is done about them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from hangtag.failures import QueueUnavailable

from . import output
from .app import INTERRUPTED, App, Group, NotDone, json_option, pass_app
from .arguments import LETTER_NAME

if TYPE_CHECKING:
    from hangtag.ports import Letter
    from hangtag.replay import LetterFilter, Report

_code_option = click.option(
    "--code",
    "codes",
    multiple=True,
    metavar="CODE",
    help="Only letters with this error code; may be given several times.",
)


@click.group(cls=Group)
def failures() -> None:
    """Look at dead letters, and replay them."""


@failures.command(
    "list",
    examples=(
        "hangtag failures list",
        "hangtag --json failures list --code 803 --code API_TIMEOUT",
    ),
)
@json_option
@_code_option
@pass_app
def list_(app: App, codes: tuple[str, ...]) -> None:
    """
    List the dead letters, newest first, and what to do about them.

    Every letter stays in the queue, visible to others.
    """
    from hangtag.replay import LetterFilter

    from .letters import letter_line, letters_page

    letters = find_letters(app, LetterFilter(codes=codes))
    if app.json:
        for letter in letters:
            output.data(letter_line(letter))
    else:
        output.page(letters_page(letters))


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
    Show everything known of the dead letters of an image, or of one letter by its id.

    Exits with 1 where there is none.
    """
    from .letters import letter_document, letter_page

    letters = find_letters(app, _named((), (name,)))
    if not letters:
        raise NotDone(
            f"There is no dead letter {name}: it was replayed, or expired after 14 days, or "
            "never failed (see `hangtag failures list` and `hangtag results show`)"
        )
    for letter in letters:
        if app.json:
            output.data(letter_document(letter))
        else:
            output.page(letter_page(letter))


@failures.command(
    "replay",
    examples=(
        "hangtag failures replay --code 803",
        "hangtag failures replay --yes s3://my-uploads/dress.jpg",
    ),
)
@json_option
@_code_option
@click.option("--yes", is_flag=True, help="Do it; else it is only said what would be.")
@click.argument("names", type=LETTER_NAME, nargs=-1, metavar="[URI|ID]...")
@pass_app
@click.pass_context
def replay(
    ctx: click.Context,
    app: App,
    codes: tuple[str, ...],
    names: tuple[str, ...],
    *,
    yes: bool,
) -> None:
    """
    Put dead letters back on the upload queue: all, or those that are named.

    Nothing is changed without --yes. With both codes and names, letters must match both. Each
    letter is sent first and deleted after, so that none is lost. Exits with 1 where nothing
    matched or something is left.
    """
    from hangtag.replay import Report
    from hangtag.replay import replay as replay_letters

    box = app.stack().dead_letters()
    report = Report(dry_run=not yes)
    try:
        with output.working("Reading the dead-letter queue ...") as say:

            def follow(so_far: Report) -> None:
                nonlocal report
                report = so_far
                say(_progress(report))

            report = replay_letters(
                box, _named(codes, names), dry_run=not yes, progress=follow
            )
    except KeyboardInterrupt:
        output.talk(f"Interrupted. {_summary(report)}")
        ctx.exit(INTERRUPTED)
    except QueueUnavailable:
        output.talk(_summary(report))
        raise
    _print_report(app, report)
    if not report.matched or (yes and report.left):
        ctx.exit(1)


def find_letters(app: App, meant: LetterFilter) -> list[Letter]:
    """The letters that are *meant*, newest first; all stay visible."""
    from hangtag.replay import walk

    box = app.stack().dead_letters()
    found: list[Letter] = []
    with (
        output.working("Reading the dead-letter queue ...") as say,
        closing(walk(box)) as letters,
    ):
        for letter in letters:
            if meant.matches(letter):
                found.append(letter)
                say(f"Reading the dead-letter queue: {_letters(len(found))} ...")
    return sorted(
        found, key=lambda letter: letter.letter.failure.failed_at, reverse=True
    )


def _named(codes: tuple[str, ...], names: tuple[str, ...]) -> LetterFilter:
    from hangtag.replay import LetterFilter

    images = tuple(name for name in names if name.startswith("s3://"))
    return LetterFilter(
        codes=codes,
        images=images,
        ids=tuple(name for name in names if name not in images),
    )


def _print_report(app: App, report: Report) -> None:
    if app.json:
        output.data(report.document())
    elif report.matched:
        from .letters import replay_page

        output.page(replay_page(report))
    for trouble in dict.fromkeys(report.troubles):
        output.talk(trouble)
    output.talk(_summary(report))


def _progress(report: Report) -> str:
    """Where a replay is."""
    if report.dry_run:
        return f"Reading the dead-letter queue: {_letters(report.matched)} ..."
    return f"Replaying: {report.done} of {_letters(report.matched)} so far ..."


def _summary(report: Report) -> str:
    """What a replay did so far, in a sentence."""
    if report.dry_run:
        if not report.matched:
            return "No dead letter matches: there is nothing to replay."
        return (
            f"{_letters(report.matched)} would be replayed. Nothing is changed: "
            "add --yes to do it."
        )
    if not report.matched:
        return "No dead letter matches: nothing was replayed."
    done = f"{report.done} of {_letters(report.matched)} replayed."
    return f"{done} The others are dead letters still." if report.left else done


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count:,} letters"
