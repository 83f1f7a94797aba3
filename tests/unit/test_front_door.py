"""What people and machines meet first: installs, workflows, pages, metadata."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOWS = sorted((REPOSITORY / ".github/workflows").iterdir())
LOCKS = sorted(
    [
        *REPOSITORY.glob("requirements/*.txt"),
        *REPOSITORY.glob("layers/*/requirements.txt"),
    ]
)
EDITABLE = "--no-build-isolation --no-deps --editable ."


def text(path: Path | str) -> str:
    """The text of a file of the repository."""
    return (REPOSITORY / path).read_text("utf-8")


def workflow(path: Path) -> dict[str, Any]:
    """A workflow. YAML reads its key `on` as true; here it is a string again."""
    document: dict[str | bool, Any] = yaml.safe_load(text(path))
    return {"on" if key is True else str(key): value for key, value in document.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    """The steps of all jobs of a workflow."""
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


# Installs


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_each_locked_package_has_its_hashes_and_no_address(lock: Path) -> None:
    """A package that changes on the index is refused."""
    blocks = re.split(r"^(?=\S)", text(lock), flags=re.MULTILINE)
    packages = [block for block in blocks if block and not block.startswith("#")]

    assert packages
    for block in packages:
        assert re.match(r"[\w.-]+==\S+ ", block), block
        assert "--hash=sha256:" in block, block
        assert "://" not in block, block


def test_each_list_of_packages_has_a_lock_file_that_make_lock_writes() -> None:
    """The program that writes the lock files has one, too."""
    lists = [
        *REPOSITORY.glob("requirements/*.in"),
        *REPOSITORY.glob("layers/*/requirements.in"),
    ]

    # The sources of the test images are one file of one package, named by hand
    written = set(LOCKS) - {REPOSITORY / "requirements/corpus.txt"}
    assert {path.with_suffix(".txt") for path in lists} == written
    makefile = text("Makefile")
    for lock in written:
        assert f"--output-file {lock.relative_to(REPOSITORY)}" in makefile


def test_every_install_step_of_the_repository_is_with_hashes() -> None:
    """Except for the project itself, which the locked setuptools builds."""
    recipes = REPOSITORY.glob("layers/*/layer.mk")
    files = [REPOSITORY / "Makefile", *recipes, REPOSITORY / ".ci/run", *WORKFLOWS]
    installs = [
        line
        for path in files
        for line in text(path).replace("\\\n", " ").splitlines()
        if re.search(
            r"\bpip3? (install|download|wheel)\b|\buv (pip )?(install|tool|run|add)\b",
            line,
        )
    ]

    assert len(installs) >= 7
    assert [
        line
        for line in installs
        if "--require-hashes" not in line and EDITABLE not in line
    ] == []
    assert re.search(r"^setuptools==", text("requirements/dev.txt"), re.MULTILINE)


def test_programs_of_the_repository_install_nothing() -> None:
    """Only make does, so that the rules above hold for all."""
    found = [
        path.relative_to(REPOSITORY).as_posix()
        for folder in REPOSITORY.iterdir()
        if folder.is_dir() and not folder.name.startswith(".")
        for path in folder.rglob("*.py")
        if re.search(
            r'"pip3?",\s*"(install|download|wheel)"(?!,\s*"--help")', text(path)
        )
    ]

    assert found == []


# Workflows


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_with_the_version_beside_it(path: Path) -> None:
    """A tag can be moved to other code; the version tells people what the commit is."""
    uses = re.findall(r"uses: *(.*)", text(path))

    assert len(uses) == sum("uses" in step for step in steps(path)) > 0
    for line in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line), (
            line
        )


def test_one_action_has_one_commit() -> None:
    """Two workflows must not differ by accident."""
    pins = {re.sub("@.*", "", line): set[str]() for line in all_uses()}
    for line in all_uses():
        pins[re.sub("@.*", "", line)].add(line)

    assert {action: len(lines) for action, lines in pins.items()} == dict.fromkeys(
        pins, 1
    )


def all_uses() -> list[str]:
    """All pinned actions of all workflows."""
    return [
        line for path in WORKFLOWS for line in re.findall(r"uses: *(.*)", text(path))
    ]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_the_repository_and_nothing_else(path: Path) -> None:
    """It runs code of packages and of strangers' pull requests."""
    found = workflow(path)

    assert found["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in found["on"]
    assert "secrets." not in text(path)
    for job in found["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 90
    for step in steps(path):
        assert "${{" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    assert found["concurrency"]["cancel-in-progress"] is True


def test_every_push_to_main_is_checked() -> None:
    """A group keeps one waiting run; of a pull request only the last push counts."""
    group = yaml.safe_load(text(REPOSITORY / ".github/workflows/check.yml"))[
        "concurrency"
    ]["group"]

    assert "github.event_name == 'pull_request' && github.ref || github.sha" in group


def test_the_workflow_runs_what_ci_runs() -> None:
    """One list of checks, in .ci/run."""
    [check] = [path for path in WORKFLOWS if path.name == "check.yml"]

    assert [step["run"] for step in steps(check) if "run" in step] == [".ci/run"]
    assert set(workflow(check)["on"]) == {"push", "pull_request"}
    assert re.findall(r"^make .*", text(".ci/run"), re.MULTILINE) == [
        "make lint",
        "make test",
    ]


def test_the_audit_is_scheduled_and_no_part_of_the_checks() -> None:
    """New advisories and an index that does not answer say nothing about a change."""
    [audit] = [path for path in WORKFLOWS if path.name == "audit.yml"]

    assert [step["run"] for step in steps(audit) if "run" in step] == ["make audit"]
    assert set(workflow(audit)["on"]) == {"schedule", "workflow_dispatch"}
    makefile = text("Makefile")
    for target in ("lint", "test"):
        recipe = re.search(rf"^{target}:.*\n(\t.*\n)*", makefile, re.MULTILINE)
        assert recipe is not None
        assert "audit" not in recipe[0]


# Local tools


def test_pre_commit_runs_make_lint_and_fetches_no_code() -> None:
    """All hooks are in this repository."""
    [repository] = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]

    assert repository["repo"] == "local"
    assert [(hook["entry"], hook["language"]) for hook in repository["hooks"]] == [
        ("make lint", "system")
    ]


def test_make_help_lists_every_command() -> None:
    """A command without a description would not be found."""
    makefile = text("Makefile").replace("\\\n", " ")
    [phony] = re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE)
    listed = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)

    assert set(phony.split()) - {"environments", "linters"} == set(listed)
    assert max(map(len, listed)) <= 13  # the column's width


# Pages

PAGES = sorted(
    path
    for folder in (
        REPOSITORY,
        *(REPOSITORY / name for name in ("docs", ".github", "events", "examples")),
    )
    for path in (folder.glob("*.md") if folder == REPOSITORY else folder.rglob("*.md"))
)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)", prose, re.MULTILINE)
    names = [
        re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading))
        .strip()
        .lower()
        for heading in headings
    ]
    return {name.replace(" ", "-") for name in names}


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """A file of the repository, and a heading in it."""
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match("(https?|mailto):", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_security_names_each_attacker_with_what_they_can_and_cannot_do() -> None:
    """Each party of the table has a section."""
    page = text("SECURITY.md")
    attackers = re.search(r"^## Attackers\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    assert attackers is not None
    _, *sections = re.split(r"^### ", attackers[1], flags=re.MULTILINE)

    parties = re.findall(r"^\| \[.*?\]\(#(.*?)\)", page, re.MULTILINE)
    titles = [
        section.partition("\n")[0].lower().replace(" ", "-") for section in sections
    ]
    assert titles == parties
    assert [
        title
        for title, body in zip(titles, sections, strict=True)
        if "annot" not in body
    ] == []


def test_the_front_pages_exist_and_the_readme_leads_to_them() -> None:
    """Who comes for the licence or with a vulnerability looks there."""
    for name in ("LICENSE", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        assert f"({name})" in text("README.md")
    assert "(CODE_OF_CONDUCT.md)" in text("CONTRIBUTING.md")


# Metadata


def test_the_licence_is_the_whole_apache_2_0() -> None:
    """All other files name it by its SPDX identifier."""
    licence = text("LICENSE")

    assert licence.lstrip().startswith("Apache License\n")
    assert "Version 2.0, January 2004" in licence
    assert licence.count("\n") == 202
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]


def test_the_metadata_of_the_application_are_within_the_limits() -> None:
    """The limits of the Serverless Application Repository's CreateApplication."""
    section = re.search(
        r"^  AWS::ServerlessRepo::Application:\n((    .*\n)+)",
        text("template.yaml"),
        re.MULTILINE,
    )
    assert section is not None
    found = yaml.safe_load(section[1])

    assert found["SemanticVersion"] == PROJECT["version"]
    assert found["SpdxLicenseId"] == PROJECT["license"]
    assert re.fullmatch(r"[a-zA-Z0-9-]{1,140}", found["Name"])
    assert 1 <= len(found["Description"]) <= 256
    assert re.fullmatch(
        r"(?=.{1,127}$)[a-z0-9](([a-z0-9]|-(?!-))*[a-z0-9])?", found["Author"]
    )
    assert 1 <= len(found["Labels"]) <= 10
    assert all(
        re.fullmatch(r"[a-zA-Z0-9+\-_:/@]{1,127}", label) for label in found["Labels"]
    )
    # `sam deploy` would look for the two files beside a copied template; the package adds them.
    assert "LicenseUrl" not in found
    assert "ReadmeUrl" not in found


def test_roles_have_no_names_of_their_own() -> None:
    """Otherwise who deploys the application would have to accept CAPABILITY_NAMED_IAM."""
    assert not re.search(
        r"^ +(RoleName|ManagedPolicyName):", text("template.yaml"), re.MULTILINE
    )
