"""Draws line plots as SVG with logarithmic axes, readable on a light and a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 56

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
    """A logarithmic axis in pixels, from a power of ten to another."""

    low: int
    high: int
    begin: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], begin: float, end: float) -> _Axis:
        low, high = floor(log10(min(values))), ceil(log10(max(values)))
        return cls(low, max(high, low + 1), begin, end)

    def at(self, value: float) -> float:
        share = (log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """The powers of ten."""
        return [10.0**power for power in range(self.low, self.high + 1)]


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
        at = TOP + 18 + 20 * number
        parts.append(
            f'<line class="line c{number}" x1="{LEFT + 330}" y1="{at}" '
            f'x2="{LEFT + 356}" y2="{at}"/>'
        )
        parts.append(_text(LEFT + 364, at + 4, name))
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
