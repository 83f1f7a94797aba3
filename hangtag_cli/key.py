"""`hangtag key`: the Tagger API's key. It is never printed, and never an argument."""

from __future__ import annotations

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


@click.group(cls=Group)
def key() -> None:
    """Set or check the API key."""


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

    The key is read from stdin, or from a prompt that does not show it. It may be the bare key or
    {"apiKey": "..."}. The function uses a new key within five minutes.
    """
    if ctx.args:
        # click's own message would repeat the key
        raise click.UsageError(
            "the key cannot be an argument, because it would stay in the shell's history: "
            "run `hangtag key set` without it and type it, or pipe it in"
        )
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
)
@json_option
@click.option(
    "--stdin",
    "from_stdin",
    is_flag=True,
    help="Check a key from stdin, or one that is typed, instead of the stack's.",
)
@pass_app
def check(app: App, *, from_stdin: bool) -> None:
    """
    Check whether the Tagger API accepts the stack's key. It costs nothing.

    It sends an invalid request: with a good key the API finds fault with the request, with a bad
    one it refuses the key. Exits with 1 if the key is bad, or if that is unknown.
    """
    from hangtag.adapters.http_tagger import HttpTagger
    from hangtag.operators.key_check import check_key

    stack = app.stack()
    url = stack.tagger_api_url()
    api_key = _bare(ask_for_key() if from_stdin else stack.api_key())
    with output.working(f"Asking {url} ..."):
        verdict = check_key(HttpTagger(url, connections=1), api_key)
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


_ADVICE = {
    "good": "The key is good: the API only refused the request itself ({said}).",
    "bad": "The API refuses the key: {said}. Store another one with `hangtag key set`.",
    "unknown": "Whether the key is good is unknown: {said}.",
}


def _bare(secret: str) -> str:
    """
    The key in a secret's value.

    Raises:
        NotDone: It holds no key.
    """
    from hangtag.adapters.secrets_manager_key import read_key
    from hangtag.errors import ApiKeyMissing

    try:
        found = read_key(secret)
    except ApiKeyMissing as error:
        raise NotDone(str(error)) from error
    if found is None:
        raise NotDone("The secret holds no key: set it with `hangtag key set`")
    return found


def _fault(stack: Stack) -> str | None:
    """The error code that opened the breaker; None if it is closed, or cannot be read."""
    from hangtag.breaker import fault_of

    try:
        return fault_of(stack.switch().breaker())
    except (HangtagError, NotDone):
        return None  # permission to set the key does not include the rest


def ask_for_key() -> str:
    """
    The value of a secret, from stdin or, on a terminal, from a prompt that does not show it.

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
    *text* without white space around it.

    Raises:
        UsageError: It is empty, or cannot be sent. The message does not repeat it.
    """
    from hangtag.adapters.secrets_manager_key import read_key
    from hangtag.errors import ApiKeyMissing

    try:
        usable = read_key(text) is not None
    except ApiKeyMissing:
        raise click.UsageError(
            "this is no API key: it contains characters that no key has, or is JSON other "
            'than {"apiKey": "..."}'
        ) from None
    if not usable:
        raise click.UsageError("the API key is empty")
    return text.strip()
