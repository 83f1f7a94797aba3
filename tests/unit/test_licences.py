"""The licences of all locked packages are known, allowed and listed in docs/licences.md."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path

import pytest

from docs.generate_licences import (
    ELSEWHERE,
    IN_THE_LAYER,
    LAYER,
    READ,
    Package,
    allowed,
    environments,
    installed,
    licence_of,
    on_the_page,
    packages,
    page,
    refused,
)
from tests.builders import REPOSITORY

MIT = "Classifier: License :: OSI Approved :: MIT License"
PAGE = (REPOSITORY / "docs/licences.md").read_text("utf-8")


def package(licence: str, lock: str) -> Package:
    """A locked package with a licence."""
    return Package("thing", "1.0", licence, (lock,))


def test_the_page_lists_each_locked_package_with_the_licence_of_its_metadata() -> None:
    """To update it: `.venv/bin/python docs/generate_licences.py`, and copy the output."""
    known = {**on_the_page(PAGE), **installed(environments())}

    assert page(packages(known)) == PAGE


def test_every_locked_package_has_a_licence_that_is_allowed_where_it_is_used() -> None:
    """A new package with another licence needs a decision, not a surprise."""
    assert refused(packages(on_the_page(PAGE))) == []


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "AGPL-3.0-only", "MIT AND SSPL"])
def test_an_unlisted_licence_is_refused(licence: str) -> None:
    """The message names the package, the licence and the lock file."""
    [sentence] = refused([package(licence, "requirements/dev.txt")])

    assert sentence == f"thing 1.0 ({licence}) must not be in requirements/dev.txt"


def test_the_layer_is_judged_more_strictly_than_the_tools() -> None:
    """Hangtag ships the layer; pip installs the tools from the index."""
    assert refused([package("Artistic-1.0-Perl", "requirements/dev.txt")]) == []
    assert refused([package("Artistic-1.0-Perl", LAYER)]) != []


def test_one_allowed_licence_of_a_choice_is_enough() -> None:
    """`AND` needs all, `OR` one of its sides."""
    assert allowed("MIT OR GPL-3.0-only", IN_THE_LAYER)
    assert not allowed("MIT AND GPL-3.0-only", IN_THE_LAYER)
    assert allowed("MIT AND Apache-2.0 OR GPL-3.0-only", IN_THE_LAYER)


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: MIT", "MIT"),
        (MIT, "MIT"),
        ("License: Apache License 2.0", "Apache-2.0"),
        ("License: BSD", None),
        ("Classifier: License :: OSI Approved :: BSD License", None),
        ("Summary: no licence", None),
        (f"{MIT}\nLicense: MIT\nClassifier: License :: Apache Software License", None),
    ],
)
def test_unclear_metadata_are_not_guessed(
    tmp_path: Path, metadata: str, licence: str | None
) -> None:
    """A person reads the licence file then, and adds the package to the list."""
    folder = tmp_path / "thing-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: thing\nVersion: 1.0\n{metadata}\n"
    )

    assert licence_of(Distribution.at(folder)) == licence


def test_a_package_without_a_known_licence_names_the_way_out() -> None:
    """A locked package that is nowhere installed cannot be listed."""
    with pytest.raises(LookupError, match=r"annotated-types .* is not installed"):
        packages({})


def test_packages_whose_licence_file_was_read_are_still_locked() -> None:
    """An exception that nothing needs is removed."""
    names = {name for name, _version in on_the_page(PAGE)}

    assert set(READ) <= names
    assert set(IN_THE_LAYER) <= set(ELSEWHERE)
