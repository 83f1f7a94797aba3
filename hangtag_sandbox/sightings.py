"""Finds garments and shoes in the pixels of an image, with their colours and prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from hangtag_sandbox.colors import SeenColor, seen_colors
from hangtag_sandbox.outlines import (
    Box,
    Outline,
    are_alike,
    find_garments,
    shrunk,
)
from hangtag_sandbox.perception import Lab, to_lab
from hangtag_sandbox.pixels import Pixels
from hangtag_sandbox.prints import SeenPrint, seen_print


@dataclass(frozen=True, slots=True)
class Sighting:
    """A garment or a shoe in an image."""

    x: float
    """The centre of its bounding box, 0 to 1 of the image's width."""
    y: float
    """The centre of its bounding box, 0 to 1 of the image's height."""
    colors: list[SeenColor]
    print: SeenPrint
    pair: int | None = None
    """The number of a shoe's pair, from 0; None: not a shoe."""


def look(pixels: Pixels) -> list[Sighting]:
    """
    Find the garments in an image, largest first; an empty list if there is no garment.

    Each connected piece is a garment. If there are only two, alike and one above the other, they
    are a two-piece and count as one. Two alike pieces side by side are shoes if they are wider
    than high, or if they are at the bottom of a larger garment.
    """
    lab = to_lab(pixels)
    outlines = _two_piece_as_one(lab, find_garments(lab))
    pairs = dict(_pairs_of_shoes(lab, outlines))
    sightings = []
    for outline in outlines:
        x, y = outline.centre
        window = outline.window
        # The colours of the outermost pixels are mixed with the background.
        cloth, extent = shrunk(outline.cloth[window]), shrunk(outline.extent[window])
        colors = seen_colors(pixels[window], lab[window], cloth)
        print_ = seen_print(lab[window], extent)
        sightings.append(Sighting(x, y, colors, print_, pairs.get(outline)))
    return sightings


_ALIKE = 0.7  # smallest ratio of two lengths that count as equal
_LOW = 1.3  # smallest ratio of width to height of a shoe seen from the side


def _two_piece_as_one(lab: Lab, outlines: list[Outline]) -> list[Outline]:
    match outlines:
        case [one, other] if _stand_above(one.box, other.box):
            return [one.joined(other)] if are_alike(lab, one, other) else outlines
    return outlines


def _pairs_of_shoes(lab: Lab, outlines: list[Outline]) -> Iterator[tuple[Outline, int]]:
    """Yield each shoe with the number of its pair."""
    paired: set[Outline] = set()
    for one, other in combinations(outlines, 2):
        if (
            paired.isdisjoint((one, other))
            and _stand_side_by_side(one.box, other.box)
            and (_are_low(one, other) or _stand_at_the_foot(one, other, outlines[0]))
            and are_alike(lab, one, other)
        ):
            for shoe in (one, other):
                yield shoe, len(paired) // 2
            paired |= {one, other}


def _stand_above(one: Box, other: Box) -> bool:
    aside = abs(one.left + one.right - other.left - other.right) / 2
    apart = one.bottom <= other.top or other.bottom <= one.top
    return (
        apart and _alike(one.width, other.width) and aside <= (1 - _ALIKE) * one.width
    )


def _stand_side_by_side(one: Box, other: Box) -> bool:
    aside = abs(one.top + one.bottom - other.top - other.bottom) / 2
    apart = one.right <= other.left or other.right <= one.left
    return (
        apart
        and _alike(one.width, other.width)
        and _alike(one.height, other.height)
        and aside <= (1 - _ALIKE) * one.height
    )


def _are_low(*outlines: Outline) -> bool:
    return all(each.box.width >= _LOW * each.box.height for each in outlines)


def _stand_at_the_foot(one: Outline, other: Outline, largest: Outline) -> bool:
    middle = (largest.box.top + largest.box.bottom) / 2
    return largest.size >= 4 * max(one.size, other.size) and all(
        each.box.bottom >= largest.box.bottom and each.box.top >= middle
        for each in (one, other)
    )


def _alike(one: int, other: int) -> bool:
    return min(one, other) >= _ALIKE * max(one, other)
