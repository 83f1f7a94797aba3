"""`python -m hangtag_sandbox`: runs the sandbox without the command `hangtag`."""

import os
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from pathlib import Path

from hangtag_sandbox.access import (
    DEFAULT_KEY,
    KEY_VARIABLE,
    TOKEN_VARIABLE,
    UnsafeStart,
)
from hangtag_sandbox.networks import REACHES
from hangtag_sandbox.server import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_REACH, main

if __name__ == "__main__":
    parser = ArgumentParser(
        "hangtag_sandbox",
        description="Run a sandbox of the Tagger API.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default=DEFAULT_HOST, help="address to listen on")
    parser.add_argument(
        "--port", default=DEFAULT_PORT, type=int, help="0: any free port"
    )
    parser.add_argument("--key", help=f"the API key it accepts, or {KEY_VARIABLE}")
    parser.add_argument(
        "--allowed-host",
        dest="allowed_hosts",
        action="append",
        default=[],
        help="another name by which clients may address it",
    )
    parser.add_argument(
        "--fetch",
        default=DEFAULT_REACH,
        choices=REACHES,
        help="where image URLs may lead",
    )
    parser.add_argument(
        "--fetch-loopback-port",
        dest="loopback_ports",
        action="append",
        default=[],
        type=int,
        help="a port of this machine where they may lead",
    )
    parser.add_argument("--ca-file", type=Path, help="certificates to trust for them")
    parser.add_argument("--quota", type=int, help="images to tag before error 823")
    options = vars(parser.parse_args())
    options["key"] = options["key"] or os.environ.get(KEY_VARIABLE) or DEFAULT_KEY
    try:
        main(**options, token=os.environ.get(TOKEN_VARIABLE))
    except UnsafeStart as error:
        parser.error(str(error))
