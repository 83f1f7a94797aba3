"""Every command, with any arguments and with hostile dead letters: no traceback."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import click
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from hangtag_cli.main import cli
from tests.builders import BUCKET, KEY, PNG, notification, record
from tests.contract.cli_stack import InMemory, hangtag
from tests.fuzzing import ARGUMENTS


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """Some files in the current folder, for all examples."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "dress.png").write_bytes(PNG)
    (folder / "backup.jsonl").write_bytes(b'{"image": null}\n')
    (folder / "empty").write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield (*(str(one) for one in folder.iterdir()), "nothing")


def paths(group: click.Group = cli) -> Iterator[tuple[str, ...]]:
    """The names of each command, from the outermost group."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from ((name, *path) for path in paths(command))
        elif (
            name != "sandbox"
        ):  # it would serve; tests/unit/test_fuzz_operators.py parses it
            yield (name,)


def command_of(path: tuple[str, ...]) -> click.Command:
    """The command with these names."""
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return command


GLOBAL = st.lists(
    st.sampled_from(
        [
            ("--json",),
            ("--stack", "other"),
            ("--stack", ""),
            ("--stack", "a b\udcff"),
            ("--region", "a b"),
            ("--region", ""),
            ("--region", "\udcff"),
            ("--endpoint-url", "http://["),
            ("--endpoint-url", ""),
        ]
    ),
    max_size=1,
)

VALUES = {
    # No call beyond this machine, and no rate that takes long
    "url": st.sampled_from(
        ["", "https://[", "https://", "ftp://x", "http://127.0.0.1:1/", "x\udcff"]
    ),
    "rate": st.sampled_from(["1000000", "1e9999", "nan", "-1", "", "0", "٣"]),
    "uri": st.sampled_from(["s3://bucket/a b", "s3://bucket", "s3://b/\udcff"]),
    "name": st.sampled_from(["s3://bucket/a", "7c6d5b1e", "s3://"]),
    "names": st.sampled_from(["s3://bucket/a", "7c6d5b1e", "s3://"]),
    "inventory": st.sampled_from(["s3://bucket/manifest.json", "s3://b/\udcff"]),
    "since": st.sampled_from(["24h", "999999w", "0001-01-01", "9999-12-31", "now"]),
    "until": st.sampled_from(["24h", "999999w", "0001-01-01", "9999-12-31", "now"]),
}
NUMBERS = st.sampled_from(["0", "1", "-1", "9" * 30, "9" * 5_000, "1.5", ""])


@st.composite
def arguments(
    draw: st.DrawFn, path: tuple[str, ...], files: tuple[str, ...]
) -> list[str]:
    """Arguments of a command: its own options with good and bad values, and others."""
    words: list[str] = []
    for param in command_of(path).params:
        name = str(param.name)
        values = VALUES.get(name, NUMBERS | st.sampled_from([*files, "803"]))
        if isinstance(param.type, click.Choice):
            values = st.sampled_from([*param.type.choices])
        elif isinstance(param.type, click.Path):
            values = st.sampled_from(files)
        if name not in ("url", "rate"):
            values = values | values | ARGUMENTS
        if isinstance(param, click.Option) and draw(st.integers(0, 3)) == 0:
            words.append(param.opts[0])
            words += [] if param.is_flag else [draw(values)]
        if isinstance(param, click.Argument) and draw(st.integers(0, 4)):
            words.append(draw(values))
    return words


@pytest.mark.fuzz("hangtag_cli.main.cli")
@given(path=st.sampled_from(list(paths())), data=st.data())
def test_a_command_with_any_arguments_ends_with_0_1_or_2(
    files: tuple[str, ...], path: tuple[str, ...], data: st.DataObject
) -> None:
    """Without a stack, whose answers are tested elsewhere; a traceback helps nobody."""
    own = data.draw(arguments(path, files))
    before = [word for option in data.draw(GLOBAL) for word in option]
    typed = data.draw(st.just(b"key-1") | st.binary(max_size=20))

    with mock_aws():
        ended(hangtag(*before, *path, *own, typed=typed))


HOSTILE = {
    "ErrorCode": "\u202e" + "9" * 2_000,
    "Attempts": "9" * 500,
    "Image": "s3://\u2028",
    "RequestId": "r",
}


@pytest.mark.parametrize(
    "arguments",
    [
        ["failures", "list"],
        ["--json", "failures", "show", f"s3://{BUCKET}/{KEY}"],
        ["status"],
    ],
    ids=" ".join,
)
def test_letters_of_any_time_are_shown(stack: InMemory, arguments: list[str]) -> None:
    """A handmade letter may have failed in the first year, around which there is no log."""
    stack.map_queue_to_function(enabled=True)
    for when in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        values = {**HOSTILE, "FailedAt": when}
        boto3.client("sqs").send_message(
            QueueUrl=stack.outputs["DeadLetterQueueUrl"],
            MessageBody=notification(record(KEY)),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in values.items()
            },
        )

    assert ended(hangtag(*arguments)).exit_code == 0


def ended(result: Result) -> Result:
    """Require that the command ended by itself."""
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2)
    assert "Traceback" not in result.stderr
    return result
