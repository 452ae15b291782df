"""What a face looks like, as two unit vectors. Both networks share one detection and its landmarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.alignment import DLIB_TEMPLATE, SFACE_TEMPLATE, Aligned
from inference.arrays import Floats
from inference.errors import IncompleteResultError
from inference.runtime import Session

SFACE_SIDE_PX = 112
DLIB_SIDE_PX = 150
Vectors = npt.NDArray[np.float64]


class Embedder:
    """SFace (primary) and dlib's ResNet (secondary)."""

    def __init__(self, sface: Session, dlib: Session) -> None:
        self._sface = sface
        self._dlib = dlib

    def embed(self, faces: Sequence[Aligned]) -> tuple[Vectors, Vectors]:
        """(primary, secondary) of several faces, (N, 128) each, every row of length 1.

        Raises IncompleteResultError (5002). Averaging with the mirrored face was measured, and costs more
        than it gives: docs/decisions/0302-confidence.md.
        """
        primary = self._sface.run([face.chip(SFACE_TEMPLATE, SFACE_SIDE_PX) for face in faces])[0]
        secondary = self._dlib.run([face.chip(DLIB_TEMPLATE, DLIB_SIDE_PX) for face in faces])[0]
        return _unit(primary), _unit(secondary)


def _unit(vectors: Floats) -> Vectors:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 1e-6).all()):
        raise IncompleteResultError("an embedding without length")
    return vectors / lengths
