"""Draws the dress and the swimsuit."""

from __future__ import annotations

from PIL import Image

from local.garments.drawing import Drawing
from local.garments.outlines import both, both_line, both_sides, circle, path


def dress() -> Image.Image:
    """Draw the lavender dress."""
    lavender = (194, 174, 226)
    picture = Drawing((250, 245, 230), (240, 230, 208), grain=1.2, seed=4)
    silk = 1 + picture.noise(0.008, soft=1.2)
    picture.lay(
        both("M 300 150 Q 330 150 352 128 L 366 150 Q 350 206 300 234"),
        (150, 130, 184),
    )
    picture.lay(
        both("M 300 346 Q 340 346 380 338 Q 420 480 494 690 Q 400 728 300 728"),
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
    for line in both_sides("M 489 677 Q 400 713 300 713"):
        picture.seam(line, color=(120, 100, 160), width=1.2)
    picture.lay(
        both(
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
    for line in both_sides("M 300 231 Q 347 218 357 128"):
        picture.stitches(line, (236, 226, 250))
    ribbon = (112, 84, 158)
    picture.lay(both("M 300 334 Q 345 334 386 326 L 390 356 Q 345 364 300 364"), ribbon)
    for tail in (
        "M 296 350 Q 280 410 256 452 L 286 462 Q 304 410 306 356",
        "M 304 350 Q 322 410 348 446 L 322 462 Q 300 410 296 356",
    ):
        picture.lay(path(tail), ribbon)
    loops = both_sides(
        "M 302 350 Q 330 310 360 322 Q 372 350 358 376 Q 326 384 302 350"
    )
    for loop in loops:
        picture.lay(loop, ribbon, folds=[("M 306 350 Q 326 346 344 350", 5, 0.25)])
    picture.lay(circle(300, 350, 11), ribbon, roundness=0.4)
    return picture.finished(right=-24, down=12)


def swimsuit() -> Image.Image:
    """Draw the mint swimsuit."""
    mint, piping = (132, 210, 184), (250, 250, 246)
    picture = Drawing((240, 226, 204), (224, 204, 174), grain=1.6, seed=8)
    sheen = 1 + picture.noise(0.006, soft=1.5)
    back = "M 300 330 Q 340 326 364 250 L 372 130 L 356 130 Q 348 220 300 226"
    picture.lay(both(back), (86, 158, 134))
    picture.lay(
        both(
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
    panels = both_sides(
        "M 390 268 L 412 304 Q 394 390 404 452 Q 414 500 420 540 Q 408 546 398 553"
        " Q 362 460 364 396 Q 366 320 390 268"
    )
    for side in panels:
        picture.lay(side, (44, 128, 116), relief=sheen, roundness=0.3)
    for line in both_sides("M 420 540 Q 372 566 346 644"):
        picture.trim(line, 6, piping)
    picture.trim(both_line("M 300 300 Q 340 288 354 210 L 358 130"), 6, piping)
    picture.trim(both_line("M 300 372 Q 350 370 402 360"), 16, piping)
    picture.button(300, 371, 13, (244, 244, 240))
    return picture.finished(right=-48)
