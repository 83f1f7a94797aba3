from __future__ import annotations

from typing import TypeVar

from hangtag.telemetry import Event

_Kind = TypeVar("_Kind")


class FakeTelemetry:
    """`Telemetry` that records the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.flushes = 0

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def flush(self) -> None:
        self.flushes += 1

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """The events of a class."""
        return [event for event in self.events if isinstance(event, kind)]
