"""The output of `sam build` runs without other installed packages."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import boto3
import pytest

from tests.template.cloudformation import ROOT

RUNTIME = f"python3.{sys.version_info.minor}"
MACHINE = platform.machine().lower().replace("aarch64", "arm64")
ARCHITECTURE = "arm64" if MACHINE == "arm64" else "x86_64"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the stack for the Python that runs the tests."""
    target = tmp_path_factory.mktemp("build")
    subprocess.run(
        [
            str(Path(sys.executable).with_name("sam")),
            "build",
            "--config-env=local",
            f"--build-dir={target}",
            f"--parameter-overrides=PythonRuntime={RUNTIME} Architecture={ARCHITECTURE}",
        ],
        cwd=ROOT,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0"},
        check=True,
        capture_output=True,
    )
    return target


def test_compiled_packages_fit_the_runtime_and_the_architecture(built: Path) -> None:
    """Wheels for another Python fail to import in Lambda."""
    compiled = list((built / "DependenciesLayer/python/pydantic_core").glob("*.so"))

    tag = RUNTIME.removeprefix("python").replace(".", "")
    machine = "aarch64" if ARCHITECTURE == "arm64" else "x86_64"
    assert [file.name for file in compiled] == [
        f"_pydantic_core.cpython-{tag}-{machine}-linux-gnu.so"
    ]


def test_the_handler_and_the_core_import_from_the_layers_alone(built: Path) -> None:
    """The process has an empty environment, the layers and the runtime's boto3."""
    program = (
        "import importlib, pkgutil, hangtag, handler, pydantic, requests\n"
        "import aws_lambda_powertools\n"
        "for found in pkgutil.walk_packages(hangtag.__path__, 'hangtag.'):\n"
        "    importlib.import_module(found.name)\n"
        "for module in (hangtag, pydantic, requests, aws_lambda_powertools):\n"
        "    print(module.__file__)\n"
    )
    layers = [
        built / "TagUploads",
        built / "CoreLayer/python",
        built / "DependenciesLayer/python",
    ]
    runtime = Path(boto3.__file__).parents[1]  # last on the path, as in Lambda

    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
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
    places = [Path(line) for line in done.stdout.splitlines()]
    assert [place.is_relative_to(built) for place in places] == [True] * 4
