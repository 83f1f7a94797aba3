"""`python -m local`: what `make demo`, `make up`, `make down` and `make build` run."""

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
from local.cloud import PROGRAMS, ROOT
from local.demo import demo
from local.fault_matrix import show_matrix
from local.processes import LocalError
from local.progress import steps_on
from local.soak import FEWEST, MOST, soak
from local.stack import Stack, bring_up, build, running_stack, take_down

LOCAL = ROOT / ".local"
RUN = LOCAL / "run"

USAGE = """\
The stack is up, with the sandbox Tagger API at {sandbox}.

  source .local/run/env      # leads this shell, and no other, to the local cloud
  python -m local put photo.jpg --metadata tagger-brand=Acme
  aws s3 cp photo.jpg {photo} --metadata tagger-brand=Acme    # the same with AWS's command
  hangtag results show {photo}
  hangtag status
  hangtag tag photo.jpg      # asks the sandbox, past the stack
  make down                  # ends it, with all it holds"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    # Ended by a closed terminal or by `kill`, it stops what it started, as on Ctrl-C.
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    up_command = commands.add_parser("up", help="start the stack and leave it running")
    up_command.set_defaults(run=up)
    demo_command = commands.add_parser("demo", help="show the main job")
    demo_command.set_defaults(run=show_demo)
    demo_command.add_argument(
        "--images", type=Path, metavar="FOLDER", help="your own pictures"
    )
    for command in (up_command, demo_command):
        command.add_argument(
            "--port", type=port, default=0, help="of the local cloud (a free one)"
        )
        command.add_argument(
            "--sandbox-port", type=port, default=0, help="of the sandbox (a free one)"
        )

    down_command = commands.add_parser("down", help="end what `up` has started")
    down_command.set_defaults(run=down)

    put_command = commands.add_parser("put", help="upload files to what `up` started")
    put_command.set_defaults(run=put)
    put_command.add_argument("files", type=Path, nargs="+", metavar="FILE")
    put_command.add_argument(
        "--metadata",
        type=assignment,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="context of the images, such as tagger-brand=Acme; may be repeated",
    )

    faults_command = commands.add_parser("faults", help="every fault at every step")
    faults_command.set_defaults(run=show_faults)
    faults_command.add_argument(
        "--only", default="", metavar="WORDS", help="cells whose names hold these words"
    )
    faults_command.add_argument(
        "--max-attempts",
        type=int,
        default=3,
        metavar="N",
        help="the stack's MaxAttempts (3); with 1 what counts wrongly shows at once",
    )
    faults_command.add_argument(
        "--transport",
        choices=("base64", "url"),
        default="base64",
        help="the stack's ImageTransport (base64)",
    )

    soak_command = commands.add_parser("soak", help="many uploads under faults")
    soak_command.set_defaults(run=show_soak)
    soak_command.add_argument(
        "--uploads", type=uploads, default=2_000, metavar="N", help="object versions"
    )
    soak_command.add_argument(
        "--faults", type=share, default=0.1, metavar="RATE", help="such as 10%% or 0.1"
    )
    soak_command.add_argument(
        "--skip",
        action="append",
        default=[],
        choices=["kill", "outage", "rotation", "breaker"],
        help="leave this part out; may be repeated",
    )

    build_command = commands.add_parser("build", help="build for this machine's Python")
    build_command.set_defaults(run=build_only)
    return top


def port(text: str) -> int:
    """A port number from the command line; 0 for a free one."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return number


def uploads(text: str) -> int:
    """A number of uploads from the command line."""
    number = int(text)
    if not FEWEST <= number <= MOST:
        raise argparse.ArgumentTypeError(f"{text} is not from {FEWEST} to {MOST}")
    return number


def share(text: str) -> float:
    """A share from the command line: 10% or 0.1."""
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 0.5:
        raise argparse.ArgumentTypeError(f"{text} is not from 0% to 50%")
    return number


def assignment(text: str) -> tuple[str, str]:
    """KEY=VALUE from the command line."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    if ",tagger-" in value:
        raise argparse.ArgumentTypeError(
            f"{text!r} names several keys: repeat --metadata for each"
        )
    if not value.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} has characters no header can have")
    return key, value


def up(options: argparse.Namespace) -> int:
    """Start the stack in .local/run, unless it is there already."""
    talk = Console(stderr=True)
    with one_at_a_time():
        stack = running_stack(RUN)
        if stack:
            talk.print("It is already up.", highlight=False)
        else:
            take_down(RUN)  # the rest of one that was killed
            stack = bring_up(
                RUN,
                step=steps_on(talk),
                cloud_port=options.port,
                sandbox_port=options.sandbox_port,
            )
            write_environment(stack)
    photo = stack.uri("photo.jpg")
    print(USAGE.format(sandbox=stack.sandbox.url, photo=photo))
    return 0


def down(_options: argparse.Namespace) -> int:
    """End what `up` has started."""
    with one_at_a_time():
        ran = take_down(RUN)
        (RUN / "env").unlink(missing_ok=True)
    print("It is down." if ran else "Nothing is up.", file=sys.stderr)
    return 0


def put(options: argparse.Namespace) -> int:
    """Upload files under their own names, and print their uris."""
    with one_at_a_time():
        stack = running_stack(RUN)
    if stack is None:
        raise LocalError("the stack is not up; `make up` starts it")
    for file in options.files:
        try:
            body = file.read_bytes()
        except OSError as error:
            raise LocalError(f"{file} cannot be read: {error.strerror}") from error
        stack.upload(file.name, body, dict(options.metadata))
        print(printable(stack.uri(file.name)))
    return 0


def build_only(_options: argparse.Namespace) -> int:
    """Build what `up` would deploy, to where sam looks for it."""
    with steps_on(Console(stderr=True))("Building the stack (sam build)"):
        template = build(ROOT / ".aws-sam")
    print(template.relative_to(ROOT))
    return 0


def show_demo(options: argparse.Namespace) -> int:
    """Show the main job in a folder of its own, which is removed in the end."""
    with own_directory("demo-") as directory:
        demo(
            directory,
            images=options.images,
            cloud_port=options.port,
            sandbox_port=options.sandbox_port,
        )
    return 0


def show_faults(options: argparse.Namespace) -> int:
    """Run the matrix of faults; 0 only if every cell is well."""
    with own_directory("faults-") as directory:
        is_well = show_matrix(
            directory,
            only=options.only,
            max_attempts=options.max_attempts,
            transport=options.transport,
        )
    return 0 if is_well else 1


def show_soak(options: argparse.Namespace) -> int:
    """Upload much under faults; 0 only if nothing is lost and every call has its reason."""
    with own_directory("soak-") as directory:
        well = soak(
            directory,
            number=options.uploads,
            rate=options.faults,
            skip=frozenset(options.skip),
        )
    return 0 if well else 1


@contextmanager
def own_directory(prefix: str) -> Iterator[Path]:
    """A folder of its own in .local, which is removed in the end."""
    LOCAL.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=LOCAL))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def write_environment(stack: Stack) -> None:
    """Write what a shell sources to reach the stack."""
    # Whatever else would lead elsewhere, such as AWS_ENDPOINT_URL_S3
    lines = [
        "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "unset HANGTAG_STACK $(env | sed -n 's/^\\(AWS_ENDPOINT_URL_[A-Z0-9_]*\\)=.*/\\1/p')",
    ]
    variables = {
        **stack.access.variables(),
        "HANGTAG_TAGGER_API_URL": stack.sandbox.tagger_api_url,  # for `hangtag tag`
        "HANGTAG_API_KEY": stack.key(),
    }
    for name, value in variables.items():
        lines.append(f"export {name}={shlex.quote(value)}")
    lines.append(f'export PATH={shlex.quote(str(PROGRAMS))}:"$PATH"')
    file = RUN / "env"
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Commands that start or end the stack of .local/run take turns."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
