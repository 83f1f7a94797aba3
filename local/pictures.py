"""Draws the small images of the fault matrix and the soak test."""

from __future__ import annotations

import io
from hashlib import sha256

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo


def small_picture(seed: str, mark: str = "") -> bytes:
    """Draw an image of some hundred bytes, with a mark in them; each seed gives another image."""
    colour = sha256(seed.encode()).digest()[:3]
    image = Image.new("RGB", (24, 32), "white")
    ImageDraw.Draw(image).rectangle((6, 6, 17, 25), fill=tuple(colour))
    text = PngInfo()
    text.add_text("Title", seed)
    text.add_text("Comment", mark)
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=text)
    return file.getvalue()
