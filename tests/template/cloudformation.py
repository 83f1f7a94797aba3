"""Reads template.yaml for the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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


NO_VALUE = {"Ref": "AWS::NoValue"}


@dataclass(frozen=True)
class Deployment:
    """A template in an AWS partition, with parameters instead of their defaults."""

    template: dict[str, Any]
    partition: str = "aws"
    parameters: Mapping[str, str] = field(default_factory=dict)

    def resources(self) -> dict[str, Any]:
        """The resources that it has, without conditions in their properties."""
        return {
            name: self.resolved(resource)
            for name, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.has(resource["Condition"])
        }

    def resolved(self, value: object) -> Any:  # noqa: ANN401 - as in the template
        """The value with one of the values of each `Fn::If`; `AWS::NoValue` is left out."""
        match value:
            case {"Fn::If": [str(name), yes, no]}:
                return self.resolved(yes if self.has(name) else no)
            case Mapping():
                parts = {name: self.resolved(part) for name, part in value.items()}
                return {name: part for name, part in parts.items() if part != NO_VALUE}
            case list():
                parts_of_it = map(self.resolved, value)
                return [part for part in parts_of_it if part != NO_VALUE]
            case _:
                return value

    def has(self, name: str) -> bool:
        """Whether the condition of this name holds."""
        return self._holds(self.template["Conditions"][name])

    def _holds(self, condition: object) -> bool:
        match condition:
            case {"Fn::Equals": [one, other]}:
                return self._known(one) == self._known(other)
            case {"Fn::Not": [one]}:
                return not self._holds(one)
            case {"Fn::Or": list(several)}:
                return any(map(self._holds, several))
            case {"Fn::And": list(several)}:
                return all(map(self._holds, several))
            case {"Condition": str(name)}:
                return self.has(name)
            case _:
                raise TypeError(f"{condition!r} is no condition")

    def _known(self, value: object) -> str:
        match value:
            case {"Ref": "AWS::Partition"}:
                return self.partition
            case {"Ref": "AWS::AccountId"}:
                return "123456789012"
            case {"Ref": str(name)}:
                default = self.template["Parameters"][name]["Default"]
                return self.parameters.get(name, str(default))
            case {"Fn::Join": [str(between), {"Fn::Split": [str(delimiter), whole]}]}:
                return between.join(self._known(whole).split(delimiter))
            case _:
                return str(value)


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
                for one in _branches(statement):
                    yield name, one


def _branches(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Both statements of an `Fn::If`, or the statement itself."""
    for one in statement.get("Fn::If", [None, statement])[1:]:
        if one != NO_VALUE:
            yield one


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
        case {"Fn::Sub": [str(text), dict(own)]}:
            yield from (name for name in _names_in(text) if name not in own)
            yield from references(own)
        case Mapping():
            for part in value.values():
                yield from references(part)
        case list():
            for part in value:
                yield from references(part)


def _names_in(text: str) -> Iterator[str]:
    for piece in text.split("${")[1:]:
        yield piece.split("}")[0].split(".")[0]
