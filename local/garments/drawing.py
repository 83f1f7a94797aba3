"""Draws a garment part by part on a background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from local.garments.canvas import HEIGHT, SCALE, WIDTH, Color, Plane, Points
from local.garments.fabrics import mixed, plain, ribs
from local.garments.outlines import circle, dashes, path
from local.garments.planes import (
    Box,
    blurred,
    box_around,
    filled,
    fold,
    grid,
    shading,
    shifted,
    stroked,
    to_image,
)


class Drawing:
    """A background with a garment that is drawn on it part by part."""

    def __init__(self, above: Color, below: Color, *, grain: float, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        share = grid()[1] / HEIGHT
        self._background = mixed(plain(above), below, share)
        self._background = self._background + self.noise(grain)[..., None]
        self._pixels = self._background.copy()
        self._garment = np.zeros_like(share)

    def noise(self, strength: float, *, soft: float = 0.6) -> Plane:
        """Make noise with the standard deviation *strength*, blurred by *soft* pixels."""
        raw = self._random.standard_normal(self._shape, dtype=np.float32)
        grain = blurred(0.5 + raw / 8, soft)
        return np.asarray((grain - grain.mean()) * (strength / grain.std()))

    def lay(
        self,
        outline: Points,
        cloth: Plane | Color,
        *,
        relief: Plane | None = None,
        roundness: float = 0.2,
        folds: Sequence[tuple[str, float, float]] = (),
    ) -> None:
        """
        Draw a part over the existing ones.

        *relief* is the light on the weave; *folds* are lines with their width and depth.
        """
        box = box_around(outline)
        soft = min(16.0, min(box.width, box.height) / SCALE / 8)
        cover = filled(outline, box)
        light = shading(cover, roundness, soft)
        for line, width, depth in folds:
            light = light - depth * fold(path(line), width, box)
        self._lay(cover, box, cloth, light, relief)

    def trim(
        self, line: Points, width: float, color: Color, *, ribbed: bool = False
    ) -> None:
        """Draw a band along a line."""
        box = box_around(line)
        cover = stroked([line], width, box)
        light = shading(cover, 0.12, width / 4)
        if ribbed:
            across, down = (box.of(plane) for plane in grid())
            spokes = np.arctan2(down - 120, across - WIDTH / 2)
            light = light * ribs(spokes * 90, every=6)
        self._lay(cover, box, color, light, None)

    def seam(
        self,
        line: Points,
        *,
        color: Color = (0, 0, 0),
        width: float = 1.4,
        show: float = 0.4,
    ) -> None:
        """Draw a line on the garment with the opacity *show*."""
        box = box_around(line)
        self._put(plain(color), show * stroked([line], width, box), box)

    def stitches(self, line: Points, color: Color) -> None:
        """Draw a dashed line on the garment."""
        box = box_around(line)
        self._put(plain(color), 0.85 * stroked(dashes(line), 1.5, box), box)

    def button(self, x: float, y: float, radius: float, color: Color) -> None:
        """Draw a button with a rim and four holes."""
        self.lay(circle(x, y, radius), color, roundness=0.15)
        self.seam(circle(x, y, radius * 0.75), width=radius / 7, show=0.25)
        for right, down in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
            at = (x + right * radius / 4, y + down * radius / 4)
            self.seam(circle(*at, radius / 20), width=radius / 7, show=0.65)

    def finished(self, right: float = 0, down: float = 0) -> Image.Image:
        """Return the image with the garment moved by these pixels, and with its shadow."""
        pixels = shifted(self._pixels, right, down)
        garment = shifted(self._garment, right, down)
        shadow = 0.10 * shifted(blurred(garment, 12), 6, 12)
        behind = self._background * (1 - shadow[..., None])
        return to_image(behind + (pixels - behind) * garment[..., None])

    def cut_out(self) -> Image.Image:
        """Return the garment on a transparent background."""
        cut = to_image(self._pixels)
        cut.putalpha(to_image(self._garment * 255))
        return cut

    _shape = (HEIGHT * SCALE, WIDTH * SCALE)

    def _lay(
        self,
        cover: Plane,
        box: Box,
        cloth: Plane | Color,
        light: Plane,
        relief: Plane | None,
    ) -> None:
        garment = box.of(self._garment)
        under = shifted(blurred(cover, 3.5), 3, 5) * (1 - cover) * garment
        box.of(self._pixels)[:] *= 1 - 0.25 * under[..., None]
        if relief is not None:
            light = light * box.of(relief)
        whole = plain(cloth) if isinstance(cloth, tuple) else box.of(cloth)
        self._put(whole * light[..., None], cover, box)
        np.maximum(garment, cover, out=garment)

    def _put(self, cloth: Plane, cover: Plane, box: Box) -> None:
        pixels = box.of(self._pixels)
        pixels += (cloth - pixels) * cover[..., None]
