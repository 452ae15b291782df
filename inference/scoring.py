"""How alike two faces are, on the scale that face_compare publishes. Pure Python: the web process scores.

`confidence` 60 / 70 / 80 mean that one pair of different people in 1 000 / 10 000 / 100 000 reaches it
(calibration/confidence.json, fitted on impostor pairs; docs/decisions/0302-confidence.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import mul

from inference import tables
from inference.errors import IncompleteResultError
from inference.results import Quality, Template

SAME_FROM = 70.0


@dataclass(frozen=True, slots=True)
class Score:
    """`confidence` 0..100 with three decimals; `same` where it reaches the threshold."""

    confidence: float
    same: bool


def compare(first: Template, second: Template, *, same_from: float = SAME_FROM) -> Score:
    """Score two templates (manual 4.2.2 model 3). Where one has no face: 0.0 and not the same."""
    if not (first.has_face and second.has_face):
        return Score(0.0, False)
    confidence = round(float(confidence_map()(similarity(first, second))), 3)
    return Score(confidence, confidence >= same_from)


def similarity(first: Template, second: Template) -> float:
    """The fused similarity: a weighted sum of the two cosines, each as a z-score over pairs of strangers."""
    primary, secondary = parts()
    return primary.score(_cosine(first.primary, second.primary)) + secondary.score(
        _cosine(first.secondary, second.secondary)
    )


@dataclass(frozen=True, slots=True)
class Part:
    """How one embedding's cosine counts: over pairs of strangers it has this mean and deviation."""

    mean: float
    deviation: float
    weight: float

    def score(self, cosine: float) -> float:
        return self.weight * (cosine - self.mean) / self.deviation


@cache
def parts() -> tuple[Part, Part]:
    """(primary, secondary)."""
    table = tables.load("confidence")["embeddings"]
    return Part(**table["primary"]), Part(**table["secondary"])


@cache
def confidence_map() -> tables.MonotoneMap:
    """Fused similarity → confidence 0..100."""
    return tables.MonotoneMap.from_points(tables.load("confidence")["points"])


def pair_quality(first: Quality, second: Quality) -> Quality:
    """The quality of a pair: the worse score, and the reasons of both."""
    reasons = dict.fromkeys(first.reasons + second.reasons)
    return Quality(min(first.score, second.score), tuple(reasons))


def false_accept_rate(confidence: float) -> float:
    """The share of pairs of strangers that reach `confidence`: what the published map means from 50 up. It is
    measured up to 80, and above it the same line goes on.
    """
    return float(10 ** (3 - confidence / 10))


def table_version() -> str:
    """The version of the published map: another one, another fit, the same meaning."""
    return str(tables.load("confidence")["version"])


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Of unit vectors. Raises IncompleteResultError (5002) where they don't match."""
    if len(a) != len(b):
        raise IncompleteResultError(f"embeddings of {len(a)} and {len(b)} numbers")
    return sum(map(mul, a, b))
