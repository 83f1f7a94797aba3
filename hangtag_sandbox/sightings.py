"""What the pixels of a picture honestly tell."""

from __future__ import annotations

from dataclasses import dataclass

from hangtag_sandbox.colors import SeenColor, seen_colors, to_lab
from hangtag_sandbox.outlines import centre_of, find_garments, shrunk
from hangtag_sandbox.pixels import Pixels
from hangtag_sandbox.prints import SeenPrint, seen_print


@dataclass(frozen=True, slots=True)
class Sighting:
    """A garment that was seen."""

    x: float
    """The centre of its bounding box, 0 to 1 of the picture's width."""
    y: float
    """The same of its height."""
    colors: list[SeenColor]
    print: SeenPrint


def look(pixels: Pixels) -> list[Sighting]:
    """The garments in a picture, none where nothing stands out from the background."""
    lab = to_lab(pixels)
    sightings = []
    for outline in find_garments(lab):
        x, y = centre_of(outline.cloth)
        # The outermost pixels are mixed with the background.
        colors = seen_colors(pixels, lab, shrunk(outline.cloth))
        print_ = seen_print(lab, shrunk(outline.extent))
        sightings.append(Sighting(x, y, colors, print_))
    return sightings
