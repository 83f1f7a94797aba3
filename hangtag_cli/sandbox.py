"""`hangtag sandbox`: a Tagger API on this machine, which needs no account."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import output
from .app import Command

if TYPE_CHECKING:
    from hangtag_sandbox.networks import Reach


@click.command(
    "sandbox",
    cls=Command,
    examples=(
        "hangtag sandbox",
        "hangtag sandbox --port 0 --quota 100 --fetch-loopback-port 8000",
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
    help="The API key that it accepts. Other users of this machine can read arguments, but not the "
    "variable.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME[:PORT]",
    help="Another name by which clients may address it. Repeatable.",
)
@click.option(
    "--fetch",
    type=click.Choice(["none", "public", "private"]),
    default="none",
    show_default=True,
    help="From where it fetches images that are given by URL: nowhere, the internet, private "
    "networks too.",
)
@click.option(
    "--fetch-loopback-port",
    "loopback_ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    help="A port of this machine that it fetches images from. Repeatable.",
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
    allowed_hosts: tuple[str, ...],
    fetch: Reach,
    loopback_ports: tuple[int, ...],
    ca_file: Path | None,
    quota: int | None,
) -> None:
    """
    Run a Tagger API on this machine.

    It prints its address; open it in a browser to try an image. Ctrl-C stops it. It keeps the
    published contract and costs nothing. Its tags come partly from the image's pixels and are
    partly invented.

    Control requests (/sandbox/...) need a token: that of HANGTAG_SANDBOX_TOKEN, or a random one,
    which it prints. On another address than loopback, it needs that variable and a key of yours.
    """
    try:
        from hangtag_sandbox.access import UnsafeStart
        from hangtag_sandbox.server import main
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"the sandbox needs {error.name}: in the checkout, pip install '.[sandbox]'"
        ) from error
    output.talk_log()
    try:
        main(
            host,
            port,
            key,
            token=os.environ.get("HANGTAG_SANDBOX_TOKEN"),
            allowed_hosts=allowed_hosts,
            fetch=fetch,
            loopback_ports=loopback_ports,
            ca_file=ca_file,
            quota=quota,
        )
    except UnsafeStart as error:
        raise click.UsageError(str(error)) from error
    except ssl.SSLError as error:
        raise click.BadParameter(
            f"{ca_file} contains no PEM certificates: {error}", param_hint="--ca-file"
        ) from error
