"""The progress and the reports of `hangtag failures replay`, `discard` and `restore`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from hangtag.errors import QueueUnavailable, ResultsUnavailable

from . import output
from .exits import INTERRUPTED, NotDone

if TYPE_CHECKING:
    from hangtag.operators.replay import ReplayReport

    from .app import App


@dataclass(frozen=True, slots=True)
class Action:
    """The words for a command, and how it ends."""

    doing: str
    done: str
    nothing: str = "No dead letter matches"
    """Printed where there was nothing to do."""
    how_to_continue: str = "the same command continues"
    """After an interrupt."""
    skips_are_done: bool = False
    """Whether the exit status is 0 although some were skipped."""


REPLAY = Action("Replaying", "replayed")
DISCARD = Action(
    "Discarding",
    "discarded",
    how_to_continue="the same command continues, with a backup of its own",
)
RESTORE = Action(
    "Restoring", "restored", nothing="The backup is empty", skips_are_done=True
)


class Reporter:
    """Shows the progress of a command, and keeps its report."""

    def __init__(
        self, report: ReplayReport, doing: str, say: Callable[[int, int, str], None]
    ) -> None:
        self.report = report
        self._doing = doing
        self._say = say

    def follow(self, report: ReplayReport) -> None:
        """Show the report so far."""
        self.report = report
        behind = report.planned if report.dry_run else report.done
        text = f"{self._doing}: {count_letters(report.matched)} so far"
        self._say(behind + report.skipped, report.matched, text)


@contextmanager
def reported(
    app: App, action: Action, expected: Callable[[], int], *, yes: bool
) -> Iterator[Reporter]:
    """
    Show a progress bar during an *action*, then print its report and set the exit status.

    *expected* is roughly how many letters there are.
    """
    from hangtag.operators.replay import ReplayReport

    context = click.get_current_context()
    reporter = Reporter(ReplayReport(dry_run=not yes), action.doing, lambda *_: None)
    try:
        with output.bar(action.doing, expected) as say:
            reporter = Reporter(reporter.report, action.doing, say)
            yield reporter
    except KeyboardInterrupt:
        output.talk(f"Interrupted. {_so_far(reporter.report, action)}")
        context.exit(INTERRUPTED)
    except (QueueUnavailable, ResultsUnavailable, NotDone):
        output.talk(_so_far(reporter.report, action))
        raise
    report = reporter.report
    _print(app, report, action)
    is_left = report.left or (report.skipped and not action.skips_are_done)
    is_nothing = not (report.matched or report.leftovers)
    if is_nothing or (yes and is_left):
        context.exit(1)


def _print(app: App, report: ReplayReport, action: Action) -> None:
    if app.json:
        output.data(report.document())
    elif report.matched:
        from .letters import replay_page

        output.page(replay_page(report))
    for trouble in dict.fromkeys(report.troubles):
        output.talk(trouble)
    if report.came_back:
        output.talk(
            f"{count_letters(report.came_back)} more about the same images: a second one of the "
            "same failure, or the image failed again meanwhile. The next replay takes them."
        )
    talk_of_unseen(report.unseen)
    output.talk(_summary(report, action))


def talk_of_unseen(count: int) -> None:
    """Say that there are more letters than were seen."""
    if count:
        output.talk(
            f"{count_letters(count)} more in the queue could not be seen: another command or "
            "function is reading them, or they have just arrived. Look again in half a minute."
        )


def _so_far(report: ReplayReport, action: Action) -> str:
    """The report of a command that ended early."""
    if report.dry_run:
        return "Nothing was changed."
    return (
        f"{count_letters(report.done)} {action.done} so far. The one in hand is done, or as it "
        f"was: {action.how_to_continue}."
    )


def _summary(report: ReplayReport, action: Action) -> str:
    """The report in a sentence or two."""
    removed = ""
    if report.leftovers:
        is_done = "would be removed" if report.dry_run else "removed"
        letters = count_letters(report.leftovers)
        removed = f" {letters} of failures that were dealt with before {is_done}."
    if not report.matched:
        if removed:
            return removed.strip()
        is_done = "there is nothing to be" if report.dry_run else "nothing was"
        return f"{action.nothing}: {is_done} {action.done}."
    skipped = f" {count_letters(report.skipped)} skipped." if report.skipped else ""
    if report.dry_run:
        beyond = report.left - report.planned
        others = f" {count_letters(beyond)} would be left." if beyond > 0 else ""
        return (
            f"{count_letters(report.planned)} would be {action.done}.{skipped}{others}{removed} "
            "Nothing is changed: add --yes to do it."
        )
    left = " The others are as they were." if report.left else ""
    matched = count_letters(report.matched)
    return f"{report.done} of {matched} {action.done}.{skipped}{removed}{left}"


def count_letters(count: int) -> str:
    """A number of letters, in words."""
    return "1 letter" if count == 1 else f"{count:,} letters"
