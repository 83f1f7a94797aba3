"""Files in many formats, as programs and cameras write them: the six of the API, and others."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image

_SHORT, _LONG, _ASCII, _BYTE = 3, 4, 2, 1

Tag = tuple[int, int, bytes | tuple[int, ...]]
"""Tag, type, and its values, or its bytes."""


def saved(form: str, mode: str = "RGB", **how: Any) -> bytes:  # noqa: ANN401 - Pillow's
    """A small picture, written by Pillow."""
    stream = io.BytesIO()
    Image.new(mode, (64, 48)).save(stream, form, **how)
    return stream.getvalue()


def pages(form: str, **how: Any) -> bytes:  # noqa: ANN401 - as `saved`
    """Two pictures in a file."""
    more = [Image.new("RGB", (64, 48), "red")]
    return saved(form, save_all=True, append_images=more, **how)


def bmp(header_size: int, *, reserved: bytes = b"\0\0\0\0") -> bytes:
    """A BMP of 1 x 1 pixel with a DIB header of that size."""
    if header_size == 12:
        sides = struct.pack("<HHHH", 1, 1, 1, 24)
    else:
        sides = struct.pack("<iiHH", 1, 1, 1, 24)
    header = (struct.pack("<I", header_size) + sides).ljust(header_size, b"\0")
    pixels = b"\xff\0\0\0"
    begin = 14 + len(header)
    file_header = struct.pack("<2sI4sI", b"BM", begin + len(pixels), reserved, begin)
    return file_header + header + pixels


def directory(order: str, tags: Iterable[Tag], at: int) -> bytes:
    """A directory of a TIFF that begins at offset *at*, its longer values behind it."""
    entries, values = [], b""
    tags = sorted(tags)
    behind = at + 2 + 12 * len(tags) + 4
    for tag, kind, value in tags:
        letter = {_SHORT: "H", _LONG: "I"}.get(kind)
        if isinstance(value, bytes):
            packed, count = value, len(value)
        else:
            packed, count = (
                struct.pack(f"{order}{len(value)}{letter}", *value),
                len(value),
            )
        if len(packed) > 4:
            place = struct.pack(f"{order}I", behind + len(values))
            values += packed
            packed = place
        entries.append(struct.pack(f"{order}HHI4s", tag, kind, count, packed))
    number = struct.pack(f"{order}H", len(tags))
    return number + b"".join(entries) + struct.pack(f"{order}I", 0) + values


def tiff(
    tags: Iterable[Tag] = (),
    *,
    order: str = "<",
    at: int = 8,
    subs: Mapping[int, Iterable[Tag]] | None = None,
) -> bytes:
    """A TIFF whose first directory begins at offset *at*; *subs* are others, by offset."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    content = bytearray(mark + struct.pack(f"{order}I", at))
    for offset, each in {at: tags, **(subs or {})}.items():
        content = content.ljust(offset, b"\0")
        content[offset:] = directory(order, each, offset)
    return bytes(content)


def subfile(reduced: int) -> Tag:
    """NewSubfileType: 1 for a thumbnail."""
    return (254, _LONG, (reduced,))


def make(name: str) -> Tag:
    """The camera's or the scanner's make."""
    return (271, _ASCII, name.encode() + b"\0")


def sub_directories(*offsets: int) -> Tag:
    """Where further directories are."""
    return (330, _LONG, offsets)


def photometric(number: int) -> Tag:
    """2: RGB; 32803: a sensor's colour filter array."""
    return (262, _SHORT, (number,))


SONY_PRIVATE: Tag = (50740, _BYTE, b"\x01\x02\0\0")
DNG_VERSION: Tag = (50706, _BYTE, b"\x01\x04\0\0")
CFA, RGB = photometric(32803), photometric(2)


def nef(order: str = "<", sub: int = 1_000) -> bytes:
    """A Nikon RAW photo."""
    return tiff(
        [subfile(1), RGB, make("NIKON CORPORATION"), sub_directories(900_000, sub)],
        order=order,
        subs={sub: [subfile(0), CFA]},
    )


def arw(sub: int = 136_262) -> bytes:
    """A Sony RAW photo."""
    return tiff(
        [subfile(1), make("SONY"), sub_directories(sub), SONY_PRIVATE],
        subs={sub: [subfile(0), CFA]},
    )


def dng(order: str = "<") -> bytes:
    """A DNG whose first directory is the thumbnail."""
    tags = [subfile(1), RGB, make("Apple"), DNG_VERSION, sub_directories(60_000)]
    return tiff(tags, order=order)


CR2 = b"II*\0\x10\0\0\0CR\x02\0\x52\x05\0\0" + directory("<", [make("Canon")], 16)


def boxes(*brands: bytes, kind: bytes = b"ftyp") -> bytes:
    """An ISO base media file: its first box, and the begin of the next."""
    body = brands[0] + b"\0\0\0\0" + b"".join(brands[1:])
    return (
        struct.pack(">I", 8 + len(body))
        + kind
        + body
        + b"\0\0\x0f\xa0meta"
        + b"\0" * 64
    )


SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"/>'
PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'
S3_ERROR = f"{PROLOG}<Error><Code>NoSuchKey</Code><Key>dress.jpg</Key></Error>"
DOCTYPE = (
    '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" [ <!ENTITY ns "http://x"> ]>\n'
)

SIX = {
    "JPEG": ("image/jpeg", saved("JPEG")),
    "progressive JPEG": ("image/jpeg", saved("JPEG", progressive=True)),
    "CMYK JPEG": ("image/jpeg", saved("JPEG", "CMYK")),
    "gray JPEG": ("image/jpeg", saved("JPEG", "L")),
    "JPEG with Exif": ("image/jpeg", saved("JPEG", exif=Image.Exif().tobytes())),
    "two pictures in a JPEG": ("image/jpeg", pages("MPO")),
    "PNG": ("image/png", saved("PNG")),
    "PNG of 16 bits": ("image/png", saved("PNG", "I;16")),
    "PNG with a palette": ("image/png", saved("PNG", "P")),
    "black and white PNG": ("image/png", saved("PNG", "1")),
    "animated PNG": ("image/png", pages("PNG")),
    "GIF": ("image/gif", saved("GIF", "P")),
    "animated GIF": ("image/gif", pages("GIF")),
    "WEBP": ("image/webp", saved("WEBP")),
    "lossless WEBP": ("image/webp", saved("WEBP", "RGBA", lossless=True)),
    "animated WEBP": ("image/webp", pages("WEBP")),
    "TIFF": ("image/tiff", saved("TIFF")),
    "big-endian TIFF": ("image/tiff", saved("TIFF", "I;16B")),
    "TIFF of 16 bits": ("image/tiff", saved("TIFF", "I;16")),
    "CMYK TIFF": ("image/tiff", saved("TIFF", "CMYK")),
    "LZW TIFF": ("image/tiff", saved("TIFF", compression="tiff_lzw")),
    "JPEG in TIFF": ("image/tiff", saved("TIFF", compression="jpeg")),
    "TIFF of two pages": ("image/tiff", pages("TIFF")),
    "TIFF with its directory at the end": ("image/tiff", tiff([RGB], at=50_000)),
    "a scanner's TIFF": ("image/tiff", saved("TIFF", tiffinfo={271: "EPSON", 254: 0})),
    "TIFF of Nikon's program": (
        "image/tiff",
        saved("TIFF", tiffinfo={271: "NIKON CORPORATION", 272: "NIKON D850", 254: 0}),
    ),
    "TIFF of Nikon's program, with a thumbnail": (
        "image/tiff",
        tiff(
            [subfile(0), RGB, make("NIKON CORPORATION"), sub_directories(1_000)],
            subs={1_000: [subfile(1), RGB]},
        ),
    ),
    "TIFF of a Nikon camera, thumbnail first": (
        "image/tiff",
        tiff(
            [subfile(1), RGB, make("NIKON"), sub_directories(1_000)],
            subs={1_000: [subfile(0), RGB]},
        ),
    ),
    "TIFF of a Sony camera's photo": (
        "image/tiff",
        saved("TIFF", tiffinfo={271: "SONY", 305: "Adobe Lightroom", 254: 0}),
    ),
    "TIFF with the tags of a DNG": (
        "image/tiff",
        tiff([subfile(0), RGB, make("Canon"), DNG_VERSION]),
    ),
    "TIFF whose first pixel is the marker of a CR2": (
        "image/tiff",
        b"II*\0\x20\0\0\0CR\x02".ljust(32, b"\0") + directory("<", [RGB], 32),
    ),
    "TIFF of a page of a fax": ("image/tiff", tiff([subfile(2), photometric(0)])),
    "BMP": ("image/bmp", saved("BMP")),
    "BMP with a palette": ("image/bmp", saved("BMP", "P")),
    **{
        f"BMP, DIB header of {size}, reserved {words.hex()}": (
            "image/bmp",
            bmp(size, reserved=words),
        )
        for size in (12, 40, 52, 56, 64, 108, 124)
        for words in (b"\0\0\0\0", b"GR32", b"\x01\0\0\0", b"\xff\xff\xff\xff")
    },
}
"""The six formats: media type and content."""

OTHERS = {
    "HEIC": ("HEIC", boxes(b"heic", b"mif1", b"heic")),
    "HEIC, generic brand first": ("HEIC", boxes(b"mif1", b"mif1", b"heic", b"hevc")),
    **{
        f"HEIC, brand {brand.decode()}": ("HEIC", boxes(brand))
        for brand in (b"heix", b"heim", b"heis", b"hevc", b"hevx")
    },
    "HEIC burst": ("HEIC", boxes(b"msf1", b"msf1", b"hevc")),
    "HEIF": ("HEIF", boxes(b"mif1", b"mif1")),
    "HEIF burst": ("HEIF", boxes(b"msf1")),
    "AVIF": ("AVIF", saved("AVIF")),
    "AVIF, generic brand first": ("AVIF", boxes(b"mif1", b"miaf", b"avif")),
    "AVIF burst": ("AVIF", boxes(b"avis", b"msf1")),
    "JPEG XL": ("JPEG XL", b"\xff\x0a\xfa\x1f\x41\x10"),
    "JPEG XL in boxes": (
        "JPEG XL",
        b"\0\0\0\x0cJXL \r\n\x87\n" + boxes(b"jxl "),
    ),
    "JPEG 2000": ("JPEG 2000", saved("JPEG2000")),
    "JPEG 2000 without boxes": ("JPEG 2000", saved("JPEG2000", no_jp2=True)),
    "BigTIFF": ("BigTIFF", saved("TIFF", big_tiff=True)),
    "big-endian BigTIFF": ("BigTIFF", b"MM\0+\0\x08\0\0"),
    "PSD": ("PSD", b"8BPS\0\x01" + b"\0" * 20),
    "ICO": ("ICO", saved("ICO")),
    "CUR": ("ICO", b"\0\0\x02\0\x01\0\x20\x20\0\0\x0f\0\x0f\0" + b"\0" * 40),
    "SVG": ("SVG", SVG.encode()),
    "SVG with a prolog": ("SVG", (PROLOG + SVG).encode()),
    "SVG with comments": (
        "SVG",
        f"{PROLOG}<!-- made by <a program> -->\n<!-- x -->{SVG}".encode(),
    ),
    "SVG with a doctype": ("SVG", (PROLOG + DOCTYPE + SVG).encode()),
    "SVG with a prefix": ("SVG", b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>"),
    "SVG behind a BOM": ("SVG", (PROLOG + SVG).encode("utf-8-sig")),
    "SVG behind blanks": ("SVG", f"\r\n  {SVG}".encode()),
    "SVG in UTF-16": ("SVG", (PROLOG + SVG).encode("utf-16")),
    "SVG in big-endian UTF-16": ("SVG", ("\ufeff" + SVG).encode("utf-16-be")),
    "SVG in UTF-16 without a BOM": ("SVG", SVG.encode("utf-16-le")),
    "SVG in Latin-1": ("SVG", f"<!-- café -->{SVG}".encode("latin-1")),
    "EPS": ("EPS", saved("EPS")),
    "PDF": ("PDF", saved("PDF")),
    "PDF behind blanks": ("PDF", b"\r\n%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
    "CR2": ("CR2", CR2),
    "CR3": ("CR3", boxes(b"crx ", b"crx ", b"isom")),
    "NEF": ("NEF", nef()),
    "big-endian NEF": ("NEF", nef(">")),
    "ARW": ("ARW", arw()),
    "DNG": ("DNG", dng()),
    "big-endian DNG": ("DNG", dng(">")),
    "DNG without a thumbnail": ("DNG", tiff([subfile(0), CFA, DNG_VERSION])),
    "RAW photo of another camera": (
        "RAW",
        tiff([subfile(0), make("PENTAX"), CFA], order=">"),
    ),
    "ORF": ("ORF", b"IIRO\x08\0\0\0"),
    "RAF": ("RAF", b"FUJIFILMCCD-RAW 0201FF392201"),
    "RW2": ("RW2", b"IIU\0\x18\0\0\0"),
    "MP4": ("MP4", boxes(b"isom", b"isom", b"mp41")),
    "M4V": ("MP4", boxes(b"M4V ")),
    "MOV": ("MOV", boxes(b"qt  ")),
    "MOV without brands": ("MOV", b"\0\0\x0f\x17moov\0\0\0\x6cmvhd"),
    "MOV, pictures first": ("MOV", b"\0\0\0\x08wide\0\x12\x34\x56mdat"),
    "AVI": ("AVI", b"RIFF\x24\0\0\0AVI LIST"),
    "WebM": ("WebM", b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01webm"),
    "ZIP": ("ZIP", b"PK\x03\x04\x14\0\x08\0"),
    "DOCX": ("ZIP", b"PK\x03\x04\x14\0\x06\0" + b"\0" * 22 + b"[Content_Types].xml"),
    "empty ZIP": ("ZIP", b"PK\x05\x06" + b"\0" * 18),
    "gzip": ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
    "HTML": ("HTML", b"<!DOCTYPE html>\n<html><title>404</title></html>"),
    "old HTML": ("HTML", b"\n<HTML><BODY>Forbidden</BODY></HTML>"),
    **{
        f"HTML without a root, {name}": ("HTML", f"<{name}>Forbidden</{name}>".encode())
        for name in ("h1", "title", "center", "DIV", "script", "b", "form")
    },
    "XHTML": ("HTML", f"{PROLOG}<html xmlns='http://www.w3.org/1999/xhtml'/>".encode()),
    "XML with an element of HTML": ("XML", f"{PROLOG}<table><row/></table>".encode()),
    "S3's error": ("XML", S3_ERROR.encode()),
    "XML without a prolog": ("XML", b"<Error><Code>AccessDenied</Code></Error>"),
    "JSON": ("JSON", b'{"error": {"code": 403}}'),
    "JSON list": ("JSON", b'[\n  {"id": 1}]'),
    "CSV": ("text", b"name,price\nshirt,9.90\n"),
    "text in Korean": ("text", "\uc0c1\uc758, 39000\uc6d0".encode()),
    "text in UTF-16": ("text", "name,price\n".encode("utf-16")),
    "text that begins like a BMP": ("text", b"BMX is a sport: 2 wheels"),
    "text that begins like a BMP, of another kind": (
        "text",
        b"BM(\t\t\t\n\n\n\n\n\n\n(...)\n",
    ),
}
"""Other formats: name and content."""
