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
from packaging.requirements import Requirement

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
        ("parquet", ["hangtag_cli"]),
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


def test_the_oldest_boto3_knows_every_parameter_that_is_sent() -> None:
    """1.34.100 refuses MessageSystemAttributeNames of ReceiveMessage, which a replay sends."""
    [boto3] = [
        one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "boto3"
    ]

    assert "1.34.100" not in boto3.specifier
    assert "1.34.101" in boto3.specifier


@pytest.mark.parametrize("lock", ["dev.txt", "cloud.txt"])
def test_a_locked_version_is_one_that_the_project_admits(lock: str) -> None:
    """The lock files are made separately from the ranges."""
    text = (ROOT / "requirements" / lock).read_text("utf-8")
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    admitted = [Requirement(one) for one in PROJECT["dependencies"]]

    wrong = [
        f"{one} is locked as {locked[one.name]}"
        for one in admitted
        if one.name in locked and locked[one.name] not in one.specifier
    ]

    assert "boto3" in locked
    assert wrong == []
