"""
`make release-check`: names everything that a tag of this commit would miss, with the way out.

It runs `make lock`, which needs the package index, and builds the commit in two fresh clones. The
tests are CI's: run `.ci/run` for the commit, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "docs/licences.md",
)
PYTHON = sys.executable
PRINTED = {
    "docs/cli.md": ("-m", "hangtag_cli.reference"),
    "docs/error-codes.md": ("docs/generate_error_codes.py",),
    "docs/licences.md": ("docs/generate_licences.py",),
    "docs/operator-policy.json": ("docs/generate_operator_policy.py",),
    "docs/tagger-api.openapi.yaml": ("docs/generate_openapi.py",),
    **{
        f"events/schemas/hangtag.image.{what}.v1.json": (
            *("-m", "events.generate_schemas"),
            f"hangtag.image.{what}.v1",
        )
        for what in ("tagged", "removed", "failed")
    },
    **{
        f"events/examples/{name}.json": ("-m", "events.generate_examples", name)
        for name in (
            *("tagged", "tagged-nothing-detected", "tagged-truncated"),
            *("removed", "failed"),
        )
    },
}
"""Generated pages, with the arguments of Python that print them."""
REWRITTEN = (
    (PYTHON, "docs/generate_lifecycle.py"),
    (PYTHON, "-m", "benchmarks.cost_page"),
    ("make", "lock"),
)
"""Commands that write into files of the repository."""
SEMANTIC = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    output: str
    errors: str


Run = Callable[[Sequence[str], Path], Done]
"""Runs a command in a folder."""


def run_command(command: Sequence[str], folder: Path) -> Done:
    """Run a command in a folder whose modules come first."""
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder / "layers/core"), str(folder)]),
        },
    )
    return Done(done.returncode, done.stdout, done.stderr)


def missing(root: Path, run: Run) -> list[str]:
    """Everything that is missing for a tag of the checkout's commit, a sentence each."""
    found = [*missing_files(root)]
    if found:  # the other checks read them
        return found
    found += [
        *missing_versions(root, run),
        *missing_licences(root),
        *unpublished(root),
        *changes(root, run),
    ]
    if found:  # the rest takes minutes, and needs a clean checkout
        return found
    return [*outdated(root, run), *differences(root, run)]


def missing_files(root: Path) -> Iterator[str]:
    """The files that each release has."""
    for name in FILES:
        if not (root / name).is_file():
            yield f"{name} is missing: restore it from the last release, or write it."
    for listed in sorted(
        [*root.glob("requirements/*.in"), *root.glob("layers/*/*.in")]
    ):
        if not (lock := listed.with_suffix(".txt")).is_file():
            yield f"{lock.relative_to(root)} is missing: `make lock` writes it."


def missing_versions(root: Path, run: Run) -> Iterator[str]:
    """One version: in pyproject.toml, template.yaml and CHANGELOG.md, and no tag of it yet."""
    version = project(root)["version"]
    if not SEMANTIC.fullmatch(version):
        yield f"The version {version} in pyproject.toml is not semantic: write it as 1.2.3."
    published = re.findall(r"^ +SemanticVersion: (\S+)$", template(root), re.MULTILINE)
    if published != [version]:
        yield (
            f"SemanticVersion in template.yaml is {' and '.join(published) or 'missing'}:"
            f" set it to {version}, the version in pyproject.toml."
        )
    yield from missing_changelog(root, version)
    if run(["git", "tag", "--list", f"v{version}"], root).output.strip():
        yield f"The tag v{version} exists: set the next version in pyproject.toml."


def missing_changelog(root: Path, version: str) -> Iterator[str]:
    """The newest section of the changelog is the version's, with a date and with entries."""
    text = (root / "CHANGELOG.md").read_text("utf-8")
    _, *sections = re.split(r"^## +", text, flags=re.MULTILINE)
    parts = [section.partition("\n")[::2] for section in sections]
    if any(title.strip() == "Unreleased" and body.strip() for title, body in parts):
        yield (
            "CHANGELOG.md has unreleased entries: move them to the section"
            f" `## {version} - YYYY-MM-DD`."
        )
    released = [(title, body) for title, body in parts if title.strip() != "Unreleased"]
    title, body = released[0] if released else ("", "")
    if not re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d{{2}}-\d{{2}} *", title):
        yield (
            f"CHANGELOG.md has no newest section `## {version} - YYYY-MM-DD`:"
            " write what changes for operators."
        )
    elif not body.strip():
        yield f"The section {version} of CHANGELOG.md is empty: write what changes."


def missing_licences(root: Path) -> Iterator[str]:
    """One licence: in LICENSE, pyproject.toml and template.yaml."""
    text = (root / "LICENSE").read_text("utf-8")
    if "Apache License" not in text or "END OF TERMS AND CONDITIONS" not in text:
        yield "LICENSE is not the whole text of Apache-2.0: restore it."
    if project(root).get("license") != "Apache-2.0":
        yield 'pyproject.toml names another licence: set license = "Apache-2.0".'
    if not re.search(r"^ +SpdxLicenseId: Apache-2\.0$", template(root), re.MULTILINE):
        yield "template.yaml names another licence: set SpdxLicenseId to Apache-2.0."


def unpublished(root: Path) -> Iterator[str]:
    """The schemas of the release are those that later changes are compared with."""
    for name in PRINTED:
        schema = root / name
        if schema.parent == root / "events/schemas":
            published = schema.parent / "published" / schema.name
            if not published.is_file() or published.read_bytes() != schema.read_bytes():
                yield f"{name} is not published: copy it to {published.parent.relative_to(root)}."


def changes(root: Path, run: Run) -> Iterator[str]:
    """What is not committed would not be in the tag."""
    if files := changed(root, run):
        yield (
            f"The checkout has changes that are not committed ({', '.join(files)}):"
            " commit or remove them."
        )


def changed(root: Path, run: Run) -> list[str]:
    """Changed and new files, without the ignored ones."""
    done = run(["git", "status", "--porcelain"], root)
    if done.status:
        raise SystemExit(f"git status failed: {done.errors.strip()}")
    return [line[3:] for line in done.output.splitlines()]


def outdated(root: Path, run: Run) -> Iterator[str]:
    """Generated pages and lock files are what their programs write today."""
    for name, arguments in PRINTED.items():
        done = run([PYTHON, *arguments], root)
        command = " ".join(("python", *arguments))
        if done.status:
            yield f"`{command}` failed: {last_line(done)}"
        elif done.output != (root / name).read_text("utf-8"):
            yield f"{name} is outdated: write the output of `{command}` to it, and commit it."
    before: set[str] = set()
    for words in REWRITTEN:
        command = " ".join(words).replace(PYTHON, "python")
        done = run(words, root)
        if done.status:
            yield f"`{command}` failed, so its files are unchecked: {last_line(done)}"
        after = set(changed(root, run))
        if files := sorted(after - before):
            yield f"`{command}` changed {', '.join(files)}: read the changes, and commit them."
        before = after


def differences(root: Path, run: Run) -> Iterator[str]:
    """Two fresh clones of the commit build the same artefacts."""
    with tempfile.TemporaryDirectory() as directory:
        sums = []
        for name in ("first", "the second clone"):
            clone = Path(directory) / name
            run(
                ["git", "clone", "--quiet", "--no-hardlinks", str(root), str(clone)],
                root,
            )
            done = run([PYTHON, "-m", "release.package"], clone)
            if done.status:
                yield f"`make package` fails in a fresh clone: {last_line(done)}"
                return
            sums.append(set(done.output.splitlines()))
        different = sorted({line.split()[-1] for line in sums[0] ^ sums[1]})
        if different:
            yield (
                f"Two builds of the commit differ in {', '.join(different)}:"
                " compare the files of two `make package`."
            )


def project(root: Path) -> dict[str, str]:
    """The section [project] of pyproject.toml."""
    section: dict[str, str] = tomllib.loads(
        (root / "pyproject.toml").read_text("utf-8")
    )["project"]
    return section


def template(root: Path) -> str:
    """The text of template.yaml."""
    return (root / "template.yaml").read_text("utf-8")


def last_line(done: Done) -> str:
    """The last line that a command printed."""
    lines = (done.output + done.errors).strip().splitlines()
    return lines[-1] if lines else f"exit status {done.status}"


def main(root: Path = ROOT, run: Run = run_command) -> int:
    """Print what is missing: 0 if it is nothing, 1 otherwise."""
    found = missing(root, run)
    for sentence in found:
        print(f"- {sentence}")
    if found:
        print(f"{len(found)} missing; docs/release.md has the whole checklist.")
        return 1
    commit = run(["git", "rev-parse", "--short", "HEAD"], root).output.strip()
    print(
        f"Complete: tag {commit} as v{project(root)['version']} if .ci/run passes for it."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
