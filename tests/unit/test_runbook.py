"""docs/operations.md: whoever looks an alarm or a code up at three in the morning finds it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import click
import pytest

from hangtag.errors import UNCODED
from hangtag.tagger_api.errors import leaves
from hangtag_cli.main import cli

RUNBOOK = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")

PARTS = ["**Means**", "**Look**", "**Do**", "**It worked**"]


def chapter(name: str) -> str:
    """The text under a heading of the second level."""
    return RUNBOOK.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]


def sections(name: str) -> dict[str, str]:
    """The sections of a chapter by their headings."""
    parts = re.split(r"^### (.+)$", chapter(name), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_code_stands_in_one_section_and_no_other_does() -> None:
    """A new leaf without an entry fails here."""
    told = Counter(
        code
        for heading in sections("Codes")
        for code in re.findall(r"`(.+?)`", heading)
    )

    assert told == Counter(
        [*(leaf.code for leaf in leaves()), "HTTP_<status>", UNCODED]
    )


@pytest.mark.parametrize("name", sections("Codes"))
def test_a_code_is_told_whole(name: str) -> None:
    """What it means, how to look, what to do, how to know that it worked; in this order."""
    text = sections("Codes")[name]

    assert re.findall(r"^\*\*[\w ]+\*\*", text, re.MULTILINE) == PARTS


@pytest.mark.parametrize("name", sections("Alarms"))
def test_an_alarm_is_told_whole(name: str) -> None:
    """As a code; what is looked at and done may be one."""
    told = re.findall(r"\*\*(\w[\w ]*)\*\*", sections("Alarms")[name])

    assert {"Means", "Look", "It worked"} <= set(told)
    assert {"Do", "do"} & set(told)


COMMANDS = sorted(set(re.findall(r"hangtag ((?:--json )?[a-z][^`\n#|]*)", RUNBOOK)))


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_in_it_is_one(words: str) -> None:
    """With options that it has, and their values; what stands for a name may be anything."""
    command: click.Command = cli
    context = click.Context(cli)
    rest = words.split()
    while isinstance(command, click.Group):
        _, rest, _ = command.make_parser(context).parse_args(rest)
        assert rest, "a group alone does nothing"
        found = command.get_command(context, rest[0])
        assert found is not None, rest[0]
        command, rest = found, rest[1:]

    given, left, _ = command.make_parser(click.Context(command)).parse_args(rest)

    assert left == []
    for parameter in command.params:
        if parameter.required:
            assert given.get(str(parameter.name)), parameter.name
