"""The sandbox's categories, each with the words that its tags may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hangtag.tagger_api import Detection
from hangtag_sandbox import vocabulary
from hangtag_sandbox.vocabulary import Word


@dataclass(frozen=True, slots=True)
class Category:
    """A category with the possible values of its garments' fields."""

    word: Word
    detection: Detection
    """The word of `context.detection` that requests it."""
    object_type: str
    choices: Mapping[str, tuple[Word, ...]]
    """The words to choose from, by field of a tag; other fields are left out."""


def _category(
    name: str, detection: Detection, *, object_type: str = "CLOTHING", **choices: str
) -> Category:
    """Build a category from choices given as English words with blanks between them."""
    return Category(
        word=vocabulary.CATEGORIES[name],
        detection=detection,
        object_type=object_type,
        choices={
            field: tuple(words[name.replace("_", " ")] for name in choices[key].split())
            for key, (field, words) in _FIELDS.items()
            if key in choices
        },
    )


_FIELDS = {
    "items": ("item", vocabulary.ITEMS),
    "looks": ("looks", vocabulary.LOOKS),
    "textures": ("textures", vocabulary.TEXTURES),
    "details": ("details", vocabulary.DETAILS),
    "lengths": ("length", vocabulary.LENGTHS),
    "sleeves": ("sleeveLength", vocabulary.SLEEVES),
    "necklines": ("neckLine", vocabulary.NECKLINES),
    "fits": ("fit", vocabulary.FITS),
    "shapes": ("shape", vocabulary.SHAPES),
    "heel_heights": ("heelHeight", vocabulary.HEEL_HEIGHTS),
    "toes": ("toeType", vocabulary.TOES),
    "heel_shapes": ("heelShape", vocabulary.HEEL_SHAPES),
    "soles": ("soleType", vocabulary.SOLES),
}


CLOTHING = (
    _category(
        "top",
        "TOP",
        items="tank-top camisole bustier",
        textures="silk lace cotton jersey sequin/glitter",
        looks="feminine resort party punk",
        lengths="normal cropped",
        sleeves="sleeveless",
        necklines="round-neck v-neck u-neck square-neck halter-neck",
        fits="normal-fit tight-fit",
    ),
    _category(
        "blouse",
        "TOP",
        items="ribbon-blouse peplum-blouse",
        textures="silk chiffon cotton linen lace",
        looks="feminine office_look ethnic hippie",
        details="ruffle shirring embroidery buttoned",
        lengths="normal cropped",
        sleeves="long-sleeve short-sleeve cropped-sleeve",
        necklines="round-neck v-neck shirt-collar off-shoulder",
        fits="normal-fit oversized",
    ),
    _category(
        "casual-top",
        "TOP",
        items="t-shirt sweatshirt raglan-t-shirt",
        textures="cotton jersey mesh synthetic/polyester",
        looks="casual marine retro preppy",
        details="embroidery pocket",
        lengths="normal cropped long",
        sleeves="long-sleeve short-sleeve cropped-sleeve",
        necklines="round-neck v-neck u-neck",
        fits="normal-fit tight-fit oversized",
    ),
    _category(
        "knitwear",
        "TOP",
        items="pullover cardigan",
        textures="knit wool/cashmere angora cotton",
        looks="casual feminine preppy country",
        details="buttoned embroidery",
        lengths="normal cropped half",
        sleeves="long-sleeve cropped-sleeve",
        necklines="round-neck v-neck",
        fits="normal-fit tight-fit oversized",
    ),
    _category(
        "shirt",
        "TOP",
        items="dress-shirt casual-shirt western-shirt",
        textures="cotton linen denim corduroy",
        looks="casual office_look country preppy",
        details="buttoned pocket embroidery",
        lengths="normal long",
        sleeves="long-sleeve short-sleeve",
        necklines="shirt-collar",
        fits="normal-fit oversized tight-fit",
    ),
    _category(
        "vest",
        "TOP",
        items="suit-vest quilted-vest",
        textures="wool/cashmere tweed synthetic/polyester leather",
        looks="office_look outdoor preppy retro",
        details="buttoned pocket",
        lengths="normal cropped half",
        sleeves="sleeveless",
        necklines="v-neck round-neck",
        fits="normal-fit oversized",
    ),
    _category(
        "coat",
        "TOP",
        items="single-coat double-coat trench-coat",
        textures="wool/cashmere tweed fur mouton cotton",
        looks="casual office_look retro military",
        details="buttoned pocket belt",
        lengths="half long",
        sleeves="long-sleeve",
        necklines="tailored-collar shirt-collar",
        fits="normal-fit oversized",
        shapes="h-line a-line",
    ),
    _category(
        "jacket",
        "TOP",
        items="balmacaan-jacket blazer safari-jacket",
        textures="leather suede tweed corduroy synthetic/polyester",
        looks="casual office_look military punk",
        details="buttoned pocket belt",
        lengths="normal cropped half",
        sleeves="long-sleeve",
        necklines="tailored-collar shirt-collar",
        fits="normal-fit oversized",
    ),
    _category(
        "jumper",
        "TOP",
        items="bomber-jumper windbreaker stadium-jumper",
        textures="synthetic/polyester leather vinyl/pvc cotton",
        looks="casual outdoor military retro",
        details="zip-up pocket drawstring embroidery",
        lengths="normal cropped",
        sleeves="long-sleeve",
        necklines="round-neck hood",
        fits="normal-fit oversized",
    ),
    _category(
        "padding",
        "TOP",
        items="down-padding light-padding",
        textures="synthetic/polyester fleece vinyl/pvc",
        looks="casual outdoor",
        details="zip-up quilting pocket",
        lengths="normal cropped half long",
        sleeves="long-sleeve",
        necklines="turtleneck hood",
        fits="normal-fit oversized",
    ),
    _category(
        "jeans",
        "BOTTOM",
        items="five-pocket-jeans cargo-jeans",
        textures="denim",
        looks="casual country punk retro",
        details="pocket buttoned zip-up",
        lengths="long cropped",
        fits="normal-fit skinny oversized",
        shapes="tapered h-line",
    ),
    _category(
        "pants",
        "BOTTOM",
        items="slacks chino-pants jogger-pants",
        textures="cotton linen wool/cashmere jersey corduroy",
        looks="casual office_look outdoor preppy",
        details="pocket drawstring zip-up",
        lengths="long cropped half",
        fits="normal-fit tight-fit oversized",
        shapes="tapered h-line",
    ),
    _category(
        "skirt",
        "BOTTOM",
        items="pleated-skirt wrap-skirt tiered-skirt",
        textures="cotton wool/cashmere chiffon jacquard velvet",
        looks="feminine preppy office_look hippie",
        details="slit belt buttoned",
        lengths="mini midi maxi knee-length",
        shapes="a-line h-line",
    ),
    _category(
        "dress",
        "WHOLEBODY",
        items="one-piece-dress wrap-dress tiered-dress",
        textures="chiffon silk lace velvet cotton jersey",
        looks="feminine party resort wedding ethnic",
        details="ruffle shirring belt slit",
        lengths="mini midi maxi knee-length",
        sleeves="long-sleeve short-sleeve sleeveless cropped-sleeve",
        necklines="round-neck v-neck u-neck square-neck",
        fits="normal-fit tight-fit oversized",
        shapes="a-line h-line pencil",
    ),
    _category(
        "jumpsuit",
        "WHOLEBODY",
        items="utility-jumpsuit wide-jumpsuit",
        textures="cotton denim linen synthetic/polyester",
        looks="casual retro outdoor punk",
        details="zip-up pocket belt buttoned",
        lengths="long cropped",
        sleeves="long-sleeve short-sleeve sleeveless",
        necklines="shirt-collar v-neck",
        fits="normal-fit oversized",
        shapes="h-line tapered",
    ),
    _category(
        "swimwear",
        "SWIMWEAR",
        object_type="SWIMWEAR",
        items="one-piece-swimsuit bikini",
        textures="spandex neoprene",
        looks="resort marine",
        details="ruffle shirring",
        necklines="halter-neck square-neck v-neck",
        fits="tight-fit",
    ),
)


def _shoe(name: str, **choices: str) -> Category:
    return _category(name, "SHOES", object_type="SHOES", **choices)


SHOES = (
    _shoe(
        "boots",
        items="ankle-boots chelsea-boots long-boots",
        looks="casual punk country military",
        textures="leather suede vinyl/pvc",
        heel_heights="flat(~2) middle(3~6) high(7~)",
        toes="round-toe pointed-toe square-toe",
        heel_shapes="stiletto block wedge",
        soles="platform flat-sole lug-sole",
    ),
    _shoe(
        "sneakers",
        items="low-top-sneakers high-top-sneakers",
        looks="casual outdoor retro",
        textures="leather mesh cotton synthetic/polyester",
        heel_heights="flat(~2) middle(3~6)",
        toes="round-toe",
        heel_shapes="block wedge",
        soles="chunky-sneaker flat-sole platform",
    ),
    _shoe(
        "flats",
        items="loafers ballet-flats",
        looks="casual office_look preppy",
        textures="leather suede velvet",
        heel_heights="flat(~2)",
        toes="round-toe square-toe pointed-toe",
        heel_shapes="block",
        soles="flat-sole",
    ),
    _shoe(
        "pumps",
        items="stiletto-pumps slingbacks",
        looks="feminine office_look party",
        textures="leather suede sequin/glitter",
        heel_heights="middle(3~6) high(7~)",
        toes="pointed-toe round-toe open-toe",
        heel_shapes="stiletto ball block",
        soles="flat-sole platform",
    ),
    _shoe(
        "sandals",
        items="strap-sandals mules",
        looks="casual resort feminine",
        textures="leather vinyl/pvc",
        heel_heights="flat(~2) middle(3~6) high(7~)",
        toes="open-toe",
        heel_shapes="block wedge ball",
        soles="flat-sole platform",
    ),
)
