"""Looking at images without filling the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from hangtag_sandbox.judge import look_at, open_image
from hangtag_sandbox.limits import GIANT_PIXELS
from hangtag_sandbox.pixels import Pixels


class Eyes:
    """
    Look at as many images at a time as there are processors, and at one giant.

    Threads may share them.
    """

    def __init__(self) -> None:
        self._places = BoundedSemaphore(os.cpu_count() or 1)
        self._giant = Lock()

    def look_at(self, content: bytes) -> Pixels:
        """
        The pixels of an image, upright and small.

        Raises:
            Refused: It is not taken, or does not decode.
        """
        image = open_image(content)
        with self._place_for(image.width * image.height):
            return look_at(image)

    @contextmanager
    def _place_for(self, pixels: int) -> Iterator[None]:
        if pixels > GIANT_PIXELS:
            with self._giant, self._places:
                yield
        else:
            with self._places:
                yield
