"""`hangtag key`: the Tagger API's key. It is never printed, and never an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hangtag.failures import HangtagError

from . import output
from .app import App, Group, NotDone, pass_app
from .switching import replay_command

if TYPE_CHECKING:
    from .stack import Stack

_LONGEST_SECRET = 65_536  # bytes; Secrets Manager's limit


@click.group(cls=Group)
def key() -> None:
    """Look after the API key."""


@key.command(
    "set",
    examples=("hangtag key set", "hangtag key set < api-key.txt"),
    context_settings={"allow_extra_args": True},
)
@pass_app
@click.pass_context
def set_(ctx: click.Context, app: App) -> None:
    """
    Store the API key in the stack's secret.

    The key is read from stdin, or asked for without showing it. It may be the bare key or
    {"apiKey": "..."}. The function takes a new one up within five minutes.
    """
    if ctx.args:
        # Not click's own message, which would repeat the key.
        raise click.UsageError(
            "the key is no argument, because it would stay in the shell's history: "
            "run `hangtag key set` alone and type it, or pipe it in"
        )
    secret = ask_for_key()
    stack = app.stack()
    arn = stack.store_api_key(secret)
    output.talk(
        f"The API key is stored in {arn}. The function takes it up within five minutes."
    )
    code = _fault(stack)
    if code is not None:
        output.talk(
            f"Tagging has stopped because of {code}: `hangtag resume` makes it go on at once, "
            f"`{replay_command(code)}` brings back what was buried."
        )


def _fault(stack: Stack) -> str | None:
    """The code that tagging has stopped for, None where it has not."""
    from hangtag.breaker import fault_of

    try:
        return fault_of(stack.switch().state())
    except (HangtagError, NotDone):
        return None  # Who may set the key need not be allowed to see the rest.


def ask_for_key() -> str:
    """
    A secret's value from stdin or, at a terminal, from a prompt that does not echo.

    Raises:
        UsageError: It is empty or cannot be a key. The message does not repeat it.
    """
    if click.get_text_stream("stdin").isatty():
        value = click.prompt("Tagger API key", hide_input=True, err=True)
        return read_secret(str(value))
    given = click.get_binary_stream("stdin").read(_LONGEST_SECRET + 1)
    if len(given) > _LONGEST_SECRET:
        raise click.UsageError(f"the key has more than {_LONGEST_SECRET:,} bytes")
    try:
        return read_secret(given.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise click.UsageError("the key is not text") from None


def read_secret(text: str) -> str:
    """
    *text* without the space around it, if there is a key in it.

    Raises:
        UsageError: There is none, or one that cannot be sent. The message does not repeat it.
    """
    from hangtag.adapters.secrets_manager_key import read_key
    from hangtag.failures import ApiKeyMissing

    try:
        usable = read_key(text) is not None
    except ApiKeyMissing:
        raise click.UsageError(
            "this is no API key: it holds characters that no key has, or is JSON other "
            'than {"apiKey": "..."}'
        ) from None
    if not usable:
        raise click.UsageError("the API key is empty")
    return text.strip()
