"""The tag calls that the sandbox has seen."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock

from hangtag_sandbox.limits import MOST_CALLS, MOST_CALLS_BYTES


@dataclass(slots=True)
class Call:
    """What is known of a call; None where it was refused before that was read."""

    sha256: str | None = None
    """Of the image's bytes, hex."""
    status: int | None = None
    """The HTTP status of the answer."""
    code: int | None = None
    """The error code of the answer."""
    language: str | None = None
    context: object = None
    """As it came."""


class Calls:
    """
    The newest calls, as many as `limits` allows. Threads may share it.

    They are kept as JSON, so that what they take is known.
    """

    def __init__(
        self, most: int = MOST_CALLS, most_bytes: int = MOST_CALLS_BYTES
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._calls: deque[bytes] = deque()
        self._bytes = 0
        self._lock = Lock()

    def add(self, call: Call) -> None:
        """Remember *call*, and forget the oldest ones beyond the limits."""
        document = {
            "sha256": call.sha256,
            "status": call.status,
            "code": call.code,
            "language": call.language,
            "context": call.context,
        }
        line = json.dumps(document, ensure_ascii=False, default=_number).encode(
            errors="replace"
        )
        with self._lock:
            self._calls.append(line)
            self._bytes += len(line)
            while len(self._calls) > self._most or self._bytes > self._most_bytes:
                self._bytes -= len(self._calls.popleft())

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()
            self._bytes = 0

    def to_json(self) -> bytes:
        """A JSON list of the calls, the oldest first."""
        with self._lock:
            calls = list(self._calls)
        return b"[" + b",".join(calls) + b"]"


def _number(value: object) -> float | str:
    """The fractions in a context; JSON of ours has none that is too large for a float."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{value!r} did not come as JSON")
    number = float(value)
    return number if math.isfinite(number) else str(value)
