"""`hangtag pause` and `hangtag resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

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
    Stop tagging until you resume.

    Running invocations finish. Uploads stay on the queue; an upload that waits there for longer
    than 14 days is lost. Only `hangtag resume` ends a pause.
    """
    stack = app.stack()
    with output.working("Pausing ..."):
        before = stack.switch().pause()
    if app.json:
        output.data({"paused": True, "breaker": breaker_document(before)})
    paused_at = before.paused_at
    since = f" since {paused_at}" if paused_at else ""
    from .vitals import days_left

    oldest = days_left(stack.oldest_upload_seconds())
    left = f", {oldest}" if oldest else ""
    output.talk(
        f"Tagging is paused{since}. Uploads stay on the queue ({_waiting(stack)}) and age there: "
        f"one that waits for longer than 14 days is lost{left}. The "
        "pause takes effect within a minute. Only `hangtag resume` ends it."
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
    Start tagging again: end a pause, close the breaker.

    The breaker opens when every call of the Tagger API fails for the same reason, such as the
    key or the quota. Fix the cause first, or the breaker opens again.
    """
    from hangtag.ports import BreakerState

    stack = app.stack()
    with output.working("Resuming ..."):
        before = stack.switch().resume()
    if app.json:
        output.data({"paused": False, "breaker": breaker_document(BreakerState())})
    output.talk(
        f"Tagging goes on within a minute ({_waiting(stack)})."
        + _closed_breaker(before)
    )


def breaker_document(breaker: BreakerState) -> Document:
    """The breaker as `--json` prints it."""
    from hangtag.breaker import fault_of

    return {"open": breaker.is_open, "code": fault_of(breaker)}


def replay_command(code: str) -> str:
    """The command that replays the dead letters of this code."""
    return output.command_line("hangtag", "failures", "replay", "--code", code, "--yes")


def _closed_breaker(before: BreakerState) -> str:
    """The effect of a resume on the breaker, and the command to run next."""
    if before.code is None:
        return " The breaker, which was open, is closed." if before.is_open else ""
    cause = f"{before.code} ({before.message})"
    done = (
        f"The breaker, open since {before.opened_at} for {cause}, is closed."
        if before.is_open
        else f"The count of failures, {before.failures}, the last with {cause}, is 0 again."
    )
    command = replay_command(before.code)
    return f" {done} `{command}` replays the dead letters with this code."


def _waiting(stack: Stack) -> str:
    """How many uploads wait, or why that is unknown."""
    try:
        waiting = stack.count_uploads().waiting
    except NotDone as trouble:
        return f"how many wait is unknown: {trouble.message}"
    return "1 waits" if waiting == 1 else f"{waiting:,} wait"
