"""An image as the sandbox looks at it: upright, small, over white, red-green-blue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base as Exif
from PIL.ImageFile import ImageFile

Pixels = NDArray[np.uint8]
"""Rows x columns x red, green, blue."""

Mask = NDArray[np.bool_]
"""Rows x columns: which pixels are meant."""

LOOK_SIDE = 400
"""The longer side that is looked at, in pixels: enough for stripes, and quick."""

BAND_PIXELS = 2_000_000
"""Of a large image that are converted at a time."""


def read_pixels(image: ImageFile) -> Pixels:
    """
    The pixels of an image's first frame, its longer side at most `LOOK_SIDE`.

    Turned as its EXIF orientation says; what is transparent is laid over white.

    Raises:
        Exception: Whatever Pillow meets in an image that does not decode.
    """
    image.draft("RGB", (LOOK_SIDE, LOOK_SIDE))  # a JPEG is decoded smaller, others not
    image.load()
    orientation = _orientation(image)
    small = _small(image)
    small.thumbnail((LOOK_SIDE, LOOK_SIDE))
    return np.asarray(
        small.transpose(_TURNS[orientation]) if orientation in _TURNS else small
    )


def _small(image: Image.Image) -> Image.Image:
    """
    The image in red, green and blue, its longer side at least `LOOK_SIDE`, if it was, and not
    much more.
    """
    if image.mode.startswith(("I", "F")):
        return _from_deep_grey(image)
    factor = max(image.size) // (2 * LOOK_SIDE)
    if factor <= 1:
        return _opaque(image)
    # The largest image allowed takes 400 megabytes: it is converted band by band, not copied.
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
    """Greys of 16 and 32 bits: the darkest becomes black and the brightest white."""
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
    except Exception:  # noqa: BLE001  broken EXIF of any kind: the picture itself stands
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
