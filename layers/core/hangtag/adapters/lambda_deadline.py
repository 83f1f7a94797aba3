"""The deadline of a Lambda invocation."""

from __future__ import annotations

import math
from typing import Protocol


class _Context(Protocol):
    def get_remaining_time_in_millis(self) -> int:
        """Lambda's own clock."""
        ...


class LambdaDeadline:
    """`Deadline` of a Lambda invocation, by its context; at most *most_seconds* from now."""

    def __init__(self, context: _Context, *, most_seconds: float = math.inf) -> None:
        self._context = context
        self._unused = max(0.0, self._lambda_seconds() - most_seconds)

    def seconds_left(self) -> float:
        return self._lambda_seconds() - self._unused

    def _lambda_seconds(self) -> float:
        return self._context.get_remaining_time_in_millis() / 1000
