"""Score normalisation: the constant of a face, which says how alike it is to people in general.

Two strangers of one gender, age group and ethnic group are more alike to the networks than any two strangers
are, and some groups (small children most of all) more than others. Half of each face's constant is subtracted
from the fused similarity, so that a similarity means the same for every group. The cohort (calibration/
cohort.json) holds centroids only, each the average of dozens of faces: docs/decisions/0306-cohort.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.calibration import scoring, tables

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quality:
    """What the length of SFace's embedding adds: `weight` for each deviation above the mean, up to `limit`.

    The length grows with the quality of the picture. A poor picture scores low with everybody, its own
    person included.
    """

    mean: float
    deviation: float
    weight: float
    limit: float

    def __call__(self, lengths: Floats) -> Floats:
        z = (np.log(np.maximum(lengths, 1e-6)) - self.mean) / self.deviation
        return self.weight * np.clip(z, -self.limit, self.limit)


@dataclass(frozen=True, slots=True)
class Cohort:
    """`centroids` (K, 256) in the space of `fused`; `offsets` (K,) even out the groups around them."""

    centroids: Floats
    offsets: Floats
    top: int
    quality: Quality

    def constants(self, vectors: Floats, lengths: Floats) -> Floats:
        """Return the constants (N,) of fused vectors (N, 256), with the lengths (N,) of their embeddings.

        The constant is the mean of the `top` largest similarities to the centroids, and the term of quality.
        Each row is computed on its own, so that its bits don't depend on the batch.
        """
        nearest = np.array(
            [np.sort(self.centroids @ row + self.offsets)[-self.top :].mean() for row in vectors]
        )
        return np.asarray(nearest + scoring.zero() + self.quality(lengths))


@tables.reader
def cohort() -> Cohort:
    """Return the cohort of the calibration set in use."""
    table = tables.load("cohort")
    return Cohort(
        np.array(table["centroids"]),
        np.array(table["offsets"]),
        int(table["top"]),
        Quality(**table["quality"]),
    )


def fused(primary: Floats, secondary: Floats) -> Floats:
    """Return rows (N, 256) whose inner product is the fused similarity before any constant."""
    first, second = scoring.parts()
    return np.concatenate([primary * first.scale, secondary * second.scale], axis=1)
