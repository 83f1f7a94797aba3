"""
Results as tables for people.

Any value in a result may be missing or of an undocumented type; it is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeGuard

from hangtag.results import Document

from .advice import advice_on
from .answer_parts import garments_in, name_of, plain, values_in
from .tables import columns, facts, swatch, text

if TYPE_CHECKING:
    from rich.console import RenderableType


def result_page(result: Document) -> Iterator[RenderableType]:
    """A TAGGED or FAILED result."""
    image = result["image"]
    yield text(image["uri"], "bold")
    if result["status"] == "FAILED":
        failure = result["failure"]
        yield facts(
            [
                ("status", text("FAILED", "red")),
                *failure_facts(
                    failure["code"],
                    failure["kind"],
                    failure["message"],
                    failure.get("format", ""),
                ),
                ("source", failure["source"]),
                ("attempts", failure["attempts"]),
                ("failed at", failure["failedAt"]),
                *version_facts(image),
            ]
        )
        return
    context = result.get("context") or {}
    yield facts(
        [
            ("status", text("TAGGED", "green")),
            ("tagged at", result["taggedAt"]),
            ("language", result["language"]),
            *([("context", plain(context))] if context else []),
            *version_facts(image),
        ]
    )
    yield from answer_page(result)


def failure_facts(
    code: str, kind: str, message: str, image_format: str = ""
) -> list[tuple[str, object]]:
    """The failure, who acts on it, and what to do."""
    advice = advice_on(code)
    return [
        ("code", text(code, "bold")),
        *([("format", image_format)] if image_format else []),
        ("kind", kind),
        ("message", message),
        ("who acts", advice.who),
        ("what to do", advice.text),
    ]


def version_facts(image: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The object version, as far as it is known."""
    named = [
        ("version", image.get("versionId")),
        ("etag", image.get("etag")),
        ("bytes", image.get("size")),
        ("sequencer", image.get("sequencer")),
    ]
    return [(name, value) for name, value in named if value is not None]


def answer_page(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The four parts of an answer: a table for each garment, and the rest below."""
    number = 0
    for number, garment in enumerate(garments_in(answer.get("objects")), start=1):
        if number > _MOST_GARMENTS:
            yield ""
            yield text(f"only the first {_MOST_GARMENTS} garments; {_REST}", "dim")
            break
        yield ""
        yield text(" ".join((str(number), plain(garment.kind))), "bold")
        yield from _garment(garment.tag)
    if number == 0:
        yield ""
        yield text("no garment found")
    others = [
        ("gender", name_of(answer.get("genderInfo"))),
        ("image", ", ".join(map(name_of, values_in(answer.get("imageInfo"))))),
        ("not asked for", _not_asked_for(answer.get("notMatchedObject"))),
    ]
    if any(value for _, value in others):
        yield ""
        yield facts((name, value) for name, value in others if value)


_MOST_GARMENTS = 50
_MOST_VALUES = 200
"""The most garments, and values of one, that are shown; a hostile answer may have a million."""

_REST = "--json prints all"

_LABELS = {
    "position": "position",
    "category": "category",
    "item": "item",
    "colors": "colours",
    "colorDetails": "palette",
    "prints": "prints",
    "textures": "textures",
    "looks": "looks",
    "details": "details",
    "length": "length",
    "sleeveLength": "sleeve length",
    "neckLine": "neckline",
    "fit": "fit",
    "shape": "shape",
    "heelHeight": "heel height",
    "toeType": "toe type",
    "heelShape": "heel shape",
    "soleType": "sole type",
    "pairIndex": "pair",
}
"""The attributes of a garment in the sequence in which they are shown."""


def _garment(tag: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The attributes of a garment: a value a line, with its confidence."""
    labels = _LABELS | {name: name for name in tag if name not in _LABELS}
    values = [
        (labels[name], name, value)
        for name in labels
        for value in values_in(tag.get(name))
    ]
    shown = columns(numbers=(2,), count=3)
    label_before = ""
    for label, name, value in values[:_MOST_VALUES]:
        shown.add_row(
            text("" if label == label_before else label, "dim"), *_cells_of(name, value)
        )
        label_before = label
    yield shown
    if len(values) > _MOST_VALUES:
        yield text(f"only the first {_MOST_VALUES} values; {_REST}", "dim")


def _cells_of(name: str, value: object) -> tuple[RenderableType, RenderableType]:
    """A value, and its share of certainty or of the garment."""
    if not isinstance(value, Mapping):
        return text(plain(value)), ""
    if name == "position":
        return text(_position(value)), ""
    if name == "colorDetails":
        code = plain(value.get("code"))
        label = " ".join(filter(None, (plain(value.get("name")), code)))
        return swatch(code, label), _percent(value.get("pixelFraction"))
    shown = name_of(value) if {"name", "id"} & value.keys() else plain(value)
    return text(shown), _percent(value.get("confidence"))


def _position(value: Mapping[str, Any]) -> str:
    """The centre of a garment in words and numbers, from the upper left corner."""
    sides = [value[side] for side in ("x", "y") if value.get(side) is not None]
    numbers = ", ".join(
        f"{side:.2f}" if _is_share(side) else plain(side) for side in sides
    )
    if len(sides) < 2 or not all(map(_is_share, sides)):
        return numbers
    across, down = (min(int(side * 3), 2) for side in sides)
    words = (("top", "centre", "bottom")[down], ("left", "", "right")[across])
    return f"{' '.join(filter(None, words))} ({numbers})"


def _not_asked_for(found: object) -> str:
    """The types of objects outside the requested detection, with their categories."""
    return ", ".join(
        plain(garment.kind) + (f" ({category})" if category else "")
        for garment in garments_in(found)
        for category in [name_of(garment.tag.get("category"))]
    )


def _percent(value: object) -> str:
    """A number from 0 to 1 as percent, any other as it is; `--json` prints all digits."""
    return f"{value:.0%}" if _is_share(value) else plain(value)


def _is_share(value: object) -> TypeGuard[int | Decimal]:
    # Formatted with decimals, 1e999999999 has a thousand million digits
    return isinstance(value, int | Decimal) and 0 <= value <= 1
