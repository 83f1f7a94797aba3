"""`hangtag backfill`: send objects that are in the bucket already to the upload queue."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hangtag.errors import HangtagError

from . import output
from .app import App, Command, json_option, pass_app
from .arguments import AMOUNT, IMAGE_URI, PREFIX_URI, RATE
from .exits import INTERRUPTED, NotDone

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hangtag.operators.backfill import (
        BackfillLimits,
        BackfillReport,
        BackfillSources,
    )
    from hangtag.operators.backfill_estimate import TaggingSpeed
    from hangtag.operators.backfill_start import BackfillRequest, BackfillStart
    from hangtag.selection import Selection

    from .stack import Stack


@click.command(
    "backfill",
    cls=Command,
    examples=(
        "hangtag backfill --price 0.002 --rate 5 s3://my-uploads/2024/",
        "hangtag backfill --yes --rate 5 s3://my-uploads/2024/",
    ),
)
@json_option
@click.option(
    "--yes", is_flag=True, help="Do it; without it, only show what would be done."
)
@click.option(
    "--rate",
    type=RATE,
    metavar="N",
    help="Send N messages per second, evenly spaced; the default is as fast as possible.",
)
@click.option(
    "--max-queued",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Wait while the upload queue holds N messages. They are tagged and paid for even if you "
    "stop the backfill, and expire after 14 days.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Send tagged images too: one more paid call for each.",
)
@click.option(
    "--from-inventory",
    "inventory",
    type=IMAGE_URI,
    metavar="URI",
    help="Read an S3 Inventory (CSV), given by its manifest.json, instead of listing the bucket.",
)
@click.option(
    "--price",
    type=AMOUNT,
    metavar="N",
    help="The price of one call of the Tagger API, in any currency, for the estimate.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file for the progress; the default is a file in this directory, named after stack, "
    "bucket and prefix.",
)
@click.argument("uri", type=PREFIX_URI, required=False, metavar="[URI]")
@pass_app
@click.pass_context
def backfill(
    ctx: click.Context,
    app: App,
    *,
    uri: tuple[str, str] | None,
    inventory: str | None,
    rate: float | None,
    price: float | None,
    checkpoint: Path | None,
    max_queued: int,
    again: bool,
    yes: bool,
) -> None:
    """
    Send objects that are in the bucket already to the upload queue.

    URI is s3://bucket/prefix, not percent-encoded, or s3://bucket. The bucket must be the stack's.
    With --from-inventory, URI is optional. Without --yes, nothing is sent. The command sends the
    newest version of each key, unless it is tagged already, empty, larger than MaxImageBytes,
    archived, a folder marker, or not selected by UploadPrefix and UploadSuffixes. It sends failed
    images too, which are tried again.

    After Ctrl-C or a crash, the same command continues. It may send a few images twice, which are
    paid once. Exits with 1 if it found nothing, or if something is left.
    """
    from hangtag.operators.backfill import BackfillLimits
    from hangtag.operators.backfill_start import BackfillRequest

    if uri is None and inventory is None:
        raise click.UsageError("Name what to backfill: s3://bucket/prefix.", ctx=ctx)
    stack = app.stack()
    bucket = stack.bucket()
    named, prefix = uri or (bucket, "")
    if named != bucket:
        raise click.UsageError(
            f"The bucket {named!r} is not the stack's: its function can only read "
            f"{bucket!r}. Give s3://{bucket}/{prefix}, or another --stack.",
            ctx=ctx,
        )
    request = BackfillRequest(app.stack_name, bucket, prefix, inventory, again)
    path = checkpoint or Path(checkpoint_name(request))
    largest = _number(stack, "MaxImageBytes")
    run = _Run(
        request,
        stack.backfill_sources(request, checkpoint=path),
        BackfillLimits(
            rate, max_queued, int(largest) if largest else None, _selection(stack)
        ),
        path,
    )
    report = run.to_the_end(ctx, dry_run=not yes)
    speed = _speed(stack, rate)
    if app.json:
        output.data(report.document())
    elif report.listed:
        output.page(_page(report, price, speed))
    output.talk(_summary(report, price, speed))
    if not report.listed:
        ctx.exit(1)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a backfill, with its messages."""

    request: BackfillRequest
    sources: BackfillSources
    limits: BackfillLimits
    path: Path
    """The checkpoint's."""

    def to_the_end(self, ctx: click.Context, *, dry_run: bool) -> BackfillReport:
        """
        Run it.

        Raises:
            NotDone: The checkpoint or the inventory cannot be used.
            HangtagError: AWS refused or failed; the user is shown how to continue.
            Exit: After Ctrl-C.
        """
        from hangtag.events import retag_token
        from hangtag.operators.backfill import BackfillReport, backfill
        from hangtag.operators.backfill_ports import UnusableCheckpoint, UnusableListing
        from hangtag.operators.backfill_start import start_of

        report = BackfillReport(dry_run=dry_run)
        try:
            now = self.sources.clock.now()
            start = start_of(
                self.request,
                self.sources.checkpoint,
                token=retag_token(now, uuid.uuid4().hex[:8]),
            )
            if not start.is_new:
                count = _objects(start.counts["listed"])
                output.talk(f"Continues after the first {count}, as {self.path} says.")
            with _progress(self.sources, start, dry_run=dry_run) as show:

                def follow(so_far: BackfillReport) -> None:
                    nonlocal report
                    report = so_far
                    show(report)

                return backfill(
                    self.request,
                    self.sources,
                    self.limits,
                    start,
                    dry_run=dry_run,
                    progress=follow,
                )
        except KeyboardInterrupt:
            output.talk(f"Interrupted. {_how_to_continue(report, self.path)}")
            ctx.exit(INTERRUPTED)
        except UnusableCheckpoint as error:
            raise NotDone(
                f"The checkpoint {self.path} cannot be used: {error}. Name another one with "
                "--checkpoint, or remove it to start from the beginning"
            ) from error
        except UnusableListing as error:
            raise NotDone(str(error)) from error
        except HangtagError:
            output.talk(_how_to_continue(report, self.path))
            raise


def checkpoint_name(request: BackfillRequest) -> str:
    """The name of a file, different for each stack, bucket and prefix."""
    readable = f"{request.stack}-{request.bucket}-{request.prefix}"
    short = re.sub(r"[^A-Za-z0-9._-]+", "-", readable)[:100].strip("-.")
    exact = f"{request.stack}/{request.bucket}/{request.prefix}"
    digest = hashlib.sha256(exact.encode()).hexdigest()[:8]
    return f"hangtag-backfill-{short}-{digest}.json"


@contextmanager
def _progress(
    sources: BackfillSources, start: BackfillStart, *, dry_run: bool
) -> Iterator[Callable[[BackfillReport], None]]:
    """
    Show the progress of a backfill on a terminal: a bar, the rate and the time left.

    It counts the objects first, which the bar needs. Without a terminal, it only says once that
    the queue is too deep.
    """
    if dry_run:
        with output.working("Listing the objects ...") as say:
            yield lambda report: say(f"Listing: {_objects(report.listed)} ...")
        return
    if not click.get_text_stream("stderr").isatty():
        yield _say_once_if_it_waits()
        return
    with output.working("Counting the objects ...") as say:
        total = 0
        for page in sources.listing.pages(after=start.place):
            total += len(page)
            say(f"Counting the objects: {total:,} so far ...")
    listed, sent = (start.counts.get(name, 0) for name in ("listed", "enqueued"))
    began = sources.clock.now()
    with output.bar("Enqueueing", lambda: listed + total) as show:
        show(listed, 0, "Enqueueing")

        def follow(report: BackfillReport) -> None:
            seconds = sources.clock.now() - began
            show(report.listed, report.listed, progress_text(report, sent, seconds))

        yield follow


def progress_text(report: BackfillReport, sent_before: int, seconds: float) -> str:
    """The state of a backfill, and the rate of this run in its *seconds* so far."""
    doing = "Enqueueing"
    if report.waits_at is not None:
        doing = f"Waiting: {report.waits_at:,} on the queue"
    rate = (report.enqueued - sent_before) / max(seconds, 0.001)
    return f"{doing}, {rate:.1f} sent/s"


def _say_once_if_it_waits() -> Callable[[BackfillReport], None]:
    is_said = False

    def follow(report: BackfillReport) -> None:
        nonlocal is_said
        if report.waits_at is not None and not is_said:
            is_said = True
            output.talk(
                f"The upload queue holds {report.waits_at:,} messages; the backfill waits until "
                "--max-queued leaves room for the next batch. Is tagging paused (`hangtag status`)?"
            )

    return follow


def _page(
    report: BackfillReport, price: float | None, speed: TaggingSpeed | None
) -> Iterator[RenderableType]:
    """The report of a backfill, or of its dry run, as a table."""
    from .tables import facts

    pairs: list[tuple[str, object]] = [
        ("listed", f"{report.listed:,}"),
        *(
            (f"skipped: {reason}", f"{count:,}")
            for reason, count in report.not_sent.most_common()
        ),
    ]
    if not report.dry_run:
        pairs.append(("enqueued", f"{report.enqueued:,}"))
    else:
        left = report.to_send - report.enqueued
        pairs += [
            ("to enqueue", f"{left:,}"),
            ("bytes", f"{report.bytes:,}"),
            ("calls", f"{left:,}, plus retries"),
        ]
        if price is not None:
            pairs.append(("cost", f"{left:,} x {price:g} = {_amount(left * price)}"))
        pairs.append(("time", _duration(left, speed)))
    yield facts(pairs)


def _summary(
    report: BackfillReport, price: float | None, speed: TaggingSpeed | None
) -> str:
    """The report of a backfill, or of its dry run, in a sentence."""
    if not report.listed:
        return "There is nothing: no object has such a key. Nothing is enqueued."
    if not report.dry_run:
        return (
            f"{report.enqueued:,} of {_objects(report.listed)} enqueued, {report.skipped:,} "
            f"skipped. Follow them with `hangtag status`.{_on_skipped(report)}"
        )
    left = report.to_send - report.enqueued
    cost = "" if price is None else f", {_amount(left * price)} at {price:g} a call"
    return (
        f"{left:,} of {_objects(report.listed)} would be enqueued, a call each{cost}; "
        f"{_duration(left, speed)}. Nothing is changed: add --yes to do it.{_on_skipped(report)}"
    )


def _on_skipped(report: BackfillReport) -> str:
    """What to do about the skipped objects, if there is something to do."""
    text = ""
    if report.not_selected:
        text += (
            " Not selected by the stack's UploadPrefix and UploadSuffixes, so not sent: "
            f"{_objects(report.not_selected)}."
        )
    if report.archived:
        text += (
            f" Archived, so not sent: {_objects(report.archived)}. Restore them in S3, then run "
            "this command again."
        )
    return text


def _how_to_continue(report: BackfillReport, path: Path) -> str:
    if report.dry_run:
        return "Nothing was changed."
    if not path.exists():
        return "No progress was saved: the same command starts from the beginning."
    return (
        f"{report.enqueued:,} enqueued, {report.skipped:,} skipped so far. The same command "
        f"continues from there, with {path}."
    )


def _speed(stack: Stack, rate: float | None) -> TaggingSpeed | None:
    from hangtag.operators.backfill_estimate import expected_speed

    width = _number(stack, "MaxConcurrency") * _number(stack, "BatchSize")
    return expected_speed(
        rate=rate,
        requests_per_second=_number(stack, "MaxRequestsPerSecond"),
        images_at_once=int(width) or None,
    )


def _number(stack: Stack, parameter: str) -> float:
    """A parameter of the stack; 0 if it is unknown."""
    try:
        return float(stack.parameter(parameter) or 0)
    except ValueError:
        return 0.0


def _selection(stack: Stack) -> Selection:
    """The keys that the stack tags; all keys if it has no such parameters."""
    from hangtag.selection import Selection, read_values

    return Selection(
        prefixes=read_values(stack.parameter("UploadPrefix") or ""),
        suffixes=read_values(stack.parameter("UploadSuffixes") or ""),
    )


def _duration(count: int, speed: TaggingSpeed | None) -> str:
    if speed is None:
        return "the time is unknown, because the stack's parameters are"
    return f"at least {_span(count / speed.per_second)} (by {speed.because})"


def _span(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"


def _amount(cost: float) -> str:
    """With two decimals, or two digits if it is small."""
    return f"{cost:,.2f}" if cost >= 0.1 or not cost else f"{cost:.2g}"


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"
