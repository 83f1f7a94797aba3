"""Who acts on a failure, and what they do: from the error tree."""

from __future__ import annotations

from dataclasses import dataclass

from hangtag.errors import UNCODED, HttpStatus, UnlistedApiCode, leaves


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a failure."""

    who: str
    text: str


_LISTED = {leaf.code: Advice(leaf.who, leaf.advice) for leaf in leaves()}
_UNCODED = Advice(
    "operator",
    "Look at its body and into the function's log: SQS itself moved it after too many "
    "receives, or somebody put it there. Then replay.",
)
_UNKNOWN = Advice(
    "operator", "Go by the message; this version of Hangtag does not know the code."
)


def advice_on(code: str) -> Advice:
    """The advice on an error code."""
    if code in _LISTED:
        return _LISTED[code]
    if code == UNCODED:
        return _UNCODED
    if code.isdigit():
        return Advice(UnlistedApiCode.who, UnlistedApiCode.advice)
    if code.startswith("HTTP_"):
        return Advice(HttpStatus.who, HttpStatus.advice)
    return _UNKNOWN
