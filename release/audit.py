"""
`make audit`: asks the package index for known vulnerabilities of all locked packages.

The index is the one that pip uses. Many mirrors have no advisory data; then the audit says that it
could not look, and never that it found nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
NONE_FOUND, FOUND, COULD_NOT_LOOK = 0, 1, 3  # 2 is argparse's
REQUEST_SECONDS = 15.0
ALL_SECONDS = 120.0
LONGEST_ANSWER = 16 * 1024 * 1024
AT_ONCE = 8
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,99}")


class CouldNotLook(Exception):
    """The index has no advisory data for a package; the message gives the reason."""


@dataclass(frozen=True, order=True)
class Package:
    """A locked package."""

    name: str
    version: str

    def __str__(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, order=True)
class Advisory:
    """A known vulnerability of a package."""

    package: Package
    names: tuple[str, ...]
    """The identifier of the advisory, then its other identifiers."""
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        """One line for a person."""
        fix = ", ".join(self.fixed_in)
        return f"{self.package}: {', '.join(self.names)}; " + (
            f"fixed in {fix}" if fix else "no fixed version is known"
        )


@dataclass
class Findings:
    """What the index knows, and which packages it knows nothing about."""

    advisories: list[Advisory] = field(default_factory=list)
    clean: int = 0
    """How many packages have no known vulnerability."""
    unseen: dict[Package, str] = field(default_factory=dict)
    """Packages without advisory data, with the reason."""

    @property
    def status(self) -> int:
        """The exit status."""
        if self.advisories:
            return FOUND
        return COULD_NOT_LOOK if self.unseen or not self.clean else NONE_FOUND

    def sentences(self) -> list[str]:
        """The findings for a person."""
        lines = [str(one) for one in sorted(self.advisories)]
        if self.advisories:
            lines.append(
                f"{len(self.advisories)} known vulnerabilities. Update the packages:"
                " make lock ARGS=--upgrade"
            )
        if self.unseen:
            package, reason = min(self.unseen.items())
            lines.append(
                f"Could not look: the index has no advisory data for {len(self.unseen)} of"
                f" {len(self.unseen) + self.clean + len(self.vulnerable)} packages, such as"
                f" {package} ({reason}). Their vulnerabilities are unknown. Ask another index:"
                " make audit ARGS='--index URL', where URL ends in /simple."
            )
        elif not self.clean and not self.advisories:
            lines.append("Could not look: no lock file names a package.")
        elif not self.advisories:
            lines.append(f"No known vulnerabilities in {self.clean} packages.")
        return lines

    @property
    def vulnerable(self) -> set[Package]:
        """The packages with advisories."""
        return {one.package for one in self.advisories}


def lock_files(root: Path = ROOT) -> list[Path]:
    """All lock files of the repository."""
    return sorted(
        [*root.glob("requirements/*.txt"), *root.glob("layers/*/requirements.txt")]
    )


def locked_in(files: Iterable[Path]) -> list[Package]:
    """The packages that lock files name."""
    pattern = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
    return sorted(
        {
            Package(re.sub(r"[-_.]+", "-", name).lower(), version)
            for file in files
            for name, version in pattern.findall(file.read_text("utf-8"))
        }
    )


def index_of_pip() -> str:
    """
    The URL of the index that pip uses, from its configuration or pip's default.

    Raises:
        CouldNotLook: pip's help does not name it.
    """
    # pip's help shows the configured value; no public interface of pip returns its default.
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--help"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "1000"},
    ).stdout
    found = re.search(r"Base URL of the Python Package Index \(default (\S+)\)", shown)
    if found is None:
        raise CouldNotLook("pip does not say which index it uses; set --index")
    return found[1]


def advisories_of(index: str, package: Package) -> list[Advisory]:
    """
    Ask the index's JSON API for the vulnerabilities of a package; withdrawn ones are left out.

    Raises:
        CouldNotLook: The index has no answer with advisory data.
    """
    base, simple, rest = index.rstrip("/").rpartition("/simple")
    if not simple or rest or not re.match("https?://", base):
        raise CouldNotLook("the index's URL is not http(s)://.../simple")
    if "@" in base:
        # pip shows its own index's password as asterisks
        raise CouldNotLook("the index needs a user name: set --index to one without")
    try:
        with urlopen(  # noqa: S310 - the scheme is checked above
            f"{base}/pypi/{package.name}/{package.version}/json",
            timeout=REQUEST_SECONDS,
        ) as answer:
            document = json.loads(answer.read(LONGEST_ANSWER))
    except HTTPError as error:
        error.close()
        raise CouldNotLook(f"HTTP {error.code}") from error
    except (OSError, HTTPException) as error:
        raise CouldNotLook(f"no connection: {type(error).__name__}") from error
    except (ValueError, RecursionError) as error:
        raise CouldNotLook("the answer is not JSON") from error
    return read(document, package)


def read(document: object, package: Package) -> list[Advisory]:
    """
    Read the advisories in an answer of the JSON API.

    Raises:
        CouldNotLook: The answer has no advisory data, or not in the known form.
    """
    entries = document.get("vulnerabilities") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise CouldNotLook("the answer has no list of vulnerabilities")
    try:
        return [
            Advisory(
                package,
                (identifier(entry["id"]), *map(identifier, entry.get("aliases") or [])),
                tuple(map(identifier, entry.get("fixed_in") or [])),
            )
            for entry in entries
            if not entry.get("withdrawn")
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise CouldNotLook("an advisory has an unknown form") from error


def identifier(value: object) -> str:
    """
    An identifier or a version, which are the only texts of the index that are printed.

    Raises:
        TypeError: It is neither.
    """
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise TypeError("not an identifier")
    return value


def audit(
    packages: Sequence[Package],
    ask: Callable[[Package], list[Advisory]],
    *,
    seconds: float = ALL_SECONDS,
) -> Findings:
    """Ask for all packages, for at most `seconds` and the time of the last requests."""
    findings = Findings()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(ask, package): package for package in packages}
        done, _ = wait(running, timeout=seconds)
        pool.shutdown(wait=True, cancel_futures=True)
    for future, package in running.items():
        if future not in done:
            findings.unseen[package] = f"no answer within {seconds:.0f} s"
            continue
        try:
            found = future.result()
        except CouldNotLook as reason:
            findings.unseen[package] = str(reason)
            continue
        findings.advisories += found
        findings.clean += not found
    return findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what the index knows: 0 nothing, 1 vulnerabilities, 3 it could not be asked."""
    parser = argparse.ArgumentParser("make audit", description=main.__doc__)
    parser.add_argument("--index", help="URL that ends in /simple (default: pip's)")
    parser.add_argument("locks", nargs="*", type=Path, help="default: all lock files")
    options = parser.parse_args(arguments)
    packages = locked_in(options.locks or lock_files())
    try:
        index = options.index or index_of_pip()
    except CouldNotLook as reason:
        print(f"Could not look: {reason}.")
        return COULD_NOT_LOOK
    findings = audit(packages, lambda package: advisories_of(index, package))
    for sentence in findings.sentences():
        print(sentence)
    return findings.status


if __name__ == "__main__":
    sys.exit(main())
