"""Builds and deploys the template with sam."""

from __future__ import annotations

import fcntl
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local.cloud import PROGRAMS, ROOT, Access, own_environment
from local.processes import LocalError, private_directory

BUILDS = ROOT / ".local/build"


def build(directory: Path) -> Path:
    """
    Build the template for this machine's Python into `directory`, and return the built template.

    A lock allows one build at a time, because all builds of a checkout share a cache of the
    third-party packages, which take most of the time.

    Raises:
        LocalError: The command sam failed; the message has its output.
    """
    target = directory / "build"
    BUILDS.mkdir(parents=True, exist_ok=True)
    with (BUILDS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sam(
            "build",
            "--build-dir",
            str(BUILDS / "stack"),
            "--cached",
            "--cache-dir",
            str(BUILDS / "cache"),
            "--parameter-overrides",
            overrides(runtime()),
            directory=directory,
            env=own_environment(),
        )
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(BUILDS / "stack", target, symlinks=True)
    return target / "template.yaml"


def deploy(
    template: Path,
    access: Access,
    parameters: Mapping[str, str],
    *,
    stack_name: str = "hangtag",
) -> None:
    """
    Deploy a built template as the stack of this name.

    Raises:
        LocalError: The command sam failed; the message has its output.
    """
    sam(
        "deploy",
        "--template-file",
        str(template),
        "--stack-name",
        stack_name,
        "--parameter-overrides",
        overrides({**runtime(), **parameters}),
        directory=template.parent.parent,
        env=access.environment(),
    )


def sam(command: str, *arguments: str, directory: Path, env: Mapping[str, str]) -> None:
    """
    Run a sam command with the settings of samconfig.toml for the local cloud.

    Raises:
        LocalError: The command failed; the message has its output.
    """
    program = str(PROGRAMS / "sam")
    settings = ["--config-env", "local", "--config-file", str(ROOT / "samconfig.toml")]
    log = directory / f"sam-{command}.log"
    private_directory(directory)
    with log.open("w") as output:
        done = subprocess.run(
            [program, command, *settings, *arguments],
            check=False,
            cwd=ROOT,
            env={
                **env,
                "SAM_CLI_TELEMETRY": "0",
                # The folder for sam's own files, instead of the developer's home.
                "__SAM_CLI_APP_DIR": str(directory / "sam"),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        printed = log.read_text(errors="replace")
        raise LocalError(f"sam {command} failed with {done.returncode}:\n{printed}")


def runtime() -> dict[str, str]:
    """Return the stack's parameters for this machine and this Python."""
    machine = platform.machine().lower()
    return {
        "PythonRuntime": f"python3.{sys.version_info.minor}",
        "Architecture": "arm64" if machine in ("arm64", "aarch64") else "x86_64",
    }


def overrides(parameters: Mapping[str, str]) -> str:
    """Format parameters for sam's option --parameter-overrides."""
    return " ".join(f"{name}={value}" for name, value in parameters.items())
