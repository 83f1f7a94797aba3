"""
Writes docs/operator-policy.json from the permissions of the commands.

    python docs/generate_operator_policy.py > docs/operator-policy.json
"""  # noqa: INP001 - docs/ is a folder of pages, not a package

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from hangtag_cli.aws import Aws
from hangtag_cli.aws_errors import explained
from hangtag_cli.permissions import PERMISSIONS, policy, values_of


def operator_policy(commands: Sequence[str] = tuple(PERMISSIONS)) -> str:
    """The file, or a part of it: a policy for each of the *commands*."""
    return _json({command: policy(command) for command in commands})


@click.command()
@click.option("--stack", metavar="NAME", help="Print a policy for this deployed stack.")
@click.option("--region", metavar="REGION", help="The stack's region.")
@click.argument("commands", nargs=-1, type=click.Choice(list(PERMISSIONS)))
def main(stack: str | None, region: str | None, commands: Sequence[str]) -> None:
    """
    Print the policies of COMMANDS (default: all), one each, with placeholders.

    With --stack, print one policy for all of them, with the stack's ARNs.
    """
    if stack is None:
        click.echo(operator_policy(commands or tuple(PERMISSIONS)), nl=False)
        return
    # Options need ARNs of resources outside of the stack
    without_options = [command for command in PERMISSIONS if " --" not in command]
    client = Aws(region=region, endpoint_url=None).cloudformation
    with explained():
        described = client.describe_stacks(StackName=stack)["Stacks"][0]
        found = client.describe_stack_resources(StackName=stack)["StackResources"]
    resources = {
        one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in found
    }
    for output in described.get("Outputs", []):
        if output["OutputKey"] == "UploadsBucketName":  # it may be no resource
            resources["UploadsBucket"] = output["OutputValue"]
    try:
        values = values_of(described["StackId"], resources)
    except KeyError as missing:
        raise click.ClickException(
            f"The stack {stack!r} has no resource {missing}: name a Hangtag stack"
        ) from missing
    click.echo(_json(policy(*(commands or without_options), values=values)), nl=False)


def _json(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    main()
