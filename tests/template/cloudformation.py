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


def with_conditions(value: object, partition: str, template: dict[str, Any]) -> Any:  # noqa: ANN401
    """The value with each `Fn::If` replaced by what it is with defaults in this AWS partition."""
    match value:
        case {"Fn::If": [str(name), yes, no]}:
            is_true = _is_true(template["Conditions"][name], partition, template)
            return with_conditions(yes if is_true else no, partition, template)
        case Mapping():
            return {
                name: with_conditions(part, partition, template)
                for name, part in value.items()
            }
        case list():
            return [with_conditions(part, partition, template) for part in value]
        case _:
            return value


def _is_true(condition: object, partition: str, template: dict[str, Any]) -> bool:
    match condition:
        case {"Fn::Equals": [one, other]}:
            return _known(one, partition, template) == _known(
                other, partition, template
            )
        case {"Fn::Not": [one]}:
            return not _is_true(one, partition, template)
        case {"Fn::Or": list(several)}:
            return any(_is_true(one, partition, template) for one in several)
        case {"Fn::And": list(several)}:
            return all(_is_true(one, partition, template) for one in several)
        case _:
            raise TypeError(f"{condition!r} is no condition")


def _known(value: object, partition: str, template: dict[str, Any]) -> str:
    match value:
        case {"Ref": "AWS::Partition"}:
            return partition
        case {"Ref": "AWS::AccountId"}:
            return "123456789012"
        case {"Ref": str(name)}:
            return str(template["Parameters"][name]["Default"])
        case _:
            return str(value)


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
