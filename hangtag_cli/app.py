"""What all commands share: the global options, their shape, and how they say no."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hangtag.errors import HangtagError
from hangtag.text import printable

from . import output

if TYPE_CHECKING:
    from .stack import Stack

INTERRUPTED = 130
"""The exit status after Ctrl-C: 128 and the number of SIGINT."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(slots=True)
class App:
    """The global options."""

    stack_name: str
    region: str | None
    endpoint_url: str | None
    json: bool
    """Whether data is printed as JSON instead of tables."""

    def stack(self) -> Stack:
        """
        The deployed stack that is meant.

        Raises:
            NotDone: There is no such AWS profile, or no such region.
        """
        from .stack import open_stack

        return open_stack(
            self.stack_name, region=self.region, endpoint_url=self.endpoint_url
        )


pass_app = click.make_pass_decorator(App)


class NotDone(click.ClickException):
    """What was asked for is not done; the message is for people and says the way out."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Command(click.Command):
    """A command whose help ends with examples to copy."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's own, handed on
        examples: Sequence[str] = (),
        **kwargs: Any,  # noqa: ANN401 - click's own, handed on
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """The examples, each on a line of its own however long it is."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


class Root(Group):
    """The whole program: whatever still goes wrong ends here, in one sentence."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's signature
        """Run the program; also what cannot be written is said, as far as it can be."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            with suppress(OSError):
                output.talk(f"Error: this machine does not do it: {error}")
            if sys.stdout is sys.__stdout__:
                # What is still in its buffer would fail once more when the program ends
                with suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command; errors become an exit status and a line on stderr."""
        try:
            return super().invoke(ctx)
        except HangtagError as error:
            from .troubles import told

            raise NotDone(told(error)) from error
        except (KeyboardInterrupt, click.Abort):
            output.talk("Interrupted.")
            ctx.exit(INTERRUPTED)


def json_option(function: _Function) -> _Function:
    """Take `--json` behind the command, too: people type it there."""
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_set_json,
        help="Print JSON, for other programs.",
    )(function)


def _set_json(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - click's signature
    value: bool,  # noqa: FBT001 - click's signature
) -> None:
    app = ctx.find_object(App)
    if app is not None and value:
        app.json = True
