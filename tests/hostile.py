"""Text with which an uploader, or a hostile API, attacks whoever reads a log or a table."""

from __future__ import annotations

CHARACTERS = (
    # C0: bell, tab, carriage return, the beginning of an escape sequence
    *map(chr, range(0x20)),
    "\x7f",
    *map(chr, range(0x80, 0xA0)),
    "\u00ad",  # soft hyphen
    "\u061c\u200e\u200f\u202a\u202d\u202e\u2066\u2067\u2069",  # direction of writing
    "\u200b\u200c\u200d\u2060",  # zero width
    "\u2028\u2029",  # line separators
    "\u034f\u180b\ufe00\ufe0f\U000e0100",  # invisible marks
    "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0",  # letters that are blank
    "\ufeff",  # byte order mark
    "\ufff9\ufffb",  # interlinear annotation
    "\ufdd0\uffff",  # no characters
    "\U000e0001\U000e0041",  # tags
)

TEXT = (
    "a\x1b]52;c;aGFja2Vk\x07\x1b]8;;https://evil.example\x1b\\b\x9b31m[red][/]"
    + "".join(CHARACTERS)
    + "\nstatus  TAGGED\r\n"
)
"""All of them, with an escape sequence that writes the clipboard, one that makes a link, markup,
and a line that imitates the command's own output."""

BYTES = "\udce9"
"""A byte that is not UTF-8, as Python reads it from arguments and file names."""

_RAW = {*"".join(CHARACTERS)} - {"\n"}


def raw_in(shown: str) -> list[str]:
    """What is in *shown* and must not be; a line feed may end a line."""
    return sorted(
        {
            f"U+{ord(character):04X}"
            for character in shown
            if character in _RAW or "\ud800" <= character <= "\udfff"
        }
    )
