"""The search for results by their terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from hangtag.index import Term
from hangtag.results import Document


@dataclass(frozen=True, slots=True)
class Query:
    """Which results to find; all conditions must hold."""

    filters: tuple[tuple[str, str], ...] = ()
    """Fields of `hangtag.index.FIELDS` and values, as people write them."""
    min_confidence: Decimal | None = None
    since: str | None = None
    """ISO 8601, UTC, included."""
    until: str | None = None
    """ISO 8601, UTC, included."""


@dataclass(frozen=True)
class Found:
    """A result that was found."""

    result: Document
    position: str
    """As `hangtag.index.position_of`."""
    confidences: Mapping[Term, Decimal | None]


class Finder(Protocol):
    """Finds results."""

    def results(
        self, query: Query, *, oldest_first: bool = False, after: str | None = None
    ) -> Iterator[Found]:
        """
        The results, newest first, or oldest first; those *after* a position.

        Raises:
            ResultsUnavailable: DynamoDB refused or failed.
        """
        ...
