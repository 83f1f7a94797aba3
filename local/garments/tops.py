"""Draws the T-shirt, the striped shirt, the coat and the sweater."""

from __future__ import annotations

import numpy as np
from PIL import Image

from local.garments.canvas import WIDTH
from local.garments.drawing import Drawing
from local.garments.fabrics import cable, ribs, striped
from local.garments.outlines import both, both_line, both_sides, mirrored, path
from local.garments.planes import grid


def t_shirt() -> Image.Image:
    """Draw the yellow T-shirt."""
    yellow = (246, 204, 54)
    picture = Drawing((255, 255, 255), (255, 255, 255), grain=0, seed=1)
    weave = 1 + picture.noise(0.012)
    picture.lay(both("M 300 160 Q 346 160 366 168 Q 346 216 300 220"), (190, 148, 30))
    picture.seam(path("M 240 172 Q 300 184 360 172"), width=5, show=0.12)
    sleeves = both_sides(
        "M 430 184 Q 484 196 504 244 L 560 350 Q 524 378 480 388 L 436 320"
    )
    for side in sleeves:
        picture.lay(side, yellow, relief=weave)
    for line in both_sides("M 548 344 Q 516 366 478 376"):
        picture.stitches(line, (176, 138, 20))
    picture.lay(
        both(
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
    for line in both_sides("M 438 189 Q 450 250 455 312"):
        picture.seam(line)
    for line in both_sides("M 461 650 Q 380 668 300 668"):
        picture.stitches(line, (176, 138, 20))
    picture.trim(
        both_line("M 300 226 Q 352 221 372 169"), 13, (238, 193, 44), ribbed=True
    )
    return picture.cut_out()


def striped_shirt() -> Image.Image:
    """Draw the striped shirt."""
    navy, white = (30, 42, 84), (246, 245, 241)
    picture = Drawing((226, 190, 170), (208, 168, 148), grain=1.6, seed=2)
    weave = 1 + picture.noise(0.012)
    picture.lay(both("M 300 152 Q 352 152 384 162 Q 360 204 300 208"), (196, 194, 190))
    sleeves = both_sides(
        "M 428 180 Q 484 194 504 250 Q 530 400 544 580 Q 516 594 486 588"
        " Q 470 440 440 330"
    )
    for side, slant in zip(sleeves, (0.16, -0.16), strict=True):
        across, down = grid()
        along = down - slant * (across - WIDTH / 2)
        cloth = striped(along, white, navy, every=30, wide=13, first=252)
        picture.lay(side, cloth, relief=weave)
    for line in both_sides("M 488 572 Q 516 580 541 566"):
        picture.seam(line, width=1.2)
    picture.lay(
        both(
            "M 300 208 Q 360 204 384 161 L 436 180 Q 450 250 454 322"
            " Q 448 480 458 650 Q 380 664 300 664"
        ),
        striped(grid()[1], white, navy, every=30, wide=13, first=262),
        relief=weave,
        folds=[
            ("M 456 330 Q 426 366 392 384", 10, 0.16),
            ("M 146 326 Q 176 366 214 380", 10, 0.16),
            ("M 454 600 Q 410 560 384 500", 13, 0.10),
            ("M 150 610 Q 200 566 216 508", 13, 0.11),
            ("M 312 660 Q 300 600 316 540", 12, 0.07),
        ],
    )
    for line in both_sides("M 436 181 Q 450 250 454 322"):
        picture.seam(line)
    for line in both_sides("M 456 638 Q 380 652 300 652"):
        picture.seam(line, width=1.2, show=0.25)
    picture.trim(both_line("M 300 212 Q 366 208 389 162"), 9, white)
    return picture.finished()


def coat() -> Image.Image:
    """Draw the camel coat."""
    camel, flap, brown = (208, 178, 132), (202, 171, 125), (92, 62, 42)
    picture = Drawing((206, 216, 214), (180, 193, 192), grain=1.5, seed=5)
    wool = 1 + picture.noise(0.022, soft=1.0)
    picture.lay(both("M 300 112 Q 340 112 362 126 L 330 260 L 300 320"), (86, 58, 40))
    for sleeve in both_sides(
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
    for cuff in both_sides("M 479 532 Q 510 542 540 526 L 543 568 Q 512 584 479 576"):
        picture.lay(cuff, flap, relief=wool)
    for x in (104, 496):
        picture.button(x, 556, 6, brown)
    under, over = (
        path(
            "M 434 160 Q 448 240 452 330 Q 452 520 478 712 Q 400 728 300 728"
            f" L {edge} 728 L {edge} 340 L 340 150 L 362 122 L 434 160"
        )
        for edge in (270, 252)
    )
    picture.lay(
        mirrored(under),
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
    picture.seam(path("M 252 340 L 252 726"), width=1.8, show=0.5)
    picture.stitches(path("M 262 352 L 262 720"), (166, 134, 90))
    for lapel in (
        "M 300 318 Q 276 250 262 168 L 216 190 L 190 214 Q 236 290 300 318",
        "M 252 346 Q 300 300 338 168 L 384 190 L 410 214 Q 360 300 252 346",
    ):
        picture.lay(path(lapel), (214, 185, 140), relief=wool)
    for collar in both_sides(
        "M 352 112 Q 376 126 398 164 L 384 192 L 336 176 Q 350 146 340 122"
    ):
        picture.lay(collar, (200, 168, 122), relief=wool)
    for line in both_sides("M 452 330 Q 448 240 434 160"):
        picture.seam(line)
    belt = (198, 166, 120)
    picture.lay(
        both("M 300 424 Q 380 424 456 418 L 457 450 Q 380 458 300 458"),
        belt,
        relief=wool,
    )
    picture.lay(
        path("M 286 414 L 342 414 L 342 468 L 286 468"), (74, 50, 36), roundness=0.4
    )
    picture.lay(path("M 297 425 L 331 425 L 331 457 L 297 457"), belt, relief=wool)
    for x in (278, 350):
        for y in (378, 502, 562):
            picture.button(x, y, 10, brown)
    for pocket in both_sides("M 382 552 L 446 540 L 449 566 L 385 578"):
        picture.lay(pocket, flap, relief=wool)
    return picture.finished(right=10)


def sweater() -> Image.Image:
    """Draw the cable-knit sweater."""
    wine = (124, 34, 58)
    picture = Drawing((226, 231, 219), (205, 213, 198), grain=1.4, seed=7)
    across, down = grid()
    middle = WIDTH / 2
    wool = 1 + picture.noise(0.03, soft=0.8)
    knit = wool * (1 + 0.05 * np.cos(across * 2 * np.pi / 9))
    knit = knit * cable((across - middle + 26) % 52 - 26, down)
    picture.lay(both("M 300 148 Q 346 148 374 157 Q 356 204 300 210"), (84, 20, 38))
    sleeves = both_sides(
        "M 426 176 Q 490 190 510 254 Q 538 400 552 584 Q 520 600 486 592"
        " Q 468 440 436 340"
    )
    for side, slant in zip(sleeves, (0.14, -0.14), strict=True):
        leaning = across - slant * (down - 260) - middle
        relief = wool * (1 + 0.05 * np.cos(leaning * 2 * np.pi / 9))
        relief = relief * cable(np.abs(leaning) - 194, down)
        picture.lay(side, wine, relief=relief, roundness=0.3)
    cuffs = both_sides("M 484 548 Q 516 558 549 542 L 556 600 Q 522 616 486 608")
    for side in cuffs:
        picture.lay(side, (116, 30, 53), relief=wool * ribs(across, every=8))
    picture.lay(
        both(
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
        both("M 300 640 Q 380 640 451 628 Q 452 664 444 690 Q 380 702 300 702"),
        (116, 30, 53),
        relief=wool * ribs(across, every=8),
        roundness=0.3,
    )
    for line in both_sides("M 434 178 Q 448 250 452 330"):
        picture.seam(line, width=2)
    picture.trim(
        both_line("M 300 210 Q 360 206 380 158"), 20, (116, 30, 53), ribbed=True
    )
    return picture.finished()
