"""Recognises whether a garment is plain, striped or checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hangtag_sandbox.perception import Lab
from hangtag_sandbox.pixels import Mask
from hangtag_sandbox.vocabulary import PRINTS, Word

_PARTS = 4  # parts per side: folds and sleeves turn a pattern, so each part is measured alone
_EDGE = 5.0  # CIELAB units from pixel to pixel
_BUSY = 0.1  # share of edge pixels in a part with a pattern; a seam has fewer
_MOST_PARTS = (
    0.6  # share of busy parts in a patterned garment; seams are in fewer parts
)
_ONE_WAY = 0.6
_TWO_WAYS = 0.3


@dataclass(frozen=True, slots=True)
class SeenPrint:
    """A garment's print, with a confidence of 0 to 1."""

    print: Word
    confidence: float


def seen_print(lab: Lab, mask: Mask) -> SeenPrint:
    """
    Recognise the print of the pixels in *mask*.

    A pattern has edges all over the garment, in pairs: from one colour to another and back. If
    they run in one direction, the garment is striped; in two directions at right angles, it is
    checked. Any other pattern counts as solid.
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
    """The edges in one part of the garment."""

    edges: float
    """The share of its pixels on edges that come in pairs, from one colour to another and back."""
    one_way: float
    """0: the edges run in all directions; 1: in one direction."""
    two_ways: float
    """0: the edges run in all directions; 1: in one direction or at right angles to it."""


def _parts(lab: Lab, mask: Mask) -> list[_Part]:
    down, across = np.gradient(_soft(lab), axis=(0, 1))
    slopes = np.concatenate([down, across], axis=2)
    steepness = np.sqrt(np.einsum("...i,...i->...", slopes, slopes))
    # Doubled angles make opposite directions equal, quadrupled angles also right angles.
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
            if own.sum() * _PARTS**3 > mask.sum():  # a smaller part is too noisy
                steep = own & (steepness[part] >= _EDGE)
                parts.append(
                    _part(int(own.sum()), slopes[part][steep], twice[part][steep])
                )
    return parts


def _soft(lab: Lab) -> Lab:
    """Blur with a 3 x 3 mean, because the pixel steps of a slanted edge have other directions."""
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
