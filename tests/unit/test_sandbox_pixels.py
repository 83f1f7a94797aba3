"""The sandbox decodes every image format into the pixels that a person sees."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hangtag_sandbox.validation import Refused, decode_image, open_image

RED, GREEN, BLUE, WHITE = (200, 30, 40), (30, 140, 60), (40, 60, 190), (255, 255, 255)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:  # noqa: ANN401  Pillow's
    """The picture as a file of this format."""
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def seen(image: bytes) -> NDArray[np.uint8]:
    """The decoded pixels."""
    return decode_image(open_image(image))


def four_corners() -> Image.Image:
    """Red, green, blue and white, clockwise from the upper left."""
    picture = Image.new("RGB", (80, 120), RED)
    picture.paste(GREEN, (40, 0, 80, 60))
    picture.paste(BLUE, (40, 60, 80, 120))
    picture.paste(WHITE, (0, 60, 40, 120))
    return picture


def corners(pixels: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """The colours, clockwise from the upper left."""
    height, width = pixels.shape[:2]
    places = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    places += [(3 * height // 4, 3 * width // 4), (3 * height // 4, width // 4)]
    return [tuple(int(level) for level in pixels[place]) for place in places]


def close(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two colours differ by no more than lossy compression changes them."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 6


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PNG", "TIFF"])
def test_each_lossless_format_keeps_its_pixels(kind: str) -> None:
    """The decoded pixels are the original ones."""
    pixels = seen(encoded(four_corners(), kind))

    assert pixels.shape == (120, 80, 3)
    assert corners(pixels) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_each_lossy_format_nearly_keeps_its_pixels(kind: str) -> None:
    """Compression changes colours slightly and positions not at all."""
    pixels = seen(encoded(four_corners(), kind, quality=95))

    found = corners(pixels)
    assert all(
        close(painted, one)
        for painted, one in zip([RED, GREEN, BLUE, WHITE], found, strict=True)
    ), found


def test_a_large_picture_is_scaled_down() -> None:
    """The analysis takes the same time for images of any size."""
    pixels = seen(encoded(four_corners().resize((1600, 2400)), "PNG"))

    assert pixels.shape == (400, 267, 3)
    assert corners(pixels) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_picture_is_rotated_as_its_exif_says(kind: str, orientation: int) -> None:
    """The analysis sees the photograph as a person does."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = encoded(four_corners(), kind, exif=exif)

    upright = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(image))))
    found = seen(image)

    assert upright.shape[:2] == found.shape[:2]
    assert all(map(close, corners(upright[..., :3]), corners(found)))


def test_invalid_exif_is_ignored() -> None:
    """The picture itself is readable."""
    nonsense = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff"

    pixels = seen(encoded(four_corners(), "PNG", exif=nonsense))

    assert corners(pixels) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_white(mode: str) -> None:
    """A cut-out garment lies on white, whatever colour is behind it."""
    picture = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (20, 20, 40, 40))

    pixels = seen(encoded(picture.convert(mode), "PNG"))

    assert pixels[5, 5].tolist() == [255, 255, 255]
    assert pixels[30, 30].tolist() == [0, 0, 0]


def test_a_palette_with_a_transparent_colour_is_seen_over_white() -> None:
    """GIF has no other transparency."""
    picture = Image.new("P", (60, 60), 0)
    picture.putpalette([10, 200, 10, 200, 10, 10])
    picture.paste(1, (20, 20, 40, 40))

    pixels = seen(encoded(picture, "GIF", transparency=0))

    assert pixels[5, 5].tolist() == [255, 255, 255]
    assert pixels[30, 30].tolist() == [200, 10, 10]


def test_the_first_frame_of_an_animation_is_used() -> None:
    """The API takes an animated GIF for one picture."""
    first, second = (Image.new("RGB", (40, 40), color) for color in (RED, BLUE))

    pixels = seen(encoded(first, "GIF", save_all=True, append_images=[second]))

    assert list(RED) == pixels[20, 20].tolist()


def test_cmyk_colours_are_converted() -> None:
    """A photograph from a print shop has its visible colours."""
    pixels = seen(encoded(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), "JPEG"))

    assert close((255, 0, 0), tuple(int(level) for level in pixels[20, 20]))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_greys_keep_their_brightness(kind: str) -> None:
    """They are not cut to the lowest eighth of their range."""
    steps = np.repeat(np.array([[0, 20_000, 40_000, 60_000]], dtype=np.uint16), 20, 0)
    picture = Image.fromarray(np.repeat(steps, 10, 1))

    pixels = seen(encoded(picture, kind))

    assert [int(pixels[10, x, 0]) for x in (5, 15, 25, 35)] == [0, 85, 170, 255]


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_a_truncated_image_is_refused(kind: str) -> None:
    """Half an upload must not be tagged as if it were whole."""
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    image = encoded(Image.fromarray(noise), kind)

    with pytest.raises(Refused) as refusal:
        seen(image[: len(image) // 2])

    assert refusal.value.code == 805
