from __future__ import annotations

from dataclasses import dataclass
from threading import Lock


@dataclass(slots=True)
class _Plan:
    error: BaseException
    at: str | None
    left: int | None


class CanFail:
    """Something that can be told to fail."""

    def __init__(self) -> None:
        self._plans: list[_Plan] = []
        self._plans_lock = Lock()

    def fails_with(
        self, error: BaseException, *, times: int | None = None, at: str | None = None
    ) -> None:
        """
        Raise *error* in the next calls: *times* of them, or all; of the method *at*, or of any.

        One that is no `Exception` is a kill: nothing behind the port's method happens.
        """
        self._plans.append(_Plan(error, at, times))

    def recovers(self) -> None:
        """Forget all failures that were asked for."""
        self._plans.clear()

    def _may_fail(self, method: str) -> None:
        with self._plans_lock:
            for plan in self._plans:
                if plan.at in (None, method) and plan.left != 0:
                    if plan.left is not None:
                        plan.left -= 1
                    raise plan.error
