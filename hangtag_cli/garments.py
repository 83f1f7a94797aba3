"""
Results as tables for people.

Any value in a result may be missing or of an undocumented type; it is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hangtag.results import Document
from hangtag.tagger_api.answer import NOTHING_DETECTED

from .advice import advice_on
from .tables import facts, table, text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .tables import Rows


_MOST_GARMENTS = 200  # rows; a hostile answer may have a million


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
            *([("context", _plain(context))] if context else []),
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
    """The four parts of an answer: a table of the garments, and the rest below."""
    yield ""
    garments = table(
        "type", "category", "item", "colours", "prints", "looks", "position"
    )
    for found in _listed(answer.get("objects")):
        if garments.row_count < _MOST_GARMENTS:
            _add_object(garments, found)
    yield garments if garments.row_count else text("no garment found")
    if garments.row_count == _MOST_GARMENTS:
        yield text(f"only the first {_MOST_GARMENTS} rows; --json prints all", "dim")
    others = [
        ("gender", _names(answer.get("genderInfo"))),
        ("image", _names(answer.get("imageInfo"))),
        ("not asked for", _types(answer.get("notMatchedObject"))),
    ]
    if any(value for _, value in others):
        yield facts((name, value) for name, value in others if value)


def _add_object(garments: Rows, found: object) -> None:
    if not isinstance(found, Mapping):
        garments.add_row(text(_plain(found)))
        return
    kind = found.get("type")
    if kind == NOTHING_DETECTED:
        garments.add_row(text("no garment found"))
        return
    left = _MOST_GARMENTS - garments.row_count
    for tag in _listed(found.get("tags"))[:left] or [{}]:
        parts = tag if isinstance(tag, Mapping) else {"category": tag}
        garments.add_row(
            text(_plain(kind)),
            text(_names(parts.get("category"))),
            text(_names(parts.get("item"))),
            text(_names(parts.get("colors"), with_confidence=True)),
            text(_names(parts.get("prints"))),
            text(_names(parts.get("looks"))),
            text(_position(parts.get("position"))),
        )


def _names(value: object, *, with_confidence: bool = False) -> str:
    """The name (or id) of an attribute, or of each attribute in a list."""
    if isinstance(value, list):
        return ", ".join(
            _names(part, with_confidence=with_confidence) for part in value
        )
    if not isinstance(value, Mapping):
        return _plain(value)
    name = _plain(value.get("name") or value.get("id"))
    if with_confidence and value.get("confidence") is not None:
        return f"{name} {_share(value['confidence'])}"
    return name


def _position(value: object) -> str:
    if not isinstance(value, Mapping):
        return _plain(value)
    return ", ".join(
        _share(value[side]) for side in ("x", "y") if value.get(side) is not None
    )


def _types(found: object) -> str:
    return ", ".join(
        _plain(part.get("type") if isinstance(part, Mapping) else part)
        for part in _listed(found)
    )


def _share(value: object) -> str:
    """A number from 0 to 1 with two decimals, any other as it is; `--json` prints all digits."""
    # Formatted with decimals, 1e999999999 has a thousand million digits
    if isinstance(value, int | Decimal) and 0 <= value <= 1:
        return f"{value:.2f}"
    return _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(part) for part in value)
    return str(value)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
