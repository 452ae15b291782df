"""Age and gender of aligned faces, several faces in one batch.

dlib's two networks alone are 3 years low on average, 12 past 60, and wrong on every twentieth adult's
gender. Their features and those of the two embedding networks together, through one linear layer each
(calibration/attributes.json, fitted by bench/fit.py), are better: docs/benchmarks.md has the numbers,
docs/decisions/0304-attributes.md the road.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from inference import tables
from inference.alignment import Aligned, dlib_template
from inference.arrays import Pixels
from inference.embedder import Embedder
from inference.errors import IncompleteResultError
from inference.results import Attributes
from inference.runtime import Session

AGE_SIDE_PX, GENDER_SIDE_PX = 64, 32
AGE_PADDINGS = (0.15, 0.2)
GENDER_PADDINGS = (0.1, 0.15, 0.2)
MAX_BATCH = 16
MAX_EMBEDDED = 32
OLDEST = 100


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer: features (N, weights) → (N,)."""

    weights: npt.NDArray[np.float64]
    bias: float

    def __call__(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return features @ self.weights + self.bias


@cache
def head(name: str) -> Head:
    """`age` answers years, `gender` a number above 0 for male."""
    table = tables.load("attributes")[name]
    return Head(np.array(table["weights"]), float(table["bias"]))


def average_embeddings(count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(primary, secondary) of an average face, (count, 128) each."""
    table = tables.load("attributes")["average"]
    primary, secondary = (np.tile(np.array(table[name]), (count, 1)) for name in ("primary", "secondary"))
    return primary, secondary


class AttributeEstimator:
    """dlib's age and gender networks beside the two embeddings."""

    def __init__(self, age: Session, gender: Session, embedder: Embedder) -> None:
        self._age = age
        self._gender = gender
        self._embedder = embedder

    def estimate(self, faces: Sequence[Aligned]) -> list[Attributes]:
        """One answer a face, in order, the largest faces first. Raises IncompleteResultError (5002).

        In a crowd only the first MAX_EMBEDDED faces are embedded, which is what takes the time; for the
        others the embeddings count as those of an average face.
        """
        answers: list[Attributes] = []
        for start in range(0, len(faces), MAX_BATCH):
            batch = faces[start : start + MAX_BATCH]
            age_features, gender_features = self.features(batch, embedded=start < MAX_EMBEDDED)
            years = np.clip(head("age")(age_features), 0, OLDEST)
            male = head("gender")(gender_features)
            if not (np.isfinite(years).all() and np.isfinite(male).all()):
                raise IncompleteResultError("age or gender is not a number")
            answers += [
                Attributes(age=round(float(year)), gender="M" if score > 0 else "F")
                for year, score in zip(years, male, strict=True)
            ]
        return answers

    def features(
        self, faces: Sequence[Aligned], *, embedded: bool = True
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """What the heads see: (N, 387) for age, (N, 257) for gender."""
        primary, secondary = self._embedder.embed(faces) if embedded else average_embeddings(len(faces))
        classes, deep = (
            values.reshape(-1, len(faces), values.shape[1]).mean(axis=0).astype(np.float64)
            for values in self._age.run(_chips(faces, AGE_SIDE_PX, AGE_PADDINGS))
        )
        years = np.arange(classes.shape[1], dtype=np.float64)
        years[0] = 0.25  # the first months
        expected = classes @ years
        spread = np.sqrt(np.maximum(classes @ years**2 - expected**2, 0))
        genders = self._gender.run(_chips(faces, GENDER_SIDE_PX, GENDER_PADDINGS))[0]
        male = np.clip(genders[:, 1].astype(np.float64), 1e-3, 1 - 1e-3)
        male = np.log(male / (1 - male)).reshape(-1, len(faces)).mean(axis=0)
        return (
            np.column_stack([expected, expected**2 / 50, spread, deep, secondary]),
            np.column_stack([male, primary, secondary]),
        )


def _chips(faces: Sequence[Aligned], side_px: int, paddings: Sequence[float]) -> list[Pixels]:
    """All faces at the first padding, all of them mirrored, all at the second padding, …"""
    templates = [dlib_template(side_px, padding) for padding in paddings]
    chips: list[Pixels] = []
    for template in templates:
        upright = [face.chip(template, side_px) for face in faces]
        chips += upright + [view[:, ::-1] for view in upright]
    return chips
