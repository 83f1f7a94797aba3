"""What the sandbox says: the pixels' part is true, the rest is steady and marked as invented."""

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
    """The digest of one of many images."""
    return sha256(str(number).encode()).hexdigest()


def tag(number: int = 0, language: Language = "en") -> dict[str, Any]:
    """The tag of the garment that was seen in image *number*."""
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
    """Every word the sandbox can say, with the group it belongs to."""
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


def test_the_pixels_part_says_what_was_seen() -> None:
    """Position, colours and print are the sighting's, with ten decimals at most."""
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


def test_the_same_image_is_answered_the_same() -> None:
    """A demonstration can be repeated."""
    assert body(7) == body(7)


def test_images_that_look_the_same_are_answered_differently() -> None:
    """What is invented comes from the bytes."""
    answers = {json.dumps(body(number)) for number in range(20)}

    assert len(answers) == 20


def test_all_categories_come_up() -> None:
    """Filters can be tried with all of them."""
    names = {tag(number)["category"]["name"] for number in range(300)}

    assert {category.word.names["en"] for category in CLOTHING} == names


@pytest.mark.parametrize("number", range(60))
def test_what_is_invented_goes_together(number: int) -> None:
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
def test_every_invented_field_is_named_and_no_other(number: int) -> None:
    """Nobody takes an invention for a sighting."""
    tagging = answer((SEEN,), digest(number), language="en", detection=())

    found = tag(number)
    assert sorted({"genderInfo", "imageInfo", *found} - SEEN_IN_PIXELS) == sorted(
        tagging.synthetic
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_ids_stay_while_names_follow_the_language(language: Language) -> None:
    """An id is the only key that does not change with the language."""
    english, other = tag(3, "en"), tag(3, language)

    assert [color["id"] for color in english["colors"]] == [
        color["id"] for color in other["colors"]
    ]
    assert english["item"]["id"] == other["item"]["id"]
    assert (language == "en") == (english["item"]["name"] == other["item"]["name"])


def test_what_was_not_asked_for_is_set_apart() -> None:
    """`detection` chooses what counts; the rest is reported beside it."""
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
    """Each is tagged for itself."""
    document = body(1, seen=(SEEN, SEEN))

    first, second = document["data"]["objects"]
    assert first != second


SHOE = replace(SEEN, pair=0)


def test_shoes_must_be_asked_for() -> None:
    """The API tags all clothing by itself, and shoes on demand."""
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


def test_where_there_are_only_shoes_that_nobody_asked_for_nothing_is_found() -> None:
    """To whoever tags clothing, a picture of shoes shows none."""
    data = body(seen=(SHOE, SHOE))["data"]

    assert data == {"imageInfo": [], "objects": [{"type": "NODETC", "tags": []}]}


@pytest.mark.parametrize("number", range(20))
def test_a_shoe_has_all_that_shoes_have(number: int) -> None:
    """Height and shape of the heel, toe and sole, in words that go together."""
    data = body(number, seen=(SHOE, SHOE), detection=("SHOES",))["data"]

    (left,), (right,) = (found["tags"] for found in data["objects"])
    (category,) = (one for one in SHOES if one.word.id == left["category"]["id"])
    assert left == right
    assert left["pairIndex"] == 0
    for field in ("item", "heelHeight", "toeType", "heelShape", "soleType"):
        assert left[field]["id"] in {word.id for word in category.choices[field]}


def test_each_pair_of_shoes_has_its_own_index() -> None:
    """Two shoes are the same where their index is."""
    pairs = [replace(SHOE, pair=pair) for pair in (0, 0, 1, 1)]

    data = body(seen=tuple(pairs), detection=("SHOES",))["data"]

    assert [0, 0, 1, 1] == [found["tags"][0]["pairIndex"] for found in data["objects"]]


def test_the_index_of_a_pair_is_seen_and_what_shoes_have_is_invented() -> None:
    """That two are alike is in the pixels; which heel they have is not."""
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
    """The palette is English; elsewhere it is a shade of the 18."""
    assert name == tag(0, language)["colorDetails"][0]["name"]


@pytest.mark.parametrize("detection", [(), ("TOP",), ("SHOES", "BAG")])
def test_nothing_seen_is_nodetc_without_a_gender(
    detection: tuple[Detection, ...],
) -> None:
    """As the contract's example says it, whatever was asked for."""
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
def test_every_answer_is_one_to_the_client(language: Language) -> None:
    """What the sandbox writes, the product's own reader takes, and loses nothing."""
    asked: tuple[Detection, ...] = ("TOP",)
    tagging = answer((SEEN,), digest(5), language=language, detection=asked)

    result = read_answer(to_json(tagging.body), http_status=201)

    written = body(5, language=language, detection=asked)["data"]
    assert written["objects"] == json.loads(json.dumps(result.objects, default=float))
    assert written["genderInfo"] == result.gender_info


def test_ids_are_the_published_ones_or_visibly_the_sandboxs_own() -> None:
    """An id nobody published must not look as if somebody had."""
    for group, word in words():
        english = word.names["en"]
        published = PUBLISHED_IDS.get(group, {}).get(english)
        if published is None:
            assert word.id.startswith(f"SANDBOX-{group.upper().replace(' ', '-')}-")
        else:
            assert published == word.id


def test_no_two_words_share_an_id() -> None:
    """Results are looked up by id."""
    names: dict[str, set[str]] = {}
    for _, word in words():
        names.setdefault(word.id, set()).add(word.names["en"])

    assert [each for each in names.values() if len(each) > 1] == []


def test_every_word_has_a_name_in_every_language() -> None:
    """A request in any of the four languages is answered in it."""
    for _, word in words():
        assert set(LANGUAGES) == set(word.names)
        assert all(name.strip() == name != "" for name in word.names.values())


def test_the_18_colours_and_16_categories_are_the_vendors() -> None:
    """Neither more nor fewer."""
    assert (len(COLORS), len(CLOTHING)) == (18, 16)
