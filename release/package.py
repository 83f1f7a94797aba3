"""
`make package`: builds the stack and writes the artefacts of a release to dist.

    dist/template.yaml      the template; its CodeUri and ContentUri are the ZIP files
    dist/*.zip              one for each function and layer
    dist/LICENSE, README.md the pages that the Serverless Application Repository shows
    dist/SHA256SUMS         the hash of each file

Two builds of one commit with the same version of Python, 3.13.1 for example, give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from local.cloud import ROOT, own_environment
from local.processes import LocalError
from local.sam import overrides, runtime, sam

DIST = ROOT / "dist"
CODE = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
}
PAGES = ("LICENSE", "README.md")


def write_artefacts(built: Path, target: Path, parameters: dict[str, str]) -> None:
    """
    Write the artefacts of a built template to `target`, which is emptied before.

    `parameters` are those of the build: the packages fit only this Python and architecture, so the
    template of the release admits no others.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    template: dict[str, Any] = yaml.safe_load(built.read_text("utf-8"))
    for name, resource in sorted(template["Resources"].items()):
        if (code := CODE.get(resource["Type"])) is not None:
            folder = built.parent / resource["Properties"][code]
            write_zip(folder, target / f"{name}.zip")
            resource["Properties"][code] = f"{name}.zip"
    for name, value in parameters.items():
        template["Parameters"][name] |= {"Default": value, "AllowedValues": [value]}
    metadata = template["Metadata"]["AWS::ServerlessRepo::Application"]
    metadata |= {"LicenseUrl": "LICENSE", "ReadmeUrl": "README.md"}
    text = yaml.safe_dump(template, sort_keys=False, allow_unicode=True, width=120)
    (target / "template.yaml").write_text(text, "utf-8")
    for page in PAGES:
        (target / page).write_bytes((ROOT / page).read_bytes())
    sums = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(target.iterdir())
    ]
    (target / "SHA256SUMS").write_text("".join(sums), "utf-8")


def write_zip(folder: Path, target: Path) -> None:
    """
    Write the files of a folder to a ZIP file that depends only on their names and contents.

    sam's own ZIP files also depend on the order of the folder's entries on the disk and on the
    umask.
    """
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(file.relative_to(folder).as_posix())  # 1980
                entry.create_system = 3  # Unix, on every system
                entry.external_attr = 0o100644 << 16
                # Not compressed: the compressed bytes depend on the version of zlib.
                archive.writestr(entry, file.read_bytes(), zipfile.ZIP_STORED)


def build(directory: Path, parameters: dict[str, str]) -> Path:
    """
    Build the template into `directory` without a cache, and return the built template.

    Raises:
        LocalError: The command sam failed; the message has its output.
    """
    target = directory / "build"
    sam(
        "build",
        "--build-dir",
        str(target),
        "--parameter-overrides",
        overrides(parameters),
        directory=directory,
        env=own_environment(),
    )
    return target / "template.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the artefacts of this commit to dist."""
    parser = argparse.ArgumentParser("make package", description=main.__doc__)
    parser.add_argument("--architecture", choices=("arm64", "x86_64"), default="arm64")
    options = parser.parse_args(arguments)
    parameters = {**runtime(), "Architecture": options.architecture}
    with tempfile.TemporaryDirectory() as directory:
        try:
            write_artefacts(build(Path(directory), parameters), DIST, parameters)
        except LocalError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print((DIST / "SHA256SUMS").read_text("utf-8"), end="")
    print(
        f"dist is built for {options.architecture}, with Python {platform.python_version()}",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
