"""Converts colours to CIELAB and measures how different two colours look."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hangtag_sandbox.pixels import Pixels

Lab = NDArray[np.floating[Any]]
"""Any shape x (lightness 0 to 100, green to red, blue to yellow)."""


def to_lab(pixels: Pixels) -> Lab:
    """Convert sRGB pixels to CIELAB, for the white point D65."""
    levels = _LINEAR[pixels] @ _SRGB_TO_XYZ.T
    steps = np.where(
        levels > 216 / 24389, np.cbrt(levels), (24389 / 27 * levels + 16) / 116
    )
    x, y, z = steps[..., 0], steps[..., 1], steps[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_LEVELS = np.arange(256) / 255
_LINEAR = np.where(
    _LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4
).astype(np.float32)
# Dividing each row by its sum maps white to (1, 1, 1).
_SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_SRGB_TO_XYZ = (_SRGB_TO_XYZ / _SRGB_TO_XYZ.sum(axis=1, keepdims=True)).astype(
    np.float32
)


def distance(ones: Lab, others: Lab) -> NDArray[np.floating[Any]]:
    """
    Euclidean distance in CIELAB: fast, and accurate enough for similar colours.

    The shapes broadcast against each other, except for the last axis.
    """
    apart = ones - others
    return np.asarray(np.sqrt(np.einsum("...i,...i->...", apart, apart)))


def delta_e_2000(ones: Lab, others: Lab) -> NDArray[np.float64]:
    """
    CIEDE2000 difference of colours: people notice differences from about 1.

    The shapes broadcast against each other, except for the last axis.
    """
    light_1, a_1, b_1 = np.moveaxis(np.asarray(ones, dtype=np.float64), -1, 0)
    light_2, a_2, b_2 = np.moveaxis(np.asarray(others, dtype=np.float64), -1, 0)

    # CIELAB understates differences between greys, so CIEDE2000 stretches their a axis.
    stretch = 1.5 - 0.5 * _saturated((np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2)
    chroma_1, hue_1 = _polar(a_1 * stretch, b_1)
    chroma_2, hue_2 = _polar(a_2 * stretch, b_2)

    hue_step = (hue_2 - hue_1 + 180) % 360 - 180
    hue_step = np.where(chroma_1 * chroma_2 == 0, 0, hue_step)
    lighter = light_2 - light_1
    stronger = chroma_2 - chroma_1
    other_hue = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.radians(hue_step / 2))

    light = (light_1 + light_2) / 2
    chroma = (chroma_1 + chroma_2) / 2
    # A grey has hue 0, so the sum is the other colour's hue.
    hue = np.where(chroma_1 * chroma_2 == 0, hue_1 + hue_2, hue_1 + hue_step / 2) % 360

    hues = (
        1
        - 0.17 * _cos(hue - 30)
        + 0.24 * _cos(2 * hue)
        + 0.32 * _cos(3 * hue + 6)
        - 0.20 * _cos(4 * hue - 63)
    )
    off_middle = (light - 50) ** 2
    lighter = lighter / (1 + 0.015 * off_middle / np.sqrt(20 + off_middle))
    stronger = stronger / (1 + 0.045 * chroma)
    other_hue = other_hue / (1 + 0.015 * chroma * hues)
    blues = 60 * np.exp(-(((hue - 275) / 25) ** 2))
    rotation = -2 * _saturated(chroma) * np.sin(np.radians(blues))
    squares = lighter**2 + stronger**2 + other_hue**2
    return np.asarray(np.sqrt(squares + rotation * stronger * other_hue))


def _saturated(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(chroma**7 / (chroma**7 + 25.0**7))


def _polar(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360


def _cos(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cos(np.radians(degrees))
