"""Keeps requests to AWS within the function's time."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from botocore.exceptions import BotoCoreError

from hangtag.ports import Deadline


class DeadlineTooClose(BotoCoreError):
    """A request to AWS was not begun, because it could not have ended in time."""

    fmt = "no time is left for a request to AWS"


class _Client(Protocol):
    @property
    def meta(self) -> Any:  # noqa: ANN401 - botocore's
        """The part of botocore's client metadata that is used here."""
        ...


C = TypeVar("C", bound=_Client)


class BotoDeadline:
    """
    `AwsDeadline` for boto3's clients.

    It checks every try of every request, botocore's own retries included. *seconds* is the time
    that one try may take: the client's timeouts, and botocore's wait between two tries.
    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._deadline: Deadline | None = None

    def begin(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def watch_over(self, client: C) -> C:
        """*client*, whose requests are checked from now on."""
        client.meta.events.register_first("before-send", self._check_request)
        return client

    def check(self) -> None:
        """
        Check the time, in the middle of a long response.

        Raises:
            DeadlineTooClose: No time is left.
        """
        if self._deadline is not None and self._deadline.seconds_left() < self._seconds:
            raise DeadlineTooClose

    def _check_request(self, **_: object) -> None:
        self.check()
