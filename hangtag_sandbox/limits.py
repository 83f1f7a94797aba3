"""
The limits the sandbox assumes.

That there are limits on ratio, sides and bytes is published, the numbers are not: these are ours,
and this is the one place that holds them.
"""

from __future__ import annotations

LONGEST_RATIO = 10
"""The longer side is at most this many times the shorter one."""

SHORTEST_SIDE = 16
"""Pixels."""

LONGEST_SIDE = 10_000
"""Pixels."""

MOST_IMAGE_BYTES = 20 * 1024 * 1024
"""Of the decoded image."""

MOST_BODY_BYTES = 64 * 1024 * 1024
"""Of a request; what is longer is not read."""

REQUEST_SECONDS = 120.0
"""For a request to come whole, the wait for its first byte included."""

MOST_CALLS = 100_000
"""Calls that are remembered, the newest ones."""

MOST_CALLS_BYTES = 64 * 1024 * 1024
"""Of all remembered calls together, as JSON: a context may be long."""

MOST_CONTEXT_CHARACTERS = 16_384
"""Of a context that is remembered with its call, as JSON."""

MOST_DELAY_SECONDS = 300.0
"""The longest delay a fault may ask for."""

MOST_FAULTS = 10_000
"""In force at once."""

MOST_STEPS = 1_000
"""In the sequence of one fault."""

FETCH_SECONDS = 10.0
"""For an image to come from its URL, all in all."""

MOST_URL_CHARACTERS = 8_192

MOST_REDIRECTS = 3
"""From one URL to the next."""

GIANT_PIXELS = 25_000_000
"""Of images with more than these, one is looked at at a time: each takes up to 1.6 gigabytes."""

MOST_SCANS = 32
"""Of a JPEG image: a progressive one has a dozen, a hostile one a million."""

MOST_VALUES = 10_000
"""In a request's JSON, counted by its commas and brackets: an image has one."""

MOST_DIGITS = 4_300
"""Of a number, written out: as Python has it for whole ones."""

LONGEST_TILE = 16_384
"""Pixels along a side of a TIFF's tile: a small image may claim one that fills the memory."""
