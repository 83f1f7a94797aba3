"""
Any file can be uploaded: the function and the sandbox survive Pillow's test images and monsters.

Each run is a process of its own, with a limit of memory and of CPU seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import REPOSITORY
from tests.contract.corpus_run import CORPUS, CPU_SECONDS, Outcome
from tests.monsters import MONSTERS, VALID, monsters

REFUSED_BY_THE_FUNCTION = {"EMPTY_IMAGE", "IMAGE_TOO_LARGE", "UNSUPPORTED_FORMAT"}
REFUSED_BY_THE_SANDBOX = {"805", "806", "807", "808"}
MODES = ("function", "sandbox")

Outcomes = dict[str, Outcome]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The monsters as files."""
    made = tmp_path_factory.mktemp("monsters")
    for name, content in monsters():
        (made / name).write_bytes(content)
    return made


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, Outcomes]:
    """What became of each image, by its name, in each mode."""
    if not CORPUS.exists():
        pytest.fail(f"There is no {CORPUS}: run `make corpus`, which fetches it.")
    return {mode: _run(mode, folder) for mode in MODES}


def _run(mode: str, folder: Path) -> Outcomes:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.contract.corpus_run", mode, str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * CPU_SECONDS,
    )
    outcomes = [Outcome(**json.loads(line)) for line in ended.stdout.splitlines()]
    last = outcomes[-1].name if outcomes else "none"
    assert ended.returncode == 0, f"ended after {last}: {ended.stderr[-2_000:]}"
    return {one.name: one for one in outcomes}


@pytest.mark.parametrize("mode", MODES)
def test_every_image_is_tagged_or_fails_with_the_code_of_its_fault(
    runs: dict[str, Outcomes], mode: str
) -> None:
    """No image is a bug of Hangtag, an unknown error or an open upload."""
    strange = [
        one
        for one in runs[mode].values()
        if (one.ended, one.code) != ("TAGGED", None)
        and not (one.ended == "FAILED" and one.code in REFUSED_BY_THE_FUNCTION)
        and not (one.ended == "FAILED" and one.code in REFUSED_BY_THE_SANDBOX)
    ]

    assert strange == []
    assert len(runs[mode]) > 1_000 + len(MONSTERS)


@pytest.mark.parametrize("mode", MODES)
def test_what_the_function_refuses_never_reaches_the_api(
    runs: dict[str, Outcomes], mode: str
) -> None:
    """A call costs money; all other images are sent, once."""
    for one in runs[mode].values():
        assert one.asked == (one.code not in REFUSED_BY_THE_FUNCTION), one


def test_the_sandbox_refuses_what_the_function_refuses(
    runs: dict[str, Outcomes],
) -> None:
    """The function reads the first bytes only, and must not refuse a good image."""
    for one in runs["sandbox"].values():
        if one.code in REFUSED_BY_THE_FUNCTION:
            expected = "809" if one.code == "IMAGE_TOO_LARGE" else "805"
            assert one.direct == expected, one


def test_rare_images_are_tagged(runs: dict[str, Outcomes]) -> None:
    """Protection against monsters does not refuse what cameras and programs write."""
    refused = [one for name in VALID if (one := runs["sandbox"][name]).code]

    assert refused == []
    assert sum(one.code is None for one in runs["sandbox"].values()) > 650


def test_a_colour_profile_is_not_taken_for_scans(runs: dict[str, Outcomes]) -> None:
    """A large profile has the two bytes of a scan's marker dozens of times, by chance."""
    assert runs["sandbox"]["icc_profile_big.jpg"].code is None
    assert runs["sandbox"]["JPEG of 1000 scans"].code == "805"


def test_the_function_needs_half_of_its_memory_at_most(
    runs: dict[str, Outcomes],
) -> None:
    """It holds an image, and neither its pixels nor its base64: of 512 MB, 256 stay free."""
    assert max(one.peak_mb for one in runs["function"].values()) < 256


def test_the_sandbox_needs_no_more_memory_than_documented(
    runs: dict[str, Outcomes],
) -> None:
    """The largest allowed picture takes 1.6 GB (`limits.GIANT_PIXELS`), and no file more."""
    assert max(one.peak_mb for one in runs["sandbox"].values()) < 1_700


@pytest.mark.parametrize("mode", MODES)
def test_no_image_takes_the_time_of_a_call(
    runs: dict[str, Outcomes], mode: str
) -> None:
    """A call ends after 30 seconds; the slowest image takes a few seconds of CPU."""
    slow = [one for one in runs[mode].values() if one.cpu_seconds > 30]

    assert slow == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("JPEG of tiny Exif segments", "805"),
        ("BMP of padded rows", "805"),
        ("JPEG of 1000 scans", "805"),
    ],
)
def test_a_file_that_would_take_too_long_is_refused_before_it_is_decoded(
    runs: dict[str, Outcomes], name: str, code: str
) -> None:
    """By what its bytes say, not by a clock."""
    assert runs["sandbox"][name].code == code
