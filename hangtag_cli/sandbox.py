"""`hangtag sandbox`: a Tagger API to run against without an account."""

from __future__ import annotations

import click

from .app import Command


@click.command(
    "sandbox",
    cls=Command,
    examples=("hangtag sandbox", "hangtag sandbox --port 0 --key my-test-key"),
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
def sandbox(host: str, port: int, key: str) -> None:
    """
    Run a Tagger API on this machine.

    Its address is printed; Ctrl-C ends it. It keeps the published contract and costs nothing.
    What it says of a picture is partly seen in its pixels and partly invented.
    """
    try:
        from hangtag_sandbox.server import main
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"the sandbox needs {error.name}: in the checkout, pip install '.[sandbox]'"
        ) from error
    main(host, port, key)
