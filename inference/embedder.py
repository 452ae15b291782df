"""What a face looks like, as two unit vectors. Both networks share one detection and its landmarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.alignment import DLIB_TEMPLATE, SFACE_TEMPLATE, Aligned
from inference.detector import batch
from inference.errors import IncompleteResultError
from inference.runtime import Floats, Session

SFACE_SIDE_PX = 112
DLIB_SIDE_PX = 150
Vector = tuple[float, ...]


class Embedder:
    """SFace (primary) and dlib's ResNet (secondary)."""

    def __init__(self, sface: Session, dlib: Session) -> None:
        self._sface = sface
        self._dlib = dlib

    def embed(self, face: Aligned) -> tuple[Vector, Vector]:
        """(primary, secondary) for comparison: 128 floats each, of length 1; dlib's is averaged with that
        of the mirrored face. Raises IncompleteResultError (5002).
        """
        dlib_chip = face.chip(DLIB_TEMPLATE, DLIB_SIDE_PX)
        mirrored = np.ascontiguousarray(dlib_chip[:, ::-1])
        primary = self._sface.run(batch([face.chip(SFACE_TEMPLATE, SFACE_SIDE_PX)], rgb=True))[0]
        secondary = self._dlib.run(batch([dlib_chip, mirrored], rgb=True))[0]
        return _rounded(primary), _rounded(secondary.sum(axis=0, keepdims=True))

    def vectors(self, faces: Sequence[Aligned]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(primary, secondary) of several faces, (N, 128) each, without mirror images."""
        primary = self._sface.run(
            batch([face.chip(SFACE_TEMPLATE, SFACE_SIDE_PX) for face in faces], rgb=True)
        )
        secondary = self._dlib.run(
            batch([face.chip(DLIB_TEMPLATE, DLIB_SIDE_PX) for face in faces], rgb=True)
        )
        return _unit(primary[0]), _unit(secondary[0])


def _unit(vectors: Floats) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 1e-6).all()):
        raise IncompleteResultError("an embedding without length")
    return vectors / lengths


def _rounded(vector: Floats) -> Vector:
    return tuple(np.round(_unit(vector)[0], 7).tolist())
