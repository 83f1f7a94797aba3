"""`pip install .` installs all that the command imports, `.[sandbox]` all that the sandbox does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import (
    PackageNotFoundError,
    packages_distributions,
    requires,
)
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OURS = {"hangtag", "hangtag_cli", "hangtag_sandbox"}

IMPORT_ALL = """
import importlib, pkgutil, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

missing = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Missing())
for root in sys.argv[2:]:
    package = importlib.import_module(root)
    for found in pkgutil.walk_packages(getattr(package, "__path__", []), root + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
"""


def name_of(requirement: str) -> str:
    """The normalised name of the distribution in a requirement."""
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def installed_with(requirements: list[str]) -> set[str]:
    """The distributions that pip installs with these: their requirements, recursively."""
    found: set[str] = set()
    waiting = [name_of(one) for one in requirements]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            try:
                needed = requires(name) or []
            except PackageNotFoundError:
                continue  # skips markers for other Pythons and systems
            waiting += [name_of(one) for one in needed if "extra ==" not in one]
    return found


@pytest.mark.parametrize(
    ("extra", "packages"),
    [
        (None, ["hangtag_cli"]),
        ("sandbox", ["hangtag_cli", "hangtag_sandbox"]),
    ],
)
def test_installed_distributions_provide_every_import(
    extra: str | None, packages: list[str]
) -> None:
    """The tests run in an environment with many more packages than an installation has."""
    requirements = list(PROJECT["dependencies"])
    if extra is not None:
        requirements += PROJECT["optional-dependencies"][extra]
    brought = installed_with(requirements)
    missing = {
        module
        for module, distributions in packages_distributions().items()
        if module not in OURS and not {name_of(one) for one in distributions} & brought
    }
    assert {"aws_lambda_powertools", "moto", "pytest"} <= missing

    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, ",".join(missing), *packages],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
