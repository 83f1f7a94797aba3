"""The global options of all commands, and their classes for click."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hangtag.errors import HangtagError
from hangtag.text import printable

from . import output
from .denials import Denials
from .exits import INTERRUPTED, NotDone

if TYPE_CHECKING:
    from .stack import Stack

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(slots=True)
class App:
    """The global options of one invocation."""

    stack_name: str
    region: str | None
    endpoint_url: str | None
    json: bool
    """Whether data is printed as JSON instead of tables."""
    denials: Denials = field(default_factory=Denials)
    """The calls that AWS denied."""

    def stack(self) -> Stack:
        """
        The deployed stack.

        Raises:
            NotDone: There is no such AWS profile, or no region is set.
        """
        from .aws import Aws
        from .stack import Stack

        aws = Aws(
            region=self.region, endpoint_url=self.endpoint_url, denials=self.denials
        )
        return Stack(self.stack_name, aws)

    def report_denials(self) -> None:
        """Report the denied calls that no message has named."""
        for report in self.denials.unreported():
            output.talk(report)


pass_app = click.make_pass_decorator(App)


class Command(click.Command):
    """A command whose help ends with examples."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - passed on to click
        examples: Sequence[str] = (),
        **kwargs: Any,  # noqa: ANN401 - passed on to click
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the examples, each on one line, however long."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class Group(click.Group):
    """A group of commands."""

    command_class = Command


class Root(Group):
    """The whole program. It turns errors that no command handles into one sentence."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's signature
        """Run the program; an output that cannot be written is reported on stderr, if possible."""
        sys.excepthook = output.talk_uncaught
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            with suppress(OSError):
                output.talk(f"Error: {error}")
            if sys.stdout is sys.__stdout__:
                # Python would fail again when it flushes the buffer at exit
                with suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.exit(1)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401 - click's
        """Read the global options."""
        with _encoded_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command; an error becomes an exit status and a line on stderr."""
        with _encoded_errors():
            try:
                return super().invoke(ctx)
            except HangtagError as error:
                from .aws_errors import explain

                raise NotDone(explain(error)) from error
            except (KeyboardInterrupt, click.Abort):
                output.talk("Interrupted.")
                ctx.exit(INTERRUPTED)
            finally:
                app = ctx.find_object(App)
                if app is not None:
                    app.report_denials()


_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""From click 8.2 on, the help of a command without arguments is an error, of many lines."""


@contextmanager
def _encoded_errors() -> Iterator[None]:
    """Encode the messages of click's errors, which repeat arguments."""
    try:
        yield
    except _HELP:
        raise
    except click.UsageError as error:
        message = printable(error.format_message())
        raise click.UsageError(message, error.ctx) from error
    except click.ClickException as error:
        raise NotDone(printable(error.format_message())) from error


def json_option(function: _Function) -> _Function:
    """Accept `--json` after the command too."""
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
