"""The size of the images, and the types of their parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]
"""A number for each pixel of the drawing or of a part; a cover (opacity) is 0 to 1."""

Color = tuple[int, int, int]
Points = list[tuple[float, float]]

WIDTH, HEIGHT = 600, 800
SCALE = 2  # scale of the drawing before reduction, for smooth edges
