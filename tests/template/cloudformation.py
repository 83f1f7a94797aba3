"""Reads template.yaml for the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"


class _Loader(yaml.SafeLoader):
    """A YAML loader for CloudFormation's short forms: `!Ref x` becomes `{"Ref": "x"}`."""


def _short_form(loader: yaml.Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    match node:
        case yaml.ScalarNode():
            value: Any = loader.construct_scalar(node)
            return {name: value.split(".", 1) if suffix == "GetAtt" else value}
        case yaml.SequenceNode():
            return {name: loader.construct_sequence(node, deep=True)}
        case yaml.MappingNode():
            return {name: loader.construct_mapping(node, deep=True)}
        case _:
            raise TypeError(f"!{suffix} contains {node!r}")


_Loader.add_multi_constructor("!", _short_form)


def read_template(path: Path = TEMPLATE) -> dict[str, Any]:
    """Return the template with all intrinsic functions in their long form."""
    loader = _Loader(path.read_text("utf-8"))
    template: dict[str, Any] = loader.get_single_data()
    return template


def references(value: object) -> Iterator[str]:
    """Yield the names that intrinsic functions in *value* refer to."""
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text)}:
            yield from _names_in(text)
        case Mapping():
            for part in value.values():
                yield from references(part)
        case list():
            for part in value:
                yield from references(part)


def _names_in(text: str) -> Iterator[str]:
    for piece in text.split("${")[1:]:
        yield piece.split("}")[0].split(".")[0]
