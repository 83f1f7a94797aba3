"""What keeps requests to AWS within the function's time."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from botocore.exceptions import BotoCoreError

from hangtag.ports import Deadline


class OutOfPatience(BotoCoreError):
    """A request to AWS was not begun, because it could not have ended in time."""

    fmt = "no time is left for a request to AWS"


class _Client(Protocol):
    @property
    def meta(self) -> Any:  # noqa: ANN401 - botocore's
        """What botocore tells of a client."""
        ...


C = TypeVar("C", bound=_Client)


class AwsPatience:
    """
    `Patience` for boto3's clients.

    Every try of every request is looked at, botocore's own second ones, too. *seconds* is what
    one try may take, with the timeouts of the clients and what botocore waits between two.
    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._deadline: Deadline | None = None

    def begin(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def watch_over(self, client: C) -> C:
        """*client*, whose requests are looked at from now on."""
        client.meta.events.register_first("before-send", self._look)
        return client

    def check(self) -> None:
        """
        Look whether there is time, in the middle of a long answer.

        Raises:
            OutOfPatience: There is none.
        """
        if self._deadline is not None and self._deadline.seconds_left() < self._seconds:
            raise OutOfPatience

    def _look(self, **_: object) -> None:
        self.check()
