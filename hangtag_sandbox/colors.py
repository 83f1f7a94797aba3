"""Finds the colours of a garment and names them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hangtag_sandbox.palette import palette
from hangtag_sandbox.perception import Lab, distance, to_lab
from hangtag_sandbox.pixels import Mask, Pixels
from hangtag_sandbox.vocabulary import COLORS, SHADES, Shade, Word

MOST_SHADES = 6
SAMPLES = 4_000
"""How many of a garment's pixels are clustered."""

LEAST_SHARE = 0.03
"""Colours with a smaller share of the garment's pixels are left out."""


@dataclass(frozen=True, slots=True)
class SeenColor:
    """A colour of a garment."""

    code: str
    """The measured colour as `#rrggbb`."""
    fine: str
    """The palette's name for it, in English."""
    color: Word
    """The nearest of the 18 named colours."""
    shade: Shade
    """Light, plain or dark, compared with `color`."""
    share: float
    """Share of the garment's pixels, 0 to 1."""


def seen_colors(pixels: Pixels, lab: Lab, mask: Mask) -> list[SeenColor]:
    """Find the colours of the pixels in *mask*, largest share first; at least one."""
    own, own_pixels = lab[mask], pixels[mask]
    even = own[_even(lab)[mask]]
    # A garment with a dense pattern has too few even pixels to cluster.
    centres = _shades(even if len(even) > _ENOUGH_EVEN * len(own) else own)
    own = own[:: max(1, len(own) // SAMPLES)]
    own_pixels = own_pixels[:: max(1, len(own_pixels) // SAMPLES)]
    members = _nearest(own * _SHADOWS_MATTER_LESS, centres)
    sizes = np.bincount(members, minlength=len(centres))
    colors: list[SeenColor] = []
    for cluster in np.argsort(-sizes, kind="stable"):
        share = sizes[cluster] / len(own)
        if colors and share < LEAST_SHARE:
            break
        typical = _most_common(own[members == cluster], own_pixels[members == cluster])
        color, shade = name_color(typical)
        fine = palette().nearest(to_lab(typical))
        code = f"#{typical[0]:02x}{typical[1]:02x}{typical[2]:02x}"
        colors.append(SeenColor(code, fine, color, shade, float(share)))
    return colors


def name_color(rgb: NDArray[np.uint8]) -> tuple[Word, Shade]:
    """Find the nearest of the 18 colours, and whether *rgb* is lighter or darker."""
    names, examples, typical = _named_examples()
    lab = to_lab(rgb)
    name = names[distance(examples, lab).argmin()]
    lighter = lab[0] - typical[name]
    if name in ("black", "white") or abs(lighter) < _CLEARLY_LIGHTER:
        return COLORS[name], SHADES["plain"]
    return COLORS[name], SHADES["light" if lighter > 0 else "dark"]


_CLEARLY_LIGHTER = 9.0

# A garment's folds and shadows change lightness more than they change hue.
_SHADOWS_MATTER_LESS = np.array([0.6, 1.0, 1.0], dtype=np.float32)
_SAME_SHADE = 13.0
_CUBE = 8.0
_EVEN = (
    5.0  # CIELAB units to the next pixel; a larger step is an edge between two colours
)
_ENOUGH_EVEN = 0.25
_ABOUT_THE_SAME = 6.0  # CIELAB units


def _even(lab: Lab) -> Mask:
    """Mark the pixels that look like their neighbours on all sides."""
    even = np.ones(lab.shape[:2], dtype=np.bool_)
    down = distance(lab[1:], lab[:-1]) < _EVEN
    even[1:] &= down
    even[:-1] &= down
    across = distance(lab[:, 1:], lab[:, :-1]) < _EVEN
    even[:, 1:] &= across
    even[:, :-1] &= across
    return even


def _most_common(lab: Lab, pixels: Pixels) -> NDArray[np.uint8]:
    """Find the typical colour; unlike a mean, it ignores shadows and highlights."""
    centre = np.median(lab, axis=0)
    for _ in range(8):
        distances = distance(lab, centre)
        # Widely spread colours may have no pixel near their median.
        near = distances <= max(_ABOUT_THE_SAME, float(distances.min()))
        centre = lab[near].mean(axis=0)
    typical: NDArray[np.uint8] = np.round(pixels[near].mean(axis=0)).astype(np.uint8)
    return typical


def _shades(lab: Lab) -> Lab:
    """Find the cluster centres by k-means, seeded with the fullest cubes of colour space."""
    points = lab[:: max(1, len(lab) // SAMPLES)] * _SHADOWS_MATTER_LESS
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
    return centres


def _nearest(points: Lab, centres: Lab) -> NDArray[np.intp]:
    return np.asarray(distance(points[:, None], centres).argmin(axis=1))


def _fullest_cubes(points: Lab) -> Lab:
    cubes, sizes = np.unique(np.round(points / _CUBE), axis=0, return_counts=True)
    centres: list[Lab] = []
    for cube in cubes[np.argsort(-sizes, kind="stable")] * _CUBE:
        if all(distance(cube, centre) >= _SAME_SHADE for centre in centres):
            centres.append(cube)
        if len(centres) == MOST_SHADES:
            break
    return np.array(centres)


def _merged(centres: Lab, sizes: NDArray[np.intp]) -> Lab:
    """Drop the smaller one of any two centres that are the same shade."""
    kept: list[Lab] = []
    for centre in centres[np.argsort(-sizes, kind="stable")]:
        if all(distance(centre, other) >= _SAME_SHADE for other in kept):
            kept.append(centre)
    return np.array(kept)


@cache
def _named_examples() -> tuple[list[str], Lab, dict[str, float]]:
    """Return each example's name and CIELAB, and the lightness of each name's first example."""
    names = [name for name, codes in _EXAMPLES.items() for _ in codes.split()]
    codes = " ".join(_EXAMPLES.values()).split()
    examples = to_lab(
        np.array([list(bytes.fromhex(code)) for code in codes], dtype=np.uint8)
    )
    typical = {
        name: float(examples[names.index(name)][0]) for name in dict.fromkeys(names)
    }
    return names, examples, typical


# Examples of each name on garments, the typical one first.
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
