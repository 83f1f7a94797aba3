"""The sandbox's image analysis: position, colours and print of each garment."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hangtag_sandbox.colors import name_color, seen_colors
from hangtag_sandbox.palette import palette
from hangtag_sandbox.perception import delta_e_2000, to_lab
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
    """The garments that are found in the image."""
    return look(np.asarray(image))


def only(image: Image.Image) -> Sighting:
    """The only garment that is found."""
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


def test_a_background_may_have_a_gradient() -> None:
    """A studio's gradient is no garment."""
    fade = np.linspace(0.75, 1.0, 400)[:, None, None]
    faded = (np.asarray(Image.new("RGB", (300, 400), PAPER)) * fade).astype(np.uint8)
    image = Image.fromarray(faded)
    assert sightings(image) == []

    image.paste((30, 60, 160), (50, 100, 170, 260))
    garment = only(image)

    assert pytest.approx((110 / 300, 180 / 400), abs=0.003) == (garment.x, garment.y)


def test_a_garment_may_reach_beyond_the_edge() -> None:
    """Trousers that are cut off at the bottom are found."""
    image = Image.new("RGB", (300, 400), PAPER)
    image.paste((30, 60, 160), (100, 200, 220, 400))

    garment = only(image)

    assert pytest.approx((160 / 300, 300 / 400), abs=0.01) == (garment.x, garment.y)
    assert garment.colors[0].color.names["en"] == "blue"


def test_an_area_enclosed_by_a_garment_belongs_to_it() -> None:
    """A white area inside a garment on white paper is cloth, not a hole."""
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


RED, BLUE = (200, 30, 40), (30, 60, 160)


def shapes(*boxes: tuple[Color, tuple[int, int, int, int]]) -> Image.Image:
    """A picture of 300 x 400 pixels with rectangles of these colours."""
    image = Image.new("RGB", (300, 400), PAPER)
    for color, box in boxes:
        image.paste(color, box)
    return image


def places(found: list[Sighting]) -> list[tuple[int, int]]:
    """The centres in pixels."""
    return [(round(300 * one.x), round(400 * one.y)) for one in found]


def test_several_garments_are_found_and_sorted_by_size() -> None:
    """Each has its own position and colour."""
    found = sightings(shapes((RED, (20, 40, 120, 140)), (BLUE, (160, 60, 280, 260))))

    assert [(220, 160), (70, 90)] == places(found)
    assert ["blue", "red"] == [one.colors[0].color.names["en"] for one in found]
    assert [None, None] == [one.pair for one in found]


def test_adjacent_garments_are_separated_by_their_colours() -> None:
    """A narrow gap between two colours separates garments; within one colour it is a stripe."""
    found = sightings(shapes((RED, (60, 100, 145, 300)), (BLUE, (155, 100, 240, 300))))

    assert {"red", "blue"} == {one.colors[0].color.names["en"] for one in found}
    assert {(102, 200), (198, 200)} == set(places(found))


def test_garments_of_different_colours_above_each_other_are_two() -> None:
    """A blouse and a skirt are no two-piece."""
    found = sightings(shapes((RED, (100, 60, 200, 150)), (BLUE, (100, 220, 200, 340))))

    assert [(150, 280), (150, 105)] == places(found)


def test_two_similar_shapes_side_by_side_are_a_pair_of_shoes() -> None:
    """Seen from the side, a shoe is low."""
    found = sightings(shapes((RED, (30, 200, 130, 250)), (RED, (170, 202, 270, 252))))

    assert [0, 0] == [one.pair for one in found]


def test_two_similar_shapes_below_a_larger_one_are_a_pair_of_shoes() -> None:
    """A person in a coat wears shoes below it."""
    found = sightings(
        shapes(
            (BLUE, (80, 20, 220, 300)),
            (RED, (90, 345, 130, 385)),
            (RED, (170, 345, 210, 385)),
        )
    )

    assert [None, 0, 0] == [one.pair for one in found]


def test_every_pair_of_shoes_has_its_own_number() -> None:
    """A red shoe and a blue shoe are no pair."""
    found = sightings(
        shapes(
            (RED, (30, 50, 130, 100)),
            (RED, (170, 50, 270, 100)),
            (BLUE, (30, 250, 130, 300)),
            (BLUE, (170, 250, 270, 300)),
        )
    )

    by_color = {(one.colors[0].color.names["en"], one.pair) for one in found}
    assert len(found) == 4
    assert len(by_color) == 2
    assert {0, 1} == {pair for _, pair in by_color}


@pytest.mark.parametrize(
    "second",
    [
        (BLUE, (170, 200, 270, 250)),
        (RED, (170, 200, 200, 250)),
        (RED, (170, 300, 270, 350)),
    ],
    ids=["another colour", "another size", "another height"],
)
def test_two_different_shapes_are_no_pair(
    second: tuple[Color, tuple[int, int, int, int]],
) -> None:
    """Both shoes of a pair look the same."""
    found = sightings(shapes((RED, (30, 200, 130, 250)), second))

    assert [None, None] == [one.pair for one in found]


def test_two_upright_garments_of_the_same_colour_are_no_shoes() -> None:
    """Two shirts on a rail stay two shirts."""
    found = sightings(shapes((RED, (30, 100, 130, 220)), (RED, (170, 100, 270, 220))))

    assert [None, None] == [one.pair for one in found]


def test_only_the_largest_of_very_many_garments_are_returned() -> None:
    """A picture of a whole shop gets an answer, too."""
    image = Image.new("RGB", (400, 400), (255, 255, 255))
    for left in range(20, 400, 100):
        for top in range(20, 400, 100):
            image.paste((30, 60, 160), (left, top, left + 60, top + 60))

    assert len(sightings(image)) == 10


@pytest.mark.parametrize("strength", [0, 6, 60])
def test_a_uniform_picture_has_no_garment(strength: float) -> None:
    """An empty wall, a grainy wall and noise show no garment."""
    assert sightings(noisy(Image.new("RGB", (300, 400), PAPER), strength)) == []


def test_a_tiny_shape_is_no_garment() -> None:
    """A shape far smaller than clothing is ignored."""
    image = Image.new("RGB", (300, 400), PAPER)
    image.paste((0, 0, 0), (150, 200, 156, 206))

    assert sightings(image) == []


def test_the_smallest_allowed_picture_is_analysed() -> None:
    """16 x 16 pixels are allowed."""
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
def test_each_of_the_18_colours_has_its_name(name: str, color: Color) -> None:
    """Users search by these names."""
    background = (120, 60, 60) if name in ("white", "beige") else (250, 250, 250)
    paper = (30, 90, 60) if name == "white" else background

    garment = only(picture(color, paper))

    assert [name] == [seen.color.names["en"] for seen in garment.colors]


def test_every_grey_is_grey_black_or_white() -> None:
    """A colour without hue gets no coloured name."""
    levels = [np.array([level] * 3, dtype=np.uint8) for level in range(256)]

    names = [name_color(level)[0].names["en"] for level in levels]

    assert list(dict.fromkeys(names)) == ["black", "grey", "white"]


def test_two_colours_have_their_shares_and_hex_values() -> None:
    """`colorDetails` has the painted colours and their shares."""
    image = picture((30, 60, 160))
    image.paste((240, 200, 60), (50, 100, 170, 140))

    colors = only(image).colors

    assert [seen.code for seen in colors] == ["#1e3ca0", "#f0c83c"]
    assert pytest.approx([0.75, 0.25], abs=0.02) == [seen.share for seen in colors]


def test_a_shadow_adds_no_second_colour() -> None:
    """Folds darken the cloth, but it is one colour."""
    image = np.asarray(picture((200, 40, 50))).astype(np.float64)
    image[100:260, 50:170] *= np.linspace(1.0, 0.8, 120)[None, :, None]

    colors = look(image.astype(np.uint8))[0].colors

    assert [seen.color.names["en"] for seen in colors] == ["red"]
    assert colors[0].share > 0.9


def test_lighter_and_darker_shades_have_different_fine_names() -> None:
    """The fine name says how a colour differs from the one of the 18."""
    shades = [
        shade.of(color, "en")
        for color, shade in (
            name_color(np.array(rgb, dtype=np.uint8))
            for rgb in ((47, 138, 85), (22, 73, 46), (251, 198, 214))
        )
    ]

    assert shades == ["green", "dark-green", "light-pink"]


def test_shares_sum_to_at_most_1() -> None:
    """A picture may have many colours."""
    pixels = np.random.default_rng(1).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    whole: NDArray[np.bool_] = np.ones((60, 60), dtype=np.bool_)

    colors = seen_colors(pixels, to_lab(pixels), whole)

    assert 1 <= len(colors) <= 6
    assert sum(seen.share for seen in colors) <= 1 + 1e-9


def test_a_colour_has_the_hex_value_that_was_painted() -> None:
    """Light, shadow, grain and compression do not change it."""
    painted = (196, 72, 60)
    image = np.asarray(picture(painted)).astype(np.float64)
    image[100:260, 50:170] *= np.clip(np.linspace(1.15, 0.7, 120), 0, 1)[:, None]
    grainy = noisy(Image.fromarray(image.astype(np.uint8)), 3)

    code = only(grainy).colors[0].code

    seen = np.array(list(bytes.fromhex(code[1:])), dtype=np.uint8)
    target = np.array(painted, dtype=np.uint8)
    assert delta_e_2000(to_lab(seen), to_lab(target)) < 2


def test_edges_between_colours_add_no_colour() -> None:
    """Pixels between navy and white are not grey."""
    image = striped(along=0, paper=DARK).resize((210, 280), Image.Resampling.BICUBIC)

    names = {seen.color.names["en"] for seen in only(image).colors}

    assert {"blue", "white"} == names


def test_the_fine_palette_has_a_name_close_to_every_colour() -> None:
    """Its thousands of names cover the colour space."""
    fine = palette()
    some = to_lab(np.random.default_rng(2).integers(0, 256, (200, 3), dtype=np.uint8))

    far = [
        delta_e_2000(fine.colors[fine.names.index(fine.nearest(color))], color)
        for color in some
    ]

    assert len(set(fine.names)) == len(fine.names) >= 2_000
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+){0,2}", name) for name in fine.names)
    assert np.median(far) < 2
    assert max(far) < 6


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        # From the test data of Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula"
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
        ((50.0, -0.001, 2.49), (50.0, 0.0011, -2.49), 4.7461),
        ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_colour_differences_follow_ciede2000(
    one: tuple[float, ...], other: tuple[float, ...], difference: float
) -> None:
    """The palette and the published accuracy use this measure."""
    forth = delta_e_2000(np.array(one), np.array(other))
    back = delta_e_2000(np.array(other), np.array(one))

    assert pytest.approx(difference, abs=5e-5) == float(forth)
    assert pytest.approx(difference, abs=5e-5) == float(back)


def test_white_black_and_red_have_their_textbook_cielab_values() -> None:
    """Colour differences are computed in CIELAB."""
    colors = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], dtype=np.uint8)

    lab = to_lab(colors)

    expected = np.array([[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]])
    assert np.abs(expected - lab).max() < 0.02


def striped(*, along: int, angle: float = 0.0, paper: Color = PAPER) -> Image.Image:
    """The garment with stripes 8 pixels wide: horizontal if along is 0, vertical if 1."""
    image = picture((245, 245, 240), paper)
    down, across = np.mgrid[0:400, 0:300]
    way = (down, across)[along] + np.tan(angle) * (across, down)[along]
    pixels = np.asarray(image).copy()
    pixels[100:260, 50:170][(way % 16 < 8)[100:260, 50:170]] = (30, 60, 160)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("paper", [PAPER, DARK], ids=["pale", "dark"])
@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize("angle", [0.0, 0.15, np.pi / 4])
def test_stripes_are_found_in_every_direction(
    along: int, angle: float, paper: Color
) -> None:
    """
    They may be horizontal, vertical or diagonal, and every second one may match the background.
    """
    garment = only(striped(along=along, angle=angle, paper=paper))

    assert garment.print.print.names["en"] == "stripe"
    assert pytest.approx((110 / 300, 180 / 400), abs=0.02) == (garment.x, garment.y)


@pytest.mark.parametrize("angle", [0, 20, 45])
def test_a_check_is_found_at_every_angle(angle: float) -> None:
    """A check has stripes at right angles."""
    down, across = np.mgrid[0:400, 0:300]
    rotation = np.radians(angle)
    bands = [
        way % 20 < 8
        for way in (
            down * np.cos(rotation) + across * np.sin(rotation),
            across * np.cos(rotation) - down * np.sin(rotation),
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
def test_other_prints_count_as_solid(image: Image.Image) -> None:
    """Only repeated lines are stripes or checks."""
    assert only(image).print.print.names["en"] == "solid"


def test_all_18_colour_names_can_occur() -> None:
    """The analysis can return each name of the vocabulary."""
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 24)] * 3), axis=-1)

    names = {
        name_color(color)[0].names["en"] for color in grid.reshape(-1, 3).astype("u1")
    }

    assert set(COLORS) == names
