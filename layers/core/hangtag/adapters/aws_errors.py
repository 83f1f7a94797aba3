"""Errors of botocore, told apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from hangtag.errors import HangtagError


@contextmanager
def translated(to: type[HangtagError], doing: str) -> Iterator[None]:
    """
    Whatever botocore raises inside becomes *to*, with what was being done in front.

    Raises:
        HangtagError: *to*.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise to(f"{doing}: {error}") from error


def code_of(error: ClientError) -> str:
    """AWS's name of an error, such as `NoSuchKey`; a bare HTTP status where it has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status of an error's response; 0 where it is unknown."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
