"""Check an API key without a paid call."""

from __future__ import annotations

from dataclasses import dataclass

from hangtag.calling import API_TIMEOUT_SECONDS
from hangtag.errors import HangtagError
from hangtag.ports import Tagger
from hangtag.tagger_api import DEFAULT_LANGUAGE, ProbeBody
from hangtag.tagger_api.errors import KeyNotSent, KeyRefused


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """Whether the API accepts a key."""

    is_good: bool | None
    """None: unknown."""
    code: str | None
    """The error code of the call; None if the API accepted the invalid request."""
    message: str


def check_key(tagger: Tagger, api_key: str) -> KeyVerdict:
    """
    Send an invalid request with *api_key*, which costs nothing.

    With a good key the API refuses the request, with a bad one it refuses the key.
    """
    try:
        tagger.ask(
            ProbeBody(),
            language=DEFAULT_LANGUAGE,
            api_key=api_key,
            timeout_seconds=API_TIMEOUT_SECONDS,
        )
    except (KeyRefused, KeyNotSent) as error:
        return KeyVerdict(is_good=False, code=error.code, message=str(error))
    except HangtagError as error:
        # The API may check 623 and the quota before the key; its other codes are about the request
        is_about_the_request = error.source == "api" and (
            error.code.isdigit() and error.code not in ("500", "623", "823")
        )
        return KeyVerdict(
            is_good=True if is_about_the_request else None,
            code=error.code,
            message=str(error),
        )
    return KeyVerdict(
        is_good=None, code=None, message="the API accepted an invalid request"
    )
