"""Renders the sandbox's web page: a form to try an image, and the answer for it."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from importlib.resources import files
from io import BytesIO
from string import Template

from markupsafe import Markup
from PIL import Image

from hangtag.tagger_api import DETECTIONS
from hangtag.tagger_api.models import (
    AnswerBody,
    Attribute,
    ColorDetail,
    DetectedObject,
    Position,
    Tag,
)
from hangtag_sandbox.answers import Tagging, to_json
from hangtag_sandbox.pixels import Pixels

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With no-referrer, browsers would send the form with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Every response has these, unless it has its own value."""

PAGE_HEADERS = {
    # The page shows a user's file: it may load no other content and run no script.
    "Content-Security-Policy": (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
}


def page_to_try() -> str:
    """Render the form without a result."""
    return _page(Markup())


def page_with_refusal(body: AnswerBody) -> str:
    """Render the form below the API's error."""
    error = body.error
    return _page(
        Markup(
            '<section class="card refused"><h2>Refused with {}</h2><p>{}</p>{}</section>'
        ).format(error and error.code, error and error.message, _whole(body))
    )


def page_with_answer(tagging: Tagging, pixels: Pixels) -> str:
    """Render the form below the image and the API's answer for it."""
    data = tagging.body.data
    requested = _tags(data.objects)
    others = _tags(data.notMatchedObject or ())
    marks, articles = Markup(), Markup()
    for number, (kind, tag) in enumerate([*requested, *others], start=1):
        aside = number > len(requested)
        mark = Markup('class="mark{}"').format(" aside" if aside else "")
        if tag.position is not None:
            marks += Markup(
                '<span {} style="left: {:.2%}; top: {:.2%}">{}</span>'
            ).format(mark, tag.position.x, tag.position.y, number)
        note = f"{kind}, not requested" if aside else kind
        articles += Markup(
            '<article><header><span {}>{}</span><h2 class="invented">{}</h2>'
            '<span class="kind">{}</span></header><dl>{}</dl></article>'
        ).format(mark, number, _title(tag), note, _rows(tag, tagging.synthetic))
    if not articles:
        articles = Markup("<p>No garment was tagged.</p>")
    picture = Markup(
        '<div class="picture"><img alt="The image" src="{}">{}</div>'
    ).format(_data_uri(pixels), marks)
    return _page(
        Markup('<section class="card"><div class="seen">{}<div>{}</div></div>{}</section>')
        .format(picture, articles, _whole(tagging.body))
    )  # fmt: skip


def _page(result: Markup) -> str:
    boxes = Markup("\n").join(
        Markup(
            '<label><input type="checkbox" name="detection" value="{0}"> {0}</label>'
        ).format(word)
        for word in DETECTIONS
    )
    return _template().substitute(result=result, detections=boxes)


@cache
def _template() -> Template:
    page = files("hangtag_sandbox") / "page.html"
    return Template(page.read_text(encoding="utf-8"))


def _tags(objects: tuple[DetectedObject, ...]) -> list[tuple[str | None, Tag]]:
    return [(found.type, tag) for found in objects for tag in found.tags]


def _title(tag: Tag) -> str:
    return " · ".join(
        named.name or "" for named in (tag.category, tag.item) if named is not None
    )


_IN_THE_TITLE = {"category", "item"}


def _rows(tag: Tag, synthetic: tuple[str, ...]) -> Markup:
    rows = Markup()
    for field in Tag.model_fields:
        value = getattr(tag, field)
        if field in _IN_THE_TITLE or value is None or value == ():
            continue
        rows += Markup("<dt>{}</dt><dd{}>{}</dd>").format(
            field,
            Markup(' class="invented"') if field in synthetic else "",
            _value(value),
        )
    return rows


def _value(value: object) -> Markup:
    if isinstance(value, tuple):
        return Markup(" ").join(map(_value, value))
    if isinstance(value, ColorDetail):
        return Markup(
            '<span class="shade"><span class="swatch" style="background: {0}"></span>'
            '{1} <span class="number"><code>{0}</code> {2:.0%}</span></span>'
        ).format(value.code, value.name, value.pixelFraction)
    if isinstance(value, Attribute):
        return Markup('{} <span class="number">{:.2f}</span>').format(
            value.name, value.confidence
        )
    if isinstance(value, Position):
        return Markup("{:.4f}, {:.4f}").format(value.x, value.y)
    return Markup("{}").format(value)


def _whole(body: AnswerBody) -> Markup:
    document = json.dumps(json.loads(to_json(body)), ensure_ascii=False, indent=2)
    return Markup(
        "<details><summary>The whole answer</summary><pre>{}</pre></details>"
    ).format(document)


def _data_uri(pixels: Pixels) -> str:
    """Encode the image as PNG, which every browser can show."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
