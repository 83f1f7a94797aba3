"""Plain, striped or checked, as far as pixels tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hangtag_sandbox.perception import Lab
from hangtag_sandbox.pixels import Mask
from hangtag_sandbox.vocabulary import PRINTS, Word

_PARTS = 4  # of the garment's width and height: a fold or a sleeve turns a pattern
_EDGE = 5.0  # CIELAB units from pixel to pixel
_BUSY = 0.1  # of a part's pixels are on edges; a seam alone has fewer
_MOST_PARTS = 0.6  # of a patterned garment are busy; seams and collars are in a few
_ONE_WAY = 0.6
_TWO_WAYS = 0.3


@dataclass(frozen=True, slots=True)
class SeenPrint:
    """A garment's print and how sure it is, 0 to 1."""

    print: Word
    confidence: float


def seen_print(lab: Lab, mask: Mask) -> SeenPrint:
    """
    The print of the pixels in *mask*.

    A pattern has edges all over the garment, one back for each one there. Where they run one way
    it is striped, where they run two ways at right angles it is checked; every other pattern
    counts as solid.
    """
    parts = _parts(lab, mask)
    busy = [part for part in parts if part.edges >= _BUSY]
    if len(busy) < max(1, _MOST_PARTS * len(parts)):
        return SeenPrint(PRINTS["solid"], 1 - len(busy) / max(1, 2 * len(parts)))
    weights = [part.edges for part in busy]
    one_way = float(np.average([part.one_way for part in busy], weights=weights))
    two_ways = float(np.average([part.two_ways for part in busy], weights=weights))
    if one_way >= _ONE_WAY:
        return SeenPrint(PRINTS["stripe"], one_way)
    if two_ways >= _TWO_WAYS:
        return SeenPrint(PRINTS["check"], two_ways)
    return SeenPrint(PRINTS["solid"], 1 - max(one_way, two_ways))


@dataclass(frozen=True, slots=True)
class _Part:
    """How colour changes in a part of the garment."""

    edges: float
    """The share of its pixels that are on edges which come in pairs, there and back."""
    one_way: float
    """Whether the edges run all ways (0) or one way (1)."""
    two_ways: float
    """The same for one way or at right angles to it."""


def _parts(lab: Lab, mask: Mask) -> list[_Part]:
    down, across = np.gradient(_soft(lab), axis=(0, 1))
    slopes = np.concatenate([down, across], axis=2)
    steepness = np.sqrt(np.einsum("...i,...i->...", slopes, slopes))
    # Twice an angle makes opposite directions equal, four times makes right angles so.
    twice = np.arctan2(
        2 * (across * down).sum(axis=2), (across**2 - down**2).sum(axis=2)
    )
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    parts = []
    for part_rows in np.array_split(rows, _PARTS):
        for part_columns in np.array_split(columns, _PARTS):
            part = np.ix_(part_rows, part_columns)
            own = mask[part]
            if own.sum() * _PARTS**3 > mask.sum():  # what has less tells nothing
                steep = own & (steepness[part] >= _EDGE)
                parts.append(
                    _part(int(own.sum()), slopes[part][steep], twice[part][steep])
                )
    return parts


def _soft(lab: Lab) -> Lab:
    """The means of 3 x 3 pixels: a slanted edge is made of steps, which have their own ways."""
    ends = np.pad(lab, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = ends[:-2] + ends[1:-1] + ends[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


def _part(pixels: int, slopes: Lab, twice: Lab) -> _Part:
    if not len(slopes):
        return _Part(0.0, 0.0, 0.0)
    there_or_back = np.linalg.norm(slopes.sum(axis=0))
    there_and_back = np.linalg.norm(slopes, axis=1).sum()
    return _Part(
        edges=len(slopes) / pixels * float(1 - there_or_back / there_and_back),
        one_way=abs(complex(np.exp(1j * twice).mean())),
        two_ways=abs(complex(np.exp(2j * twice).mean())),
    )
