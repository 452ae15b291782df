"""Age and gender of aligned faces, several faces in one batch, be they of one picture or of several.

dlib's two networks alone are 3 years low on average, 12 past 60, and wrong on every twentieth adult's
gender. Their features and those of the two embedding networks together, through one linear layer each
(calibration/attributes.json, fitted by bench/fit.py), are better: docs/benchmarks.md has the numbers,
docs/decisions/0304-attributes.md the road.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

import numpy as np
import numpy.typing as npt

from inference.arrays import Pixels
from inference.calibration import tables
from inference.errors import IncompleteResultError
from inference.models.session import Session
from inference.pipeline.alignment import Aligned, dlib_template
from inference.pipeline.embedder import Embedder, EmbedderChips, Embeddings
from inference.results import Attributes

AGE_SIDE_PX, GENDER_SIDE_PX = 64, 32
AGE_PADDINGS = (0.15, 0.2)
GENDER_PADDINGS = (0.1, 0.15, 0.2)
# The networks are quickest with four faces at once: 31.7 CPU-ms a face alone, 28.9 by four, 29.9 by sixteen
# (bin/bench speed).
BATCH_FACES = 4
OLDEST = 100


# A year is more of a difference at 3 than at 60, so the layer for age answers a root of the years.
ROOT_SHIFT = 10.0


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer: features (N, weights) → (N,)."""

    weights: npt.NDArray[np.float64]
    bias: float

    def __call__(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return features @ self.weights + self.bias


@tables.reader
def head(name: str) -> Head:
    """`age` answers a root of the years, `gender` a number above 0 for male."""
    table = tables.load("attributes")[name]
    return Head(np.array(table["weights"]), float(table["bias"]))


def root(age: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what the layer for age answers for years (N,)."""
    return np.asarray(np.sqrt(age + ROOT_SHIFT))


def years(answers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the years (N,), from 0 to OLDEST, for answers of the layer for age."""
    return np.asarray(np.clip(np.maximum(answers, 0) ** 2 - ROOT_SHIFT, 0, OLDEST))


def average_embeddings(count: int) -> Embeddings:
    """Those of an average face, `count` times."""
    table = tables.load("attributes")["average"]
    primary, secondary, planes = (
        np.tile(np.array(table[name]), (count, 1)) for name in ("primary", "secondary", "planes")
    )
    return Embeddings(primary, secondary, planes, lengths=np.ones(count))


@dataclass(frozen=True, slots=True)
class AttributeChips:
    """What the networks see of one face: for each padding the chip and its mirror image, (64, 64, 3) for age
    and (32, 32, 3) for gender, BGR uint8. Without `embedder` the embeddings count as an average face's.
    """

    age: tuple[Pixels, ...]
    gender: tuple[Pixels, ...]
    embedder: EmbedderChips | None

    @classmethod
    def cut(cls, face: Aligned, *, embedded: bool = True) -> Self:
        return cls(
            _chips(face, AGE_SIDE_PX, AGE_PADDINGS),
            _chips(face, GENDER_SIDE_PX, GENDER_PADDINGS),
            EmbedderChips.cut(face) if embedded else None,
        )


def _chips(face: Aligned, side_px: int, paddings: Sequence[float]) -> tuple[Pixels, ...]:
    upright = [face.chip(dlib_template(side_px, padding), side_px) for padding in paddings]
    return tuple(chip for view in upright for chip in (view, view[:, ::-1]))


class AttributeEstimator:
    """dlib's age and gender networks beside the two embeddings."""

    def __init__(self, age: Session, gender: Session, embedder: Embedder) -> None:
        self._age = age
        self._gender = gender
        self._embedder = embedder

    def estimate(self, faces: Iterable[AttributeChips]) -> Iterator[Attributes]:
        """One answer a face, in order. `faces` are taken BATCH_FACES at a time, when they are needed.

        Raises IncompleteResultError (5002) in place of the first answer that is not a number.
        """
        rest = iter(faces)
        while batch := list(islice(rest, BATCH_FACES)):
            age_features, gender_features = self.features(batch)
            ages, male = years(head("age")(age_features)), head("gender")(gender_features)
            for year, score in zip(ages, male, strict=True):
                if not np.isfinite([year, score]).all():
                    raise IncompleteResultError("age or gender is not a number")
                yield Attributes(age=round(float(year)), gender="M" if score > 0 else "F")

    def features(
        self, faces: Sequence[AttributeChips]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """What the heads see: (N, 1411) for age, (N, 1281) for gender."""
        seen = self._embeddings(faces)
        classes, deep = (
            values.reshape(len(faces), -1, values.shape[1]).mean(axis=1).astype(np.float64)
            for values in self._age.run([chip for face in faces for chip in face.age])
        )
        middles = np.arange(classes.shape[1], dtype=np.float64)
        middles[0] = 0.25  # the first months
        expected = classes @ middles
        spread = np.sqrt(np.maximum(classes @ middles**2 - expected**2, 0))
        genders = self._gender.run([chip for face in faces for chip in face.gender])[0]
        male = np.clip(genders[:, 1].astype(np.float64), 1e-3, 1 - 1e-3)
        male = np.log(male / (1 - male)).reshape(len(faces), -1).mean(axis=1)
        return (
            np.column_stack([expected, expected**2 / 50, spread, deep, seen.secondary, seen.planes]),
            np.column_stack([male, seen.primary, seen.secondary, seen.planes]),
        )

    def _embeddings(self, faces: Sequence[AttributeChips]) -> Embeddings:
        found = average_embeddings(len(faces))
        shown = {index: face.embedder for index, face in enumerate(faces) if face.embedder is not None}
        if shown:
            rows = list(shown)
            for values, own in zip(found, self._embedder.embed(list(shown.values())), strict=True):
                values[rows] = own
        return found
