"""
Writes docs/error-codes.md from the tree of errors.

    python docs/generate_error_codes.py > docs/error-codes.md
"""  # noqa: INP001 - docs/ is a folder of pages, not a package

from __future__ import annotations

import sys
from collections.abc import Iterator

from hangtag.errors import KINDS, UNCODED, HangtagError, Kind
from hangtag.tagger_api.errors import HttpStatus, UnlistedApiCode, leaves

HEAD = """\
# Error codes

<!-- Made by docs/generate_error_codes.py; do not edit. -->

An upload that could not be tagged is in the dead-letter queue with one of these codes. Its result
has the same code. A code never changes its meaning. Numbers are the Tagger API's, names are
Hangtag's.

`hangtag failures list` shows the failures. `hangtag failures replay --code 803 --yes` puts all
failures with a code back on the upload queue. [The runbook](operations.md#codes) says how to find
the cause and how to know that a fix worked.

## Kinds

| kind | what happens |
|---|---|
"""

LISTED = """
## Codes

| code | meaning | kind | source | who acts | what to do | who can cause it |
|---|---|---|---|---|---|---|
"""

UNLISTED = """
## Codes that cannot be listed

| code | meaning | kind | source | who acts | what to do | who can cause it |
|---|---|---|---|---|---|---|
"""

BY_STATUS = "`transient` for 408, 429 and 5xx, else `permanent`"


def error_codes() -> str:
    """The page."""
    kinds: tuple[Kind, ...] = tuple(KINDS)
    return "".join(
        [
            HEAD,
            *(f"| `{kind}` | {KINDS[kind]} |\n" for kind in kinds),
            LISTED,
            *_listed_rows(kinds),
            UNLISTED,
            _row("the number as the API sent it", UnlistedApiCode, kind=BY_STATUS),
            _row("`HTTP_<status>`", HttpStatus, kind=BY_STATUS),
            (
                f"| `{UNCODED}` | {KINDS['uncoded']} | `uncoded` | `internal` | operator | "
                "Look at the letter's body and at the function's log, then replay. "
                "| AWS, operator |\n"
            ),
        ]
    )


def _listed_rows(kinds: tuple[Kind, ...]) -> Iterator[str]:
    for leaf in sorted(leaves(), key=lambda leaf: (kinds.index(leaf.kind), leaf.code)):
        yield _row(f"`{leaf.code}`", leaf, kind=f"`{leaf.kind}`")


def _row(code: str, error: type[HangtagError], *, kind: str) -> str:
    return (
        f"| {code} | {error.__doc__} | {kind} | `{error.source}` "
        f"| {error.who} | {error.advice} | {error.cause} |\n"
    )


if __name__ == "__main__":
    sys.stdout.write(error_codes())
