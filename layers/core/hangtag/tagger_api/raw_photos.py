"""Recognises RAW photos that begin like a TIFF by their tags."""

from __future__ import annotations

import struct
from collections.abc import Iterator

TIFF_SIGNATURES = (b"II*\0", b"MM\0*")

_NEW_SUBFILE_TYPE = 254
_PHOTOMETRIC = 262
_MAKE = 271
_SUB_DIRECTORIES = 330
_DNG_VERSION = 50706
_SONY_PRIVATE = 50740

_BYTE, _ASCII, _SHORT, _LONG, _DIRECTORY = 1, 2, 3, 4, 13  # types of values

_COLOR_FILTER_ARRAY, _LINEAR_RAW = 32803, 34892
_MOST_SUB_DIRECTORIES = 16  # cameras write up to four

_Directory = dict[int, tuple[int, int, bytes]]
"""Type, count, and the value or its offset, by tag."""


def raw_photo(first_bytes: bytes) -> str | None:
    """
    The format of a RAW photo that begins like a TIFF; None if the file is not one.

    Returns `CR2`, `DNG`, `NEF`, `ARW`, or `RAW` for other cameras. The make alone proves nothing:
    scanners, programs, and cameras that save TIFFs write it, too. A RAW photo whose tags are not
    among the first bytes counts as a TIFF.
    """
    if not first_bytes.startswith(TIFF_SIGNATURES):
        return None
    tags = _Tags(first_bytes)
    begin = tags.long_at(4)
    # A TIFF whose directory comes later may have pixels here that look like this marker
    if first_bytes[8:11] == b"CR\x02" and begin == 16:
        return "CR2"
    first = tags.directory(begin)
    is_thumbnail = tags.number(first, _NEW_SUBFILE_TYPE) == 1
    is_raw = any(
        tags.number(one, _PHOTOMETRIC) in (_COLOR_FILTER_ARRAY, _LINEAR_RAW)
        for one in (first, *tags.sub_directories(first))
    )
    if _has_dng_version(first) and (is_thumbnail or is_raw):
        return "DNG"
    make = tags.text(first, _MAKE).upper()
    if make.startswith(b"SONY") and _SONY_PRIVATE in first and is_thumbnail:
        return "ARW"  # the directory of its sensor data is beyond the first bytes
    if not is_raw:
        return None
    return "NEF" if make.startswith(b"NIKON") else "RAW"


def _has_dng_version(directory: _Directory) -> bool:
    kind, count, value = directory.get(_DNG_VERSION, (0, 0, b"\0"))
    return (kind, count, value[0]) == (_BYTE, 4, 1)


class _Tags:
    """The tags in the first bytes of a TIFF; a tag beyond them is missing."""

    def __init__(self, tiff: bytes) -> None:
        self._tiff = tiff
        self._order = "<" if tiff[:2] == b"II" else ">"

    def long_at(self, offset: int) -> int:
        return self._unpacked("I", self._tiff[offset : offset + 4])

    def directory(self, offset: int) -> _Directory:
        """The tags of the directory at *offset*, as far as they are among the first bytes."""
        count = self._unpacked("H", self._tiff[offset : offset + 2])
        entries = self._tiff[offset + 2 : offset + 2 + 12 * count]
        whole = entries[: len(entries) // 12 * 12]
        return {
            tag: (kind, number, value)
            for tag, kind, number, value in struct.iter_unpack(
                f"{self._order}HHI4s", whole
            )
        }

    def number(self, directory: _Directory, tag: int) -> int | None:
        kind, _, value = directory.get(tag, (0, 0, b""))
        if kind == _SHORT:
            return self._unpacked("H", value[:2])
        return self._unpacked("I", value) if kind == _LONG else None

    def text(self, directory: _Directory, tag: int) -> bytes:
        kind, count, value = directory.get(tag, (0, 0, b""))
        if kind != _ASCII:
            return b""
        offset = self._unpacked("I", value)
        return value if count <= len(value) else self._tiff[offset : offset + count]

    def sub_directories(self, directory: _Directory) -> Iterator[_Directory]:
        """Each sub-directory; an empty one if it is beyond the first bytes."""
        kind, count, value = directory.get(_SUB_DIRECTORIES, (0, 0, b""))
        if kind not in (_LONG, _DIRECTORY):
            return
        first = self._unpacked("I", value)
        if count == 1:
            yield self.directory(first)
            return
        for number in range(min(count, _MOST_SUB_DIRECTORIES)):
            yield self.directory(self.long_at(first + 4 * number))

    def _unpacked(self, letter: str, value: bytes) -> int:
        """The number in *value*; 0 if that is cut off."""
        size = struct.calcsize(letter)
        if len(value) < size:
            return 0
        return int(struct.unpack(f"{self._order}{letter}", value)[0])
