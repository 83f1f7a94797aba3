"""Draws the skirt and the jeans."""

from __future__ import annotations

import numpy as np
from PIL import Image

from local.garments.canvas import WIDTH
from local.garments.drawing import Drawing
from local.garments.fabrics import checked
from local.garments.outlines import both, both_sides, path
from local.garments.planes import grid


def checked_skirt() -> Image.Image:
    """Draw the checked skirt."""
    picture = Drawing((220, 226, 233), (196, 205, 216), grain=1.4, seed=3)
    across, down = grid()
    fanned = 500 + (across - WIDTH / 2) / (0.64 + 0.36 * (down - 205) / 450)
    sagging = down + 16 * ((across - WIDTH / 2) / 180) ** 2
    wool = 1 + picture.noise(0.03)
    cloth = checked(
        fanned, sagging, (184, 34, 46), dark=(24, 50, 44), bright=(240, 224, 190)
    )
    picture.lay(
        both("M 300 204 Q 380 204 405 198 Q 440 400 498 640 Q 400 676 300 676"),
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
        both("M 300 168 Q 376 168 400 161 L 406 202 Q 380 210 300 210"),
        checked(
            across, down - 42, (164, 28, 40), dark=(24, 50, 44), bright=(164, 28, 40)
        ),
        relief=wool,
    )
    for line in both_sides("M 407 202 Q 380 210 300 210"):
        picture.seam(line, width=1.8)
    picture.seam(path("M 354 210 Q 372 430 424 668"), width=1.8, show=0.5)
    picture.button(352, 189, 10, (236, 220, 186))
    for height, x in ((262, 350), (322, 358), (382, 367)):
        picture.button(x, height, 9, (236, 220, 186))
    return picture.finished(right=36)


def jeans() -> Image.Image:
    """Draw the blue jeans."""
    blue, thread = (62, 98, 152), (214, 150, 72)
    picture = Drawing((243, 239, 232), (228, 221, 210), grain=1.3, seed=6)
    across, down = grid()
    twill = 1 + 0.035 * np.sin((across + down) * 2.1) + picture.noise(0.03)
    faded = sum(
        np.exp(-(((across - x) / 34) ** 2) - ((down - 330) / 130) ** 2)
        for x in (222, 378)
    )
    denim = np.asarray(blue, dtype=np.float32) + 34 * np.asarray(faded)[..., None]
    picture.lay(
        both("M 300 104 Q 350 104 392 112 L 392 136 Q 350 146 300 146"), (38, 58, 92)
    )
    legs = both_sides(
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
        both("M 300 122 Q 360 122 392 112 L 398 148 Q 360 158 300 158"),
        (56, 90, 142),
        relief=twill,
    )
    for line in (
        *both_sides("M 393 118 Q 360 128 300 128"),
        *both_sides("M 397 143 Q 360 152 300 152"),
        *both_sides("M 342 157 Q 348 206 406 208"),
        *both_sides("M 348 157 Q 354 200 406 201"),
        *both_sides("M 413 232 Q 418 300 418 400 L 420 700"),
        *both_sides("M 330 706 Q 376 716 423 704"),
        path("M 322 158 L 322 250 Q 318 282 302 296"),
        path("M 316 158 L 316 248 Q 312 274 300 286"),
    ):
        picture.stitches(line, thread)
    picture.seam(path("M 300 158 L 300 340"), show=0.45)
    for line in both_sides("M 342 157 Q 348 206 406 208"):
        picture.seam(line, width=1.0, show=0.3)
    for x, top in ((214, 116), (268, 120), (332, 120), (386, 116)):
        picture.lay(
            path(
                f"M {x - 6} {top} L {x + 6} {top} L {x + 6} {top + 46} L {x - 6} {top + 46}"
            ),
            (60, 94, 148),
            relief=twill,
        )
    picture.button(308, 140, 9, (196, 140, 84))
    for x, y in ((345, 160), (402, 205), (255, 160), (198, 205)):
        picture.button(x, y, 3, (196, 140, 84))
    return picture.finished(right=44, down=8)
