"""`hangtag tag`: tag local files with the Tagger API, without AWS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hangtag.errors import HangtagError

from . import output
from .app import App, Command, json_option, pass_app
from .exits import NotDone
from .key import key_in

if TYPE_CHECKING:
    from .asking import Question

_KEY_VARIABLE = "HANGTAG_API_KEY"


@click.command(
    "tag",
    cls=Command,
    examples=(
        "hangtag tag dress.jpg shoes.png",
        "hangtag --json tag --language ko --detection TOP,SHOES dress.jpg",
    ),
)
@json_option
@click.option(
    "--url",
    metavar="URL",
    help="The URL of the Tagger API; the default is HANGTAG_TAGGER_API_URL, or the vendor's.",
)
@click.option(
    "--language",
    metavar="LANGUAGE",
    help="en, ko, zh or ja; the default is HANGTAG_LANGUAGE, or en.",
)
@click.option(
    "--detection",
    default="",
    metavar="KINDS",
    help="What to tag, such as TOP,SHOES; the default is all clothing.",
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE...",
)
@pass_app
@click.pass_context
def tag(
    ctx: click.Context,
    app: App,
    *,
    files: tuple[Path, ...],
    url: str | None,
    language: str | None,
    detection: str,
) -> None:
    """
    Tag local files, without AWS.

    The key is read from HANGTAG_API_KEY, or from a prompt that does not show it. The vendor may
    charge for each call. Exits with 1 if a file could not be tagged.
    """
    question = _question(url=url, language=language, detection=detection)
    failed = False
    for number, file in enumerate(files, 1):
        name = click.format_filename(file)
        try:
            with output.working(f"{number} of {len(files)}: {name}"):
                answer = question.ask(file)
        except HangtagError as error:
            failed = True
            _print_failure(app, name, error)
        except OSError as error:
            raise NotDone(f"{name} cannot be read: {error.strerror}") from error
        else:
            _print_answer(app, name, answer.document())
    if failed:
        ctx.exit(1)


def _question(*, url: str | None, language: str | None, detection: str) -> Question:
    from hangtag.adapters.http_tagger import HttpTagger
    from hangtag.settings import read_ask_settings, variable_of
    from hangtag.tagger_api import read_detection, read_metadata

    from .asking import Question

    options = {variable_of("tagger_api_url"): url, variable_of("language"): language}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = read_ask_settings({**os.environ, **given})
        kinds = read_detection(detection)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _, context = read_metadata({}, language=settings.language, detection=kinds)
    return Question(
        tagger=HttpTagger(
            settings.tagger_api_url, connections=1, ca_bundle=settings.ca_bundle
        ),
        language=settings.language,
        context=context,
        api_key=_api_key(settings.api_key),
    )


def _api_key(given: str | None) -> str:
    if given is None:
        if not click.get_text_stream("stdin").isatty():
            raise click.UsageError(
                f"there is no API key: set {_KEY_VARIABLE} (there is no option for it, because the "
                "key would stay in the shell's history)"
            )
        given = str(click.prompt("Tagger API key", hide_input=True, err=True))
    return key_in(given)


def _print_answer(app: App, name: str, answer: dict[str, Any]) -> None:
    if app.json:
        output.data({"file": name, "status": "TAGGED", **answer})
        return
    from .garments import answer_page
    from .tables import text

    output.page([text(name, "bold"), *answer_page(answer)])


def _print_failure(app: App, name: str, error: HangtagError) -> None:
    message = str(error)
    if app.json:
        failure = {"code": error.code, "kind": error.kind, "message": message}
        if error.image_format:
            failure["format"] = error.image_format
        output.data({"file": name, "status": "FAILED", "failure": failure})
        return
    from .garments import failure_facts
    from .tables import facts, text

    failure_lines = failure_facts(error.code, error.kind, message, error.image_format)
    output.page(
        [
            text(name, "bold"),
            facts([("status", text("FAILED", "red")), *failure_lines]),
            "",
        ]
    )
