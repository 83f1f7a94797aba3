"""
A Tagger API for laptops and tests, to the letter of its published contract.

`judge` says what is refused and why, `sightings` what is seen, `answers` what is said; `app` is
the HTTP edge and `server` runs it.
"""

from hangtag_sandbox.app import create_app
from hangtag_sandbox.server import main, serve

__all__ = ["create_app", "main", "serve"]
