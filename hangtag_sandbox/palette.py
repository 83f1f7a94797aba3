"""
Names about 11,000 colours in English, for `colorDetails`.

The names come from the package colourmapper. Only names that describe their colour are used:
`old-rose`, not `city-of-angels`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from colourmapper import ColourMapper

from hangtag_sandbox.perception import Lab, delta_e_2000, distance, to_lab


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours with their names."""

    names: tuple[str, ...]
    """In lower case with hyphens, for example `gray-sand`."""
    colors: Lab
    """One row for each name."""

    def nearest(self, color: Lab) -> str:
        """Return the name of the colour that looks most like *color*."""
        # CIEDE2000 is slow: the plain distance selects the candidates for it.
        near = np.argpartition(distance(self.colors, color), _CLOSE)[:_CLOSE]
        best = delta_e_2000(self.colors[near], color).argmin()
        return self.names[int(near[best])]


_CLOSE = 50


@cache
def palette() -> Palette:
    """Load the palette once; that takes a fraction of a second."""
    names = {
        code: name.replace(" ", "-")
        for code, name in sorted(ColourMapper().hex_to_name.items())
        if _SHORT.fullmatch(name) and _A_COLOR.search(name) and not _UNFIT.search(name)
    }
    levels = np.array([ColourMapper.hex_to_rgb(code) for code in names], dtype=np.uint8)
    return Palette(tuple(names.values()), to_lab(levels))


_SHORT = re.compile(r"[a-z]+( [a-z]+){0,2}")

_A_COLOR = re.compile(
    r"\b(amber|apricot|aqua|azure|beige|black|blue|bordeaux|brass|bronze|brown|burgundy|camel|"
    r"charcoal|cherry|chocolate|cobalt|copper|coral|cream|crimson|cyan|denim|ecru|emerald|fawn|"
    r"fuchsia|gold|gray|green|grey|indigo|ivory|jade|khaki|lavender|lemon|lilac|lime|magenta|"
    r"mahogany|maroon|mauve|mint|mustard|navy|ochre|olive|orange|orchid|peach|pink|plum|purple|"
    r"red|rose|ruby|rust|saffron|salmon|sand|sapphire|scarlet|sepia|silver|tan|taupe|teal|"
    r"terracotta|turquoise|umber|vanilla|vermilion|violet|white|wine|yellow)\b"
)

# The names come in part from an open survey; these do not suit a shop.
_UNFIT = re.compile(r"\b(barf|bile|booger|crap|piss|poop?|puke|shit|snot|vomit)\b")
