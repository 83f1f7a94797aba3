"""The command reads what others wrote: backups, checkpoints, inventories, options, letters."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, cast

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hangtag.adapters.file_checkpoint import FileCheckpoint
from hangtag.adapters.s3_listings import S3Inventory
from hangtag.dead_letters import read_letter
from hangtag.operators.backfill_ports import UnusableCheckpoint, UnusableListing
from hangtag.operators.backfill_start import BackfillRequest, start_of
from hangtag.operators.ports import Letter
from hangtag_cli import arguments, output
from hangtag_cli.backups import read_backup
from hangtag_cli.exits import NotDone
from hangtag_cli.letters import (
    backup_document,
    letter_document,
    letter_page,
    letters_page,
)
from hangtag_cli.main import cli
from hangtag_cli.status import with_age_of
from hangtag_cli.surroundings import look_around
from hangtag_cli.vitals import Vitals
from tests.builders import BUCKET, NOON, a_dead_letter, a_letter, notification, record
from tests.fakes import FailedUploads
from tests.fuzzing import (
    ARGUMENTS,
    TEXTS,
    damaged,
    damaged_bytes,
    times,
    to_lenient_json,
)
from tests.unit.test_cli import commands

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that each example writes anew."""
    return tmp_path_factory.mktemp("fuzz") / "file"


# ---- backups

BACKED_UP = backup_document(a_letter("letter-1"))


@pytest.mark.fuzz("hangtag_cli.backups.read_backup")
@times(3)
@given(
    st.lists(
        damaged([BACKED_UP]).map(lambda line: to_lenient_json(line).encode()),
        max_size=3,
    ).map(b"\n".join)
    | damaged_bytes([output.json_line(BACKED_UP) + b"\n"])
)
def test_any_backup_is_restored_or_refused(file: Path, content: bytes) -> None:
    """What is restored can be sent, and a second backup of it is the same."""
    file.write_bytes(content)

    try:
        letters = read_backup(file)
    except NotDone:
        return

    for letter in letters:
        line = output.json_line(backup_document(Letter("1", "", letter)))
        file.write_bytes(line)
        assert read_backup(file) == [letter]
        assert all(letter.attributes().values())
    failed = FailedUploads()
    report = failed.restore(*(Letter("1", "", letter) for letter in letters))
    assert report.done + report.skipped == len(letters)


# ---- checkpoints

REQUEST = BackfillRequest("hangtag", BUCKET, "summer/", None, again=False)
CHECKPOINT = {
    "request": REQUEST.document(),
    "place": "summer/dress.jpg",
    "token": "20261129T120000-1",
    "counts": {"listed": 5, "enqueued": 3, "bytes": 900, "notSent": {"EMPTY": 2}},
}


@pytest.mark.fuzz(
    "hangtag.adapters.file_checkpoint.FileCheckpoint",
    "hangtag.operators.backfill_start.start_of",
)
@times(3)
@given(
    damaged([CHECKPOINT]).map(lambda saved: to_lenient_json(saved).encode())
    | damaged_bytes([json.dumps(CHECKPOINT).encode()])
)
def test_any_checkpoint_is_continued_or_refused(file: Path, content: bytes) -> None:
    """A damaged one must not begin again, and not skip objects silently."""
    file.write_bytes(content)

    with suppress(UnusableCheckpoint):
        start = start_of(REQUEST, FileCheckpoint(file), token="new")
        assert start.token != "new"


# ---- inventories

MANIFEST = {
    "sourceBucket": BUCKET,
    "destinationBucket": "arn:aws:s3:::inventories",
    "fileFormat": "CSV",
    "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag",
    "files": [{"key": "data/0.csv.gz", "size": 1}],
}
ROWS = f'"{BUCKET}","a%20b.jpg","v1","true","false","5","0cc175b9"\n'.encode() * 3


@dataclass(frozen=True)
class _Objects:
    """An S3 client with two objects: a manifest, and a file of the inventory."""

    manifest: bytes
    data: bytes

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        """The object."""
        assert Bucket
        content = self.manifest if Key == "manifest.json" else self.data
        return {"Body": _Body(content)}


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Iterator[bytes]:
        return iter(lambda: self.read(size), b"")


def listed(manifest: bytes, data: bytes, after: str | None = None) -> int:
    """How many objects the inventory lists."""
    inventory = S3Inventory(
        cast("Any", _Objects(manifest, data)),
        manifest_bucket="inventories",
        manifest_key="manifest.json",
        bucket=BUCKET,
        prefix="",
    )
    return sum(1 for _ in chain.from_iterable(inventory.pages(after=after)))


WHOLE_MANIFEST = json.dumps(MANIFEST).encode()


@pytest.mark.fuzz("hangtag.adapters.s3_listings.S3Inventory")
@times(3)
@given(
    damaged([MANIFEST]).map(lambda made: to_lenient_json(made).encode())
    | damaged_bytes([WHOLE_MANIFEST]),
    damaged_bytes([ROWS]).map(gzip.compress) | damaged_bytes([gzip.compress(ROWS)]),
    st.none() | TEXTS | st.sampled_from(["0:0", "0:1", "-5:-5"]),
)
def test_any_inventory_is_listed_or_refused(
    manifest: bytes, data: bytes, after: str | None
) -> None:
    """A file that is not an inventory's names itself, and is no crash."""
    with suppress(UnusableListing):
        assert listed(manifest, data, after) >= 0


@pytest.mark.parametrize(
    "bomb",
    [b"a" * 10_000_000, b'"' + b"a" * 10_000_000, b'"\n",' * 2_000_000],
    ids=["a line", "a cell", "a row of many lines"],
)
def test_a_compressed_bomb_is_refused_before_it_fills_the_memory(bomb: bytes) -> None:
    """10 MB of the bomb are a few KB in the bucket; a longer one needs no more memory."""
    data = gzip.compress(bomb)
    tracemalloc.start()

    try:
        with pytest.raises(UnusableListing, match="row 1 is longer than"):
            listed(WHOLE_MANIFEST, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2_000_000


# ---- arguments

READERS: tuple[Callable[[str], object], ...] = (
    arguments.read_image_uri,
    arguments.read_prefix_uri,
    arguments.read_amount,
    arguments.read_rate,
    arguments.read_confidence,
    arguments.read_letter_name,
    arguments.read_word,
    arguments.read_endpoint_url,
    arguments.read_queue,
    arguments.read_stack_name,
    lambda text: arguments.read_since(text, now=NOW),
)


@pytest.mark.fuzz("hangtag_cli.arguments")
@times(10)
@given(ARGUMENTS)
def test_any_argument_is_read_or_wrong_usage(text: str) -> None:
    """Click turns a ValueError, and nothing else, into exit status 2."""
    for read in READERS:
        with suppress(ValueError):
            read(text)


@pytest.mark.fuzz("hangtag_cli.main.cli")
@pytest.mark.parametrize(
    "command", list(commands(cli)), ids=lambda command: str(command.name)
)
@given(data=st.data())
def test_any_command_line_is_parsed_or_wrong_usage(
    command: click.Command, data: st.DataObject
) -> None:
    """Also that of a command that would start a server."""
    names = [name for param in command.params for name in param.opts]
    words = st.sampled_from([name for name in names if name.startswith("-")] or ["-x"])

    line = data.draw(st.lists(words | ARGUMENTS, max_size=6))

    with suppress(click.ClickException, click.exceptions.Exit):
        command.make_context(str(command.name), line)


# ---- letters as the command shows them


@dataclass(frozen=True)
class _StackOfALetter:
    """A stack whose objects are gone, and whose log has these lines."""

    lines: list[str]

    def object_of(self, _: object) -> None:
        """No object."""

    def log_of(self, _: str, *, around: datetime) -> list[str]:
        """The lines."""
        assert around.tzinfo is UTC
        return self.lines


def letter_of(body: str, attributes: Mapping[str, str]) -> Letter:
    """A letter as the dead-letter queue hands it out."""
    values = {name: {"StringValue": value} for name, value in attributes.items()}
    return replace(a_letter("letter-1"), letter=read_letter(body, values, sent_at=NOON))


@pytest.mark.fuzz(
    "hangtag_cli.surroundings.look_around",
    "hangtag_cli.status.with_age_of",
    "hangtag_cli.letters",
)
@given(
    TEXTS | damaged([record()]).map(notification),
    st.dictionaries(
        st.sampled_from([*a_dead_letter().attributes(), "Format"]), TEXTS, max_size=4
    ),
    st.lists(TEXTS | st.just('{"uri": ["x"]}'), max_size=3),
)
@example("", {"FailedAt": "0001-01-01T00:00:00+14:00", "RequestId": "r"}, [])
def test_any_letter_can_be_shown(
    body: str, attributes: dict[str, str], lines: list[str]
) -> None:
    """In lists, with all details, as JSON, and in the age of the oldest one."""
    letter = letter_of(body, attributes)

    around = look_around(cast("Any", _StackOfALetter(lines)), letter)
    output.json_line(letter_document(letter, around))
    output.page(letter_page(letter, around))
    output.page(letters_page([letter]))
    with_age_of([letter], Vitals(), now=NOW)
