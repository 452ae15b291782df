"""What a face looks like, as two unit vectors. Both networks share one detection and its landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from inference.arrays import Floats, Pixels
from inference.models.session import Session
from inference.pipeline.alignment import DLIB_TEMPLATE, SFACE_TEMPLATE, Aligned

SFACE_SIDE_PX = 112
DLIB_SIDE_PX = 150
Vectors = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EmbedderChips:
    """What the two networks see of one face: (112, 112, 3) and (150, 150, 3), BGR uint8."""

    sface: Pixels
    dlib: Pixels

    @classmethod
    def cut(cls, face: Aligned) -> Self:
        return cls(face.chip(SFACE_TEMPLATE, SFACE_SIDE_PX), face.chip(DLIB_TEMPLATE, DLIB_SIDE_PX))


class Embeddings(NamedTuple):
    """Of N faces. `primary` and `secondary` (N, 128) have rows of length 1, or not a number where a network's
    answer has no length. `planes` (N, 1024) are the means of SFace's last planes, which tell of the age.
    `lengths` (N,) are those of SFace's answers before they were divided by them: the better the picture, the
    longer.
    """

    primary: Vectors
    secondary: Vectors
    planes: Vectors
    lengths: Vectors


class Embedder:
    """SFace (primary) and dlib's ResNet (secondary)."""

    def __init__(self, sface: Session, dlib: Session) -> None:
        self._sface = sface
        self._dlib = dlib

    def embed(self, faces: Sequence[EmbedderChips]) -> Embeddings:
        """A face's rows are the same whatever the batch it is in.

        Averaging with the mirrored face was measured, and costs more than it gives:
        docs/decisions/0302-confidence.md.
        """
        primary, planes = self._sface.run([face.sface for face in faces])
        (secondary,) = self._dlib.run([face.dlib for face in faces])
        lengths = np.linalg.norm(primary.astype(np.float64), axis=1)
        return Embeddings(_unit(primary), _unit(secondary), planes.astype(np.float64), lengths)


def _unit(vectors: Floats) -> Vectors:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 1e-6, lengths, np.nan), np.float64)
