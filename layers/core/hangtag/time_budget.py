"""How the time of an invocation is divided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Timing:
    """How an invocation's time is divided; everything in seconds."""

    aws_connect: float
    """The longest wait for a connection to AWS."""
    aws_read: float
    """The longest wait for AWS to go on answering."""
    last_aws: float
    """No request to AWS begins with less than this left: it could not end in time."""
    note: float
    """
    No note is begun a second time with less than this left.

    Were the table at its slowest, there would be no time after it to give the claim back.
    """
    reserve: float
    """Kept at the end for storing, announcing, burying and handing back."""
    least_call: float
    """A call of the API that has less time than this is not begun: it would be paid and lost."""

    @property
    def attempt(self) -> float:
        """No attempt begins with less than this left: a call, and what is to be done after it."""
        return self.reserve + self.least_call

    @classmethod
    def of(cls, function_timeout: float) -> Self:
        """
        The division for a function that is stopped after *function_timeout* seconds.

        Parts of it, because functions may have 5 seconds or 900, within what AWS's services
        answer in on a bad day and what nobody should wait for.
        """
        connect = _within(0.3, function_timeout / 30, 2.0)
        read = _within(0.8, function_timeout / 8, 5.0)
        once = connect + read
        # With the second that botocore may wait between its two tries
        last_aws = once + 1.0
        return cls(
            aws_connect=connect,
            aws_read=read,
            last_aws=last_aws,
            note=last_aws + once + last_aws,
            reserve=once + 1.5,
            least_call=_within(1.0, function_timeout / 6, 10.0),
        )


def _within(least: float, value: float, most: float) -> float:
    return max(least, min(value, most))
