"""Colours as people see them: CIELAB, the shades of a garment, and the names of shades."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hangtag_sandbox.pixels import Pixels
from hangtag_sandbox.vocabulary import COLORS, SHADES, Shade, Word

Lab = NDArray[np.float64]
"""Anything x lightness 0 to 100, green to red, blue to yellow."""

Mask = NDArray[np.bool_]
"""Rows x columns: which pixels are meant."""

MOST_SHADES = 6
SAMPLES = 4_000
"""Pixels of a garment that its shades are found in."""

LEAST_SHARE = 0.03
"""Shades with less of the garment's pixels are not told."""


def to_lab(pixels: Pixels) -> Lab:
    """CIELAB of sRGB pixels, for the white point D65."""
    levels = _LINEAR[pixels] @ _SRGB_TO_XYZ.T
    steps = np.where(
        levels > 216 / 24389, np.cbrt(levels), (24389 / 27 * levels + 16) / 116
    )
    x, y, z = steps[..., 0], steps[..., 1], steps[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_LEVELS = np.arange(256) / 255
_LINEAR = np.where(
    _LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4
)
# Each row divided by its sum: white becomes (1, 1, 1).
_SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_SRGB_TO_XYZ /= _SRGB_TO_XYZ.sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class SeenColor:
    """A colour of a garment."""

    code: str
    """`#rrggbb`"""
    color: Word
    """The nearest of the 18."""
    shade: Shade
    """How it differs from it."""
    share: float
    """Of the garment's pixels, 0 to 1."""


def seen_colors(pixels: Pixels, lab: Lab, mask: Mask) -> list[SeenColor]:
    """The colours of the pixels in *mask*, the largest share first; at least one."""
    own_pixels, own_lab = pixels[mask], lab[mask]
    step = max(1, len(own_lab) // SAMPLES)
    own_pixels, own_lab = own_pixels[::step], own_lab[::step]
    members = _clusters(own_lab * _SHADOWS_MATTER_LESS)
    sizes = np.bincount(members)
    colors: list[SeenColor] = []
    for cluster in np.argsort(-sizes, kind="stable"):
        share = sizes[cluster] / len(own_lab)
        if colors and share < LEAST_SHARE:
            break
        typical = np.median(own_pixels[members == cluster], axis=0).astype(np.uint8)
        color, shade = name_color(typical)
        code = f"#{typical[0]:02x}{typical[1]:02x}{typical[2]:02x}"
        colors.append(SeenColor(code, color, shade, float(share)))
    return colors


def name_color(rgb: NDArray[np.uint8]) -> tuple[Word, Shade]:
    """The nearest of the 18 colours, and whether *rgb* is lighter or darker than it."""
    names, examples, typical = _named_examples()
    lab = to_lab(rgb)
    name = names[np.linalg.norm(examples - lab, axis=1).argmin()]
    lighter = lab[0] - typical[name]
    if name in ("black", "white") or abs(lighter) < _CLEARLY_LIGHTER:
        return COLORS[name], SHADES["plain"]
    return COLORS[name], SHADES["light" if lighter > 0 else "dark"]


_CLEARLY_LIGHTER = 9.0

# A garment's folds and shadows change lightness more than they change hue.
_SHADOWS_MATTER_LESS = np.array([0.6, 1.0, 1.0])
_SAME_SHADE = 13.0
_CUBE = 8.0


def _clusters(points: Lab) -> NDArray[np.intp]:
    """The cluster of each point: k-means from the fullest corners of colour space."""
    centres = _fullest_cubes(points)
    for _ in range(10):
        members = _nearest(points, centres)
        sizes = np.bincount(members, minlength=len(centres))
        sums = np.stack(
            [np.bincount(members, points[:, axis], len(centres)) for axis in range(3)],
            axis=1,
        )
        centres = sums[sizes > 0] / sizes[sizes > 0, None]
        centres = _merged(centres, sizes[sizes > 0])
    return _nearest(points, centres)


def _nearest(points: Lab, centres: Lab) -> NDArray[np.intp]:
    distances = np.linalg.norm(points[:, None] - centres, axis=2)
    return np.asarray(distances.argmin(axis=1))


def _fullest_cubes(points: Lab) -> Lab:
    cubes, sizes = np.unique(np.round(points / _CUBE), axis=0, return_counts=True)
    centres: list[Lab] = []
    for cube in cubes[np.argsort(-sizes, kind="stable")] * _CUBE:
        if all(np.linalg.norm(cube - centre) >= _SAME_SHADE for centre in centres):
            centres.append(cube)
        if len(centres) == MOST_SHADES:
            break
    return np.array(centres)


def _merged(centres: Lab, sizes: NDArray[np.intp]) -> Lab:
    """The centres, without the smaller one of any two that are the same shade."""
    kept: list[Lab] = []
    for centre in centres[np.argsort(-sizes, kind="stable")]:
        if all(np.linalg.norm(centre - other) >= _SAME_SHADE for other in kept):
            kept.append(centre)
    return np.array(kept)


@cache
def _named_examples() -> tuple[list[str], Lab, dict[str, float]]:
    """The name and the CIELAB of each example, and the lightness of a name's first one."""
    names = [name for name, codes in _EXAMPLES.items() for _ in codes.split()]
    codes = " ".join(_EXAMPLES.values()).split()
    examples = to_lab(
        np.array([list(bytes.fromhex(code)) for code in codes], dtype=np.uint8)
    )
    typical = {
        name: float(examples[names.index(name)][0]) for name in dict.fromkeys(names)
    }
    return names, examples, typical


# What each name looks like on garments, its typical example first.
_EXAMPLES = {
    "black": "141416 000000 242426",
    "white": "fafafa ffffff ededeb e4e4e2",
    "grey": "8c8c8e 6a6a6d 4a4a4d acacae c8c8ca",
    "beige": "dcc7a5 e5ccaf efe0c6 c8b08a",
    "brown": "7b4f30 5a3822 9b6a42 4a2e1e a87c52",
    "khaki": "74714a 5c5d3c 8b8760 4a4c34",
    "navy": "1e2c55 141e3c 2c3c66 28324e",
    "blue": "2458c4 1f4fa0 3f77dd 1c66b8 46699c 35557f",
    "sky blue": "8fc6ea a9d4f2 71b6e6 8fb2d6 b9cfe6",
    "mint": "9be0c8 b8ebd8 7fd3ba",
    "green": "2f8a55 1f6d3e 4cae52 16492e 79b44f",
    "yellow": "f8d63c f6e36b ebc21a fbee9a",
    "orange": "f2832a e5671d fba24c",
    "red": "d22c31 ea4545 b3161f",
    "wine": "6e1b33 861f40 55121f",
    "pink": "f29dbb fbc6d6 e8628f f4b8b4 d9829a",
    "lavender": "c4b3e2 d8cbf0 a99ad4",
    "purple": "6d2f97 8447b4 4f1f72 614a8a 8a6cb0",
}
