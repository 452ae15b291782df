"""How alike two faces are, on the scale that face_compare publishes. Pure Python: the web process scores.

`confidence` 60 / 70 / 80 mean that one pair in 1 000 / 10 000 / 100 000 reaches it of different people of one
gender, age group and ethnic group (calibration/confidence.json; docs/decisions/0306-cohort.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log10, sqrt
from operator import mul

from inference.calibration import tables
from inference.errors import IncompleteResultError
from inference.results import Quality, Template

SAME_FROM = 70.0
# Two pictures whose embeddings agree to this are one picture.
IDENTICAL = 1 - 1e-5


@dataclass(frozen=True, slots=True)
class Score:
    """`confidence` 0..100 with three decimals; `same` if it reaches the threshold."""

    confidence: float
    same: bool


def compare(first: Template, second: Template, *, same_from: float = SAME_FROM) -> Score:
    """Score two templates (manual 4.2.2 model 3). If one has no face: 0.0 and not the same."""
    if not (first.has_face and second.has_face):
        return Score(0.0, False)
    cosines = _cosines(first, second)
    if min(cosines) >= IDENTICAL:
        return Score(100.0, same_from <= 100.0)
    confidence = round(float(confidence_map()(_similarity(cosines, first, second))), 3)
    return Score(confidence, confidence >= same_from)


def similarity(first: Template, second: Template) -> float:
    """Return the normalised similarity of two faces.

    That is a weighted sum of the two cosines, each as a z-score over pairs of strangers, less half of both
    faces' constants (cohort.py).
    """
    return _similarity(_cosines(first, second), first, second)


def _similarity(cosines: tuple[float, float], first: Template, second: Template) -> float:
    primary, secondary = parts()
    return primary.score(cosines[0]) + secondary.score(cosines[1]) - (first.constant + second.constant) / 2


def gallery_vector(template: Template) -> tuple[float, ...]:
    """Return what a search index stores of a face: the fused embeddings, and the constant as one more number.

    The inner product with a `probe_vector` orders the index exactly as `similarity` does.
    """
    return (*_fused(template), template.constant)


def probe_vector(template: Template) -> tuple[float, ...]:
    """Return what a search index is searched with."""
    return (*_fused(template), -0.5)


def similarity_of(inner_product: float, probe: Template) -> float:
    """Return the `similarity` that belongs to an inner product of a gallery vector and this probe's."""
    return inner_product + zero() - probe.constant / 2


def _fused(template: Template) -> Iterator[float]:
    primary, secondary = parts()
    yield from (number * primary.scale for number in template.primary)
    yield from (number * secondary.scale for number in template.secondary)


@dataclass(frozen=True, slots=True)
class Part:
    """How one embedding's cosine counts: over pairs of strangers it has this mean and deviation."""

    mean: float
    deviation: float
    weight: float

    def score(self, cosine: float) -> float:
        return self.weight * (cosine - self.mean) / self.deviation

    @property
    def scale(self) -> float:
        """The factor of unit vectors that makes `score` an inner product and a constant."""
        return sqrt(self.weight / self.deviation)


@tables.reader
def parts() -> tuple[Part, Part]:
    """Return (primary, secondary)."""
    table = tables.load("confidence")["embeddings"]
    return Part(**table["primary"]), Part(**table["secondary"])


def zero() -> float:
    """Return the fused similarity, before any constant, of two faces with both cosines 0."""
    return sum(part.score(0.0) for part in parts())


@tables.reader
def confidence_map() -> tables.PiecewiseLinear:
    """Return the map from similarity to confidence 0..100."""
    return tables.PiecewiseLinear.from_points([row[:2] for row in tables.load("confidence")["points"]])


@tables.reader
def _log_rates() -> tables.PiecewiseLinear:
    """Return the map from confidence to -log10 of the false-accept rate, as far as it was measured."""
    rows = tables.load("confidence")["points"]
    return tables.PiecewiseLinear.from_points(
        [(row[1], -log10(row[2])) for row in rows if row[2] is not None]
    )


def false_accept_rate(confidence: float) -> float:
    """Return the share of look-alike strangers that reach `confidence`: what the published map means.

    Look-alike strangers are two people of one gender, age group and ethnic group; each group weighs the same.
    From `measured_to()` up the rate is only known to be no higher than the one returned.
    """
    return float(10 ** -_log_rates()(confidence))


def measured_to() -> float:
    """Return the highest confidence whose false-accept rate was measured: above it there is no number."""
    return _log_rates().xs[-1]


def pair_quality(first: Quality, second: Quality) -> Quality:
    """Return the quality of a pair: the worse score, and the reasons of both."""
    reasons = dict.fromkeys(first.reasons + second.reasons)
    return Quality(min(first.score, second.score), tuple(reasons))


def table_version() -> str:
    """Return the version of the published map: another one, another fit, the same meaning."""
    return str(tables.load("confidence")["version"])


def _cosines(first: Template, second: Template) -> tuple[float, float]:
    return _cosine(first.primary, second.primary), _cosine(first.secondary, second.secondary)


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Return that of unit vectors. Raises IncompleteResultError (5002) if they don't match."""
    if len(a) != len(b):
        raise IncompleteResultError(f"embeddings of {len(a)} and {len(b)} numbers")
    return sum(map(mul, a, b))
