"""
Compares a schema with the published one of the same event: may consumers go on as before?

They may if every new event is valid under the published schema, too, and has the fields that it
documents. Fields may be added; none may be removed, become optional, or get another type or more
values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_ANNOTATIONS = {
    *("$schema", "$defs", "$comment", "title", "description", "examples", "default"),
    "deprecated",
}
_COMPARED = {"type", "enum", "const", "required", "properties", "items", "anyOf"}
_MINIMA = {"minLength", "minItems", "minimum", "exclusiveMinimum"}
_MAXIMA = {"maxLength", "maxItems", "maximum", "exclusiveMaximum"}
_CONSTRAINTS = {"pattern", "format", "additionalProperties", *_MINIMA, *_MAXIMA}
"""Keywords that may be added, because they only exclude values."""


def incompatibilities(published: Schema, new: Schema) -> list[str]:
    """What consumers of the published schema cannot rely on any more, a sentence each."""
    return list(_Comparison(published, new).run())


class _Comparison:
    def __init__(self, published: Schema, new: Schema) -> None:
        self._published = published
        self._new = new

    def run(self) -> Iterator[str]:
        """All differences that consumers notice."""
        yield from self._compare(self._published, self._new, "the event")

    def _compare(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        old, new = _resolved(old, self._published), _resolved(new, self._new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._compare_alternatives(old, new, where)
            return
        if widened := _types(new) - _types(old):
            yield f"{where} may be of another type: {', '.join(sorted(widened))}"
        if (allowed := _values(old)) is not None:
            values = _values(new)
            if values is None or any(value not in allowed for value in values):
                yield f"{where} may have another value"
        yield from self._compare_objects(old, new, where)
        if "items" in old and "items" not in new:
            yield f"{where} may have any items"
        elif "items" in old:
            yield from self._compare(old["items"], new["items"], f"{where}[]")
        yield from _compare_constraints(old, new, where)

    def _compare_objects(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        for name in sorted({*old.get("required", ())} - {*new.get("required", ())}):
            yield f"{where}.{name} is no longer required"
        properties = new.get("properties", {})
        if old.get("additionalProperties", True) is not True:
            for name in sorted({*properties} - {*old.get("properties", {})}):
                yield f"{where}.{name} is new, and the published schema allows no more"
        for name, schema in old.get("properties", {}).items():
            if name in properties:
                yield from self._compare(schema, properties[name], f"{where}.{name}")
            else:
                yield f"{where}.{name} is removed"

    def _compare_alternatives(
        self, old: Schema, new: Schema, where: str
    ) -> Iterator[str]:
        """Each new alternative is an old one, and no documented one is lost."""
        published = _alternatives(old, self._published)
        found: set[int] = set()
        for alternative in _alternatives(new, self._new):
            # "Any other value" accepts all, so it is compared with its like only
            troubles = {
                number: list(self._compare(one, alternative, where))
                for number, one in enumerate(published)
                if _is_documented(one) == _is_documented(alternative)
                and _types(one) & _types(alternative)
            }
            matching = {number for number, found in troubles.items() if not found}
            found |= matching
            if not troubles:
                yield f"{where} has a new alternative: {_name(alternative)}"
            elif not matching:
                name = _name(alternative)
                same = [n for n in troubles if _name(published[n]) == name]
                nearest = min(same or troubles, key=lambda n: len(troubles[n]))
                found.add(nearest)
                yield from troubles[nearest]
        for number, one in enumerate(published):
            if number not in found and _is_documented(one) and _types(one) != {"null"}:
                yield f"{where} has lost an alternative: {_name(one)}"


def _compare_constraints(old: Schema, new: Schema, where: str) -> Iterator[str]:
    for keyword in sorted({*old, *new} - _ANNOTATIONS - _COMPARED):
        before, now = old.get(keyword), new.get(keyword)
        if before == now or (before is None and keyword in _CONSTRAINTS):
            continue
        is_narrower = now is not None and (
            (keyword in _MINIMA and before is not None and now >= before)
            or (keyword in _MAXIMA and before is not None and now <= before)
        )
        if not is_narrower:
            yield f"{where} has another {keyword}: {before!r} became {now!r}"


def _resolved(schema: Schema, root: Schema) -> Schema:
    """A schema without `$ref` to a definition; what stands beside it is kept."""
    while "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**root["$defs"][name], **beside}
    return schema


def _alternatives(schema: Schema, root: Schema) -> list[Schema]:
    return [_resolved(one, root) for one in schema.get("anyOf", [schema])]


_ALL_TYPES = {"string", "number", "object", "array", "boolean", "null"}


def _types(schema: Schema) -> set[str]:
    """The types that it accepts; an integer is a number."""
    named = schema.get("type", [])
    types = {named} if isinstance(named, str) else {*named}
    types = types or {*_ALL_TYPES}
    return types | {"integer"} if "number" in types else types


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _is_documented(schema: Schema) -> bool:
    """Whether it says anything of the value."""
    return bool(schema.keys() - _ANNOTATIONS)


def _name(schema: Schema) -> str:
    return str(schema.get("title") or schema.get("type"))
