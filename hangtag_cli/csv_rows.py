"""Results as rows of a CSV file: one for each garment, see docs/export.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from hangtag.results import Document
from hangtag.text import to_csv_cell

from .answer_parts import (
    ATTRIBUTES,
    Garment,
    garments_in,
    name_of,
    plain,
    values_in,
)

BYTE_ORDER_MARK: Final = "\ufeff".encode()
"""At the beginning of a file it tells Excel that the file is UTF-8."""

_OF_THE_IMAGE: Final = (
    *("uri", "versionId", "taggedAt", "language", "productId", "brand", "gender"),
)
_OF_A_GARMENT: Final = (
    *("garment", "type", "x", "y", "category"),
    *(column for name in ATTRIBUTES for column in (name, f"{name}Confidence")),
)

COLUMNS: Final = (*_OF_THE_IMAGE, *_OF_A_GARMENT)


def header() -> bytes:
    """The line with the names of the columns."""
    return _line(COLUMNS)


def rows_of(result: Document) -> bytes:
    """The lines of a TAGGED result: one for each garment, or one without a garment."""
    image, context = result["image"], result["context"]
    of_the_image = (
        image["uri"],
        plain(image["versionId"]),
        result["taggedAt"],
        result["language"],
        plain(context.get("id")),
        plain(context.get("brand")),
        name_of(result.get("genderInfo")),
    )
    garments = [
        list(_cells_of(number, garment))
        for number, garment in enumerate(garments_in(result.get("objects")), start=1)
    ]
    nothing = [""] * len(_OF_A_GARMENT)
    return b"".join(_line([*of_the_image, *cells]) for cells in garments or [nothing])


def _cells_of(number: int, garment: Garment) -> Iterator[str]:
    yield str(number)
    yield plain(garment.kind)
    place = garment.tag.get("position")
    for side in ("x", "y"):
        yield plain(place.get(side)) if isinstance(place, Mapping) else ""
    yield name_of(garment.tag.get("category"))
    for attribute in ATTRIBUTES:
        values = values_in(garment.tag.get(attribute))
        yield ", ".join(map(name_of, values))
        first = values[0] if values else None
        yield plain(first.get("confidence")) if isinstance(first, Mapping) else ""


def _line(cells: Iterable[str]) -> bytes:
    return (",".join(map(to_csv_cell, cells)) + "\r\n").encode()
