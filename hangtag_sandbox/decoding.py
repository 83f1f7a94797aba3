"""Decodes images with a limit on parallel work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from hangtag_sandbox.limits import GIANT_PIXELS
from hangtag_sandbox.pixels import Pixels
from hangtag_sandbox.validation import decode_image, open_image


class ImageDecoder:
    """Decodes one image per processor at a time, and only one giant image. Thread-safe."""

    def __init__(self) -> None:
        self._slots = BoundedSemaphore(os.cpu_count() or 1)
        self._giant = Lock()

    def decode(self, content: bytes) -> Pixels:
        """
        Decode an image to upright pixels of reduced size.

        Raises:
            Refused: The image breaks a limit or does not decode.
        """
        image = open_image(content)
        with self._slot_for(image.width * image.height):
            return decode_image(image)

    @contextmanager
    def _slot_for(self, pixels: int) -> Iterator[None]:
        if pixels > GIANT_PIXELS:
            with self._giant, self._slots:
                yield
        else:
            with self._slots:
                yield
