"""
The reference of all commands, made from their help.

    python -m hangtag_cli.reference > docs/cli.md
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from .main import cli

_WIDTH = 88

_HEAD = """\
# The command `hangtag`

Made by `python -m hangtag_cli.reference > docs/cli.md` from the commands' own help.

Data goes to stdout, everything else to stderr. With `--json`, which may stand before or behind
the command, the data is JSON: one document, or one a line. A command exits with 0 when it is
done, 1 when it is not (nothing found, something left), 2 when it is used wrongly, 130 after
Ctrl-C. AWS credentials, profile and region are those of the AWS CLI.
"""


def reference() -> str:
    """The whole reference, in Markdown."""
    return "\n".join([_HEAD, *_sections(cli, "hangtag", None)])


def _sections(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    formatter = click.HelpFormatter(width=_WIDTH)
    command.format_help(context, formatter)
    path = context.command_path
    yield f"## {path}\n\n```text\n{formatter.getvalue().rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for subname, subcommand in command.commands.items():
            yield from _sections(subcommand, subname, context)


if __name__ == "__main__":
    click.echo(reference(), nl=False)
