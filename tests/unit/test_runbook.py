"""docs/operations.md has a complete section for each alarm and each error code."""

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


def chapter_text(name: str) -> str:
    """The text under a heading of the second level."""
    return RUNBOOK.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]


def sections(name: str) -> dict[str, str]:
    """The sections of a chapter by their headings."""
    parts = re.split(r"^### (.+)$", chapter_text(name), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_code_has_exactly_one_section() -> None:
    """A new leaf without a section fails here."""
    found = Counter(
        code
        for heading in sections("Codes")
        for code in re.findall(r"`(.+?)`", heading)
    )

    assert found == Counter(
        [*(leaf.code for leaf in leaves()), "HTTP_<status>", UNCODED]
    )


@pytest.mark.parametrize("name", sections("Codes"))
def test_the_section_of_a_code_is_complete(name: str) -> None:
    """Its parts are meaning, check, remedy and proof, in this sequence."""
    text = sections("Codes")[name]

    assert re.findall(r"^\*\*[\w ]+\*\*", text, re.MULTILINE) == PARTS


@pytest.mark.parametrize("name", sections("Alarms"))
def test_the_section_of_an_alarm_is_complete(name: str) -> None:
    """Its parts are those of a code; check and remedy may be one part."""
    found = re.findall(r"\*\*(\w[\w ]*)\*\*", sections("Alarms")[name])

    assert {"Means", "Look", "It worked"} <= set(found)
    assert {"Do", "do"} & set(found)


COMMANDS = sorted(set(re.findall(r"hangtag ((?:--json )?[a-z][^`\n#|]*)", RUNBOOK)))


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_on_the_page_is_valid(words: str) -> None:
    """Its options and their values exist; a placeholder may stand for any name."""
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
