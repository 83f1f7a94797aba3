"""Weaves and prints of cloth."""

from __future__ import annotations

import numpy as np

from local.garments.canvas import SCALE, Color, Plane


def striped(
    along: Plane,
    ground: Color,
    stripe: Color,
    *,
    every: float,
    wide: float,
    first: float,
) -> Plane:
    """Draw stripes across the direction *along*, starting at *first*."""
    place = (along - first) % every
    cover = np.clip(np.minimum(place, wide - place) * SCALE + 0.5, 0, 1)
    return mixed(plain(ground), stripe, cover * (along >= first))


def checked(
    across: Plane, down: Plane, ground: Color, *, dark: Color, bright: Color
) -> Plane:
    """Draw broad dark bands in both directions, with a bright line between them."""
    cloth = plain(ground)
    for along in (across, down):
        cloth = mixed(cloth, dark, 0.62 * _band(along, wide=20))
    for along in (across, down):
        cloth = mixed(cloth, bright, 0.85 * _band(along + 37, wide=4))
    return cloth


def _band(along: Plane, *, wide: float, every: float = 74) -> Plane:
    away = np.abs(along % every - every / 2)
    return np.asarray(np.clip((wide / 2 - away) * SCALE + 0.5, 0, 1))


def cable(across: Plane, down: Plane) -> Plane:
    """Compute the light on a cable: two strands twisted around each other between furrows."""
    angle = down * (2 * np.pi / 58)
    strands = np.zeros_like(across)
    for phase in (0.0, np.pi):
        away = across - 9 * np.sin(angle + phase)
        above = 0.75 + 0.25 * np.cos(angle + phase)
        strands = np.maximum(strands, above * np.exp(-((away / 6.5) ** 2)))
    inside = np.exp(-((across / 21) ** 6))
    return np.asarray(1 + inside * (0.34 * strands - 0.2))


def ribs(across: Plane, *, every: float) -> Plane:
    """Compute the light on ribs."""
    return np.asarray(0.97 + 0.10 * np.cos(across * (2 * np.pi / every)))


def plain(color: Color) -> Plane:
    """Return one pixel of a colour, which stands for cloth of this colour."""
    return np.array([[color]], dtype=np.float32)


def mixed(cloth: Plane, color: Color, cover: Plane) -> Plane:
    """Paint a colour over cloth where *cover* is not 0."""
    return cloth + (plain(color) - cloth) * cover[..., None]
