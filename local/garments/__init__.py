"""
Draws the sample garments that the demonstration uploads.

Each garment consists of outlined parts of cloth, one over the other, with a colour, weave or
print, folds, seams and a soft light from the upper left. The same versions of Pillow and NumPy
always draw the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from local.garments.bottoms import checked_skirt, jeans
from local.garments.canvas import Color
from local.garments.dresses import dress, swimsuit
from local.garments.tops import coat, striped_shirt, sweater, t_shirt


@dataclass(frozen=True)
class Garment:
    """A drawn image with the context for its upload."""

    path: Path
    title: str
    context: dict[str, str]
    """S3 user metadata without `x-amz-meta-`; some values are not ASCII."""
    colors: tuple[Color, ...]
    """RGB of its cloths without light and shadow, largest first."""


def draw_garments(folder: Path, *, count: int = 8) -> list[Garment]:
    """
    Draw eight images in six formats, or the first *count*, into *folder*, which must exist.

    Each image takes about a second.
    """
    return [
        Garment(
            _save(draw(), folder / name),
            title,
            {f"tagger-{field}": value for field, value in context.items()},
            colors,
        )
        for draw, name, title, context, colors in _collection()[:count]
    ]


def _collection() -> list[
    tuple[Callable[[], Image.Image], str, str, dict[str, str], tuple[Color, ...]]
]:
    return [
        (
            t_shirt,
            "sunny t-shirt.png",
            "Yellow T-shirt",
            {
                "id": "SAMPLE-1001",
                "brand": "Sample Studio",
                "gender": "unisex",
                "price": "24.90",
                "currency": "USD",
                "season": "26SS",
                "product-content-name": "Sunny cotton T-shirt",
                "keywords": "summer basic",
            },
            ((246, 204, 54),),
        ),
        (
            striped_shirt,
            "striped shirt.jpg",
            "Striped shirt",
            {
                "id": "SAMPLE-1002",
                "brand": "Sample Studio",
                "gender": "male",
                "price": "39",
                "currency": "USD",
                "season": "26SS",
                "product-content-name": "Harbour striped shirt",
                "keywords": "stripe marine",
            },
            ((246, 245, 241), (30, 42, 84)),
        ),
        (
            checked_skirt,
            "checked skirt.webp",
            "Checked skirt",
            {
                "id": "SAMPLE-1003",
                "brand": "Sample Studio",
                "gender": "female",
                "price": "58.00",
                "currency": "USD",
                "season": "26FW",
                "product-content-name": "Checked wrap skirt",
                "keywords": "check wool autumn",
            },
            ((184, 34, 46),),
        ),
        (
            dress,
            "라벤더 원피스.tiff",
            "Lavender dress",
            {
                "id": "SAMPLE-1004",
                "brand": "Sample Studio",
                "gender": "female",
                "price": "89000",
                "currency": "KRW",
                "season": "26SS",
                "product-content-name": "라벤더 리본 원피스",
                "keywords": "여름 원피스",
            },
            ((194, 174, 226), (112, 84, 158)),
        ),
        (
            coat,
            "camel coat.bmp",
            "Camel coat",
            {
                "id": "SAMPLE-1005",
                "brand": "Sample Studio",
                "gender": "female",
                "price": "249.00",
                "currency": "USD",
                "season": "26FW",
                "product-content-name": "Double-breasted camel coat",
                "keywords": "wool winter",
            },
            ((208, 178, 132), (86, 58, 40)),
        ),
        (
            jeans,
            "blue jeans.jpg",
            "Blue jeans",
            {
                "id": "SAMPLE-1006",
                "brand": "Sample Studio",
                "gender": "male",
                "price": "69.90",
                "currency": "USD",
                "season": "26FW",
                "product-content-name": "Straight blue jeans",
                "keywords": "denim five pocket",
            },
            ((62, 98, 152),),
        ),
        (
            sweater,
            "cable sweater.png",
            "Cable-knit sweater",
            {
                "id": "SAMPLE-1007",
                "brand": "Sample Studio",
                "gender": "unisex",
                "price": "79.50",
                "currency": "USD",
                "season": "26FW",
                "product-content-name": "Cable-knit sweater",
                "keywords": "knit wool winter",
            },
            ((124, 34, 58),),
        ),
        (
            swimsuit,
            "mint swimsuit.gif",
            "Mint swimsuit",
            {
                "id": "SAMPLE-1008",
                "brand": "Sample Studio",
                "gender": "female",
                "price": "45",
                "currency": "USD",
                "season": "26SS",
                "product-content-name": "Mint one-piece swimsuit",
                "keywords": "beach resort",
            },
            ((132, 210, 184), (44, 128, 116), (250, 250, 246)),
        ),
    ]


def _save(picture: Image.Image, path: Path) -> Path:
    if path.suffix == ".gif":
        picture = picture.quantize(256)
    options: dict[str, dict[str, Any]] = {
        ".jpg": {"quality": 92},
        ".webp": {"quality": 90},
        ".tiff": {"compression": "tiff_lzw"},
    }
    picture.save(path, **options.get(path.suffix, {}))
    return path
