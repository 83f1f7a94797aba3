"""Where the garments of a picture are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hangtag_sandbox.colors import Lab, Mask

LEAST_PART = 0.01
"""Of the picture: what is smaller is no garment."""

_NOTICEABLE = 8.0  # CIELAB units that a garment differs from its background at least
_CELLS = 100  # along the longer side, when connected pieces are looked for
_BRIDGED = 3  # cells on either side of a gap that is bridged


@dataclass(frozen=True, slots=True)
class Outline:
    """Where a garment is."""

    cloth: Mask
    """The pixels that show it."""
    extent: Mask
    """Those and what lies between them: pale stripes on a pale background are not seen."""


def find_garments(lab: Lab) -> list[Outline]:
    """
    The garments in the picture.

    The background is what the picture's border shows, as one colour or a gradient; a garment is
    what stands out from it. For now all that stands out is taken as one garment; a picture
    without any gives an empty list.
    """
    stands_out = _smooth(_stands_out(lab))
    cell = max(1, max(stands_out.shape) // _CELLS)
    cells = _in_cells(stands_out, cell) > 0.4
    enclosed = ~cells & ~_reached_from_border(~cells)
    pieces = _pieces(_bridged(cells | enclosed))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0  # the background
    # A two-piece is two pieces; crumbs are something else.
    garment = (sizes[pieces] >= 0.05 * sizes.max()) & (pieces > 0)
    if np.count_nonzero(garment & (cells | enclosed)) < LEAST_PART * cells.size:
        return []
    near = _to_pixels(_grown(garment), cell, stands_out.shape)
    holes = _to_pixels(enclosed & garment, cell, stands_out.shape)
    extent = _to_pixels(garment, cell, stands_out.shape)
    return [Outline(cloth=(stands_out & near) | holes, extent=extent)]


def centre_of(mask: Mask) -> tuple[float, float]:
    """The centre (x, y) of the bounding box of *mask*, each 0 to 1 of the picture's sides."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return (
        float(columns[0] + columns[-1] + 1) / (2 * width),
        float(rows[0] + rows[-1] + 1) / (2 * height),
    )


def shrunk(mask: Mask, pixels: int = 2) -> Mask:
    """*mask* without its outermost pixels, as far as something is left of it."""
    for _ in range(pixels):
        inner = ~_grown(~mask)
        if not inner.any():
            break
        mask = inner
    return mask


def _stands_out(lab: Lab) -> Mask:
    height, width = lab.shape[:2]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y], axis=-1)
    border = _border(height, width)
    seen = lab[border]
    off = np.linalg.norm(seen - np.median(seen, axis=0), axis=1)
    # A garment may touch the border: what is far off is left out, and the rest asked again.
    for _ in range(4):
        likely = off <= max(_NOTICEABLE, 2 * float(np.median(off)))
        plane = np.linalg.lstsq(terms[border][likely], seen[likely], rcond=None)[0]
        off = np.linalg.norm(seen - terms[border] @ plane, axis=1)
    noise = float(np.percentile(off[likely], 95))
    distance = np.linalg.norm(lab - terms @ plane, axis=2)
    return np.asarray(distance > max(_NOTICEABLE, 2 * noise))


def _border(height: int, width: int) -> Mask:
    thick = max(1, min(height, width) // 40)
    border = np.ones((height, width), dtype=np.bool_)
    border[thick:-thick, thick:-thick] = False
    return border


def _smooth(mask: Mask) -> Mask:
    """Each pixel as most of its 3 x 3 neighbourhood is."""
    padded = np.pad(mask, 1, mode="edge").astype(np.uint8)
    height, width = mask.shape
    votes = sum(
        padded[y : y + height, x : x + width] for y in range(3) for x in range(3)
    )
    return np.asarray(votes) > 4


def _grown(mask: Mask) -> Mask:
    """*mask* and the pixels above, below, left and right of it."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _bridged(cells: Mask) -> Mask:
    """*cells* with narrow gaps closed."""
    beyond = np.pad(cells, _BRIDGED)
    for _ in range(_BRIDGED):
        beyond = _grown(beyond)
    for _ in range(_BRIDGED):
        beyond = ~_grown(~beyond)
    return beyond[_BRIDGED:-_BRIDGED, _BRIDGED:-_BRIDGED]


def _in_cells(mask: Mask, cell: int) -> Lab:
    """How much of each square of *cell* x *cell* pixels is in *mask*, 0 to 1."""
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % cell), (0, -width % cell)), mode="edge")
    rows, columns = padded.shape
    squares = padded.reshape(rows // cell, cell, columns // cell, cell)
    return np.asarray(squares.mean(axis=(1, 3)))


def _to_pixels(cells: Mask, cell: int, shape: tuple[int, ...]) -> Mask:
    return cells.repeat(cell, axis=0).repeat(cell, axis=1)[: shape[0], : shape[1]]


def _reached_from_border(free: Mask) -> Mask:
    reached = free & _border(*free.shape)
    while True:
        further = _grown(reached) & free
        if np.array_equal(further, reached):
            return reached
        reached = further


def _pieces(mask: Mask) -> NDArray[np.intp]:
    """A number from 1 for each cell, the same for cells that touch; 0 outside *mask*."""
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        around = np.pad(numbers, 1)
        highest = np.maximum.reduce(
            [
                numbers,
                around[:-2, 1:-1],
                around[2:, 1:-1],
                around[1:-1, :-2],
                around[1:-1, 2:],
            ]
        )
        spread = np.where(mask, highest, 0)
        if np.array_equal(spread, numbers):
            return numbers
        numbers = spread
