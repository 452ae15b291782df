"""Age and gender of aligned faces, batched over one or more pictures.

dlib's two networks alone underestimate age by 3 years on average (by 12 past 60), and get the gender of one
adult in twenty wrong. One linear layer each over their features and those of the two embedding networks
(calibration/attributes.json, fitted by bench/fitting/fit.py) is more accurate: see docs/benchmarks.md for the
numbers and docs/decisions/0304-attributes.md for the reasons.
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
# The networks are fastest with batches of four: 31.7 CPU-ms per face alone, 28.9 in fours, 29.9 in sixteens
# (bin/bench speed).
BATCH_FACES = 4
OLDEST = 100
# A year matters more at 3 than at 60, so the age layer predicts the square root of the age.
AGE_SHIFT = 10.0


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer that maps features (N, weights) to (N,)."""

    weights: npt.NDArray[np.float64]
    bias: float

    def __call__(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return features @ self.weights + self.bias


@tables.reader
def head(name: str) -> Head:
    """Return the layer `age`, which predicts an encoded age, or `gender`, which is positive for male."""
    table = tables.load("attributes")[name]
    return Head(np.array(table["weights"]), float(table["bias"]))


def encode_age(age: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the regression targets of the age layer for ages in years (N,)."""
    return np.asarray(np.sqrt(age + AGE_SHIFT))


def decode_age(answers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ages in years (N,), from 0 to OLDEST, from the outputs of the age layer."""
    return np.asarray(np.clip(np.maximum(answers, 0) ** 2 - AGE_SHIFT, 0, OLDEST))


def mean_embeddings(count: int) -> Embeddings:
    """Return the embeddings of the average face, repeated `count` times."""
    table = tables.load("attributes")["average"]
    primary, secondary, planes = (
        np.tile(np.array(table[name]), (count, 1)) for name in ("primary", "secondary", "planes")
    )
    return Embeddings(primary, secondary, planes, lengths=np.ones(count))


@dataclass(frozen=True, slots=True)
class AttributeChips:
    """The network inputs of one face: for each padding, the chip and its mirror image.

    Chips are (64, 64, 3) for age and (32, 32, 3) for gender, BGR uint8. If `embedder` is None, the embeddings
    of an average face are used.
    """

    age: tuple[Pixels, ...]
    gender: tuple[Pixels, ...]
    embedder: EmbedderChips | None

    @classmethod
    def from_face(cls, face: Aligned, *, embedded: bool = True) -> Self:
        return cls(
            _chips(face, AGE_SIDE_PX, AGE_PADDINGS),
            _chips(face, GENDER_SIDE_PX, GENDER_PADDINGS),
            EmbedderChips.from_face(face) if embedded else None,
        )


def _chips(face: Aligned, side_px: int, paddings: Sequence[float]) -> tuple[Pixels, ...]:
    upright = [face.chip(dlib_template(side_px, padding), side_px) for padding in paddings]
    return tuple(chip for view in upright for chip in (view, view[:, ::-1]))


class AttributeEstimator:
    """Estimates age and gender with dlib's two networks and the two embedding networks."""

    def __init__(self, age: Session, gender: Session, embedder: Embedder) -> None:
        self._age = age
        self._gender = gender
        self._embedder = embedder

    def estimate(self, faces: Iterable[AttributeChips]) -> Iterator[Attributes]:
        """Yield the attributes of each face, in order; `faces` is consumed lazily, BATCH_FACES at a time.

        Raises IncompleteResultError (5002) at the first face whose result is not finite.
        """
        rest = iter(faces)
        while batch := list(islice(rest, BATCH_FACES)):
            age_features, gender_features = self.features(batch)
            ages, male = decode_age(head("age")(age_features)), head("gender")(gender_features)
            for year, score in zip(ages, male, strict=True):
                if not np.isfinite([year, score]).all():
                    raise IncompleteResultError("age or gender is not a number")
                yield Attributes(age=round(float(year)), gender="M" if score > 0 else "F")

    def features(
        self, faces: Sequence[AttributeChips]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the inputs of the two layers: (N, 1411) for age, (N, 1281) for gender."""
        seen = self._embeddings(faces)
        classes, deep = (
            values.reshape(len(faces), -1, values.shape[1]).mean(axis=1).astype(np.float64)
            for values in self._age.run([chip for face in faces for chip in face.age])
        )
        middles = np.arange(classes.shape[1], dtype=np.float64)
        middles[0] = 0.25  # class 0 is mostly babies of a few months
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
        found = mean_embeddings(len(faces))
        shown = {index: face.embedder for index, face in enumerate(faces) if face.embedder is not None}
        if shown:
            rows = list(shown)
            for values, own in zip(found, self._embedder.embed(list(shown.values())), strict=True):
                values[rows] = own
        return found
