"""
Images whose answers are known, and what must follow from them, by the words of the documentation.

Nothing here is computed by the code under test: values, filters and policies are evaluated anew.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

TYPES = ("CLOTHING", "SHOES", "BAGS", "ACCESSORIES", "SWIMWEAR")
LISTS = {"color": "colors", "print": "prints", "texture": "textures", "look": "looks"}
SINGLES = ("category", "item")
FIELDS = ("product", "type", *SINGLES, *LISTS, "gender")

HOSTILE = (
    "=SUM(1,2)\ta",
    'quote " and \\ slash',
    "\uff21  wide\nNAME",
    "red#0",
    "\u202egnp.exe\u2066",
    "\x1b]8;;https://evil.example\x1b\\b\x07",
    "[red]markup[/]",
    "ﬁne Straße",
    "l" * 300,
    "--option; touch-nothing",
)


@dataclass(frozen=True, slots=True)
class Word:
    """A value: its id, if it has one, and its names by language."""

    id: str | None
    en: str
    ko: str

    def named(self, language: str) -> dict[str, Any]:
        """As the API writes it."""
        name = {"name": self.ko if language == "ko" else self.en}
        return name if self.id is None else {"id": self.id, **name}


def words_of(name: str) -> tuple[Word, ...]:
    """The vocabulary of a field: with ids, without, with a name that two ids share, hostile."""
    plain = [
        Word(
            f"T{name[0]}{number:03}".upper(), f"{name}-{number}", f"옷 {name} {number}"
        )
        for number in range(6)
    ]
    return (
        *plain,
        Word(f"T{name[0]}900".upper(), f"twin {name}", f"twin {name}"),
        Word(f"T{name[0]}901".upper(), f"twin {name}", f"twin {name}"),
        Word(None, f"nameless {name}", f"nameless {name}"),
        *(
            Word(f"H{name[0]}{number}" if number % 2 else None, text, text)
            for number, text in enumerate(HOSTILE)
        ),
    )


VOCABULARY = {name: words_of(name) for name in (*SINGLES, *LISTS, "gender")}


def plain(text: str) -> str:
    """As values are compared: without case, and without differences of blanks and width."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True, slots=True)
class Known:
    """An answer, and the metadata of the upload."""

    document: dict[str, Any]
    language: str
    product: str | None

    @property
    def body(self) -> str:
        """The answer as the sandbox sends it."""
        text = json.dumps({"status": "ok", "data": self.document, "error": None})
        return _written_numbers(text)

    def answer(self) -> dict[str, Any]:
        """The answer with its numbers, digit for digit."""
        data: dict[str, Any] = json.loads(self.body, parse_float=Decimal)["data"]
        return data

    def values(self) -> Iterator[tuple[str, str, str, Decimal | None]]:
        """Field, value as the key, name and confidence of each value."""
        if self.product is not None:
            yield "product", plain(self.product), self.product, None
        gender = self.document.get("genderInfo")
        if gender:
            yield _value("gender", gender)
        for found in self.document["objects"]:
            yield "type", found["type"], found["type"], None
            for tag in found["tags"]:
                for name in SINGLES:
                    if tag.get(name):
                        yield _value(name, tag[name])
                for name, attribute in LISTS.items():
                    for one in tag.get(attribute) or ():
                        yield _value(name, one)

    def has(self, wanted: str, value: str, least: Decimal | None, known: Names) -> bool:
        """Whether it has a value of a field: an id, or a name of one."""
        named = known[wanted, plain(value)]
        return any(
            name == wanted
            and (key in named or plain(key) == plain(value))
            and (least is None or confidence is None or confidence >= least)
            for name, key, _, confidence in self.values()
        )

    def attributes(self, bucket: str) -> dict[str, str | set[str]]:
        """The message attributes of its announcement."""
        texts: dict[str, str | set[str]] = {
            "type": "hangtag.image.tagged.v1",
            "bucket": bucket,
            "language": self.language,
        }
        lists: dict[str, set[str]] = defaultdict(set)
        for found in self.document["objects"]:
            lists["objectType"].add(found["type"])
            for tag in found["tags"]:
                for name, attribute in {
                    **dict.fromkeys(SINGLES),
                    "color": "colors",
                    "look": "looks",
                }.items():
                    value = tag.get(attribute or name)
                    for one in value if isinstance(value, list) else [value]:
                        if one:
                            lists[name] |= {sent(one.get("name")), sent(one.get("id"))}
        gender = (self.document.get("genderInfo") or {}).get("name")
        for name, value in (("productId", self.product), ("gender", gender)):
            if value:
                texts[name] = sent(value)
        return texts | {
            name: found - {""} for name, found in lists.items() if found - {""}
        }


Names = Mapping[tuple[str, str], set[str]]
"""The values that a name of a field stands for."""


def sent(text: str | None) -> str:
    """As an attribute has it: a blank for what SNS does not take."""
    return "".join(
        " " if unicodedata.category(one) == "Cc" or one in "\u202e\u2066" else one
        for one in text or ""
    )


def _value(name: str, found: Mapping[str, Any]) -> tuple[str, str, str, Decimal | None]:
    key = found.get("id") or found["name"]
    confidence = found.get("confidence")
    number = Decimal(confidence[1:]) if isinstance(confidence, str) else None
    return name, key, found["name"], number


def _written_numbers(text: str) -> str:
    """Confidences are texts such as `~0.10` here, so that each digit is as it was chosen."""
    return re.sub(r'"~([^"]+)"', r"\1", text)


@dataclass(slots=True)
class Answers:
    """Makes answers by chance, the same for each seed."""

    chance: random.Random
    made: int = 0
    products: Sequence[str] = field(
        default=("SKU-1", "SKU-2", "sku-10", "X 7", "#9", "제품 3", "=1+1")
    )

    def make(self, filler: int = 0) -> Known:
        """One answer; *filler* is the length of a field that only takes room."""
        self.made += 1
        chance = self.chance
        language = chance.choice(("en", "en", "ko"))
        if chance.random() < 0.08 and not filler:
            objects: list[dict[str, Any]] = [{"type": "NODETC", "tags": []}]
            document: dict[str, Any] = {"objects": objects}
        else:
            objects = [
                {"type": chance.choice(TYPES), "tags": [self._tag(language)]}
                for _ in range(chance.choice((1, 1, 2, 3)))
            ]
            document = {"objects": objects}
            if chance.random() < 0.6:
                document["genderInfo"] = self._word("gender").named(language)
        if filler:
            objects[0]["tags"][0]["note"] = "x" * filler
        product = chance.choice(self.products) if chance.random() < 0.6 else None
        return Known(document, language, product)

    def _tag(self, language: str) -> dict[str, Any]:
        chance = self.chance
        tag: dict[str, Any] = {"category": self._word("category").named(language)}
        if chance.random() < 0.8:
            tag["item"] = self._attribute("item", language)
        for name, attribute in LISTS.items():
            if chance.random() < 0.7:
                tag[attribute] = [
                    self._attribute(name, language)
                    for _ in range(chance.choice((0, 1, 2, 3)))
                ]
        return tag

    def _word(self, name: str) -> Word:
        words = VOCABULARY[name]
        return words[min(int(self.chance.expovariate(0.25)), len(words) - 1)]

    def _attribute(self, name: str, language: str) -> dict[str, Any]:
        chance = self.chance
        found = self._word(name).named(language)
        if chance.random() < 0.9:
            found["confidence"] = "~" + chance.choice(
                (
                    "0.6",
                    "0.60",
                    "0",
                    "1",
                    "0.5999123456789012345678901234567890123456789012",
                    "1e-200",
                    *(f"{chance.random():.4f}" for _ in range(14)),
                )
            )
        return found


def rounded(value: Any) -> Any:  # noqa: ANN401 - JSON-like
    """As DynamoDB keeps numbers: 38 digits, and 0 for very small ones."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    if isinstance(value, float):
        return value if abs(value) >= _SMALLEST else 0
    if isinstance(value, Decimal):
        return _DIGITS.plus(value) if abs(value) >= _SMALLEST else 0
    return value


_DIGITS = Context(prec=38)
_SMALLEST = Decimal("1e-130")


def selects(
    policy: Mapping[str, Sequence[Any]], attributes: Mapping[str, str | list[str]]
) -> bool:
    """Whether a filter policy lets a message with these attributes through."""
    return all(
        any(
            _matches(rule, value)
            for rule in rules
            for value in _listed(attributes.get(name, []))
        )
        for name, rules in policy.items()
    )


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _matches(rule: Any, value: str) -> bool:  # noqa: ANN401 - as in a policy
    if isinstance(rule, str):
        return value == rule
    if "prefix" in rule:
        return value.startswith(rule["prefix"])
    return value not in rule["anything-but"]
