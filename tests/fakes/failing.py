from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any


@dataclass(slots=True)
class _Plan:
    error: BaseException
    at: str | None
    left: int | None


class CanFail:
    """A fake whose methods can be made to fail."""

    def __init__(self) -> None:
        self._plans: list[_Plan] = []
        self._plans_lock = Lock()

    def fails_with(
        self, error: BaseException, *, times: int | None = None, at: str | None = None
    ) -> None:
        """
        Raise *error* in the next *times* calls, or in all; of the method *at*, or of any.

        An error that is no `Exception` is a kill: the port's method has no effect.
        """
        self._plans.append(_Plan(error, at, times))

    def recovers(self) -> None:
        """Removes all failures that were requested."""
        self._plans.clear()

    def _may_fail(self, method: str) -> None:
        with self._plans_lock:
            for plan in self._plans:
                if plan.at in (None, method) and plan.left != 0:
                    if plan.left is not None:
                        plan.left -= 1
                    raise plan.error


class Killed(BaseException):
    """The process was killed."""


@dataclass(slots=True)
class Killer:
    """
    Kills the user of a port before or after the n-th call of a method.

    After a *hard* kill every later call raises, also in `finally`. A kill that is not hard is
    Ctrl-C.
    """

    method: str
    call: int
    after: bool
    hard: bool
    has_killed: bool = False

    def watching(self, port: Any, name: str = "") -> Any:  # noqa: ANN401 - any port
        """
        Wraps a port for the user that is to be killed.

        With a *name*, methods are called `name.method`, so that ports with equal methods differ.
        """
        return _Watched(port, self, name + "." if name else "")

    def _do(self, name: str, do: Callable[[], object]) -> object:
        if self.has_killed and self.hard:
            raise Killed
        if name != self.method or self.has_killed:
            return do()
        self.call -= 1
        if self.call >= 0:
            return do()
        if self.after:
            do()
        self.has_killed = True
        raise Killed


class _Watched:
    def __init__(self, port: object, killer: Killer, prefix: str) -> None:
        self._port = port
        self._killer = killer
        self._prefix = prefix

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._port, name)

        def watched(*args: object, **kwargs: object) -> object:
            return self._killer._do(
                self._prefix + name, lambda: method(*args, **kwargs)
            )

        return watched
