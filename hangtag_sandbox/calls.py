"""Records the tag calls to the sandbox."""

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
    """One tag call; a field is None if the call was refused before that part was read."""

    at: float
    """When it arrived, before its body: seconds since 1970. Unique to each call."""
    seconds: float | None = None
    """Duration until the answer or the cut of the connection; None: still in progress."""
    sha256: str | None = None
    """SHA-256 of the image's bytes, hex."""
    status: int | None = None
    """The HTTP status of the answer; None: no answer, or not yet."""
    code: int | None = None
    """The error code of the answer."""
    fault: dict[str, Any] | None = None
    """The step of a fault that was applied; None: no fault."""
    language: str | None = None
    context: object = None
    """As received; None if it is too long to be recorded."""


class Calls:
    """
    The newest calls, finished or in progress, up to the limits in `limits`. Thread-safe.

    Finished calls are kept as JSON, so that their size in memory is known.
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
        Record a call, and its outcome when the context ends.

        Beyond the limits, the oldest calls are dropped. A call that was dropped or cleared while
        in progress does not come back.
        """
        began = time.monotonic()
        with self._lock:
            # The clock may be set back, but the sequence of the calls must not change.
            self._latest = round(max(self._clock(), self._latest + _TICK), 6)
            call = Call(self._latest)
            self._calls[call.at] = call
            self._drop_oldest()
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
                    self._drop_oldest()

    def clear(self) -> None:
        """Drop all calls, including calls in progress."""
        with self._lock:
            self._calls.clear()
            self._bytes = 0

    def to_json(self, since: float = 0.0) -> bytes:
        """List the calls that arrived after *since* (as `Call.at`) as JSON, oldest first."""
        with self._lock:
            calls = [call for at, call in self._calls.items() if at > since]
        lines = (call if isinstance(call, bytes) else _to_json(call) for call in calls)
        return b"[" + b",".join(lines) + b"]"

    def _drop_oldest(self) -> None:
        while len(self._calls) > self._most or self._bytes > self._most_bytes:
            _, call = self._calls.popitem(last=False)
            self._bytes -= len(call) if isinstance(call, bytes) else 0


_TICK = 1e-6  # seconds; floats can tell two such times apart until the year 2100


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
    fields = json.dumps(document, ensure_ascii=False)
    shown = context if len(context) <= MOST_CONTEXT_CHARACTERS else "null"
    return f'{fields[:-1]}, "context": {shown}}}'.encode(errors="replace")


def _number(value: object) -> float | str:
    """Encode a fraction of a context; one that is too large for a float becomes text."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{value!r} is not a JSON value")
    number = float(value)
    return number if math.isfinite(number) else str(value)
