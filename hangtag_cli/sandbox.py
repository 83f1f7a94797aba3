"""`hangtag sandbox`: a Tagger API on this machine, which needs no account."""

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
    envvar="HANGTAG_SANDBOX_KEY",
    show_envvar=True,
    help="The API key that it accepts; it is no secret.",
)
@click.option(
    "--fetch",
    type=click.Choice(["none", "loopback", "public", "any"]),
    default="loopback",
    show_default=True,
    help="From where it fetches images that are given by URL: nowhere, this machine, the internet "
    "too, private networks too.",
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, path_type=Path),
    envvar=["REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"],
    show_envvar=True,
    help="Certificates to trust when it fetches images, besides those of this machine.",
)
@click.option(
    "--quota",
    type=click.IntRange(min=0),
    help="Tag so many images, then answer with error 823.",
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

    It prints its address; open it in a browser to try an image. Ctrl-C stops it. It keeps the
    published contract and costs nothing. Its tags come partly from the image's pixels and are
    partly invented.
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
            f"{ca_file} contains no PEM certificates: {error}", param_hint="--ca-file"
        ) from error
