"""The kinds of arrays that travel between the steps; their shapes are told where they are used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Pictures, (height, width, 3) BGR.
Pixels = npt.NDArray[np.uint8]
# What the networks answer; boxes and scores.
Floats = npt.NDArray[np.float32]
# Landmarks (5, 2) of x, y: eye, eye, nose, mouth corner, mouth corner, left to right as seen.
Points = npt.NDArray[np.float64]
