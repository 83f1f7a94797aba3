"""`hangtag sandbox`: a Tagger API to run against without an account."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .app import Command

if TYPE_CHECKING:
    from hangtag_sandbox.fetching import Reach


@click.command(
    "sandbox",
    cls=Command,
    examples=(
        "hangtag sandbox",
        "hangtag sandbox --port 0 --key my-test-key --quota 100",
    ),
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The port to listen on; 0 for a free one.",
)
@click.option(
    "--key",
    default="sandbox-key",
    show_default=True,
    help="The API key that it accepts; no secret.",
)
@click.option(
    "--fetch",
    type=click.Choice(["none", "loopback", "public", "any"]),
    default="loopback",
    show_default=True,
    help="Where images may come from that are given by their URL: nowhere, this machine, the "
    "internet too, private networks too.",
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, path_type=Path),
    envvar=["REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"],
    show_envvar=True,
    help="Certificates to believe when images are fetched, beside those of this machine.",
)
@click.option(
    "--quota",
    type=click.IntRange(min=0),
    help="Tag so many pictures, then answer 823.",
)
def sandbox(
    *,
    host: str,
    port: int,
    key: str,
    fetch: Reach,
    ca_file: Path | None,
    quota: int | None,
) -> None:
    """
    Run a Tagger API on this machine.

    Its address is printed; open it in a browser to try a picture. Ctrl-C ends it. It keeps the
    published contract and costs nothing. What it says of a picture is partly seen in its pixels
    and partly invented.
    """
    try:
        from hangtag_sandbox.server import main
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"the sandbox needs {error.name}: in the checkout, pip install '.[sandbox]'"
        ) from error
    try:
        main(host, port, key, fetch=fetch, ca_file=ca_file, quota=quota)
    except ssl.SSLError as error:
        raise click.BadParameter(
            f"{ca_file} holds no certificates in PEM: {error}", param_hint="--ca-file"
        ) from error
