"""The report of the soak test: numbers, and broken promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from local.ledger import (
    PAID_AGAIN_REASONS,
    Ending,
    Ledger,
    ObjectVersion,
    Sent,
    status_of,
)

UNSUPPORTED = "UNSUPPORTED_FORMAT"


@dataclass(slots=True)
class Traffic:
    """The uploads, messages and incidents of the test so far."""

    sent: list[Sent] = field(default_factory=list)
    copies: int = 0
    bundles: int = 0
    unreadable: list[str] = field(default_factory=list)
    seen: dict[ObjectVersion, str] = field(default_factory=dict)
    """The bodies of S3's messages, to send them again."""
    texts: set[str] = field(default_factory=set)
    """The SHA-256 of files that are not images."""
    events: list[str] = field(default_factory=list)
    """The incidents, such as a killed worker; one that failed starts with "!"."""


class Report:
    """The outcomes of all uploads in numbers, with the broken promises."""

    def __init__(self, traffic: Traffic, ledger: Ledger) -> None:
        self._traffic = traffic
        self._ledger = ledger
        self._endings = [ledger.ending_of(sent) for sent in traffic.sent]
        self.troubles = [
            f"{one.sent.key} {one.sent.version}: {trouble}"
            for one in self._endings
            for trouble in one.troubles
        ]
        self.troubles += [
            f"{one.sent.key} {one.sent.version}: an image, but FAILED as {one.detail}"
            for one in self._endings
            if one.detail == UNSUPPORTED and one.sent.sha256 not in traffic.texts
        ]
        self.troubles += [
            f"{key}: the {version} is lost"
            for (key, version), item in removals_in(ledger).items()
            if status_of(item)[0] == "OPEN"
        ]
        missing = Counter(traffic.unreadable) - Counter(ledger.unreadable)
        self.troubles += [f"no dead letter for message {body!r}" for body in missing]
        self.troubles += wrong_newest(ledger, self._endings)
        self.troubles += [one for one in traffic.events if one.startswith("!")]

    def table(self) -> Table:
        """Return the table of all numbers."""
        endings = self._endings
        table = Table(title="Outcomes of the uploads")
        table.add_column("")
        table.add_column("number", justify="right")
        table.add_column("of which", overflow="fold")

        def row(name: str, number: int, parts: Mapping[str, int] | None = None) -> None:
            pairs = sorted((parts or {}).items())
            table.add_row(name, str(number), ", ".join(f"{k}: {v}" for k, v in pairs))

        failed = Counter(one.detail for one in endings if one.status == "FAILED")
        skipped = Counter(one.detail for one in endings if one.status == "SKIPPED")
        reasons: Counter[str] = Counter()
        paid_again: Counter[str] = Counter()
        for one in endings:
            for reason, number in one.counted.items():
                if reason != "FIRST":
                    reasons[reason] += number
                if reason in PAID_AGAIN_REASONS and one.extra_paid:
                    paid_again[reason] += number
        announcements = sum(one.announcements for one in endings)
        announced = sum(1 for one in endings if one.announcements)
        without_image = len(self._ledger.calls.get("", ()))
        row("uploads (object versions)", len(endings))
        row("tagged", sum(one.status == "TAGGED" for one in endings))
        row("failed", failed.total(), failed)
        row("skipped", skipped.total(), skipped)
        removals = removals_in(self._ledger).values()
        row("removals", len(removals), Counter(status_of(one)[0] for one in removals))
        row("calls", sum(one.calls for one in endings))
        row("calls refused before their image was read", without_image)
        row("calls beyond one", sum(one.extra_calls for one in endings), reasons)
        row("paid answers", sum(one.paid for one in endings))
        row(
            "paid answers beyond one",
            sum(one.extra_paid for one in endings),
            paid_again,
        )
        row("announcements", announcements)
        row("announced again", announcements - announced)
        row(
            "messages beside S3's own",
            self._traffic.copies
            + self._traffic.bundles
            + len(self._traffic.unreadable),
            {
                "copies": self._traffic.copies,
                "several uploads in one": self._traffic.bundles,
                "unreadable": len(self._traffic.unreadable),
            },
        )
        row("letters of unreadable messages", len(self._ledger.unreadable))
        row("lost", sum(one.status == "OPEN" for one in endings))
        return table


def removals_in(ledger: Ledger) -> dict[ObjectVersion, dict[str, Any]]:
    """Return the records of removals."""
    return {
        place: item
        for place, item in ledger.items.items()
        if place[1].startswith("removed:")
    }


def wrong_newest(ledger: Ledger, endings: Sequence[Ending]) -> list[str]:
    """List the keys whose shown result is not the last finished version."""
    last: dict[str, Ending] = {}
    versions = Counter(one.sent.key for one in endings)
    for one in endings:
        if one.status in ("TAGGED", "FAILED"):
            last[one.sent.key] = one
    return [
        f"{key}: the shown result is that of version {ledger.shown(key)}"
        for key, ending in last.items()
        if versions[key] > 1 and ledger.shown(key) != ending.sent.version
    ]
