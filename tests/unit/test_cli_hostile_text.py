"""What the command prints about hostile arguments, files and errors; no AWS."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hangtag.text import printable
from hangtag_cli import output
from hangtag_cli.main import cli
from tests import hostile
from tests.builders import REPOSITORY

ARGUMENT = (hostile.TEXT + hostile.BYTES).replace("\0", "")
"""The operating system allows no zero in an argument."""


def commands(
    group: click.Group = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands and groups with their names."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def arguments_of(path: tuple[str, ...], command: click.Command) -> Iterator[list[str]]:
    """
    Command lines with a hostile option, hostile arguments, or a hostile value of an option.

    Without the options of the sandbox that take any text, because it would start.
    """
    yield [*path, f"--{ARGUMENT}"]
    yield [*path, *[ARGUMENT] * 9]
    for parameter in command.params:
        is_read = path != ("sandbox",) or parameter.type is not click.STRING
        if isinstance(parameter, click.Option) and not parameter.is_flag and is_read:
            yield [*path, parameter.opts[0], ARGUMENT]


COMMAND_LINES = [
    line for path, command in commands() for line in arguments_of(path, command)
]


@pytest.mark.parametrize(
    "line", COMMAND_LINES, ids=lambda line: " ".join(line[:3])[:20]
)
def test_a_refused_argument_is_repeated_without_controls(line: list[str]) -> None:
    """A file's name or a key may have been pasted, or come from a pattern like *.jpg."""
    shown = CliRunner(mix_stderr=False).invoke(cli, line, input="")

    assert isinstance(shown.exception, SystemExit)
    assert shown.exit_code in (1, 2)
    assert hostile.raw_in(shown.stdout + shown.stderr) == []


def test_a_file_whose_name_is_hostile_is_named_without_controls(tmp_path: Path) -> None:
    """`hangtag tag *` takes any name."""
    file = tmp_path / ARGUMENT.replace("/", "")[:80]
    file.write_bytes(b"no image")
    environment = {"HANGTAG_API_KEY": "key"}

    for options in ([], ["--json"]):
        shown = CliRunner(mix_stderr=False, env=environment).invoke(
            cli, ["tag", *options, str(file)]
        )
        assert "UNSUPPORTED_FORMAT" in shown.stdout
        assert hostile.raw_in(shown.stdout + shown.stderr) == []


def test_the_traceback_of_a_defect_is_printed_without_controls() -> None:
    """The message of an error that no command foresees may repeat a key."""
    program = (
        "import click, sys; from hangtag_cli.main import cli\n"
        "from tests.hostile import BYTES, TEXT\n"
        "@cli.command()\n"
        "def fail():\n"
        "    raise LookupError(TEXT + BYTES)\n"
        "sys.argv = ['hangtag', 'fail']\n"
        "cli()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" in done.stderr
    assert "LookupError: a ]52;c;aGFja2Vk" in done.stderr
    assert hostile.raw_in(done.stderr) == []


def test_a_warning_of_a_library_is_printed_without_controls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The sandbox logs what it could not read."""
    logging.getLogger().handlers = []
    output.talk_log()

    logging.getLogger("hangtag_sandbox").warning("%s", hostile.TEXT)

    shown = capsys.readouterr().err
    assert "]52;c;aGFja2Vk" in shown
    assert hostile.raw_in(shown) == []


@pytest.mark.parametrize("word", ["; exit 3", "$(id)", "`id`", "a'b", hostile.TEXT])
def test_a_command_to_copy_has_its_words_quoted(word: str) -> None:
    """A dead letter that someone made may have any error code."""
    line = output.command_line("printf", "%s", word)

    done = subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, encoding="utf-8", check=True
    )

    assert done.stdout == printable(word)
