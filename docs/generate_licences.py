"""
Prints docs/licences.md: the licences of all locked packages.

The licences come from the metadata of the packages that are installed in .venv and .local. A
package that is installed in neither keeps its line of the page while its version stays the same.

    .venv/bin/python docs/generate_licences.py > licences.md && mv licences.md docs
"""  # noqa: INP001 - docs/ is a folder of pages, not a package

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/licences.md"
LAYER = "layers/dependencies/requirements.txt"

IN_THE_LAYER = {
    "Apache-2.0": "Hangtag's own",
    "BSD-2-Clause": "permissive",
    "BSD-3-Clause": "permissive",
    "MIT": "permissive",
    "MIT-0": "permissive",
    "MPL-2.0": "applies file by file; the layer has the files unchanged",
    "PSF-2.0": "permissive",
}
"""SPDX identifiers of licences that the layer may ship, with the reason."""

ELSEWHERE = {
    **IN_THE_LAYER,
    "0BSD": "permissive",
    "Artistic-1.0-Perl": "applies to changed copies; Hangtag ships none",
    "CC0-1.0": "public domain",
    "CNRI-Python": "permissive",
    "MIT-CMU": "permissive",
    "Zlib": "permissive",
}
"""SPDX identifiers of licences of packages that Hangtag does not ship."""

SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The MIT License (MIT)": "MIT",
}
"""Other names of licences in metadata. `BSD License` names three licences, so it is not here."""

READ = {
    "aws-lambda-powertools": "MIT-0 AND MIT",
    "cached-property": "BSD-3-Clause",
    "click": "BSD-3-Clause",
    "colorama": "BSD-3-Clause",
    "contextlib2": "PSF-2.0 AND Apache-2.0",
    "cookiecutter": "BSD-3-Clause",
    "dockerfile-parse": "BSD-3-Clause",
    "gitdb": "BSD-3-Clause",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "junit-xml": "MIT",
    "mpmath": "BSD-3-Clause",
    "networkx": "BSD-3-Clause",
    "packaging": "Apache-2.0 OR BSD-2-Clause",
    "ply": "BSD-3-Clause",
    "python-dateutil": "BSD-3-Clause",
    "semantic-version": "BSD-2-Clause",
    "sympy": "BSD-3-Clause",
    "text-unidecode": "Artistic-1.0-Perl OR GPL-2.0-or-later",
    "tqdm": "MPL-2.0 AND MIT",
}
"""Packages whose metadata are unclear: what their licence file says."""


@dataclass(frozen=True, order=True)
class Package:
    """One line of the page: a locked package, its licence, and the lock files that name it."""

    name: str
    version: str
    licence: str
    locks: tuple[str, ...]


def lock_files(root: Path = ROOT) -> list[Path]:
    """All lock files of the repository."""
    return [root / LAYER, *sorted((root / "requirements").glob("*.txt"))]


def locked(lock: Path) -> dict[str, str]:
    """Name and version of each package in a lock file."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text("utf-8"), re.MULTILINE))


def normalised(name: str) -> str:
    """The name of a distribution as lock files spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(found: Distribution) -> str | None:
    """The SPDX expression of a distribution's licence; None if its metadata name none."""
    if (read := READ.get(normalised(found.metadata["Name"]))) is not None:
        return read
    expressions: list[str] = found.metadata.get_all("License-Expression") or []
    if expressions:
        return expressions[0]
    classifiers = [
        value.rpartition(" :: ")[2]
        for value in found.metadata.get_all("Classifier") or []
        if value.startswith("License ::")
    ]
    if len(known := {SPDX.get(name, "") for name in classifiers}) > 1:
        return None
    if known and all(known):
        return known.pop()
    texts: list[str] = found.metadata.get_all("License") or [""]
    text = SPDX.get(texts[0], texts[0])
    return text if text in ELSEWHERE else None


def installed(folders: Iterable[str]) -> dict[tuple[str, str], str | None]:
    """The licence of each distribution in these folders, by name and version."""
    return {
        (normalised(found.metadata["Name"]), found.version): licence_of(found)
        for found in distributions(path=list(folders))
    }


def packages(
    known: Mapping[tuple[str, str], str | None], root: Path = ROOT
) -> list[Package]:
    """
    All locked packages with their licences.

    Raises:
        LookupError: The licence of a package is not known; the message says what to do.
    """
    locks: dict[tuple[str, str], list[str]] = {}
    for lock in lock_files(root):
        for name, version in locked(lock).items():
            locks.setdefault((normalised(name), version), []).append(
                lock.relative_to(root).as_posix()
            )
    found = []
    for (name, version), places in locks.items():
        if (name, version) not in known:
            raise LookupError(
                f"{name} {version} of {places[0]} is not installed: run `make environments linters`"
                " (for requirements/lock.txt: `make lock`), then this again"
            )
        licence = known[name, version]
        if licence is None:
            raise LookupError(
                f"The metadata of {name} {version} name no licence that is known here: read its"
                " licence file, and add it to READ or SPDX in docs/generate_licences.py"
            )
        found.append(Package(name, version, licence, tuple(places)))
    return sorted(found)


def allowed(licence: str, admitted: Iterable[str]) -> bool:
    """Whether an SPDX expression can be met; an OR beside an AND is in brackets."""
    return all(
        any(one in admitted for one in part.strip("()").split(" OR "))
        for part in licence.split(" AND ")
    )


def refused(found: Iterable[Package]) -> list[str]:
    """What is wrong with the licences of the packages, a sentence each."""
    return [
        f"{one.name} {one.version} ({one.licence}) must not be in {lock}"
        for one in found
        for lock in one.locks
        if not allowed(one.licence, IN_THE_LAYER if lock == LAYER else ELSEWHERE)
    ]


def page(found: Iterable[Package]) -> str:
    """The page in Markdown."""
    found = list(found)
    shipped = [one for one in found if LAYER in one.locks]
    others = [one for one in found if LAYER not in one.locks]
    return "\n".join(
        [
            "# Licences",
            "",
            "Hangtag's own code is licensed under [Apache-2.0](../LICENSE). This page lists",
            "every locked package and its licence as an SPDX expression. The program",
            "`docs/generate_licences.py` prints it. A test fails if a package or a version is",
            "missing here, or if a licence is not in the list of allowed ones.",
            "",
            "## Shipped in the layer",
            "",
            *table(shipped),
            "",
            "## Installed for the command, the sandbox, the tests and the tools",
            "",
            "Hangtag does not ship these: `pip` or `make` installs them from the package index.",
            "",
            *table(others),
            "",
            "## Allowed licences",
            "",
            "| licence | in the layer | reason |",
            "|---|---|---|",
            *(
                f"| {name} | {'yes' if name in IN_THE_LAYER else 'no'} | {reason} |"
                for name, reason in sorted(ELSEWHERE.items())
            ),
            "",
        ]
    )


def table(found: Iterable[Package]) -> list[str]:
    """A table of packages."""
    return [
        "| package | version | licence | lock files |",
        "|---|---|---|---|",
        *(
            f"| {one.name} | {one.version} | {one.licence} | {', '.join(one.locks)} |"
            for one in found
        ),
    ]


def on_the_page(text: str) -> dict[tuple[str, str], str | None]:
    """The licences that a page lists, by name and version."""
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (.+?) \| .*\.txt", text, re.MULTILINE)
    return {(name, version): licence for name, version, licence in rows}


def environments(root: Path = ROOT) -> list[str]:
    """The folders with installed packages in .venv and .local."""
    pattern = "lib/python3*/site-packages"
    return [
        str(folder)
        for place in (root / ".venv", *sorted((root / ".local").glob("*")))
        for folder in place.glob(pattern)
    ]


def main() -> int:
    """Print the page; 1 if a licence is unknown or not allowed."""
    before = on_the_page(PAGE.read_text("utf-8")) if PAGE.exists() else {}
    try:
        found = packages({**before, **installed(environments())})
    except LookupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(page(found))
    wrong = refused(found)
    sys.stderr.writelines(f"{sentence}\n" for sentence in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
