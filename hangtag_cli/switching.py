"""`hangtag pause` and `hangtag resume`: whether uploads are taken from the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hangtag.text import printable

from . import output
from .app import App, Command, json_option, pass_app
from .exits import NotDone

if TYPE_CHECKING:
    from hangtag.ports import BreakerState
    from hangtag.results import Document

    from .stack import Stack


@click.command(
    "pause",
    cls=Command,
    examples=("hangtag pause", "hangtag --stack shop --json pause"),
)
@json_option
@pass_app
def pause(app: App) -> None:
    """
    Take no more uploads from the queue, until you resume.

    What is in hand is finished. Uploads stay on the queue; those that wait there for longer than
    14 days are lost. Nothing but `hangtag resume` ends a pause.
    """
    stack = app.stack()
    with output.working("Pausing ..."):
        before = stack.switch().pause()
    if app.json:
        output.data({"paused": True, "breaker": breaker_document(before)})
    paused_at = before.paused_at
    since = f" since {paused_at}" if paused_at else ""
    from .vitals import days_left

    oldest = days_left(stack.vitals().oldest_upload_seconds)
    left = f", {oldest}" if oldest else ""
    output.talk(
        f"Tagging is paused{since}. Uploads stay on the queue ({_waiting(stack)}) and age there: "
        f"one that waits for longer than 14 days is lost{left}. It takes up to a minute until no "
        "more are taken; what comes until then goes back by itself. Only `hangtag resume` ends it."
    )


@click.command(
    "resume",
    cls=Command,
    examples=("hangtag resume", "hangtag --stack shop --json resume"),
)
@json_option
@pass_app
def resume(app: App) -> None:
    """
    Take uploads from the queue again: end a pause, close the breaker.

    The breaker opens when calls of the Tagger API fail for a reason that is everybody's, such as
    the key or the quota. Mend that first; else it opens again.
    """
    from hangtag.ports import BreakerState

    stack = app.stack()
    with output.working("Resuming ..."):
        before = stack.switch().resume()
    if app.json:
        output.data({"paused": False, "breaker": breaker_document(BreakerState())})
    output.talk(
        f"Tagging goes on within a minute ({_waiting(stack)})."
        + _what_was_closed(before)
    )


def breaker_document(breaker: BreakerState) -> Document:
    """The breaker as `--json` prints it; the code as `fault_of` has it."""
    from hangtag.breaker import fault_of

    return {"open": breaker.is_open, "code": fault_of(breaker)}


def replay_command(code: str) -> str:
    """What brings back what was buried with this code."""
    return f"hangtag failures replay --code {printable(code)} --yes"


def _what_was_closed(before: BreakerState) -> str:
    """What a resume did to the breaker, and what is left to do."""
    if before.code is None:
        return " The breaker, which was open, is closed." if before.is_open else ""
    told = f"{printable(before.code)} ({before.message})"
    done = (
        f"The breaker, open since {before.opened_at} for {told}, is closed."
        if before.is_open
        else f"A row of {before.row} failures, the last of them {told}, is forgotten."
    )
    return (
        f" {done} `{replay_command(before.code)}` brings back what was buried with it."
    )


def _waiting(stack: Stack) -> str:
    """How many uploads wait; what was done is done, also where that cannot be told."""
    try:
        waiting = stack.count_uploads().waiting
    except NotDone as trouble:
        return f"how many wait is unknown: {trouble.message}"
    return "1 waits" if waiting == 1 else f"{waiting:,} wait"
