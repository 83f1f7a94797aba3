"""docs/scale.md and its plots are those that their figures make (benchmarks/scale_page.py)."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from benchmarks import scale_page
from benchmarks.plot import draw

FRESH = ".venv/bin/python -m benchmarks.scale_page"


def test_the_tables_are_those_of_the_figures_and_prices() -> None:
    """After a change of either, the page is written again."""
    text = scale_page.PAGE.read_text("utf-8")

    assert text == scale_page.page(text), f"run {FRESH}"


@pytest.mark.parametrize("name", scale_page.plots())
def test_the_plots_are_those_of_the_figures(name: str) -> None:
    """The same figures give the same bytes."""
    stored = scale_page.PAGE.with_name(name).read_text("utf-8")

    assert stored == scale_page.plots()[name], f"run {FRESH}"
    assert f"({name})" in scale_page.PAGE.read_text("utf-8")


def test_a_plot_has_a_line_through_its_points_and_a_name_for_each() -> None:
    """The axes are logarithmic, from the power of ten below to the one above."""
    document = draw(
        "Title", "x < y", "z", {"a & b": [(1, 10), (10, 100), (100, 1_000)]}
    )

    root = ET.fromstring(document)  # noqa: S314 - our own document
    texts = {element.text for element in root.iter() if element.tag.endswith("}text")}
    assert {"Title", "x < y", "z", "a & b", "1", "10", "100", "1,000"} <= texts
    [line] = [one for one in root.iter() if one.tag.endswith("}polyline")]
    first, middle, last = (
        [float(part) for part in point.split(",")]
        for point in line.attrib["points"].split()
    )
    assert middle == pytest.approx(
        [(a + b) / 2 for a, b in zip(first, last, strict=True)], abs=0.1
    )
    assert re.search(r"prefers-color-scheme: dark", document)
