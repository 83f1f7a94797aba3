"""`python -m hangtag_sandbox`: runs the sandbox without the command `hangtag`."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from pathlib import Path

from hangtag_sandbox.fetching import REACHES
from hangtag_sandbox.server import (
    DEFAULT_HOST,
    DEFAULT_KEY,
    DEFAULT_PORT,
    DEFAULT_REACH,
    main,
)

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
    parser.add_argument("--key", default=DEFAULT_KEY, help="the API key it accepts")
    parser.add_argument(
        "--fetch",
        default=DEFAULT_REACH,
        choices=REACHES,
        help="where image URLs may lead",
    )
    parser.add_argument("--ca-file", type=Path, help="certificates to trust for them")
    parser.add_argument("--quota", type=int, help="images to tag before error 823")
    main(**vars(parser.parse_args()))
