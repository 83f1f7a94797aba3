"""Files of discarded dead letters: a letter a line, as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from . import output
from .exits import NotDone

if TYPE_CHECKING:
    from hangtag.dead_letters import DeadLetter
    from hangtag.operators.ports import Letter


def default_path(now: datetime) -> Path:
    """A file in the current directory, with the time in its name."""
    return Path(f"hangtag-discarded-{now.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z.jsonl")


class Backup:
    """A new file that only its owner can read; it is created with its first letter."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.letters = 0
        self._file: int | None = None

    def keep(self, letter: Letter) -> None:
        """
        Write a letter; it is on the disk when this returns.

        Raises:
            NotDone: The file exists already, or cannot be created or written.
        """
        from .letters import backup_document

        line = output.json_line(backup_document(letter)) + b"\n"
        if self._file is None:
            self._file = self._created()
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
            if not self.letters:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise NotDone(
                f"The backup {self.path} cannot be written ({error.strerror}): letters that are "
                "not in it were not discarded"
            ) from error
        self.letters += 1

    def close(self) -> None:
        """Close the file, if it was created."""
        if self._file is not None:
            os.close(self._file)

    def _created(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            return os.open(self.path, flags, 0o600)
        except OSError as error:
            raise NotDone(
                f"The backup {self.path} cannot be created ({error.strerror}), so nothing was "
                "discarded: name another with --backup"
            ) from error


@contextmanager
def backup_at(path: Path) -> Iterator[Backup]:
    """A new backup, closed at the end. Raises `NotDone` as `Backup` does."""
    backup = Backup(path)
    try:
        yield backup
    finally:
        backup.close()


def read_backup(path: Path) -> list[DeadLetter]:
    """
    All letters of a backup. An unfinished last line is left out: its letter was not discarded.

    Raises:
        NotDone: The file cannot be read, or one of its lines is not a letter.
    """
    from .letters import read_backup_document

    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise NotDone(f"{path} cannot be read: {error.strerror}") from error
    unfinished = lines.pop()
    if unfinished.strip():
        try:
            json.loads(unfinished)
        except (ValueError, RecursionError):
            output.talk(
                f"The last line of {path} is cut off: its letter was not discarded."
            )
        else:
            lines.append(unfinished)  # only its end of line is missing
    letters = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            letters.append(read_backup_document(json.loads(line)))
        except (ValueError, RecursionError) as error:
            raise NotDone(
                f"Nothing was restored: line {number} of {path} is not a dead letter ({error})"
            ) from error
    return letters


def _sync_folder(folder: Path) -> None:
    """Write the file's name to the disk, too, so that it survives a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
