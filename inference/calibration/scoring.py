"""Similarity of two faces on the confidence scale that face_compare publishes.

Pure Python, because the web process computes the scores. A `confidence` of 60 / 70 / 80 is reached by one in
1,000 / 10,000 / 100,000 pairs of different people of the same gender, age group and ethnic group
(calibration/confidence.json; docs/decisions/0306-cohort.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import log10, sqrt
from operator import mul

from inference.calibration import tables
from inference.errors import IncompleteResultError
from inference.models import registry
from inference.results import Quality, Template

SAME_FROM = 70.0
# A gallery vector contains the constant of score normalisation divided by this number, and a probe vector
# half of the number. With the whole constant, an HNSW index connects the faces with the largest constants
# instead of the most similar faces (docs/benchmarks.md).
CONSTANT_SCALE = 8.0
# Two pictures whose embeddings have at least this cosine are considered the same picture.
IDENTICAL = 1 - 1e-5


@dataclass(frozen=True, slots=True)
class Score:
    """A `confidence` of 0..100 with three decimals, and whether it reaches the threshold (`same`)."""

    confidence: float
    same: bool


def compare(first: Template, second: Template, *, same_from: float = SAME_FROM) -> Score:
    """Score two templates (manual 4.2.2 model 3).

    Returns 0.0 and "not the same" if either template has no face, 100.0 for the same picture. Raises
    IncompleteResultError (5002) if the embeddings have different lengths.
    """
    if not (first.has_face and second.has_face):
        return Score(0.0, False)
    cosines = _cosines(first, second)
    if min(cosines) >= IDENTICAL:
        return Score(100.0, same_from <= 100.0)
    confidence = round(float(confidence_map()(_similarity(cosines, first, second))), 3)
    return Score(confidence, confidence >= same_from)


def similarity(first: Template, second: Template) -> float:
    """Return the normalised similarity of two faces.

    It is the weighted sum of the two cosines, each as a z-score over pairs of strangers, minus half of each
    face's constant (cohort.py).
    """
    return _similarity(_cosines(first, second), first, second)


def _similarity(cosines: tuple[float, float], first: Template, second: Template) -> float:
    primary, secondary = parts()
    return primary.score(cosines[0]) + secondary.score(cosines[1]) - (first.constant + second.constant) / 2


def gallery_vector(template: Template) -> tuple[float, ...]:
    """Return the vector that a search index stores for a face, of 258 numbers.

    They are the fused vector, the face's constant divided by CONSTANT_SCALE, and a number that gives all
    vectors the same length, so that the length says nothing about the face. Ordering by the inner product
    with a `probe_vector` is the same as ordering by `similarity`.
    """
    constant = template.constant / CONSTANT_SCALE
    return (*fused_vector(template), constant, sqrt(max(0.0, 1 - constant**2)))


def probe_vector(template: Template) -> tuple[float, ...]:
    """Return the query vector for a search index of gallery vectors."""
    return (*fused_vector(template), -CONSTANT_SCALE / 2, 0.0)


def similarity_of(inner_product: float, probe: Template) -> float:
    """Return the `similarity` that corresponds to the inner product of a gallery vector and this probe."""
    return inner_product + zero() - probe.constant / 2


def confidence_of(inner_product: float, probe: Template) -> float:
    """Return the confidence that `compare` would return, from a stored face's inner product with the probe.

    The same picture is recognised by its fused similarity, because both templates then have the same
    constant.
    """
    found = similarity_of(inner_product, probe)
    primary, secondary = parts()
    whole = primary.scale**2 + secondary.scale**2
    if found + probe.constant - zero() >= whole * IDENTICAL:
        return 100.0
    return round(float(confidence_map()(found)), 3)


def template_of_vector(vector: Sequence[float], quality: Quality) -> Template:
    """Return the Template whose `gallery_vector` this is."""
    primary, secondary = parts()
    size = (len(vector) - 2) // 2
    return Template(
        tuple(number / primary.scale for number in vector[:size]),
        tuple(number / secondary.scale for number in vector[size : 2 * size]),
        vector[-2] * CONSTANT_SCALE,
        quality,
    )


@tables.reader
def template_version() -> str:
    """Return the version of templates; templates of different versions must not be compared.

    It covers both networks, the scale of each embedding, and the cohort for the constants.
    """
    made_of = [
        registry.SFACE.sha256,
        registry.DLIB_RESNET.sha256,
        tables.load("confidence")["embeddings"],
        tables.load("cohort"),
    ]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def fused_vector(template: Template) -> tuple[float, ...]:
    """Return both embeddings, scaled so that the inner product of two is the similarity before constants.

    It is so up to `zero`. All fused vectors have the same length.
    """
    primary, secondary = parts()
    return (
        *(number * primary.scale for number in template.primary),
        *(number * secondary.scale for number in template.secondary),
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Weight of one embedding, with the mean and deviation of its cosine over pairs of strangers."""

    mean: float
    deviation: float
    weight: float

    def score(self, cosine: float) -> float:
        return self.weight * (cosine - self.mean) / self.deviation

    @property
    def scale(self) -> float:
        """Return the factor that scales unit vectors so that their inner product is `score` + constant."""
        return sqrt(self.weight / self.deviation)


@tables.reader
def parts() -> tuple[Part, Part]:
    """Return the weights of the two embeddings (primary, secondary)."""
    table = tables.load("confidence")["embeddings"]
    return Part(**table["primary"]), Part(**table["secondary"])


def zero() -> float:
    """Return the fused similarity of two faces whose cosines are both 0, before any constant."""
    return sum(part.score(0.0) for part in parts())


@tables.reader
def confidence_map() -> tables.PiecewiseLinear:
    """Return the map from similarity to confidence 0..100."""
    return tables.PiecewiseLinear.from_points([row[:2] for row in tables.load("confidence")["points"]])


@tables.reader
def _log_rates() -> tables.PiecewiseLinear:
    """Return the map from confidence to -log10 of the false-accept rate, over the measured range."""
    rows = tables.load("confidence")["points"]
    return tables.PiecewiseLinear.from_points(
        [(row[1], -log10(row[2])) for row in rows if row[2] is not None]
    )


def false_accept_rate(confidence: float) -> float:
    """Return the share of pairs of similar strangers whose confidence reaches `confidence`.

    Such a pair is of the same gender, age group and ethnic group; each group has the same weight. From
    `measured_to()` up, the returned rate is only an upper bound.
    """
    return float(10 ** -_log_rates()(confidence))


def measured_to() -> float:
    """Return the highest confidence whose false-accept rate was measured; above it there is no estimate."""
    return _log_rates().xs[-1]


def pair_quality(first: Quality, second: Quality) -> Quality:
    """Return the quality of a pair: the lower score and the reasons of both pictures."""
    reasons = dict.fromkeys(first.reasons + second.reasons)
    return Quality(min(first.score, second.score), tuple(reasons))


def table_version() -> str:
    """Return the version of the published map; a new fit changes it, but not the meaning of the scale."""
    return str(tables.load("confidence")["version"])


def _cosines(first: Template, second: Template) -> tuple[float, float]:
    return _cosine(first.primary, second.primary), _cosine(first.secondary, second.secondary)


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the cosine of two unit vectors; raise IncompleteResultError (5002) if their lengths differ."""
    if len(a) != len(b):
        raise IncompleteResultError(f"embeddings of {len(a)} and {len(b)} numbers")
    return sum(map(mul, a, b))
