"""Score normalisation: a constant for each face that measures its similarity to faces in general.

Two strangers of the same gender, age group and ethnic group are more similar to the networks than two random
strangers, and some groups (young children most of all) more than others. Half of each face's constant is
subtracted from the fused similarity, so that a similarity means the same for every group. The cohort
(calibration/cohort.json) holds only centroids, each the average of dozens of faces:
docs/decisions/0306-cohort.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.calibration import scoring, tables

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality term, computed from the norm of SFace's embedding before normalisation.

    It adds `weight` for each standard deviation above the mean log-norm, limited to `limit` deviations. The
    norm grows with picture quality; a poor picture scores low against everyone, including its own person.
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
    """Cohort centroids (K, 256) in the space of `fused`, and `offsets` (K,) that even out the groups."""

    centroids: Floats
    offsets: Floats
    top: int
    quality: Quality

    def constants(self, vectors: Floats, lengths: Floats) -> Floats:
        """Return the constants (N,) of fused vectors (N, 256), given their SFace norms `lengths` (N,).

        A constant is the mean of the `top` largest similarities to the centroids plus the quality term. Each
        row is computed separately, so that the result does not depend on the batch, bit for bit.
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
    """Return rows (N, 256) whose inner product is the fused similarity before any constant is subtracted."""
    first, second = scoring.parts()
    return np.concatenate([primary * first.scale, secondary * second.scale], axis=1)
