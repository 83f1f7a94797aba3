"""The modules of the command import each other in one direction."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from tests.builders import REPOSITORY

PACKAGE = REPOSITORY / "hangtag_cli"


def modules_imported_by(file: Path) -> set[str]:
    """The modules of the package that *file* imports, in functions and for types too."""
    return {
        name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for name in ([node.module] if node.module else [a.name for a in node.names])
    }


def test_no_import_cycle_in_the_command() -> None:
    """Each module can be read and imported without its callers."""
    imports = {
        file.stem: modules_imported_by(file) for file in PACKAGE.glob("[a-z]*.py")
    }
    assert imports["app"] >= {"exits", "output", "stack"}

    sequence = list(TopologicalSorter(imports).static_order())  # raises CycleError

    assert set(sequence) == set(imports)
    assert sequence.index("exits") < sequence.index("stack") < sequence.index("app")
