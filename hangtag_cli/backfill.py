"""`hangtag backfill`: objects that were there already, put on the upload queue."""

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
from hangtag.text import printable

from . import output
from .app import INTERRUPTED, App, Command, NotDone, json_option, pass_app
from .arguments import AMOUNT, IMAGE_URI, PREFIX_URI, RATE

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hangtag.operators.backfill import Limits, Order, Report, Sources, Speed, Start

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
@click.option("--yes", is_flag=True, help="Do it; else it is only said what would be.")
@click.option(
    "--rate",
    type=RATE,
    metavar="N",
    help="Send so many messages per second, evenly; else as fast as it goes.",
)
@click.option(
    "--max-queued",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Wait while the upload queue holds so many, so that new uploads need not.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Tag also what is tagged already: one more paid call for each.",
)
@click.option(
    "--from-inventory",
    "inventory",
    type=IMAGE_URI,
    metavar="URI",
    help="Read an S3 Inventory (CSV), by its manifest.json, instead of listing.",
)
@click.option(
    "--price",
    type=AMOUNT,
    metavar="N",
    help="What one call of the Tagger API costs, in any currency, for the estimate.",
)
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to note how far it is; else a file in this directory, named after stack, "
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
    Put objects that are in the bucket already on the upload queue.

    URI is s3://bucket/prefix, with the prefix as it is, or s3://bucket; the bucket must be the
    stack's. It may be left out with --from-inventory. Nothing is sent without --yes. The newest
    version of each key is sent, unless it is tagged already, has no bytes, is larger than
    MaxImageBytes, or is a folder marker. What has failed is sent, too,
    and tried again.

    After Ctrl-C or a crash the same command goes on where it was. A few may then be sent twice;
    they are paid for once. Exits with 1 where nothing was found, or something is left.
    """
    from hangtag.operators.backfill import Limits, Order

    if uri is None and inventory is None:
        raise click.UsageError("Name what to backfill: s3://bucket/prefix.", ctx=ctx)
    stack = app.stack()
    bucket = stack.bucket()
    named, prefix = uri or (bucket, "")
    if named != bucket:
        raise click.UsageError(
            f"The bucket {printable(named)!r} is not the stack's: its function can read no other "
            f"than {bucket!r}. Give s3://{bucket}/{printable(prefix)}, or another --stack.",
            ctx=ctx,
        )
    order = Order(app.stack_name, bucket, prefix, inventory, again)
    path = checkpoint or Path(checkpoint_name(order))
    largest = _number(stack, "MaxImageBytes")
    run = _Run(
        order,
        stack.backfill_sources(order, checkpoint=path),
        Limits(rate, max_queued, int(largest) if largest else None),
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
    """One run of a backfill, and what is said of it."""

    order: Order
    sources: Sources
    limits: Limits
    path: Path
    """The checkpoint's."""

    def to_the_end(self, ctx: click.Context, *, dry_run: bool) -> Report:
        """
        Run it.

        Raises:
            NotDone: The checkpoint or the inventory cannot be used.
            HangtagError: AWS refused or failed; it is said how to go on.
            Exit: After Ctrl-C.
        """
        from hangtag.operators.backfill import Report, backfill, start_of
        from hangtag.operators.ports import UnusableCheckpoint, UnusableListing

        report = Report(dry_run=dry_run)
        try:
            start = start_of(
                self.order, self.sources.checkpoint, token=uuid.uuid4().hex
            )
            if not start.is_new:
                count = _objects(start.counts["listed"])
                output.talk(f"Goes on after the first {count}, as {self.path} says.")
            with _shown(self.sources, start, dry_run=dry_run) as show:

                def follow(so_far: Report) -> None:
                    nonlocal report
                    report = so_far
                    show(report)

                return backfill(
                    self.order,
                    self.sources,
                    self.limits,
                    start,
                    dry_run=dry_run,
                    progress=follow,
                )
        except KeyboardInterrupt:
            output.talk(f"Interrupted. {_cut_off(report, self.path)}")
            ctx.exit(INTERRUPTED)
        except UnusableCheckpoint as error:
            raise NotDone(
                f"The checkpoint {self.path} cannot be used: {error}. Name another with "
                "--checkpoint, or remove it to begin anew"
            ) from error
        except UnusableListing as error:
            raise NotDone(str(error)) from error
        except HangtagError:
            output.talk(_cut_off(report, self.path))
            raise


def checkpoint_name(order: Order) -> str:
    """A file's name made from stack, bucket and prefix; another one for every other three."""
    told = f"{order.stack}-{order.bucket}-{order.prefix}"
    short = re.sub(r"[^A-Za-z0-9._-]+", "-", told)[:100].strip("-.")
    exactly = f"{order.stack}/{order.bucket}/{order.prefix}"
    digest = hashlib.sha256(exactly.encode()).hexdigest()[:8]
    return f"hangtag-backfill-{short}-{digest}.json"


@contextmanager
def _shown(
    sources: Sources, start: Start, *, dry_run: bool
) -> Iterator[Callable[[Report], None]]:
    """
    Show how far a backfill is, on a terminal: a bar, the rate and the time left.

    The objects are counted first, so that there is an end to it. Elsewhere it is only said, once,
    that the queue is too deep.
    """
    if dry_run:
        with output.working("Looking at the objects ...") as say:
            yield lambda report: say(f"Looking at {_objects(report.listed)} ...")
        return
    if not click.get_text_stream("stderr").isatty():
        yield _waits_told()
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

        def follow(report: Report) -> None:
            seconds = sources.clock.now() - began
            show(report.listed, report.listed, doing_told(report, sent, seconds))

        yield follow


def doing_told(report: Report, sent_before: int, seconds: float) -> str:
    """What a backfill is at, and the rate of this run, which has lasted so many *seconds*."""
    doing = "Enqueueing"
    if report.waits_at is not None:
        doing = f"Waiting: {report.waits_at:,} on the queue"
    rate = (report.enqueued - sent_before) / max(seconds, 0.001)
    return f"{doing}, {rate:.1f} sent/s"


def _waits_told() -> Callable[[Report], None]:
    told = False

    def follow(report: Report) -> None:
        nonlocal told
        if report.waits_at is not None and not told:
            told = True
            output.talk(
                f"The upload queue holds {report.waits_at:,}; more are sent when --max-queued "
                "leaves room for the next batch. Is tagging paused (`hangtag status`)?"
            )

    return follow


def _page(
    report: Report, price: float | None, speed: Speed | None
) -> Iterator[RenderableType]:
    """What a backfill did, or would do."""
    from .tables import facts

    pairs: list[tuple[str, object]] = [
        ("listed", f"{report.listed:,}"),
        *(
            (f"skipped: {reason}", f"{count:,}")
            for reason, count in report.passed.most_common()
        ),
    ]
    if not report.dry_run:
        pairs.append(("enqueued", f"{report.enqueued:,}"))
    else:
        left = report.meant - report.enqueued
        pairs += [
            ("to enqueue", f"{left:,}"),
            ("bytes", f"{report.bytes:,}"),
            ("calls", f"{left:,}, and those that fail once more"),
        ]
        if price is not None:
            pairs.append(("cost", f"{left:,} x {price:g} = {_amount(left * price)}"))
        pairs.append(("time", _time_told(left, speed)))
    yield facts(pairs)


def _summary(report: Report, price: float | None, speed: Speed | None) -> str:
    """The same in a sentence."""
    if not report.listed:
        return "There is nothing: no object has such a key. Nothing is enqueued."
    if not report.dry_run:
        return (
            f"{report.enqueued:,} of {_objects(report.listed)} enqueued, {report.skipped:,} "
            "skipped. `hangtag status` tells what becomes of them."
        )
    left = report.meant - report.enqueued
    cost = "" if price is None else f", {_amount(left * price)} at {price:g} a call"
    time = _time_told(left, speed)
    return (
        f"{left:,} of {_objects(report.listed)} would be enqueued: {left:,} calls{cost}; {time}. "
        "Nothing is changed: add --yes to do it."
    )


def _cut_off(report: Report, path: Path) -> str:
    """Where a backfill stands that did not come to its end, and how to go on."""
    if report.dry_run:
        return "Nothing was changed."
    if not path.exists():
        return "Nothing was noted as sent yet: the same command begins anew."
    return (
        f"{report.enqueued:,} enqueued, {report.skipped:,} skipped so far. The same command goes "
        f"on from there: {path} says how far it was."
    )


def _speed(stack: Stack, rate: float | None) -> Speed | None:
    from hangtag.operators.backfill import expected_speed

    width = _number(stack, "MaxConcurrency") * _number(stack, "BatchSize")
    return expected_speed(
        rate=rate,
        requests_per_second=_number(stack, "MaxRequestsPerSecond"),
        images_at_once=int(width) or None,
    )


def _number(stack: Stack, parameter: str) -> float:
    """A parameter of the stack; 0 where it is not told."""
    try:
        return float(stack.parameter(parameter) or 0)
    except ValueError:
        return 0.0


def _time_told(count: int, speed: Speed | None) -> str:
    if speed is None:
        return "how long it takes is unknown: the stack does not tell its parameters"
    return f"at least {_span(count / speed.per_second)} (by {speed.because})"


def _span(seconds: float) -> str:
    """A time as people say it, to the second, the minute or the hour."""
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
    return f"{cost:,.2f}"


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"
