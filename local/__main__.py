"""`python -m local`: the commands behind `make demo`, `make up`, `make faults` and others."""

from __future__ import annotations

import argparse
import fcntl
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from hangtag.text import printable
from hangtag_cli.output import talk_lines
from local.cloud import PROGRAMS, ROOT
from local.demo import demo
from local.fault_matrix import show_matrix
from local.garments import draw_garments
from local.processes import LocalError, private_directory, write_private
from local.progress import steps_on
from local.sam import build
from local.soak import FEWEST, MOST, soak
from local.stack import Stack, bring_up, running_stack, take_down

LOCAL = ROOT / ".local"
RUN = LOCAL / "run"

USAGE = """\
The stack is up, with the sandbox Tagger API at {sandbox}.
There are pictures to upload in {garments}.

  source .local/run/env      # points this shell to the local cloud
  python -m local put {picture} --metadata tagger-brand=Acme
  aws s3 cp {picture} {uri} --metadata tagger-brand=Acme    # the same with the AWS CLI
  hangtag results show {uri}
  hangtag status
  hangtag tag {picture}      # calls the sandbox directly, without the stack
  make down                  # stops the stack and deletes its data"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    # A closed terminal or `kill` must stop the background programs, as Ctrl-C does.
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except LocalError as error:
        talk_lines(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    """Build the parser of the commands and their options."""
    top = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    up_command = commands.add_parser("up", help="start the stack and leave it running")
    up_command.set_defaults(run=up)
    demo_command = commands.add_parser("demo", help="demonstrate the stack")
    demo_command.set_defaults(run=show_demo)
    demo_command.add_argument(
        "--images", type=Path, metavar="FOLDER", help="upload the images in this folder"
    )
    for command in (up_command, demo_command):
        command.add_argument(
            "--port",
            type=port,
            default=0,
            help="port of the local cloud (default: any free port)",
        )
        command.add_argument(
            "--sandbox-port",
            type=port,
            default=0,
            help="port of the sandbox (default: any free port)",
        )

    down_command = commands.add_parser("down", help="stop the stack of `up`")
    down_command.set_defaults(run=down)

    put_command = commands.add_parser("put", help="upload files to the stack of `up`")
    put_command.set_defaults(run=put)
    put_command.add_argument("files", type=Path, nargs="+", metavar="FILE")
    put_command.add_argument(
        "--metadata",
        type=assignment,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="context of the images, such as tagger-brand=Acme; repeatable",
    )

    faults_command = commands.add_parser(
        "faults", help="test every fault at every step"
    )
    faults_command.set_defaults(run=show_faults)
    faults_command.add_argument(
        "--only",
        default="",
        metavar="WORDS",
        help="run only the cells whose names contain WORDS",
    )
    faults_command.add_argument(
        "--max-attempts",
        type=int,
        default=3,
        metavar="N",
        help="the stack's MaxAttempts (3); with 1, a miscounted attempt fails a cell",
    )
    faults_command.add_argument(
        "--transport",
        choices=("base64", "url"),
        default="base64",
        help="the stack's ImageTransport (base64)",
    )

    soak_command = commands.add_parser("soak", help="test many uploads under faults")
    soak_command.set_defaults(run=show_soak)
    soak_command.add_argument(
        "--uploads",
        type=uploads,
        default=2_000,
        metavar="N",
        help="number of object versions",
    )
    soak_command.add_argument(
        "--faults",
        type=share,
        default=0.1,
        metavar="RATE",
        help="share of failing calls, such as 10%% or 0.1",
    )
    soak_command.add_argument(
        "--skip",
        action="append",
        default=[],
        choices=["kill", "outage", "rotation", "breaker"],
        help="leave this part out; repeatable",
    )

    build_command = commands.add_parser("build", help="build for this machine's Python")
    build_command.set_defaults(run=build_only)
    return top


def port(text: str) -> int:
    """Parse a port number; 0 means any free port."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return number


def uploads(text: str) -> int:
    """Parse a number of uploads."""
    number = int(text)
    if not FEWEST <= number <= MOST:
        raise argparse.ArgumentTypeError(f"{text} is not from {FEWEST} to {MOST}")
    return number


def share(text: str) -> float:
    """Parse a share such as 10% or 0.1."""
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 0.5:
        raise argparse.ArgumentTypeError(f"{text} is not from 0% to 50%")
    return number


def assignment(text: str) -> tuple[str, str]:
    """Parse KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    if ",tagger-" in value:
        raise argparse.ArgumentTypeError(
            f"{text!r} names several keys: repeat --metadata for each"
        )
    if not value.isprintable():
        raise argparse.ArgumentTypeError(
            f"{text!r} has characters that a header cannot contain"
        )
    return key, value


def up(options: argparse.Namespace) -> int:
    """Start the stack in .local/run, unless it is running."""
    console = Console(stderr=True)
    with one_at_a_time():
        stack = running_stack(RUN)
        if stack:
            console.print("The stack is already up.", highlight=False)
        else:
            take_down(RUN)  # clean up after a stack that was killed
            step = steps_on(console)
            with step("Drawing garments"):
                garments().mkdir(exist_ok=True)
                draw_garments(garments())
            stack = bring_up(
                RUN,
                step=step,
                cloud_port=options.port,
                sandbox_port=options.sandbox_port,
            )
            write_environment(stack)
    print(usage(stack))
    return 0


def usage(stack: Stack) -> str:
    """Commands to use the stack of `up`, in the folder of the repository."""
    picture = garments() / "striped shirt.jpg"
    return USAGE.format(
        sandbox=stack.sandbox.url,
        garments=garments().relative_to(ROOT),
        picture=shlex.quote(str(picture.relative_to(ROOT))),
        uri=shlex.quote(stack.uri(picture.name)),
    )


def garments() -> Path:
    """The folder of the pictures that `up` draws."""
    return RUN / "garments"


def down(_options: argparse.Namespace) -> int:
    """Stop the stack of `up`."""
    with one_at_a_time():
        ran = take_down(RUN)
        (RUN / "env").unlink(missing_ok=True)
    print("The stack is down." if ran else "No stack is up.", file=sys.stderr)
    return 0


def put(options: argparse.Namespace) -> int:
    """Upload files under their own names and print their uris."""
    with one_at_a_time():
        stack = running_stack(RUN)
    if stack is None:
        raise LocalError("the stack is not up; `make up` starts it")
    for file in options.files:
        try:
            file.name.encode()
        except UnicodeEncodeError as error:
            raise LocalError(
                f"the name of {printable(str(file))} is not UTF-8"
            ) from error
        try:
            body = file.read_bytes()
        except OSError as error:
            raise LocalError(f"{file} cannot be read: {error.strerror}") from error
        stack.upload(file.name, body, dict(options.metadata))
        print(printable(stack.uri(file.name)))
    return 0


def build_only(_options: argparse.Namespace) -> int:
    """Build the stack into .aws-sam, where sam looks for it."""
    with steps_on(Console(stderr=True))("Building the stack (sam build)"):
        template = build(ROOT / ".aws-sam")
    print(template.relative_to(ROOT))
    return 0


def show_demo(options: argparse.Namespace) -> int:
    """Run the demonstration in a temporary folder."""
    with temporary_directory("demo-") as directory:
        demo(
            directory,
            images=options.images,
            cloud_port=options.port,
            sandbox_port=options.sandbox_port,
        )
    return 0


def show_faults(options: argparse.Namespace) -> int:
    """Run the fault matrix; 0 only if every cell passes."""
    with temporary_directory("faults-") as directory:
        passed = show_matrix(
            directory,
            only=options.only,
            max_attempts=options.max_attempts,
            transport=options.transport,
        )
    return 0 if passed else 1


def show_soak(options: argparse.Namespace) -> int:
    """Run the soak test; 0 only if no upload is lost and every extra call has a reason."""
    with temporary_directory("soak-") as directory:
        passed = soak(
            directory,
            number=options.uploads,
            rate=options.faults,
            skip=frozenset(options.skip),
        )
    return 0 if passed else 1


@contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """Create a folder in .local, and remove it when the context ends."""
    LOCAL.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=LOCAL))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def write_environment(stack: Stack) -> None:
    """Write .local/run/env, which a shell sources to use the stack."""
    # Variables such as AWS_ENDPOINT_URL_S3 would override the stack's endpoint.
    lines = [
        "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "unset HANGTAG_STACK $(env | sed -n 's/^\\(AWS_ENDPOINT_URL_[A-Z0-9_]*\\)=.*/\\1/p')",
    ]
    variables = {
        **stack.access.variables(),
        "HANGTAG_TAGGER_API_URL": stack.sandbox.tagger_api_url,  # for `hangtag tag`
        "HANGTAG_API_KEY": stack.key(),
        "HANGTAG_SANDBOX_TOKEN": stack.sandbox.token,  # for requests to /sandbox/...
    }
    for name, value in variables.items():
        lines.append(f"export {name}={shlex.quote(value)}")
    lines.append(f'export PATH={shlex.quote(str(PROGRAMS))}:"$PATH"')
    write_private(RUN / "env", "\n".join(lines) + "\n")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lock of .local/run, so that only one command starts or stops its stack."""
    private_directory(RUN)
    with (RUN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
