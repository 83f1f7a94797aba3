"""The commands that `make up` prints."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import local.__main__ as commands
from local.garments import draw_garments


def test_the_printed_commands_name_a_picture_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new user copies them as they are."""
    run = tmp_path / ".local/run"
    stack = SimpleNamespace(
        sandbox=SimpleNamespace(url="http://127.0.0.1:8000"),
        uri=lambda key: f"s3://uploads/{key}",
    )
    replaced: dict[str, Any] = {
        "ROOT": tmp_path,
        "RUN": run,
        "running_stack": lambda _: None,
        "take_down": lambda _: False,
        "bring_up": lambda *_, **__: stack,
        "write_environment": lambda _: None,
        # The others take seconds
        "draw_garments": lambda folder: draw_garments(folder, count=2),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(commands, name, value)

    assert commands.up(argparse.Namespace(port=0, sandbox_port=0)) == 0

    lines = capsys.readouterr().out.splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line[:2] == "  "]
    put = next(line for line in words if line[:4] == ["python", "-m", "local", "put"])
    picture = put[4]
    assert (tmp_path / picture).is_file()
    assert Path(picture).parent == Path(".local/run/garments")
    uri = f"s3://uploads/{Path(picture).name}"
    assert ["hangtag", "results", "show", uri] in words
    assert ["hangtag", "tag", picture] in words
    assert ["aws", "s3", "cp", picture, uri] in [line[:5] for line in words]
