"""Runs background programs that a later command can find and stop."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
STOP_SECONDS = 3.0  # the local cloud waits for its open connections

# By pid file: a child must be reaped by its parent, also if another `Process` object stops it.
_children: dict[Path, subprocess.Popen[bytes]] = {}


class LocalError(Exception):
    """The local stack failed; the message gives the reason and, if there is one, the remedy."""


def wait_for(
    check: Callable[[], T | None], *, seconds: float, otherwise: Callable[[], str]
) -> T:
    """
    Call `check` until it returns a value, and return that value.

    Raises:
        LocalError: `check` returned None for `seconds`; `otherwise` makes the message.
    """
    deadline = time.monotonic() + seconds
    pause = 0.05
    while (answer := check()) is None:
        if time.monotonic() >= deadline:
            raise LocalError(otherwise())
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    return answer


def private_directory(path: Path) -> None:
    """Create a folder that only its owner may read, or make it one."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner could ever read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


class Process:
    """
    A background program, with its pid file, output and log in `directory`.

    The program holds a lock on its pid file while it runs. After a reboot the pid may belong to
    another program, and the missing lock shows it.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._pid_file = directory / f"{name}.pid"
        self._output = directory / f"{name}.out"
        self._log = directory / f"{name}.log"

    def start(self, command: Sequence[str | Path], *, env: Mapping[str, str]) -> None:
        """
        Start `command` in a session of its own, so that Ctrl-C does not stop it.

        Raises:
            LocalError: The program is running already, or its executable is missing.
        """
        private_directory(self._pid_file.parent)
        with (
            self._pid_file.open("a+") as pid_file,
            self._output.open("w") as output,
            self._log.open("w") as log,
        ):
            try:
                fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalError(
                    f"{self.name} is running already; `make down` stops it"
                ) from None
            try:
                child = subprocess.Popen(
                    command,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[pid_file.fileno()],  # hands over the lock
                )
            except FileNotFoundError as error:
                raise LocalError(
                    f"{self.name} cannot start: {error.filename} is missing; "
                    "`make up` and `make test` install their programs"
                ) from error
            pid_file.truncate(0)
            pid_file.write(str(child.pid))
            _children[self._pid_file] = child

    def wait_until_ready(self, ready: Callable[[], T | None], *, seconds: float) -> T:
        """
        Call `ready` until it returns a value, and return that value.

        Raises:
            LocalError: The program ended or `seconds` passed; the message has the end of its log.
        """

        def check() -> T | None:
            if self.pid() is None:
                raise LocalError(f"{self.name} ended during its start:\n{self.tail()}")
            return ready()

        return wait_for(
            check,
            seconds=seconds,
            otherwise=lambda: (
                f"{self.name} was not ready after {seconds:g} s:\n{self.tail()}"
            ),
        )

    def pid(self) -> int | None:
        """Return the pid of the program; None if it is not running."""
        try:
            with self._pid_file.open() as pid_file:
                try:
                    fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(pid_file.read())
        except FileNotFoundError:
            pass
        if child := _children.pop(self._pid_file, None):
            child.wait()
        return None

    def output(self) -> str:
        """Return the program's output so far."""
        return self._output.read_text()

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the program's output and log."""
        printed = [
            line
            for file in (self._output, self._log)
            if file.exists()
            for line in file.read_text(errors="replace").splitlines()
        ]
        return "\n".join(printed[-lines:]) or "(no output)"

    def stop(self) -> bool:
        """Stop the program with SIGTERM, then SIGKILL; False if it was not running."""
        pid = self.pid()
        if pid is None:
            return False
        try:
            self._end(pid, signal.SIGTERM)
        except LocalError:
            self._end(pid, signal.SIGKILL)
        return True

    def _end(self, pid: int, signal_number: int) -> None:
        # The signal goes to the process group, because the program's children must end, too.
        with suppress(ProcessLookupError):
            os.killpg(pid, signal_number)
        wait_for(
            lambda: True if self.pid() is None else None,
            seconds=STOP_SECONDS,
            otherwise=lambda: f"{self.name} (pid {pid}) does not stop",
        )
