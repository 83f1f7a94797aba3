"""
The index of the results: which terms a result is found by.

A term is a field and a value, such as ("color", "T0326"). Its value is the API's id, which is the
same in all languages; a value without an id has its name instead. Names are looked up in the known
values of a field (`known_values`). All entries of one result have the same position and the same
shard, so results with several terms are an intersection of sorted lists.
"""

from __future__ import annotations

import hashlib
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeGuard

from hangtag.results import Document, keep_highest, named_in

SHARDS: Final = 4
"""
Partitions of a term: a DynamoDB partition takes 1,000 writes a second, and a term such as the
type CLOTHING is written for almost every image.
"""

ALL: Final = "all"
"""The field of the term that every TAGGED result has; its value is empty."""

PRODUCT: Final = "product"
TYPE: Final = "type"
GENDER: Final = "gender"
_TAG_FIELDS: Final = {
    "category": "category",
    "item": "item",
    "color": "colors",
    "print": "prints",
    "texture": "textures",
    "look": "looks",
}
"""The API's name of the attribute of a tag, by field."""

VALUE_FIELDS: Final = (TYPE, *_TAG_FIELDS, GENDER)
"""The fields whose values are listed and looked up by name; a product id is not."""

FIELDS: Final = (PRODUCT, *VALUE_FIELDS)
"""The fields by which results are found."""

_LONGEST_VALUE: Final = 256
"""Bytes of a value in a key; a longer one is its hash. DynamoDB takes 2,048 in all."""


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """A field and a value by which results are found."""

    field: str
    value: str
    """As the API spells it; of a product id, and if it is very long, `normalized`."""


Entries = Mapping[Term, Decimal | None]
"""The terms of a result, each with its highest confidence; None if the API gives one without."""


@dataclass(frozen=True, slots=True, order=True)
class KnownValue:
    """A value that occurs in results, and a name that people know it by."""

    term: Term
    name: str
    """As the API spells it, in one language."""


def normalized(text: str) -> str:
    """*text* as terms compare it: without case, and without differences in Unicode and blanks."""
    same = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    if _fits(same):
        return same
    return f"sha256:{hashlib.sha256(same.encode(errors='replace')).hexdigest()}"


def _spelled(text: str) -> str:
    """*text* as it is, or `normalized` if it is too long for a key."""
    return text if _fits(text) else normalized(text)


def _fits(text: str) -> bool:
    return len(text.encode(errors="replace")) <= _LONGEST_VALUE


def entries_of(
    result: Document, *, min_confidence: Decimal = Decimal(0)
) -> dict[Term, Decimal | None]:
    """
    The terms of a result; none unless it is TAGGED.

    A value below *min_confidence* has no entry; one without a confidence has.
    """
    entries: dict[Term, Decimal | None] = {}
    if result.get("status") != "TAGGED":
        return entries
    entries[Term(ALL, "")] = None
    for term, _, confidence in values_of(result):
        if confidence is not None and confidence < min_confidence:
            continue
        keep_highest(entries, term, confidence)
    return entries


def known_values(result: Document) -> set[KnownValue]:
    """The values of a result, with their names; without product ids."""
    if result.get("status") != "TAGGED":
        return set()
    return {
        KnownValue(term, name)
        for term, name, _ in values_of(result)
        if term.field != PRODUCT
    }


def position_of(result: Document) -> str:
    """
    The place of a TAGGED result among all: by time, and for the same time by uri.

    All entries of a result have it as their sort key. It is short: DynamoDB takes 1,024 bytes.
    """
    return f"{result['taggedAt']}#{_hash_of(result['image']['uri'])}"


def shard_of(uri: str) -> int:
    """The shard in which all entries of a result are."""
    return zlib.crc32(uri.encode()) % SHARDS


def _hash_of(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:32]


def values_of(result: Document) -> Iterator[tuple[Term, str, Decimal | None]]:
    """Each value of a TAGGED result with its name and its confidence, as often as it occurs."""
    product = result["context"].get("id")
    if _is_text(product):
        yield Term(PRODUCT, normalized(product)), product, None
    yield from _named(GENDER, result.get("genderInfo"))
    for found in _objects_in(result.get("objects")):
        kind = found.get("type")
        if _is_text(kind):
            yield Term(TYPE, _spelled(kind)), kind, None
        for tag in _objects_in(found.get("tags")):
            for field, attribute in _TAG_FIELDS.items():
                yield from _named(field, tag.get(attribute))


def _objects_in(found: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - see below
    """The JSON objects in a list; one with an empty name was once stored as text."""
    return (one for one in found or () if isinstance(one, Mapping))


def _named(field: str, found: object) -> Iterator[tuple[Term, str, Decimal | None]]:
    """The terms of an attribute, each with its name and confidence."""
    for named, confidence in named_in(found):
        texts = [
            text for text in (named.get("id"), named.get("name")) if _is_text(text)
        ]
        if texts:
            term = Term(field, _spelled(texts[0]))
            yield term, texts[-1], confidence


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and normalized(value) != ""
