"""Convert templates to and from their stored form, which is rotated by the group's matrix."""

from dataclasses import dataclass

import numpy as np

from gallery.models import Face, Group
from gallery.vectors import keys
from inference.calibration import scoring
from inference.results import Quality, Template


@dataclass(frozen=True, slots=True)
class Stored:
    """A rotated gallery vector in two half-precision parts; their sum is exact to about 2^-22."""

    embedding: list[float]
    remainder: list[float]


def stored(template: Template, group: Group) -> Stored:
    """Return the stored form of a face in this group."""
    rotated = keys.rotation(group) @ np.array(scoring.gallery_vector(template))
    coarse = rotated.astype(np.float16)
    remainder = (rotated - coarse.astype(np.float64)).astype(np.float16)
    return Stored(coarse.astype(np.float64).tolist(), remainder.astype(np.float64).tolist())


def probe(template: Template, group: Group) -> list[float]:
    """Return the query vector for a search in this group, for the inner product with stored vectors."""
    rotated: list[float] = (keys.rotation(group) @ np.array(scoring.probe_vector(template))).tolist()
    return rotated


def restored(face: Face, group: Group) -> Template:
    """Return the template of a stored face, for a comparison in this process."""
    rotated = np.array(face.embedding) + np.array(face.remainder)
    vector = keys.rotation(group).T @ rotated
    return scoring.template_of_vector(vector.tolist(), Quality(face.quality, ()))
