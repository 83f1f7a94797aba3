"""Every parser of outside text has a fuzz test: a test marked `fuzz` with the parser's name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.builders import REPOSITORY

PRODUCT = ("layers/core", "hangtag_cli", "hangtag_sandbox")

PARSERS = {
    "hangtag.adapters.dynamodb_stream.read_changes",
    "hangtag.adapters.file_checkpoint.FileCheckpoint",
    "hangtag.adapters.http_tagger.HttpTagger.ask",
    "hangtag.adapters.s3_large_results.S3LargeResults.read",
    "hangtag.adapters.s3_listings.S3Inventory",
    "hangtag.api_key.decode_key",
    "hangtag.api_key.read_key",
    "hangtag.batch.Pipeline.enqueue",
    "hangtag.batch.Pipeline.tag",
    "hangtag.dead_letters.read_letter",
    "hangtag.events.read_body",
    "hangtag.events.read_deliveries",
    "hangtag.events.to_bare",
    "hangtag.operators.backfill_start.start_of",
    "hangtag.operators.find.Finder",
    "hangtag.operators.replay_request.read_request",
    "hangtag.settings.read_ask_settings",
    "hangtag.settings.read_index_settings",
    "hangtag.settings.read_replay_settings",
    "hangtag.settings.read_tagging_settings",
    "hangtag.tagger_api.read_answer",
    "hangtag.tagger_api.read_metadata",
    "hangtag.tagger_api.require_media_type",
    "hangtag_cli.arguments",
    "hangtag_cli.backups.read_backup",
    "hangtag_cli.letters",
    "hangtag_cli.main.cli",
    "hangtag_cli.parquet_rows.row_of",
    "hangtag_cli.status.with_age_of",
    "hangtag_cli.surroundings.look_around",
    "hangtag_sandbox.control.parse_control",
    "hangtag_sandbox.create_app",
    "hangtag_sandbox.faults.read_digest",
    "hangtag_sandbox.fetching.Fetcher.fetch",
    "hangtag_sandbox.validation.open_image",
    "hangtag_sandbox.validation.read_request",
}
"""What reads text from outside: functions, classes, or whole modules."""

PRIMITIVES = {
    "b64decode",
    "decode_header",
    "from_json",
    "fromisoformat",
    "json.load",
    "loads",
    "model_validate",
    "model_validate_json",
    "parsedate_to_datetime",
    "csv.reader",
    "unquote_plus",
    "urlsplit",
    "validate_json",
    "validate_python",
}
"""The parsers of libraries; a module that calls one of them reads text."""

READ_BY = {
    "hangtag.adapters.aws_clients": "the files of botocore",
    "hangtag.adapters.dynamodb_records": "its own records, which only the stack writes",
    "hangtag.adapters.dynamodb_results": "its own results, which only the stack writes",
    "hangtag.tagger_api.raw_photos": "hangtag.tagger_api.require_media_type",
    "hangtag.tagger_api.reading": "hangtag.tagger_api.read_answer",
    "hangtag.tagger_api.request": "hangtag.tagger_api.read_metadata",
    "hangtag.uploads": "hangtag.events.read_body",
    "hangtag_cli.export": "the times of its own results",
    "hangtag_cli.stack": "hangtag_cli.arguments",
    "hangtag_sandbox.answers": "its own answers",
    "hangtag_sandbox.app": "hangtag_sandbox.create_app",
    "hangtag_sandbox.openapi": "its own document",
    "hangtag_sandbox.page": "its own answers",
}
"""Modules that read for a parser of another module, or nothing from outside."""


def fuzzed() -> Iterator[str]:
    """The names in the marks of all tests."""
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield from _marked(node)


def _marked(test: ast.FunctionDef) -> Iterator[str]:
    """The parsers that a test of hypothesis, or of schemathesis, is marked with."""
    calls = [one for one in test.decorator_list if isinstance(one, ast.Call)]
    generates = any(ast.unparse(one.func) in _GENERATORS for one in calls)
    for call in calls:
        if ast.unparse(call.func) == "pytest.mark.fuzz":
            assert generates, f"{test.name} is no property test"
            yield from (ast.literal_eval(name) for name in call.args)


_GENERATORS = {"given", "schema.parametrize"}


def test_every_parser_has_a_fuzz_test() -> None:
    """And every mark names a parser of the list."""
    assert set(fuzzed()) == PARSERS


@pytest.mark.parametrize("parser", sorted(PARSERS))
def test_every_parser_exists(parser: str) -> None:
    """A renamed one would lose its test."""
    found: object = import_module(parser.partition(".")[0])
    at = parser.partition(".")[0]
    for name in parser.split(".")[1:]:
        at = f"{at}.{name}"
        if not hasattr(found, name):
            import_module(at)
        found = getattr(found, name)


def reading_modules() -> Iterator[str]:
    """The modules of the product that call a parser of a library."""
    for folder in PRODUCT:
        for path in (REPOSITORY / folder).rglob("*.py"):
            calls = {
                ast.unparse(node.func)
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call)
            }
            if (calls | {name.rpartition(".")[2] for name in calls}) & PRIMITIVES:
                yield _module(path)


def _module(path: Path) -> str:
    inside = path.relative_to(REPOSITORY).as_posix().removeprefix("layers/core/")
    return inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("module", sorted(reading_modules()))
def test_a_module_that_reads_text_is_fuzzed(module: str) -> None:
    """A new parser comes into the list, or into `READ_BY` with the reason."""
    is_fuzzed = any(f"{one}.".startswith(f"{module}.") for one in PARSERS)

    assert is_fuzzed or module in READ_BY
