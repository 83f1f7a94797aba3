"""Paths, media type and response headers that several modules use."""

from __future__ import annotations

TAGS_PATH = "/tagger/v2.12/tags"

CONTROL_PREFIX = "/sandbox/"
"""Paths below it need the control token."""

JSON = "application/json; charset=utf-8"
"""The content type of all answers but the page."""

SYNTHETIC_HEADER = "x-sandbox-synthetic"
"""Names the invented fields of an answer, separated by commas."""

CUT_HEADER = "x-sandbox-cut"
"""
Asks the server to cut the connection: a `faults.Cut`. WSGI has no other way to request this; the
server removes the header from the response.
"""
