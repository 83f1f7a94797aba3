"""The command `hangtag`: help, wrong usage, exit statuses."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hangtag_cli import output
from hangtag_cli.app import Command
from hangtag_cli.main import cli
from hangtag_cli.reference import reference
from tests.builders import REPOSITORY


def hangtag(*arguments: str, typed: str | bytes | None = None) -> Result:
    """Run the command in this process."""
    return CliRunner(mix_stderr=False).invoke(cli, arguments, input=typed)


def commands(group: click.Group = cli) -> Iterator[click.Command]:
    """All commands below *group*, without groups."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from commands(command)
        else:
            yield command


EXAMPLES = [
    example
    for command in commands()
    if isinstance(command, Command)
    for example in command.examples
]


def test_help_lists_the_commands() -> None:
    """--help is the first look at the command."""
    shown = hangtag("--help")

    assert shown.exit_code == 0
    for name in (
        "backfill",
        "failures",
        "key",
        "pause",
        "results",
        "resume",
        "sandbox",
        "status",
        "tag",
    ):
        assert f"\n  {name} " in shown.stdout


def groups(group: click.Group = cli) -> Iterator[click.Group]:
    """*group*, and all groups below it."""
    yield group
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from groups(command)


@pytest.mark.parametrize(
    "group", list(groups()), ids=lambda group: str(group.name or "hangtag")
)
def test_no_description_in_a_list_of_commands_is_cut(group: click.Group) -> None:
    """A terminal of 80 columns shows the whole first sentence of each command's help."""
    # click leaves a margin of 2; its runner for tests does not
    formatter = click.HelpFormatter(width=78)

    group.format_commands(click.Context(group), formatter)

    listed = formatter.getvalue()
    assert listed.count("\n  ") == len(group.commands)
    assert "..." not in listed


def test_the_version_is_that_of_the_package() -> None:
    """A bug report can name the version."""
    shown = hangtag("--version")

    assert shown.exit_code == 0
    assert shown.stdout.startswith("hangtag 0.")


@pytest.mark.parametrize(
    "command", list(commands()), ids=lambda command: str(command.name)
)
def test_every_command_shows_two_examples(command: click.Command) -> None:
    """Copying an example is quicker than reading options."""
    assert isinstance(command, Command)
    assert len(command.examples) == 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_accepted_by_its_command(example: str) -> None:
    """An option may have been renamed."""
    words = shlex.split(example.partition(" < ")[0])

    shown = hangtag(*words[1:], "--help")

    assert words[0] == "hangtag"
    assert shown.stderr == ""
    assert f"  {example}\n" in shown.stdout


def test_the_reference_is_the_commands_own_help() -> None:
    """docs/cli.md and --help say the same."""
    written = (REPOSITORY / "docs/cli.md").read_text(encoding="utf-8")

    assert written == reference(), "run: python -m hangtag_cli.reference > docs/cli.md"


def test_help_does_not_wait_for_slow_imports() -> None:
    """--help answers at once, although boto3 alone takes half a second to import."""
    slow = ("boto3", "botocore", "pydantic", "urllib3", "rich")
    program = (
        f"import sys, hangtag_cli.main; print([m for m in {slow} if m in sys.modules])"
    )

    imported = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert imported.strip() == "[]"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "dress.jpg",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3:///key",
        "S3://bucket/key",
        "https://bucket/key",
        "s3://bucket/\udce9.jpg",
    ],
)
def test_an_invalid_uri_is_wrong_usage(uri: str) -> None:
    """Exit status 2, because 1 means that there is no result."""
    shown = hangtag("results", "show", uri)

    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert "Invalid value for 'URI'" in shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["--no-such-option"],
        ["results", "show"],
        ["failures", "show", "s3://bucket"],
        ["failures", "show", ""],
        ["failures", "replay", "s3://bucket"],
        ["status", "--since", "yesterday"],
        ["status", "--since", "999999w"],
        ["--endpoint-url", "localhost:4566", "status"],
        ["--endpoint-url", "http://localhost:port", "status"],
        ["--endpoint-url", "ftp://localhost", "status"],
        ["--stack", "", "status"],
        ["--stack", "a b", "status"],
        ["--stack", "caf\udce9", "status"],
        ["tag"],
        ["tag", "no-such-file.jpg"],
        ["tag", "."],
        ["sandbox", "--port", "70000"],
    ],
)
def test_wrong_usage_exits_with_2_and_prints_no_data(arguments: list[str]) -> None:
    """Exit status 2 means that nothing was done."""
    shown = hangtag(*arguments)

    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert "Error: " in shown.stderr


@pytest.mark.parametrize("name", ["no such.jpg", "a folder"])
def test_a_path_that_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    """The user may have given fifty files."""
    (tmp_path / "a folder").mkdir()

    shown = hangtag("tag", str(tmp_path / name))

    assert shown.exit_code == 2
    assert name in shown.stderr


def test_tagging_without_a_key_says_where_it_comes_from(tmp_path: Path) -> None:
    """The key cannot be typed if stdin is no terminal."""
    file = tmp_path / "dress.png"
    file.write_bytes(b"")

    shown = hangtag("tag", str(file))

    assert shown.exit_code == 2
    assert "HANGTAG_API_KEY" in shown.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--url", "http://api.example.com/tags"], "http://api.example.com/tags"),
        (["--url", "http://127.0.0.1@example.com/"], "http://127.0.0.1@example.com/"),
        (
            ["--language", "fr"],
            "'fr' is not a supported language; allowed are en, ko, zh, ja",
        ),
        (["--detection", "TOP,SOCKS"], "'SOCKS' cannot be detected"),
    ],
)
def test_tagging_with_a_wrong_option_names_the_value(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    named: str,
) -> None:
    """And the key is not sent to an unsafe address."""
    file = tmp_path / "dress.png"
    file.write_bytes(b"")
    monkeypatch.setenv("HANGTAG_API_KEY", "key-of-the-tests")

    shown = hangtag("tag", *options, str(file))

    assert shown.exit_code == 2
    assert named in shown.stderr


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel", '{"key": "abc123"}'])
def test_tagging_with_an_invalid_key_does_not_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """A mistyped secret is still a secret."""
    file = tmp_path / "dress.png"
    file.write_bytes(b"")
    monkeypatch.setenv("HANGTAG_API_KEY", key)

    shown = hangtag("tag", str(file))

    assert shown.exit_code == 2
    assert "no API key" in shown.stderr
    assert key not in shown.stderr


@pytest.mark.parametrize(
    "secret",
    [
        b"",
        b" \r\n",
        b"two\nlines-of-a-key",
        "schlüssel-of-a-key".encode(),
        b"\xff\xfe-of-a-key",
        b"tab\tof-a-key",
        b'{"apiKey": ""}',
        b'{"apiKey": 5}',
        b'{"key": "of-a-key"}',
        b'{"apiKey": "of-a-key"',
        b"k" * 65_537,
    ],
)
def test_an_invalid_key_is_not_stored_and_not_repeated(secret: bytes) -> None:
    """With it, uploads would fail with code 609."""
    shown = hangtag("key", "set", typed=secret)

    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert "key" in shown.stderr
    assert "of-a-key" not in shown.stderr


@pytest.mark.parametrize("command", ["set", "check"])
@pytest.mark.parametrize("prefix", ["", "--", "-"])
def test_a_key_on_the_command_line_is_refused_and_not_repeated(
    command: str, prefix: str
) -> None:
    """It would stay in the shell's history, and other users would see it in `ps`."""
    shown = hangtag("key", command, f"{prefix}key-of-the-tests")

    assert shown.exit_code == 2
    assert "history" in shown.stderr
    assert "key-of-the-tests" not in shown.stderr


def test_without_the_extra_the_sandbox_says_how_to_install_it() -> None:
    """`pip install hangtag` does not install the packages of the sandbox."""
    program = (
        "import sys; sys.modules['werkzeug'] = None; "
        "from hangtag_cli.main import cli; cli(['sandbox', '--port', '0'])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 2
    assert "pip install '.[sandbox]'" in ended.stderr


def test_json_is_utf_8_and_half_a_character_does_not_break_it() -> None:
    """The output depends neither on the terminal's encoding nor on the API's answer."""
    document = {"name": "드레스", "half": "\ud800"}

    @click.command()
    def command() -> None:
        output.data(document)

    printed = CliRunner(mix_stderr=False).invoke(command).stdout_bytes

    assert "드레스".encode() in printed
    assert json.loads(printed) == document
