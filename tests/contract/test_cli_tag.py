"""`hangtag tag` against the sandbox, without AWS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw

from hangtag_cli.asking import MAX_IMAGE_BYTES
from hangtag_cli.main import cli
from hangtag_sandbox.server import serve

KEY = "key-of-the-tests"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The sandbox's base URL; the environment has it and the key, but no AWS credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with serve(port=0, key=KEY) as url:
        monkeypatch.setenv("HANGTAG_TAGGER_API_URL", f"{url}/tagger/v2.12/tags")
        monkeypatch.setenv("HANGTAG_API_KEY", KEY)
        yield url


@pytest.fixture
def dress(tmp_path: Path) -> Path:
    """A picture of a red garment."""
    picture = Image.new("RGB", (200, 300), "white")
    ImageDraw.Draw(picture).rectangle((50, 60, 150, 260), fill=(200, 20, 30))
    file = tmp_path / "red dress.png"
    picture.save(file)
    return file


def tag(*arguments: object) -> Result:
    """Runs `hangtag tag`."""
    return CliRunner(mix_stderr=False).invoke(cli, ["tag", *map(str, arguments)])


def lines(shown: Result) -> list[dict[str, object]]:
    """The JSON lines on stdout."""
    return [json.loads(line) for line in shown.stdout.splitlines()]


def test_an_answer_is_printed_with_its_file(api: str, dress: Path) -> None:
    """One line per file, with the API's names."""
    assert api

    shown = tag("--json", dress)

    assert (shown.exit_code, shown.stderr) == (0, "")
    (line,) = lines(shown)
    assert (line["file"], line["status"]) == (str(dress), "TAGGED")
    assert set(line) == {
        "file",
        "status",
        "objects",
        "notMatchedObject",
        "genderInfo",
        "imageInfo",
    }
    assert line["objects"]


def test_people_see_a_table(api: str, dress: Path) -> None:
    """With the colour of the picture."""
    assert api

    shown = tag(dress)

    assert shown.exit_code == 0
    assert "red dress.png" in shown.stdout
    assert "colours" in shown.stdout
    assert "red " in shown.stdout.partition("colours")[2]


def test_a_file_that_fails_does_not_stop_the_others(
    api: str, tmp_path: Path, dress: Path
) -> None:
    """The exit status is 1."""
    assert api
    text = tmp_path / "prices.jpg"
    text.write_text("shirt;9.90")
    empty = tmp_path / "empty.jpg"
    empty.touch()

    shown = tag("--json", text, empty, dress)

    assert shown.exit_code == 1
    assert [line["status"] for line in lines(shown)] == ["FAILED", "FAILED", "TAGGED"]
    failure = lines(shown)[0]["failure"]
    assert isinstance(failure, dict)
    assert failure["code"] == "UNSUPPORTED_FORMAT"
    assert failure["kind"] == "permanent"
    assert failure["format"] == "text"
    assert failure["message"].endswith("prices.jpg is text; upload a picture")


def test_a_file_that_is_too_large_is_not_sent(
    api: str, tmp_path: Path, dress: Path
) -> None:
    """The limit is that of a stack with default parameters."""
    assert api
    large = tmp_path / "large.png"
    large.write_bytes(dress.read_bytes())
    with large.open("r+b") as stream:
        stream.truncate(MAX_IMAGE_BYTES + 1)

    shown = tag("--json", large)

    assert shown.exit_code == 1
    assert '"IMAGE_TOO_LARGE"' in shown.stdout


def test_a_refused_key_is_a_failure_with_advice(
    api: str, dress: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key itself is not shown."""
    assert api
    monkeypatch.setenv("HANGTAG_API_KEY", "another-key")

    shown = tag(dress)

    assert shown.exit_code == 1
    assert "609" in shown.stdout
    assert "hangtag key set" in shown.stdout
    assert "another-key" not in shown.output


def test_options_override_the_environment(
    api: str, dress: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """URL, language, and detection."""
    monkeypatch.setenv("HANGTAG_TAGGER_API_URL", "https://api.example.com/tags")
    monkeypatch.setenv("HANGTAG_LANGUAGE", "en")

    shown = tag(
        *("--json", "--url", f"{api}/tagger/v2.12/tags"),
        *("--language", "ko", "--detection", "hat"),
        dress,
    )

    (line,) = lines(shown)
    assert shown.exit_code == 0
    assert line["objects"] == []
    assert "레드" in json.dumps(line["notMatchedObject"], ensure_ascii=False)


def test_the_key_may_be_json_as_in_the_secret(
    api: str, dress: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret's value can be copied."""
    assert api
    monkeypatch.setenv("HANGTAG_API_KEY", json.dumps({"apiKey": KEY}))

    assert tag("--json", dress).exit_code == 0


def test_an_api_that_is_not_there_is_a_failure(
    dress: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the URL; the call is not retried."""
    monkeypatch.setenv("HANGTAG_API_KEY", KEY)

    shown = tag("--json", "--url", "http://127.0.0.1:1/tags", dress)

    (line,) = lines(shown)
    assert shown.exit_code == 1
    assert isinstance(line["failure"], dict)
    assert line["failure"]["code"] == "API_UNREACHABLE"
    assert "http://127.0.0.1:1/tags" in line["failure"]["message"]


def test_a_file_name_that_is_not_utf_8_is_printed(
    api: str, tmp_path: Path, dress: Path
) -> None:
    """Old archives hold such names."""
    assert api
    file = tmp_path / os.fsdecode(b"dr\xe9ss.png")
    file.write_bytes(dress.read_bytes())

    shown = tag("--json", file)

    assert shown.exit_code == 0
    assert lines(shown)[0]["file"] == str(tmp_path / "dr\ufffdss.png")
