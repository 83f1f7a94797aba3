"""`hangtag results find`, `values` and `reindex`: results by their tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from . import output
from .app import App, Command, json_option, pass_app
from .arguments import CURSOR
from .exits import NotDone
from .query_options import VALUE_FIELD, query_of, query_options

if TYPE_CHECKING:
    from hangtag.operators.find import Finder, Found, Known, Query
    from hangtag.operators.reindex import ReindexReport
    from hangtag.results import Document

_MOST_SUGGESTIONS = 3
_ALWAYS_SHOWN = ("category", "item", "color")


@click.command(
    "find",
    cls=Command,
    examples=(
        "hangtag results find --category dresses --color red --since 7d",
        "hangtag --json results find --product SKU-1 --min-confidence 0.6",
    ),
)
@json_option
@query_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="Show at most N results.",
)
@click.option(
    "--after",
    type=CURSOR,
    metavar="CURSOR",
    help="Continue after the last result of another call, which prints the command.",
)
@pass_app
def find(
    app: App,
    /,
    *,
    limit: int,
    after: str | None,
    **options: Any,  # noqa: ANN401 - see `query_options`
) -> None:
    """
    Find results by their tags, newest first.

    A result must match all options. The filters, --product to --gender, may be repeated. Values
    are names in any language, or ids, in upper or lower case; `hangtag results values` lists them.
    With --json, each line is a result. New results can be found after a moment. Exits with 1 if
    nothing is found.
    """
    query = query_of(options)
    finder = app.stack().finder()
    search = finder.results(query, after=after)
    shown = islice(search, limit)
    last = _print_lines(shown) if app.json else _print_table(shown, query)
    if last is None:
        raise NotDone("No more results" if after else nothing_found(finder, query))
    if next(search, None) is not None:
        output.talk(f"More: {_next_command(app, query, limit, last.position)}")


@click.command(
    "values",
    cls=Command,
    examples=("hangtag results values color", "hangtag --json results values item"),
)
@json_option
@click.argument("field", type=VALUE_FIELD, metavar="FIELD")
@pass_app
def values(app: App, field: str) -> None:
    """
    List the values of a field, and how many results have each.

    FIELD is type, category, item, color, print, texture, look or gender. The most frequent value
    comes first. Counting reads the index: one read unit for about 50 results of a value.
    """
    finder = app.stack().finder()
    with output.bar(f"Counting {field}", lambda: len(finder.known(field))) as show:
        counts = finder.counts(
            field, lambda done, all_: show(done, all_, f"Counting {field}")
        )
    if not counts:
        raise NotDone(f"No result has a value of {field}. {_IF_OLD}")
    if app.json:
        for one in counts:
            output.data(
                {
                    "field": field,
                    "value": one.known.term.value,
                    "names": list(one.known.names),
                    "count": one.count,
                }
            )
        return
    from .tables import table, text

    rows = table("value", "id", "results", numbers=["results"])
    for one in counts:
        rows.add_row(
            text(", ".join(one.known.names)),
            text(one.known.term.value),
            text(f"{one.count:,}"),
        )
    output.page([rows])


@click.command(
    "reindex",
    cls=Command,
    examples=("hangtag results reindex", "hangtag results reindex --yes"),
)
@json_option
@click.option(
    "--yes", is_flag=True, help="Do it; without it, only show what would be done."
)
@pass_app
def reindex(app: App, *, yes: bool) -> None:
    """
    Rebuild the index by which results are found.

    It reads all results, writes the entries that are missing, and removes those that are wrong. Run
    it after a change of MinConfidence, after an alarm on the index, and once for results that are
    older than the index. Uploads may go on meanwhile. Without --yes, nothing is written.
    """
    report = _reindex(app, dry_run=not yes)
    if app.json:
        output.data(report.document())
    added = f"{report.added:,} {'entry' if report.added == 1 else 'entries'}"
    done = (
        f"would write {added} and remove {report.removed:,}; do it with --yes"
        if report.dry_run
        else f"wrote {added} and removed {report.removed:,}"
    )
    output.talk(f"Read {report.results:,} results, {done}.")


def _reindex(app: App, *, dry_run: bool) -> ReindexReport:
    from hangtag.operators.reindex import Reindex, ReindexReport

    stack = app.stack()
    least = Decimal(stack.parameter("MinConfidence") or 0)
    tables = stack.index_tables()
    report = ReindexReport(dry_run)
    with output.bar("Reading the results", stack.finder().size) as show:

        def follow(so_far: ReindexReport) -> None:
            if so_far.checked:
                show(so_far.checked, so_far.entries, "Checking the entries")
            else:
                show(so_far.results, so_far.results, "Reading the results")

        Reindex(tables, least, report, follow).run()
    return report


# ---- nothing found

_IF_OLD = (
    "If there are results that are older than the index, run "
    "`hangtag results reindex --yes`"
)


def nothing_found(finder: Finder, query: Query) -> str:
    """Why there may be no result, and what was perhaps meant."""
    hints = list(_hints(finder, query.filters))
    if hints:
        return f"No results. {' '.join(hints)}"
    if not query.filters and query.since is None:
        return f"No results. {_IF_OLD}"
    if query.filters:
        values = ", ".join(f"{field} {value}" for field, value in query.filters)
        return f"No results have all of that: {values}"
    return "No results were tagged in that time"


def _hints(finder: Finder, filters: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What was perhaps meant by each value that is not known."""
    from hangtag.index import VALUE_FIELDS
    from hangtag.operators.find import terms_of

    known: dict[str, Sequence[Known]] = {}
    for field, value in filters:
        if field not in VALUE_FIELDS:
            continue
        if not known:
            known = {name: finder.known(name) for name in VALUE_FIELDS}
        if any(
            one.term in terms_of(field, value, known[field]) for one in known[field]
        ):
            continue
        if meant := _meant(field, value, known):
            listed = ", ".join(
                output.command_line(f"--{name}", word) for name, word in meant
            )
            yield f"There is no {field} {value!r}; did you mean {listed}?"
        else:
            yield (
                f"There is no {field} {value!r}; `hangtag results values {field}` lists what "
                "there is."
            )


def _meant(
    field: str, value: str, known: Mapping[str, Sequence[Known]]
) -> list[tuple[str, str]]:
    """Fields and names: the same word of another field, else similar words, of this field first."""
    from difflib import get_close_matches

    from hangtag.index import normalized

    wanted = normalized(value)
    words = {
        name: {
            normalized(word): (one.names or (one.term.value,))[0]
            for one in some
            for word in (one.term.value, *one.names)
        }
        for name, some in known.items()
    }
    same = [(name, some[wanted]) for name, some in words.items() if wanted in some]
    similar = [
        (name, words[name][word])
        for name in (field, *words)
        for word in get_close_matches(wanted, words[name], _MOST_SUGGESTIONS, 0.6)
    ]
    return list(dict.fromkeys(same or similar))[:_MOST_SUGGESTIONS]


# ---- what is shown


def _next_command(app: App, query: Query, limit: int, cursor: str) -> str:
    words = ["hangtag"]
    if app.stack_name != "hangtag":
        words += ["--stack", app.stack_name]
    if app.region is not None:
        words += ["--region", app.region]
    if app.endpoint_url is not None:
        words += ["--endpoint-url", app.endpoint_url]
    if app.json:
        words.append("--json")
    words += ["results", "find"]
    for field, value in query.filters:
        words += [f"--{field}", value]
    if query.min_confidence is not None:
        words += ["--min-confidence", str(query.min_confidence)]
    if query.since is not None:
        words += ["--since", query.since]
    if query.until is not None:
        words += ["--until", query.until]
    words += ["--limit", str(limit), "--after", cursor]
    return output.command_line(*words)


def _print_lines(found: Iterable[Found]) -> Found | None:
    """Print each result on a line, as soon as it is found; returns the last one."""
    last = None
    for last in found:
        output.data(last.result)
    return last


def _print_table(found: Iterable[Found], query: Query) -> Found | None:
    """
    Print a row for each result; returns the last one.

    The columns are the main values, and those of the fields that were searched. A bucket that all
    images share is printed once, so that a terminal of 80 columns has a line for an image.
    """
    from .tables import table, text

    with output.working("Searching ..."):
        results = list(found)
    if not results:
        return None
    searched = [field for field, _ in query.filters if field != "product"]
    fields = dict.fromkeys((*_ALWAYS_SHOWN, *searched))
    bucket, *others = {str(one.result["image"]["bucket"]) for one in results}
    image = "uri" if others else "key"
    rows = table(image, "tagged at (UTC)", *fields)
    # In a narrow terminal, tags give way to the image, and a time is folded after its date
    rows.columns[0].min_width = 8
    rows.columns[1].min_width = len("2026-01-31")
    for one in results:
        rows.add_row(
            text(one.result["image"][image], "bold"),
            text(str(one.result["taggedAt"]).partition(".")[0].replace("T", " ")),
            *(text(_values(one.result, field)) for field in fields),
        )
    output.page([rows] if others else [text(f"s3://{bucket}/"), rows])
    return results[-1]


def _values(result: Document, field: str) -> str:
    """The values of a field with their highest confidences, as they come."""
    from hangtag.index import values_of

    highest: dict[str, Decimal | None] = {}
    for term, name, confidence in values_of(result):
        if term.field == field:
            known = highest.get(name)
            if name not in highest or (known or 0) < (confidence or 0):
                highest[name] = confidence
    return ", ".join(
        name if confidence is None else f"{name} {_share(confidence)}"
        for name, confidence in highest.items()
    )


def _share(confidence: Decimal) -> str:
    # Formatted with decimals, 1e999999999 has a thousand million digits
    return f"{confidence:.2f}" if 0 <= confidence <= 1 else str(confidence)
