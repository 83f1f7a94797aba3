"""The sandbox's answers: true for what the pixels show, constant and marked where invented."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from hangtag.tagger_api import DETECTIONS, LANGUAGES, Detection, Language, read_answer
from hangtag_sandbox import vocabulary
from hangtag_sandbox.answers import answer, refusal, to_json
from hangtag_sandbox.categories import CLOTHING, SHOES
from hangtag_sandbox.colors import SeenColor
from hangtag_sandbox.prints import SeenPrint
from hangtag_sandbox.sightings import Sighting
from hangtag_sandbox.vocabulary import (
    COLORS,
    PRINTS,
    PUBLISHED_IDS,
    SHADES,
    Word,
)

SEEN = Sighting(
    x=0.123456789012,
    y=0.5,
    colors=[
        SeenColor("#1e3ca0", "dove-blue", COLORS["navy"], SHADES["light"], 0.5),
        SeenColor("#1e2c55", "deep-navy", COLORS["navy"], SHADES["plain"], 0.3),
        SeenColor("#ffffff", "pure-white", COLORS["white"], SHADES["plain"], 0.2),
    ],
    print=SeenPrint(PRINTS["stripe"], 0.91),
)


SEEN_IN_PIXELS = {"position", "colors", "colorDetails", "prints"}
ALL_CLOTHING: tuple[Detection, ...] = ("TOP", "BOTTOM", "WHOLEBODY", "SWIMWEAR")
LISTS = {"looks", "textures", "details"}


def digest(number: int) -> str:
    """The digest of image *number*."""
    return sha256(str(number).encode()).hexdigest()


def tag(number: int = 0, language: Language = "en") -> dict[str, Any]:
    """The tag of the garment in image *number*."""
    document = body(number, language=language)
    found: dict[str, Any] = document["data"]["objects"][0]["tags"][0]
    return found


def body(
    number: int = 0,
    *,
    seen: tuple[Sighting, ...] = (SEEN,),
    language: Language = "en",
    detection: tuple[Detection, ...] = (),
) -> dict[str, Any]:
    """The answer for image *number*, as JSON."""
    tagging = answer(seen, digest(number), language=language, detection=detection)
    document: dict[str, Any] = json.loads(to_json(tagging.body))
    return document


def words() -> list[tuple[str, Word]]:
    """Every word of the sandbox, with its group."""
    groups = {
        "category": vocabulary.CATEGORIES,
        "color": vocabulary.COLORS,
        "detail": vocabulary.DETAILS,
        "fit": vocabulary.FITS,
        "gender": vocabulary.GENDERS,
        "heel height": vocabulary.HEEL_HEIGHTS,
        "heel shape": vocabulary.HEEL_SHAPES,
        "image": vocabulary.IMAGE_KINDS,
        "item": vocabulary.ITEMS,
        "length": vocabulary.LENGTHS,
        "look": vocabulary.LOOKS,
        "neckline": vocabulary.NECKLINES,
        "print": vocabulary.PRINTS,
        "shape": vocabulary.SHAPES,
        "sleeve": vocabulary.SLEEVES,
        "sole": vocabulary.SOLES,
        "texture": vocabulary.TEXTURES,
        "toe": vocabulary.TOES,
    }
    return [(group, word) for group, words in groups.items() for word in words.values()]


def test_visible_properties_come_from_the_pixels() -> None:
    """These are position, colours and print, with at most ten decimals."""
    found = tag()

    assert found["position"] == {"x": 0.123456789, "y": 0.5}
    assert [(color["name"], color["confidence"]) for color in found["colors"]] == [
        ("navy", 0.8),
        ("white", 0.2),
    ]
    assert found["colorDetails"] == [
        {"code": "#1e3ca0", "name": "dove-blue", "pixelFraction": 0.5},
        {"code": "#1e2c55", "name": "deep-navy", "pixelFraction": 0.3},
        {"code": "#ffffff", "name": "pure-white", "pixelFraction": 0.2},
    ]
    assert [(seen["name"], seen["confidence"]) for seen in found["prints"]] == [
        ("stripe", 0.91)
    ]


def test_the_same_image_has_the_same_answer() -> None:
    """A demonstration can be repeated."""
    assert body(7) == body(7)


def test_similar_images_have_different_answers() -> None:
    """Invented values come from the bytes."""
    answers = {json.dumps(body(number)) for number in range(20)}

    assert len(answers) == 20


def test_every_category_occurs() -> None:
    """Users can try filters with each of them."""
    names = {tag(number)["category"]["name"] for number in range(300)}

    assert {category.word.names["en"] for category in CLOTHING} == names


@pytest.mark.parametrize("number", range(60))
def test_invented_values_are_consistent(number: int) -> None:
    """No dress is a pair of jeans, and jeans have no sleeves."""
    found = tag(number)
    (category,) = (one for one in CLOTHING if one.word.id == found["category"]["id"])

    assert found.keys() - {"details"} == (
        category.choices.keys() - {"details"} | {"category", *SEEN_IN_PIXELS}
    )
    for field, choices in category.choices.items():
        chosen = found[field] if field in LISTS else [found[field]]
        assert {one["id"] for one in chosen} <= {word.id for word in choices}


@pytest.mark.parametrize("number", range(10))
def test_exactly_the_invented_fields_are_marked(number: int) -> None:
    """A user must not take an invented value for a visible one."""
    tagging = answer((SEEN,), digest(number), language="en", detection=())

    found = tag(number)
    assert sorted({"genderInfo", "imageInfo", *found} - SEEN_IN_PIXELS) == sorted(
        tagging.synthetic
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_ids_do_not_depend_on_the_language(language: Language) -> None:
    """Names are translated; only ids can be used as keys."""
    english, other = tag(3, "en"), tag(3, language)

    assert [color["id"] for color in english["colors"]] == [
        color["id"] for color in other["colors"]
    ]
    assert english["item"]["id"] == other["item"]["id"]
    assert (language == "en") == (english["item"]["name"] == other["item"]["name"])


def test_objects_outside_the_detection_are_listed_separately() -> None:
    """`detection` selects the objects of the answer; the others are listed beside them."""
    category = next(one for one in CLOTHING if one.word.id == tag(0)["category"]["id"])
    others = tuple(one for one in DETECTIONS if one != category.detection)

    asked = body(0, detection=(category.detection,))["data"]
    not_asked = body(0, detection=others)["data"]

    assert len(asked["objects"]) == 1
    assert asked["notMatchedObject"] == []
    assert not_asked["objects"] == []
    assert asked["objects"] == not_asked["notMatchedObject"]


def test_swimwear_is_a_type_of_its_own() -> None:
    """The contract knows clothing and swimwear."""
    types = {
        (found["tags"][0]["category"]["name"], found["type"])
        for number in range(200)
        for found in body(number)["data"]["objects"]
    }

    assert ("swimwear", "SWIMWEAR") in types
    assert {"CLOTHING"} == {kind for name, kind in types if name != "swimwear"}


def test_several_garments_are_several_objects() -> None:
    """Each has its own tag."""
    document = body(1, seen=(SEEN, SEEN))

    first, second = document["data"]["objects"]
    assert first != second


SHOE = replace(SEEN, pair=0)


def test_shoes_are_tagged_only_with_detection() -> None:
    """Without `detection` the API tags all clothing."""
    seen = (SEEN, SHOE, SHOE)

    by_default = body(seen=seen)["data"]
    asked = body(seen=seen, detection=("SHOES",))["data"]
    not_asked = body(seen=seen, detection=ALL_CLOTHING)["data"]

    assert ["CLOTHING"] == [found["type"] for found in by_default["objects"]]
    assert "notMatchedObject" not in by_default
    assert ["SHOES", "SHOES"] == [found["type"] for found in asked["objects"]]
    assert by_default["objects"] == asked["notMatchedObject"]
    assert by_default["objects"] == not_asked["objects"]
    assert asked["objects"] == not_asked["notMatchedObject"]


def test_an_image_of_shoes_alone_has_no_object_without_detection() -> None:
    """An answer about clothing does not contain them."""
    data = body(seen=(SHOE, SHOE))["data"]

    assert data == {"imageInfo": [], "objects": [{"type": "NODETC", "tags": []}]}


@pytest.mark.parametrize("number", range(20))
def test_a_shoe_has_all_attributes_of_shoes(number: int) -> None:
    """Height and shape of the heel, toe and sole are consistent."""
    data = body(number, seen=(SHOE, SHOE), detection=("SHOES",))["data"]

    (left,), (right,) = (found["tags"] for found in data["objects"])
    (category,) = (one for one in SHOES if one.word.id == left["category"]["id"])
    assert left == right
    assert left["pairIndex"] == 0
    for field in ("item", "heelHeight", "toeType", "heelShape", "soleType"):
        assert left[field]["id"] in {word.id for word in category.choices[field]}


def test_each_pair_of_shoes_has_its_own_index() -> None:
    """The two shoes of a pair have the same index."""
    pairs = [replace(SHOE, pair=pair) for pair in (0, 0, 1, 1)]

    data = body(seen=tuple(pairs), detection=("SHOES",))["data"]

    assert [0, 0, 1, 1] == [found["tags"][0]["pairIndex"] for found in data["objects"]]


def test_the_index_of_a_pair_is_visible_and_its_attributes_are_invented() -> None:
    """The pixels show that two shoes are alike, but not their heels."""
    shoes: tuple[Detection, ...] = ("SHOES",)

    tagging = answer((SHOE, SHOE), digest(1), language="en", detection=shoes)

    assert "pairIndex" not in tagging.synthetic
    assert {"heelHeight", "toeType", "heelShape", "soleType"} <= set(tagging.synthetic)


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("en", "dove-blue"),
        ("ko", "라이트네이비"),
        ("zh", "浅藏青色"),
        ("ja", "ライトネイビー"),
    ],
)
def test_fine_colours_have_a_name_in_every_language(
    language: Language, name: str
) -> None:
    """The palette is English; other languages name a shade of the 18 colours."""
    assert name == tag(0, language)["colorDetails"][0]["name"]


@pytest.mark.parametrize("detection", [(), ("TOP",), ("SHOES", "BAG")])
def test_an_image_without_objects_is_nodetc_without_a_gender(
    detection: tuple[Detection, ...],
) -> None:
    """The contract's example has this answer, whatever the detection was."""
    assert body(seen=(), detection=detection) == {
        "status": "ok",
        "data": {"imageInfo": [], "objects": [{"type": "NODETC", "tags": []}]},
        "error": None,
    }


def test_a_refusal_looks_like_the_contracts_example() -> None:
    """Clients read `error.code`."""
    assert json.loads(to_json(refusal(803, "Fail to prove image from url."))) == {
        "status": "fail",
        "data": {},
        "error": {"code": 803, "message": "Fail to prove image from url."},
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_can_be_read_by_the_client(language: Language) -> None:
    """Hangtag's reader accepts the sandbox's answers and loses no value."""
    asked: tuple[Detection, ...] = ("TOP",)
    tagging = answer((SEEN,), digest(5), language=language, detection=asked)

    result = read_answer(to_json(tagging.body), http_status=201)

    written = body(5, language=language, detection=asked)["data"]
    assert written["objects"] == json.loads(json.dumps(result.objects, default=float))
    assert written["genderInfo"] == result.gender_info


def test_ids_are_published_or_visibly_made_up() -> None:
    """An unpublished id must not look like a published one."""
    for group, word in words():
        english = word.names["en"]
        published = PUBLISHED_IDS.get(group, {}).get(english)
        if published is None:
            assert word.id.startswith(f"SANDBOX-{group.upper().replace(' ', '-')}-")
        else:
            assert published == word.id


def test_no_two_words_share_an_id() -> None:
    """Results are found by id."""
    names: dict[str, set[str]] = {}
    for _, word in words():
        names.setdefault(word.id, set()).add(word.names["en"])

    assert [each for each in names.values() if len(each) > 1] == []


def test_every_word_has_a_name_in_every_language() -> None:
    """A request in any of the four languages gets names in it."""
    for _, word in words():
        assert set(LANGUAGES) == set(word.names)
        assert all(name.strip() == name != "" for name in word.names.values())


def test_the_18_colours_and_16_categories_are_the_vendors() -> None:
    """The lists are equal."""
    assert (len(COLORS), len(CLOTHING)) == (18, 16)
