"""`hangtag results`: the results of uploads."""

from __future__ import annotations

import click

from . import output
from .app import App, Group, json_option, pass_app
from .arguments import IMAGE_URI
from .exits import NotDone
from .find import find, reindex, values


@click.group(cls=Group)
def results() -> None:
    """Look at results."""


@results.command(
    "show",
    examples=(
        "hangtag results show s3://my-uploads/dress.jpg",
        "hangtag --json results show 's3://my-uploads/summer sale/dress #1.jpg'",
    ),
)
@json_option
@click.argument("uri", type=IMAGE_URI)
@pass_app
def show(app: App, uri: str) -> None:
    """
    Show the newest result of an image.

    URI is s3://bucket/key, not percent-encoded: "%", "?" and "#" belong to the key. Exits with 1
    if there is no result.
    """
    result = app.stack().results().newest(uri)
    if result is None:
        raise NotDone(
            f"There is no result of {uri}: it was not uploaded, is still waiting (see `hangtag "
            "status`), or its event could not be read (see `hangtag failures list`)"
        )
    if app.json:
        output.data(result)
        return
    from .garments import result_page

    output.page(result_page(result))


for command in (find, values, reindex):
    results.add_command(command)
