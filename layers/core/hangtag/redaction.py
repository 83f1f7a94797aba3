"""
Secrets in text from outside: redacted before the text is cut, stored, logged or shown.

A server may echo its request: the API key, a presigned URL, the image. `redacted` finds known
secrets in any usual spelling; `without_secrets` finds what looks like a presigned URL or an image.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from hangtag.text import to_json

SHORTEST_SECRET = 6
"""Characters; a shorter secret is not hidden, because it may be part of an ordinary word."""

_ENCODINGS = 4
"""How many escapes or URL encodings of a secret, one inside the other, are undone."""


def redacted(text: str, secrets: Iterable[str]) -> str:
    """
    *text* with "..." for each of the *secrets*, in any letter case.

    A secret is also found in hexadecimal or base64 (both alphabets, at any position), escaped for
    JSON or HTML, URL-encoded up to four times, broken into lines, and in a mixture of them. Where
    it is escaped, encoded or broken, the text around it is returned decoded and on one line. The
    letters and digits that touch it are hidden, too. *secrets* are ASCII.
    """
    data = text.encode("utf-8", errors="surrogatepass")
    found = _redacted(data, _forms(tuple(secrets)), _ENCODINGS)
    return text if found is data else found.decode("utf-8", errors="surrogatepass")


def has_secret(body: bytes, secrets: Iterable[str]) -> bool:
    """Whether `redacted` would find one of the *secrets* in a *body*, or in the JSON that it is."""
    # JSON may have escaped each text once more
    return _redacted(body, _forms(tuple(secrets)), _ENCODINGS + 1) is not body


def redacted_document(document: Any, secrets: Iterable[str]) -> Any:  # noqa: ANN401 - JSON-like
    """A JSON-like *document* with the *secrets* hidden in its texts, names and numbers."""
    secrets = tuple(secrets)
    if isinstance(document, str):
        return redacted(document, secrets)
    if isinstance(document, list):
        return [redacted_document(part, secrets) for part in document]
    if isinstance(document, dict):
        return {
            redacted(name, secrets): redacted_document(part, secrets)
            for name, part in document.items()
        }
    written = to_json(document)
    return document if redacted(written, secrets) == written else "..."


def _redacted(data: bytes, forms: tuple[bytes, ...], encodings: int) -> bytes:
    """*data* itself if it contains none of the *forms*."""
    lower = data.lower()
    if any(form in lower for form in forms):
        data = _pattern(forms).sub(b"...", data)
    if encodings and any(sign in data for sign in _ESCAPE_SIGNS):
        plain = _ESCAPE.sub(_unescaped, data.translate(None, _DROPPED))
        if plain != data:
            inner = _redacted(plain, forms, encodings - 1)
            if inner is not plain:
                return inner
    return data


@lru_cache(maxsize=4)
def _forms(secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    """What to look for, in lower case."""
    return tuple(form for secret in secrets for form in _forms_of(secret))


@lru_cache(maxsize=16)
def _forms_of(secret: str) -> tuple[bytes, ...]:
    if len(secret) < SHORTEST_SECRET:
        return ()
    plain = secret.encode()
    forms = [plain, plain.hex().encode()]
    for standard in _base64_forms(plain):
        forms += [standard, standard.replace(b"+", b"-").replace(b"/", b"_")]
    return tuple(dict.fromkeys(form.lower() for form in forms))


def _base64_forms(secret: bytes) -> Iterator[bytes]:
    """What base64 makes of *secret*, for each position in a group of three bytes."""
    for before in range(3):
        encoded = b64encode(bytes(before) + secret)
        # The first and the last characters depend on the secret's neighbours, too
        yield encoded[(0, 2, 3)[before] : (before + len(secret)) * 8 // 6]


@lru_cache(maxsize=4)
def _pattern(forms: tuple[bytes, ...]) -> re.Pattern[bytes]:
    either = b"|".join(map(re.escape, forms))
    # With the rest of a base64 text, which may be of the secret, too; possessive, to need no memory
    return re.compile(
        rb"(?<![A-Za-z0-9+/_\\%%\r\n-])[A-Za-z0-9+/_\\%%\r\n-]*"
        rb"(?:%b)(?:%b|[A-Za-z0-9+/_=\\%%\r\n-])*+" % (either, either),
        re.IGNORECASE,
    )


_DROPPED = b"\0\r\n"
"""ASCII in UTF-16 has NULs, and base64 is often broken into lines."""

_ESCAPE_SIGNS = (b"\\", b"%", b"&", b"\0", b"\r", b"\n")
_ESCAPE = re.compile(
    rb"""
      \\(?:u00|x)([0-7][0-9a-f])
    | \\(["'/\\nr])
    | %([0-7][0-9a-f])
    | &\#x0*([0-7]?[0-9a-f]);
    | &\#0*([0-9]{1,3});
    | &(amp|apos|gt|lt|quot);
    """,
    re.VERBOSE | re.IGNORECASE,
)


_NAMED = {b"amp": b"&", b"apos": b"'", b"gt": b">", b"lt": b"<", b"quot": b'"'}


def _unescaped(found: re.Match[bytes]) -> bytes:
    json, plain, url, html, decimal, name = found.groups()
    if plain:
        return b"" if plain in b"nNrR" else plain
    if name:
        return _NAMED[name.lower()]
    code = int(decimal) if decimal else int(json or url or html, 16)
    if code in _DROPPED:
        return b""
    return bytes([code]) if code <= 0x7F else found[0]


def without_secrets(text: str) -> str:
    """*text* without base64 images and without the signatures of presigned URLs."""
    return _SECRETS.sub(lambda found: (found[1] or "") + "...", text)


# Also escaped; base64 without a prefix is recognised by the first bytes of the six formats.
_SECRETS = re.compile(
    r"""
      (?i:X-Amz-[A-Z-]{1,20}(?:=|%(?:25)*3D|\\+u003D))[^\s"'<>]*
    | (base64,)[A-Za-z0-9+/=\\%\r\n]+
    | (?<![A-Za-z0-9+/])
      (?:iVBORw0KGgo|R0lGOD|UklGR|SUkqA|TU0AK|Qk|\\?/9j\\?/)[A-Za-z0-9+/=\\%\r\n]{24,}
    """,
    re.VERBOSE,
)
