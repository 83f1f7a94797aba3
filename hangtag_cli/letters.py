"""Dead letters as JSON and as tables for people."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from hangtag.dead_letters import DeadLetter
from hangtag.failure import UNKNOWN_FORMAT, Failure
from hangtag.operators.ports import Letter
from hangtag.operators.replay import ReplayReport
from hangtag.results import Document
from hangtag.text import escape_json, to_printable_json
from hangtag.uploads import Upload

from .advice import advice_on
from .garments import failure_facts, version_facts
from .surroundings import Surroundings, uploads_in
from .tables import Rows, facts, indented, stacked, table, text

if TYPE_CHECKING:
    from rich.console import RenderableType


def letter_line(letter: Letter) -> Document:
    """A letter as `failures list --json` prints it; with `format` if it is known."""
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
        **failure.format_field,
    }


def letter_document(letter: Letter, around: Surroundings | None = None) -> Document:
    """A letter with all its details, as `failures show --json` prints it."""
    advice = advice_on(letter.letter.failure.code)
    around = around or Surroundings(None, None)
    return {
        **letter_line(letter),
        "requestId": letter.letter.request_id or None,
        "who": advice.who,
        "advice": advice.text,
        "uploads": [upload.image() for upload in uploads_in(letter)],
        "objects": around.objects,
        "log": around.log,
        "body": letter.letter.body,
    }


def backup_document(letter: Letter) -> Document:
    """A letter as a line of a backup: all that is needed to send it again."""
    return {
        **letter_line(letter),
        "requestId": letter.letter.request_id,
        "body": letter.letter.body,
    }


def read_backup_document(document: object) -> DeadLetter:
    """
    A letter from a line of a backup.

    Raises:
        ValueError: A field is missing or has the wrong type.
    """
    try:
        return _BackedUp.model_validate(document).letter()
    except ValidationError as error:
        [trouble, *_] = error.errors(include_url=False)
        where = ".".join(map(str, trouble["loc"]))
        raise ValueError(f"{where}: {trouble['msg']}".removeprefix(": ")) from error


class _BackedUp(BaseModel):
    model_config = ConfigDict(strict=True)

    image: str | None
    code: str
    kind: str
    source: str
    message: str
    attempts: int
    replays: int
    failedAt: str  # noqa: N815 - as `failures list` prints it
    requestId: str  # noqa: N815 - as `failures show` prints it
    body: str
    format: str = ""

    def letter(self) -> DeadLetter:
        """The letter that is sent again."""
        failure = Failure(
            self.code,
            self.kind,
            self.message,
            self.source,
            self.attempts,
            self.failedAt,
            self.format,
        )
        return DeadLetter(self.body, failure, self.image, self.replays, self.requestId)


def letters_page(
    letters: Sequence[Letter], limit: int | None = None
) -> Iterator[RenderableType]:
    """Letters, at most *limit*, and the advice on the codes of all."""
    if not letters:
        yield text("no dead letters", "green")
        return
    rows = table("failed at", "code", "image, or id of the letter; message")
    shown = letters[:limit]
    for letter in shown:
        failure = letter.letter.failure
        rows.add_row(
            text(to_second(failure.failed_at)),
            text(failure.code, "bold"),
            stacked(
                text(letter.letter.image or letter.id),
                text(
                    f"{_count(failure.attempts, 'attempt')}, "
                    f"{_count(letter.letter.replays, 'replay')}: {failure.message}",
                    "dim",
                ),
            ),
        )
    yield rows
    if len(shown) < len(letters):
        yield text(f"... and {len(letters) - len(shown):,} older ones", "dim")
    yield ""
    yield codes_table(letters)


def codes_table(letters: Iterable[Letter]) -> Rows:
    """Letters counted by code, the most frequent first, each with its formats and its advice."""
    counts: Counter[tuple[str, str]] = Counter()
    oldest: dict[tuple[str, str], str] = {}
    formats: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for letter in letters:
        failure = letter.letter.failure
        cause = (failure.code, failure.kind)
        counts[cause] += 1
        formats[cause][failure.image_format] += 1
        oldest[cause] = min(oldest.get(cause, failure.failed_at), failure.failed_at)
    rows = table(
        "code",
        "kind",
        "letters",
        "oldest",
        "who acts",
        "what to do",
        numbers=("letters",),
    )
    for (code, kind), count in counts.most_common():
        advice = advice_on(code)
        rows.add_row(
            text(code, "bold"),
            text(kind),
            text(count),
            text(to_second(oldest[code, kind])),
            text(advice.who),
            _with_formats(advice.text, formats[code, kind]),
        )
    return rows


def _with_formats(advice: str, formats: Counter[str]) -> RenderableType:
    """The formats that were found, the most frequent first, above the *advice*."""
    if not any(formats):
        return text(advice)
    most_first = sorted(formats.items(), key=lambda one: (-one[1], one[0]))
    counts = (f"{name or UNKNOWN_FORMAT} {count:,}" for name, count in most_first)
    return stacked(text(f"found: {', '.join(counts)}", "bold"), text(advice))


def letter_page(
    letter: Letter, around: Surroundings | None = None
) -> Iterator[RenderableType]:
    """One letter, with all its details."""
    around = around or Surroundings(None, None)
    failure = letter.letter.failure
    yield text(letter.letter.image or f"letter {letter.id}", "bold")
    yield facts(
        [
            *failure_facts(
                failure.code, failure.kind, failure.message, failure.image_format
            ),
            ("source", failure.source),
            ("attempts", failure.attempts),
            ("replays", letter.letter.replays),
            ("failed at", failure.failed_at),
            ("request id", letter.letter.request_id or "unknown"),
            ("letter's id", letter.id),
            *(
                fact
                for upload in uploads_in(letter)
                for fact in (("upload", upload.uri), *version_facts(upload.image()))
            ),
            *(
                fact
                for upload, found in zip(
                    uploads_in(letter), around.objects or (), strict=False
                )
                for fact in _object_facts(upload, found)
            ),
        ]
    )
    if around.log is not None:
        yield text("the function's log of that attempt", "dim")
        lines = map(_readable, around.log)
        yield from indented("\n".join(lines) or "(no lines: the log has expired)")
    yield text("body", "dim")
    yield from indented(_pretty(letter.letter.body))
    yield ""


def replay_page(report: ReplayReport) -> Iterator[RenderableType]:
    """Counts by code; of a dry run, also the names of the failures."""
    if report.chosen:
        chosen = table("failed at", "code", "replays", "image, or id of the letter")
        for letter in report.chosen:
            failure = letter.letter.failure
            chosen.add_row(
                text(to_second(failure.failed_at)),
                text(failure.code, "bold"),
                text(letter.letter.replays),
                text(letter.letter.image or letter.id or "unreadable"),
            )
        yield chosen
        if report.planned > len(report.chosen):
            yield text(f"... and {report.planned - len(report.chosen):,} more", "dim")
        yield ""
    rows = table("code", "letters", "done", numbers=("letters", "done"))
    for code, count in report.by_code.most_common():
        done = "" if report.dry_run else report.done_by_code[code]
        rows.add_row(text(code, "bold"), text(count), text(done))
    yield rows


def _object_facts(
    upload: Upload, found: Document | None
) -> Iterator[tuple[str, object]]:
    if found is None:
        yield "object now", "gone"
        if not upload.is_removal:
            yield "", "a replay would be skipped: discard the letter"
        return
    version = f"{found['size']:,} bytes, of {found['lastModified']}"
    if found["deleted"]:
        yield "object now", f"deleted; below the delete marker: {version}"
        advice = "discard the letter, or undelete the object first"
        yield "", f"a replay would end as SUPERSEDED: {advice}"
    else:
        yield "object now", version
    for name, value in found["metadata"].items():
        yield f"x-amz-meta-{name}", value


def to_second(timestamp: str) -> str:
    """An ISO 8601 time without its milliseconds, for tables; other texts unchanged."""
    return re.sub(r"\.\d+Z$", "Z", timestamp)


def _readable(line: str) -> str:
    """A line of the log, which is ASCII, with the characters that can be shown."""
    try:
        return to_printable_json(json.loads(line))
    except (ValueError, RecursionError):
        return line


def _pretty(body: str) -> str:
    """JSON over several lines, escaped; other texts unchanged."""
    try:
        lines = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
    return "\n".join(map(escape_json, lines.split("\n")))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
