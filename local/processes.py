"""Programs in the background, which a later command can find and end."""

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
STOP_SECONDS = 3.0  # the local cloud waits for everyone who holds a connection

# By pid file: whoever starts a process has to take note of its end, and it may be another
# `Process` of the same name that is told to stop it.
_children: dict[Path, subprocess.Popen[bytes]] = {}


class LocalError(Exception):
    """Something of the local stack did not work; the message says what, and the way out."""


def wait_for(
    check: Callable[[], T | None], *, seconds: float, otherwise: Callable[[], str]
) -> T:
    """
    What `check` answers, as soon as that is not None.

    Raises:
        LocalError: with the words of `otherwise`, when `seconds` have passed without it.
    """
    deadline = time.monotonic() + seconds
    pause = 0.05
    while (answer := check()) is None:
        if time.monotonic() >= deadline:
            raise LocalError(otherwise())
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    return answer


class Process:
    """
    A program in the background: `directory` holds its pid, its output and its log.

    The program keeps its pid file locked for as long as it lives, so what is found here
    later is this program or nothing. A pid alone could, after a reboot, be a stranger's.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._pid_file = directory / f"{name}.pid"
        self._output = directory / f"{name}.out"
        self._log = directory / f"{name}.log"

    def start(self, command: Sequence[str | Path], *, env: Mapping[str, str]) -> None:
        """
        Start `command`, apart from this terminal: Ctrl-C does not reach it.

        Raises:
            LocalError: it runs already, or its program is not there.
        """
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        with (
            self._pid_file.open("a+") as pid_file,
            self._output.open("w") as output,
            self._log.open("w") as log,
        ):
            try:
                fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalError(
                    f"{self.name} runs already; `make down` ends it"
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
                    f"{self.name} cannot start: {error.filename} is not there; "
                    "`make up` and `make test` install what they need"
                ) from error
            pid_file.truncate(0)
            pid_file.write(str(child.pid))
            _children[self._pid_file] = child

    def wait_until_ready(self, ready: Callable[[], T | None], *, seconds: float) -> T:
        """
        What `ready` answers, as soon as that is not None.

        Raises:
            LocalError: the program ended, or `seconds` passed; with the end of its log.
        """

        def check() -> T | None:
            if self.pid() is None:
                raise LocalError(
                    f"{self.name} ended while it was starting:\n{self.tail()}"
                )
            return ready()

        return wait_for(
            check,
            seconds=seconds,
            otherwise=lambda: (
                f"{self.name} was not ready after {seconds:g} s:\n{self.tail()}"
            ),
        )

    def pid(self) -> int | None:
        """The pid of the running program, None when it does not run."""
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
        """What the program has printed so far."""
        return self._output.read_text()

    def tail(self, lines: int = 20) -> str:
        """The end of what the program has printed and logged."""
        said = [
            line
            for file in (self._output, self._log)
            if file.exists()
            for line in file.read_text(errors="replace").splitlines()
        ]
        return "\n".join(said[-lines:]) or "(it has not said anything)"

    def stop(self) -> bool:
        """End the program, if need be by force; False when it did not run."""
        pid = self.pid()
        if pid is None:
            return False
        try:
            self._end(pid, signal.SIGTERM)
        except LocalError:
            self._end(pid, signal.SIGKILL)
        return True

    def _end(self, pid: int, signal_number: int) -> None:
        # It leads a process group of its own, in which is what it has started: the local
        # cloud, for one, waits for the functions it runs, which nobody else would end.
        with suppress(ProcessLookupError):
            os.killpg(pid, signal_number)
        wait_for(
            lambda: True if self.pid() is None else None,
            seconds=STOP_SECONDS,
            otherwise=lambda: f"{self.name} (pid {pid}) does not end",
        )
