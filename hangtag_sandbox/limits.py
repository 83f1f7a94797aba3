"""
The limits of the sandbox.

The vendor publishes that ratio, sides and bytes are limited, but not the numbers: these are ours.
"""

from __future__ import annotations

LONGEST_RATIO = 10
"""The longer side is at most this many times the shorter one."""

SHORTEST_SIDE = 16
"""The shortest allowed side, in pixels."""

LONGEST_SIDE = 10_000
"""The longest allowed side, in pixels."""

MOST_IMAGE_BYTES = 20 * 1024 * 1024
"""Size limit of an image file, after base64 decoding."""

MOST_BODY_BYTES = 64 * 1024 * 1024
"""Size limit of a request's body; a longer one is not read."""

MOST_UNREAD_BYTES = 1024 * 1024
"""How much of a refused request's body is read, so that the connection can stay open."""

MOST_HEADER_BYTES = 64 * 1024
"""Size limit of a request's first line and headers together."""

MOST_CONNECTIONS = 256
"""How many connections may be open at once."""

MOST_RECEIVED_BYTES = 512 * 1024 * 1024
"""
Size limit of all requests together that are received or processed at once.

They use up to about twice as much memory, because a body is copied while it is put together.
"""

IDLE_SECONDS = 60.0
"""How long a connection may wait for the first byte of its next request, or send no byte of one."""

HEADER_SECONDS = 10.0
"""Deadline for the rest of a request's first line and headers."""

REQUEST_SECONDS = 120.0
"""Deadline for receiving a whole request, from its first byte."""

MOST_CALLS = 100_000
"""How many calls are recorded, the newest ones."""

MOST_CALLS_BYTES = 64 * 1024 * 1024
"""Size limit of all recorded calls together, as JSON: a context may be long."""

MOST_CONTEXT_CHARACTERS = 16_384
"""Size limit of the context that is recorded with a call, as JSON."""

MOST_DELAY_SECONDS = 300.0
"""The longest delay of a fault."""

MOST_FAULTS = 10_000
"""How many faults may be active at once."""

MOST_STEPS = 1_000
"""How many steps the sequence of a fault may have."""

FETCH_SECONDS = 10.0
"""Deadline for fetching an image from its URL, redirects included."""

MOST_URL_CHARACTERS = 8_192

MOST_REDIRECTS = 3
"""How many redirects a fetch follows."""

MOST_EXIF_SEGMENTS = 1_000
"""
How many Exif segments a JPEG may have; Pillow joins them, which takes quadratic time.

A valid file of 10 MB has 160.
"""

MOST_RLE_PIXELS = 25_000_000
"""How many pixels a run-length encoded BMP may have; Pillow decodes it in Python."""

GIANT_PIXELS = 25_000_000
"""Larger images are decoded one at a time: each needs up to 1.6 GB of memory."""

MOST_SCANS = 32
"""Scans in a JPEG: a normal progressive one has a dozen, a hostile one a million."""

MOST_VALUES = 10_000
"""Values in a request's JSON, estimated from its commas and brackets."""

MOST_DIGITS = 4_300
"""Digits of a number when printed: Python's own limit for integers."""

LONGEST_TILE = 16_384
"""Side of a TIFF tile in pixels: a small file may declare a tile that fills the memory."""
