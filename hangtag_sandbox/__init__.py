"""
A Tagger API for laptops and tests that follows the published contract.

`validation` rejects bad requests, `sightings` finds the garments in an image and `answers` writes
the response. `app` handles HTTP and `server` runs it.
"""

from hangtag_sandbox.app import create_app
from hangtag_sandbox.server import main, serve

__all__ = ["create_app", "main", "serve"]
