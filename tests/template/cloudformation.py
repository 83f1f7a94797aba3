"""Reads template.yaml for the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
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


NO_VALUE = {"Ref": "AWS::NoValue"}


def with_conditions(
    value: object,
    partition: str,
    template: dict[str, Any],
    parameters: Mapping[str, str] = MappingProxyType({}),
) -> Any:  # noqa: ANN401 - as in the template
    """
    The value as it is in this AWS partition, with *parameters* instead of their defaults.

    Each `Fn::If` is replaced by one of its values, and what has the value `AWS::NoValue` is gone.
    """

    def resolved(value: object) -> Any:  # noqa: ANN401 - as in the template
        match value:
            case {"Fn::If": [str(name), yes, no]}:
                return resolved(yes if is_true(template["Conditions"][name]) else no)
            case Mapping():
                parts = {name: resolved(part) for name, part in value.items()}
                return {
                    name: part for name, part in parts.items() if part != NO_VALUE
                }
            case list():
                return [part for part in map(resolved, value) if part != NO_VALUE]
            case _:
                return value

    def is_true(condition: object) -> bool:
        match condition:
            case {"Fn::Equals": [one, other]}:
                return known(one) == known(other)
            case {"Fn::Not": [one]}:
                return not is_true(one)
            case {"Fn::Or": list(several)}:
                return any(map(is_true, several))
            case {"Fn::And": list(several)}:
                return all(map(is_true, several))
            case _:
                raise TypeError(f"{condition!r} is no condition")

    def known(value: object) -> str:
        match value:
            case {"Ref": "AWS::Partition"}:
                return partition
            case {"Ref": "AWS::AccountId"}:
                return "123456789012"
            case {"Ref": str(name)}:
                default = template["Parameters"][name]["Default"]
                return parameters.get(name, str(default))
            case _:
                return str(value)

    return resolved(value)


def resources_with(
    template: dict[str, Any], parameters: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """The resources that a deployment with these parameters has, in the partition `aws`."""
    conditions = {
        name: with_conditions({"Fn::If": [name, True, False]}, "aws", template, parameters)
        for name in template["Conditions"]
    }
    existing = {
        name: resource
        for name, resource in template["Resources"].items()
        if conditions.get(resource.get("Condition"), True)
    }
    found: dict[str, Any] = with_conditions(existing, "aws", template, parameters)
    return found


def policy_statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield resource and statement of every policy in the template."""
    for name, resource in template["Resources"].items():
        own = resource.get("Properties", {})
        documents = [
            own.get("PolicyDocument"),
            own.get("AssumeRolePolicyDocument"),
            *(policy["PolicyDocument"] for policy in own.get("Policies", [])),
        ]
        for document in filter(None, documents):
            for statement in document["Statement"]:
                yield name, statement


def listed(value: str | list[str]) -> list[str]:
    """Actions or resources of a statement: a list, also of a single one."""
    return [value] if isinstance(value, str) else list(value)


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
