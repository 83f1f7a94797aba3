"""Reads the examples on docs/events.md, so that tests run exactly what subscribers copy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any

PAGE = (Path(__file__).parents[1] / "docs/events.md").read_text("utf-8")


def chapter(name: str) -> str:
    """The text under a heading of the second level."""
    return PAGE.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


[CONSUMER] = blocks(chapter("Duplicates and order"), "python")


def consumer() -> Callable[..., None]:
    """The function `consume` of the page."""
    names: dict[str, Any] = {}
    exec(CONSUMER, names)  # noqa: S102 - our own page
    found: Callable[..., None] = names["consume"]
    return found


def filter_policies() -> dict[str, dict[str, Any]]:
    """The filter policies, by the sentence before each."""
    found = re.findall(
        r"^(\S[^\n]*):\n\n```json\n(.*?)^```",
        chapter("Filter policies"),
        re.MULTILINE | re.DOTALL,
    )
    return {sentence: json.loads(policy) for sentence, policy in found}


def snippets() -> dict[str, str]:
    """The resources of each way to subscribe, by its heading."""
    parts = re.split(r"^### (.+)$", chapter("Subscribe"), flags=re.MULTILINE)[1:]
    return {
        name: found[0]
        for name, text in zip(parts[::2], parts[1::2], strict=True)
        if (found := blocks(text, "yaml"))
    }


def template_of(*resources: str) -> str:
    """A template with these resources and the parameter that the page names."""
    return (
        'AWSTemplateFormatVersion: "2010-09-09"\n'
        "Transform: AWS::Serverless-2016-10-31\n"
        "Parameters:\n  TopicArn:\n    Type: String\n"
        "Resources:\n" + "".join(indent(text, "  ") for text in resources)
    )
