"""Dead letters as JSON and as tables for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table

from hangtag.ports import Letter
from hangtag.replay import Report
from hangtag.results import Document
from hangtag.uploads import Upload, read_body

from .advice import advice_on
from .garments import failure_facts, version_facts
from .tables import facts, indented, table, text

if TYPE_CHECKING:
    from rich.console import RenderableType


def letter_line(letter: Letter) -> Document:
    """A letter as `failures list --json` prints it."""
    failure = letter.letter.failure
    return {
        "id": letter.id,
        "image": letter.letter.image,
        "code": failure.code,
        "kind": failure.kind,
        "source": failure.source,
        "message": failure.message,
        "attempts": failure.attempts,
        "replays": letter.letter.replays,
        "failedAt": failure.failed_at,
    }


def letter_document(letter: Letter) -> Document:
    """A letter as `failures show --json` prints it: everything known of it."""
    advice = advice_on(letter.letter.failure.code)
    return {
        **letter_line(letter),
        "requestId": letter.letter.request_id or None,
        "who": advice.who,
        "advice": advice.text,
        "uploads": [upload.image() for upload in _uploads(letter)],
        "body": letter.letter.body,
    }


def letters_page(letters: Sequence[Letter]) -> Iterator[RenderableType]:
    """All letters, and what to do about each code."""
    if not letters:
        yield text("no dead letters", "green")
        return
    rows = table("failed at", "code", "image, or id of the letter; what was said")
    for letter in letters:
        failure = letter.letter.failure
        rows.add_row(
            text(failure.failed_at),
            text(failure.code, "bold"),
            Group(
                text(letter.letter.image or letter.id),
                text(
                    f"{_count(failure.attempts, 'attempt')}, "
                    f"{_count(letter.letter.replays, 'replay')}: {failure.message}",
                    "dim",
                ),
            ),
        )
    yield rows
    yield ""
    yield codes_table(letters)


def codes_table(letters: Iterable[Letter]) -> Table:
    """Letters counted by code, the most frequent first, with what to do."""
    counts = Counter(
        (letter.letter.failure.code, letter.letter.failure.kind) for letter in letters
    )
    rows = table(
        "code", "kind", "letters", "who acts", "what to do", numbers=("letters",)
    )
    for (code, kind), count in counts.most_common():
        advice = advice_on(code)
        rows.add_row(
            text(code, "bold"),
            text(kind),
            text(count),
            text(advice.who),
            text(advice.text),
        )
    return rows


def letter_page(letter: Letter) -> Iterator[RenderableType]:
    """Everything known of one letter."""
    failure = letter.letter.failure
    yield text(letter.letter.image or f"letter {letter.id}", "bold")
    yield facts(
        [
            *failure_facts(failure.code, failure.kind, failure.message),
            ("source", failure.source),
            ("attempts", failure.attempts),
            ("replays", letter.letter.replays),
            ("failed at", failure.failed_at),
            ("request id", letter.letter.request_id or "unknown"),
            ("letter's id", letter.id),
            *(
                fact
                for upload in _uploads(letter)
                for fact in (("upload", upload.uri), *version_facts(upload.image()))
            ),
        ]
    )
    yield text("body", "dim")
    yield from indented(_pretty(letter.letter.body))
    yield ""


def replay_page(report: Report) -> Iterator[RenderableType]:
    """What a replay did, or would do, by code."""
    rows = table("code", "letters", numbers=("letters",))
    for code, count in report.by_code.most_common():
        rows.add_row(text(code, "bold"), text(count))
    yield rows


def _uploads(letter: Letter) -> list[Upload]:
    return [
        entry for entry in read_body(letter.letter.body) if isinstance(entry, Upload)
    ]


def _pretty(body: str) -> str:
    """JSON over several lines; anything else as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
