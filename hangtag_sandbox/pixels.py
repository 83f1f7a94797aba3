"""Converts an image to upright, small RGB pixels on white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base as Exif
from PIL.ImageFile import ImageFile

Pixels = NDArray[np.uint8]
"""Rows x columns x red, green, blue."""

Mask = NDArray[np.bool_]
"""Rows x columns: True for each selected pixel."""

LOOK_SIDE = 400
"""The longer side after reduction, in pixels: enough to see stripes, and fast."""

BAND_PIXELS = 2_000_000
"""How many pixels of a large image are converted at a time."""


def read_pixels(image: ImageFile) -> Pixels:
    """
    Read the first frame of an image, with its longer side at most `LOOK_SIDE`.

    Applies the EXIF orientation; transparent pixels are drawn on white.

    Raises:
        Exception: The image does not decode; Pillow raises errors of many types.
    """
    image.draft("RGB", (LOOK_SIDE, LOOK_SIDE))  # lets a JPEG decode at a smaller size
    image.load()
    orientation = _orientation(image)
    small = _small(image)
    small.thumbnail((LOOK_SIDE, LOOK_SIDE))
    return np.asarray(
        small.transpose(_TURNS[orientation]) if orientation in _TURNS else small
    )


def _small(image: Image.Image) -> Image.Image:
    """
    Convert an image to RGB, and reduce a large one to a longer side of little more than
    `LOOK_SIDE`.
    """
    if image.mode.startswith(("I", "F")):
        return _from_deep_grey(image)
    factor = max(image.size) // (2 * LOOK_SIDE)
    if factor <= 1:
        return _opaque(image)
    # A copy of the largest allowed image would take another 400 MB, so it is converted in bands.
    width, height = image.size
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = factor * max(1, BAND_PIXELS // (width * factor))
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(height, top + rows)))
        small.paste(_opaque(band).reduce(factor), (0, top // factor))
    return small


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    see_through = image.convert("RGBA")
    paper = Image.new("RGB", image.size, "white")
    paper.paste(see_through, mask=see_through.getchannel("A"))
    return paper


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Convert greys of 16 or 32 bits: the darkest becomes black, the brightest white."""
    step = max(1, max(image.size) // (2 * LOOK_SIDE))
    few = image.resize(
        (-(-image.width // step), -(-image.height // step)), Image.Resampling.NEAREST
    )
    deep = np.nan_to_num(np.asarray(few).astype(np.float64))
    low, high = deep.min(), deep.max()
    grey = (deep - low) / max(high - low, 1e-9) * 255
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(Exif.Orientation)
    except Exception:  # noqa: BLE001  broken EXIF raises errors of many types, and the image is still good
        return None


_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
