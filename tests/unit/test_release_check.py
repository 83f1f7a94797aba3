"""`make release-check` names everything that is missing for a tag, with the way out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from release.check import FILES, PRINTED, PYTHON, REWRITTEN, Done, main, run_command
from tests.builders import REPOSITORY

PROJECT = '[project]\nname = "thing"\nversion = "1.2.3"\nlicense = "Apache-2.0"\n'
TEMPLATE = """\
Metadata:
  AWS::ServerlessRepo::Application:
    SpdxLicenseId: Apache-2.0
    SemanticVersion: 1.2.3
"""
CHANGELOG = "# Changelog\n\n## 1.2.3 - 2026-11-29\n\n- Everything.\n"
LICENCE = "Apache License\n...\nEND OF TERMS AND CONDITIONS\n"
SUMS = "0000  TagUploads.zip\n"

Answer = Callable[[Path], Done]
LOCK = ("make", "lock")
PACKAGE = (PYTHON, "-m", "release.package")
COST_PAGE = (PYTHON, "-m", "benchmarks.cost_page")


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, without the developer's settings."""
    person = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    done = run_command(
        ["git", *person, "-c", "commit.gpgsign=false", *arguments], folder
    )
    assert done.status == 0, done.errors


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose commit has everything that a release needs."""
    root = tmp_path_factory.mktemp("complete")
    contents = {name: f"{name}\n" for name in (*FILES, *PRINTED)}
    contents |= {
        name.replace("schemas/", "schemas/published/"): f"{name}\n"
        for name in PRINTED
        if name.startswith("events/schemas/")
    }
    contents |= {
        "requirements/dev.in": "thing\n",
        "requirements/dev.txt": "thing==1\n",
        "pyproject.toml": PROJECT,
        "template.yaml": TEMPLATE,
        "CHANGELOG.md": CHANGELOG,
        "LICENSE": LICENCE,
    }
    for name, content in contents.items():
        write(root, name, content)
    git(root, "init", "--quiet")
    commit(root)
    return root


@pytest.fixture
def checkout(complete: Path, tmp_path: Path) -> Path:
    """A copy of the complete repository."""
    return shutil.copytree(complete, tmp_path / "checkout")


def write(root: Path, name: str, content: str) -> None:
    """Write a file of the checkout."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content, "utf-8")


def commit(root: Path) -> None:
    """Commit all files."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A change")


def checked(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    answers: Mapping[tuple[str, ...], Answer] | None = None,
) -> tuple[int, list[str]]:
    """The exit status and the lines of a check in which each command succeeds, or answers."""
    pages = {(PYTHON, *arguments): name for name, arguments in PRINTED.items()}
    usual: dict[tuple[str, ...], Answer] = {PACKAGE: lambda _: Done(0, SUMS, "")}

    def run(command: Sequence[str], folder: Path) -> Done:
        words = tuple(command)
        if (answer := {**usual, **(answers or {})}.get(words)) is not None:
            return answer(folder)
        if words in pages:
            return Done(0, (folder / pages[words]).read_text("utf-8"), "")
        if words[:2] == ("git", "clone"):
            return Done(0, "", "")
        return run_command(words, folder) if words[0] == "git" else Done(0, "", "")

    status = main(root, run)
    return status, capsys.readouterr().out.splitlines()


def test_a_complete_commit_may_be_tagged(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line says what remains: CI for this commit."""
    status, [line] = checked(checkout, capsys)

    assert status == 0
    assert line.startswith("Complete: tag ")
    assert line.endswith(" as v1.2.3 if .ci/run passes for it.")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Also one that the other checks read."""
    (checkout / name).unlink()
    commit(checkout)

    status, lines = checked(checkout, capsys)

    assert status == 1
    assert lines[0].startswith(f"- {name} is missing: ")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "pyproject.toml",
            PROJECT.replace("1.2.3", "1.2"),
            "not semantic: write it as 1.2.3",
        ),
        (
            "pyproject.toml",
            PROJECT.replace("1.2.3", "1.3.0"),
            "SemanticVersion in template.yaml is 1.2.3: set it to 1.3.0",
        ),
        ("template.yaml", "{}\n", "SemanticVersion in template.yaml is missing"),
        ("pyproject.toml", PROJECT.replace("Apache-2.0", "MIT"), "set license ="),
        (
            "template.yaml",
            TEMPLATE.replace("Apache-2.0", "MIT"),
            "set SpdxLicenseId to Apache-2.0",
        ),
        ("LICENSE", "Apache License\n", "LICENSE is not the whole text"),
        ("CHANGELOG.md", "# Changelog\n", "no newest section `## 1.2.3 - YYYY-MM-DD`"),
        (
            "CHANGELOG.md",
            CHANGELOG.replace("1.2.3 - 2026-11-29", "1.2.3"),
            "no newest section `## 1.2.3 - YYYY-MM-DD`",
        ),
        (
            "CHANGELOG.md",
            "# Changelog\n\n## 1.2.4 - 2026-12-01\n\n- New.\n\n## 1.2.3 - 2026-11-29\n\n- Old.\n",
            "no newest section `## 1.2.3 - YYYY-MM-DD`",
        ),
        (
            "CHANGELOG.md",
            CHANGELOG.replace("- Everything.\n", ""),
            "section 1.2.3 of CHANGELOG.md is empty",
        ),
        (
            "CHANGELOG.md",
            CHANGELOG.replace("## 1.2.3", "## Unreleased\n\n- New.\n\n## 1.2.3"),
            "unreleased entries: move them to the section",
        ),
    ],
)
def test_what_contradicts_the_version_or_the_licence_is_named(
    checkout: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str,
    words: str,
) -> None:
    """pyproject.toml has the version; the template and the changelog repeat it."""
    write(checkout, name, content)
    commit(checkout)

    status, lines = checked(checkout, capsys)

    assert status == 1
    assert any(words in line for line in lines), lines


@pytest.mark.parametrize("is_there", [True, False])
def test_a_schema_that_is_not_published_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str], *, is_there: bool
) -> None:
    """What consumers of the release rely on would not be compared with later changes."""
    name = "events/schemas/hangtag.image.tagged.v1.json"
    published = "events/schemas/published/hangtag.image.tagged.v1.json"
    if is_there:
        write(checkout, published, "that of the release before\n")
    else:
        (checkout / published).unlink()
    commit(checkout)

    status, lines = checked(checkout, capsys)

    assert status == 1
    assert f"- {name} is not published: copy it to events/schemas/published." in lines


def test_an_empty_section_for_unreleased_changes_is_fine(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the place for the next change."""
    write(
        checkout,
        "CHANGELOG.md",
        CHANGELOG.replace("## 1.2.3", "## Unreleased\n\n## 1.2.3"),
    )
    commit(checkout)

    assert checked(checkout, capsys)[0] == 0


def test_a_version_that_is_tagged_already_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tag never moves."""
    git(checkout, "tag", "v1.2.3")

    status, lines = checked(checkout, capsys)

    assert status == 1
    assert lines[0] == (
        "- The tag v1.2.3 exists: set the next version in pyproject.toml."
    )


@pytest.mark.parametrize("name", ["README.md", "new.txt"])
def test_changes_that_are_not_committed_are_named(
    checkout: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The tag would not have them."""
    write(checkout, name, "changed\n")

    status, lines = checked(checkout, capsys)

    assert status == 1
    assert f"not committed ({name}): commit or remove them" in lines[0]


@pytest.mark.parametrize("name", PRINTED)
def test_an_outdated_page_is_named_with_its_program(
    checkout: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The way out is the command that prints the page."""
    command = (PYTHON, *PRINTED[name])

    status, lines = checked(checkout, capsys, {command: lambda _: Done(0, "new\n", "")})

    assert status == 1
    assert lines[0].startswith(f"- {name} is outdated: write the output of `python ")


@pytest.mark.parametrize(
    ("command", "name"),
    [(LOCK, "requirements/dev.txt"), (COST_PAGE, "README.md")],
)
def test_a_file_that_its_program_changes_is_named(
    checkout: Path,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    name: str,
) -> None:
    """Lock files and pages with generated parts; no other command is blamed."""

    def answer(folder: Path) -> Done:
        write(folder, name, "new\n")
        return Done(0, "", "")

    status, lines = checked(checkout, capsys, {command: answer})

    words = " ".join(command).replace(PYTHON, "python")
    assert status == 1
    assert lines[:-1] == [
        f"- `{words}` changed {name}: read the changes, and commit them."
    ]


def test_lock_files_that_could_not_be_checked_are_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the package index, nobody knows."""
    offline = Done(2, "", "error: could not connect\n")

    status, lines = checked(checkout, capsys, {LOCK: lambda _: offline})

    assert status == 1
    assert lines[0] == (
        "- `make lock` failed, so its files are unchecked: error: could not connect"
    )


def test_builds_that_differ_are_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two clones have different paths."""

    def answer(folder: Path) -> Done:
        return Done(0, f"{folder.name}  CoreLayer.zip\n{SUMS}", "")

    status, lines = checked(checkout, capsys, {PACKAGE: answer})

    assert status == 1
    assert lines[0].startswith("- Two builds of the commit differ in CoreLayer.zip: ")


def test_a_build_that_fails_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is ignored by git is missing in the clone."""
    broken = Done(1, "", "error: sam build failed\n")

    status, lines = checked(checkout, capsys, {PACKAGE: lambda _: broken})

    assert status == 1
    assert lines[0] == (
        "- `make package` fails in a fresh clone: error: sam build failed"
    )


def test_a_missing_lock_file_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each list of packages has one."""
    (checkout / "requirements/dev.txt").unlink()

    status, lines = checked(checkout, capsys)

    assert status == 1
    assert lines[0] == "- requirements/dev.txt is missing: `make lock` writes it."


def test_every_generator_of_the_repository_is_checked() -> None:
    """A new one has to be added to the check."""
    generators = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "docs").glob("generate_*.py")
    }
    commands = [*PRINTED.values(), *REWRITTEN]

    assert generators <= {word for command in commands for word in command}


def test_the_checks_of_a_folder_that_is_no_checkout_stop(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An archive has no commit to tag."""
    shutil.rmtree(checkout / ".git")

    with pytest.raises(SystemExit, match="git status failed"):
        checked(checkout, capsys)
