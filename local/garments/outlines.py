"""Outlines of garments as points, from SVG paths and their mirror images."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from local.garments.canvas import WIDTH, Points


def path(text: str) -> Points:
    """Return points along an SVG path with absolute M, L, Q and C."""
    points: Points = []
    words = iter(text.split())
    for command in words:
        count = {"M": 1, "L": 1, "Q": 2, "C": 3}[command]
        given = [(float(next(words)), float(next(words))) for _ in range(count)]
        points += given if command in "ML" else curve([points[-1], *given])
    return points


def curve(controls: Points, steps: int = 24) -> Points:
    """Return points of a Bezier curve, without the first one."""
    points = []
    for step in range(1, steps + 1):
        share = step / steps
        level = controls
        while len(level) > 1:
            level = [
                (x + (to_x - x) * share, y + (to_y - y) * share)
                for (x, y), (to_x, to_y) in pairwise(level)
            ]
        points += level
    return points


def both(text: str) -> Points:
    """Complete a symmetric outline from its right half, given from top middle to bottom middle."""
    right = path(text)
    return right + mirrored(right)[::-1]


def both_line(text: str) -> Points:
    """Complete a symmetric line from its right half, given from the middle outwards."""
    right = path(text)
    return mirrored(right)[::-1] + right


def both_sides(text: str) -> tuple[Points, Points]:
    """Return a line or an outline of the right side, and its mirror image."""
    right = path(text)
    return right, mirrored(right)


def mirrored(points: Points) -> Points:
    """Mirror the points at the vertical middle line."""
    return [(WIDTH - x, y) for x, y in points]


def circle(x: float, y: float, radius: float) -> Points:
    """Return points on a circle."""
    return [
        (x + radius * float(np.cos(angle)), y + radius * float(np.sin(angle)))
        for angle in np.linspace(0, 2 * np.pi, 48)
    ]


def dashes(line: Points, *, long: float = 7, gap: float = 4) -> list[Points]:
    """Split a line into dashes."""
    x, y = np.array(line).T
    walked = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    return [
        [
            (float(np.interp(at, walked, x)), float(np.interp(at, walked, y)))
            for at in np.linspace(start, start + long, 5)
        ]
        for start in np.arange(0, walked[-1] - long, long + gap)
    ]
