"""What the sandbox tells from pixels: where the garment is, its colours and its print."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hangtag_sandbox.colors import name_color, seen_colors, to_lab
from hangtag_sandbox.sightings import Sighting, look
from hangtag_sandbox.vocabulary import COLORS

PAPER = (236, 232, 224)
DARK = (70, 60, 64)
Color = tuple[int, int, int]


def picture(color: Color = (30, 60, 160), paper: Color = PAPER) -> Image.Image:
    """A garment of 120 x 160 pixels around the point (110, 180) of 300 x 400."""
    image = Image.new("RGB", (300, 400), paper)
    image.paste(color, (50, 100, 170, 260))
    return image


def sightings(image: Image.Image) -> list[Sighting]:
    """What is seen in the image."""
    return look(np.asarray(image))


def only(image: Image.Image) -> Sighting:
    """The one garment that is seen."""
    (sighting,) = sightings(image)
    return sighting


def noisy(image: Image.Image, strength: float) -> Image.Image:
    """The image with grain of this standard deviation."""
    noise = np.random.default_rng(0).normal(0, strength, (400, 300, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def test_the_position_is_the_centre_of_the_garment() -> None:
    """Subscribers cut pictures around it."""
    garment = only(picture())

    assert pytest.approx((110 / 300, 180 / 400), abs=0.003) == (garment.x, garment.y)


def test_a_background_may_fade() -> None:
    """A studio's gradient is no garment."""
    fade = np.linspace(0.75, 1.0, 400)[:, None, None]
    faded = (np.asarray(Image.new("RGB", (300, 400), PAPER)) * fade).astype(np.uint8)
    image = Image.fromarray(faded)
    assert sightings(image) == []

    image.paste((30, 60, 160), (50, 100, 170, 260))
    garment = only(image)

    assert pytest.approx((110 / 300, 180 / 400), abs=0.003) == (garment.x, garment.y)


def test_a_garment_may_reach_over_the_edge() -> None:
    """Trousers that are cut off below are found all the same."""
    image = Image.new("RGB", (300, 400), PAPER)
    image.paste((30, 60, 160), (100, 200, 220, 400))

    garment = only(image)

    assert pytest.approx((160 / 300, 300 / 400), abs=0.01) == (garment.x, garment.y)
    assert garment.colors[0].color.names["en"] == "blue"


def test_what_a_garment_encloses_belongs_to_it() -> None:
    """A white belly on white paper is cloth, not a hole."""
    image = picture(paper=(255, 255, 255))
    image.paste((255, 255, 255), (80, 150, 140, 210))

    garment = only(image)

    names = {seen.color.names["en"] for seen in garment.colors}
    assert {"blue", "white"} == names


def test_a_two_piece_is_one_garment() -> None:
    """Its position is the middle of both parts."""
    image = Image.new("RGB", (300, 400), PAPER)
    image.paste((200, 30, 40), (100, 80, 200, 140))
    image.paste((200, 30, 40), (100, 240, 200, 300))

    garment = only(image)

    assert pytest.approx((0.5, 190 / 400), abs=0.003) == (garment.x, garment.y)


@pytest.mark.parametrize("strength", [0, 6, 60])
def test_where_nothing_stands_out_nothing_is_found(strength: float) -> None:
    """An empty wall, a grainy one and mere noise show no garment."""
    assert sightings(noisy(Image.new("RGB", (300, 400), PAPER), strength)) == []


def test_a_crumb_is_no_garment() -> None:
    """A thing far smaller than clothing is left alone."""
    image = Image.new("RGB", (300, 400), PAPER)
    image.paste((0, 0, 0), (150, 200, 156, 206))

    assert sightings(image) == []


def test_the_smallest_picture_is_looked_at() -> None:
    """16 x 16 pixels are allowed, so they get an answer."""
    image = Image.new("RGB", (16, 16), PAPER)
    image.paste((200, 30, 40), (4, 4, 12, 12))

    garment = only(image)

    assert (garment.x, garment.y) == (0.5, 0.5)
    assert garment.colors[0].color.names["en"] == "red"


@pytest.mark.parametrize(
    ("name", "color"),
    [
        ("black", (12, 12, 14)),
        ("white", (252, 252, 250)),
        ("grey", (128, 128, 130)),
        ("beige", (226, 205, 175)),
        ("brown", (120, 75, 45)),
        ("khaki", (110, 108, 70)),
        ("navy", (25, 38, 82)),
        ("blue", (35, 90, 200)),
        ("sky blue", (150, 205, 240)),
        ("mint", (160, 228, 205)),
        ("green", (40, 130, 75)),
        ("yellow", (250, 215, 60)),
        ("orange", (240, 130, 45)),
        ("red", (205, 40, 45)),
        ("wine", (112, 28, 50)),
        ("pink", (240, 150, 180)),
        ("lavender", (195, 180, 225)),
        ("purple", (105, 50, 150)),
    ],
)
def test_each_of_the_18_colours_is_called_by_its_name(name: str, color: Color) -> None:
    """People search by these names."""
    background = (120, 60, 60) if name in ("white", "beige") else (250, 250, 250)
    paper = (30, 90, 60) if name == "white" else background

    garment = only(picture(color, paper))

    assert [name] == [seen.color.names["en"] for seen in garment.colors]


def test_every_grey_is_grey_black_or_white() -> None:
    """No hue is read into a colour without one."""
    levels = [np.array([level] * 3, dtype=np.uint8) for level in range(256)]

    names = [name_color(level)[0].names["en"] for level in levels]

    assert list(dict.fromkeys(names)) == ["black", "grey", "white"]


def test_the_shares_and_the_hex_of_two_colours_are_told() -> None:
    """`colorDetails` says what was painted, and how much of it."""
    image = picture((30, 60, 160))
    image.paste((240, 200, 60), (50, 100, 170, 140))

    colors = only(image).colors

    assert [seen.code for seen in colors] == ["#1e3ca0", "#f0c83c"]
    assert pytest.approx([0.75, 0.25], abs=0.02) == [seen.share for seen in colors]


def test_a_shadow_makes_no_second_colour() -> None:
    """Folds darken cloth; it is the same cloth."""
    image = np.asarray(picture((200, 40, 50))).astype(np.float64)
    image[100:260, 50:170] *= np.linspace(1.0, 0.8, 120)[None, :, None]

    colors = look(image.astype(np.uint8))[0].colors

    assert [seen.color.names["en"] for seen in colors] == ["red"]
    assert colors[0].share > 0.9


def test_lighter_and_darker_shades_are_told_apart() -> None:
    """The fine name says how a colour differs from the one of the 18."""
    shades = [
        shade.of(color, "en")
        for color, shade in (
            name_color(np.array(rgb, dtype=np.uint8))
            for rgb in ((47, 138, 85), (22, 73, 46), (251, 198, 214))
        )
    ]

    assert shades == ["green", "dark-green", "light-pink"]


def test_shares_are_at_most_the_whole() -> None:
    """Also where a picture is made of many colours."""
    pixels = np.random.default_rng(1).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    whole: NDArray[np.bool_] = np.ones((60, 60), dtype=np.bool_)

    colors = seen_colors(pixels, to_lab(pixels), whole)

    assert 1 <= len(colors) <= 6
    assert sum(seen.share for seen in colors) <= 1 + 1e-9


def test_white_black_and_red_have_their_textbook_cielab() -> None:
    """Distances are only as good as the space they are measured in."""
    colors = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], dtype=np.uint8)

    lab = to_lab(colors)

    expected = np.array([[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]])
    assert np.abs(expected - lab).max() < 0.02


def striped(*, along: int, angle: float = 0.0, paper: Color = PAPER) -> Image.Image:
    """The garment with stripes 8 pixels wide; along 0: lying, 1: standing."""
    image = picture((245, 245, 240), paper)
    down, across = np.mgrid[0:400, 0:300]
    way = (down, across)[along] + np.tan(angle) * (across, down)[along]
    pixels = np.asarray(image).copy()
    pixels[100:260, 50:170][(way % 16 < 8)[100:260, 50:170]] = (30, 60, 160)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("paper", [PAPER, DARK], ids=["pale", "dark"])
@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize("angle", [0.0, 0.15, np.pi / 4])
def test_stripes_are_seen_whichever_way_they_run(
    along: int, angle: float, paper: Color
) -> None:
    """Lying, standing, slanted; also where every second stripe looks like the background."""
    garment = only(striped(along=along, angle=angle, paper=paper))

    assert garment.print.print.names["en"] == "stripe"
    assert pytest.approx((110 / 300, 180 / 400), abs=0.02) == (garment.x, garment.y)


@pytest.mark.parametrize("angle", [0, 20, 45])
def test_a_check_is_seen_whichever_way_it_is_turned(angle: float) -> None:
    """Stripes at right angles are a check."""
    down, across = np.mgrid[0:400, 0:300]
    turn = np.radians(angle)
    bands = [
        way % 20 < 8
        for way in (
            down * np.cos(turn) + across * np.sin(turn),
            across * np.cos(turn) - down * np.sin(turn),
        )
    ]
    shade = 1 - 0.35 * bands[0] - 0.35 * bands[1]
    pixels = np.asarray(picture()).copy()
    cloth = (np.array([230, 60, 60]) * shade[..., None]).astype(np.uint8)
    pixels[100:260, 50:170] = cloth[100:260, 50:170]

    assert only(Image.fromarray(pixels)).print.print.names["en"] == "check"


def dotted() -> Image.Image:
    """The garment with dots in rows."""
    image = picture((245, 245, 240), DARK)
    pen = ImageDraw.Draw(image)
    for y in range(108, 260, 16):
        for x in range(58, 170, 16):
            pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=(30, 60, 160))
    return image


def color_blocked() -> Image.Image:
    """The garment in two colours, one above the other."""
    image = picture((245, 245, 240), DARK)
    image.paste((30, 60, 160), (50, 180, 170, 260))
    return image


@pytest.mark.parametrize(
    "image",
    [picture(), noisy(picture(), 4), dotted(), color_blocked()],
    ids=["plain", "grainy", "dotted", "colour-blocked"],
)
def test_everything_else_counts_as_solid(image: Image.Image) -> None:
    """What is no repeated line is not called stripe or check."""
    assert only(image).print.print.names["en"] == "solid"


def test_all_18_names_can_be_given() -> None:
    """No name of the vocabulary is out of reach."""
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 24)] * 3), axis=-1)

    names = {
        name_color(color)[0].names["en"] for color in grid.reshape(-1, 3).astype("u1")
    }

    assert set(COLORS) == names
