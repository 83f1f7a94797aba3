"""Which module may import which; see docs/architecture.md."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import REPOSITORY

CORE = REPOSITORY / "layers" / "core"
ENTRY_POINTS = (
    "functions",
    "handler",
    "hangtag_cli",
    "hangtag_sandbox",
    "local",
    "tests",
)

ROOMS = (
    # Events, requests, results: pure
    "text",
    "parsing",
    "redaction",
    "api_key",
    "errors",
    "failure",
    "uploads",
    "selection",
    "events",
    "lifecycle",
    "tagger_api",
    "results",
    "announcements",
    "index",
    "dead_letters",
    "time_budget",
    "metrics",
    "telemetry",
    # Ports, and the use cases that see only ports
    "ports",
    "newest",
    "backoff",
    "claims",
    "rate_limit",
    "breaker",
    "calling",
    "policy",
    "attempt",
    "answering",
    "ending",
    "removal",
    "tagging",
    "batch",
    "indexing",
    "operators",
    # Adapters, environment, clients
    "adapters",
    "settings",
    "wiring",
    "replay_wiring",
    "index_wiring",
    "entry_points",
)
"""The modules of the core in reading order: each may import only earlier ones."""

PURE = ROOMS[: ROOMS.index("ports")]
WITHOUT_ADAPTERS = ROOMS[: ROOMS.index("adapters")]

FOREIGN = {
    "tagger_api": {"pybase64", "pydantic"},
    "operators": {"pydantic"},
    "entry_points": {"aws_lambda_powertools"},
}
"""The packages that a module may import, besides the standard library."""

CLIENT_LIBRARIES = (
    {"boto3", "botocore"},
    {"certifi", "urllib3"},
    {"aws_lambda_powertools"},
)


def python_files(folder: Path) -> list[Path]:
    """All Python files below *folder*."""
    return sorted(folder.rglob("*.py"))


def imports_of(file: Path) -> Iterator[str]:
    """The full names of the modules that a file imports, without type-only imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            package = file.relative_to(REPOSITORY).with_suffix("").parts
            prefix = ".".join(package[: -node.level]) + "." if node.level else ""
            yield prefix + (node.module or "")


def core_module_of(file: Path) -> str:
    """The core module that a file is, or is part of."""
    return file.relative_to(CORE / "hangtag").parts[0].removesuffix(".py")


def core_and_packages_imported_by(file: Path) -> set[str]:
    """The core modules and the third-party packages that a core file imports."""
    seen = set()
    for name in imports_of(file):
        first, _, rest = name.partition(".")
        if first == "hangtag":
            if rest:  # otherwise modules, as in `from hangtag import lifecycle`
                is_adapter = rest.startswith("adapters.")
                seen.add(rest if is_adapter else rest.partition(".")[0])
        elif first not in sys.stdlib_module_names:
            seen.add(first)
    return seen


CORE_FILES = [
    file
    for file in python_files(CORE)
    if file.parent != CORE / "hangtag" or file.name != "__init__.py"
]
ADAPTER_FILES = [file for file in CORE_FILES if core_module_of(file) == "adapters"]


def name_of(file: Path) -> str:
    """The file as a test's id."""
    return str(file.relative_to(REPOSITORY))


@pytest.mark.parametrize(
    "file", [file for file in CORE_FILES if file not in ADAPTER_FILES], ids=name_of
)
def test_a_core_module_imports_only_earlier_modules(file: Path) -> None:
    """The modules read from left to right like the flow; effects go through ports."""
    room = core_module_of(file)
    before = ROOMS[: ROOMS.index(room) + 1]

    allowed = set(before) | FOREIGN.get(room, set())
    if room not in ("wiring", "replay_wiring", "index_wiring", "entry_points"):
        allowed.discard("adapters")

    seen = {name.partition(".")[0] for name in core_and_packages_imported_by(file)}
    assert set() == seen - allowed


@pytest.mark.parametrize("file", ADAPTER_FILES, ids=name_of)
def test_an_adapter_imports_the_core_and_one_client_library(file: Path) -> None:
    """Of the other adapters it imports only helpers."""
    helpers = {
        "adapters.aws_deadline",
        "adapters.aws_errors",
        "adapters.direct_requests",
        "adapters.dynamodb_breaker",
        "adapters.dynamodb_index",
        "adapters.dynamodb_index_reader",
        "adapters.dynamodb_records",
        "adapters.dynamodb_results",
        "adapters.dynamodb_table",
        "adapters.idle_connections",
        "adapters.s3_errors",
        "adapters.s3_large_results",
        "adapters.tls_contexts",
    }

    foreign = core_and_packages_imported_by(file) - set(WITHOUT_ADAPTERS) - helpers

    assert any(foreign <= library for library in CLIENT_LIBRARIES)


@pytest.mark.parametrize("file", CORE_FILES, ids=name_of)
def test_the_core_does_not_read_the_environment(file: Path) -> None:
    """Entry points read it and pass it on."""
    tree = ast.parse(file.read_text(encoding="utf-8"))

    reads = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]

    assert [] == reads


@pytest.mark.parametrize(
    "file", [file for file in CORE_FILES if core_module_of(file) in PURE], ids=name_of
)
def test_pure_modules_use_no_clock_and_no_files(file: Path) -> None:
    """The same input gives the same output."""
    effects = {"time", "os", "pathlib", "random", "socket", "subprocess", "logging"}

    assert set() == effects & set(imports_of(file))


@pytest.mark.parametrize("file", python_files(CORE), ids=name_of)
def test_the_core_imports_no_entry_point(file: Path) -> None:
    """Functions, command and sandbox depend on the core, not the other way round."""
    known = {name.partition(".")[0] for name in imports_of(file)}

    assert set() == known & set(ENTRY_POINTS)


@pytest.mark.parametrize(
    ("folder", "others"),
    [
        (
            "functions",
            {"hangtag_cli", "hangtag_sandbox", "local", "tests", "functions"},
        ),
        ("hangtag_cli", {"functions", "local", "tests"}),
        ("hangtag_sandbox", {"functions", "hangtag_cli", "local", "tests"}),
        ("local", {"functions", "tests"}),
    ],
)
def test_entry_points_do_not_import_one_another(folder: str, others: set[str]) -> None:
    """Two exceptions: the command starts the sandbox, and the demo uses both."""
    known = {
        name.partition(".")[0]
        for file in python_files(REPOSITORY / folder)
        for name in imports_of(file)
    }

    assert set() == known & others


MAY_PRINT = {
    "hangtag_cli/output.py",  # it encodes
    "hangtag_cli/reference.py",  # writes docs/cli.md
    "layers/core/hangtag/adapters/emf_metrics.py",  # lines of the log
    "hangtag_sandbox/server.py",  # its own address
}
MAY_RENDER = {"hangtag_cli/output.py", "hangtag_cli/tables.py"}

PROGRAMS = [
    file
    for folder in (CORE, REPOSITORY / "hangtag_cli", REPOSITORY / "hangtag_sandbox")
    for file in python_files(folder)
]


@pytest.mark.parametrize("file", PROGRAMS, ids=name_of)
def test_text_leaves_through_the_modules_that_encode_it(file: Path) -> None:
    """Elsewhere, someone would forget it; see docs/decisions/0031."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    called = {
        ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)
    }
    used = {
        ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)
    }

    prints = called & {"print", "click.echo", "click.secho", "console.print"} | {
        name for name in used if re.match(r"sys\.(stdout|stderr)\.(write|buffer)", name)
    }
    renders = {name for name in imports_of(file) if name.split(".")[0] == "rich"}

    assert not prints or name_of(file) in MAY_PRINT
    assert not renders or name_of(file) in MAY_RENDER


HANDLERS = {
    "tag_uploads": """
import os

from hangtag.entry_points import tag_uploads

lambda_handler = tag_uploads(os.environ)
""",
    "replay_failures": """
import os

from hangtag.entry_points import replay_failures

lambda_handler = replay_failures(os.environ)
""",
    "index_results": """
import os

from hangtag.entry_points import index_results

lambda_handler = index_results(os.environ)
""",
}


@pytest.mark.parametrize("function", HANDLERS)
def test_a_handler_only_calls_its_entry_point(function: str) -> None:
    """
    The core can change during a deployment while the handler is still the old one, or the new one.

    If this fails, put the change into `hangtag.entry_points`; see docs/decisions/0028.
    """
    [file] = python_files(REPOSITORY / "functions" / function)

    _docstring, *code = ast.parse(file.read_text(encoding="utf-8")).body

    assert ast.dump(ast.parse(HANDLERS[function])) == ast.dump(
        ast.Module(body=code, type_ignores=[])
    )


def test_each_function_has_a_stable_handler() -> None:
    """A new function needs one, too."""
    folders = {file.parent.name for file in python_files(REPOSITORY / "functions")}

    assert set(HANDLERS) == folders


def test_every_module_is_in_the_list() -> None:
    """A new module needs a position in the list."""
    assert set(ROOMS) == {core_module_of(file) for file in CORE_FILES}


SHIPPED = ("layers/core", "functions", "hangtag_cli", "hangtag_sandbox")


def names_in_imports_of(file: Path) -> Iterator[str]:
    """All names that a file imports in full, without knowing which of them are modules."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                root = CORE if file.is_relative_to(CORE) else REPOSITORY
                package = file.parents[node.level - 1].relative_to(root)
                base = [*package.parts, *base]
            yield ".".join(base)
            yield from (".".join([*base, alias.name]) for alias in node.names)


def test_every_module_of_the_core_is_imported_by_the_product() -> None:
    """The layer contains nothing that only a test needs."""
    imported = {
        name
        for folder in SHIPPED
        for file in python_files(REPOSITORY / folder)
        for name in names_in_imports_of(file)
    }

    modules = {
        ".".join(file.relative_to(CORE).with_suffix("").parts)
        for file in python_files(CORE)
        if file.name != "__init__.py"
    }
    assert modules - imported == set()
