"""`hangtag results`: the results of uploads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from . import output
from .app import App, Group, json_option, pass_app
from .arguments import IMAGE_URI, WORD
from .exits import NotDone
from .export import export
from .find import find, reindex, values

if TYPE_CHECKING:
    from hangtag.operators.show import History
    from hangtag.ports import StoredResult

_PERCENT_ENCODED = re.compile("%[0-9A-Fa-f]{2}")


@click.group(cls=Group)
def results() -> None:
    """Look at results."""


@results.command(
    "show",
    examples=(
        "hangtag results show s3://my-uploads/dress.jpg --version 3HL4kqtJvjVBH40Nrjfkd",
        "hangtag --json results show 's3://my-uploads/summer sale/dress #1.jpg'",
    ),
)
@json_option
@click.option(
    "--version",
    "version",
    type=WORD,
    metavar="ID",
    help="A version of the object: its version id in S3, or its etag in a bucket without versions.",
)
@click.argument("uri", type=IMAGE_URI)
@pass_app
def show(app: App, uri: str, version: str | None) -> None:
    """
    Show the newest result of an image, or that of an older version.

    URI is s3://bucket/key, not percent-encoded: "%", "?" and "#" belong to the key. Of older
    versions only failures are kept. Exits with 1 if there is no result.
    """
    stack = app.stack()
    history = stack.results().history(uri)
    result = history.version(version).document if version else history.newest()
    if result is None:
        bucket = stack.bucket()
        raise NotDone(f"{_why_not(history, uri, version)}{_hint(uri, bucket)}")
    if app.json:
        output.data(result)
        return
    from .garments import result_page

    output.page(result_page(result))


def _why_not(history: History, uri: str, version: str | None) -> str:
    """Why there is no result of an image, or of a version of it."""
    stored = history.stored
    if version is not None:
        record = history.version(version).record
        if record is None:
            return (
                f"There is nothing about version {version} of {uri}: `aws s3api "
                "list-object-versions` lists the version ids"
            )
        since = f" since {record.ended_at}" if record.ended_at else ""
        reason = f" ({record.reason})" if record.reason else ""
        state = f"Version {version} of {uri} is {record.status}{since}{reason}"
        if record.status != "TAGGED":
            return state
        return f"{state}, but its result is not kept: {_replacement(stored)}"
    if stored is not None and stored.removed_at:
        return f"There is no result of {uri}: the object was removed at {stored.removed_at}"
    return (
        f"There is no result of {uri}: it was not uploaded, is still waiting (see `hangtag "
        "status`), or its event could not be read (see `hangtag failures list`)"
    )


def _hint(uri: str, bucket: str) -> str:
    """What may be wrong with a uri of which nothing is found."""
    named, _, key = uri.removeprefix("s3://").partition("/")
    if named != bucket:
        return f". The bucket {named!r} is not the stack's, which is {bucket!r}"
    if _PERCENT_ENCODED.search(key):
        return '. The key must not be percent-encoded: write " " instead of "%20"'
    return ""


def _replacement(stored: StoredResult | None) -> str:
    """What there is instead of the result of an older version."""
    if stored is None:
        return "it is no longer stored"
    if stored.removed_at:
        return f"the object was removed at {stored.removed_at}"
    kind, _, name = stored.version.partition(":")
    return (
        f"it was replaced by that of {'etag ' if kind == 'etag' else 'version '}{name}"
    )


for command in (find, export, values, reindex):
    results.add_command(command)
