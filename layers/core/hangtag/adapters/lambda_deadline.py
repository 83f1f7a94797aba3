"""The deadline of a Lambda invocation."""

from __future__ import annotations

from typing import Protocol


class _Context(Protocol):
    def get_remaining_time_in_millis(self) -> int:
        """Lambda's own clock."""
        ...


class LambdaDeadline:
    """`Deadline` of a Lambda invocation, by its context."""

    def __init__(self, context: _Context) -> None:
        self._context = context

    def seconds_left(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000
