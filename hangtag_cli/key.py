"""`hangtag key`: the Tagger API's key. It is never printed, and never an argument."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hangtag.errors import HangtagError

from . import output
from .app import App, Group, json_option, pass_app
from .exits import NotDone
from .switching import replay_command

if TYPE_CHECKING:
    from .stack import Stack

_LONGEST_SECRET = 65_536  # bytes; Secrets Manager's limit

_TAKES_ALL = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of a command that calls `_refuse_arguments`."""


@click.group(cls=Group)
def key() -> None:
    """Set or check the API key."""


@key.command(
    "set",
    examples=("hangtag key set", "hangtag key set < api-key.txt"),
    context_settings=_TAKES_ALL,
)
@pass_app
@click.pass_context
def set_(ctx: click.Context, app: App) -> None:
    """
    Store the API key in the stack's secret.

    The key is read from stdin, or from a prompt that does not show it. It may be the bare key or
    {"apiKey": "..."}. Quotes, blanks and line ends around it, and "x-api-key:" or
    "HANGTAG_API_KEY=" before it, are removed. The function uses a new key within five minutes.
    """
    _refuse_arguments(ctx)
    secret = ask_for_key()
    stack = app.stack()
    arn = stack.store_api_key(secret)
    output.talk(
        f"The API key is stored in {arn}. The function uses it within five minutes."
    )
    code = _fault(stack)
    if code is not None:
        output.talk(
            f"Tagging has stopped because of {code}: `hangtag resume` starts it at once, "
            f"`{replay_command(code)}` replays the dead letters."
        )


@key.command(
    "check",
    examples=("hangtag key check", "hangtag --json key check --stdin < new-key.txt"),
    context_settings=_TAKES_ALL,
)
@json_option
@click.option(
    "--stdin",
    "from_stdin",
    is_flag=True,
    help="Check a key from stdin, or one that is typed, instead of the stack's.",
)
@pass_app
@click.pass_context
def check(ctx: click.Context, app: App, *, from_stdin: bool) -> None:
    """
    Check whether the Tagger API accepts the stack's key. It costs nothing.

    It sends an invalid request: with a good key the API finds fault with the request, with a bad
    one it refuses the key. Exits with 1 if the key is bad, or if that is unknown.
    """
    from hangtag.adapters.http_tagger import HttpTagger
    from hangtag.operators.key_check import check_key
    from hangtag.settings import read_ca_bundle

    _refuse_arguments(ctx)
    given = key_in(ask_for_key()) if from_stdin else None
    stack = app.stack()
    url = stack.tagger_api_url()
    api_key = given or _key_of_the_stack(stack)
    with output.working(f"Asking {url} ..."):
        ca_bundle = read_ca_bundle(os.environ)
        tagger = HttpTagger(url, connections=1, ca_bundle=ca_bundle)
        verdict = check_key(tagger, api_key)
    word = {True: "good", False: "bad", None: "unknown"}[verdict.is_good]
    if app.json:
        output.data({"key": word, "code": verdict.code, "message": verdict.message})
    else:
        from .tables import facts

        output.page(
            [facts([("key", word), ("code", verdict.code or "none"), ("asked", url)])]
        )
    said = verdict.message.rstrip(".")
    output.talk(_ADVICE[word].format(said=said))
    if not verdict.is_good:
        raise click.exceptions.Exit(1)


def _refuse_arguments(ctx: click.Context) -> None:
    """Raises UsageError, as click does by itself. Its own message would repeat the key."""
    if ctx.args:
        raise click.UsageError(
            f"`{ctx.command_path}` takes no such argument or option. The key cannot be one, "
            "because it would stay in the shell's history: type it, or pipe it in"
        )


_ADVICE = {
    "good": "The key is good: the API only refused the request itself ({said}).",
    "bad": "The API refuses the key: {said}. Store another one with `hangtag key set`.",
    "unknown": "Whether the key is good is unknown: {said}.",
}


def _key_of_the_stack(stack: Stack) -> str:
    """
    The key that the function sends.

    Raises:
        NotDone: The secret holds no key.
    """
    from hangtag.api_key import InvalidKey, read_key

    try:
        return read_key(stack.api_key())
    except InvalidKey as error:
        raise NotDone(
            f"The secret holds no key: {error}. Set it with `hangtag key set`"
        ) from None


def _fault(stack: Stack) -> str | None:
    """The error code that opened the breaker; None if it is closed, or cannot be read."""
    from hangtag.breaker import fault_of

    try:
        return fault_of(stack.switch().breaker())
    except (HangtagError, NotDone):
        return None  # permission to set the key does not include the rest


def ask_for_key() -> str:
    """
    A secret with a key, from stdin or, on a terminal, from a prompt that does not show it.

    Raises:
        UsageError: The text holds no key. The message does not repeat it.
    """
    from hangtag.api_key import decode_key, secret_of

    with _refused():
        if click.get_text_stream("stdin").isatty():
            typed = click.prompt("Tagger API key", hide_input=True, err=True)
            return secret_of(str(typed))
        given = click.get_binary_stream("stdin").read(_LONGEST_SECRET + 1)
        if len(given) > _LONGEST_SECRET:
            raise click.UsageError(f"the key has more than {_LONGEST_SECRET:,} bytes")
        return secret_of(decode_key(given))


def key_in(text: str) -> str:
    """
    The key in *text*, as `hangtag.api_key.read_key`.

    Raises:
        UsageError: There is none. The message does not repeat the text.
    """
    from hangtag.api_key import read_key

    with _refused():
        return read_key(text)


@contextmanager
def _refused() -> Iterator[None]:
    from hangtag.api_key import InvalidKey

    try:
        yield
    except InvalidKey as error:
        raise click.UsageError(f"this is no API key: {error}") from None
