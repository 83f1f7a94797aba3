"""The advice on failures, from the error tree."""

from __future__ import annotations

from dataclasses import dataclass

from hangtag.errors import UNCODED
from hangtag.tagger_api.errors import HttpStatus, UnlistedApiCode, leaves


@dataclass(frozen=True, slots=True)
class Advice:
    """The person who acts on a failure, and the action."""

    who: str
    text: str


_LISTED = {leaf.code: Advice(leaf.who, leaf.advice) for leaf in leaves()}
_UNCODED = Advice(
    "operator",
    "Look at its body and at the function's log: SQS moved it after too many receives, or "
    "it was put there by hand. Then replay.",
)
_UNKNOWN = Advice(
    "operator", "Follow the message; this version of Hangtag does not know the code."
)


def advice_on(code: str) -> Advice:
    """The advice for an error code."""
    if code in _LISTED:
        return _LISTED[code]
    if code == UNCODED:
        return _UNCODED
    if code.isdigit():
        return Advice(UnlistedApiCode.who, UnlistedApiCode.advice)
    if code.startswith("HTTP_"):
        return Advice(HttpStatus.who, HttpStatus.advice)
    return _UNKNOWN
