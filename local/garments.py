"""
Draws the sample garments that the demonstration uploads.

Each garment consists of outlined parts of cloth, one over the other, with a colour, weave or
print, folds, seams and a soft light from the upper left. The same versions of Pillow and NumPy
always draw the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Plane = NDArray[np.floating[Any]]
"""A number for each pixel of the drawing or of a part; a cover (opacity) is 0 to 1."""

Color = tuple[int, int, int]
Points = list[tuple[float, float]]

WIDTH, HEIGHT = 600, 800
_FINE = 2  # scale of the drawing before reduction, for smooth edges


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
            _t_shirt,
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
            _striped_shirt,
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
            _checked_skirt,
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
            _dress,
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
            _coat,
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
            _jeans,
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
            _sweater,
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
            _swimsuit,
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


# The garments


def _t_shirt() -> Image.Image:
    yellow = (246, 204, 54)
    picture = _Drawing((255, 255, 255), (255, 255, 255), grain=0, seed=1)
    weave = 1 + picture.noise(0.012)
    picture.lay(_both("M 300 160 Q 346 160 366 168 Q 346 216 300 220"), (190, 148, 30))
    picture.seam(_path("M 240 172 Q 300 184 360 172"), width=5, show=0.12)
    sleeves = _both_sides(
        "M 430 184 Q 484 196 504 244 L 560 350 Q 524 378 480 388 L 436 320"
    )
    for side in sleeves:
        picture.lay(side, yellow, relief=weave)
    for line in _both_sides("M 548 344 Q 516 366 478 376"):
        picture.stitches(line, (176, 138, 20))
    picture.lay(
        _both(
            "M 300 220 Q 346 216 366 167 L 438 187 Q 450 250 455 312"
            " Q 450 480 461 664 Q 380 682 300 682"
        ),
        yellow,
        relief=weave,
        folds=[
            ("M 456 318 Q 424 352 396 366", 9, 0.16),
            ("M 146 322 Q 178 356 214 364", 9, 0.16),
            ("M 452 352 Q 430 420 382 452", 10, 0.12),
            ("M 150 360 Q 176 428 206 444", 10, 0.12),
            ("M 456 610 Q 402 572 372 506", 12, 0.12),
            ("M 146 620 Q 190 590 226 520", 12, 0.14),
            ("M 322 676 Q 312 620 326 560", 11, 0.09),
            ("M 262 470 Q 284 520 276 590", 12, 0.07),
        ],
    )
    for line in _both_sides("M 438 189 Q 450 250 455 312"):
        picture.seam(line)
    for line in _both_sides("M 461 650 Q 380 668 300 668"):
        picture.stitches(line, (176, 138, 20))
    picture.trim(
        _both_line("M 300 226 Q 352 221 372 169"), 13, (238, 193, 44), ribbed=True
    )
    return picture.cut_out()


def _striped_shirt() -> Image.Image:
    navy, white = (30, 42, 84), (246, 245, 241)
    picture = _Drawing((226, 190, 170), (208, 168, 148), grain=1.6, seed=2)
    weave = 1 + picture.noise(0.012)
    picture.lay(_both("M 300 152 Q 352 152 384 162 Q 360 204 300 208"), (196, 194, 190))
    sleeves = _both_sides(
        "M 428 180 Q 484 194 504 250 Q 530 400 544 580 Q 516 594 486 588"
        " Q 470 440 440 330"
    )
    for side, slant in zip(sleeves, (0.16, -0.16), strict=True):
        across, down = _grid()
        along = down - slant * (across - WIDTH / 2)
        cloth = _striped(along, white, navy, every=30, wide=13, first=252)
        picture.lay(side, cloth, relief=weave)
    for line in _both_sides("M 488 572 Q 516 580 541 566"):
        picture.seam(line, width=1.2)
    picture.lay(
        _both(
            "M 300 208 Q 360 204 384 161 L 436 180 Q 450 250 454 322"
            " Q 448 480 458 650 Q 380 664 300 664"
        ),
        _striped(_grid()[1], white, navy, every=30, wide=13, first=262),
        relief=weave,
        folds=[
            ("M 456 330 Q 426 366 392 384", 10, 0.16),
            ("M 146 326 Q 176 366 214 380", 10, 0.16),
            ("M 454 600 Q 410 560 384 500", 13, 0.10),
            ("M 150 610 Q 200 566 216 508", 13, 0.11),
            ("M 312 660 Q 300 600 316 540", 12, 0.07),
        ],
    )
    for line in _both_sides("M 436 181 Q 450 250 454 322"):
        picture.seam(line)
    for line in _both_sides("M 456 638 Q 380 652 300 652"):
        picture.seam(line, width=1.2, show=0.25)
    picture.trim(_both_line("M 300 212 Q 366 208 389 162"), 9, white)
    return picture.finished()


def _checked_skirt() -> Image.Image:
    picture = _Drawing((220, 226, 233), (196, 205, 216), grain=1.4, seed=3)
    across, down = _grid()
    fanned = 500 + (across - WIDTH / 2) / (0.64 + 0.36 * (down - 205) / 450)
    sagging = down + 16 * ((across - WIDTH / 2) / 180) ** 2
    wool = 1 + picture.noise(0.03)
    cloth = _checked(
        fanned, sagging, (184, 34, 46), dark=(24, 50, 44), bright=(240, 224, 190)
    )
    picture.lay(
        _both("M 300 204 Q 380 204 405 198 Q 440 400 498 640 Q 400 676 300 676"),
        cloth,
        relief=wool,
        roundness=0.26,
        folds=[
            (
                f"M {300 + top} 216 Q {300 + top * 1.2} 420 {300 + top * 1.9} 668",
                9,
                deep,
            )
            for top, deep in (
                (-92, 0.10),
                (-58, 0.20),
                (-20, 0.12),
                (18, 0.15),
                (54, 0.20),
                (90, 0.11),
            )
        ],
    )
    picture.lay(
        _both("M 300 168 Q 376 168 400 161 L 406 202 Q 380 210 300 210"),
        _checked(
            across, down - 42, (164, 28, 40), dark=(24, 50, 44), bright=(164, 28, 40)
        ),
        relief=wool,
    )
    for line in _both_sides("M 407 202 Q 380 210 300 210"):
        picture.seam(line, width=1.8)
    picture.seam(_path("M 354 210 Q 372 430 424 668"), width=1.8, show=0.5)
    picture.button(352, 189, 10, (236, 220, 186))
    for height, x in ((262, 350), (322, 358), (382, 367)):
        picture.button(x, height, 9, (236, 220, 186))
    return picture.finished(right=36)


def _dress() -> Image.Image:
    lavender = (194, 174, 226)
    picture = _Drawing((250, 245, 230), (240, 230, 208), grain=1.2, seed=4)
    silk = 1 + picture.noise(0.008, soft=1.2)
    picture.lay(
        _both("M 300 150 Q 330 150 352 128 L 366 150 Q 350 206 300 234"),
        (150, 130, 184),
    )
    picture.lay(
        _both("M 300 346 Q 340 346 380 338 Q 420 480 494 690 Q 400 728 300 728"),
        lavender,
        relief=silk,
        roundness=0.24,
        folds=[
            (f"M {300 + top} 352 Q {300 + top * 1.3} 520 {300 + low} 716", 13, deep)
            for top, low, deep in (
                (-66, -166, 0.16),
                (-44, -108, 0.24),
                (-20, -52, 0.17),
                (4, 6, 0.20),
                (26, 62, 0.16),
                (48, 116, 0.24),
                (68, 168, 0.15),
            )
        ],
    )
    for line in _both_sides("M 489 677 Q 400 713 300 713"):
        picture.seam(line, color=(120, 100, 160), width=1.2)
    picture.lay(
        _both(
            "M 300 226 Q 342 214 352 126 L 384 122 Q 378 196 408 236"
            " Q 390 290 382 344 Q 340 352 300 352"
        ),
        lavender,
        relief=silk,
        folds=[
            ("M 404 240 Q 372 262 350 270", 8, 0.16),
            ("M 196 240 Q 228 262 250 270", 8, 0.16),
            ("M 350 346 Q 342 300 352 276", 8, 0.13),
            ("M 250 346 Q 258 300 248 276", 8, 0.13),
        ],
    )
    for line in _both_sides("M 300 231 Q 347 218 357 128"):
        picture.stitches(line, (236, 226, 250))
    ribbon = (112, 84, 158)
    picture.lay(
        _both("M 300 334 Q 345 334 386 326 L 390 356 Q 345 364 300 364"), ribbon
    )
    for tail in (
        "M 296 350 Q 280 410 256 452 L 286 462 Q 304 410 306 356",
        "M 304 350 Q 322 410 348 446 L 322 462 Q 300 410 296 356",
    ):
        picture.lay(_path(tail), ribbon)
    loops = _both_sides(
        "M 302 350 Q 330 310 360 322 Q 372 350 358 376 Q 326 384 302 350"
    )
    for loop in loops:
        picture.lay(loop, ribbon, folds=[("M 306 350 Q 326 346 344 350", 5, 0.25)])
    picture.lay(_circle(300, 350, 11), ribbon, roundness=0.4)
    return picture.finished(right=-24, down=12)


def _coat() -> Image.Image:
    camel, flap, brown = (208, 178, 132), (202, 171, 125), (92, 62, 42)
    picture = _Drawing((206, 216, 214), (180, 193, 192), grain=1.5, seed=5)
    wool = 1 + picture.noise(0.022, soft=1.0)
    picture.lay(_both("M 300 112 Q 340 112 362 126 L 330 260 L 300 320"), (86, 58, 40))
    for sleeve in _both_sides(
        "M 430 160 Q 488 178 506 244 Q 532 400 542 566 Q 512 582 480 574"
        " Q 466 440 436 330"
    ):
        picture.lay(
            sleeve,
            camel,
            relief=wool,
            folds=[
                ("M 508 380 Q 490 396 470 396", 8, 0.13),
                ("M 92 390 Q 110 404 130 402", 8, 0.13),
            ],
        )
    for cuff in _both_sides("M 479 532 Q 510 542 540 526 L 543 568 Q 512 584 479 576"):
        picture.lay(cuff, flap, relief=wool)
    for x in (104, 496):
        picture.button(x, 556, 6, brown)
    under, over = (
        _path(
            "M 434 160 Q 448 240 452 330 Q 452 520 478 712 Q 400 728 300 728"
            f" L {edge} 728 L {edge} 340 L 340 150 L 362 122 L 434 160"
        )
        for edge in (270, 252)
    )
    picture.lay(
        _mirrored(under),
        camel,
        relief=wool,
        folds=[
            ("M 148 340 Q 178 372 200 384", 10, 0.13),
            ("M 206 470 Q 196 590 180 720", 13, 0.13),
        ],
    )
    picture.lay(
        over,
        camel,
        relief=wool,
        folds=[
            ("M 452 340 Q 424 374 400 384", 10, 0.13),
            ("M 396 470 Q 404 590 424 720", 13, 0.14),
            ("M 300 470 Q 306 600 300 724", 12, 0.08),
        ],
    )
    picture.seam(_path("M 252 340 L 252 726"), width=1.8, show=0.5)
    picture.stitches(_path("M 262 352 L 262 720"), (166, 134, 90))
    for lapel in (
        "M 300 318 Q 276 250 262 168 L 216 190 L 190 214 Q 236 290 300 318",
        "M 252 346 Q 300 300 338 168 L 384 190 L 410 214 Q 360 300 252 346",
    ):
        picture.lay(_path(lapel), (214, 185, 140), relief=wool)
    for collar in _both_sides(
        "M 352 112 Q 376 126 398 164 L 384 192 L 336 176 Q 350 146 340 122"
    ):
        picture.lay(collar, (200, 168, 122), relief=wool)
    for line in _both_sides("M 452 330 Q 448 240 434 160"):
        picture.seam(line)
    belt = (198, 166, 120)
    picture.lay(
        _both("M 300 424 Q 380 424 456 418 L 457 450 Q 380 458 300 458"),
        belt,
        relief=wool,
    )
    picture.lay(
        _path("M 286 414 L 342 414 L 342 468 L 286 468"), (74, 50, 36), roundness=0.4
    )
    picture.lay(_path("M 297 425 L 331 425 L 331 457 L 297 457"), belt, relief=wool)
    for x in (278, 350):
        for y in (378, 502, 562):
            picture.button(x, y, 10, brown)
    for pocket in _both_sides("M 382 552 L 446 540 L 449 566 L 385 578"):
        picture.lay(pocket, flap, relief=wool)
    return picture.finished(right=10)


def _jeans() -> Image.Image:
    blue, thread = (62, 98, 152), (214, 150, 72)
    picture = _Drawing((243, 239, 232), (228, 221, 210), grain=1.3, seed=6)
    across, down = _grid()
    twill = 1 + 0.035 * np.sin((across + down) * 2.1) + picture.noise(0.03)
    faded = sum(
        np.exp(-(((across - x) / 34) ** 2) - ((down - 330) / 130) ** 2)
        for x in (222, 378)
    )
    denim = np.asarray(blue, dtype=np.float32) + 34 * np.asarray(faded)[..., None]
    picture.lay(
        _both("M 300 104 Q 350 104 392 112 L 392 136 Q 350 146 300 146"), (38, 58, 92)
    )
    legs = _both_sides(
        "M 298 146 Q 360 146 397 138 Q 420 240 424 330 Q 430 540 424 716"
        " Q 376 728 326 718 Q 320 520 306 352 L 294 330"
    )
    for side in legs:
        picture.lay(
            side,
            denim,
            relief=twill,
            roundness=0.28,
            folds=[
                ("M 312 346 Q 350 322 388 318", 8, 0.13),
                ("M 288 346 Q 250 322 212 318", 8, 0.13),
                ("M 312 372 Q 346 366 376 368", 8, 0.10),
                ("M 288 372 Q 254 366 224 368", 8, 0.10),
                ("M 334 520 Q 370 510 410 520", 9, 0.12),
                ("M 266 520 Q 230 512 190 524", 9, 0.12),
                ("M 340 546 Q 372 540 412 552", 8, 0.09),
                ("M 332 690 Q 372 682 418 692", 8, 0.12),
                ("M 268 690 Q 228 682 182 692", 8, 0.12),
            ],
        )
    picture.lay(
        _both("M 300 122 Q 360 122 392 112 L 398 148 Q 360 158 300 158"),
        (56, 90, 142),
        relief=twill,
    )
    for line in (
        *_both_sides("M 393 118 Q 360 128 300 128"),
        *_both_sides("M 397 143 Q 360 152 300 152"),
        *_both_sides("M 342 157 Q 348 206 406 208"),
        *_both_sides("M 348 157 Q 354 200 406 201"),
        *_both_sides("M 413 232 Q 418 300 418 400 L 420 700"),
        *_both_sides("M 330 706 Q 376 716 423 704"),
        _path("M 322 158 L 322 250 Q 318 282 302 296"),
        _path("M 316 158 L 316 248 Q 312 274 300 286"),
    ):
        picture.stitches(line, thread)
    picture.seam(_path("M 300 158 L 300 340"), show=0.45)
    for line in _both_sides("M 342 157 Q 348 206 406 208"):
        picture.seam(line, width=1.0, show=0.3)
    for x, top in ((214, 116), (268, 120), (332, 120), (386, 116)):
        picture.lay(
            _path(
                f"M {x - 6} {top} L {x + 6} {top} L {x + 6} {top + 46} L {x - 6} {top + 46}"
            ),
            (60, 94, 148),
            relief=twill,
        )
    picture.button(308, 140, 9, (196, 140, 84))
    for x, y in ((345, 160), (402, 205), (255, 160), (198, 205)):
        picture.button(x, y, 3, (196, 140, 84))
    return picture.finished(right=44, down=8)


def _sweater() -> Image.Image:
    wine = (124, 34, 58)
    picture = _Drawing((226, 231, 219), (205, 213, 198), grain=1.4, seed=7)
    across, down = _grid()
    middle = WIDTH / 2
    wool = 1 + picture.noise(0.03, soft=0.8)
    knit = wool * (1 + 0.05 * np.cos(across * 2 * np.pi / 9))
    knit = knit * _cable((across - middle + 26) % 52 - 26, down)
    picture.lay(_both("M 300 148 Q 346 148 374 157 Q 356 204 300 210"), (84, 20, 38))
    sleeves = _both_sides(
        "M 426 176 Q 490 190 510 254 Q 538 400 552 584 Q 520 600 486 592"
        " Q 468 440 436 340"
    )
    for side, slant in zip(sleeves, (0.14, -0.14), strict=True):
        leaning = across - slant * (down - 260) - middle
        relief = wool * (1 + 0.05 * np.cos(leaning * 2 * np.pi / 9))
        relief = relief * _cable(np.abs(leaning) - 194, down)
        picture.lay(side, wine, relief=relief, roundness=0.3)
    cuffs = _both_sides("M 484 548 Q 516 558 549 542 L 556 600 Q 522 616 486 608")
    for side in cuffs:
        picture.lay(side, (116, 30, 53), relief=wool * _ribs(across, every=8))
    picture.lay(
        _both(
            "M 300 206 Q 352 202 372 158 L 434 178 Q 448 250 452 330"
            " Q 446 480 458 600 Q 460 624 448 644 Q 380 656 300 656"
        ),
        wine,
        relief=knit,
        roundness=0.3,
        folds=[
            ("M 454 336 Q 428 374 398 390", 11, 0.15),
            ("M 146 336 Q 172 374 202 390", 11, 0.15),
            ("M 450 590 Q 412 560 392 506", 13, 0.10),
            ("M 150 590 Q 188 560 208 506", 13, 0.10),
        ],
    )
    picture.lay(
        _both("M 300 640 Q 380 640 451 628 Q 452 664 444 690 Q 380 702 300 702"),
        (116, 30, 53),
        relief=wool * _ribs(across, every=8),
        roundness=0.3,
    )
    for line in _both_sides("M 434 178 Q 448 250 452 330"):
        picture.seam(line, width=2)
    picture.trim(
        _both_line("M 300 210 Q 360 206 380 158"), 20, (116, 30, 53), ribbed=True
    )
    return picture.finished()


def _swimsuit() -> Image.Image:
    mint, piping = (132, 210, 184), (250, 250, 246)
    picture = _Drawing((240, 226, 204), (224, 204, 174), grain=1.6, seed=8)
    sheen = 1 + picture.noise(0.006, soft=1.5)
    back = "M 300 330 Q 340 326 364 250 L 372 130 L 356 130 Q 348 220 300 226"
    picture.lay(_both(back), (86, 158, 134))
    picture.lay(
        _both(
            "M 300 300 Q 340 288 354 210 L 358 128 L 380 128 Q 376 240 412 304"
            " Q 394 390 404 452 Q 414 500 420 540 Q 372 566 346 644"
            " Q 326 672 300 674"
        ),
        mint,
        relief=sheen,
        roundness=0.3,
        folds=[
            ("M 396 400 Q 352 418 318 414", 9, 0.12),
            ("M 204 396 Q 246 416 284 412", 9, 0.12),
            ("M 402 440 Q 360 462 312 460", 9, 0.11),
            ("M 198 444 Q 240 464 288 458", 9, 0.11),
            ("M 412 520 Q 368 530 330 560", 9, 0.10),
            ("M 188 520 Q 232 530 270 560", 9, 0.10),
        ],
    )
    panels = _both_sides(
        "M 390 268 L 412 304 Q 394 390 404 452 Q 414 500 420 540 Q 408 546 398 553"
        " Q 362 460 364 396 Q 366 320 390 268"
    )
    for side in panels:
        picture.lay(side, (44, 128, 116), relief=sheen, roundness=0.3)
    for line in _both_sides("M 420 540 Q 372 566 346 644"):
        picture.trim(line, 6, piping)
    picture.trim(_both_line("M 300 300 Q 340 288 354 210 L 358 130"), 6, piping)
    picture.trim(_both_line("M 300 372 Q 350 370 402 360"), 16, piping)
    picture.button(300, 371, 13, (244, 244, 240))
    return picture.finished(right=-48)


# Weaves and prints


def _striped(
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
    cover = np.clip(np.minimum(place, wide - place) * _FINE + 0.5, 0, 1)
    return _mixed(_plain(ground), stripe, cover * (along >= first))


def _checked(
    across: Plane, down: Plane, ground: Color, *, dark: Color, bright: Color
) -> Plane:
    """Draw broad dark bands in both directions, with a bright line between them."""
    cloth = _plain(ground)
    for along in (across, down):
        cloth = _mixed(cloth, dark, 0.62 * _band(along, wide=20))
    for along in (across, down):
        cloth = _mixed(cloth, bright, 0.85 * _band(along + 37, wide=4))
    return cloth


def _band(along: Plane, *, wide: float, every: float = 74) -> Plane:
    away = np.abs(along % every - every / 2)
    return np.asarray(np.clip((wide / 2 - away) * _FINE + 0.5, 0, 1))


def _cable(across: Plane, down: Plane) -> Plane:
    """Compute the light on a cable: two strands twisted around each other between furrows."""
    angle = down * (2 * np.pi / 58)
    strands = np.zeros_like(across)
    for phase in (0.0, np.pi):
        away = across - 9 * np.sin(angle + phase)
        above = 0.75 + 0.25 * np.cos(angle + phase)
        strands = np.maximum(strands, above * np.exp(-((away / 6.5) ** 2)))
    inside = np.exp(-((across / 21) ** 6))
    return np.asarray(1 + inside * (0.34 * strands - 0.2))


def _ribs(across: Plane, *, every: float) -> Plane:
    """Compute the light on ribs."""
    return np.asarray(0.97 + 0.10 * np.cos(across * (2 * np.pi / every)))


def _plain(color: Color) -> Plane:
    return np.array([[color]], dtype=np.float32)


def _mixed(cloth: Plane, color: Color, cover: Plane) -> Plane:
    return cloth + (_plain(color) - cloth) * cover[..., None]


# The drawing


class _Drawing:
    """A background with a garment that is drawn on it part by part."""

    def __init__(self, above: Color, below: Color, *, grain: float, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        share = _grid()[1] / HEIGHT
        self._background = _mixed(_plain(above), below, share)
        self._background = self._background + self.noise(grain)[..., None]
        self._pixels = self._background.copy()
        self._garment = np.zeros_like(share)

    def noise(self, strength: float, *, soft: float = 0.6) -> Plane:
        """Make noise with the standard deviation *strength*, blurred by *soft* pixels."""
        raw = self._random.standard_normal(self._shape, dtype=np.float32)
        grain = _blurred(0.5 + raw / 8, soft)
        return np.asarray((grain - grain.mean()) * (strength / grain.std()))

    def lay(
        self,
        outline: Points,
        cloth: Plane | Color,
        *,
        relief: Plane | None = None,
        roundness: float = 0.2,
        folds: Sequence[tuple[str, float, float]] = (),
    ) -> None:
        """
        Draw a part over the existing ones.

        *relief* is the light on the weave; *folds* are lines with their width and depth.
        """
        box = _box_around(outline)
        soft = min(16.0, min(box.width, box.height) / _FINE / 8)
        cover = _filled(outline, box)
        light = _light(cover, roundness, soft)
        for line, width, depth in folds:
            light = light - depth * _fold(_path(line), width, box)
        self._lay(cover, box, cloth, light, relief)

    def trim(
        self, line: Points, width: float, color: Color, *, ribbed: bool = False
    ) -> None:
        """Draw a band along a line."""
        box = _box_around(line)
        cover = _stroked([line], width, box)
        light = _light(cover, 0.12, width / 4)
        if ribbed:
            across, down = (box.of(plane) for plane in _grid())
            spokes = np.arctan2(down - 120, across - WIDTH / 2)
            light = light * _ribs(spokes * 90, every=6)
        self._lay(cover, box, color, light, None)

    def seam(
        self,
        line: Points,
        *,
        color: Color = (0, 0, 0),
        width: float = 1.4,
        show: float = 0.4,
    ) -> None:
        """Draw a line on the garment with the opacity *show*."""
        box = _box_around(line)
        self._put(_plain(color), show * _stroked([line], width, box), box)

    def stitches(self, line: Points, color: Color) -> None:
        """Draw a dashed line on the garment."""
        box = _box_around(line)
        self._put(_plain(color), 0.85 * _stroked(_dashes(line), 1.5, box), box)

    def button(self, x: float, y: float, radius: float, color: Color) -> None:
        """Draw a button with a rim and four holes."""
        self.lay(_circle(x, y, radius), color, roundness=0.15)
        self.seam(_circle(x, y, radius * 0.75), width=radius / 7, show=0.25)
        for right, down in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
            at = (x + right * radius / 4, y + down * radius / 4)
            self.seam(_circle(*at, radius / 20), width=radius / 7, show=0.65)

    def finished(self, right: float = 0, down: float = 0) -> Image.Image:
        """Return the image with the garment moved by these pixels, and with its shadow."""
        pixels = _shifted(self._pixels, right, down)
        garment = _shifted(self._garment, right, down)
        shadow = 0.10 * _shifted(_blurred(garment, 12), 6, 12)
        behind = self._background * (1 - shadow[..., None])
        return _image(behind + (pixels - behind) * garment[..., None])

    def cut_out(self) -> Image.Image:
        """Return the garment on a transparent background."""
        cut = _image(self._pixels)
        cut.putalpha(_image(self._garment * 255))
        return cut

    _shape = (HEIGHT * _FINE, WIDTH * _FINE)

    def _lay(
        self,
        cover: Plane,
        box: _Box,
        cloth: Plane | Color,
        light: Plane,
        relief: Plane | None,
    ) -> None:
        garment = box.of(self._garment)
        under = _shifted(_blurred(cover, 3.5), 3, 5) * (1 - cover) * garment
        box.of(self._pixels)[:] *= 1 - 0.25 * under[..., None]
        if relief is not None:
            light = light * box.of(relief)
        whole = _plain(cloth) if isinstance(cloth, tuple) else box.of(cloth)
        self._put(whole * light[..., None], cover, box)
        np.maximum(garment, cover, out=garment)

    def _put(self, cloth: Plane, cover: Plane, box: _Box) -> None:
        pixels = box.of(self._pixels)
        pixels += (cloth - pixels) * cover[..., None]


class _Box(NamedTuple):
    """A rectangle of the enlarged drawing; drawing only inside it saves time."""

    left: int
    top: int
    width: int
    height: int

    def of(self, plane: Plane) -> Plane:
        """Return a view of *plane* inside the box; a plane of one pixel is returned whole."""
        if plane.shape[:2] == (1, 1):
            return plane
        return plane[
            self.top : self.top + self.height, self.left : self.left + self.width
        ]

    def place(self, points: Points, scale: int) -> Points:
        """Convert the points to coordinates of the box, *scale* times larger."""
        return [
            ((x * _FINE - self.left) * scale, (y * _FINE - self.top) * scale)
            for x, y in points
        ]


def _box_around(points: Points) -> _Box:
    """Return the box around *points*, with a margin for blurs."""
    across, down = np.array(points).T
    left, right = _span(across, WIDTH)
    top, bottom = _span(down, HEIGHT)
    return _Box(left, top, right - left, bottom - top)


def _span(along: NDArray[np.float64], length: int, room: int = 24) -> tuple[int, int]:
    start, end = max(0.0, along.min() - room), min(length, along.max() + room)
    return int(start) * _FINE, int(end + 1) * _FINE


def _light(cover: Plane, roundness: float, soft: float) -> Plane:
    """Compute the light on a part: darker towards the edges, most at the lower right."""
    depth = np.clip(_blurred(cover, soft) * 2 - 1, 0, 1)
    body = _blurred(cover, soft * 0.6)
    slope = _shifted(body, soft * 0.4, soft * 0.4)
    slope = slope - _shifted(body, -soft * 0.4, -soft * 0.4)
    return 1 - roundness * (1 - np.sqrt(depth)) + 0.45 * roundness * slope


def _fold(line: Points, width: float, box: _Box) -> Plane:
    """Compute a fold: positive values for its shadow, negative ones for the shine beside it."""
    crease = _blurred(_stroked([line], width, box), width * 0.8)
    return crease - 0.55 * _shifted(crease, -width, -width * 0.6)


def _image(plane: Plane) -> Image.Image:
    fine = Image.fromarray(np.clip(np.round(plane), 0, 255).astype(np.uint8))
    return fine.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


@cache
def _grid() -> tuple[Plane, Plane]:
    """Return the x and y coordinates of each pixel."""
    down, across = np.mgrid[0 : HEIGHT * _FINE, 0 : WIDTH * _FINE].astype(np.float32)
    return across / _FINE, down / _FINE


def _blurred(plane: Plane, radius: float) -> Plane:
    """Blur a plane of 0 to 1, rounded to bytes: precise enough for light and shadow."""
    image = Image.fromarray(np.clip(plane * 255, 0, 255).astype(np.uint8))
    coarse = 4 if radius >= 8 else 1  # a wide blur is slow, and leaves no detail
    small = image.reduce(coarse)
    blurred = small.filter(ImageFilter.GaussianBlur(radius * _FINE / coarse))
    whole = blurred.resize(image.size, Image.Resampling.BICUBIC)
    return np.asarray(whole, dtype=np.float32) / 255


def _shifted(plane: Plane, right: float, down: float) -> Plane:
    return np.roll(plane, (round(down * _FINE), round(right * _FINE)), axis=(0, 1))


def _filled(outline: Points, box: _Box) -> Plane:
    canvas = Image.new("L", (2 * box.width, 2 * box.height))
    ImageDraw.Draw(canvas).polygon(box.place(outline, 2), fill=255)
    return _softened(canvas)


def _stroked(lines: Sequence[Points], width: float, box: _Box) -> Plane:
    canvas = Image.new("L", (2 * box.width, 2 * box.height))
    pen = ImageDraw.Draw(canvas)
    for line in lines:
        thick = max(1, round(2 * width * _FINE))
        pen.line(box.place(line, 2), fill=255, width=thick, joint="curve")
    return _softened(canvas)


def _softened(twice: Image.Image) -> Plane:
    """Reduce a cover drawn at twice the size, because Pillow draws hard edges."""
    return np.asarray(twice.reduce(2), dtype=np.float32) / 255


# Outlines


def _path(text: str) -> Points:
    """Return points along an SVG path with absolute M, L, Q and C."""
    points: Points = []
    words = iter(text.split())
    for command in words:
        count = {"M": 1, "L": 1, "Q": 2, "C": 3}[command]
        given = [(float(next(words)), float(next(words))) for _ in range(count)]
        points += given if command in "ML" else _curve([points[-1], *given])
    return points


def _curve(controls: Points, steps: int = 24) -> Points:
    """Return points of a Bezier curve, without the first one."""
    points = []
    for step in range(1, steps + 1):
        share = step / steps
        level = controls
        while len(level) > 1:
            level = [
                (x + (to_x - x) * share, y + (to_y - y) * share)
                for (x, y), (to_x, to_y) in pairwise(level)
            ]
        points += level
    return points


def _both(text: str) -> Points:
    """Complete a symmetric outline from its right half, given from top middle to bottom middle."""
    right = _path(text)
    return right + _mirrored(right)[::-1]


def _both_line(text: str) -> Points:
    """Complete a symmetric line from its right half, given from the middle outwards."""
    right = _path(text)
    return _mirrored(right)[::-1] + right


def _both_sides(text: str) -> tuple[Points, Points]:
    """Return a line or an outline of the right side, and its mirror image."""
    right = _path(text)
    return right, _mirrored(right)


def _mirrored(points: Points) -> Points:
    return [(WIDTH - x, y) for x, y in points]


def _circle(x: float, y: float, radius: float) -> Points:
    return [
        (x + radius * float(np.cos(angle)), y + radius * float(np.sin(angle)))
        for angle in np.linspace(0, 2 * np.pi, 48)
    ]


def _dashes(line: Points, *, long: float = 7, gap: float = 4) -> list[Points]:
    """Split a line into dashes."""
    x, y = np.array(line).T
    walked = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    return [
        [
            (float(np.interp(at, walked, x)), float(np.interp(at, walked, y)))
            for at in np.linspace(start, start + long, 5)
        ]
        for start in np.arange(0, walked[-1] - long, long + gap)
    ]
