"""Errors of botocore, by cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.errors import HangtagError

DENIED = frozenset(
    {
        "403",  # S3's response to a HEAD request has no body, and so no code
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "KMS.AccessDeniedException",
        "KMSAccessDeniedException",
        "KmsAccessDenied",
        "UnauthorizedOperation",
    }
)
"""AWS's codes for a missing permission."""


@contextmanager
def translated(to: type[HangtagError], doing: str) -> Iterator[None]:
    """
    Raise *to* instead of botocore's errors; its message begins with *doing*.

    Raises:
        HangtagError: *to*.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise to(f"{doing}: {error}") from error


def code_of(error: ClientError) -> str:
    """AWS's name of an error, such as `NoSuchKey`; or the HTTP status if it has no name."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status of an error's response; 0 where it is unknown."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
