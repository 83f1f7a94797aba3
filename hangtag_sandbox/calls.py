"""The tag calls that the sandbox has seen."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock
from typing import Any

from hangtag_sandbox.limits import (
    MOST_CALLS,
    MOST_CALLS_BYTES,
    MOST_CONTEXT_CHARACTERS,
)


@dataclass(slots=True)
class Call:
    """What is known of a call; None where it was refused before that was read."""

    at: float
    """When it arrived, before its body: seconds since 1970. No two calls have the same."""
    seconds: float | None = None
    """From then to its answer, or to what came in place of one; None: it is still under way."""
    sha256: str | None = None
    """Of the image's bytes, hex."""
    status: int | None = None
    """The HTTP status of the answer; None: it has none, or none yet."""
    code: int | None = None
    """The error code of the answer."""
    fault: dict[str, Any] | None = None
    """How it was told to go wrong; None: it was not."""
    language: str | None = None
    context: object = None
    """As it came, unless it is too long to be remembered."""


class Calls:
    """
    The newest calls, as many as `limits` allows, those under way among them. Threads may share it.

    Those that have ended are kept as JSON, so that what they take is known.
    """

    def __init__(
        self,
        most: int = MOST_CALLS,
        most_bytes: int = MOST_CALLS_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._latest = 0.0
        self._calls: OrderedDict[float, Call | bytes] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    @contextmanager
    def one(self) -> Iterator[Call]:
        """
        Remember a call from now on, and what became of it when the context ends.

        One that is forgotten before stays forgotten. Beyond the limits, the oldest are.
        """
        began = time.monotonic()
        with self._lock:
            # The clock may be set back: the order of the calls is not.
            self._latest = round(max(self._clock(), self._latest + _MOMENT), 6)
            call = Call(self._latest)
            self._calls[call.at] = call
            self._forget_oldest()
        try:
            yield call
        except BaseException:
            call.status = call.code = 500
            raise
        finally:
            call.seconds = round(time.monotonic() - began, 6)
            line = _to_json(call)
            with self._lock:
                if call.at in self._calls:
                    self._calls[call.at] = line
                    self._bytes += len(line)
                    self._forget_oldest()

    def clear(self) -> None:
        """Forget all calls, those under way too."""
        with self._lock:
            self._calls.clear()
            self._bytes = 0

    def to_json(self, since: float = 0.0) -> bytes:
        """A JSON list of the calls that arrived after *since* (as `Call.at`), the oldest first."""
        with self._lock:
            calls = [call for at, call in self._calls.items() if at > since]
        lines = (call if isinstance(call, bytes) else _to_json(call) for call in calls)
        return b"[" + b",".join(lines) + b"]"

    def _forget_oldest(self) -> None:
        while len(self._calls) > self._most or self._bytes > self._most_bytes:
            _, call = self._calls.popitem(last=False)
            self._bytes -= len(call) if isinstance(call, bytes) else 0


_MOMENT = 1e-6  # seconds; floats tell them apart until the year 2100


def _to_json(call: Call) -> bytes:
    context = json.dumps(call.context, ensure_ascii=False, default=_number)
    document = {
        "at": call.at,
        "seconds": call.seconds,
        "sha256": call.sha256,
        "status": call.status,
        "code": call.code,
        "fault": call.fault,
        "language": call.language,
    }
    told = json.dumps(document, ensure_ascii=False)
    known = context if len(context) <= MOST_CONTEXT_CHARACTERS else "null"
    return f'{told[:-1]}, "context": {known}}}'.encode(errors="replace")


def _number(value: object) -> float | str:
    """The fractions in a context; JSON of ours has none that is too large for a float."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{value!r} did not come as JSON")
    number = float(value)
    return number if math.isfinite(number) else str(value)
