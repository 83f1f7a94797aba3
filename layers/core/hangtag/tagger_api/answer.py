"""A successful answer of the Tagger API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NOTHING_DETECTED = "NODETC"
"""The type of an object that stands for "no garment found"."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer in one shape; its numbers are `int` and `Decimal`, not rounded."""

    objects: list[dict[str, Any]]
    not_matched_object: list[Any]
    gender_info: Any
    image_info: list[Any]
    unknown: dict[str, Any] = field(default_factory=dict)
    """Other fields of the answer, unchanged."""

    def document(self) -> dict[str, Any]:
        """The four documented parts by the API's names, and the unknown fields."""
        return {
            **self.unknown,
            "objects": self.objects,
            "notMatchedObject": self.not_matched_object,
            "genderInfo": self.gender_info,
            "imageInfo": self.image_info,
        }
