"""
The parts of an answer that are shown and exported.

Any value in an answer may be missing or of an undocumented type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hangtag.tagger_api.answer import NOTHING_DETECTED

ATTRIBUTES: Final = (
    *("item", "colors", "prints", "textures", "looks", "details"),
    *("length", "sleeveLength", "neckLine", "fit", "shape"),
    *("heelHeight", "toeType", "heelShape", "soleType"),
)
"""The attributes of a garment that have a confidence, by the API's names."""


@dataclass(frozen=True, slots=True)
class Garment:
    """A garment in the image."""

    kind: Any
    """The type of its object, such as CLOTHING."""
    tag: Mapping[str, Any]
    """Its attributes, by the API's names; empty if the object has no tags."""


def garments_in(objects: object) -> Iterator[Garment]:
    """The garments of an answer's `objects` or `notMatchedObject`."""
    for found in listed(objects):
        if not isinstance(found, Mapping):
            yield Garment(found, {})
        elif found.get("type") != NOTHING_DETECTED:
            for tag in listed(found.get("tags")) or [{}]:
                attributes = tag if isinstance(tag, Mapping) else {"category": tag}
                yield Garment(found.get("type"), attributes)


def values_in(attribute: object) -> list[Any]:
    """The values of an attribute, which is one value or a list."""
    if attribute is None:
        return []
    return attribute if isinstance(attribute, list) else [attribute]


def name_of(value: object) -> str:
    """The name of a value, or its id."""
    if isinstance(value, Mapping):
        return plain(value.get("name") or value.get("id"))
    return plain(value)


def plain(value: object) -> str:
    """Any JSON-like value as text; "" for None."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return str(value)


def listed(value: object) -> list[Any]:
    """*value* if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
