"""The entry point: the global options and the commands."""

from __future__ import annotations

import click

from .app import App, Root
from .arguments import ENDPOINT_URL, STACK
from .backfill import backfill
from .export import export
from .failures import failures
from .key import key
from .results import results
from .sandbox import sandbox
from .status import status
from .switching import pause, resume
from .tag import tag


@click.group(cls=Root)
@click.option(
    "--stack",
    type=STACK,
    default="hangtag",
    envvar="HANGTAG_STACK",
    show_default=True,
    show_envvar=True,
    metavar="NAME",
    help="The CloudFormation stack.",
)
@click.option(
    "--region",
    envvar="AWS_REGION",
    metavar="REGION",
    help="The stack's AWS region; the default is that of your AWS configuration.",
)
@click.option(
    "--endpoint-url",
    type=ENDPOINT_URL,
    metavar="URL",
    help="The URL of an AWS emulator; the default is AWS itself.",
)
@click.option("--json", is_flag=True, help="Print JSON, for other programs.")
@click.version_option(package_name="hangtag", message="hangtag %(version)s")
@click.pass_context
def cli(
    ctx: click.Context,
    stack: str,
    region: str | None,
    endpoint_url: str | None,
    json: bool,  # noqa: FBT001 - click passes it by name
) -> None:
    """Hangtag tags every image that is uploaded to its bucket. This command operates it."""
    ctx.obj = App(stack_name=stack, region=region, endpoint_url=endpoint_url, json=json)


results.add_command(export)
for command in (tag, results, failures, backfill, status, pause, resume, key, sandbox):
    cli.add_command(command)
