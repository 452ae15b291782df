"""Convert templates to and from their stored form, which is rotated by the group's matrix (keys.py)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gallery.models import Face, Group
from gallery.vectors import keys
from inference.calibration import scoring
from inference.results import Quality, Template


@dataclass(frozen=True, slots=True)
class Stored:
    """A rotated gallery vector in two half-precision parts; their sum is exact to about 2^-22."""

    vector: list[float]
    remainder: list[float]


def stored(template: Template, group: Group) -> Stored:
    """Return the stored form of a face in this group."""
    return halves(keys.rotation(group) @ np.array(scoring.gallery_vector(template)))


def halves(rotated: keys.Floats) -> Stored:
    """Split a rotated vector into its half-precision form and the rounding error."""
    coarse = rotated.astype(np.float16)
    remainder = (rotated - coarse.astype(np.float64)).astype(np.float16)
    return Stored(coarse.astype(np.float64).tolist(), remainder.astype(np.float64).tolist())


def probe(template: Template, group: Group) -> list[float]:
    """Return the query vector for a search in this group, for the inner product with stored vectors."""
    rotated: list[float] = (keys.rotation(group) @ np.array(scoring.probe_vector(template))).tolist()
    return rotated


def restored(face: Face, group: Group) -> Template:
    """Return the template of a stored face, for a comparison in this process."""
    if face.vector is None:
        return former(face.embedding, face.remainder, face.quality, group)
    vector = keys.rotation(group).T @ (np.array(face.vector) + np.array(face.vector_remainder))
    return scoring.template_of_vector(vector.tolist(), Quality(face.quality, ()))


def former_stored(template: Template, group: Group) -> Stored:
    """Return the stored form of the version before, of FORMER_DIMENSIONS numbers."""
    vector = np.array([*scoring.fused_vector(template), template.constant])
    return halves(keys.former_rotation(group) @ vector)


def former(embedding: Any, remainder: Any, quality: float, group: Group) -> Template:
    """Return the template of a face that the version before stored."""
    vector = keys.former_rotation(group).T @ (np.array(embedding) + np.array(remainder))
    *fused, constant = vector.tolist()
    return scoring.template_of_vector([*fused, constant / scoring.CONSTANT_SCALE, 0.0], Quality(quality, ()))
