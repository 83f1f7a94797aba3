from __future__ import annotations

from typing import TypeVar

from hangtag.telemetry import Event

_Event = TypeVar("_Event", bound=Event)


class FakeTelemetry:
    """`Telemetry` that keeps its events."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.flushes = 0

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def flush(self) -> None:
        self.flushes += 1

    def seen(self, kind: type[_Event]) -> list[_Event]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]
