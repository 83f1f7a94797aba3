"""The path of the Tagger API and the sandbox's own response headers."""

from __future__ import annotations

TAGS_PATH = "/tagger/v2.12/tags"

SYNTHETIC_HEADER = "x-sandbox-synthetic"
"""Names the invented fields of an answer, separated by commas."""

CUT_HEADER = "x-sandbox-cut"
"""
Asks the server to cut the connection: a `faults.Cut`. WSGI has no other way to request this; the
server removes the header from the response.
"""
