"""`make audit` against package indexes with advisories, without, and without an answer."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from release.audit import (
    Advisory,
    CouldNotLook,
    Package,
    advisories_of,
    audit,
    index_of_pip,
    lock_files,
    main,
)
from tests.builders import REPOSITORY

CLEAN = json.dumps({"info": {}, "vulnerabilities": []})
ADVISORY = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1", "GHSA-aaaa-bbbb-cccc"],
    "fixed_in": ["2.0"],
    "withdrawn": None,
}
LOCK = "thing==1.0 \\\n    --hash=sha256:00\nother-thing==3.1.post1\n    # via thing\n"
PLACES = ("/pypi/thing/1.0/json", "/pypi/other-thing/3.1.post1/json")


@contextmanager
def index(answers: Mapping[str, str]) -> Iterator[str]:
    """A package index on loopback, with an answer for each path; others are 404."""

    class Exchange(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path)
            self.send_response(404 if answer is None else 200)
            self.end_headers()
            self.wfile.write((answer or "").encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Exchange) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file with two packages."""
    file = tmp_path / "lock.txt"
    file.write_text(LOCK)
    return file


def audited(lock: Path, answers: Mapping[str, str]) -> int:
    """The exit status of an audit of the lock file against an index with these answers."""
    with index(answers) as url:
        return main(["--index", url, str(lock)])


def test_an_index_that_knows_all_packages_and_no_vulnerability(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only this says that there are none."""
    assert audited(lock, dict.fromkeys(PLACES, CLEAN)) == 0

    assert capsys.readouterr().out == "No known vulnerabilities in 2 packages.\n"


def test_a_vulnerability_is_named_with_its_fix(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Package, version, identifiers and the fixed version."""
    answer = json.dumps({"vulnerabilities": [ADVISORY]})

    assert audited(lock, {PLACES[0]: answer, PLACES[1]: CLEAN}) == 1

    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        "thing 1.0: PYSEC-2026-1, CVE-2026-1, GHSA-aaaa-bbbb-cccc; fixed in 2.0"
    )
    assert second.startswith("1 known vulnerabilities.")


def test_withdrawn_advisories_do_not_count(lock: Path) -> None:
    """The index keeps them with the time of their withdrawal."""
    answer = json.dumps(
        {"vulnerabilities": [{**ADVISORY, "withdrawn": "2026-01-01T00:00:00Z"}]}
    )

    assert audited(lock, {PLACES[0]: answer, PLACES[1]: CLEAN}) == 0


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "<html>",
        "[" * 100_000,
        "[]",
        "{}",
        '{"vulnerabilities": null}',
        '{"vulnerabilities": {}}',
        '{"vulnerabilities": [7]}',
        '{"vulnerabilities": [{"id": "a b\\u001b[2J"}]}',
        '{"vulnerabilities": [{"id": "A", "fixed_in": 7}]}',
    ],
)
def test_an_index_without_advisory_data_is_no_good_news(
    lock: Path, capsys: pytest.CaptureFixture[str], answer: str | None
) -> None:
    """A mirror that has no data for one package must not read as "none found"."""
    answers = {PLACES[1]: CLEAN} | ({} if answer is None else {PLACES[0]: answer})

    assert audited(lock, answers) == 3

    printed = capsys.readouterr().out
    assert printed.startswith(
        "Could not look: the index has no advisory data for 1 of 2 packages, such as thing 1.0"
    )
    assert "No known" not in printed
    assert printed.strip().isprintable()


def test_vulnerabilities_are_reported_beside_packages_without_data(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gap must not hide what was found."""
    answer = json.dumps({"vulnerabilities": [ADVISORY]})

    assert audited(lock, {PLACES[0]: answer}) == 1

    printed = capsys.readouterr().out
    assert "PYSEC-2026-1" in printed
    assert "Could not look" in printed


def test_an_index_that_does_not_answer(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No network is the usual case on a closed build machine."""
    with index({}) as url:
        pass  # now the port is closed

    assert main(["--index", url, str(lock)]) == 3
    assert "no connection" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["file:///simple", "https://example.com/packages"])
def test_an_index_whose_advisories_have_no_known_address(url: str) -> None:
    """The JSON API is beside `/simple`."""
    with pytest.raises(CouldNotLook, match=r"\.\.\./simple"):
        advisories_of(url, Package("thing", "1.0"))


@pytest.mark.parametrize(
    "url",
    [
        "https://build:secret-word@index.example.com/simple",
        "http://127.0.0.1:port/simple",
        "http://127.0.0.1:1 1/simple",
    ],
)
def test_an_index_that_cannot_be_asked_is_named_without_its_password(
    lock: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """A crash would end with the status of a vulnerability, and show the address."""
    assert main(["--index", url, str(lock)]) == 3

    shown = capsys.readouterr()
    assert "Could not look" in shown.out
    assert ("user name" in shown.out) == ("@" in url)
    assert "secret-word" not in shown.out + shown.err


def test_an_index_that_speaks_another_protocol_cannot_be_asked(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as a proxy that answers for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            for _ in PLACES:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"SSH-2.0-hello\r\n")

        thread = Thread(target=greet)
        thread.start()
        port = server.getsockname()[1]

        assert main(["--index", f"http://127.0.0.1:{port}/simple", str(lock)]) == 3
        thread.join()
    assert "no connection" in capsys.readouterr().out


def test_an_audit_ends_when_its_time_is_over() -> None:
    """Packages that were not asked about are reported, not counted as clean."""
    asked = []

    def ask(package: Package) -> list[Advisory]:
        asked.append(package)
        Event().wait(2)
        return []

    found = audit([Package("slow", str(n)) for n in range(40)], ask, seconds=0)

    assert len(asked) <= 8
    assert (found.clean, len(found.unseen), found.status) == (0, 40, 3)


def test_an_empty_lock_file_is_not_audited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong path must not read as "none found"."""
    empty = tmp_path / "lock.txt"
    empty.write_text("# nothing\n")

    assert audited(empty, {}) == 3
    assert "Could not look" in capsys.readouterr().out


def test_all_lock_files_are_audited() -> None:
    """Each file with hashes is one."""
    with_hashes = sorted(
        file.relative_to(REPOSITORY).as_posix()
        for folder in REPOSITORY.iterdir()
        if folder.is_dir() and not folder.name.startswith(".")
        for file in folder.rglob("*.txt")
        if "--hash=sha256:" in file.read_text("utf-8")
    )

    assert with_hashes == sorted(
        file.relative_to(REPOSITORY).as_posix() for file in lock_files()
    )


def test_the_index_is_the_one_of_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """A company's index has an address of its own."""
    assert "://" in index_of_pip()

    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example.com/root/simple")
    assert index_of_pip() == "https://index.example.com/root/simple"


def test_the_audit_needs_no_installed_package() -> None:
    """It can look when a package itself is the problem."""
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import runpy; runpy.run_path('release/audit.py')",
        ],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
