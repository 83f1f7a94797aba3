"""The output of `sam build` runs alone, has nothing needless, and is reproducible."""

from __future__ import annotations

import marshal
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib.metadata import distributions
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType

import boto3
import pytest
import yaml

from local.cloud import own_environment
from local.sam import overrides
from release.package import write_artefacts, write_zip
from tests.template.cloudformation import ROOT

RUNTIME = f"python3.{sys.version_info.minor}"
MACHINE = platform.machine().lower().replace("aarch64", "arm64")
ARCHITECTURE = "arm64" if MACHINE == "arm64" else "x86_64"
LAYERS = {"DependenciesLayer": "dependencies", "CoreLayer": "core"}
"""The folder of each layer in the source."""

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
        env={**own_environment(), "SAM_CLI_TELEMETRY": "0", **environment},
        check=True,
        capture_output=True,
        umask=umask,
    )
    return target


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built stack."""
    return sam_build(ROOT, tmp_path_factory.mktemp("build"))


def run_recipe(
    layer: str, folder: Path, architecture: str = ARCHITECTURE, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    """
    Build a layer as `sam build --use-container` does, into *folder*/artifacts.

    The container has the layer's source and one folder of layers/runtimes, but not the repository.
    """
    shutil.copytree(ROOT / "layers" / LAYERS[layer], folder / "source")
    manifest = ROOT / "layers/runtimes" / RUNTIME / architecture
    shutil.copytree(manifest, folder / "manifest")
    make = shutil.which("make")
    assert make is not None
    environment = own_environment()
    return subprocess.run(
        [make, "--makefile", str(folder / "manifest/Makefile"), f"build-{layer}"],
        cwd=folder / "source",
        env={
            **environment,
            "PATH": environment["PATH"] if path is None else path,
            "ARTIFACTS_DIR": str(folder / "artifacts"),
        },
        check=False,
        capture_output=True,
        text=True,
    )


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


def compiled_packages(layer: Path) -> list[Path]:
    """The compiled modules in a built layer."""
    return sorted((layer / "python").rglob("*.so"))


def test_compiled_packages_fit_the_runtime_and_the_architecture(built: Path) -> None:
    """Wheels for another Python fail to import in Lambda."""
    compiled = list((built / "DependenciesLayer/python/pydantic_core").glob("*.so"))

    tag = RUNTIME.removeprefix("python").replace(".", "")
    machine = "aarch64" if ARCHITECTURE == "arm64" else "x86_64"
    assert [file.name for file in compiled] == [
        f"_pydantic_core.cpython-{tag}-{machine}-linux-gnu.so"
    ]


@pytest.mark.parametrize(
    ("architecture", "machine"), [("arm64", "aarch64"), ("x86_64", "x86_64")]
)
def test_any_machine_builds_for_both_architectures(
    architecture: str, machine: str, tmp_path: Path
) -> None:
    """Most laptops do not have the function's processor."""
    done = run_recipe("DependenciesLayer", tmp_path, architecture)

    compiled = compiled_packages(tmp_path / "artifacts")
    assert done.returncode == 0, done.stderr
    assert compiled
    assert {file.name.split("-", 2)[2] for file in compiled} == {
        f"{machine}-linux-gnu.so"
    }


def test_compiled_packages_need_no_newer_glibc_than_the_runtime_has(
    built: Path,
) -> None:
    """Amazon Linux 2, under Python 3.11, has glibc 2.26; the later runtimes have 2.34."""
    versions = {
        int(version)
        for file in compiled_packages(built / "DependenciesLayer")
        for version in re.findall(rb"\0GLIBC_2\.(\d+)", file.read_bytes())
    }

    assert versions
    assert max(versions) <= (26 if RUNTIME == "python3.11" else 34)


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
    """The recipe unpacks wheels, and no wheel has modules that only pip can put in place."""
    layer = built / "DependenciesLayer/python"
    locked = (ROOT / "layers/dependencies/requirements.txt").read_text("utf-8")
    found = list(distributions(path=[str(layer)]))
    tops = {file.parts[0] for one in found for file in one.files or []}

    names = {f"{one.name.replace('_', '-')}=={one.version}" for one in found}
    assert names == set(re.findall(r"^\S+==\S+", locked, re.MULTILINE))
    assert {path.name for path in layer.iterdir()} - tops == {"__pycache__"}
    assert {path.name for path in layer.glob("*.data/*")} <= {"scripts"}


def test_the_core_layer_has_the_modules_of_the_core_and_nothing_else(
    built: Path,
) -> None:
    """Compiled files and notes of a developer's machine stay there."""
    source = ROOT / "layers/core"

    assert {
        path: content
        for path, content in files_of(built / "CoreLayer").items()
        if path.suffix != ".pyc"
    } == {
        Path("python") / path: content
        for path, content in files_of(source).items()
        if path.suffix in {".py", ".typed"}
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_each_module_has_bytecode_that_python_does_not_check(
    layer: str, built: Path
) -> None:
    """Lambda's layers are read-only, so each cold start would compile modules without it."""
    modules = (built / layer).rglob("*.py")
    compiled = set((built / layer).rglob("*.pyc"))

    # PEP 552: the version of the bytecode, then flags: 1 is "by hash", 2 is "check the source".
    headers = {file.read_bytes()[:8] for file in compiled}
    assert headers == {MAGIC_NUMBER + (1).to_bytes(4, "little")}
    assert compiled == {bytecode(module) for module in modules}


@pytest.mark.parametrize("layer", LAYERS)
def test_bytecode_names_the_files_as_they_are_on_lambda(
    layer: str, built: Path
) -> None:
    """Tracebacks show the lines of the source, and no folder of the machine that built it."""
    named = {
        module: set(file_names(marshal.loads(bytecode(module).read_bytes()[16:])))  # noqa: S302  # our own build
        for module in (built / layer).rglob("*.py")
    }

    assert named == {
        module: {str("/opt" / module.relative_to(built / layer))} for module in named
    }


def bytecode(module: Path) -> Path:
    """The file with the bytecode of a module."""
    return Path(cache_from_source(str(module), optimization=""))


def file_names(code: CodeType) -> Iterator[str]:
    """The name of the source in each code object of a module."""
    yield code.co_filename
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from file_names(constant)


def test_the_functions_start_from_the_bytecode(built: Path, tmp_path: Path) -> None:
    """Python would read the sources if they were newer, or if the bytecode did not fit."""
    copy = tmp_path / "build"
    shutil.copytree(built, copy)
    for layer in LAYERS:
        for module in (copy / layer).rglob("*.py"):
            module.write_text("raise ImportError('read from the source')")

    assert run_in_the_layers(copy, "import handler; print('started')") == ["started"]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_build_without_the_python_of_the_runtime_says_what_is_missing(
    layer: str, tmp_path: Path
) -> None:
    """The message is in what `sam build` prints of a failed make."""
    done = run_recipe(layer, tmp_path, path=str(tmp_path / "nothing"))

    assert done.returncode != 0
    assert f"The layers need {RUNTIME}" in done.stderr
    assert "--use-container" in done.stderr
    assert "PythonRuntime" in done.stderr


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
    checkout = tmp_path / "another $HOME 옷 checkout"
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
        MAKEFLAGS="-- PYTHON=python3.99",
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
