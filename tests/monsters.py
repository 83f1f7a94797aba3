"""Images that an attacker or a broken program might upload: bombs, polyglots, cut and odd files."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

from tests.image_files import directory, pages, saved

MiB = 1024 * 1024


def monsters() -> Iterator[tuple[str, bytes]]:
    """Name and content of each; one at a time, because some are large."""
    for name, make in MONSTERS.items():
        yield name, make()
    for form in ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"):
        whole = saved(form)
        for length in range(min(len(whole), _HEADER_BYTES)):
            yield f"{form} cut after {length} bytes", whole[:length]


_HEADER_BYTES = 640
"""All of Pillow's headers are shorter; the longest is that of a JPEG."""


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    checksum = zlib.crc32(kind + content)
    return (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    )


def png(
    width: int,
    height: int,
    *,
    data: bytes | None = None,
    more: bytes = b"",
    bits: int = 8,
    interlaced: bool = False,
) -> bytes:
    """A black, grey PNG; *data* are its bytes before compression, *more* are other chunks."""
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, interlaced)
    if data is None:
        data = (b"\0" * (1 + (width * bits + 7) // 8)) * height
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            more,
            chunk(b"IDAT", zlib.compress(data, 1)),
            chunk(b"IEND", b""),
        )
    )


_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column and row, and steps between them, of each pass of an interlaced PNG."""


def interlaced_png(side: int) -> bytes:
    """A PNG that is stored in seven passes."""
    data = b"".join(
        (b"\0" * (1 + -(-(side - column) // step))) * -(-(side - row) // rows)
        for column, row, step, rows in _ADAM7
    )
    return png(side, side, data=data, interlaced=True)


def text_bomb() -> bytes:
    """A PNG with a compressed text of 64 MB, and a colour profile of the same size."""
    packed = zlib.compress(b"\0" * (64 * MiB), 9)
    more = chunk(b"zTXt", b"Comment\0\0" + packed) + chunk(b"iCCP", b"x\0\0" + packed)
    return png(64, 48, more=more)


def jpeg_sides(width: int, height: int) -> bytes:
    """A small JPEG that says that it has those sides."""
    whole = bytearray(saved("JPEG"))
    at = whole.index(b"\xff\xc0") + 5
    whole[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(whole)


def jpeg_with_segment(marker: int, content: bytes, *, times: int) -> bytes:
    """A JPEG with the same segment many times, up to 64 KB each."""
    whole = saved("JPEG")
    segment = struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return whole[:2] + segment * times + whole[2:]


def jpeg_of_scans(count: int) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    whole = saved("JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * count + whole[-2:]


def gif_sides(width: int, height: int) -> bytes:
    """A small GIF that says that its screen and its frame have those sides."""
    whole = bytearray(saved("GIF", "P"))
    whole[6:10] = struct.pack("<HH", width, height)
    at = whole.rindex(b"\x2c", 0, whole.rindex(b"\0")) + 5
    whole[at : at + 4] = struct.pack("<HH", width, height)
    return bytes(whole)


def gif_of_frames(count: int) -> bytes:
    """A GIF with as many frames of 64 x 48 pixels."""
    whole = saved("GIF", "P")
    frame = whole[13 + 3 * 2 ** ((whole[10] & 7) + 1) : -1]
    return whole[:-1] + frame * (count - 1) + whole[-1:]


def bmp_of(
    width: int, height: int, *, bits: int = 24, compression: int = 0, data: bytes
) -> bytes:
    """A BMP; a negative height is top-down, compression 1 is RLE8."""
    colors = b"\0\0\0\0" * 256 if bits == 8 else b""
    begin = 54 + len(colors)
    file_header = struct.pack("<2sIII", b"BM", begin + len(data), 0, begin)
    how = (
        width,
        height,
        1,
        bits,
        compression,
        len(data),
        0,
        0,
        256 if colors else 0,
        0,
    )
    return file_header + struct.pack("<IiiHHIIiiII", 40, *how) + colors + data


def tiff_of(
    width: int,
    height: int,
    *,
    order: str = "<",
    strip_bytes: int | None = None,
    tile: int | None = None,
    more: tuple[tuple[int, int, tuple[int, ...]], ...] = (),
) -> bytes:
    """A black, grey TIFF in one strip, or in tiles with sides of *tile*."""
    amount = width * height if strip_bytes is None else strip_bytes
    if tile is not None:
        count = -(-width // tile) * -(-height // tile)
        amount = tile * tile * count
        offsets = tuple(8 + n * tile * tile for n in range(count))
        where = [
            (322, 4, (tile,)),
            (323, 4, (tile,)),
            (324, 4, offsets),
            (325, 4, (tile * tile,) * count),
        ]
    else:
        where = [(273, 4, (8,)), (278, 4, (height,)), (279, 4, (amount,))]
    fields = [
        (256, 4, (width,)),
        (257, 4, (height,)),
        (258, 3, (8,)),
        (259, 3, (1,)),
        (262, 3, (1,)),
        (277, 3, (1,)),
        *where,
        *more,
    ]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    at = 8 + amount
    head = mark + struct.pack(f"{order}I", at)
    return head + b"\0" * amount + directory(order, fields, at)


def looping_tiff() -> bytes:
    """A TIFF whose first directory names itself as the next one."""
    whole = bytearray(tiff_of(64, 48))
    at = struct.unpack("<I", whole[4:8])[0]
    (count,) = struct.unpack("<H", whole[at : at + 2])
    whole[at + 2 + 12 * count : at + 6 + 12 * count] = struct.pack("<I", at)
    return bytes(whole)


def zipped(*parts: tuple[str, bytes]) -> bytes:
    """A ZIP archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return stream.getvalue()


def solid(
    form: str,
    width: int,
    height: int,
    mode: str = "RGB",
    **how: Any,  # noqa: ANN401 - Pillow's
) -> bytes:
    """A picture of one colour with those sides."""
    stream = io.BytesIO()
    Image.new(mode, (width, height)).save(stream, form, **how)
    return stream.getvalue()


def rotated(orientation: int) -> bytes:
    """A JPEG that a camera stored rotated or mirrored."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved("JPEG", exif=exif.tobytes())


HTML = b"<html><script>alert(1)</script></html>"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"

VALID: dict[str, Callable[[], bytes]] = {
    **{f"JPEG of orientation {n}": lambda n=n: rotated(n) for n in range(10)},  # type: ignore[misc]  # each keeps its own
    "CMYK JPEG": lambda: saved("JPEG", "CMYK"),
    "progressive JPEG": lambda: saved("JPEG", progressive=True),
    "JPEG with 10 MB of Exif": lambda: jpeg_with_segment(
        0xE1, b"Exif\0\0" + bytes(65_000), times=160
    ),
    "JPEG with 10 MB of ICC": lambda: jpeg_with_segment(
        0xE2, b"ICC_PROFILE\0\x01\xff" + bytes(65_000), times=160
    ),
    "PNG of 16 bits": lambda: png(64, 48, bits=16),
    "RGB PNG with a palette": lambda: saved("PNG", "P"),
    "interlaced PNG": lambda: interlaced_png(64),
    "animated PNG": lambda: pages("PNG"),
    "animated GIF": lambda: pages("GIF"),
    "animated WEBP": lambda: pages("WEBP"),
    "BMP, top-down": lambda: bmp_of(64, -48, data=bytes(64 * 48 * 3)),
    "BMP in RLE8": lambda: bmp_of(
        64, 48, bits=8, compression=1, data=b"\x40\1\0\0" * 48 + b"\0\1"
    ),
    "big-endian TIFF": lambda: tiff_of(64, 48, order=">"),
    "tiled TIFF": lambda: tiff_of(64, 48, tile=32),
    "TIFF of two pages": lambda: pages("TIFF"),
}
"""Rare files that must be tagged, by what is rare about them."""

MONSTERS: dict[str, Callable[[], bytes]] = {
    # Nothing, and too much
    "no bytes": lambda: b"",
    "one byte": lambda: b"\xff",
    "30 MB of zeros": lambda: bytes(30 * MiB),
    "a JPEG of 30 MB": lambda: saved("JPEG").ljust(30 * MiB, b"\0"),
    "a JPEG of 20 MiB and no byte more": lambda: saved("JPEG").ljust(20 * MiB, b"\0"),
    "a JPEG of 20 MiB and one byte more": lambda: saved("JPEG").ljust(
        20 * MiB + 1, b"\0"
    ),
    "a million brackets": lambda: b"[" * 1_000_000,
    # Sides
    "PNG of 1 x 65535": lambda: png(1, 65_535),
    "PNG of 65535 x 1": lambda: png(65_535, 1),
    "JPEG of 1 x 65535": lambda: jpeg_sides(1, 65_535),
    "JPEG of 65535 x 1": lambda: jpeg_sides(65_535, 1),
    "JPEG of 65535 x 65535": lambda: jpeg_sides(65_535, 65_535),
    "JPEG of 0 x 0": lambda: jpeg_sides(0, 0),
    "PNG of 0 x 0": lambda: png(0, 0),
    "PNG of 2147483647 x 2147483647": lambda: png(2**31 - 1, 2**31 - 1, data=b""),
    "GIF of 65535 x 65535": lambda: gif_sides(65_535, 65_535),
    "BMP of 2147483647 x 2147483647": lambda: bmp_of(2**31 - 1, 2**31 - 1, data=b""),
    "TIFF of 4294967295 x 4294967295": lambda: tiff_of(
        2**32 - 1, 2**32 - 1, strip_bytes=64
    ),
    # Bombs: small files that become large
    "PNG bomb within the limits": lambda: png(10_000, 10_000),
    "PNG bomb beyond the limits": lambda: png(10_001, 10_001),
    "PNG bomb in one bit": lambda: png(10_000, 10_000, bits=1),
    "PNG that is longer than it says": lambda: png(64, 48, data=bytes(64 * MiB)),
    "PNG with a text bomb": text_bomb,
    "WEBP bomb": lambda: solid("WEBP", 9_000, 9_000, lossless=True, method=0),
    "GIF bomb": lambda: solid("GIF", 10_000, 10_000, "P"),
    "GIF of 10000 frames": lambda: gif_of_frames(10_000),
    "JPEG bomb": lambda: solid("JPEG", 10_000, 10_000, "L"),
    "JPEG of 1000 scans": lambda: jpeg_of_scans(1_000),
    "JPEG of 20 more scans": lambda: jpeg_of_scans(20),
    "BMP bomb": lambda: bmp_of(10_000, 10_000, bits=8, compression=1, data=b"\0\1"),
    "BMP of padded rows": lambda: bmp_of(
        10_000, 10_000, bits=8, compression=1, data=b"\1\0\0\0" * 10_000
    ),
    "JPEG of tiny Exif segments": lambda: jpeg_with_segment(
        0xE1, b"Exif\0\0x", times=900_000
    ),
    "TIFF bomb": lambda: tiff_of(10_000, 10_000, strip_bytes=64),
    "TIFF of a giant tile": lambda: tiff_of(
        64,
        48,
        strip_bytes=64,
        more=(
            (322, 4, (65_536,)),
            (323, 4, (65_536,)),
            (324, 4, (8,)),
            (325, 4, (4,)),
        ),
    ),
    "TIFF that loops": looping_tiff,
    "TIFF of 100000 strips": lambda: tiff_of(64, 48, more=((330, 4, (8,) * 100_000),)),
    # Polyglots, and files that are something else
    "GIF and ZIP": lambda: saved("GIF", "P") + zipped(("a.txt", b"x")),
    "ZIP and GIF": lambda: zipped(("a.txt", b"x")) + saved("GIF", "P"),
    "JPEG and HTML": lambda: jpeg_with_segment(0xFE, HTML, times=1) + HTML,
    "HTML and JPEG": lambda: HTML + saved("JPEG"),
    "PDF and JPEG": lambda: PDF + saved("JPEG"),
    "JPEG and PDF": lambda: saved("JPEG") + PDF,
    "PNG and JavaScript": lambda: png(64, 48, more=chunk(b"tEXt", b"Comment\0" + HTML)),
    "a ZIP named .jpg": lambda: zipped(("dress.jpg", saved("JPEG"))),
    "a ZIP bomb named .jpg": lambda: zipped(("zeros", bytes(32 * MiB))),
    "a PNG named .jpg": lambda: saved("PNG"),
    "two PNGs in a row": lambda: saved("PNG") + saved("PNG"),
    "two JPEGs in a row": lambda: saved("JPEG") + saved("JPEG"),
    "a GIF behind a JPEG": lambda: saved("JPEG") + saved("GIF", "P"),
    **VALID,
}
"""Files by what is odd about them; `monsters` adds cut ones."""
