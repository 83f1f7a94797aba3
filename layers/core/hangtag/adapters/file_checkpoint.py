"""The progress of a backfill, in a file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hangtag.operators.backfill_ports import UnusableCheckpoint


class FileCheckpoint:
    """`Checkpoint` in a JSON file, which each save replaces."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Mapping[str, Any] | None:
        with self._explained("read"):
            try:
                document = json.loads(self._path.read_bytes())
            except FileNotFoundError:
                return None
            except (ValueError, RecursionError) as error:
                raise UnusableCheckpoint(
                    f"{self._path} is not the checkpoint of a backfill: {error}"
                ) from error
        if not isinstance(document, dict):
            raise UnusableCheckpoint(
                f"{self._path} is not the checkpoint of a backfill"
            )
        return document

    def save(self, document: Mapping[str, Any]) -> None:
        with self._explained("written"):
            # A new file that follows no link, and that only its owner can read
            handle, new = tempfile.mkstemp(
                prefix=f"{self._path.name}.", suffix=".new", dir=self._path.parent
            )
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(document, file, indent=2)
                    file.flush()
                    # On the disk before it replaces the old file: a crash leaves one of the two
                    os.fsync(file.fileno())
                Path(new).replace(self._path)
            except BaseException:
                Path(new).unlink(missing_ok=True)
                raise

    def remove(self) -> None:
        with self._explained("removed"):
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnusableCheckpoint(
                f"{self._path} cannot be {what}: {error.strerror or error}"
            ) from error
