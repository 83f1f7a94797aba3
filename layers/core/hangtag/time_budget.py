"""How the time of an invocation is divided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """The parts of an invocation's time; everything in seconds."""

    aws_connect: float
    """The longest wait for a connection to AWS."""
    aws_read: float
    """The longest wait for AWS to go on answering."""
    request: float
    """No request to AWS begins with less than this left: it could not end in time."""
    write: float
    """
    No write of a record is repeated with less than this left.

    Should all its three tries be as slow as the client allows (`hangtag.adapters.direct_requests`),
    there is still time to release the claim.
    """
    reserve: float
    """Kept at the end: to store, announce, dead-letter and hand back."""
    least_call: float
    """No call of the API begins with less time than this: it would be paid and lost."""

    @property
    def attempt(self) -> float:
        """No attempt begins with less than this left: it reads an image and calls the API."""
        return self.aws_connect + self.least_call + self.reserve

    @classmethod
    def of(cls, function_timeout: float) -> Self:
        """
        The division for a function that is stopped after *function_timeout* seconds.

        The parts are fractions of it, because functions may have 5 seconds or 900. Their bounds
        are the time that AWS's services take on a bad day, and what is worth waiting for.
        """
        connect = _within(0.3, function_timeout / 30, 2.0)
        read = _within(0.8, function_timeout / 8, 5.0)
        once = connect + read
        request = once + 1.0  # botocore waits up to a second before its second try
        return cls(
            aws_connect=connect,
            aws_read=read,
            request=request,
            write=3 * once + 1.0 + request,
            reserve=once + 1.5,
            least_call=_within(1.0, function_timeout / 6, 10.0),
        )


def _within(least: float, value: float, most: float) -> float:
    return max(least, min(value, most))
