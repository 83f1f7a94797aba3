"""Where the sandbox is asked, and the headers of its own."""

from __future__ import annotations

TAGS_PATH = "/tagger/v2.12/tags"

SYNTHETIC_HEADER = "x-sandbox-synthetic"
"""Of an answer: the names of the fields that are invented, with commas between them."""

CUT_HEADER = "x-sandbox-cut"
"""
How the server is to end the connection: a `faults.Cut`. WSGI has no other word for it; the server
obeys the header and does not send it.
"""
