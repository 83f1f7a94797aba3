"""Finds the outlines of the garments in an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hangtag_sandbox.perception import Lab, distance
from hangtag_sandbox.pixels import Mask

LEAST_PART = 0.005
"""The smallest garment, as a share of the image."""

LEAST_BESIDE = 0.02
"""The smallest garment, as a share of the largest one."""

MOST_GARMENTS = 10
"""How many garments an image has at most; the smallest ones are dropped."""

_NOTICEABLE = 8.0  # smallest difference between garment and background, in CIELAB units
_CELLS = 100  # cells along the longer side in the search for connected pieces
_BRIDGED = 3  # cells by which pieces grow to close a gap
_AROUND = 4  # pixels
_SAME_CLOTH = 12.0  # CIELAB units between the typical colours of two pieces


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels; right and bottom are the first ones beyond it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top


@dataclass(
    frozen=True, eq=False
)  # compared by identity: == on arrays does not give a bool
class Outline:
    """The pixels of a garment."""

    cloth: Mask
    """The pixels that differ from the background."""
    extent: Mask
    """The cloth and its gaps, such as pale stripes on a pale background."""

    @cached_property
    def box(self) -> Box:
        """The bounding box of the cloth."""
        return _box_around(self.cloth)

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the extent, with a small margin."""
        box = _box_around(self.extent)
        return (
            slice(max(0, box.top - _AROUND), box.bottom + _AROUND),
            slice(max(0, box.left - _AROUND), box.right + _AROUND),
        )

    @cached_property
    def size(self) -> int:
        """The number of cloth pixels."""
        return int(np.count_nonzero(self.cloth))

    @property
    def centre(self) -> tuple[float, float]:
        """The centre (x, y) of the box, each 0 to 1 of the image's sides."""
        height, width = self.cloth.shape
        return (
            (self.box.left + self.box.right) / (2 * width),
            (self.box.top + self.box.bottom) / (2 * height),
        )

    def joined(self, other: Outline) -> Outline:
        """Return the union of both outlines."""
        return Outline(self.cloth | other.cloth, self.extent | other.extent)


def find_garments(lab: Lab) -> list[Outline]:
    """
    Find the garments in an image, largest first; an empty list if there is no garment.

    The border of the image gives the background, as one colour or a gradient. A garment is a
    connected piece that differs from it.
    """
    stands_out = _smooth(_stands_out(lab))
    cell = max(1, max(stands_out.shape) // _CELLS)
    cells = _in_cells(stands_out, cell) > 0.4
    enclosed = ~cells & ~_reached_from_border(~cells)
    shape = stands_out.shape

    def color_of(own: Mask) -> Lab:
        return _typical(lab, stands_out & _to_pixels(own, cell, shape))

    garments = []
    for own in _garments_of(cells | enclosed, color_of):
        near = _to_pixels(_grown(own), cell, shape)
        holes = _to_pixels(enclosed & own, cell, shape)
        extent = _to_pixels(own, cell, shape)
        garments.append(Outline(cloth=(stands_out & near) | holes, extent=extent))
    return garments


def are_alike(lab: Lab, one: Outline, other: Outline) -> bool:
    """Compare the typical colours of two garments."""
    return _same_cloth(_typical(lab, one.cloth), _typical(lab, other.cloth))


def shrunk(mask: Mask, pixels: int = 2) -> Mask:
    """Remove the outermost pixels of *mask*, unless that removes all of it."""
    for _ in range(pixels):
        inner = ~_grown(~mask)
        if not inner.any():
            break
        mask = inner
    return mask


def _garments_of(shown: Mask, color_of: Callable[[Mask], Lab]) -> list[Mask]:
    """
    Group the *shown* cells into garments, largest first.

    Pieces that lie close together are one garment, because a stripe may look like the background.
    Large pieces of different colours stay separate.
    """
    parts = _pieces(shown)
    part_sizes = np.bincount(parts[shown], minlength=2)
    wholes = _pieces(_bridged(shown))
    least = max(
        LEAST_PART * shown.size,
        LEAST_BESIDE * np.bincount(wholes[shown], minlength=2).max(),
    )
    garments: list[tuple[int, Mask]] = []
    for whole in range(1, wholes.max() + 1):
        own = wholes == whole
        alone = [
            parts == part
            for part in np.unique(parts[own])
            if part and part_sizes[part] >= least
        ]
        groups = _grouped(alone, color_of) if len(alone) > 1 else []
        garments.extend(
            (int(np.count_nonzero(garment & shown)), garment)
            for garment in (groups if len(groups) > 1 else [own])
        )
    garments.sort(key=lambda each: -each[0])
    return [garment for size, garment in garments[:MOST_GARMENTS] if size >= least]


def _grouped(parts: list[Mask], color_of: Callable[[Mask], Lab]) -> list[Mask]:
    """Join the parts that have the same colour or overlap."""
    groups: list[tuple[Mask, Lab]] = []
    for part in parts:
        joined, color = part, color_of(part)
        apart = []
        for group, its_color in groups:
            if _same_cloth(color, its_color) or _entangled(joined, group):
                joined = joined | group
            else:
                apart.append((group, its_color))
        groups = [*apart, (joined, color)]
    return [group for group, _ in groups]


def _box_around(mask: Mask) -> Box:
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return Box(
        left=int(columns[0]),
        top=int(rows[0]),
        right=int(columns[-1]) + 1,
        bottom=int(rows[-1]) + 1,
    )


def _typical(lab: Lab, mask: Mask) -> Lab:
    return np.median(lab[mask], axis=0)


def _same_cloth(one: Lab, other: Lab) -> bool:
    return float(distance(one, other)) <= _SAME_CLOTH


def _entangled(one: Mask, other: Mask) -> bool:
    """Whether the bounding boxes overlap clearly, as those of two-coloured stripes do."""
    rows = one.any(axis=1) & other.any(axis=1)
    columns = one.any(axis=0) & other.any(axis=0)
    common = np.count_nonzero(rows) * np.count_nonzero(columns)
    smaller = min(np.count_nonzero(one), np.count_nonzero(other))
    return bool(common > 0.3 * smaller)


def _stands_out(lab: Lab) -> Mask:
    height, width = lab.shape[:2]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y], axis=-1)
    border = _border(height, width)
    seen = lab[border]
    off = distance(seen, np.median(seen, axis=0))
    # A garment may touch the border: the fit is repeated without the outliers.
    for _ in range(4):
        likely = off <= max(_NOTICEABLE, 2 * float(np.median(off)))
        plane = np.linalg.lstsq(terms[border][likely], seen[likely], rcond=None)[0]
        off = distance(seen, terms[border] @ plane)
    noise = float(np.percentile(off[likely], 95))
    return np.asarray(distance(lab, terms @ plane) > max(_NOTICEABLE, 2 * noise))


def _border(height: int, width: int) -> Mask:
    thick = max(1, min(height, width) // 40)
    border = np.ones((height, width), dtype=np.bool_)
    border[thick:-thick, thick:-thick] = False
    return border


def _smooth(mask: Mask) -> Mask:
    """Apply a 3 x 3 majority filter."""
    padded = np.pad(mask, 1, mode="edge").astype(np.uint8)
    height, width = mask.shape
    votes = sum(
        padded[y : y + height, x : x + width] for y in range(3) for x in range(3)
    )
    return np.asarray(votes) > 4


def _grown(mask: Mask) -> Mask:
    """Dilate *mask* by one pixel up, down, left and right."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _bridged(cells: Mask) -> Mask:
    """Close the narrow gaps between *cells*."""
    beyond = np.pad(cells, _BRIDGED)
    for _ in range(_BRIDGED):
        beyond = _grown(beyond)
    for _ in range(_BRIDGED):
        beyond = ~_grown(~beyond)
    return beyond[_BRIDGED:-_BRIDGED, _BRIDGED:-_BRIDGED]


def _in_cells(mask: Mask, cell: int) -> NDArray[np.float64]:
    """Return the share of each square of *cell* x *cell* pixels in *mask*, 0 to 1."""
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % cell), (0, -width % cell)), mode="edge")
    rows, columns = padded.shape
    squares = padded.reshape(rows // cell, cell, columns // cell, cell)
    return np.asarray(squares.mean(axis=(1, 3)))


def _to_pixels(cells: Mask, cell: int, shape: tuple[int, ...]) -> Mask:
    return cells.repeat(cell, axis=0).repeat(cell, axis=1)[: shape[0], : shape[1]]


def _reached_from_border(free: Mask) -> Mask:
    pieces = _pieces(free)
    reached = np.unique(pieces[_border(*free.shape)])
    return np.isin(pieces, reached[reached > 0])


def _pieces(mask: Mask) -> NDArray[np.intp]:
    """Label the connected pieces of *mask* from 1; the label outside *mask* is 0."""
    numbers = np.zeros(mask.shape, dtype=np.intp)
    same_as = [0]

    def first(number: int) -> int:
        while same_as[number] != number:
            number = same_as[number]
        return number

    above = np.zeros(mask.shape[1], dtype=np.intp)
    for row, own in zip(mask, numbers, strict=True):
        ends = np.flatnonzero(np.diff(row, prepend=False, append=False))
        for start, end in zip(ends[::2], ends[1::2], strict=True):
            touched = {first(int(number)) for number in set(above[start:end]) - {0}}
            number = min(touched, default=len(same_as))
            if not touched:
                same_as.append(number)
            for other in touched:
                same_as[other] = number
            own[start:end] = number
        above = own
    return np.array([first(number) for number in range(len(same_as))])[numbers]
