"""An error as the dead letter and the FAILED record keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hangtag.errors import HangtagError
from hangtag.text import printable

UNKNOWN_FORMAT = "unknown"
"""The name under which a format that is not recognised is counted."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The record of an error, on the dead letter and in the FAILED result."""

    code: str
    kind: str
    message: str
    source: str
    attempts: int
    """Attempts until then, with the one that failed."""
    failed_at: str
    """ISO 8601, UTC."""
    image_format: str = ""
    """The format that was found instead of the six; empty if unknown, and for other failures."""

    @classmethod
    def of(cls, error: HangtagError, *, attempts: int, failed_at: str) -> Failure:
        """The failure that records *error*."""
        return cls(
            code=error.code,
            kind=error.kind,
            message=printable(str(error)).strip() or type(error).__name__,
            source=error.source,
            attempts=attempts,
            failed_at=failed_at,
            image_format=error.image_format,
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Failure:
        """The failure in a FAILED result; the reverse of `document`."""
        return cls(
            code=document["code"],
            kind=document["kind"],
            message=document["message"],
            source=document["source"],
            attempts=int(document["attempts"]),
            failed_at=document["failedAt"],
            image_format=document.get("format", ""),
        )

    def document(self) -> dict[str, str | int]:
        """The failure as a FAILED result contains it; with `format` if it is known."""
        return {
            "code": self.code,
            "kind": self.kind,
            "message": self.message,
            "source": self.source,
            "attempts": self.attempts,
            "failedAt": self.failed_at,
            **self.format_field,
        }

    @property
    def format_field(self) -> dict[str, str]:
        """The field `format` of documents and log lines; empty if the format is unknown."""
        return {"format": self.image_format} if self.image_format else {}
