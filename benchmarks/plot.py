"""Draws line plots as SVG with logarithmic axes, readable on a light and a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 64, 56
LEGEND_WIDTH = 190
MOST_TICKS = 9

STYLE = """
text { font: 13px sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.grid { stroke: #d1d9e0; }
.line { fill: none; stroke-width: 2.5; }
.c0 { stroke: #0969da; } .c1 { stroke: #bc4c00; } .c2 { stroke: #1a7f37; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .grid { stroke: #3d444d; }
  .c0 { stroke: #58a6ff; } .c1 { stroke: #f0883e; } .c2 { stroke: #56d364; }
}
"""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic axis in pixels, with ticks at 1, 2 and 5 times powers of ten."""

    steps: Sequence[float]
    begin: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], begin: float, end: float) -> _Axis:
        low, high = min(values), max(values)
        powers = range(floor(log10(low)), ceil(log10(high)) + 1)
        steps = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
        first = max(one for one in steps if one <= low)
        last = min(one for one in steps if one >= high)
        return cls([one for one in steps if first <= one <= last], begin, end)

    def at(self, value: float) -> float:
        low, high = log10(self.steps[0]), log10(self.steps[-1])
        return self.begin + (log10(value) - low) / (high - low) * (
            self.end - self.begin
        )

    def ticks(self) -> list[float]:
        """All steps, or of many only the powers of ten."""
        if len(self.steps) <= MOST_TICKS:
            return list(self.steps)
        return [one for one in self.steps if log10(one).is_integer()]


def draw(title: str, x: str, y: str, lines: Mapping[str, Points]) -> str:
    """Draw the lines, by their names, and return the document; *x* and *y* name the axes."""
    points = [point for line in lines.values() for point in line]
    across = _Axis.over([one for one, _ in points], LEFT, WIDTH - RIGHT)
    up = _Axis.over([one for _, one in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        _text(LEFT, 22, title, kind="title"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x, anchor="middle"),
        _text(16, (TOP + HEIGHT - BOTTOM) / 2, y, anchor="middle", turned=True),
    ]
    for tick in across.ticks():
        at = across.at(tick)
        parts.append(_rule(at, TOP, at, HEIGHT - BOTTOM))
        parts.append(_text(at, HEIGHT - BOTTOM + 20, f"{tick:,g}", anchor="middle"))
    for tick in up.ticks():
        at = up.at(tick)
        parts.append(_rule(LEFT, at, WIDTH - RIGHT, at))
        parts.append(_text(LEFT - 8, at + 4, f"{tick:,g}", anchor="end"))
    for number, (name, line) in enumerate(lines.items()):
        path = " ".join(f"{across.at(a):.1f},{up.at(b):.1f}" for a, b in line)
        parts.append(f'<polyline class="line c{number}" points="{path}"/>')
        at = LEFT + LEGEND_WIDTH * number
        parts.append(
            f'<line class="line c{number}" x1="{at}" y1="44" x2="{at + 24}" y2="44"/>'
        )
        parts.append(_text(at + 32, 48, name))
    return "\n".join([*parts, "</svg>", ""])


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    kind: str = "",
    turned: bool = False,
) -> str:
    turn = f' transform="rotate(-90 {x:g} {y:g})"' if turned else ""
    named = f' class="{kind}"' if kind else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{named}{turn}>'
        f"{escape(text)}</text>"
    )


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'
