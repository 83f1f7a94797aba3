"""The output of `sam build` runs alone, has nothing needless, and is reproducible."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import boto3
import pytest
import yaml

from local.sam import overrides
from release.package import write_artefacts, write_zip
from tests.template.cloudformation import ROOT

RUNTIME = f"python3.{sys.version_info.minor}"
MACHINE = platform.machine().lower().replace("aarch64", "arm64")
ARCHITECTURE = "arm64" if MACHINE == "arm64" else "x86_64"


PARAMETERS = {"PythonRuntime": RUNTIME, "Architecture": ARCHITECTURE}


def sam_build(root: Path, target: Path, umask: int = -1, **environment: str) -> Path:
    """Build the stack in *root* for the Python that runs the tests."""
    subprocess.run(
        [
            str(Path(sys.executable).with_name("sam")),
            "build",
            "--config-env=local",
            f"--build-dir={target}",
            f"--parameter-overrides={overrides(PARAMETERS)}",
        ],
        cwd=root,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0", **environment},
        check=True,
        capture_output=True,
        umask=umask,
    )
    return target


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built stack."""
    return sam_build(ROOT, tmp_path_factory.mktemp("build"))


def run_in_the_layers(built: Path, program: str) -> list[str]:
    """The lines that *program* prints with an empty environment, the layers and boto3."""
    layers = [
        built / "TagUploads",
        built / "CoreLayer/python",
        built / "DependenciesLayer/python",
    ]
    runtime = Path(boto3.__file__).parents[1]  # last on the path, as in Lambda
    done = subprocess.run(
        [sys.executable, "-S", "-B", "-c", program],
        env={
            "PYTHONPATH": os.pathsep.join(map(str, [*layers, runtime])),
            "PATH": sysconfig.get_path("scripts"),
        },
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_compiled_packages_fit_the_runtime_and_the_architecture(built: Path) -> None:
    """Wheels for another Python fail to import in Lambda."""
    compiled = list((built / "DependenciesLayer/python/pydantic_core").glob("*.so"))

    tag = RUNTIME.removeprefix("python").replace(".", "")
    machine = "aarch64" if ARCHITECTURE == "arm64" else "x86_64"
    assert [file.name for file in compiled] == [
        f"_pydantic_core.cpython-{tag}-{machine}-linux-gnu.so"
    ]


IMPORT_ALL = """
import importlib, pkgutil, sys, hangtag, handler
for found in pkgutil.walk_packages(hangtag.__path__, 'hangtag.'):
    importlib.import_module(found.name)
"""


def test_the_handler_and_the_core_import_from_the_layers_alone(built: Path) -> None:
    """The process has an empty environment, the layers and the runtime's boto3."""
    program = IMPORT_ALL + (
        "import aws_lambda_powertools, pydantic, urllib3\n"
        "for module in (hangtag, pydantic, urllib3, aws_lambda_powertools):\n"
        "    print(module.__file__)\n"
    )

    places = map(Path, run_in_the_layers(built, program))

    assert [place.is_relative_to(built) for place in places] == [True] * 4


def test_the_code_imports_every_distribution_in_the_layer(built: Path) -> None:
    """A package that nothing imports is only a way in."""
    layer = built / "DependenciesLayer/python"
    program = IMPORT_ALL + (
        "for module in list(sys.modules.values()):\n"
        "    print(getattr(module, '__file__', None))\n"
    )

    imported = set(run_in_the_layers(built, program))

    unused = [
        found.name
        for found in distributions(path=[str(layer)])
        if not imported & {str(layer / file) for file in found.files or []}
    ]
    assert unused == []


def test_the_layer_has_the_locked_distributions_and_nothing_else(built: Path) -> None:
    """`sam build` copies the two lists beside them."""
    layer = built / "DependenciesLayer/python"
    locked = (ROOT / "layers/dependencies/requirements.txt").read_text("utf-8")
    found = list(distributions(path=[str(layer)]))
    tops = {file.parts[0] for one in found for file in one.files or []}

    names = {f"{one.name.replace('_', '-')}=={one.version}" for one in found}
    assert names == set(re.findall(r"^\S+==\S+", locked, re.MULTILINE))
    assert {path.name for path in layer.iterdir()} - tops == {
        "requirements.in",
        "requirements.txt",
    }


def test_the_core_layer_has_the_modules_of_the_core_and_nothing_else(
    built: Path,
) -> None:
    """Compiled files and notes of a developer's machine stay there."""
    source = ROOT / "layers/core"

    assert files_of(built / "CoreLayer/python") == {
        path: content
        for path, content in files_of(source).items()
        if path.suffix in {".py", ".typed"}
    }


def files_of(folder: Path) -> dict[Path, bytes]:
    """The contents of all files of a folder, by relative path."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_builds_of_one_commit_have_the_same_bytes(
    built: Path, tmp_path: Path
) -> None:
    """Anyone can check what a release was built from."""
    checkout = tmp_path / "another checkout"
    for name in ("template.yaml", "samconfig.toml", "functions", "layers"):
        source, target = ROOT / name, checkout / name
        if source.is_dir():
            shutil.copytree(source, target, copy_function=shutil.copyfile)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
    for path in checkout.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    again = sam_build(
        checkout,
        tmp_path / "again",
        umask=0o077,
        PYTHONHASHSEED="7",
        LC_ALL="C",
        TZ="Asia/Seoul",
    )
    write_artefacts(built / "template.yaml", tmp_path / "first", PARAMETERS)
    write_artefacts(again / "template.yaml", tmp_path / "second", PARAMETERS)

    assert files_of(again) == files_of(built)
    first = files_of(tmp_path / "first")
    assert first == files_of(tmp_path / "second")
    assert {path.name for path in first} == {
        "CoreLayer.zip",
        "DependenciesLayer.zip",
        "IndexResults.zip",
        "LICENSE",
        "README.md",
        "ReplayFailures.zip",
        "SHA256SUMS",
        "TagUploads.zip",
        "template.yaml",
    }


def test_the_artefacts_admit_only_the_python_they_were_built_for(
    built: Path, tmp_path: Path
) -> None:
    """Packages for another Python fail to import in Lambda."""
    write_artefacts(built / "template.yaml", tmp_path, PARAMETERS)

    parameters = yaml.safe_load((tmp_path / "template.yaml").read_text("utf-8"))[
        "Parameters"
    ]
    assert {name: parameters[name]["AllowedValues"] for name in PARAMETERS} == {
        name: [value] for name, value in PARAMETERS.items()
    }


def test_a_zip_file_depends_only_on_names_and_contents(tmp_path: Path) -> None:
    """Those of sam depend on the umask and on the order of the entries on the disk."""
    for order, mode in (("ab", 0o600), ("ba", 0o755)):
        folder = tmp_path / order
        folder.mkdir()
        for name in order:
            (folder / name).write_text(name)
            (folder / name).chmod(mode)
        write_zip(folder, tmp_path / f"{order}.zip")

    first, second = (tmp_path / f"{order}.zip" for order in ("ab", "ba"))
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert [entry.filename for entry in archive.infolist()] == ["a", "b"]
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
