"""Formats that the Tagger API does not accept, recognised by a file's first bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from hangtag.tagger_api.raw_photos import raw_photo

STRAY_BYTES = "stray bytes"
"""One of the six formats, but behind bytes that do not belong to it."""

_EXPORT = "export it as JPEG"
_PHOTO = f"a RAW photo; {_EXPORT}"
_VIDEO = "a video; upload a picture"
_PAGE = "perhaps an error page that was saved under the picture's name; upload the picture itself"

OTHER_FORMATS = {
    "HEIC": f"is HEIC (the iPhone's default); {_EXPORT}",
    "HEIF": f"is HEIF; {_EXPORT}",
    "AVIF": f"is AVIF; {_EXPORT}",
    "JPEG XL": f"is JPEG XL; {_EXPORT}",
    "JPEG 2000": f"is JPEG 2000; {_EXPORT}",
    "BigTIFF": "is BigTIFF; export it as TIFF or JPEG",
    "PSD": f"is PSD (Photoshop's format); {_EXPORT}",
    "ICO": "is ICO or CUR, an icon; upload a picture",
    "SVG": "is SVG, a drawing; export it as PNG",
    "EPS": "is EPS, a drawing; export it as PNG",
    "PDF": f"is PDF, a document; {_EXPORT}",
    "CR2": f"is CR2 (Canon's), {_PHOTO}",
    "CR3": f"is CR3 (Canon's), {_PHOTO}",
    "DNG": f"is DNG, {_PHOTO}",
    "NEF": f"is NEF (Nikon's), {_PHOTO}",
    "ARW": f"is ARW (Sony's), {_PHOTO}",
    "RAW": f"is a camera's RAW photo; {_EXPORT}",
    "ORF": f"is ORF (Olympus's), {_PHOTO}",
    "RAF": f"is RAF (Fujifilm's), {_PHOTO}",
    "RW2": f"is RW2 (Panasonic's), {_PHOTO}",
    "MP4": f"is MP4, {_VIDEO}",
    "MOV": f"is MOV, {_VIDEO}",
    "AVI": f"is AVI, {_VIDEO}",
    "WebM": f"is WebM or Matroska, {_VIDEO}",
    "ZIP": "is ZIP, or a document packed as ZIP (DOCX, XLSX); upload the pictures in it",
    "gzip": "is compressed with gzip; upload the picture itself",
    "HTML": f"is HTML, {_PAGE}",
    "XML": f"is XML, {_PAGE}",
    "JSON": f"is JSON, {_PAGE}",
    "text": "is text; upload a picture",
    STRAY_BYTES: "begins with stray bytes; remove them",
}
"""
What an error's message says, by the format's name.

The names are values of a metric's dimension, which CloudWatch bills one by one: keep them few.
"""


def other_format(first_bytes: bytes) -> str | None:
    """The format's name in `OTHER_FORMATS`, never `STRAY_BYTES`; None if it is unknown."""
    for recognised in _RECOGNISERS:
        name = recognised(first_bytes)
        if name is not None:
            return name
    return None


def count_stray_bytes(first_bytes: bytes) -> int:
    """How many bytes at the beginning are blanks, zeros or byte order marks."""
    strays = _STRAYS.match(first_bytes)
    return strays.end() if strays else 0


_STRAYS = re.compile(rb"(?:[\s\0]|\xef\xbb\xbf|\xff\xfe|\xfe\xff)+")

_SIGNATURES = (
    ("JPEG XL", b"\xff\x0a"),
    ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n"),
    ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n"),
    ("JPEG 2000", b"\xff\x4f\xff\x51"),
    ("BigTIFF", b"II+\0"),
    ("BigTIFF", b"MM\0+"),
    ("PSD", b"8BPS"),
    ("EPS", b"%!PS"),
    ("EPS", b"\xc5\xd0\xd3\xc6"),
    ("ORF", b"IIRO"),
    ("ORF", b"IIRS"),
    ("ORF", b"MMOR"),
    ("RAF", b"FUJIFILMCCD-RAW"),
    ("RW2", b"IIU\0"),
    ("WebM", b"\x1aE\xdf\xa3"),
    ("ZIP", b"PK\x03\x04"),
    ("ZIP", b"PK\x05\x06"),  # an empty one
    ("gzip", b"\x1f\x8b\x08"),
)


def _by_signature(first_bytes: bytes) -> str | None:
    for name, signature in _SIGNATURES:
        if first_bytes.startswith(signature):
            return name
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"AVI ":
        return "AVI"
    return None


_BRANDS = {
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIC"
    ),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    b"crx ": "CR3",
    b"qt  ": "MOV",
}
_PICTURE_BRANDS = {b"mif1", b"mif2", b"msf1", b"miaf"}  # of HEIC and AVIF alike
_FIRST_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def _by_boxes(first_bytes: bytes) -> str | None:
    """HEIC, AVIF or a video by its boxes: the first one names the brands of the file."""
    kind = first_bytes[4:8]
    # A first byte of a text would mean a box of more than 512 MB
    if kind in _FIRST_BOXES and first_bytes[0] < 0x20:
        return "MOV"
    if kind != b"ftyp":
        return None
    end = int.from_bytes(first_bytes[:4], "big")
    compatible = first_bytes[16 : max(end, 16)]
    brands = [first_bytes[8:12]]
    brands += [compatible[at : at + 4] for at in range(0, len(compatible), 4)]
    for brand in brands:
        if brand in _BRANDS:
            return _BRANDS[brand]
    return "MP4" if _PICTURE_BRANDS.isdisjoint(brands) else "HEIF"


_ICON_ENTRY = re.compile(
    rb"\0\0[\x01\x02]\0"  # icon or cursor
    rb"(?!\0\0)[\s\S]{2}"  # how many pictures
    rb"[\s\S]{3}\0"  # sides, colours, a reserved zero
)


def _icon(first_bytes: bytes) -> str | None:
    return "ICO" if _ICON_ENTRY.match(first_bytes) else None


_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_UTF_16 = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
_BLANKS = " \t\r\n\f\v"


def _markup_or_text(first_bytes: bytes) -> str | None:
    text, is_readable = _decoded(first_bytes)
    bare = text.lstrip(_BLANKS)
    if bare.startswith("%PDF-"):
        return "PDF"
    markup = _markup(bare)
    if markup is not None or not (bare and is_readable):
        return markup
    return "JSON" if _JSON.match(bare) else "text"


def _decoded(first_bytes: bytes) -> tuple[str, bool]:
    """The bytes as text, and whether they are text: decodable, without control characters."""
    encoding, length = "utf-8", 0
    for bom, name in _BOMS:
        if first_bytes.startswith(bom):
            encoding, length = name, len(bom)
    for begin, name in _UTF_16:
        if first_bytes.startswith(begin):
            encoding = name
    try:
        # The last character may be cut off
        text = codecs.getincrementaldecoder(encoding)().decode(first_bytes[length:])
    except UnicodeDecodeError:
        return first_bytes.decode("latin-1"), False
    return text, not _CONTROL.search(text)


_CONTROL = re.compile(r"[^\t\n\v\f\r\x20-\x7e\x80-\U0010ffff]")
_JSON = re.compile(r'\{\s*["}]|\[\s*[\[\]{"\-\d]')


def _markup(text: str) -> str | None:
    """SVG, HTML or XML by the name of the first element after declarations and comments."""
    rest, is_xml = text, text.startswith("<?xml")
    while (end := _end_of_preamble(rest)) is not None:
        rest = rest.partition(end)[2].lstrip(_BLANKS)
    found = _ROOT.match(rest)
    if found is None:
        return "XML" if is_xml else None
    name = found[1].lower()
    if not is_xml and name in _HTML_PARTS:
        return "HTML"
    return _ROOTS.get(name, "XML")


def _end_of_preamble(text: str) -> str | None:
    """The end mark of the comment or declaration at the beginning of *text*; None without one."""
    if text.startswith("<!--"):
        return "-->"
    return "?>" if text.startswith("<?") else None


_ROOT = re.compile(r"<(?:!DOCTYPE\s+)?(?:[\w.-]+:)?([A-Za-z_][\w.-]*)", re.IGNORECASE)
_ROOTS = {"svg": "SVG", "html": "HTML", "head": "HTML", "body": "HTML"}
_HTML_PARTS = {
    *(
        "a",
        "b",
        "br",
        "center",
        "div",
        "font",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
    ),
    *(
        "hr",
        "i",
        "iframe",
        "img",
        "li",
        "link",
        "main",
        "meta",
        "ol",
        "p",
        "pre",
        "script",
    ),
    *("section", "span", "strong", "style", "table", "title", "ul"),
}
"""Elements with which an error page may begin; XML behind a declaration may have them, too."""

_RECOGNISERS: tuple[Callable[[bytes], str | None], ...] = (
    _by_signature,
    _by_boxes,
    raw_photo,
    _icon,
    _markup_or_text,
)
