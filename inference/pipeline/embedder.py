"""Face embeddings: two unit vectors, from one detection and its landmarks."""

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
    """The inputs of the two networks for one face: (112, 112, 3) and (150, 150, 3), BGR uint8."""

    sface: Pixels
    dlib: Pixels

    @classmethod
    def from_face(cls, face: Aligned) -> Self:
        return cls(face.chip(SFACE_TEMPLATE, SFACE_SIDE_PX), face.chip(DLIB_TEMPLATE, DLIB_SIDE_PX))


class Embeddings(NamedTuple):
    """The embeddings of N faces.

    `primary` and `secondary` (N, 128) have rows of length 1, or NaN if the network returned a zero vector.
    `planes` (N, 1024) are the means of SFace's last feature maps, which carry age information. `lengths` (N,)
    are the norms of SFace's vectors before normalisation: the better the picture, the larger.
    """

    primary: Vectors
    secondary: Vectors
    planes: Vectors
    lengths: Vectors


class Embedder:
    """Runs SFace (primary) and dlib's ResNet (secondary)."""

    def __init__(self, sface: Session, dlib: Session) -> None:
        self._sface = sface
        self._dlib = dlib

    def embed(self, faces: Sequence[EmbedderChips]) -> Embeddings:
        """Embed faces; a face's rows do not depend on the batch that it is in.

        Averaging with the mirrored face was measured and is not worth its cost:
        docs/decisions/0302-confidence.md.
        """
        primary, planes = self._sface.run([face.sface for face in faces])
        (secondary,) = self._dlib.run([face.dlib for face in faces])
        lengths = np.linalg.norm(primary.astype(np.float64), axis=1)
        return Embeddings(_unit(primary), _unit(secondary), planes.astype(np.float64), lengths)


def _unit(vectors: Floats) -> Vectors:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 1e-6, lengths, np.nan), np.float64)
