"""Pixel planes: covers, light, shadow and blur."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from local.garments.canvas import HEIGHT, SCALE, WIDTH, Plane, Points


class Box(NamedTuple):
    """A rectangle of the enlarged drawing; drawing only inside it saves time."""

    left: int
    top: int
    width: int
    height: int

    def of(self, plane: Plane) -> Plane:
        """Return a view of *plane* inside the box; a plane of one pixel is returned whole."""
        if plane.shape[:2] == (1, 1):
            return plane
        return plane[
            self.top : self.top + self.height, self.left : self.left + self.width
        ]

    def place(self, points: Points, scale: int) -> Points:
        """Convert the points to coordinates of the box, *scale* times larger."""
        return [
            ((x * SCALE - self.left) * scale, (y * SCALE - self.top) * scale)
            for x, y in points
        ]


def box_around(points: Points) -> Box:
    """Return the box around *points*, with a margin for blurs."""
    across, down = np.array(points).T
    left, right = _span(across, WIDTH)
    top, bottom = _span(down, HEIGHT)
    return Box(left, top, right - left, bottom - top)


def _span(along: NDArray[np.float64], length: int, room: int = 24) -> tuple[int, int]:
    start, end = max(0.0, along.min() - room), min(length, along.max() + room)
    return int(start) * SCALE, int(end + 1) * SCALE


def shading(cover: Plane, roundness: float, soft: float) -> Plane:
    """Compute the light on a part: darker towards the edges, most at the lower right."""
    depth = np.clip(blurred(cover, soft) * 2 - 1, 0, 1)
    body = blurred(cover, soft * 0.6)
    slope = shifted(body, soft * 0.4, soft * 0.4)
    slope = slope - shifted(body, -soft * 0.4, -soft * 0.4)
    return 1 - roundness * (1 - np.sqrt(depth)) + 0.45 * roundness * slope


def fold(line: Points, width: float, box: Box) -> Plane:
    """Compute a fold: positive values for its shadow, negative ones for the shine beside it."""
    crease = blurred(stroked([line], width, box), width * 0.8)
    return crease - 0.55 * shifted(crease, -width, -width * 0.6)


def to_image(plane: Plane) -> Image.Image:
    """Convert a plane to an image of the final size."""
    fine = Image.fromarray(np.clip(np.round(plane), 0, 255).astype(np.uint8))
    return fine.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


@cache
def grid() -> tuple[Plane, Plane]:
    """Return the x and y coordinates of each pixel."""
    down, across = np.mgrid[0 : HEIGHT * SCALE, 0 : WIDTH * SCALE].astype(np.float32)
    return across / SCALE, down / SCALE


def blurred(plane: Plane, radius: float) -> Plane:
    """Blur a plane of 0 to 1, rounded to bytes: precise enough for light and shadow."""
    image = Image.fromarray(np.clip(plane * 255, 0, 255).astype(np.uint8))
    coarse = 4 if radius >= 8 else 1  # a wide blur is slow, and leaves no detail
    small = image.reduce(coarse)
    blurred = small.filter(ImageFilter.GaussianBlur(radius * SCALE / coarse))
    whole = blurred.resize(image.size, Image.Resampling.BICUBIC)
    return np.asarray(whole, dtype=np.float32) / 255


def shifted(plane: Plane, right: float, down: float) -> Plane:
    """Move a plane by these pixels."""
    return np.roll(plane, (round(down * SCALE), round(right * SCALE)), axis=(0, 1))


def filled(outline: Points, box: Box) -> Plane:
    """Return the cover of a filled outline."""
    canvas = Image.new("L", (2 * box.width, 2 * box.height))
    ImageDraw.Draw(canvas).polygon(box.place(outline, 2), fill=255)
    return softened(canvas)


def stroked(lines: Sequence[Points], width: float, box: Box) -> Plane:
    """Return the cover of lines of this width."""
    canvas = Image.new("L", (2 * box.width, 2 * box.height))
    pen = ImageDraw.Draw(canvas)
    for line in lines:
        thick = max(1, round(2 * width * SCALE))
        pen.line(box.place(line, 2), fill=255, width=thick, joint="curve")
    return softened(canvas)


def softened(twice: Image.Image) -> Plane:
    """Reduce a cover drawn at twice the size, because Pillow draws hard edges."""
    return np.asarray(twice.reduce(2), dtype=np.float32) / 255
