"""What a face looks like, as two unit vectors. Both networks share one detection and its landmarks."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from inference.alignment import DLIB_TEMPLATE, SFACE_TEMPLATE, Aligned
from inference.errors import IncompleteResultError
from inference.runtime import Floats, Session

Pixels = npt.NDArray[np.uint8]

SFACE_SIDE_PX = 112
DLIB_SIDE_PX = 150


def rgb_batch(chips: list[Pixels]) -> Floats:
    """BGR pictures of one size → (N, 3, h, w) RGB floats 0-255."""
    return np.asarray(cv2.dnn.blobFromImages(chips, swapRB=True), np.float32)


class Embedder:
    """SFace and dlib's ResNet."""

    def __init__(self, sface: Session, dlib: Session) -> None:
        self._sface = sface
        self._dlib = dlib

    def embed(self, face: Aligned) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(primary, secondary): 128 floats each, of length 1. Raises IncompleteResultError (5002)."""
        sface_chip = face.chip(SFACE_TEMPLATE, SFACE_SIDE_PX)
        dlib_chip = face.chip(DLIB_TEMPLATE, DLIB_SIDE_PX)
        primary = self._sface.run(rgb_batch([sface_chip]))[0]
        # dlib's vector is averaged over the face and its mirror image
        secondary = self._dlib.run(rgb_batch([dlib_chip, np.ascontiguousarray(dlib_chip[:, ::-1])]))[0]
        return _unit(primary.sum(axis=0)), _unit(secondary.sum(axis=0))


def _unit(vector: Floats) -> tuple[float, ...]:
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-6:
        raise IncompleteResultError("an embedding without length")
    return tuple(np.round(vector.astype(np.float64) / length, 7).tolist())
