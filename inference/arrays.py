"""Array types shared by the pipeline steps; shapes are documented where they are used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Pictures, (height, width, 3) BGR.
Pixels = npt.NDArray[np.uint8]
# Network outputs, boxes and scores.
Floats = npt.NDArray[np.float32]
# Landmarks, (5, 2) of x, y: left eye, right eye, nose, left and right mouth corner, as the viewer sees them.
Points = npt.NDArray[np.float64]
