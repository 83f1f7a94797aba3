"""
Builds the sandbox's answers from the contract's models.

Position, colours and print of a garment come from the pixels. The other fields are invented from
the image's digest: the same image always gets the same values, and `Tagging.synthetic` names the
invented fields.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import TypeVar

from hangtag.tagger_api import Detection, Language
from hangtag.tagger_api.answer import NOTHING_DETECTED
from hangtag.tagger_api.models import (
    AnswerBody,
    AnswerData,
    AnswerError,
    Attribute,
    ColorDetail,
    DetectedObject,
    Named,
    Position,
    Tag,
)
from hangtag_sandbox.categories import CLOTHING, SHOES, Category
from hangtag_sandbox.colors import SeenColor
from hangtag_sandbox.sightings import Sighting
from hangtag_sandbox.vocabulary import GENDERS, IMAGE_KINDS, Word

_T = TypeVar("_T")

DECIMALS = 10
MOST_COLORS = 3


@dataclass(frozen=True, slots=True)
class Tagging:
    """A successful answer, with the names of its invented fields."""

    body: AnswerBody
    synthetic: tuple[str, ...]


def answer(
    sightings: Sequence[Sighting],
    digest: str,
    *,
    language: Language,
    detection: Collection[Detection],
) -> Tagging:
    """
    Build the API's answer for an image with these *sightings* and this SHA-256 *digest* (hex).

    Without *detection*, the answer tags all clothing but no shoes. With *detection*, `objects`
    holds the requested types and `notMatchedObject` the remaining ones. An image without any
    garment gets one `NODETC` object in either case.
    """
    invention = _Invention(digest)
    found = []
    for number, sighting in enumerate(sightings):
        category, own = _pick_category(sighting, number, invention)
        found.append((category, _tag(sighting, category, own, language)))
    requested = [one for one in found if _is_requested(one[0], detection)]
    if not found or not (requested or detection):
        nothing = DetectedObject(type=NOTHING_DETECTED, tags=())
        return Tagging(_success({"imageInfo": (), "objects": (nothing,)}), ())

    gender = invention.pick("gender", tuple(GENDERS.values()))
    fields: dict[str, object] = {
        "imageInfo": (_named(IMAGE_KINDS["nonFashion"], language),),
        "genderInfo": _named(gender, language),
        "objects": _objects(requested),
    }
    tagged = requested
    if detection:
        others = [one for one in found if not _is_requested(one[0], detection)]
        fields["notMatchedObject"] = _objects(others)
        tagged = found
    invented = {name for _, tag in tagged for name in tag.model_fields_set - _SEEN}
    return Tagging(
        _success(fields),
        ("genderInfo", "imageInfo", *sorted(invented)),
    )


def refusal(code: int, message: str) -> AnswerBody:
    """Build the answer that carries an error code."""
    return AnswerBody(
        status="fail",
        data=AnswerData.model_validate({}),
        error=AnswerError(code=code, message=message),
    )


def to_json(body: AnswerBody) -> bytes:
    """Encode an answer as JSON: only the fields that are set, in the contract's sequence."""
    document = body.model_dump(exclude_unset=True)
    return json.dumps(document, ensure_ascii=False, default=float).encode()


_SEEN = {"position", "pairIndex", "colors", "colorDetails", "prints"}
_LISTS = {"looks", "textures", "details"}


def _success(data: dict[str, object]) -> AnswerBody:
    return AnswerBody(status="ok", data=AnswerData.model_validate(data), error=None)


def _pick_category(
    sighting: Sighting, number: int, invention: _Invention
) -> tuple[Category, _Invention]:
    """Pick a category, with the invention for its other fields; both shoes of a pair share it."""
    if sighting.pair is not None:
        own = invention.of(f"pair {sighting.pair}")
        return own.pick("category", SHOES), own
    own = invention.of(f"garment {number}")
    return own.pick("category", CLOTHING), own


def _is_requested(category: Category, detection: Collection[Detection]) -> bool:
    if detection:
        return category.detection in detection
    return category.detection != "SHOES"


def _objects(found: list[tuple[Category, Tag]]) -> tuple[DetectedObject, ...]:
    return tuple(
        DetectedObject(type=category.object_type, tags=(tag,))
        for category, tag in found
    )


def _tag(
    sighting: Sighting, category: Category, invention: _Invention, language: Language
) -> Tag:
    fields: dict[str, object] = {
        "category": _named(category.word, language),
        "position": Position(x=_number(sighting.x), y=_number(sighting.y)),
        "colors": _colors(sighting.colors, language),
        "colorDetails": tuple(
            ColorDetail(
                code=seen.code,
                name=_fine_name(seen, language),
                pixelFraction=_number(seen.share),
            )
            for seen in sighting.colors
        ),
        "prints": (
            _attribute(sighting.print.print, sighting.print.confidence, language),
        ),
        "details": (),
    }
    if sighting.pair is not None:
        fields["pairIndex"] = sighting.pair
    for field, words in category.choices.items():
        attribute = invention.attribute(field, words, language)
        fields[field] = (attribute,) if field in _LISTS else attribute
    return Tag.model_validate(fields)


def _fine_name(seen: SeenColor, language: Language) -> str:
    """Name a colour as finely as the language allows; only English has the large palette."""
    return seen.fine if language == "en" else seen.shade.of(seen.color, language)


def _colors(seen: list[SeenColor], language: Language) -> tuple[Attribute, ...]:
    """Name the main colours; `confidence` is the share of the garment's pixels."""
    shares: dict[str, float] = {}
    words = {}
    for one in seen:
        shares[one.color.id] = shares.get(one.color.id, 0.0) + one.share
        words[one.color.id] = one.color
    strongest = sorted(shares, key=lambda name: -shares[name])[:MOST_COLORS]
    return tuple(_attribute(words[name], shares[name], language) for name in strongest)


def _named(word: Word, language: Language) -> Named:
    return Named(id=word.id, name=word.names[language])


def _attribute(word: Word, confidence: float, language: Language) -> Attribute:
    return Attribute(
        id=word.id, name=word.names[language], confidence=_number(confidence)
    )


def _number(value: float) -> Decimal:
    return Decimal(str(round(value, DECIMALS)))


@dataclass(frozen=True, slots=True)
class _Invention:
    """
    Derives choices and numbers from a seed and a field's name.

    Each field is independent: a new field does not change the values of the existing ones.
    """

    seed: str

    def of(self, part: str) -> _Invention:
        """Derive the invention for one part of the image."""
        return _Invention(f"{self.seed} {part}")

    def pick(self, field: str, choices: Sequence[_T]) -> _T:
        """Pick one of the choices."""
        return choices[self._draw(f"{field} choice") % len(choices)]

    def attribute(
        self, field: str, words: tuple[Word, ...], language: Language
    ) -> Attribute:
        """Pick one of the words, with a confidence of 0.5 to 1."""
        share = self._draw(f"{field} confidence") % 2**32 / 2**32
        return _attribute(self.pick(field, words), 0.5 + share / 2, language)

    def _draw(self, name: str) -> int:
        return int.from_bytes(sha256(f"{self.seed} {name}".encode()).digest()[:8])
