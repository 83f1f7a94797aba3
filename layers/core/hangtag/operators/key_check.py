"""What the Tagger API thinks of a key."""

from __future__ import annotations

from dataclasses import dataclass

from hangtag.calling import API_TIMEOUT_SECONDS
from hangtag.errors import (
    HangtagError,
    KeyNotSent,
    KeyRefused,
)
from hangtag.ports import Tagger
from hangtag.tagger_api import (
    DEFAULT_LANGUAGE,
    ProbeBody,
)


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """What the API thinks of a key."""

    is_good: bool | None
    """None where it cannot be told."""
    code: str | None
    """Of what the API said; None where it tagged what is no image."""
    message: str


def check_key(tagger: Tagger, api_key: str) -> KeyVerdict:
    """
    What the API thinks of *api_key*, without paying.

    It is asked something that is wrong in itself: a good key is told what is wrong with that, a
    bad one is refused before.
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
        # 623 and the quota are judged before or after the key, nobody knows; all other codes of
        # the API's own are about the request.
        is_about_the_request = error.source == "api" and (
            error.code.isdigit() and error.code not in ("500", "623", "823")
        )
        return KeyVerdict(
            is_good=True if is_about_the_request else None,
            code=error.code,
            message=str(error),
        )
    return KeyVerdict(
        is_good=None, code=None, message="the API answered what is no question"
    )
